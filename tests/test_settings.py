"""Flag values drawn at random: each works, or is refused with one line."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from simclr_tf import flag_definitions, validation
from simclr_tf.architecture import BOUNDS, Architecture
from simclr_tf.bounds import OneOf, Range, RangeOr
from simclr_tf.config import parse
from simclr_tf.errors import SettingError, print_error

ROWS = {row.name: row for row in flag_definitions.rows()}
RANGES = {name: row for name, row in ROWS.items() if isinstance(row.bound, Range | RangeOr)}

# What two steps on a tiny network can afford; else the whole bound is drawn from.
AFFORDABLE = {
    "image_size": st.sampled_from([1, 2, 7, 32, 33, 48]),
    "resnet_depth": st.sampled_from([18, 34, 50]),
    "width_multiplier": st.sampled_from([1 / 64, 0.02, 0.1]),
    "proj_out_dim": st.sampled_from([1, 2, 17]),
    "num_proj_layers": st.integers(1, 4),
    "train_batch_size": st.integers(2, 9),
    "micro_batch_size": st.sampled_from([0, 1, 2, 3, 4, "auto"]),
    "eval_batch_size": st.integers(1, 64),
    "eval_steps": st.integers(0, 2),
    "profile_steps": st.sampled_from(["1:2", "2:2", "2:9"]),
    "steps_per_loop": st.sampled_from([1, 2, 3, "auto"]),
    "ft_proj_selector": st.integers(-1, 4),
    "weight_decay": st.sampled_from([0.0, 1e-6, 0.1]),
    "learning_rate": st.sampled_from([1e-12, 0.1, 1e30]),
    "temperature": st.sampled_from([1e-30, 0.1, 1e30]),
    "knn_every_epochs": st.sampled_from([0, 1]),
    "alpha_background": st.sampled_from(["white", "#102030"]),
}
# Not drawn: two steps are two steps, devices are chosen once a process, and the data are digits.
FIXED = {"train_steps", "train_epochs", "warmup_epochs", "num_virtual_devices", "strategy", "mode"}
FIXED |= {"use_tpu", "label_fractions", "format", "labels_per_class", "plan_hours"}
# For --mode=evaluate alone.
FIXED |= {"protocol", "seeds", "knn_k", "knn_temperature", "linear_augmentation"}
FIXED |= {"distill_temperature", "distill_weight"}  # need a teacher
FIXED |= {"layer"}  # for --mode=embed and --mode=neighbors


def inside(row: flag_definitions.Flag) -> st.SearchStrategy:
    """Draws what a row allows."""
    if row.name in AFFORDABLE:
        return AFFORDABLE[row.name]
    if isinstance(row.default, bool):
        return st.booleans()
    if isinstance(row.bound, OneOf):
        return st.sampled_from(row.bound.values)
    assert isinstance(row.bound, Range)
    low, high = row.bound.low, min(row.bound.high, 1e9)
    if isinstance(row.default, int):
        return st.integers(int(low), int(high)) | st.sampled_from([int(low), int(high)])
    edges = [v for v in (low, high) if row.bound.allows(v)]
    middle = st.floats(low, high, exclude_min=row.bound.above_low, exclude_max=row.bound.below_high)
    return middle | (st.sampled_from(edges) if edges else middle)


def outside(row: flag_definitions.Flag) -> st.SearchStrategy:
    """Draws what a row does not allow."""
    bound = row.bound
    if isinstance(bound, RangeOr):
        bound = bound.range
    assert isinstance(bound, Range)
    first = row.default[0] if isinstance(row.default, tuple) else row.default
    if isinstance(first, int) or isinstance(row.bound, RangeOr):
        below = st.integers(-(2**70), int(bound.low) - 1)
        above = st.integers(int(bound.high) + 1, 2**70) if math.isfinite(bound.high) else below
        return below | above
    below = st.floats(max_value=bound.low, exclude_max=not bound.above_low, allow_nan=False)
    above = (
        st.floats(min_value=bound.high, exclude_min=not bound.below_high, allow_nan=False)
        if math.isfinite(bound.high)
        else st.just(math.inf)
    )
    return below | above | st.just(math.nan)


def drawable() -> list[flag_definitions.Flag]:
    return [
        row
        for name, row in ROWS.items()
        if name not in FIXED and (row.bound is not None or isinstance(row.default, bool))
    ]


@pytest.mark.smoke
@pytest.mark.parametrize("name", RANGES)
@hypothesis.settings(max_examples=30, deadline=None)
@hypothesis.given(data=st.data())
def test_outside_a_bound_is_one_line(name: str, data: st.DataObject) -> None:
    value = data.draw(outside(RANGES[name]))
    with pytest.raises(SettingError) as raised:
        validation.check(parse([f"--{name}={value}"]))
    assert raised.value.field == name
    printed = io.StringIO()
    assert print_error(raised.value, printed) == 2
    assert printed.getvalue().startswith(f"error: --{name}=")
    assert printed.getvalue().endswith(f" must be {RANGES[name].bound}\n")
    assert printed.getvalue().count("\n") == 1


@hypothesis.settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=list(hypothesis.HealthCheck),
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.reuse, hypothesis.Phase.generate],
)
@hypothesis.given(data=st.data())
def test_inside_all_bounds_trains_and_exports_or_is_one_line(
    run: Any, tmp_path_factory: Any, capsys: Any, data: st.DataObject
) -> None:
    values = {row.name: data.draw(inside(row), label=row.name) for row in drawable()}
    flags = [f"--{name}={value}" for name, value in values.items()]
    folder: Path = tmp_path_factory.mktemp("run")
    status = run(*flags, "--train_steps=2", f"--model_dir={folder}")
    printed = capsys.readouterr()
    if status == 0:
        assert (folder / "saved_model/2/saved_model.pb").exists()
        # What was written is read again.
        flags = ["--mode=export", f"--checkpoint={folder}", f"--model_dir={folder / 'again'}"]
        assert run(*flags, tiny=False) == 0, capsys.readouterr().err
    else:
        assert status == 2
        (error,) = [line for line in printed.err.splitlines() if line.startswith("error: ")]
        assert "Traceback" not in printed.err
        assert any(f"--{name}" in error for name in values), error


@pytest.mark.smoke
@pytest.mark.parametrize("name", sorted(BOUNDS))
def test_what_a_flag_allows_a_checkpoint_may_say(name: str) -> None:
    """The largest and smallest networks cannot be built here; what describes them can be read."""
    bound = BOUNDS[name]
    values = bound.values if isinstance(bound, OneOf) else (bound.low, bound.high)  # type: ignore[attr-defined]
    for value in values:
        asked = parse([f"--{name}={value}"])
        stored = json.loads(json.dumps(asked.architecture.to_json()))
        assert Architecture.from_json(stored) == asked.architecture
