"""The SavedModel needs no Python: TensorFlow's C API loads it and gives what Python's TensorFlow
gives.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tests.deeperlab_tf.export.conftest import COMPILED_SIZE


@pytest.fixture(scope="module")
def run_in_c(tmp_path_factory):
    """Function (export, requests) -> dict of what C gives; requests is a dict name -> (signature,
    array or list of files).
    """
    libraries = {
        "framework": Path(tf.sysconfig.get_lib()) / "libtensorflow_framework.so.2",
        "library": Path(tf.sysconfig.get_lib()) / "libtensorflow_cc.so.2",
    }
    if not all(path.is_file() for path in libraries.values()):
        pytest.skip("this TensorFlow comes without libtensorflow_cc.so.2")

    def run(exported, requests):
        proto = saved_model_pb2.SavedModel.FromString((exported / "saved_model.pb").read_bytes())
        signatures = proto.meta_graphs[0].signature_def
        folder, arrays, runs = tmp_path_factory.mktemp("c_api"), {}, {}
        for name, (signature, value) in requests.items():
            (input_info,) = signatures[signature].inputs.values()
            outputs = {key: info.name for key, info in signatures[signature].outputs.items()}
            runs[name] = dict(input=input_info.name, outputs=outputs)
            if isinstance(value, list):
                runs[name]["files"] = [
                    str(folder / f"{name}_{index}") for index in range(len(value))
                ]
                for path, data in zip(runs[name]["files"], value):
                    Path(path).write_bytes(data)
            else:
                arrays[name] = value
        job = dict(
            saved_model=str(exported),
            runs=runs,
            **{name: str(path) for name, path in libraries.items()},
        )
        (folder / "job.json").write_text(json.dumps(job))
        np.savez(folder / "arrays.npz", **arrays)
        program = str(Path(__file__).with_name("c_api.py"))
        command = [
            sys.executable,
            program,
            *(str(folder / n) for n in ("job.json", "arrays.npz", "results.npz")),
        ]
        environment = dict(os.environ, TF_CPP_MIN_LOG_LEVEL="3")
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        return dict(np.load(folder / "results.npz"))

    return run


@pytest.mark.slow
def test_both_image_signatures_run_without_python_tensorflow(
    run_in_c, exported, signatures, pictures
):
    images = pictures((40, 57), (65, 65))
    encoded = [cv2.imencode(".png", image[..., ::-1])[1].tobytes() for image in images]
    results = run_in_c(
        exported,
        {
            "plain": ("serving_default", images[0][np.newaxis]),
            "encoded": ("image_bytes", encoded),
            "broken": ("image_bytes", [encoded[0], b"no image"]),
            "channels": ("serving_default", np.zeros((1, 40, 57, 4), np.uint8)),
            "floats": ("serving_default", images[0][np.newaxis].astype(np.float32)),
            "nothing": ("serving_default", np.zeros((0, 40, 57, 3), np.uint8)),
            "again": ("image_bytes", encoded),
        },
    )
    expected = {
        "plain": signatures["serving_default"](images=tf.constant(images[0][np.newaxis])),
        "encoded": signatures["image_bytes"](image_bytes=tf.constant(encoded)),
    }
    for name, outputs in dict(expected, again=expected["encoded"]).items():
        for key, values in outputs.items():
            compare = (
                np.testing.assert_array_equal
                if values.dtype.is_integer
                else np.testing.assert_allclose
            )
            compare(results[f"{name}/{key}"], values.numpy(), err_msg=f"{name} {key}")
    # And it goes on after each of these.
    assert "image 1 of the batch (the first is 0) is neither a JPEG nor a PNG" in str(
        results["broken/error"]
    )
    assert "[1,40,57,4] is not compatible with expected shape [?,?,?,3]" in str(
        results["channels/error"]
    )
    assert "float" in str(results["floats/error"])
    assert "the batch is empty" in str(results["nothing/error"])


@pytest.mark.slow
def test_a_compiled_parse_runs_there_too(run_in_c, compiled_export, pictures):
    (image,) = pictures(COMPILED_SIZE)
    requests = {
        "fits": ("serving_default", image[np.newaxis]),
        "smaller": ("serving_default", image[np.newaxis, :40]),
    }
    results = run_in_c(compiled_export, requests)
    signature = tf.saved_model.load(str(compiled_export)).signatures["serving_default"]
    expected = signature(images=tf.constant(image[np.newaxis]))
    for name in ("semantic", "instance", "panoptic"):
        np.testing.assert_array_equal(results[f"fits/{name}"], expected[name])
    assert "compiled for 1 or 2 images of 50 x 61 pixels" in str(results["smaller/error"])
