"""A SavedModel that is as it should be, and copies to be changed."""

from __future__ import annotations

import shutil

import pytest
from tensorflow.core.protobuf import saved_model_pb2

from tests.checkpoints.saved_models import read, write_network


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> str:
    """The folder of a network's SavedModel; beside it lies a run of the same network."""
    return write_network(tmp_path_factory.mktemp("trust"))


@pytest.fixture
def changed(model, tmp_path) -> tuple[str, saved_model_pb2.SavedModel]:
    """A copy of it, and its message to be changed and written by `write`."""
    shutil.copytree(model, tmp_path / "copy")
    return str(tmp_path / "copy"), read(model)
