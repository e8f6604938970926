"""What is said of figures, on those of runs that went well and of runs that did not."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf.losses import nt_xent
from simclr_tf.training import guessing, verdict

# Runs of flags/quickstart.flags: ten epochs of 1,442 digits in batches of 128, and a setting or two
# other than the recipe's. First summary and last tenth: NT-Xent, contrastive accuracy.
LEARNED = {
    "--train_epochs=30": ((12.92, 0.020), (9.15, 0.164)),
}
BEGUN = {
    "--train_epochs=5": ((12.56, 0.031), (11.98, 0.046)),
    "--learning_rate=100": ((12.73, 0.023), (11.62, 0.064)),
}
UNCHANGED = {
    "--learning_rate=1e-6": ((12.73, 0.023), (12.58, 0.020)),
    "--temperature=100": ((11.082, 0.023), (11.080, 0.020)),
    "--temperature=10": ((11.078, 0.023), (11.058, 0.019)),
}
USELESS = {
    "--learning_rate=1e-3": ((12.73, 0.023), (11.76, 0.022)),
    "--temperature=0.001": ((1411.1, 0.023), (126.97, 0.011)),
}
FOUND = {
    **dict.fromkeys(LEARNED, "learned: the loss is below that of views which all look alike, and"),
    **dict.fromkeys(BEGUN, "begun to learn: contrastive accuracy is above chance, but the loss is"),
    **dict.fromkeys(UNCHANGED, "not learned: the loss has hardly fallen, and contrastive accuracy"),
    **dict.fromkeys(USELESS, "not learned: the loss is not below that of views which all look ali"),
}


def lines(first: dict[str, float], last: dict[str, float], total: int = 100) -> list[dict]:
    """A run of so many steps, a summary every two of them."""
    named = ({f"train/{k}": v for k, v in values.items()} for values in (first, last))
    early, late = named
    return [{"step": s, **(late if s > 0.9 * total else early)} for s in range(2, total + 1, 2)]


def judge(first, last, *, batch: int = 128, temperature: float | None = 0.2) -> tuple[str, str]:
    names = ("contrast_loss", "contrast_acc")
    return verdict.of_pretraining(
        lines(dict(zip(names, first)), dict(zip(names, last))),
        guessing.of_pretraining(batch),
        total=100,
        batch=batch,
        temperature=temperature,
    )


@pytest.mark.parametrize("run", FOUND)
def test_runs_on_digits(run: str) -> None:
    first, last = {**LEARNED, **BEGUN, **UNCHANGED, **USELESS}[run]
    found, figures = judge(first, last)
    assert found.startswith(FOUND[run])
    assert figures.startswith(f"NT-Xent {last[0]:.2f} (at step 2 {first[0]:.2f}, all views alike ")
    assert f"contrastive accuracy {last[1]:.1%} (chance 0.78%)" in figures


def test_a_low_loss_that_was_there_from_the_beginning_is_not_learned() -> None:
    """As of good initial weights and a learning rate of nothing."""
    assert judge((6.0, 0.7), (5.95, 0.701))[0].startswith("not learned: the loss has hardly")
    assert judge((6.0, 0.7), (5.5, 0.701))[0].startswith("learned")
    assert judge((6.0, 0.7), (5.95, 0.81))[0].startswith("learned")


def test_a_low_loss_with_accuracy_by_chance_is_hardly_anything() -> None:
    assert judge((12.0, 0.01), (10.0, 0.015))[0].startswith("hardly learned")


def test_a_run_that_was_measured_from_its_middle_is_not_called_unchanged() -> None:
    every = lines({}, {"contrast_loss": 9.0, "contrast_acc": 0.2}, total=100)[45:]
    of_batch = guessing.of_pretraining(128)
    found, _ = verdict.of_pretraining(every, of_batch, total=100, batch=128, temperature=None)
    assert found.startswith("learned")


def test_still_rising_is_more_than_noise() -> None:
    """A tenth of the run is 1,280 images: two of them differ by six points in one case of 400."""
    for before, now, rising in ((0.50, 0.55, False), (0.50, 0.57, True), (0.57, 0.50, False)):
        figures = judge((12.0, before), (9.0, now))[1]
        said = f"still rising: {before:.1%} in the tenth of the run before the last"
        assert (said in figures) == rising


def test_nothing_measured_is_unknown() -> None:
    of_batch = guessing.of_pretraining(128)
    empty = lines({"contrast_loss": 9.0, "contrast_acc": 0.2}, {})
    told = verdict.of_pretraining(empty, of_batch, total=100, batch=128, temperature=None)
    assert told[0] == "unknown"
    of_ten = guessing.of_classes(10)
    assert verdict.of_classifier(empty, of_ten, total=100, batch=128)[0] == "unknown"


def test_classifiers() -> None:
    def judge(loss: float, accuracy: float) -> tuple[str, str]:
        last = {"supervised_loss": loss, "supervised_acc": accuracy}
        of_ten = guessing.of_classes(10)
        return verdict.of_classifier(lines(last, last), of_ten, total=100, batch=128)

    found, figures = judge(0.123, 0.9875)
    assert found.startswith("learned")
    assert figures == (
        "cross-entropy 0.123 (guessing one of 10 classes 2.30), "
        "supervised accuracy 98.8% (guessing 10.0%)"
    )
    assert judge(2.29, 0.12)[0].startswith("not learned")
    assert judge(4.0, 0.3)[0].startswith("not learned")


@pytest.mark.parametrize("batch", [2, 16])
def test_guessing_is_what_the_loss_measures_of_views_that_look_alike(batch: int) -> None:
    known = guessing.of_pretraining(batch)
    alike = nt_xent(tf.ones([2 * batch, 8]), temperature=0.1)
    assert float(alike.loss) == pytest.approx(known["contrast_loss"], rel=1e-6)
    rng = np.random.default_rng(0)
    measure = tf.function(lambda hidden: nt_xent(hidden, temperature=0.1).accuracy)
    measured = [
        measure(tf.constant(rng.normal(size=[2 * batch, 8]))).numpy() for _ in range(2000 // batch)
    ]
    error = math.sqrt(known["contrast_acc"] / 2000)
    assert np.mean(measured) == pytest.approx(known["contrast_acc"], abs=4 * error)
    assert guessing.of_classes(None) == {}


@pytest.mark.parametrize("temperature", [0.5, 20.0])
def test_no_loss_is_below_what_a_temperature_allows(temperature: float) -> None:
    """Two images, partners on one spot and the others opposite, are the best there can be."""
    views = tf.constant([[1.0, 0.0], [-1.0, 0.0]] * 2)
    best = float(nt_xent(views, temperature=temperature).loss)
    figures = judge((2.0, 0.5), (2.0, 0.5), batch=2, temperature=temperature)[1]
    said = f"with temperature {temperature:g} no loss is below {best:.2f}"
    assert (said in figures) == (temperature == 20.0)
