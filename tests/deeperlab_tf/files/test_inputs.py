"""Which files are parsed: the user's pictures and films, not hidden files or earlier results."""

import pathlib
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.images import _FORMATS, IMAGE_ENDINGS
from deeperlab_tf.files.inputs import find_inputs
from deeperlab_tf.files.results import check_all_results, writing_results
from deeperlab_tf.prediction.many import Job
from deeperlab_tf.work import names as work_names
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


# === Lists and patterns ===


def test_a_list_names_files_from_its_own_folder(tmp_path):
    put(tmp_path / "in" / "b.jpg")
    elsewhere = tmp_path / "elsewhere" / "a.png"
    put(elsewhere)
    lists = tmp_path / "lists"
    lists.mkdir()
    lines = ["\ufeff../in/b.jpg", "", f"  {elsewhere}", "film.mp4", "gone.jpg"]
    (lists / "photos.txt").write_text("\r\n".join(lines), "utf-8")
    inputs = find_inputs(str(lists / "photos.txt"))
    assert list(inputs.images) == sorted(
        [str(lists / "../in/b.jpg"), str(elsewhere), str(lists / "gone.jpg")]
    )
    assert list(inputs.films) == [str(lists / "film.mp4")] and inputs.root == str(tmp_path)


@pytest.mark.parametrize(
    "content, message",
    [
        (b"\n \n", "is empty"),
        (b"a.jpg\nb.jpg\na.jpg\n", "names '.*a.jpg' twice"),
        (b"\xff\xfe\xff", "not text in UTF-8"),
    ],
)
def test_a_bad_list_is_told(tmp_path, content, message):
    (tmp_path / "photos.txt").write_bytes(content)
    with pytest.raises(UserError, match=message):
        find_inputs(str(tmp_path / "photos.txt"))


@pytest.mark.parametrize(
    "pattern, found",
    [
        ("*.jpg", ["a.jpg", "c [1].jpg"]),
        ("*/left_?.jpg", ["x/left_1.jpg", "y/left_2.jpg"]),
        ("[!y]/*.*", ["x/left_1.jpg", "x/right.png"]),
        ("**/*.png", ["b.png", "x/deep/er/d.png", "x/right.png"]),
        ("x/**/d.*", ["x/deep/er/d.png"]),
        ("x/**", ["x/deep/er/d.png", "x/left_1.jpg", "x/right.png"]),
        ("*[[]1*", ["c [1].jpg"]),
    ],
)
def test_patterns_lead_to_what_fits(tmp_path, pattern, found):
    put_all = ["a.jpg", "b.png", "c [1].jpg", ".h.jpg", ".git/a.jpg", "x/left_1.jpg"]
    for name in [*put_all, "x/right.png", "x/deep/er/d.png", "y/left_2.jpg"]:
        put(tmp_path / name)
    inputs = find_inputs(f"{tmp_path}/{pattern}")
    root = tmp_path / "x" if pattern.startswith("x/") else tmp_path
    assert [str(pathlib.Path(p).relative_to(tmp_path)) for p in inputs.images] == found
    assert inputs.root == str(root)


def test_what_exists_is_no_pattern_and_one_without_files_is_told(tmp_path):
    put(tmp_path / "a[1]*.jpg")
    assert find_inputs(str(tmp_path / "a[1]*.jpg")).images == [str(tmp_path / "a[1]*.jpg")]
    with pytest.raises(UserError, match=r"the pattern .*\*\.png leads to no images"):
        find_inputs(str(tmp_path / "*.png"))


def peak_of_job(folder, count):
    """Bytes that the names of `count` photos take at most, from their list to their results."""
    (folder / "photos.txt").write_text("".join(f"{n % 7}/{n:07d}.jpg\n" for n in range(count)))
    tracemalloc.start()
    job = Job.of(find_inputs(str(folder / "photos.txt")), str(folder / "out"))
    check_all_results(job.output, job.files, job.endings)
    assert sum(1 for _ in job.files.items()) == len(job.files) == count
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most


def test_memory_hardly_grows_with_the_names(tmp_path, monkeypatch):
    """By sixteen bytes each, for the time in which names that repeat are looked for."""
    monkeypatch.setattr(work_names, "HELD", 1000)
    grown = peak_of_job(tmp_path, 20_000) - peak_of_job(tmp_path, 2000)
    assert grown < 17 * 18_000 + 2**19


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_list_may_be_in_any_unicode_and_long(tmp_path, encoding):
    names = [f"ph\u00f6to_{number:05d}.jpg" for number in range(9000)]
    (tmp_path / "list.txt").write_bytes("\r\n".join(names).encode(encoding))
    found = find_inputs(str(tmp_path / "list.txt")).images
    assert list(found) == [str(tmp_path / name) for name in names]
