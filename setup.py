"""Packaging: two stacks, chosen by the Python version (see deeperlab_tf/compat.py)."""

from pathlib import Path

from setuptools import find_packages, setup

REFERENCE = 'python_version < "3.12"'  # TensorFlow 2.15, its Keras 2, tensorflow-addons
CURRENT = 'python_version >= "3.12"'  # TensorFlow >= 2.18, Keras 2 from tf_keras
SERVING = [
    f"tensorflow-serving-api>=2.15,<2.16; {REFERENCE}",
    f"tensorflow-serving-api>=2.18; {CURRENT}",
]
ONNX = [
    "tf2onnx>=1.17,<1.18",
    # 1.19 and newer want an ml_dtypes that TensorFlow 2.15 refuses.
    f"onnx>=1.17,<1.19; {REFERENCE}",
    f"onnx>=1.17; {CURRENT}",
    # Of those TensorFlow 2.15 takes, the one that is not slow pure Python.
    f"protobuf>=4.25,<5; {REFERENCE}",
    "onnxruntime",
    "sympy",  # which onnxruntime's quantisation imports without asking for it
]

setup(
    name="deeperlab-tf",
    version="0.1.0",
    description="DeeperLab: single-shot panoptic image parsing in TensorFlow",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.9",
    packages=find_packages(include=["deeperlab_tf*", "input_pipeline*"]),
    install_requires=[
        f"tensorflow>=2.15,<2.16; {REFERENCE}",
        f"tensorflow-addons>=0.23,<0.24; {REFERENCE}",
        f"numpy>=1.23,<2; {REFERENCE}",
        f"opencv-python>=4.8,<4.12; {REFERENCE}",  # 4.12 and newer ask for numpy 2
        f"tensorflow>=2.18; {CURRENT}",
        f"tf_keras>=2.18; {CURRENT}",
        f"numpy>=2; {CURRENT}",
        f"opencv-python>=4.11; {CURRENT}",
        "scipy",
        "absl-py",
        "ml_collections",
        "pycocotools",
        "tensorboard",
        "tqdm",
        "matplotlib",
        "pillow",  # palette masks, EXIF orientation
        "pyyaml",
    ],
    extras_require={
        "gpu": [
            f"tensorflow[and-cuda]>=2.15,<2.16; {REFERENCE}",
            f"tensorflow[and-cuda]>=2.18; {CURRENT}",
        ],
        "tpu": [f"tensorflow-tpu>=2.15,<2.16; {REFERENCE}", f"tensorflow-tpu>=2.18; {CURRENT}"],
        "serving": SERVING,
        "onnx": ONNX,
        "test": [
            "pytest",
            "hypothesis",
            "pytest-xdist",
            "build",
            "wheel",
            "setuptools",
            *SERVING,
            *ONNX,
        ],
    },
)
