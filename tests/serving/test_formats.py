"""TensorFlow Lite and ONNX files, run by their own runtimes beside the network they are of."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf import compat
from simclr_tf.errors import UserError
from simclr_tf.serving import formats
from tests.serving.conftest import describe, make_network

pytestmark = pytest.mark.smoke

NETWORKS = {
    "CIFAR stem": (8, {}),
    "7x7 stem, squeeze-excitation": (40, {"se_ratio": 0.25}),
    "deep stem, selective kernels": (40, {"resnet_depth": 50, "sk_ratio": 0.0625}),
}


@pytest.fixture(scope="module", params=NETWORKS)
def converted(request):
    """A network, its image size and its function."""
    size, changes = NETWORKS[request.param]
    network = make_network(describe(size, **changes))
    return network, size, formats.make_function(network, size)


@pytest.mark.parametrize("name", formats.FORMATS)
def test_computes_what_the_network_computes(converted, name: str) -> None:
    network, size, function = converted
    kind = formats.FORMATS[name]
    content = kind.convert(function, network)
    rng = np.random.default_rng(1)
    for batch in (1, 5):
        images = rng.uniform(size=(batch, size, size, 3)).astype(np.float32)
        ends = network(tf.constant(images), training=False)
        expected = {"features": ends["final_avg_pool"].numpy(), "logits": ends["logits_sup"]}
        expected["probabilities"] = tf.nn.softmax(ends["logits_sup"])
        found = kind.run(content, images)
        assert found.keys() == expected.keys()
        # Features differ between images: what ignores its input would be noticed.
        assert batch == 1 or np.ptp(expected["features"], axis=0).max() > 0.01
        for output, value in expected.items():
            assert found[output].dtype == np.float32
            np.testing.assert_allclose(
                found[output], value, rtol=1e-4, atol=1e-4 * np.max(np.abs(value)), err_msg=output
            )
    {"tflite": check_tflite, "onnx": check_onnx}[name](content, size)


def check_tflite(content: bytes, size: int) -> None:
    """Built-in operations, and no shape that depends on a value: delegates take it."""
    with compat.quiet_tflite() as lite:
        interpreter = lite.Interpreter(
            model_content=content,
            experimental_op_resolver_type=lite.experimental.OpResolverType.BUILTIN_REF,
        )
        interpreter.allocate_tensors()
        names = {operation["op_name"] for operation in interpreter._get_ops_details()}
    assert {"CONV_2D", "MEAN", "FULLY_CONNECTED"} <= names
    assert not {name for name in names if name.startswith(("Flex", "CUSTOM", "SHAPE", "WHILE"))}
    (given,) = interpreter.get_input_details()
    assert given["shape_signature"].tolist() == [-1, size, size, 3]


def check_onnx(content: bytes, size: int) -> None:
    """Standard operations, and sizes with names."""
    import onnx

    model = onnx.load_from_string(content)
    assert [(opset.domain, opset.version) for opset in model.opset_import if opset.version > 1]
    assert {node.domain for node in model.graph.node} == {""}
    shapes = {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes.pop("images") == ["batch", size, size, 3]
    assert list(shapes) == ["features", "logits", "probabilities"]
    assert all(first == "batch" for first, _ in shapes.values())


def test_weights_that_no_file_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    network = make_network(describe(8))
    formats.check_size("onnx", network)
    monkeypatch.setattr(formats, "LARGEST_FILE", 1000)
    with pytest.raises(UserError, match="`format=onnx`.*`format=saved_model`"):
        formats.check_size("onnx", network)
