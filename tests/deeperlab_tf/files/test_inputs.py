"""Which files are parsed: the user's pictures and films, not hidden files or earlier results."""

import pathlib

import numpy as np
import pytest
from PIL import Image

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.images import _FORMATS, IMAGE_ENDINGS
from deeperlab_tf.files.inputs import find_inputs
from deeperlab_tf.files.results import writing_results
from input_pipeline.datasets.layout import walk_files


def put(path, picture=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.zeros((4, 5, 3), np.uint8) if picture is None else picture
    Image.fromarray(picture).save(path)


def names(folder, inputs):
    return [path[len(str(folder)) + 1 :] for path in inputs.images]


def test_hidden_files_and_the_traces_of_other_systems_are_passed_over(tmp_path):
    for name in ("a.jpg", "B.JPG", "sub/c.jpeg", "d [1].png", "e.jfif"):
        put(tmp_path / name)
    for name in ("._a.jpg", ".ipynb_checkpoints/a.png", "__MACOSX/a.jpg", "sub/.hidden.png"):
        put(tmp_path / name)
    (tmp_path / "notes.txt").write_text("x")
    found = names(tmp_path, find_inputs(str(tmp_path)))
    assert found == ["B.JPG", "a.jpg", "d [1].png", "e.jfif", "sub/c.jpeg"]


def test_every_ending_of_the_list_is_of_a_decoder_that_may_read():
    known = Image.registered_extensions()
    assert {known[ending] for ending in IMAGE_ENDINGS} <= set(_FORMATS)


def test_results_of_earlier_parses_are_passed_over_and_counted(tmp_path):
    put(tmp_path / "a.jpg")
    put(tmp_path / "a_overlay.png")  # a photo of the user's that is called so
    (tmp_path / "film.mp4").write_bytes(b"")
    for folder, name in ((tmp_path / "parses", "sub/a"), (tmp_path, "b")):
        with writing_results(folder, name) as files:
            put(tmp_path / "x.png")
            for ending in (".png", "_overlay.jpg", "_semantic.png"):
                Image.open(tmp_path / "x.png").save(files.path(ending))
            pathlib.Path(files.path("_overlay.mp4")).write_bytes(b"")
            (tmp_path / "x.png").unlink()
    inputs = find_inputs(str(tmp_path))
    assert names(tmp_path, inputs) == ["a.jpg", "a_overlay.png"]
    assert inputs.films == [str(tmp_path / "film.mp4")]
    assert inputs.passed_over == 8


def test_links_are_followed_but_not_round_in_circles(tmp_path):
    put(tmp_path / "disk" / "a.jpg")
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "linked").symlink_to(tmp_path / "disk")
    (folder / "up").symlink_to(tmp_path / "photos")
    (folder / "b.jpg").symlink_to(tmp_path / "disk" / "a.jpg")
    (tmp_path / "disk" / "round").symlink_to(tmp_path)
    found = names(folder, find_inputs(str(folder)))
    assert found == ["b.jpg", "linked/a.jpg"] or set(found) >= {"b.jpg", "linked/a.jpg"}
    assert len(found) < 20


@pytest.mark.parametrize(
    "find",
    [lambda folder: find_inputs(folder).images, lambda folder: walk_files(folder, (".jpg",))],
)
def test_folders_that_link_to_each_other_are_followed_once(tmp_path, find):
    for name, other in ("xy", "yx"):
        put(tmp_path / name / f"{name}.jpg")
        (tmp_path / name / "other").symlink_to(f"../{other}")
    found = [path[len(str(tmp_path)) + 1 :] for path in find(str(tmp_path))]
    assert sorted(found) == ["x/other/y.jpg", "x/x.jpg", "y/other/x.jpg", "y/y.jpg"]


def test_animated_pictures_are_films_whatever_their_ending(tmp_path):
    frames = [Image.fromarray(np.full((4, 5, 3), 60 * step, np.uint8)) for step in range(3)]
    options = dict(save_all=True, append_images=frames[1:])
    for name in ("a.gif", "b.png", "c.webp"):
        frames[0].save(tmp_path / name, **options)
        assert find_inputs(str(tmp_path / name)).films == [str(tmp_path / name)]
    frames[0].save(tmp_path / "still.gif")
    assert find_inputs(str(tmp_path / "still.gif")).images == [str(tmp_path / "still.gif")]
    for name in ("x.ts", "x.3gp"):
        (tmp_path / name).write_bytes(b"")
        assert find_inputs(str(tmp_path / name)).films == [str(tmp_path / name)]
    (tmp_path / "broken.gif").write_bytes(b"GIF89a")
    both = find_inputs(str(tmp_path))
    films = {"a.gif", "c.webp", "x.ts", "x.3gp"}
    assert {path.rpartition("/")[2] for path in both.films} == films
    # What cannot be opened, and a PNG that moves, are told when they are read.
    assert names(tmp_path, both) == ["b.png", "broken.gif", "still.gif"]


def test_nothing_to_parse_is_told(tmp_path):
    with pytest.raises(UserError, match="no file or folder"):
        find_inputs(str(tmp_path / "nowhere"))
    put(tmp_path / "in" / ".a.jpg")
    with pytest.raises(UserError, match="has no images"):
        find_inputs(str(tmp_path / "in"))
    (tmp_path / "text").write_text("x")
    with pytest.raises(UserError, match="not an image of a known format"):
        find_inputs(str(tmp_path / "text"))
