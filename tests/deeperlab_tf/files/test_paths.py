"""Names stay in their folder."""

import os

import pytest

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.paths import path_inside


@pytest.mark.parametrize("name", ["../x.png", "/etc/passwd", "a/../../x"])
def test_names_that_leave_the_folder_are_refused(tmp_path, name):
    with pytest.raises(UserError, match="leaves the folder"):
        path_inside(tmp_path, name)
    assert path_inside(tmp_path, "a/b.png") == str(tmp_path / "a" / "b.png")


def test_links_in_the_folder_are_followed(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link").symlink_to(tmp_path)
    (tmp_path / "x.png").touch()
    assert os.path.samefile(path_inside(tmp_path / "in", "link/x.png"), tmp_path / "x.png")
