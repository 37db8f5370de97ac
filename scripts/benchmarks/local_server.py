"""A prediction service in this process, speaking TF Serving's gRPC: for tests and load tests
without a TF Serving.
"""

import concurrent.futures

import tensorflow as tf

from deeperlab_tf.export.client import MAX_MESSAGE_BYTES


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

    def __init__(self, path, model, threads=2):
        import grpc  # with tensorflow-serving-api
        from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

        self.module, self._model = tf.saved_model.load(path), model
        self._codes, self._new_response = grpc.StatusCode, predict_pb2.PredictResponse
        options = [
            (f"grpc.max_{way}_message_length", MAX_MESSAGE_BYTES) for way in ("send", "receive")
        ]
        self._server = grpc.server(concurrent.futures.ThreadPoolExecutor(threads), options=options)
        service = type(
            "Service",
            (prediction_service_pb2_grpc.PredictionServiceServicer,),
            {"Predict": self._predict},
        )
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service(), self._server)
        self.address = f"localhost:{self._server.add_insecure_port('localhost:0')}"

    def __enter__(self):
        self._server.start()
        return self

    def __exit__(self, *error):
        self._server.stop(grace=None).wait()

    def _predict(self, request, context):
        if request.model_spec.name != self._model:
            context.abort(
                self._codes.NOT_FOUND,
                f"Servable not found for request: Latest({request.model_spec.name})",
            )
        signature = self.module.signatures[request.model_spec.signature_name or "serving_default"]
        try:
            inputs = {
                name: tf.constant(tf.make_ndarray(value)) for name, value in request.inputs.items()
            }
            outputs = signature(**inputs)
        except (tf.errors.OpError, TypeError, ValueError) as error:
            context.abort(self._codes.INVALID_ARGUMENT, str(error))
        response = self._new_response()
        for name, values in outputs.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(values.numpy()))
        return response
