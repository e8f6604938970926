"""Says which operations of a SavedModel could touch files, the network or Python. Runs none.

An operation is harmless if TensorFlow knows it, it has no state, and neither takes nor gives text:
without text there is no path, no address and no name of a Python function. The few others that
networks need are listed. A list of the harmful ones would be out of date with every release, and
say nothing about custom ones; state alone does not tell, as ReadFile, MatchingFiles and
PyFuncStateless have none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import op_def_registry

_WITH_TEXT = frozenset(
    "AsString DecodeAndCropJpeg DecodeBmp DecodeGif DecodeImage DecodeJpeg DecodePng DecodeRaw "
    "DecodeWebP Einsum Enter ExtractJpegShape GatherNd ImageProjectiveTransformV2 "
    "ImageProjectiveTransformV3 PartitionedCall PreventGradient RefEnter ScaleAndTranslate "
    "ScaleAndTranslateGrad ScatterNd ShardedFilename StaticRegexFullMatch StringFormat StringJoin "
    "StringLength Substr TensorScatterAdd TensorScatterUpdate".split()
)
_WITH_STATE = frozenset(
    "Assert AssignAddVariableOp AssignSubVariableOp AssignVariableOp Case CheckNumerics "
    "CrossReplicaSum DisableCopyOnRead If Multinomial RandomShuffle RandomStandardNormal "
    "RandomUniform RandomUniformInt ReadVariableOp ResourceGather SampleDistortedBoundingBox "
    "SampleDistortedBoundingBoxV2 StatefulPartitionedCall StatelessRandomGetAlg TensorArrayCloseV3 "
    "TensorArrayConcatV3 TensorArrayGatherV3 TensorArrayGradV3 TensorArrayReadV3 "
    "TensorArrayScatterV3 TensorArraySizeV3 TensorArraySplitV3 TensorArrayV3 TensorArrayWriteV3 "
    "TruncatedNormal VarHandleOp VarIsInitializedOp Variable VariableShape VariableV2 While".split()
)
# What reads and writes the SavedModel's own variables: which inputs are paths, and whether each may
# have something after the path that TensorFlow gives.
_SAVER = {
    "RestoreV2": {0: False},
    "SaveV2": {0: True},
    "MergeV2Checkpoints": {0: True, 1: False},
}
_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_DEEPEST = 8  # a saver's path goes through four nodes

_Nodes = Mapping[str, Any]


def doubtful_operations(graph: Any) -> set[str]:
    """Returns the names of the operations that are not known to be harmless.

    The bodies of all functions count, whether anything calls them or not.

    Args:
      graph: a MetaGraphDef.
    """
    functions = {f.signature.name: f for f in graph.graph_def.library.function}
    scopes: dict[str, _Nodes] = {
        "": {node.name: node for node in graph.graph_def.node},
        **{name: {n.name: n for n in f.node_def} for name, f in functions.items()},
    }
    own_paths = _own_paths(graph, scopes)
    found = set()
    for scope, nodes in scopes.items():
        for node in nodes.values():
            if node.op in _SAVER:
                harmless = scope in own_paths and _saves_own(node, nodes, own_paths[scope])
            else:
                harmless = is_harmless(node.op) or (
                    node.op in functions and op_def_registry.get(node.op) is None
                )
            if not harmless:
                found.add(node.op)
    return found


def is_harmless(name: str) -> bool:
    """Says whether an operation of TensorFlow's does nothing but compute."""
    if name in _WITH_TEXT or name in _WITH_STATE:
        return True
    known = op_def_registry.get(name)
    if known is None or known.is_stateful or name.startswith("_") or "Dataset" in name:
        return False
    arguments = (*known.input_arg, *known.output_arg)
    return not any(argument.type == tf.string.as_datatype_enum for argument in arguments) and all(
        attribute.type not in ("string", "list(string)") or attribute.allowed_values.list.s
        for attribute in known.attr
    )


def _own_paths(graph: Any, scopes: Mapping[str, _Nodes]) -> dict[str, str]:
    """Returns, by function, which value is the path where TensorFlow finds the own variables.

    "" is the graph itself, where it is fed. Functions get it as their first argument, and count if
    they never get another one, be it from a caller, a captured constant or a request.
    """
    path = _name(graph.saver_def.filename_tensor_name)
    requested = {
        _name(tensor.name) for s in graph.signature_def.values() for tensor in s.inputs.values()
    }
    if path in requested or not _is_fed(path, scopes[""]):
        return {}
    called_with_it: Counter[str] = Counter()
    named = Counter(list(graph.object_graph_def.concrete_functions))
    for gradient in graph.graph_def.library.gradient:
        named.update([gradient.function_name, gradient.gradient_func])
    for scope, nodes in scopes.items():
        for node in nodes.values():
            named.update([node.op, *_functions_named(node.attr.values())])
            passed = node.input and _name(node.input[0]) == path
            if not scope and passed and node.op in _CALLS:
                called_with_it[node.attr["f"].func.name] += 1
    return {
        "": path,
        **{
            f.signature.name: f.signature.input_arg[0].name
            for f in graph.graph_def.library.function
            if 0 < called_with_it[f.signature.name] == named[f.signature.name]
        },
    }


def _is_fed(name: str, nodes: _Nodes) -> bool:
    """Whether a value is given by whoever loads the model; in TensorFlow 1 it has a default."""
    for _ in range(_DEEPEST):
        node = nodes.get(name)
        if node is None or node.op != "PlaceholderWithDefault":
            break
        name = _name(node.input[0])
    return node is not None and (
        node.op == "Placeholder" or (node.op == "Const" and _text_of(node) == [b"model"])
    )


def _functions_named(attributes: Any) -> Iterator[str]:
    for attribute in attributes:
        for function in (attribute.func, *attribute.list.func):
            if function.name:
                yield function.name
                yield from _functions_named(function.attr.values())


def _saves_own(node: Any, nodes: _Nodes, path: str) -> bool:
    return all(
        place < len(node.input) and _is_path(node.input[place], nodes, path, longer)
        for place, longer in _SAVER[node.op].items()
    )


def _is_path(name: str, nodes: _Nodes, path: str, longer: bool, depth: int = 0) -> bool:
    """Whether a value is `path`, or, if it may be `longer`, begins with it and stays there."""
    name = _name(name)
    if name == path:
        return True
    node = nodes.get(name)
    if node is None or depth == _DEEPEST:
        return False
    inputs = [given for given in node.input if not given.startswith("^")]
    if node.op == "StringJoin":
        begins, ends = inputs[:1], inputs[1:]
    elif node.op in ("ShardedFilename", "Identity"):
        begins, ends = inputs[:1], []
    elif node.op == "Pack":
        begins, ends = inputs, []
    else:
        return False
    return (
        bool(begins)
        and (longer or node.op == "Identity")
        and all(_is_path(given, nodes, path, longer, depth + 1) for given in begins)
        and all(_is_ending(given, nodes) for given in ends)
    )


def _is_ending(name: str, nodes: _Nodes, depth: int = 0) -> bool:
    """Whether a value is one of some texts that lead nowhere else."""
    node = nodes.get(_name(name))
    if node is None or depth == _DEEPEST:
        return False
    if node.op in ("Select", "SelectV2"):
        return all(_is_ending(given, nodes, depth + 1) for given in node.input[1:3])
    texts = _text_of(node) if node.op == "Const" else []
    return bool(texts) and not any(b".." in text for text in texts)


def _text_of(node: Any) -> list[bytes]:
    return list(node.attr["value"].tensor.string_val)


def _name(tensor: str) -> str:
    return tensor.split(":")[0]
