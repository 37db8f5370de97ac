"""What TF Serving reads beside the model: warm-up requests, and configs for batching, monitoring
and the model list.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import tensorflow as tf

from deeperlab_tf.files import storage
from deeperlab_tf.files.atomic import write_text
from deeperlab_tf.pixels.image_size import PADDING_VALUE

WARMUP_FILE = storage.join("assets.extra", "tf_serving_warmup_requests")
MODELS_ROOT = "/models"  # inside the server's container
SIGNATURES = ("serving_default", "image_bytes")  # that are warmed up

_BATCHING = """\
# --enable_batching --batching_parameters_file=batching.config
# Requests that arrive within batch_timeout_micros run as one batch. Images of one batch share its
# fate: one that is broken fails them all.
max_batch_size {{ value: {largest} }}
{allowed}
batch_timeout_micros {{ value: 2000 }}
max_enqueued_batches {{ value: 100 }}
num_batch_threads {{ value: 2 }}  # about the number of cores, or 1 a GPU
"""

_MONITORING = """\
# --monitoring_config_file=monitoring.config: metrics for Prometheus on the REST port
prometheus_config {
  enable: true
  path: "/monitoring/prometheus/metrics"
}
"""

_MODELS = """\
# --model_config_file=models.config: what to serve, and under which name
model_config_list {{
  config {{
    name: "{name}"
    base_path: "{root}/{name}"
    model_platform: "tensorflow"
    model_version_policy {{ latest {{ num_versions: 1 }} }}
  }}
}}
"""


def write_server_configs(folder: str, batch_sizes: Sequence[int]) -> None:
    """Writes batching.config, monitoring.config and models.config into the folder of a model's
    versions.

    Files that exist stay as they are: somebody may have tuned them.

    Args:
      folder: .../NAME.
      batch_sizes: allowed batch sizes, ascending.
    """
    allowed = "\n".join(f"allowed_batch_sizes: {size}" for size in batch_sizes)
    texts = {
        "batching.config": _BATCHING.format(largest=batch_sizes[-1], allowed=allowed),
        "monitoring.config": _MONITORING,
        "models.config": _MODELS.format(name=storage.basename(folder), root=MODELS_ROOT),
    }
    for name, text in texts.items():
        path = storage.join(folder, name)
        if not storage.exists(path):
            write_text(path, text)


def write_warmup_requests(
    folder: str, image_size: tuple[int, int], batch_sizes: Sequence[int]
) -> bool:
    """Writes the requests that TF Serving runs before it takes a version into service.

    Args:
      folder: of the SavedModel.
      image_size: (height, width) of the grey pictures that are asked about.
      batch_sizes: one request of each size for each of `SIGNATURES`.

    Returns:
      False if nothing was written, because tensorflow-serving-api is not installed.
    """
    try:
        # An optional package.
        from tensorflow_serving.apis import predict_pb2, prediction_log_pb2
    except ImportError:
        return False

    path = storage.join(folder, WARMUP_FILE)
    storage.makedirs(storage.dirname(path))
    with tf.io.TFRecordWriter(path) as writer:
        for signature in SIGNATURES:
            for size in batch_sizes:
                request = predict_pb2.PredictRequest()
                request.model_spec.signature_name = signature
                name, images = _grey_images(signature, size, image_size)
                request.inputs[name].CopyFrom(images)

                log = prediction_log_pb2.PredictionLog()
                log.predict_log.request.CopyFrom(request)
                writer.write(log.SerializeToString())
    return True


def warmup_requests(folder: str) -> Iterator[tuple[str, dict[str, tf.Tensor]]]:
    """The warm-up requests in a SavedModel's folder, as a server would read them.

    They need tensorflow-serving-api to read.

    Yields:
      (signature, input tensors by name).
    """
    # An optional package.
    from tensorflow_serving.apis import prediction_log_pb2

    for record in tf.data.TFRecordDataset(storage.join(folder, WARMUP_FILE)):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        request = log.predict_log.request
        arrays = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        inputs = {name: tf.constant(array) for name, array in arrays.items()}
        yield request.model_spec.signature_name, inputs


def _grey_images(signature, batch_size, image_size):
    """(input name, TensorProto) of a batch of grey pictures."""
    if signature == "image_bytes":
        picture = np.full([*image_size, 3], PADDING_VALUE, np.uint8)
        _, encoded = cv2.imencode(".jpg", picture)
        return "image_bytes", tf.make_tensor_proto([encoded.tobytes()] * batch_size)

    # One value stands for all of them: the file stays small.
    shape = [batch_size, *image_size, 3]
    return "images", tf.make_tensor_proto(PADDING_VALUE, tf.uint8, shape)
