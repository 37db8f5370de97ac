"""Fixtures every test may use."""

import gc
import os
import sys
from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
# Programs import their helpers, such as `benchmarks`, from their own folder.
sys.path.insert(0, str(REPOSITORY / "scripts"))

# Graphs are millions of objects, all in use: searching them takes a tenth of the time.
gc.set_threshold(200_000, 20, 100)
# What XLA compiles here runs once: with its optimisations, a training step alone would take six
# minutes.
os.environ.setdefault(
    "XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
)


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
    """Function (labels, expected): the same but for a pixel in a thousand, where rounding decides
    between classes.

    Another batch, another graph or busy cores add in another order.
    """

    def compare(labels, expected):
        labels, expected = np.asarray(labels), np.asarray(expected)
        assert labels.shape == expected.shape and np.mean(labels == expected) >= 0.999

    return compare
