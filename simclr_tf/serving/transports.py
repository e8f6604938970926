"""Predict requests to a TensorFlow Serving server, over gRPC or HTTP, tried again while it is busy.

TensorFlow is imported for gRPC only, whose messages tensorflow-serving-api builds on it.
"""

from __future__ import annotations

import base64
import http.client
import itertools
import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from simclr_tf.errors import SettingError, UserError

SIGNATURE = "serving_default"
_PAUSES = (0.1, 0.2, 0.5, 1.0, 2.0)  # seconds between attempts; the last repeats
_BUSY = (429, 502, 503, 504)  # HTTP: try again
# Whatever pictures are sent: no such model, or not for this client.
_NO_SERVICE = (401, 403, 404, 405)
_NEVER = ("NOT_FOUND", "UNIMPLEMENTED", "UNAUTHENTICATED", "PERMISSION_DENIED")


class RefusedError(Exception):
    """The server answered that it will not answer these pictures. Its message is the server's."""


class _NotNowError(Exception):
    """The server did not answer, or is busy: worth another attempt."""


class Transport(Protocol):
    """A way to a server."""

    def predict(self, pictures: Sequence[bytes]) -> dict[str, np.ndarray]:
        """Returns the outputs of `serving_default` by name, float32 [len(pictures), ...].

        Raises:
          RefusedError: the server refused these pictures, for its message's reason.
          UserError: it could not be reached within the timeout, or answers no pictures at all.
        """


class GrpcTransport:
    """Over gRPC, port 8500 by convention.

    Args:
      address: `host:port`.
      model: its name on the server.
      timeout: seconds for a request, all attempts together.
      tls: whether to encrypt. Certificates are checked against gRPC's own roots, or those of the
        file in the environment variable `GRPC_DEFAULT_SSL_ROOTS_FILE_PATH`.
    """

    def __init__(self, address: str, model: str, timeout: float, *, tls: bool = False):
        from simclr_tf import compat

        compat.import_tensorflow()
        try:
            from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
        except ImportError:
            raise SettingError(
                "server",
                address,
                "needs the package tensorflow-serving-api, which is not installed",
                "install requirements.txt, or use `rest`",
            ) from None
        import grpc

        self._address, self._model, self._timeout = address, model, timeout
        self._request = predict_pb2.PredictRequest
        options = [("grpc.max_receive_message_length", -1)]
        if tls:
            channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(), options)
        else:
            channel = grpc.insecure_channel(address, options)
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)

    def predict(self, pictures: Sequence[bytes]) -> dict[str, np.ndarray]:
        import grpc
        import tensorflow as tf

        request = self._request()
        request.model_spec.name = self._model
        request.model_spec.signature_name = SIGNATURE
        request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto(list(pictures)))

        def attempt(seconds: float) -> Any:
            try:
                return self._stub.Predict(request, timeout=seconds)
            except grpc.RpcError as error:
                busy = (
                    grpc.StatusCode.UNAVAILABLE,
                    grpc.StatusCode.RESOURCE_EXHAUSTED,
                    grpc.StatusCode.DEADLINE_EXCEEDED,
                )
                code = error.code()
                reason = error.details() or code.name
                if reason.startswith("DNS"):
                    raise SettingError("server", self._address, f": {reason}") from None
                if code.name in _NEVER:
                    raise SettingError("model", self._model, f": {reason}") from None
                too_large = "larger than max" in reason  # also RESOURCE_EXHAUSTED
                kind = _NotNowError if code in busy and not too_large else RefusedError
                raise kind(reason) from None

        response = _persist(attempt, self._timeout, f"`server={self._address}`")
        return {name: tf.make_ndarray(value) for name, value in response.outputs.items()}


class RestTransport:
    """Over HTTP, port 8501 by convention.

    Args:
      address: `host:port` or `http[s]://host:port`.
      model: its name on the server.
      timeout: seconds for a request, all attempts together.
    """

    def __init__(self, address: str, model: str, timeout: float):
        self._address, self._model, self._timeout = address, model, timeout
        base = address if "://" in address else f"http://{address}"
        self._url = f"{base.rstrip('/')}/v1/models/{model}:predict"

    def predict(self, pictures: Sequence[bytes]) -> dict[str, np.ndarray]:
        instances = [{"b64": base64.b64encode(picture).decode()} for picture in pictures]
        body = json.dumps({"signature_name": SIGNATURE, "inputs": instances}).encode()
        headers = {"Content-Type": "application/json"}

        def attempt(seconds: float) -> Any:
            try:
                request = urllib.request.Request(self._url, body, headers)
                with urllib.request.urlopen(request, timeout=seconds) as response:
                    return json.loads(response.read())
            except urllib.error.HTTPError as error:
                if error.code in _NO_SERVICE:
                    raise SettingError("model", self._model, f": {_error_of(error)}") from None
                kind = _NotNowError if error.code in _BUSY else RefusedError
                raise kind(_error_of(error)) from None
            except (http.client.InvalidURL, urllib.error.URLError) as error:
                reason = getattr(error, "reason", error)
                if isinstance(reason, OSError) and not isinstance(reason, socket.gaierror):
                    raise _NotNowError(str(reason)) from None
                raise SettingError("rest", self._address, f": {reason}") from None
            except (OSError, http.client.HTTPException) as error:
                raise _NotNowError(str(error) or type(error).__name__) from None
            except ValueError:
                raise RefusedError(f"{self._url} does not answer in JSON") from None

        outputs = _persist(attempt, self._timeout, f"`rest={self._address}`").get("outputs")
        if not isinstance(outputs, dict):  # a single output comes without its name
            outputs = {"features": outputs}
        return {name: np.asarray(value, np.float32) for name, value in outputs.items()}


def _error_of(error: urllib.error.HTTPError) -> str:
    """Returns what the server says: `{"error": ...}`, or else the status line."""
    try:
        return str(json.loads(error.read())["error"])
    except (ValueError, KeyError, TypeError, OSError):
        return f"HTTP {error.code} {error.reason}"


def _persist(attempt: Callable[[float], Any], timeout: float, where: str) -> Any:
    """Calls `attempt` with the seconds left, until it succeeds or they are over."""
    deadline = time.monotonic() + timeout
    pauses = itertools.chain(_PAUSES, itertools.repeat(_PAUSES[-1]))
    while True:
        left = deadline - time.monotonic()
        try:
            return attempt(max(left, 0.001))
        except _NotNowError as error:
            pause = next(pauses)
            if time.monotonic() + pause >= deadline:
                raise UserError(
                    f"{where} did not answer within `timeout={timeout:g}` seconds: {error}"
                ) from None
        time.sleep(pause)
