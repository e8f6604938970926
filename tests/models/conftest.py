"""Marks of the tests of models."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: large networks; leave out with -m 'not slow'")
