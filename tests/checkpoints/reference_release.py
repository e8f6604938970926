"""Runs the reference release's own code: writes its checkpoints, and what its networks compute.

    python tests/checkpoints/reference_release.py CHECKOUT CASE OUT

CHECKOUT is a clone of github.com/google-research/simclr, CASE one of `CASES`, OUT a new folder.
Weights follow from names (`value_of`), so that tests can make them again. Needs TensorFlow 2.15,
the last line with tf.compat.v1.layers. `tests/golden/reference_checkpoints.json` was made so.
"""

from __future__ import annotations

import json
import os
import sys
import types
import zlib
from pathlib import Path
from typing import Any

import numpy as np

WIDTH = 1 / 16
CASES: dict[str, dict[str, Any]] = {
    "tf2_r18_cifar": {"resnet_depth": 18, "image_size": 32},
    "tf2_r50": {"resnet_depth": 50, "image_size": 64},
    "tf2_r50_sk": {"resnet_depth": 50, "image_size": 64, "sk_ratio": 0.0625},
    "tf2_r18_se": {"resnet_depth": 18, "image_size": 64, "se_ratio": 0.25},
    "tf2_r34_sk": {"resnet_depth": 34, "image_size": 64, "sk_ratio": 0.0625},
    "tf1_r50_v1": {"resnet_depth": 50, "image_size": 64, "num_proj_layers": 2},
    "tf1_r50_v2": {"resnet_depth": 50, "image_size": 64, "num_proj_layers": 3},
    "tf1_r50_v2_sk": {"resnet_depth": 50, "image_size": 64, "sk_ratio": 0.0625},
    "tf1_r18_cifar_se": {"resnet_depth": 18, "image_size": 32, "se_ratio": 0.25},
}
CLASSES = 5


def value_of(name: str, shape: list[int]) -> np.ndarray:
    """Returns the variable's float32 value, drawn from its name."""
    draw = np.random.default_rng(zlib.crc32(name.encode()))
    leaf = name.rsplit("/", 1)[-1]
    if leaf in ("gamma", "moving_variance"):
        return draw.uniform(0.5, 1.5, shape).astype(np.float32)
    if leaf in ("beta", "moving_mean", "bias"):
        return draw.normal(0, 0.2, shape).astype(np.float32)
    return draw.normal(0, 1 / np.sqrt(np.prod(shape[:-1])), shape).astype(np.float32)


def images_of(size: int) -> np.ndarray:
    """Returns two float32 images [2, size, size, 3] in [0, 1]."""
    return np.random.default_rng(0).random((2, size, size, 3), np.float32)


def main(checkout: str, case: str, out: str) -> None:
    release = case.split("_")[0]
    settings = {"proj_out_dim": 8, "width_multiplier": WIDTH, **CASES[case]}
    sys.path.insert(0, str(Path(checkout) / ("tf2" if release == "tf2" else "")))
    from absl import flags

    run_release = {"tf1": _run_tf1, "tf2": _run_tf2}[release]
    images = images_of(settings["image_size"])
    sys.argv = ["run"]
    sys.modules["tensorflow_hub"] = types.ModuleType("tensorflow_hub")  # imported, not needed
    import run

    flags.FLAGS(["run"])
    for name, value in {**settings, "use_blur": False, "use_tpu": False, "model_dir": out}.items():
        setattr(flags.FLAGS, name, value)
    outputs, variables = run_release(run, out, images)
    np.savez(Path(out) / "expected.npz", images=images, **outputs)
    (Path(out) / "variables.json").write_text(json.dumps(variables))


def _run_tf2(run: Any, out: str, images: np.ndarray) -> tuple[dict, dict]:
    """Writes ckpt-5 and saved_model/5."""
    import model as reference
    import tensorflow as tf

    network = reference.Model(CLASSES)
    network(tf.constant(images), training=False)
    variables = {}
    root = tf.train.Checkpoint(model=network)  # a view does not keep it alive
    view = tf.train.TrackableView(root)
    pending = [("model", network)]
    while pending:
        path, node = pending.pop()
        if isinstance(node, tf.Variable):
            variables[path] = node
        pending += [(f"{path}/{name}", child) for name, child in view.children(node).items()]
    for path, variable in variables.items():
        variable.assign(value_of(path, variable.shape.as_list()))
    optimizer = reference.build_optimizer(0.1)
    trained = network.trainable_variables
    optimizer.apply_gradients((tf.zeros_like(v), v) for v in trained)
    for path, variable in variables.items():
        variable.assign(value_of(path, variable.shape.as_list()))
    step = tf.Variable(5, dtype=tf.int64)
    checkpoint = tf.train.Checkpoint(model=network, global_step=step, optimizer=optimizer)
    tf.train.CheckpointManager(checkpoint, out, max_to_keep=1).save(5)
    run.save(network, 5)
    loaded = tf.saved_model.load(f"{out}/saved_model/5")
    outputs = loaded(tf.constant(images), trainable=False)
    return (
        {name: value.numpy() for name, value in outputs.items()},
        {path: variable.shape.as_list() for path, variable in variables.items()},
    )


def _run_tf1(run: Any, out: str, images: np.ndarray) -> tuple[dict, dict]:
    """Writes model.ckpt-5, with the slots of its optimizer."""
    import model_util
    import resnet
    import tensorflow.compat.v1 as tf
    from absl import flags

    settings = flags.FLAGS
    with tf.Graph().as_default(), tf.Session() as session:
        with tf.variable_scope("base_model"):
            network = resnet.resnet_v1(
                resnet_depth=settings.resnet_depth,
                width_multiplier=settings.width_multiplier,
                cifar_stem=settings.image_size <= 32,
            )
            hidden = network(tf.constant(images), is_training=False)
        outputs = {"final_avg_pool": hidden}
        outputs["proj_head_output"] = model_util.projection_head(hidden, False)
        outputs["logits_sup"] = model_util.supervised_head(hidden, CLASSES, False)
        variables = tf.global_variables()
        tf.train.get_or_create_global_step()
        loss = tf.add_n([tf.reduce_sum(value) for value in outputs.values()])
        optimizer = model_util.get_optimizer(0.1)
        optimizer.apply_gradients(optimizer.compute_gradients(loss))
        session.run(tf.global_variables_initializer())
        shapes = {variable.op.name: variable.shape.as_list() for variable in variables}
        for variable in variables:
            variable.load(value_of(variable.op.name, shapes[variable.op.name]), session)
        tf.train.Saver(tf.global_variables()).save(session, f"{out}/model.ckpt", global_step=5)
        # Published folders have no such file: it would name a path on the authors' disks.
        Path(out, "checkpoint").unlink()
        return session.run(outputs), shapes


if __name__ == "__main__":
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.makedirs(sys.argv[3])
    main(*sys.argv[1:])
