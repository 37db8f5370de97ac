"""Running exported networks outside TensorFlow's graphs: ONNX Runtime and TensorFlow Lite."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage

ONNX_FILE = "model.onnx"
TFLITE_FILE = "model.tflite"


def load_network(folder: str) -> Callable | None:
    """The network in an export's folder.

    Args:
      folder: of `export_onnx` or `export_tflite`.

    Returns:
      Function of prepared images (uint8 [B, H, W, 3], sides 16k + 1, array or tensor) that gives a
      dict of the five heads, float32 arrays; None if there is no such export.

    Raises:
      UserError: the model is broken, or the package that runs it is missing.
    """
    for name, load in ((ONNX_FILE, _load_onnx), (TFLITE_FILE, _load_tflite)):
        path = storage.join(folder, name)
        if storage.isfile(path):
            return load(path)
    return None


def num_threads() -> int:
    """Cores that this process may use.

    The runtimes by themselves count only some of them, or more than there are.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _load_onnx(path):
    try:
        # Imported here: it is an extra that few need.
        import onnxruntime
    except ImportError as error:
        raise UserError(
            f"{path} needs onnxruntime; install it with pip install -e .[onnx]."
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads()
    # Between two calls it is TensorFlow's turn, for the fusion: threads that wait by spinning would
    # take its cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    providers = onnxruntime.get_available_providers()
    try:
        session = onnxruntime.InferenceSession(path, options, providers=providers)
    except Exception as error:  # ONNX Runtime has a dozen exceptions without a common parent
        reason = str(error).splitlines()[0]
        raise UserError(f"ONNX Runtime cannot load {path} ({reason}); export it again.") from error
    names = [output.name for output in session.get_outputs()]
    image_input = session.get_inputs()[0].name

    def run(images):
        outputs = session.run(names, {image_input: _array(images)})
        return dict(zip(names, outputs))

    return run


def _load_tflite(path):
    try:
        interpreter = tf.lite.Interpreter(path, num_threads=num_threads())
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"TensorFlow Lite cannot load {path} ({reason}); export it again."
        ) from error
    runner, lock = interpreter.get_signature_runner(), threading.Lock()

    def run(images):
        with lock:  # one interpreter, one image at a time
            outputs = [runner(images=image[np.newaxis]) for image in _array(images)]
        names = outputs[0]
        return {name: np.concatenate([output[name] for output in outputs]) for name in names}

    return run


def _array(images):
    return images.numpy() if tf.is_tensor(images) else images
