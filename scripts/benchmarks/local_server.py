"""A prediction service in this process, speaking TF Serving's gRPC: for tests and load tests
without a TF Serving.
"""

from __future__ import annotations

import concurrent.futures

import grpc  # with tensorflow-serving-api
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from deeperlab_tf.export.client import MAX_MESSAGE_BYTES

_OPTIONS = [
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
]


class LocalServer:
    """Serves a SavedModel's signatures on a free local port; a context manager.

    Args:
      path: folder of the SavedModel (its version folder).
      model: name to serve it under.
      threads: requests that run at a time.

    Attributes:
      address: host:port.
      module: the loaded SavedModel.
    """

    def __init__(self, path: str, model: str, threads: int = 2) -> None:
        self.module = tf.saved_model.load(path)
        pool = concurrent.futures.ThreadPoolExecutor(threads)
        self._server = grpc.server(pool, options=_OPTIONS)
        service = _Service(self.module, model)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, self._server)
        port = self._server.add_insecure_port("localhost:0")
        self.address = f"localhost:{port}"

    def __enter__(self) -> LocalServer:
        self._server.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.stop(grace=None).wait()


class _Service(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, module, model: str) -> None:
        self._module, self._model = module, model

    def Predict(self, request, context):
        """Answers a `PredictRequest`; failures abort with the status TF Serving gives them."""
        name = request.model_spec.name
        if name != self._model:
            missing = f"Servable not found for request: Latest({name})"
            context.abort(grpc.StatusCode.NOT_FOUND, missing)

        signature = self._module.signatures[request.model_spec.signature_name or "serving_default"]
        try:
            inputs = {
                name: tf.constant(tf.make_ndarray(value)) for name, value in request.inputs.items()
            }
            outputs = signature(**inputs)
        except (tf.errors.OpError, TypeError, ValueError) as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))

        response = predict_pb2.PredictResponse()
        for name, values in outputs.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(values.numpy()))
        return response
