"""The network for ONNX Runtime: the fastest way to run it on a CPU. Fusion stays with `fuse()`.

An export is a folder with model.onnx (uint8 images [B, H, W, 3], sides 16k + 1, to the five heads),
config.json and dataset.json; `Predictor` runs it. int8 quantises weights per output channel and
activations per tensor, with ranges seen on the user's own images.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict
from tqdm import tqdm

from deeperlab_tf.compat import keras
from deeperlab_tf.errors import UserError
from deeperlab_tf.export.saved_model import write_descriptions
from deeperlab_tf.files import storage
from deeperlab_tf.files.atomic import atomic_path
from deeperlab_tf.prediction.folding import fold_network
from deeperlab_tf.prediction.inference import prepare_images
from deeperlab_tf.prediction.runtimes import ONNX_FILE
from deeperlab_tf.schema import Dataset

OPSET = 17
INSTALL = "install it with pip install -e .[onnx]"


def export_onnx(
    network: keras.Model,
    config: ConfigDict,
    dataset: Dataset,
    path: str,
    calibration_images: Sequence[np.ndarray] | None = None,
) -> None:
    """Writes the network as ONNX, whole or not at all.

    Args:
      network: of `build_model`, trained.
      config: the whole config.
      dataset: what the classes mean.
      path: folder to write; must not exist.
      calibration_images: None for float32; for int8 uint8 images [H, W, 3], typical ones.

    Raises:
      UserError: `path` exists or cannot be written; tf2onnx or onnxruntime is not installed; there
        are no calibration images.
    """
    try:
        # Optional packages, which only this format needs.
        import onnx
        import tf2onnx
    except ImportError as error:
        raise UserError(f"--format=onnx needs {error.name}; {INSTALL}.") from error

    if calibration_images is not None and not len(calibration_images):
        raise UserError("there are no images to calibrate int8 on; give a folder of typical ones.")

    folded = fold_network(network, config.model, dataset, explicit_dilation=True)
    signature = [tf.TensorSpec([None, None, None, 3], tf.uint8, name="images")]

    @tf.function(input_signature=signature, autograph=False)
    def run(images):
        return folded(images, training=False)

    with atomic_path(path) as temporary:
        storage.makedirs(temporary)
        write_descriptions(temporary, config, dataset)
        model, _ = tf2onnx.convert.from_function(run, input_signature=signature, opset=OPSET)
        file = storage.join(temporary, ONNX_FILE)
        if calibration_images is None:
            onnx.save(model, file)
        else:
            _quantise(model, file, calibration_images, config)


def _quantise(model, path, images, config):
    """Writes `model` (onnx.ModelProto) with 8-bit weights and activations to `path`."""
    # Optional packages, which only this format needs.
    import onnx

    try:
        # Needed for int8 only.
        from onnxruntime import quantization
        from onnxruntime.quantization.shape_inference import quant_pre_process
    except ImportError as error:
        raise UserError(f"int8 needs {error.name}; {INSTALL}.") from error

    input_name = model.graph.input[0].name
    progress = tqdm(images, unit="image", desc="calibrating", dynamic_ncols=True)

    # The interface of onnxruntime: a dict of inputs each time it is asked, None at the end.
    class Reader(quantization.CalibrationDataReader):
        def __init__(self):
            self.images = iter(progress)

        def get_next(self):
            image = next(self.images, None)
            if image is None:
                return None
            return {input_name: prepare_images(image[None], config).numpy()}

    with tempfile.TemporaryDirectory() as folder:
        plain = storage.join(folder, "plain.onnx")
        prepared = storage.join(folder, "prepared.onnx")
        onnx.save(model, plain)
        quant_pre_process(plain, prepared, skip_symbolic_shape=True)
        quantization.quantize_static(
            prepared,
            path,
            Reader(),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            nodes_to_exclude=_output_convolutions(onnx.load(prepared)),
        )


def _output_convolutions(model):
    """Names of the heads' last convolutions: 8 bits are too few for offsets of hundreds of
    pixels.
    """
    makers = {output: node for node in model.graph.node for output in node.output}
    names = []
    for output in model.graph.output:
        node = makers[output.name]
        while node.op_type != "Conv":
            node = next(makers[name] for name in node.input if name in makers)
        names.append(node.name)
    return names
