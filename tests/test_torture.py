"""Runs killed at a random moment of each phase; `make torture` kills fifty times."""

from __future__ import annotations

from pathlib import Path

from tests.torture import PHASES, torture


def test_killed_in_each_phase_a_run_loses_nothing(tmp_path: Path) -> None:
    counts = torture(tmp_path, kills=5, seed=1, phases=list(PHASES))
    assert sum(counts[phase] for phase in PHASES) == 5
    assert counts["runs"] >= 1
