"""The figure of large batches draws what the tables say."""

from __future__ import annotations

from benchmarks import plot


def test_points_are_the_tables_own() -> None:
    seconds, memory = plot.losses("seconds"), plot.losses("GiB")
    assert (8192, 1.39) in seconds["simclr_tf"] and (8192, 3.53) in memory["the reference release"]
    assert len(seconds["its matrix products alone"]) == 5
    assert len(seconds["the reference release"]) == 3  # the others were not run
    speeds, resident = plot.steps("pairs/s"), plot.steps("memory")
    assert (4096, 22.8) in speeds["simclr_tf"] and (128, 2.66) in resident["the reference release"]
