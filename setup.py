"""Packaging: two stacks, chosen by the Python version (see deeperlab_tf/compat.py)."""

import re
import runpy
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
VERSION = re.search('__version__ = "(.+)"', (ROOT / "deeperlab_tf" / "__init__.py").read_text())[1]

REFERENCE = 'python_version < "3.12"'  # TensorFlow 2.15, its Keras 2, tensorflow-addons
CURRENT = 'python_version >= "3.12"'  # TensorFlow >= 2.18, Keras 2 from tf_keras
# Of tensorflow-addons the project uses the bilinear reading of maps, to hold its own against in a
# test. It is asked for only where it is sure to have wheels: not on ARM Linux, not on Windows.
HAS_ADDONS = f'{REFERENCE} and sys_platform == "linux" and platform_machine == "x86_64"'
ADDONS = [f"tensorflow-addons>=0.23,<0.24; {HAS_ADDONS}"]
SERVING = [
    f"tensorflow-serving-api>=2.15,<2.16; {REFERENCE}",
    f"tensorflow-serving-api>=2.18; {CURRENT}",
]
# tf2onnx 1.17 is the first for the protobuf that TensorFlow 2.15 wants, and not for Python 3.9.
HAS_ONNX = 'python_version >= "3.10"'
ONNX = [
    f"tf2onnx>=1.17,<1.18; {HAS_ONNX}",
    # 1.19 and newer want an ml_dtypes that TensorFlow 2.15 refuses.
    f"onnx>=1.17,<1.19; {HAS_ONNX} and {REFERENCE}",
    f"onnx>=1.17; {CURRENT}",
    # Of those TensorFlow 2.15 takes, the one that is not slow pure Python.
    f"protobuf>=4.25,<5; {HAS_ONNX} and {REFERENCE}",
    f"onnxruntime; {HAS_ONNX}",
    f"sympy; {HAS_ONNX}",  # which onnxruntime's quantisation imports without asking for it
]
# Apache Beam, and checksums of TFRecords.
BEAM = ["apache-beam[tfrecord]>=2.60"]

# A wheel names its packages so that they are in nobody's way; in a checkout the folders are short.
FOLDERS = runpy.run_path(str(ROOT / "deeperlab_tf" / "errors.py"))["FOLDERS"]
PACKAGES = {package: folder for folder, package in FOLDERS.items()}
PROGRAMS = sorted(path.stem for path in (ROOT / "scripts").glob("[a-z]*.py"))
COMMANDS = [f"deeperlab-{p.replace('_', '-')} = deeperlab_programs:{p}" for p in PROGRAMS]

setup(
    name="deeperlab-tf",
    version=VERSION,
    description="DeeperLab: single-shot panoptic image parsing in TensorFlow",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.9",
    packages=[
        *find_packages(include=["deeperlab_tf*", "input_pipeline*"]),
        *PACKAGES,
        "deeperlab_programs.benchmarks",
        "deeperlab_programs.demo_page",
        "deeperlab_experiments.paper",
    ],
    package_dir=PACKAGES,
    entry_points={"console_scripts": COMMANDS},
    package_data={
        "deeperlab_tf": ["py.typed"],
        "deeperlab_tf.models": ["*/*.json", "*/*.npz", "*/*.pb.gz", "*/README.md", "*/SHA256SUMS"],
        "deeperlab_tf.evaluation.report": ["*.css", "*.js", "*.html"],
        "deeperlab_programs.demo_page": ["*.js", "*.css"],
        "deeperlab_experiments": ["*.yaml", "*.md"],
        "deeperlab_docs": ["*.md"],
        "input_pipeline": ["py.typed"],
    },
    install_requires=[
        f"tensorflow>=2.15,<2.16; {REFERENCE}",
        f"numpy>=1.23,<2; {REFERENCE}",
        f"opencv-python-headless>=4.8,<4.12; {REFERENCE}",  # 4.12 and newer ask for numpy 2
        f"tensorflow>=2.18; {CURRENT}",
        f"tf_keras>=2.18; {CURRENT}",
        f"numpy>=2; {CURRENT}",
        f"opencv-python-headless>=4.11; {CURRENT}",
        "scipy",
        "absl-py",
        "etils[epath]",  # files in buckets
        "google-crc32c",  # checksums of records
        "h5py",
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
        "addons": ADDONS,
        "beam": BEAM,
        "serving": SERVING,
        "onnx": ONNX,
        # Gradio's releases for Python 3.9 want packages that are long out of date.
        "demo": ['gradio>=6.0,<7; python_version >= "3.10"'],
        "test": [
            "pytest",
            "hypothesis",
            "gcp-storage-emulator",  # a bucket of Google's on this machine
            "trustme",
            "packaging",
            "pytest-xdist",
            "ruff>=0.17,<0.18",  # another minor version formats differently
            "build",
            "wheel",
            "setuptools",
            *ADDONS,
            *BEAM,
            *SERVING,
            *ONNX,
        ],
    },
)
