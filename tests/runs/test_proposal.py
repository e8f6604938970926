"""The network, batch and epochs that fit into so many hours."""

from __future__ import annotations

import types
from pathlib import Path

import pytest

from simclr_tf.config import parse
from simclr_tf.errors import SettingError
from simclr_tf.runs import proposal
from simclr_tf.runs.cost import Cost
from simclr_tf.runs.plan import make_plan
from simclr_tf.runs.preparation import PreparedRun


def prepared(*flags: str, images: int = 10_000, side: int | None = None) -> PreparedRun:
    config = parse(["--mode=plan", *flags])
    shape = (side, side, 3)
    dataset = types.SimpleNamespace(image_shape=shape, has_static_size=side is not None)
    plan = make_plan(config, train_examples=images, num_classes=None, replicas=1)
    return PreparedRun(config, config, None, None, dataset, None, plan)  # type: ignore[arg-type]


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Has an image take 1 ms in the smallest network, others what a guess of work says."""
    found: list[float] = []

    def seconds(run: PreparedRun) -> float:
        smallest = parse(["--image_size=64", "--resnet_depth=18", "--width_multiplier=0.25"])
        batch = run.config.optimization.train_batch_size
        smallest = smallest.replace(train_batch_size=batch)
        found.append(1e-3 * proposal.guess_seconds(run.config) / proposal.guess_seconds(smallest))
        return found[-1]

    monkeypatch.setattr(proposal, "_seconds", seconds)
    monkeypatch.setattr(proposal, "_typical_side", lambda *_: 100)
    return found


def test_the_largest_network_that_leaves_enough_epochs(tried: list[float]) -> None:
    def choose(hours: float, *flags: str, **data) -> tuple[int, int, float]:
        run = proposal.choose_network(prepared(f"--plan_hours={hours}", *flags, **data)).run
        config = run.config
        network = config.architecture
        assert (config.optimization.optimizer, config.loss.temperature) == ("momentum", 0.2)
        return config.data.image_size, network.resnet_depth, network.width_multiplier

    assert choose(1) == (64, 18, 0.25)  # 10,000 images, 200 epochs: 0.6 h
    assert tried[0] == 1e-3
    assert choose(5) == (64, 18, 0.5)
    assert choose(8) == (96, 18, 0.5)
    assert choose(1e4) == (96, 18, 1.0)  # pictures are of 100 px
    assert choose(1e4, "--image_size=200") == (200, 50, 1.0)
    assert choose(1, "--resnet_depth=34", "--width_multiplier=0.1") == (96, 34, 0.1)
    assert choose(1e4, side=28) == (28, 50, 1.0)


def test_what_is_given_stays(tried: list[float]) -> None:
    flags = ("--plan_hours=9", "--train_batch_size=99", "--optimizer=adam", "--train_epochs=70")
    run = proposal.choose_network(prepared(*flags)).run
    length = run.config.optimization
    assert (length.train_batch_size, length.optimizer, length.train_epochs) == (99, "adam", 70)
    cost = Cost(1, 2, 0.1, 100.0, 5.0, "pairs", None)
    assert proposal.fill_time(run, cost) == (run, cost)


def test_the_time_is_filled_with_epochs() -> None:
    run = prepared("--plan_hours=1")
    steps = run.plan.train_steps  # of 100 epochs
    longer, cost = proposal.fill_time(run, Cost(1, 2, 0.1, 1800.0, 5.0, "pairs", None))
    assert longer.config.optimization.train_epochs == 190  # 95% of the hour
    assert cost.seconds == pytest.approx(3420, rel=1e-3)
    assert longer.plan.train_steps == pytest.approx(1.9 * steps, rel=1e-3)
    assert longer.config.files.checkpoint_epochs == 9
    slow, _ = proposal.fill_time(run, Cost(1, 2, 0.1, 18_000.0, 5.0, "pairs", None))
    assert slow.config.optimization.train_epochs == 19
    assert slow.config.optimization.warmup_epochs == pytest.approx(1.9)


def test_too_little_time_is_one_line(tried: list[float]) -> None:
    with pytest.raises(SettingError) as raised:
        proposal.choose_network(prepared("--plan_hours=0.01"))
    assert str(raised.value) == (
        "`plan_hours=0.01` is too short: ResNet-18 of width 0.25 at 64 px takes about 1 min 45 s "
        "for 10 epochs of 10,000 images; give `plan_hours=0.03`, or fewer images, such as "
        "`train_split=train[:10%]`"
    )


def test_a_picture_s_usual_side(tmp_path: Path) -> None:
    from PIL import Image

    from simclr_tf.runs.preparation import open_dataset

    for number, size in enumerate([(30, 50), (40, 80), (90, 45)]):
        Image.new("RGB", size).save(tmp_path / f"{number}.png")
    config = parse([f"--dataset=folder:{tmp_path}", "--train_split=all"])
    assert proposal._typical_side(config, open_dataset(config)) == 40
