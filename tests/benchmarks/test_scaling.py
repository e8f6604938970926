"""The formula of benchmarks/scaling.py gives what the graph of the training step holds."""

from __future__ import annotations

import pytest

from benchmarks.scaling import CHIPS, Sizes, Traffic, measure, milliseconds, predict

TINY = [
    *("--resnet_depth=18", "--width_multiplier=0.0625", "--image_size=8"),
    *("--num_proj_layers=2", "--proj_out_dim=8"),
]
BATCH = 32


@pytest.mark.parametrize(
    ("replicas", "precision"), [(1, "float32"), (2, "float32"), (4, "bfloat16")]
)
def test_formula_equals_the_graph(replicas: int, precision: str) -> None:
    sizes, [step] = measure(replicas, [BATCH], [*TINY, f"--precision={precision}"])
    assert step == predict(sizes, batch=BATCH, replicas=replicas)
    if replicas == 1:
        assert step == {}
        return
    # By hand: 8 dimensions, two views, 4 bytes; 8 dimensions of the last of 23 normalizations.
    assert step["gather, forward"] == Traffic("all_gather", 1, BATCH // replicas * 2 * 8 * 4)
    assert step["reference, forward"].payload == replicas * step["gather, forward"].payload
    # One collective each way, and four shortcuts' travel with another's.
    assert step["batch norm, forward"].messages == step["batch norm, backward"].messages == 19
    assert len(sizes.channels) == 23 and sizes.channels[-1] == 8
    assert set(step) == {
        *("gather, forward", "gather, backward", "batch norm, forward", "batch norm, backward"),
        *("gradients", "sizes", "metrics", "reference, forward", "reference, backward"),
    }


def ring(replicas: int, op: str) -> int:
    """Passes numbered pieces round a ring until all are everywhere; returns the pieces sent by one.

    Piece i is what replica i hands over to an all-gather, or a part of the sum in an all-reduce.
    """
    held = [
        {piece: {replica} for piece in range(replicas) if op == "all_reduce" or piece == replica}
        for replica in range(replicas)
    ]
    rounds = 0
    if op == "all_reduce":
        for offset in range(replicas - 1):
            moves = [(r, (r - offset) % replicas) for r in range(replicas)]
            for sender, piece in moves:
                held[(sender + 1) % replicas][piece] |= held[sender][piece]
            rounds += 1
        # Replica r now has the whole sum of piece r + 1.
        for replica in range(replicas):
            assert held[replica][(replica + 1) % replicas] == set(range(replicas))
        held = [{(r + 1) % replicas: set(range(replicas))} for r in range(replicas)]
    while any(len(pieces) < replicas for pieces in held):
        before = [dict(pieces) for pieces in held]
        for replica in range(replicas):
            held[replica] |= before[(replica - 1) % replicas]
        rounds += 1
    return rounds


@pytest.mark.parametrize("replicas", [2, 3, 8])
def test_bytes_sent_are_those_of_a_ring(replicas: int) -> None:
    assert Traffic("all_gather", 1, 24).sent(replicas) == 24 * ring(replicas, "all_gather")
    piece = 24 / replicas
    assert Traffic("all_reduce", 1, 24).sent(replicas) == piece * ring(replicas, "all_reduce")


def test_what_sends_nothing() -> None:
    sizes = Sizes(parameters=10, channels=[3], together=0, projection=4, metrics=2)
    assert predict(sizes, batch=8, replicas=1) == {}
    assert Traffic("all_reduce", 1, 24).sent(1) == Traffic("all_gather", 1, 24).sent(1) == 0
    not_shared = predict(sizes._replace(channels=[]), batch=8, replicas=2)
    assert not any("batch norm" in purpose for purpose in not_shared)


def test_time_on_a_slice() -> None:
    # 32 cores of v3 are 16 chips: 2 * 15 / 16 of 100 MB at 332 GB/s.
    assert milliseconds(100e6, CHIPS["v3"], 32) == pytest.approx(187.5e6 / 332.03e9 * 1e3, rel=1e-4)
    assert milliseconds(100e6, CHIPS["v5e"], 32) == pytest.approx(193.75e6 / 200e9 * 1e3)
