"""The network as one file for other runtimes: TensorFlow Lite and ONNX.

Both convert the same function, and both are run here as their own runtimes run them: what a
converter makes is never trusted unmeasured.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from simclr_tf import compat
from simclr_tf.errors import SettingError
from simclr_tf.training.network import Network

LARGEST_FILE = 2**31  # bytes: what a flatbuffer and a protocol buffer can hold
OPSET = 17  # ONNX operations that onnxruntime knows since 1.13


@dataclasses.dataclass(frozen=True)
class FileFormat:
    """A kind of file.

    Attributes:
      suffix: of its name.
      packages: what it needs besides TensorFlow, all of them in requirements-onnx.txt.
      convert: function of images and the network whose variables it reads -> the file's content.
      run: content and images -> outputs by name, in the format's own runtime.
    """

    suffix: str
    packages: tuple[str, ...]
    convert: Callable[[Any, Network], bytes]
    run: Callable[[bytes, np.ndarray], dict[str, np.ndarray]]


def make_function(network: Network, image_size: int) -> Any:
    """Returns a tf.function: `images`, float32 [batch, size, size, 3] in [0, 1] -> outputs by name.

    Outputs: `features` and, where there is a classifier, `logits` and `probabilities`.
    """

    def infer(images: tf.Tensor) -> dict[str, tf.Tensor]:
        ends = network(images, training=False)
        outputs = {"features": ends["final_avg_pool"]}
        if network.supervised_head is not None:
            outputs["logits"] = ends["logits_sup"]
            outputs["probabilities"] = tf.nn.softmax(ends["logits_sup"])
        return outputs

    spec = tf.TensorSpec([None, image_size, image_size, 3], tf.float32, name="images")
    return tf.function(infer, input_signature=[spec], autograph=False)


def check_available(name: str) -> None:
    """Raises SettingError where a package that the format needs is not installed."""
    for package in FORMATS[name].packages:
        try:
            importlib.import_module(package)
        except ImportError:
            raise SettingError(
                "format",
                name,
                f"needs {package}, which is not installed",
                "run pip install -r requirements-onnx.txt, or pip install '.[onnx]'",
            ) from None


def check_size(name: str, network: Network) -> None:
    """Raises SettingError where the weights do not fit into one file."""
    size = sum(variable.dtype.size * variable.shape.num_elements() for variable in network.weights)
    if size >= LARGEST_FILE:
        raise SettingError(
            "format",
            name,
            f": the weights are {size / 2**30:.1f} GiB, and such a file holds 2 GiB at most",
            "use `format=saved_model`",
        )


def _to_tflite(function: Any, network: Network) -> bytes:
    # The variables alone: the network itself would be saved as a Keras model on the way, slowly.
    owner = tf.Module()
    owner.weights = list(network.weights)
    concrete = function.get_concrete_function()
    with compat.quiet_tflite() as lite:
        converter = lite.TFLiteConverter.from_concrete_functions([concrete], owner)
        return converter.convert()


def _run_tflite(content: bytes, images: np.ndarray) -> dict[str, np.ndarray]:
    with compat.quiet_tflite() as lite:
        return lite.Interpreter(model_content=content).get_signature_runner()(images=images)


def _to_onnx(function: Any, network: Network) -> bytes:
    del network  # tf2onnx takes the weights from the function
    import onnx
    import tf2onnx

    model, _ = tf2onnx.convert.from_function(
        function, input_signature=function.input_signature, opset=OPSET
    )
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"  # tf2onnx numbers such names
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _run_onnx(content: bytes, images: np.ndarray) -> dict[str, np.ndarray]:
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"images": images})))


FORMATS = {
    "tflite": FileFormat(".tflite", (), _to_tflite, _run_tflite),
    "onnx": FileFormat(".onnx", ("onnx", "tf2onnx", "onnxruntime"), _to_onnx, _run_onnx),
}
