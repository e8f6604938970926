"""A run's own checkpoints: kept, restored with the optimizer, and refused when they do not fit."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf.errors import RunFailed, UserError
from simclr_tf.training.diverged import Diverged
from simclr_tf.training.training_state import Restored, TrainingState

pytestmark = pytest.mark.smoke


class OneLayer(tf.keras.Model):
    """Stands for a network: a part and an optimizer with a slot per variable."""

    def __init__(self, units: int = 2) -> None:
        super().__init__()
        self.layer = tf.keras.layers.Dense(units)
        self.layer.build([None, 3])
        self.compile(tf.keras.optimizers.legacy.SGD(0.1, momentum=0.9))

    @property
    def parts(self) -> dict[str, tf.keras.layers.Layer]:
        return {"encoder": self.layer}

    def step(self) -> None:
        variables = self.layer.trainable_variables
        self.optimizer.apply_gradients([(tf.ones_like(v), v) for v in variables])


def test_optimizer_and_step_go_on(tmp_path) -> None:
    first = OneLayer()
    first.step()
    TrainingState(first, str(tmp_path), keep=0).save(1)
    second = OneLayer()
    assert TrainingState(second, str(tmp_path), keep=0).restore() == Restored(1)
    for model in (first, second):
        model.step()
    # The second step depends on the momentum of the first: 0.1 + 0.19, not 0.1 + 0.1.
    np.testing.assert_allclose(second.layer.bias, [-0.29, -0.29], rtol=1e-6)
    np.testing.assert_array_equal(second.layer.kernel, first.layer.kernel)


def saved(folder: Path, *steps: int, keep: int = 0) -> tuple[OneLayer, TrainingState]:
    """A model that has taken so many steps, saved after each that is named."""
    model = OneLayer()
    state = TrainingState(model, str(folder), keep)
    for step in range(1, max(steps) + 1):
        model.step()
        if step in steps:
            state.save(step)
    return model, state


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_keeps_the_newest(tmp_path: Path) -> None:
    assert TrainingState(OneLayer(), str(tmp_path), keep=2).restore() is None
    model, state = saved(tmp_path, 5, 10, 15, keep=2)
    kept = [f"ckpt-{n}.{kind}" for n in (10, 15) for kind in ("data-00000-of-00001", "index")]
    assert names_in(tmp_path) == ["checkpoint", *kept]
    # Other tools find it.
    assert tf.train.latest_checkpoint(str(tmp_path)) == str(tmp_path / "ckpt-15")
    assert state.restore() == Restored(15)


def test_another_network_is_refused(tmp_path: Path) -> None:
    TrainingState(OneLayer(2), str(tmp_path), keep=0).save(1)
    with pytest.raises(UserError, match=r"another network or optimizer, .*ckpt-1 .*`model_dir`"):
        TrainingState(OneLayer(4), str(tmp_path), keep=0).restore()
    assert "damaged" not in names_in(tmp_path)


def cut(folder: Path, step: int) -> None:
    path = folder / f"ckpt-{step}.data-00000-of-00001"
    path.write_bytes(path.read_bytes()[:40])


def flip(folder: Path, step: int) -> None:
    path = folder / f"ckpt-{step}.data-00000-of-00001"
    content = bytearray(path.read_bytes())
    content[8] ^= 1
    path.write_bytes(content)


def shorten_index(folder: Path, step: int) -> None:
    path = folder / f"ckpt-{step}.index"
    path.write_bytes(path.read_bytes()[:-60])


def lose_data(folder: Path, step: int) -> None:
    (folder / f"ckpt-{step}.data-00000-of-00001").unlink()


@pytest.mark.parametrize("damage", [cut, flip, shorten_index, lose_data])
def test_the_newest_that_is_whole_wins(damage, tmp_path: Path) -> None:
    saved(tmp_path, 3, 6, 9)
    older = OneLayer()
    damage(tmp_path, 9)
    state = TrainingState(older, str(tmp_path), keep=2)
    restored = state.restore()
    assert restored is not None
    assert restored.step == 6
    (note,) = restored.notes
    assert "ckpt-9 cannot be read" in note
    np.testing.assert_allclose(older.layer.bias, bias_after(6), rtol=1e-6)
    assert {n for n in names_in(tmp_path / "damaged") if n.startswith("ckpt-9.")}
    # The damaged one does not count among those that are kept.
    state.save(7)
    assert [n for n in names_in(tmp_path) if n.endswith(".index")] == [
        "ckpt-6.index",
        "ckpt-7.index",
    ]


def bias_after(steps: int) -> list[float]:
    model = OneLayer()
    for _ in range(steps):
        model.step()
    return list(model.layer.bias.numpy())


@pytest.mark.parametrize("content", [None, "", 'model_checkpoint_path: "/gone/ckpt-1"'])
def test_the_small_file_is_not_believed(content, tmp_path: Path) -> None:
    saved(tmp_path, 3, 6)
    (tmp_path / "checkpoint").unlink()
    if content is not None:
        (tmp_path / "checkpoint").write_text(content)
    assert TrainingState(OneLayer(), str(tmp_path), keep=0).restore() == Restored(6)


def test_a_run_with_checkpoints_never_begins_anew(tmp_path: Path) -> None:
    saved(tmp_path, 3, 6)
    for step in (3, 6):
        cut(tmp_path, step)
    before = names_in(tmp_path)
    with pytest.raises(UserError, match="none can be used .*ckpt-6 cannot be read"):
        TrainingState(OneLayer(), str(tmp_path), keep=0).restore()
    assert names_in(tmp_path) == before
    for step in (3, 6):
        (tmp_path / f"ckpt-{step}.index").unlink()
    with pytest.raises(UserError, match="none can be used .they have no index file"):
        TrainingState(OneLayer(), str(tmp_path), keep=0).restore()


@pytest.mark.parametrize("what", ["kernel", "momentum"])
def test_what_is_no_number_is_not_saved_and_costs_no_older_one(what, tmp_path: Path) -> None:
    model, state = saved(tmp_path, 3, keep=1)
    variables = {"kernel": model.layer.kernel, "momentum": model.optimizer.variables()[-1]}
    variables[what].assign(tf.fill(variables[what].shape, np.inf))
    before = names_in(tmp_path)
    with pytest.raises(Diverged) as caught:
        state.save(4)
    assert (caught.value.what, caught.value.step) == ("weights", 4)
    assert names_in(tmp_path) == before
    assert state.saved == 3


def test_what_an_older_version_saved_of_a_diverged_run_is_passed_over(tmp_path: Path) -> None:
    model, _ = saved(tmp_path, 3)
    model.layer.bias.assign([np.nan, 0])
    tf.train.Checkpoint(
        encoder=model.layer, optimizer=model.optimizer, global_step=tf.Variable(4, dtype=tf.int64)
    ).write(str(tmp_path / "ckpt-4"))
    restored = TrainingState(OneLayer(), str(tmp_path), keep=0).restore()
    assert restored is not None
    assert restored.step == 3
    assert "ckpt-4 holds values that are no numbers" in restored.notes[0]


def test_a_file_that_cannot_be_written_leaves_the_older_ones(tmp_path: Path) -> None:
    model, state = saved(tmp_path, 3, keep=1)
    before = names_in(tmp_path)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(RunFailed, match="saving step 4 failed .*last good .*ckpt-3; make room"):
            state.save(4)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert names_in(tmp_path) == before
    state.save(4)
    assert state.restore() == Restored(4)


def test_another_process_has_taken_over(tmp_path: Path) -> None:
    def refuse() -> None:
        raise RunFailed("taken over")

    with pytest.raises(RunFailed, match="taken over"):
        TrainingState(OneLayer(), str(tmp_path), keep=0, may_write=refuse).save(1)
    assert names_in(tmp_path) == []
