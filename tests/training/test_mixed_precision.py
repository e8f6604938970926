"""What stays float32 where layers compute in half precision."""

from __future__ import annotations

import pytest
import tensorflow as tf

from simclr_tf import LARS, Architecture, SimCLR
from simclr_tf.models import SupervisedHead
from simclr_tf.models.precision import under_policy

IMAGES = tf.random.stateless_uniform([6, 2, 8, 8, 3], (0, 0))
LABELS = tf.range(6, dtype=tf.int64) % 2


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_only_activations_are_of_half_precision(precision: str) -> None:
    """Weights, statistics, the optimizer's state, losses and metrics are not."""
    with under_policy(f"mixed_{precision}"):
        network = Architecture(
            resnet_depth=18, width_multiplier=1 / 64, proj_out_dim=4, cifar_stem=True
        )
        model = SimCLR(network, supervised_head=SupervisedHead(2), weight_decay=1e-4)
        model.compile(LARS(0.1, weight_decay=1e-4))
        outputs = model(IMAGES[:, 0], training=False)
        results = model.train_step({"views": IMAGES, "label": LABELS})
    assert outputs["proj_head_output"].dtype == precision
    assert outputs["logits_sup"].dtype == tf.float32
    kept = {variable.name: variable for variable in [*model.variables, *model.optimizer.variables]}
    assert len(kept) > 100
    assert {v.dtype for v in kept.values() if v.dtype.is_floating} == {tf.float32}
    assert {name: value.dtype for name, value in results.items()} == dict.fromkeys(
        results, tf.float32
    )
