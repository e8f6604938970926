"""Stand-ins for a TensorFlow Serving server: the official gRPC service, and its REST API."""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

MODEL = "simclr"


class Model:
    """A SavedModel behind a name, which may be busy or slow for some requests."""

    def __init__(self, folder: str):
        self._signatures = tf.saved_model.load(folder).signatures
        self.busy = 0  # so many requests more are turned away
        self.seconds = 0.0  # before an answer
        self.most = 10**9  # pictures of a request
        self.others: list[bytes] = []  # another client's, which get into the next batch
        self.requests = 0

    def predict(self, name: str, signature: str, inputs: dict[str, tf.Tensor]) -> dict[str, Any]:
        """Raises LookupError, ConnectionError or ValueError."""
        self.requests += 1
        if self.busy:
            self.busy -= 1
            raise ConnectionError("warming up")
        time.sleep(self.seconds)
        if name != MODEL:
            raise LookupError(f"Servable not found for request: Latest({name})")
        if self.most < (count := len(inputs["image_bytes"])):
            raise ValueError(
                f"Task size {count} is larger than maximum input batch size {self.most}"
            )
        if self.others:
            mixed = tf.concat([self.others, inputs["image_bytes"]], axis=0)
            inputs, before = {"image_bytes": mixed}, len(self.others)
            self.others = []
            return {k: v[before:] for k, v in self._answer(signature, inputs).items()}
        return self._answer(signature, inputs)

    def _answer(self, signature: str, inputs: dict[str, tf.Tensor]) -> dict[str, Any]:
        try:
            return self._signatures[signature](**inputs)
        except tf.errors.InvalidArgumentError as error:
            # As a server words it, which has no stack of Python to speak of.
            message = error.message.split("<stack traces unavailable>\n")[-1]
            raise ValueError(message) from None


class _Service(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, model: Model):
        self._model = model

    def Predict(self, request: Any, context: Any) -> Any:
        inputs = {k: tf.constant(tf.make_ndarray(v)) for k, v in request.inputs.items()}
        spec = request.model_spec
        try:
            outputs = self._model.predict(spec.name, spec.signature_name, inputs)
        except LookupError as error:
            context.abort(grpc.StatusCode.NOT_FOUND, str(error))
        except ConnectionError as error:
            context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        except ValueError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        response = predict_pb2.PredictResponse()
        for name, value in outputs.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
        return response


@contextlib.contextmanager
def serve_grpc(model: Model, identity: tuple[bytes, bytes] | None = None) -> Iterator[str]:
    """Serves on a free port and yields the address.

    Args:
      model: what answers.
      identity: private key and certificate, PEM; None for no TLS.
    """
    server = grpc.server(futures.ThreadPoolExecutor(2))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(_Service(model), server)
    if identity is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        credentials = grpc.ssl_server_credentials([identity])
        port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None)


@contextlib.contextmanager
def serve_rest(model: Model) -> Iterator[str]:
    """Serves on a free port and yields the address.

    As https://www.tensorflow.org/tfx/serving/api_rest says: columns of `inputs`, bytes as
    `{"b64": ...}`, one output without its name.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            name, _, verb = self.path.removeprefix("/v1/models/").partition(":")
            assert verb == "predict" and body.keys() <= {"signature_name", "inputs"}
            signature = body.get("signature_name", "serving_default")
            contents = [base64.b64decode(item["b64"], validate=True) for item in body["inputs"]]
            inputs = {"image_bytes": tf.constant(contents)}
            try:
                outputs = model.predict(name, signature, inputs)
                columns = {key: value.numpy().tolist() for key, value in outputs.items()}
                if len(columns) == 1:
                    (columns,) = columns.values()
                status, answer = 200, {"outputs": columns}
            except LookupError as error:
                status, answer = 404, {"error": str(error)}
            except ConnectionError as error:
                status, answer = 503, {"error": str(error)}
            except ValueError as error:
                status, answer = 400, {"error": str(error)}
            content = json.dumps(answer).encode()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the client left
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        def log_message(self, *args: Any) -> None:
            """Says nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
