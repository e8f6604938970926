"""Derived numbers, against golden/numerics.json and by hand."""

from __future__ import annotations

import pytest

from simclr_tf import config
from simclr_tf.errors import SettingError
from simclr_tf.runs import plan


def test_learning_rate_and_length_arithmetic() -> None:
    assert plan.scaled_learning_rate(0.3, "linear", 4096) == pytest.approx(4.8)
    assert plan.scaled_learning_rate(0.075, "sqrt", 4096) == pytest.approx(4.8)
    assert plan.total_steps(0, 100, 50_000, 512) == 9766  # golden/numerics.json
    assert plan.total_steps(7, 100, 50_000, 512) == 7
    assert plan.steps_of_epochs(10, 50_000, 512) == 976


@pytest.mark.parametrize(
    ("given", "steps", "summaries"),
    [
        ([], 6, 1),
        ([], 199, 3),
        ([], 4_999, 99),
        ([], 100_000, 100),
        (["--train_summary_steps=100"], 199, 100),
        (["--train_summary_steps=0", "--checkpoint_steps=30"], 199, 30),
    ],
)
def test_a_run_has_fifty_summaries_whatever_its_length(given, steps, summaries) -> None:
    def make(*flags: str, workers: int = 1) -> plan.Plan:
        flags = [f"--train_steps={steps}", "--train_batch_size=16", "--warmup_epochs=0", *flags]
        asked = config.parse([*flags, *given])
        return plan.make_plan(
            asked, train_examples=1000, num_classes=None, replicas=2, workers=workers
        )

    assert make().summary_steps == summaries
    assert make().steps_per_loop == 0
    assert make("--use_tpu").steps_per_loop == summaries
    assert make(workers=2).steps_per_loop == min(10, summaries)


def test_a_profile_ends_within_the_run() -> None:
    def make(steps: str) -> plan.Plan:
        asked = config.parse(["--train_steps=30", "--warmup_epochs=0", f"--profile_steps={steps}"])
        return plan.make_plan(asked, train_examples=1000, num_classes=None, replicas=1)

    make("30:30")
    with pytest.raises(SettingError, match="last step of the run, 30") as raised:
        make("30:31")
    assert raised.value.field == "profile_steps"
