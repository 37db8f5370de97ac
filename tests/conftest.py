"""Fixtures every test may use."""

from deeperlab_tf import cli  # noqa: F401 isort: skip - first, for it quiets TensorFlow

import gc
import os
from pathlib import Path

import numpy as np
import pytest

from tests import bucket as bucket_server
from tests import programs, toys

REPOSITORY = Path(__file__).resolve().parents[1]

# Graphs are millions of objects, all in use: searching them takes a tenth of the time.
gc.set_threshold(200_000, 20, 100)
# What XLA compiles here runs once: with its optimisations, a training step alone would take six
# minutes.
os.environ.setdefault(
    "XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
)
# The kernels of all processes round alike, whether they load TensorFlow first or this library.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
programs.start_server()


@pytest.fixture(scope="session")
def repository():
    """Root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def data_dir():
    """Folder of small real datasets; tests that need it are skipped where there is none."""
    path = Path(os.environ.get("DEEPERLAB_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"no real data at {path}; set DEEPERLAB_TEST_DATA to try it")
    return path


@pytest.fixture(scope="session")
def assert_same_labels():
    """Function (labels, expected): the same except for a pixel in a thousand, where rounding
    decides between classes.

    Another batch, another graph or busy cores add in another order.
    """

    def compare(labels, expected):
        labels, expected = np.asarray(labels), np.asarray(expected)
        assert labels.shape == expected.shape
        assert np.mean(labels == expected) >= 0.999

    return compare


@pytest.fixture(scope="session")
def bucket_environment():
    """The environment in which a process finds gs://bucket, served on this machine."""
    pytest.importorskip("gcp_storage_emulator")
    with bucket_server.served() as environment:
        yield environment


@pytest.fixture
def bucket(bucket_environment, monkeypatch):
    """gs://bucket in this process."""
    for name, value in bucket_environment.items():
        monkeypatch.setenv(name, value)
    return "gs://bucket"


# === The smallest network ===


@pytest.fixture(scope="session")
def toy_dataset():
    """Two stuff and two thing classes."""
    return toys.toy_dataset()


@pytest.fixture
def tiny_config():
    """Every part of the paper's model, as small as it goes; a test may change it."""
    return toys.tiny_config()


@pytest.fixture(scope="session")
def small_sized_config():
    """The same for images of any size, not to be changed."""
    config = toys.tiny_config()
    config.eval.pad_to_size = False
    return config
