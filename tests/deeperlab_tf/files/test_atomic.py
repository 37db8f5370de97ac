"""Files are there whole or not at all."""

import contextlib
import json
import os
import resource

import numpy as np
import pytest
import tensorflow as tf

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.atomic import (
    atomic_path,
    read_json,
    remove_leftovers,
    write_json,
    write_text,
)
from tests.programs import run_program


def test_a_failed_write_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), atomic_path(tmp_path / "a" / "x.txt") as temporary:
        with open(temporary, "w") as file:
            file.write("half")
        raise RuntimeError
    assert os.listdir(tmp_path / "a") == []


def test_a_failed_write_keeps_the_old_file(tmp_path):
    write_json(tmp_path / "x.json", {"old": 1})
    with pytest.raises(TypeError):
        write_json(tmp_path / "x.json", {"new": object()})
    assert read_json(tmp_path / "x.json") == {"old": 1}
    assert os.listdir(tmp_path) == ["x.json"]


def test_a_folder_appears_whole_and_is_never_replaced(tmp_path):
    for expected_error in (False, True):
        try:
            with atomic_path(tmp_path / "model") as temporary:
                os.mkdir(temporary)
        except UserError as error:
            assert expected_error and "exists already" in str(error)
        else:
            assert not expected_error


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_link_leads_to_is_made_where_it_is_not_there(tmp_path, kind):
    link = tmp_path / "link"
    link.symlink_to("disk/new")
    with atomic_path(link) as temporary:
        if kind == "folder":
            os.mkdir(temporary)
        else:
            write_text(temporary, "x")
    assert link.is_symlink() and (tmp_path / "disk/new").is_dir() == (kind == "folder")

    (tmp_path / "round").symlink_to("round")
    with pytest.raises(UserError, match="round leads back to itself"):
        write_text(tmp_path / "round", "x")
    assert (tmp_path / "round").is_symlink()


KILLED_WRITER = """
import os, signal, sys
from deeperlab_tf.files.atomic import atomic_path
with atomic_path(sys.argv[1]) as path, open(path, "w") as file:
    file.write("half of")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_writer_leaves_is_removed_and_that_of_others_stays(tmp_path):
    for name in ("a b\u00e9.tfrecord", "b.tfrecord", "x" * 250):
        run_program("-c", KILLED_WRITER, tmp_path / name)
    assert len(os.listdir(tmp_path)) == 3
    remove_leftovers(str(tmp_path), [str(tmp_path / name) for name in ("a b\u00e9.tfrecord", "c")])
    assert len(os.listdir(tmp_path)) == 2
    remove_leftovers(str(tmp_path), [str(tmp_path / "b.tfrecord"), str(tmp_path / ("x" * 250))])
    assert not os.listdir(tmp_path)
    remove_leftovers(str(tmp_path / "nowhere"), [])


def test_text_is_written_as_utf_8(tmp_path):
    write_text(tmp_path / "x.txt", "größer\n")
    assert (tmp_path / "x.txt").read_bytes() == "größer\n".encode()


def test_nan_is_written_as_null(tmp_path):
    write_json(tmp_path / "x.json", {"pq": float("nan"), "per_class": [{"pq": 0.5}]})
    assert json.loads((tmp_path / "x.json").read_text()) == {"pq": None, "per_class": [{"pq": 0.5}]}


@pytest.mark.parametrize("content", [None, "{"])
def test_missing_or_broken_json_is_named(tmp_path, content):
    if content is not None:
        (tmp_path / "x.json").write_text(content)
    with pytest.raises(UserError, match=r"x\.json"):
        read_json(tmp_path / "x.json")


@contextlib.contextmanager
def files_may_have(size):
    """A limit to the bytes of a file, which the system tells like a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def by_python(path):
    with open(path, "wb") as file:
        file.write(bytes(10**6))


def by_tensorflow(path):
    tf.io.write_file(path, bytes(10**6))


def saved_model(path):
    module = tf.Module()
    module.table = tf.Variable(np.random.default_rng(0).normal(size=10**6))
    tf.saved_model.save(module, path)


@pytest.mark.both_stacks
@pytest.mark.parametrize("write", [by_python, by_tensorflow, saved_model])
def test_a_full_disk_is_said_and_leaves_nothing(tmp_path, write):
    path = tmp_path / "results" / "big"
    told = pytest.raises(UserError, match=r"cannot write .*big: File too large; make room and run")
    with told, atomic_path(path) as temporary, files_may_have(10**5):
        write(temporary)
    assert not list(path.parent.iterdir())
