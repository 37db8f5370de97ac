"""Programs, and a tiny untrained network for those that use one."""

import dataclasses

import pytest

from tests.programs import run_program
from tests.toys import save_untrained


@pytest.fixture(scope="session")
def toy_dataset(toy_dataset):
    """The toy dataset, whose classes have other numbers in files than in the network."""
    categories = tuple(
        dataclasses.replace(category, original_id=7 * (index + 1))
        for index, category in enumerate(toy_dataset.categories)
    )
    return dataclasses.replace(toy_dataset, categories=categories)


@pytest.fixture(scope="session")
def workdir(toy_dataset, tmp_path_factory):
    """Workdir of a network with random weights."""
    return save_untrained(tmp_path_factory.mktemp("run"), toy_dataset)


@pytest.fixture(scope="session")
def program():
    """Function (script, *flags): runs a program of scripts/, returns the finished process."""
    return run_program


@pytest.fixture(scope="session")
def error_of():
    """Function of a finished process: the one line that a user sees, after which it ended."""

    def line_of(done):
        assert done.returncode == 1, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        return line

    return line_of


@pytest.fixture(scope="session")
def exported(program, workdir, tmp_path_factory):
    """Version 1 of the model `toy`, as export.py writes it."""
    path = tmp_path_factory.mktemp("exports") / "toy" / "1"
    sizes = ("--batch_size=1", "--batch_size=2")
    done = program("export.py", f"--workdir={workdir}", f"--output={path}", *sizes)
    assert done.returncode == 0, done.stderr
    assert f"wrote {path}" in done.stdout
    return path
