"""The checksums of a shipped folder: whatever was changed, cut off or taken away is named."""

import hashlib

import pytest

from deeperlab_tf.errors import UserError
from deeperlab_tf.models.shipped import SUMS_FILE, is_shipped, verify, write_sums

FILES = ("config.json", "dataset.json", "graph.json", "graph.pb.gz", "weights.npz", "README.md")

pytestmark = pytest.mark.both_stacks


@pytest.fixture
def folder(tmp_path):
    for name in FILES:
        (tmp_path / name).write_bytes(name.encode() * 100)
    write_sums(str(tmp_path))
    return tmp_path


def test_an_unchanged_folder_is_well_and_others_are_none(folder, tmp_path_factory):
    verify(str(folder))
    assert is_shipped(str(folder))
    assert not is_shipped(str(tmp_path_factory.mktemp("empty")))
    assert not is_shipped("ram://nothing/run")


def test_the_checksums_are_those_of_sha256sum(folder):
    lines = dict(line.split("  ")[::-1] for line in (folder / SUMS_FILE).read_text().splitlines())
    assert sorted(lines) == sorted(FILES)
    for name, found in lines.items():
        assert found == hashlib.sha256((folder / name).read_bytes()).hexdigest()


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_was_changed_cut_off_or_taken_away_is_named(folder, name):
    path = folder / name
    whole = path.read_bytes()
    for broken in (whole[:-1], b"\0" + whole[1:], whole + b"\n", b""):
        path.write_bytes(broken)
        with pytest.raises(UserError, match=f"damaged: {name} is not as it was made .*checksum"):
            verify(str(folder))
    path.unlink()
    with pytest.raises(UserError, match=f"damaged: {name} is not as it was made .*No such file"):
        verify(str(folder))


@pytest.mark.parametrize("text", ["", "word\n", "\xff\xfe", "one two three\n"])
def test_broken_checksums_are_named(folder, text):
    (folder / SUMS_FILE).write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=f"damaged: {SUMS_FILE}|damaged: two three"):
        verify(str(folder))


def test_missing_checksums_are_named(folder):
    (folder / SUMS_FILE).unlink()
    assert is_shipped(str(folder))
    with pytest.raises(UserError, match=f"damaged: {SUMS_FILE} .*No such file"):
        verify(str(folder))


def test_a_listed_file_does_not_leave_the_folder(folder):
    with open(folder / SUMS_FILE, "a") as file:
        file.write(f"{'0' * 64}  ../outside\n")
    with pytest.raises(UserError, match=r"'\.\./outside' leaves the folder"):
        verify(str(folder))
