"""A run's own checkpoints: kept, restored with the optimizer, and refused when they do not fit."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf.errors import UserError
from simclr_tf.training.training_state import TrainingState


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
    assert TrainingState(second, str(tmp_path), keep=0).restore() == 1
    for model in (first, second):
        model.step()
    # The second step depends on the momentum of the first: 0.1 + 0.19, not 0.1 + 0.1.
    np.testing.assert_allclose(second.layer.bias, [-0.29, -0.29], rtol=1e-6)
    np.testing.assert_array_equal(second.layer.kernel, first.layer.kernel)


def test_keeps_the_newest(tmp_path) -> None:
    state = TrainingState(OneLayer(), str(tmp_path), keep=2)
    assert state.restore() is None
    for step in (5, 10, 15):
        state.save(step)
    assert sorted(p.stem for p in tmp_path.glob("*.index")) == ["ckpt-10", "ckpt-15"]
    assert state.restore(str(tmp_path / "ckpt-10")) == 10


def test_another_network_is_refused(tmp_path) -> None:
    TrainingState(OneLayer(2), str(tmp_path), keep=0).save(1)
    with pytest.raises(UserError, match=r"ckpt-1 cannot be restored .*`model_dir`"):
        TrainingState(OneLayer(4), str(tmp_path), keep=0).restore()


@pytest.mark.parametrize("size", [0, 8])
def test_file_cut_short_is_refused(size, tmp_path) -> None:
    TrainingState(OneLayer(), str(tmp_path), keep=0).save(1)
    data = tmp_path / "ckpt-1.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:size])
    with pytest.raises(UserError, match="ckpt-1 cannot be restored"):
        TrainingState(OneLayer(), str(tmp_path), keep=0).restore()
