"""The training step as XLA and TPUs take it: one compiled function of static shapes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf import LARS
from simclr_tf.architecture import Architecture
from simclr_tf.config import parse
from simclr_tf.runs.networks import build_distiller, build_simclr
from simclr_tf.runs.preparation import prepare
from simclr_tf.runs.starting import compile_network
from simclr_tf.training.build import build_plain
from simclr_tf.training.network import Network
from simclr_tf.training.teacher import Teacher
from tests import processes
from tests.conftest import TINY

COMMON = [*processes.CALM, "--train_steps=7", "--checkpoint_steps=4", "--weight_decay=1e-3"]


@pytest.mark.smoke
@pytest.mark.parametrize("mode", ["pretrain", "finetune"])
def test_compiled_loops_end_where_single_steps_do(mode: str, run, tmp_path: Path) -> None:
    flags = [*COMMON, f"--train_mode={mode}"]
    assert run(*flags, f"--model_dir={tmp_path / 'plain'}", export=False) == 0
    flags += ["--jit_compile", "--augment_on=device", "--steps_per_loop=3"]
    assert run(*flags, f"--model_dir={tmp_path / 'compiled'}", export=False) == 0
    plain, loops = (processes.weights(tmp_path / name) for name in ("plain", "compiled"))
    assert plain.keys() == loops.keys()
    for name, value in plain.items():
        np.testing.assert_allclose(value, loops[name], rtol=1e-4, atol=5e-5, err_msg=name)
    assert loops["global_step/.ATTRIBUTES/VARIABLE_VALUE"] == 7
    # Every 4 steps, seen after 6 = 2 * 3 steps; and the last, after a shorter loop.
    written = sorted(path.name for path in (tmp_path / "compiled").glob("ckpt-*.index"))
    assert written == ["ckpt-6.index", "ckpt-7.index"]
    # Summaries after 3 steps (due at 2), 6 and 7: means of all steps, each once.
    single, mean = processes.losses(tmp_path / "plain"), processes.losses(tmp_path / "compiled")
    assert (len(single), len(mean)) == (4, 3)
    total = 2 * sum(single[:3]) + single[3]
    assert 3 * mean[0] + 3 * mean[1] + mean[2] == pytest.approx(total, rel=1e-4)


def nodes_of(graph: tf.Graph) -> Iterator[tf.compat.v1.NodeDef]:
    """Yields the operations of a graph and of all functions that it calls."""
    definition = graph.as_graph_def(add_shapes=True)
    yield from definition.node
    for function in definition.library.function:
        yield from function.node_def


@pytest.mark.parametrize(("size", "seeded"), [(8, True), (8, False), (40, True)])
def test_step_holds_nothing_that_a_tpu_lacks(size: int, seeded: bool, tmp_path: Path) -> None:
    """Whole images of one size at 8 px; crops at 40 px, where jitter and blur are in the step.

    Images of a data set of the user's own bring no seeds.
    """
    command = [*TINY, f"--image_size={size}", "--color_jitter_strength=1", "--use_blur"]
    run = prepare(parse([*command, f"--model_dir={tmp_path}"]), None)
    with run.strategy.scope():
        model = build_simclr(run.config, run.plan.num_classes)
        compile_network(model, run)
    images = {
        8: {"images": tf.TensorSpec([16, 8, 8, 3], tf.uint8)},
        40: {"crops": tf.TensorSpec([16, 2, 40, 40, 3], tf.uint8)},
    }[size]
    batch = {**images, "label": tf.TensorSpec([16], tf.int64)}
    if seeded:
        batch["seeds"] = tf.TensorSpec([16, 2], tf.int32)
    check_step(model, batch)


def test_a_students_step_neither_also_where_its_teacher_sees_another_size() -> None:
    command = [*TINY, "--train_mode=distill", "--teacher=elsewhere", "--distill_weight=0.5"]
    config = parse(["--image_size=8", *command])
    network = Architecture(resnet_depth=18, width_multiplier=1 / 16, cifar_stem=True)
    teacher = Teacher(build_plain(network, 10), 12)
    model = build_distiller(config, 10, teacher)
    model.compile(LARS(0.1))
    fields = {"images": tf.TensorSpec([16, 8, 8, 3], tf.uint8)}
    fields |= {"label": tf.TensorSpec([16], tf.int64), "seeds": tf.TensorSpec([16, 2], tf.int32)}
    check_step(model, fields)


def check_step(model: Network, batch: dict[str, tf.TensorSpec]) -> None:
    step = tf.function(model.train_step, autograph=False, jit_compile=True)
    step = step.get_concrete_function(batch)

    nodes = list(nodes_of(step.graph))
    operations = {node.op for node in nodes}
    # The walk sees what it should: the network, the augmentation and the optimizer.
    assert {"Conv2D", "Conv2DBackpropFilter", "MatMul", "AssignSubVariableOp"} <= operations
    assert operations & {"BatchMatMulV2", "BatchMatMul"}, "crops and blurs are matrix products"
    banned = ("Py", "EagerPy", "String", "Decode", "Print", "Unique", "Where", "NonMax", "Sparse")
    allowed = {"SparseSoftmaxCrossEntropyWithLogits"}
    assert {op for op in operations if op.startswith(banned)} <= allowed
    assert not {op for op in operations if op.startswith("Random")}, "randomness without a seed"
    assert not {op for op in operations if op.startswith("FusedBatchNorm")}, "one-pass under XLA"

    no_value = {tf.resource.as_datatype_enum, tf.variant.as_datatype_enum}
    for node in nodes:
        types = [node.attr[key].type for key in ("T", "dtype", "DstT", "out_type")]
        assert tf.string.as_datatype_enum not in types, node
        if set(types) & no_value:
            continue
        shapes = node.attr["_output_shapes"].list.shape
        for shape in shapes:
            dynamic = shape.unknown_rank or any(dim.size < 0 for dim in shape.dim)
            assert not dynamic, f"{node.name} ({node.op}) has no static shape"
