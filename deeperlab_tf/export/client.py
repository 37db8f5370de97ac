"""Asking a TF Serving that serves an export: over gRPC (tensorflow-serving-api) or REST (nothing
but Python).
"""

import base64
import json
import urllib.error
import urllib.request

import numpy as np

from deeperlab_tf.errors import UserError

SIGNATURE = "image_bytes"
MAX_MESSAGE_BYTES = 2**30  # a parse of a large image exceeds gRPC's 4 MB
_FLOATS = ("instance_score", "instance_box", "instance_keypoints")


class GrpcClient:
    """Parses encoded images on a server.

    Args:
      address: host:port, by default port 8500.
      model: name of the model.
      timeout: seconds a request may take.

    Raises:
      UserError: tensorflow-serving-api is not installed.
    """

    def __init__(self, address, model, timeout=60.0):
        try:
            import grpc
            from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
        except ImportError as error:
            raise UserError(
                "gRPC needs tensorflow-serving-api; pip install -e .[serving], or use REST."
            ) from error
        options = [
            (f"grpc.max_{way}_message_length", MAX_MESSAGE_BYTES) for way in ("send", "receive")
        ]
        channel = grpc.insecure_channel(address, options=options)
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        self._new_request, self._error = predict_pb2.PredictRequest, grpc.RpcError
        self._address, self._model, self._timeout = address, model, timeout

    def __call__(self, images):
        """Parses a batch.

        Args:
          images: list of bytes, JPEG or PNG files.

        Returns:
          list of dicts as the signature gives them, one an image, cut to the image's own size,
          NumPy arrays.

        Raises:
          UserError: no server, no such model, or an image it refuses; the server's own words.
        """
        import tensorflow as tf

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
    """The same over REST, by default port 8501."""

    def __init__(self, address, model, timeout=60.0):
        self._url, self._timeout = f"http://{address}/v1/models/{model}:predict", timeout

    def __call__(self, images):
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
        return _split(
            {
                name: np.array(value, np.float32 if name in _FLOATS else np.int32)
                for name, value in outputs.items()
            }
        )


def _split(outputs):
    """Outputs of a batch -> list of dicts of the images, label maps cut to their sizes."""
    parses = []
    for index, (height, width) in enumerate(outputs["image_size"]):
        parse = {name: values[index] for name, values in outputs.items()}
        for name in ("semantic", "instance", "panoptic"):
            parse[name] = parse[name][:height, :width]
        parses.append(parse)
    return parses


def _error_text(error):
    body = error.read().decode("utf-8", "replace")
    try:
        return _root_cause(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return body[:300]


def _root_cause(text):
    """The sentence of an assertion in the graph, out of the trace around it; else the first line."""
    _, found, sentence = text.partition("assertion failed: [")
    return sentence.split("]")[0] if found else (text.strip().splitlines() or ["nothing"])[0]
