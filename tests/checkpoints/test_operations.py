"""Which operations count as harmless, and what a model may restore and save."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import tensorflow as tf

from simclr_tf.checkpoints import find_weights
from simclr_tf.checkpoints.operations import doubtful_operations, is_harmless
from simclr_tf.errors import SettingError, UserError
from tests.checkpoints.saved_models import hide, refusal, write_model

pytestmark = pytest.mark.smoke


def python(x: tf.Tensor) -> tf.Tensor:
    return tf.py_function(lambda y: y, [x], tf.float32)


def numpy(x: tf.Tensor) -> tf.Tensor:
    return tf.ensure_shape(tf.numpy_function(lambda y: y, [x], tf.float32, stateful=False), [])


def reads(x: tf.Tensor) -> tf.Tensor:
    return x + tf.strings.to_number(tf.io.read_file("/etc/hostname"))


def writes(x: tf.Tensor) -> tf.Tensor:
    tf.io.write_file("/tmp/written", tf.strings.as_string(x))
    return x


def lists(x: tf.Tensor) -> tf.Tensor:
    return x + tf.cast(tf.size(tf.io.matching_files("/etc/*")), tf.float32)


def prints(x: tf.Tensor) -> tf.Tensor:
    tf.print(x, output_stream="file:///tmp/written")
    return x


def restores(x: tf.Tensor) -> tf.Tensor:
    return x + tf.raw_ops.RestoreV2(
        prefix="/tmp/run/ckpt-1", tensor_names=["w"], shape_and_slices=[""], dtypes=[tf.float32]
    )


def saves(x: tf.Tensor) -> tf.Tensor:
    tf.raw_ops.SaveV2(prefix="/tmp/written", tensor_names=["x"], shape_and_slices=[""], tensors=[x])
    return x


def lines(x: tf.Tensor) -> tf.Tensor:
    for line in tf.data.TextLineDataset("/etc/passwd"):
        x += tf.cast(tf.strings.length(line), tf.float32)
    return x


def connects(x: tf.Tensor) -> tf.Tensor:
    numbers = tf.data.Dataset.range(2)._variant_tensor
    number = tf.raw_ops.RegisterDatasetV2(
        dataset=numbers, address="localhost:1", protocol="grpc", external_state_policy=0
    )
    return x + tf.strings.to_number(number)


HARMFUL: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {
    "ReadFile": reads,
    "WriteFile": writes,
    "EagerPyFunc": python,
    "PyFuncStateless": numpy,
    "MatchingFiles": lists,
    "PrintV2": prints,
    "RestoreV2": restores,
    "SaveV2": saves,
    "TextLineDataset": lines,
    "RegisterDatasetV2": connects,
}


@pytest.mark.parametrize("hidden", [False, True], ids=["plain", "hidden"])
@pytest.mark.parametrize("name", HARMFUL)
def test_what_could_do_more_than_compute_is_named(name, hidden, tmp_path) -> None:
    function = hide(HARMFUL[name]) if hidden else HARMFUL[name]
    path = write_model(tmp_path, function)
    assert re.search(rf"loaded: (.*, )?{name}[,;]", refusal(path))
    # The same by the path of its variables; and trusted, it is read further.
    refusal(f"{path}/variables/variables")
    with pytest.raises(SettingError, match="is not of the reference release either"):
        find_weights(path, trust_checkpoint=True)


def test_custom_operations_are_refused_but_calls_of_own_functions_are_not(changed) -> None:
    path, saved = changed
    graph = saved.meta_graphs[0].graph_def
    savers = saver_functions(saved.meta_graphs[0]).values()
    names = [function.signature.name for function in graph.library.function]
    function = next(name for name in names if name not in savers)
    graph.node.add(name="x", op=function)
    assert doubtful_operations(saved.meta_graphs[0]) == set()
    # A function cannot hide an operation by taking its name.
    graph.library.function.add().signature.name = "ReadFile"
    graph.node.add(name="y", op="ReadFile")
    graph.node.add(name="z", op="MyCustomOp")
    assert doubtful_operations(saved.meta_graphs[0]) == {"ReadFile", "MyCustomOp"}


def saver_functions(graph) -> dict[str, str]:
    """Of the functions that save and restore the own variables, the names by operation."""
    return {
        node.op: function.signature.name
        for function in graph.graph_def.library.function
        for node in function.node_def
        if node.op in ("SaveV2", "RestoreV2")
    }


def restore_is_called(graph) -> None:
    """With a path of the model's choice."""
    graph.graph_def.node.add(name="evil", op="Const")
    call = graph.graph_def.node.add(name="call", op="StatefulPartitionedCall", input=["evil"])
    call.attr["f"].func.name = saver_functions(graph)["RestoreV2"]


def restore_is_exposed(graph) -> None:
    """To whoever loads it, perhaps with a captured path."""
    name = saver_functions(graph)["RestoreV2"]
    graph.object_graph_def.concrete_functions[name].SetInParent()


def restore_is_a_gradient(graph) -> None:
    name = saver_functions(graph)["RestoreV2"]
    graph.graph_def.library.gradient.add(function_name="f", gradient_func=name)


def restore_is_a_branch(graph) -> None:
    node = graph.graph_def.node.add(name="branch", op="If", input=["saver_filename"])
    node.attr["then_branch"].func.name = saver_functions(graph)["RestoreV2"]


def path_is_requested(graph) -> None:
    graph.signature_def["serving_default"].inputs["path"].name = "saver_filename:0"


def path_has_a_default(graph) -> None:
    """Which is taken where nobody gives one."""
    (node,) = (n for n in graph.graph_def.node if n.name == "saver_filename")
    node.op = "PlaceholderWithDefault"
    node.input.append("default")
    default = graph.graph_def.node.add(name="default", op="Const")
    default.attr["value"].tensor.string_val.append(b"/home/user/run/ckpt-1")


def path_is_longer(graph) -> None:
    name = saver_functions(graph)["RestoreV2"]
    (function,) = (f for f in graph.graph_def.library.function if f.signature.name == name)
    (node,) = (n for n in function.node_def if n.op == "RestoreV2")
    joined = function.node_def.add(name="join", op="StringJoin", input=["file_prefix", "end"])
    end = function.node_def.add(name="end", op="Const")
    end.attr["value"].tensor.string_val.append(b"er")
    node.input[0] = f"{joined.name}:output:0"


def path_goes_around(graph) -> None:
    """A loop of nodes that lead to each other is no way to the path, and no hang."""
    name = saver_functions(graph)["RestoreV2"]
    (function,) = (f for f in graph.graph_def.library.function if f.signature.name == name)
    (node,) = (n for n in function.node_def if n.op == "RestoreV2")
    function.node_def.add(name="a", op="Identity", input=["b:output:0"])
    function.node_def.add(name="b", op="Identity", input=["a:output:0"])
    node.input[0] = "a:output:0"


@pytest.mark.parametrize(
    "change",
    [
        restore_is_called,
        restore_is_exposed,
        restore_is_a_gradient,
        restore_is_a_branch,
        path_is_requested,
        path_has_a_default,
        path_is_longer,
        path_goes_around,
    ],
    ids=lambda change: change.__name__,
)
def test_only_the_own_variables_may_be_restored(change, changed) -> None:
    _, saved = changed
    graph = saved.meta_graphs[0]
    assert doubtful_operations(graph) == set()
    change(graph)
    assert "RestoreV2" in doubtful_operations(graph)


def test_what_is_saved_stays_beside_the_own_path(changed) -> None:
    _, saved = changed
    graph = saved.meta_graphs[0]
    name = saver_functions(graph)["SaveV2"]
    (function,) = (f for f in graph.graph_def.library.function if f.signature.name == name)
    ends = [n for n in function.node_def if b"_temp/part" in n.attr["value"].tensor.string_val]
    ends[0].attr["value"].tensor.string_val[0] = b"/../../../../home/user/x"
    assert doubtful_operations(graph) == {"MergeV2Checkpoints", "SaveV2"}


def test_models_of_tensorflow_1(tmp_path) -> None:
    """Their saver lies in the graph, and its path has a default."""
    for name in ("good", "bad"):
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            weight = tf.compat.v1.get_variable("w", [1, 1], use_resource=name == "bad")
            x = tf.compat.v1.placeholder(tf.float32, [1, 1])
            y = x @ weight
            if name == "bad":
                y = tf.compat.v1.py_func(lambda z: z, [y], tf.float32)
            session.run(tf.compat.v1.global_variables_initializer())
            tf.compat.v1.saved_model.simple_save(session, str(tmp_path / name), {"x": x}, {"y": y})
    assert "loaded: PyFunc;" in refusal(str(tmp_path / "bad"))
    with pytest.raises(UserError, match="has no simclr.json"):
        find_weights(str(tmp_path / "good"))


def test_nothing_harmful_passes_for_harmless() -> None:
    """Of all that this TensorFlow knows; a new one has to be looked at."""
    words = "File|Read|Write|Py|Print|Socket|Rpc|Server|Save|Restore|Load|Dataset|Snapshot|Host|"
    words += "Send|Recv|Table|Remote|Call|Launch|Custom|Debug|Session|Queue|Service|Summary"
    names = {name for name in dir(tf.raw_ops) if re.search(words, name)}
    assert len(names) > 250
    assert {name for name in names if is_harmless(name)} == {
        # Variables, loops, and calls of functions whose bodies are looked at.
        *("ReadVariableOp", "DisableCopyOnRead", "TensorArrayReadV3", "TensorArrayWriteV3"),
        *("PartitionedCall", "StatefulPartitionedCall", "TPUPartitionedCall"),
        # Compute.
        *("DebugGradientIdentity", "DebugGradientRefIdentity", "DebugNumericSummaryV2"),
        *("BoostedTreesMakeStatsSummary", "ShardedFilename", "Snapshot"),
    }
