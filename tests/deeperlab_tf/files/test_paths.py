"""Names stay in their folder."""

import glob
import os

import pytest

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.paths import path_inside, plain_path


@pytest.mark.parametrize("name", ["../x.png", "/etc/passwd", "a/../../x"])
def test_names_that_leave_the_folder_are_refused(tmp_path, name):
    with pytest.raises(UserError, match="leaves the folder"):
        path_inside(tmp_path, name)
    assert path_inside(tmp_path, "a/b.png") == os.path.abspath(tmp_path / "a" / "b.png")


def test_links_are_followed(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link").symlink_to(tmp_path)
    assert path_inside(tmp_path / "in", "link/x.png") == str(tmp_path / "in" / "link" / "x.png")


def test_a_path_with_the_characters_of_patterns_gets_one_without(tmp_path):
    folder = tmp_path / "run [1]*"
    folder.mkdir()
    (folder / "ckpt-1.index").write_text("x")
    plain = plain_path(str(folder / "ckpt-1"))
    assert glob.glob(f"{plain}.index") and not set("[]*?") & set(plain)
    assert plain_path(str(tmp_path / "ckpt-1")) == str(tmp_path / "ckpt-1")
    with pytest.raises(UserError, match="takes for a pattern"):
        plain_path("gs://bucket/run[1]/ckpt-1")


def test_what_parts_the_folders_of_windows_is_no_pattern_there(monkeypatch):
    monkeypatch.setattr(os, "sep", "\\")
    assert plain_path(r"runs\mine\checkpoints") == r"runs\mine\checkpoints"
