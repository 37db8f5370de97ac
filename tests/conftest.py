"""Fixtures every test may use."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


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
