"""Files in folders of this machine, in TensorFlow's file systems, in fsspec's, and in a bucket."""

from __future__ import annotations

import errno
import itertools
import os
import subprocess
import sys

import pytest
from PIL import Image

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.atomic import atomic_path, read_json, scratch_folder, write_json, write_text
from deeperlab_tf.files.images import read_image
from deeperlab_tf.files.inputs import find_files
from deeperlab_tf.files.paths import path_inside, plain_path
from deeperlab_tf.files.reports import check_report
from deeperlab_tf.files.results import check_lengths, check_results, is_result, writing_results

pytestmark = pytest.mark.both_stacks

_numbers = itertools.count()


@pytest.fixture(params=["disk", "ram://", "memory://", "gs://bucket/"])
def place(request, tmp_path):
    """A folder that does not exist yet, on one file system after the other."""
    if request.param == "disk":
        return str(tmp_path / "new")
    if request.param.startswith("gs"):
        request.getfixturevalue("bucket")
    return f"{request.param}new{next(_numbers)}"


# === Names ===


@pytest.mark.parametrize("root", ["/data", "gs://bucket", "gs://bucket/data", "ram://data"])
def test_names_are_put_together_and_taken_apart(root):
    path = storage.join(root, "a", "b.tar.gz")
    assert path == f"{root}/a/b.tar.gz"
    assert storage.split(path) == (f"{root}/a", "b.tar.gz")
    assert storage.dirname(storage.dirname(path)) == root
    assert storage.basename(path) == "b.tar.gz"
    assert storage.splitext(path) == (f"{root}/a/b.tar", ".gz")
    assert storage.isabs(path)
    assert storage.normpath(f"{root}/a/./x/..//b.tar.gz") == path
    assert storage.abspath(f"{root}/a/") == f"{root}/a"
    assert storage.relpath(path, root) == "a/b.tar.gz"
    assert path_inside(root, "a/b.tar.gz") == path


def test_what_is_absolute_begins_anew():
    assert storage.join("gs://bucket/data", "/disk/x") == "/disk/x"
    assert storage.join("/disk", "gs://bucket/x") == "gs://bucket/x"


def test_a_bucket_has_no_folder_above():
    assert storage.dirname("gs://bucket") == "gs://"
    assert storage.normpath("gs://bucket/../..") == "gs://"
    assert not storage.is_remote("a/b://c") and not storage.is_remote("C:\\x")


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "gs://other/x", "a\0b"])
def test_names_in_files_do_not_leave_a_bucket_either(name):
    with pytest.raises(UserError, match="leaves the folder"):
        path_inside("gs://bucket/data", name)


def test_patterns_in_a_bucket_are_refused_where_tensorflow_would_expand_them():
    with pytest.raises(UserError, match="pattern"):
        plain_path("gs://bucket/run[1]/ckpt")


# === What is there ===


def test_a_folder_holds_what_was_written(place):
    assert not storage.exists(place) and storage.facts(place) is None
    storage.makedirs(place)
    write_text(storage.join(place, "b.txt"), "bé")
    write_text(storage.join(place, "a", "x.txt"), "")
    assert sorted(storage.listdir(place)) == ["a", "b.txt"]
    assert [storage.isdir(storage.join(place, name)) for name in ("a", "b.txt", "c")] == [
        True,
        False,
        False,
    ]
    assert [storage.isfile(storage.join(place, name)) for name in ("a", "b.txt", "c")] == [
        False,
        True,
        False,
    ]
    assert storage.getsize(storage.join(place, "b.txt")) == 3
    found = {
        storage.relpath(folder, place): (sorted(folders), sorted(names))
        for folder, folders, names in storage.walk(place)
    }
    assert found == {".": (["a"], ["b.txt"]), "a": ([], ["x.txt"])}


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.EIO])
def test_a_folder_that_may_not_be_read_is_not_an_empty_one(code, tmp_path, monkeypatch):
    def scandir(folder):
        raise OSError(code, os.strerror(code), folder)

    monkeypatch.setattr(os, "scandir", scandir)
    for look in (storage.scan, lambda folder: find_files(folder, (".jpg",))):
        with pytest.raises(UserError) as told:
            list(look(str(tmp_path)))
        assert str(told.value) == (
            f"cannot list the folder {tmp_path}: {os.strerror(code)}; allow it to be read, or "
            "move it elsewhere."
        )


def test_a_folder_that_is_not_there_is_an_empty_one(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "round").symlink_to("round")
    for name in ("absent", "file", "file/below", "round", 300 * "long"):
        assert list(storage.scan(str(tmp_path / name))) == []


def test_text_and_bytes_come_back(place):
    path = storage.join(place, "deep", "er", "file")
    storage.makedirs(storage.dirname(path))
    for mode, content in (("", "a\nü"), ("b", bytes(range(256)) * 1000), ("b", b"")):
        with storage.open(path, "w" + mode) as file:
            file.write(content)
        with storage.open(path, "r" + mode) as file:
            assert file.read() == content
    with storage.open(path, "wb") as file:
        file.write(b"0123456789")
    with storage.open_large(path) as file:
        assert file.read(3) == b"012"
        file.seek(7)
        assert file.read(2) == b"78"
    storage.remove(path)
    assert not storage.exists(path)


def test_what_is_missing_is_an_error_for_people(place):
    path = storage.join(place, "no.json")
    with pytest.raises(OSError):
        storage.open(path).__enter__()
    with pytest.raises(OSError):
        storage.getsize(path)
    with pytest.raises(UserError, match=r"no\.json"):
        read_json(path)
    with pytest.raises(UserError, match=r"no\.png.*(does not exist|no such file)"):
        read_image(storage.join(place, "no.png"))


def test_a_block_that_fails_leaves_nothing(place):
    path = storage.join(place, "file.txt")
    with pytest.raises(RuntimeError), atomic_path(path):
        raise RuntimeError
    if storage.is_remote(path):  # the built-in `open` writes at once
        with pytest.raises(RuntimeError), storage.open(path, "w"):
            raise RuntimeError
    assert not storage.exists(path)


def test_files_and_folders_are_placed_whole(place):
    path = storage.join(place, "out", "numbers.json")
    write_json(path, {"pq": 1.0})
    assert read_json(path) == {"pq": 1.0}
    check_report(path, {"pq"})
    with pytest.raises(UserError, match="not a report"):
        check_report(path, {"other"})

    folder = storage.join(place, "export")
    with atomic_path(folder) as temporary:
        os.makedirs(os.path.join(temporary, "variables"))
        for name in ("saved_model.pb", "variables/index"):
            with open(os.path.join(temporary, name), "w") as file:
                file.write(name)
    assert sorted(storage.listdir(folder)) == ["saved_model.pb", "variables"]
    with pytest.raises(UserError, match="exists already"), atomic_path(folder):
        pass

    local = storage.local_folder(folder)
    assert os.path.isdir(local) and sorted(os.listdir(local)) == ["saved_model.pb", "variables"]
    with storage.local_copy(storage.join(folder, "saved_model.pb")) as copy:
        assert os.path.getsize(copy) == len("saved_model.pb")
    storage.rmtree(folder)
    assert not storage.isfile(storage.join(folder, "saved_model.pb"))
    assert not storage.isfile(storage.join(folder, "variables", "index"))


def test_scratch_is_gone(place):
    with scratch_folder(place, "a test") as scratch:
        assert os.path.isdir(scratch)
    assert not os.path.exists(scratch)


def test_pictures_are_read_and_results_written(place, tmp_path):
    Image.new("RGB", (8, 6), (200, 0, 0)).save(tmp_path / "red.png")
    photo = storage.join(place, "red.png")
    storage.makedirs(place)
    storage.copy(str(tmp_path / "red.png"), photo)
    assert read_image(photo).shape == (6, 8, 3)

    output = storage.join(place, "parses")
    for _ in range(2):  # own results are replaced
        check_results(output, "red", [".json", ".txt"], photo)
        check_lengths(output, "red", [".json", ".txt"])
        with writing_results(output, "red", photo) as files:
            with open(files.path(".txt"), "w") as file:
                file.write("x")
            files.content["segments"] = []
    assert sorted(storage.listdir(output)) == ["red.json", "red.txt"]
    assert not is_result(photo)
    write_text(storage.join(output, "red.json"), "{}")
    with pytest.raises(UserError, match="exists already"):
        check_results(output, "red", [".json"], photo)


# === Faults ===


def test_a_bucket_that_is_not_there_is_named(bucket):
    with pytest.raises(UserError, match=r"gs://nobody/x: there is no such file or bucket"):
        write_text("gs://nobody/x", "")
    assert not storage.exists("gs://nobody/x")


def test_a_file_system_that_nothing_knows_is_named():
    with pytest.raises(UserError, match=r"nosuch://a/b: its file system is not known here"):
        storage.exists("nosuch://a/b")


def test_what_is_not_allowed_is_said(monkeypatch):
    from deeperlab_tf.files import remote

    def refuse(path):
        raise PermissionError("403 Forbidden")

    monkeypatch.setattr(remote._FSSPEC.fs("memory://x"), "info", lambda path: refuse(path))
    with pytest.raises(UserError, match=r"memory://x: this is not allowed .*bucket's owner"):
        storage.exists("memory://x")


# === Starting fast ===


def test_local_files_load_neither_tensorflow_nor_a_client_of_buckets(repository):
    code = (
        "import sys; from deeperlab_tf.files import storage, atomic, inputs, results;"
        "storage.exists('x');"
        "print([m for m in sys.modules if m.split('.')[0] in ('tensorflow', 'fsspec', 'etils')])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, capture_output=True, text=True
    )
    assert result.stdout == "[]\n", result.stderr
