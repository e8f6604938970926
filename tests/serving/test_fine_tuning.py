"""Fine-tuning an exported SavedModel in a process that knows nothing of simclr_tf."""

from __future__ import annotations

import subprocess
import sys

import pytest

FINE_TUNE = """
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np, tensorflow as tf

rng = np.random.default_rng(0)
images = tf.constant(rng.uniform(size=(16, 40, 40, 3)).astype(np.float32))
labels = tf.constant(rng.integers(0, 10, 16))

def everything(model):
    (call, *_) = model.__call__.concrete_functions
    return {id(v): v for v in call.variables}.values()

def copies(variables):
    return [v.numpy().copy() for v in variables]

def loss_of(outputs):
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels=labels, logits=outputs["logits_sup"]))

# All of it: every trainable variable gets a gradient and moves, and so do moving statistics.
model = tf.saved_model.load(sys.argv[1])
variables = model.trainable_variables_list
statistics = [v for v in everything(model) if not v.trainable]
assert len(variables) + len(statistics) == len(everything(model)) and len(statistics) > 30
before, old_statistics = copies(variables), copies(statistics)
with tf.GradientTape() as tape:
    outputs = model(images, trainable=True)
    loss = loss_of(outputs) + tf.reduce_mean(outputs["proj_head_output"] ** 2)
gradients = tape.gradient(loss, variables)
for variable, gradient in zip(variables, gradients):
    assert gradient is not None, variable.name
    assert tf.reduce_any(tf.cast(gradient, tf.float32) != 0), variable.name
    step = 0.1 * tf.cast(gradient, tf.float32)
    step += tf.sign(step) * 0.01  # large enough for bfloat16
    variable.assign_sub(tf.cast(step, variable.dtype))
assert all((a != b).any() for a, b in zip(before, copies(variables)))
assert all((a != b).any() for a, b in zip(old_statistics, copies(statistics)))

# The classifier alone, in inference mode: the loss falls, nothing else moves by a bit.
model = tf.saved_model.load(sys.argv[1])
head = [model.supervised_head.dense.kernel, model.supervised_head.dense.bias]
frozen = [v for v in everything(model) if not any(v is h for h in head)]
assert len(frozen) == len(everything(model)) - 2
before, losses = copies(frozen), []
features = model(images, trainable=False)["final_avg_pool"]
rate = 1 / float(tf.reduce_mean(tf.reduce_sum(features ** 2, axis=1)))
for _ in range(5):
    with tf.GradientTape() as tape:
        loss = loss_of(model(images, trainable=False))
    for variable, gradient in zip(head, tape.gradient(loss, head)):
        variable.assign_sub(tf.cast(rate * tf.cast(gradient, tf.float32), variable.dtype))
    losses.append(float(loss))
assert losses == sorted(losses, reverse=True) and losses[-1] < losses[0] - 0.01, losses
assert all((a == b).all() for a, b in zip(before, copies(frozen)))
assert not any(name.startswith(("simclr_tf", "keras_cv")) for name in sys.modules)
"""


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_everything_or_the_classifier_alone(exported, precision) -> None:
    command = [sys.executable, "-c", FINE_TUNE, str(exported[precision].folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
