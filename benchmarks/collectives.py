"""What the replicas of a training step send each other, read from its graph; nothing is run.

scaling.py runs this in a process of its own, since a process gets one tf.distribute strategy:

    python benchmarks/collectives.py REPLICAS BATCH,BATCH... FLAGS

Prints one line of JSON: the size of the network, and for each global batch what one replica hands
over in a step, by purpose; also what it would for the reference release's gather.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

from simclr_tf import compat  # noqa: E402

compat.import_tensorflow()

import tensorflow as tf  # noqa: E402

from benchmarks.scaling import Sizes, Traffic  # noqa: E402
from simclr_tf.config import parse  # noqa: E402
from simclr_tf.distribution import workers_of  # noqa: E402
from simclr_tf.models import BatchNormRelu  # noqa: E402
from simclr_tf.models.blocks import ProjectionShortcut  # noqa: E402
from simclr_tf.runs.networks import build_simclr  # noqa: E402
from simclr_tf.runs.plan import make_plan  # noqa: E402
from simclr_tf.runs.preparation import PreparedRun, open_devices  # noqa: E402
from simclr_tf.runs.starting import compile_network  # noqa: E402
from simclr_tf.training.network import Network  # noqa: E402

_CLASSES = 1000
_REDUCE = "CollectiveReduceV2"
_GATHERS = ("CollectiveGatherV2", "ConcatV2")


class Message(NamedTuple):
    """What one replica hands over at once."""

    op: str
    name: str
    dtype: tf.DType
    payload: int
    """Bytes."""


def infer_shapes(graph: tf.Graph, replicas: int) -> tf.Graph:
    """Returns a copy of `graph` that knows its shapes if all replicas hold equally many rows.

    TensorFlow leaves open what a gather returns, and all that is computed from it. In the copy each
    gather is a concatenation of equal parts, and shapes are inferred anew.

    Raises:
      NotImplementedError: a nested function holds a collective.
    """
    definition = graph.as_graph_def(add_shapes=True)
    for function in definition.library.function:
        if any(node.op.startswith("Collective") for node in function.node_def):
            raise NotImplementedError(f"{function.signature.name} holds a collective")
    for node in definition.node:
        if node.op == "CollectiveGatherV2":
            value, *others = node.input
            node.op = "ConcatV2"
            del node.input[:]
            node.input.extend([value] * replicas + ["gather_axis"])
            node.input.extend(name for name in others if name.startswith("^"))
            dtype = node.attr["T"].type
            node.attr.clear()
            node.attr["T"].type = dtype
            node.attr["Tidx"].type = tf.int32.as_datatype_enum
            node.attr["N"].i = replicas
    axis = definition.node.add(name="gather_axis", op="Const")
    axis.attr["dtype"].type = tf.int32.as_datatype_enum
    axis.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(0))
    copy = tf.Graph()
    with copy.as_default():
        tf.graph_util.import_graph_def(definition, name="")
    return copy


def messages_of(graph: tf.Graph, replicas: int) -> list[Message]:
    """Lists what the first replica hands over, in the order in which the step was written.

    Besides collectives these are sums and concatenations of one scalar from each replica, which is
    how MirroredStrategy collects metrics and integers.

    Args:
      graph: of a concrete function that calls `strategy.run`.
      replicas: how many there are.
    """
    known = infer_shapes(graph, replicas)
    messages = []
    for op in graph.get_operations():
        if op.type.startswith("Collective"):
            ours = tf.DeviceSpec.from_string(op.device).device_index == 0
        else:
            ours = replicas > 1 and _collects(op, replicas)
        if ours:
            tensor = known.get_operation_by_name(op.name).inputs[0]
            size = tensor.shape.num_elements() * tensor.dtype.size
            messages.append(Message(op.type, op.name, tensor.dtype, size))
    return messages


def _collects(op: tf.Operation, replicas: int) -> bool:
    if op.type == "AddN":
        return [tensor.op.type for tensor in op.inputs] == ["ReadVariableOp"] * replicas
    if op.type == "ConcatV2":
        parts = op.inputs[:-1]
        return len(parts) == len({part.op.device for part in parts}) == replicas
    return False


def by_purpose(messages: list[Message]) -> dict[str, Traffic]:
    """Sorts the messages of a training step by what they are for.

    The gradient of a graph is written from its end to its beginning: after the loss come the
    gradient of the gather, those of batch normalization, and last the weights' own, all in one.
    What metrics have added up comes behind them.
    """
    purposes: dict[str, list[Message]] = {
        "gather, forward": [m for m in messages if m.op == "CollectiveGatherV2" and _floats(m)],
        "batch norm, forward": [m for m in messages if m.op == _REDUCE and "/moments/" in m.name],
        "sizes": [m for m in messages if m.op in _GATHERS and not _floats(m)],
    }
    known = {m.name for listed in purposes.values() for m in listed}
    backward = [m for m in messages if m.name not in known]
    purposes["gather, backward"] = backward[:1]
    purposes["batch norm, backward"] = backward[1:-2]
    purposes["gradients"] = backward[-2:-1]
    purposes["metrics"] = backward[-1:]
    return {purpose: total(listed) for purpose, listed in purposes.items() if listed}


def _floats(message: Message) -> bool:
    return message.dtype.is_floating


def total(messages: list[Message]) -> Traffic:
    """Adds up messages of one kind."""
    op = "all_gather" if messages[0].op in _GATHERS else "all_reduce"
    return Traffic(op, len(messages), sum(m.payload for m in messages))


def sizes_of(model: Network) -> Sizes:
    """Counts what the formula needs to know of a network."""
    norms = [m for m in model.submodules if isinstance(m, BatchNormRelu) and m.synchronized]
    shortcuts = [m for m in model.submodules if isinstance(m, ProjectionShortcut)]
    return Sizes(
        parameters=sum(v.shape.num_elements() for v in model.trainable_variables),
        channels=[norm.moving_mean.shape[0] for norm in norms],
        together=sum(shortcut.norm in norms for shortcut in shortcuts),
        projection=model.projection_head.out_dim,
        metrics=len(model.train_metrics),
    )


def training_graph(
    model: Network, strategy: tf.distribute.Strategy, batch: int, image_size: int
) -> tf.Graph:
    """Returns the graph of one step of `model.fit` on a global batch of so many pairs."""
    local = batch // strategy.num_replicas_in_sync

    def no_batches(_) -> tf.data.Dataset:
        # The shapes of a batch are all that tracing needs. A map would compute a batch to fold it.
        signature = {
            "label": tf.TensorSpec([local], tf.int64),
            "views": tf.TensorSpec([local, 2, image_size, image_size, 3]),
        }
        return tf.data.Dataset.from_generator(lambda: iter(()), output_signature=signature)

    iterator = iter(strategy.distribute_datasets_from_function(no_batches))
    return model.make_train_function(force=True).get_concrete_function(iterator).graph


def reference_graph(strategy: tf.distribute.Strategy, local: int, dim: int) -> tf.Graph:
    """Returns the graph of a gather of two views, and its gradient, that communicates as theirs.

    The reference release sets each view among zeros for all other replicas, and sums these.
    """

    def everyone(view: tf.Tensor) -> tf.Tensor:
        context = tf.distribute.get_replica_context()
        mine = tf.one_hot(context.replica_id_in_sync_group, context.num_replicas_in_sync)
        return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.einsum("r,ld->rld", mine, view))

    def gather_and_gradient() -> list[tf.Tensor]:
        views = [tf.ones([local, dim]), tf.ones([local, dim])]
        with tf.GradientTape() as tape:
            tape.watch(views)
            loss = tf.add_n([tf.reduce_sum(everyone(view) ** 2) for view in views])
        return tape.gradient(loss, views)

    return tf.function(lambda: strategy.run(gather_and_gradient)).get_concrete_function().graph


def main() -> None:
    """Prints what the module says, for the replicas, batches and flags of the command line."""
    replicas, batches = int(sys.argv[1]), [int(batch) for batch in sys.argv[2].split(",")]
    # Not in a loop, whose collectives would be in a function of their own.
    flags = [*sys.argv[3:], f"--num_virtual_devices={replicas}", "--steps_per_loop=1"]
    config = parse(flags)
    tf.config.set_visible_devices([], "GPU")
    strategy = open_devices(config.hardware, seed=config.task.seed)
    plan = make_plan(config, train_examples=10**6, num_classes=_CLASSES, replicas=replicas)
    # Nothing is read: there is no data set.
    run = PreparedRun(config, config, strategy, workers_of(strategy), None, None, plan)  # type: ignore[arg-type]
    with strategy.scope():
        model = build_simclr(config, _CLASSES)
        compile_network(model, run)

    steps = []
    for batch in batches:
        step = training_graph(model, strategy, batch, config.data.image_size)
        traffic = by_purpose(messages_of(step, replicas))
        if replicas > 1:
            gather = reference_graph(strategy, batch // replicas, config.architecture.proj_out_dim)
            messages = messages_of(gather, replicas)
            half = len(messages) // 2
            traffic["reference, forward"] = total(messages[:half])
            traffic["reference, backward"] = total(messages[half:])
        steps.append(traffic)
    print(json.dumps({"sizes": sizes_of(model), "steps": steps}))


if __name__ == "__main__":
    main()
