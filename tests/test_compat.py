"""Which Keras is chosen for which TensorFlow, and when libtpu is left alone."""

from __future__ import annotations

import importlib.metadata
import os

import pytest

from simclr_tf import compat

import tensorflow as tf  # isort: skip


@pytest.mark.parametrize(
    ("installed", "legacy"),
    [
        ({"tensorflow": "2.15.1"}, None),
        ({"tensorflow": "2.16.0"}, "1"),
        ({"tensorflow-tpu": "2.20.0"}, "1"),
    ],
    ids=str,
)
def test_keras_2_is_asked_for_where_it_is_not_the_default(installed, legacy, monkeypatch) -> None:
    def version(name: str) -> str:
        if name not in installed:
            raise importlib.metadata.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(importlib.metadata, "version", version)
    # Set and deleted, so that what choose_keras sets is undone after the test.
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "")
    monkeypatch.delenv("TF_USE_LEGACY_KERAS")
    assert compat.compiles_for_host() == ("tensorflow-tpu" not in installed)
    compat.choose_keras()
    assert os.environ.get("TF_USE_LEGACY_KERAS") == legacy


@pytest.mark.parametrize(
    ("chips", "given", "expected"),
    [([], None, "0"), (["accel0"], None, None), (["vfio"], None, "0"), ([], "1", "1")],
    ids=["no TPU", "a TPU", "other devices", "the user's choice"],
)
def test_libtpu_is_loaded_only_beside_a_tpu(chips, given, expected, monkeypatch, tmp_path) -> None:
    for name in chips:
        (tmp_path / name).touch()
    monkeypatch.setattr(compat, "_TPU_CHIPS", (f"{tmp_path}/accel*", f"{tmp_path}/vfio/[0-9]*"))
    monkeypatch.setenv("TPU_LOAD_LIBRARY", given or "")
    if given is None:
        monkeypatch.delenv("TPU_LOAD_LIBRARY")
    compat.import_tensorflow()
    assert os.environ.get("TPU_LOAD_LIBRARY") == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("module://no_such_notebook.backend_inline", "agg"),
        ("module://os.path", "module://os.path"),
        ("agg", "agg"),
        ("", ""),
    ],
)
def test_a_notebooks_backend_is_left_aside_where_it_is_not(given, expected, monkeypatch) -> None:
    """matplotlib, which keras-cv imports, would refuse to be imported."""
    monkeypatch.setenv("MPLBACKEND", given)
    compat.keras_cv()
    assert os.environ["MPLBACKEND"] == expected


def test_what_hands_batches_to_devices_is_not_tuned(monkeypatch) -> None:
    """Its tuning thread can miss that the pipeline is closed, which then takes up to a minute."""
    from tensorflow.python.data.ops import multi_device_iterator_ops as iterators

    calls = []

    def make(*args):
        calls.append(args)
        return tf.data.Dataset.range(3)

    assert callable(iterators._create_device_dataset)  # TensorFlow still has what is replaced
    monkeypatch.setattr(iterators, "_create_device_dataset", make)
    compat.close_pipelines_at_once()
    compat.close_pipelines_at_once()
    dataset = iterators._create_device_dataset("prototype", 7)
    assert list(dataset.as_numpy_iterator()) == [0, 1, 2] and calls == [("prototype", 7)]
    assert dataset.options().autotune.enabled is False
