"""Results are whole or not at all, and nothing of the user's is written over."""

import os
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.atomic import write_text
from deeperlab_tf.files.results import (
    ENDINGS,
    check_lengths,
    check_results,
    is_result,
    writing_results,
)
from deeperlab_tf.prediction.names import result_names


def write(folder, name="photo", source="", text="parse"):
    """Results of a PNG and a JSON."""
    with writing_results(folder, name, source) as files:
        write_text(files.path(".png"), text)
        files.content["text"] = text


def tree(folder):
    """dict name -> content of all files and links below a folder."""
    files = (path for path in folder.rglob("*") if path.is_symlink() or path.is_file())
    return {str(p.relative_to(folder)): p.exists() and p.read_text() for p in files}


def dangling(path):
    path.symlink_to("nowhere")


@pytest.mark.parametrize(
    "name, put",
    [
        ("photo.png", lambda path: path.write_text("a photo")),
        ("photo.json", lambda path: path.write_text('{"shapes": [], "version": "5.0"}')),
        ("photo.json", lambda path: path.write_text("no JSON")),
        ("photo.json", dangling),
        ("photo.png", dangling),
        ("photo.png", lambda path: path.mkdir()),
    ],
)
def test_a_file_of_the_users_stays_and_nothing_is_written(tmp_path, name, put):
    put(tmp_path / name)
    before, names = tree(tmp_path), os.listdir(tmp_path)
    with pytest.raises(UserError, match=rf"{name} exists already and is not a result"):
        check_results(tmp_path, "photo", (".json", ".png"))
    with pytest.raises(UserError, match=rf"{name} exists already and is not a result"):
        write(tmp_path)
    assert tree(tmp_path) == before and os.listdir(tmp_path) == names


def test_own_results_are_replaced_and_known(tmp_path):
    write(tmp_path, text="old")
    check_results(tmp_path, "photo", (".json", ".png"))
    write(tmp_path, text="new")
    assert tree(tmp_path)["photo.png"] == "new"
    assert is_result(str(tmp_path / "photo.png")) and is_result(str(tmp_path / "photo.json"))
    (tmp_path / "photo_overlay.jpg").write_text("the user's")
    assert not is_result(str(tmp_path / "photo_overlay.jpg"))


@pytest.mark.parametrize("name", ["photo.png", "photo.json"])
def test_results_that_were_changed_are_the_users(tmp_path, name):
    write(tmp_path)
    changed = (tmp_path / name).read_text().replace("parse", "corrected")
    (tmp_path / name).write_text(changed)
    with pytest.raises(UserError, match=r"or was changed since"):
        write(tmp_path)
    assert (tmp_path / name).read_text() == changed


def test_results_of_another_input_are_not_replaced(tmp_path):
    write(tmp_path, source="photo.jpg", text="of the JPEG")
    with pytest.raises(UserError, match="not a result of this input's"):
        write(tmp_path, source="photo.png")
    assert tree(tmp_path)["photo.png"] == "of the JPEG"
    with pytest.raises(UserError, match="not a result of this input's"):
        write(tmp_path, source="elsewhere/photo.jpg")
    write(tmp_path, source="photo.jpg", text="again")
    assert "elsewhere" not in tree(tmp_path)["photo.json"]


def test_a_result_that_is_not_written_again_stays_known(tmp_path):
    with writing_results(tmp_path, "photo") as files:
        write_text(files.path("_sheet.png"), "sheet")
    write(tmp_path)
    assert is_result(str(tmp_path / "photo_sheet.png"))
    with writing_results(tmp_path, "photo") as files:
        write_text(files.path("_sheet.png"), "new sheet")


def test_what_fails_leaves_no_file_and_no_folder(tmp_path):
    with pytest.raises(RuntimeError), writing_results(tmp_path / "a" / "b", "c/photo") as files:
        write_text(files.path(".png"), "half")
        raise RuntimeError
    assert os.listdir(tmp_path) == []


def test_long_names_are_written_whole_or_refused_with_the_reason(tmp_path):
    fits = "n" * (255 - len(".json"))
    write(tmp_path, fits)
    assert len(tree(tmp_path)) == 2
    for name in ("n" * 251, "ü" * 126):
        with pytest.raises(UserError, match=r"name of \d+ bytes, of which the disk takes 255"):
            check_lengths(tmp_path, name, (".json",))
        with pytest.raises(UserError, match="name too long"):
            write(tmp_path / "new", name)
    assert len(tree(tmp_path)) == 2 and not (tmp_path / "new").exists()


def test_a_folder_that_is_a_link_is_written_into(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to("disk")
    write(tmp_path / "out", "a/photo")
    write(tmp_path / "out", "a/photo")
    assert sorted(tree(tmp_path / "disk")) == ["a/photo.json", "a/photo.png"]


# === Names ===


@pytest.mark.parametrize(
    "files, names",
    [
        (["a.jpg", "b.png"], ["a", "b"]),
        (["a.jpg", "a.png"], ["a_jpg", "a_png"]),
        (["a.jpg", "a.png", "a_jpg.png"], ["a_jpg_1", "a_png", "a_jpg_png"]),
        (["b.jpg", "b_semantic.jpg"], ["b_jpg", "b_semantic_jpg"]),
        (["b.jpg", "b_overlay.jpg", "c.jpg"], ["b_jpg", "b_overlay_jpg", "c"]),
        (["A.jpg", "a.jpg"], ["A_jpg_1", "a_jpg_2"]),
        (["x/a.jpg", "y/a.png"], ["x/a", "y/a"]),
        (["a", "a.jpg"], ["a_1", "a_jpg"]),
        (["a.b.jpg", "a.c.jpg"], ["a.b", "a.c"]),
    ],
)
def test_two_inputs_never_share_a_result(files, names):
    assert list(result_names(files, "")) == names
    assert list(result_names(files, "").values()) == files


_STEMS = st.text("aAéb_1", min_size=1, max_size=3)
_TAILS = st.sampled_from(["", "_semantic", "_overlay", "_jpg", "_jpg_1"])
_NAMES = st.builds("{}{}.{}".format, _STEMS, _TAILS, st.sampled_from(["jpg", "JPG", "png"]))


@given(st.lists(_NAMES, unique=True, max_size=8))
def test_results_of_any_inputs_are_apart(files):
    names = result_names(files, "")
    assert sorted(names.values()) == sorted(files)
    results = [
        unicodedata.normalize("NFC", name + ending).casefold()
        for name in names
        for ending in ENDINGS
    ]
    assert len(set(results)) == len(results)


def test_results_go_to_a_folder_that_a_link_names_before_it_is_there(tmp_path):
    (tmp_path / "link").symlink_to("disk/parses")
    write(tmp_path / "link" / "sub")
    assert (tmp_path / "disk/parses/sub/photo.png").is_file() and (tmp_path / "link").is_symlink()
