"""Asking a TF Serving that serves an export: over gRPC (tensorflow-serving-api) or REST (nothing
but Python).
"""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence

import numpy as np

from deeperlab_tf.errors import UserError

SIGNATURE = "image_bytes"
MAX_MESSAGE_BYTES = 2**30  # a parse of a large image exceeds gRPC's 4 MB

_LABELS = ("semantic", "instance", "panoptic")
_FLOATS = ("instance_score", "instance_box", "instance_keypoints")
_OF_AN_IMAGE = "of the batch (the first is 0)"  # in errors of `export.encoded`
_SHOWN_CHARACTERS = 300  # of an answer that is not understood


class GrpcClient:
    """Parses encoded images on a server, over gRPC.

    Args:
      address: host:port, by default port 8500.
      model: name of the model.
      timeout: seconds a request may take.

    Raises:
      UserError: tensorflow-serving-api is not installed.

    Example:
      client = GrpcClient("localhost:8500", "shapes")
      (parse,) = client([storage.open("street.jpg", "rb").read()])
    """

    def __init__(self, address: str, model: str, timeout: float = 60.0) -> None:
        try:
            # Optional packages; `RestClient` does without.
            import grpc
            from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
        except ImportError as error:
            raise UserError(
                "gRPC needs tensorflow-serving-api; pip install -e .[serving], or use REST."
            ) from error

        ways = ("send", "receive")
        options = [(f"grpc.max_{way}_message_length", MAX_MESSAGE_BYTES) for way in ways]
        channel = grpc.insecure_channel(address, options=options)
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        self._new_request, self._error = predict_pb2.PredictRequest, grpc.RpcError
        self._address, self._model, self._timeout = address, model, timeout

    def __call__(self, images: Sequence[bytes]) -> list[dict[str, np.ndarray]]:
        """Parses a batch.

        Args:
          images: JPEG or PNG files.

        Returns:
          one dict per image as the signature gives it, cut to the image's own size.

        Raises:
          UserError: no server, no such model, or an image it refuses; the server's own words.
        """
        import tensorflow as tf  # takes seconds, which users of REST need not wait

        request = self._new_request()
        request.model_spec.name, request.model_spec.signature_name = self._model, SIGNATURE
        request.inputs[SIGNATURE].CopyFrom(tf.make_tensor_proto(images, tf.string))

        try:
            response = self._stub.Predict(request, self._timeout)
        except self._error as error:
            raise UserError(
                f"{self._address} answers {error.code().name}: {_root_cause(error.details())}"
            ) from error
        return _split({name: tf.make_ndarray(value) for name, value in response.outputs.items()})


class RestClient:
    """Parses encoded images on a server, over REST, by default port 8501; else as `GrpcClient`."""

    def __init__(self, address: str, model: str, timeout: float = 60.0) -> None:
        self._url = f"http://{address}/v1/models/{model}:predict"
        self._timeout = timeout

    def __call__(self, images: Sequence[bytes]) -> list[dict[str, np.ndarray]]:
        """Parses a batch; see `GrpcClient`."""
        inputs = [{"b64": base64.b64encode(image).decode("ascii")} for image in images]
        body = json.dumps({"signature_name": SIGNATURE, "inputs": inputs}).encode()
        request = urllib.request.Request(self._url, body, {"Content-Type": "application/json"})

        try:
            with urllib.request.urlopen(request, timeout=self._timeout) as response:
                outputs = json.load(response)["outputs"]
        except urllib.error.HTTPError as error:
            raise UserError(f"{self._url} answers {error.code}: {_error_text(error)}") from error
        except (OSError, ValueError, KeyError) as error:
            raise UserError(
                f"{self._url} gives no answer ({error}); is the server running?"
            ) from error

        # JSON does not tell the dtypes.
        dtypes = {name: np.float32 if name in _FLOATS else np.int32 for name in outputs}
        return _split({name: np.array(value, dtypes[name]) for name, value in outputs.items()})


def ask_each(
    client: Callable[[Sequence[bytes]], list[dict[str, np.ndarray]]], images: Sequence[bytes]
) -> list[dict[str, np.ndarray] | UserError]:
    """Asks about a batch; if the server refuses it for one of its images, about each by itself.

    Args:
      client: a `GrpcClient` or `RestClient`.
      images: JPEG or PNG files.

    Returns:
      for each image its parse, or what the server says against it.

    Raises:
      UserError: it is not about an image.
    """
    try:
        return client(images)
    except UserError as error:
        if _OF_AN_IMAGE not in str(error):
            raise
        if len(images) == 1:
            return [error]
    return [answer for image in images for answer in ask_each(client, [image])]


def _split(outputs):
    """Outputs of a batch -> list of dicts of the images, label maps cut to their sizes."""
    parses = []
    for index, (height, width) in enumerate(outputs["image_size"]):
        parse = {name: values[index] for name, values in outputs.items()}
        for name in _LABELS:
            parse[name] = parse[name][:height, :width]
        parses.append(parse)
    return parses


def _error_text(error):
    body = error.read().decode("utf-8", "replace")
    try:
        return _root_cause(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return body[:_SHOWN_CHARACTERS]


def _root_cause(text):
    """The sentence of an assertion in the graph, without the trace; else the first line."""
    _, found, sentence = text.partition("assertion failed: [")
    if found:
        return sentence.split("]")[0]
    lines = text.strip().splitlines()
    return lines[0] if lines else "nothing"
