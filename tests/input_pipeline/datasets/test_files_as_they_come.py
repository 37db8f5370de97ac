"""Files as editors, disks and cameras leave them: right, or refused with a reason."""

import json

import numpy as np
import pytest
from PIL import Image

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.images import IMAGE_ENDINGS
from deeperlab_tf.files.orientation import turn_upright
from input_pipeline.checks import check_source
from input_pipeline.convert import convert
from input_pipeline.datasets.mask_problems import BINARY_CLASSES, BINARY_OBJECTS, NO_CLASS, NOISE
from input_pipeline.datasets.orientation import KIND as TURNED
from input_pipeline.datasets.orientation import MASK_KIND as MASK_TURNED
from input_pipeline.records.decode import decode_example
from input_pipeline.records.example import encode_example
from input_pipeline.sources import Reading, check_trainable, open_source

ALL = Reading(allow_incomplete=True)
ORIENTATION_TAG = 0x0112
PATTERNS = "images: images/{id}.png\nsemantic: semantic/{id}.png\n"


def names_of(source):
    return [source[i]["image_id"] for i in range(len(source))]


def check(folder, split="train"):
    return check_source(open_source(folder.config, split, ALL), 256)


# === Text ===


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_lists_and_descriptions_may_be_in_any_unicode(folder, encoding):
    (folder.root / "mine.txt").write_bytes("im4\r\nim1\r\n".encode(encoding))
    folder.write(split={"train": "mine.txt", "val": "mine.txt"})
    path = folder.root / "classes.json"
    path.write_bytes(path.read_text().encode(encoding))
    assert names_of(open_source(folder.config, "train")) == ["im4", "im1"]
    text = PATTERNS + "classes: [{name: 道路, type: stuff}]\n"
    path.unlink()
    (folder.root / "classes.yaml").write_bytes(text.encode(encoding))
    assert open_source(folder.config, "train").dataset.class_names == ("道路",)


def test_a_list_that_is_no_text_is_named(folder):
    (folder.root / "mine.txt").write_bytes(b"\xff\x81\xfe im1")
    folder.write(split={"train": "mine.txt"})
    with pytest.raises(UserError, match=r"mine\.txt is not text"):
        open_source(folder.config, "train")


def test_yaml_names_are_the_text_that_stands_there(folder):
    (folder.root / "classes.json").unlink()
    names = ["off", "no", "010", "1:30", "1_000", "null", "0x1F", "1e3", "2020-01-01", "yes", "~"]
    classes = [f"  - {{name: {name}, type: stuff}}" for name in names]
    (folder.root / "classes.yaml").write_text("\n".join([f"{PATTERNS}classes:", *classes]))
    assert list(open_source(folder.config, "train").dataset.class_names) == names


@pytest.mark.parametrize(
    "number", ["010", "0x1F", "1_0", "1:30", "off", "1.5", "-1", "1e1", "'7 '"]
)
def test_numbers_that_readers_take_differently_are_refused(folder, number):
    (folder.root / "classes.json").unlink()
    (folder.root / "classes.yaml").write_text(
        "images: images/{id}.png\nsemantic: semantic/{id}.png\n"
        f"classes: [{{name: a, type: stuff, id: {number}}}]\n"
    )
    with pytest.raises(UserError, match="class 'a' has the id"):
        open_source(folder.config, "train")


def test_a_key_that_stands_twice_is_refused(folder):
    (folder.root / "classes.json").unlink()
    (folder.root / "classes.yaml").write_text("images: a/{id}.png\nimages: b/{id}.png\n")
    with pytest.raises(UserError, match="the key 'images' twice"):
        open_source(folder.config, "train")


# === Names of files ===


def test_endings_in_capitals_are_the_same_endings(folder):
    for kind, index in (("images", 0), ("semantic", 0), ("instances", 3)):
        path = folder.path(kind, index)
        path.rename(path.with_suffix(".PNG"))
    source = open_source(folder.config, "train")
    assert names_of(source) == ["im0", "im1", "im3", "im4"]
    assert check_source(source, 256)["errors"] == []


def test_two_photos_of_one_name_are_refused(folder):
    path = folder.path("images", 0)
    path.with_suffix(".PNG").write_bytes(path.read_bytes())
    with pytest.raises(UserError, match="both the image 'im0'"):
        open_source(folder.config, "train")


def list_images(folder, text, **changes):
    """A description with the list `text` as its split train."""
    (folder.root / "mine.txt").write_text(text)
    folder.write(split={"train": "mine.txt", "val": "mine.txt"}, **changes)


def test_two_photos_of_one_name_on_a_list_are_refused(folder):
    Image.open(folder.path("images", 1)).save(folder.root / "images" / "im1.jpg")
    list_images(folder, "im0\nim1\n", images="images/{id}.*")
    with pytest.raises(UserError, match=r"im1\.jpg and \S*im1\.png are both the image 'im1'"):
        open_source(folder.config, "train")
    with pytest.raises(UserError, match="both the image 'im1'"):
        check(folder)
    list_images(folder, "im1.jpg\nim1.png\n", images="images/{id}.*")
    with pytest.raises(UserError, match=r"'im1' twice, as 'im1\.jpg' and as 'im1\.png'"):
        open_source(folder.config, "train")


@pytest.mark.parametrize("ending", ["png", "jpg", "JPG"])
def test_a_list_may_choose_among_photos_of_one_name(folder, ending):
    Image.new("RGB", (30, 20)).save(folder.root / "images" / "im1.jpg")
    list_images(folder, f"im0\nim1.{ending}\n", images="images/{id}.*")
    source = open_source(folder.config, "train")
    assert names_of(source) == ["im0", "im1"]
    assert source.paths(1)[0].endswith(f"im1.{ending.lower()}")
    assert source[1]["image"].any() == (ending == "png")
    assert check_source(source, 256)["errors"] == []


@pytest.mark.parametrize("split", [{"train": "mine.txt"}, {"every_nth": 3}])
@pytest.mark.parametrize("pattern, twin", [("*", "im1.bmp"), ("png", "im1.PNG")])
def test_two_masks_of_one_name_are_refused(folder, split, pattern, twin):
    (folder.root / "mine.txt").write_text("im0\nim1\n")
    Image.open(folder.path("semantic", 1)).save(folder.root / "semantic" / twin)
    folder.write(split=split, semantic=f"semantic/{{id}}.{pattern}")
    with pytest.raises(UserError, match=r"im1.* and .* both the semantic mask of the image 'im1'"):
        open_source(folder.config, "train")


def test_masks_beside_photos_of_any_kind_are_no_photos_of_that_name(folder):
    for index in range(2):
        Image.open(folder.path("images", index)).save(folder.root / f"im{index}.tif")
        Image.open(folder.path("semantic", index)).save(folder.root / f"im{index}.png")
    list_images(folder, "im0\nim1\n", images="{id}.*", semantic="{id}.png")
    source = open_source(folder.config, "train")
    assert [source.paths(n)[0].endswith(".tif") for n in range(2)] == [True, True]
    assert check_source(source, 256)["errors"] == []


def test_pictures_that_the_pattern_leaves_out_are_listed_and_may_be_let_in(folder):
    Image.open(folder.path("images", 1)).save(folder.root / "images" / "im1.jpg")
    folder.path("images", 1).unlink()
    warnings = check(folder)["warnings"]
    assert any("1 pictures in" in w and w.endswith(": im1.jpg") for w in warnings)
    folder.write(images="images/{id}.*")
    assert names_of(open_source(folder.config, "train")) == ["im0", "im1", "im3", "im4"]


def save_as(path, ending):
    """Saves a picture with an ending; returns its pixels as they come back."""
    path = path.with_suffix(ending)
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 256, (20, 30, 3), np.uint8))
    picture = picture.convert("L") if ending == ".pgm" else picture
    picture.save(path)
    return np.asarray(Image.open(path).convert("RGB"))


@pytest.mark.parametrize("ending", IMAGE_ENDINGS)
def test_every_ending_that_is_parsed_is_trained_on(folder, ending, tmp_path_factory):
    for index in range(6):
        folder.path("images", index).unlink()
        saved = save_as(folder.path("images", index), ending)
    folder.write(images="images/{id}.*")
    source = open_source(folder.config, "train")
    assert names_of(source) == ["im0", "im1", "im3", "im4"]
    np.testing.assert_array_equal(source[0]["image"], saved)
    back = decode_example(
        encode_example(source[0], source.dataset, source.paths(0)[0]), source.dataset
    )
    # Two JPEG decoders differ by little.
    off = np.abs(back["image"].numpy().astype(int) - saved)
    assert off.max() <= (6 if ending in (".jpg", ".jpeg", ".jpe", ".jfif") else 0)
    # Converted, it is read as it was.
    output = str(tmp_path_factory.mktemp("out"))
    config = folder.config
    convert(config, ("train", "val"), "folder", output)
    config.data.root = output
    np.testing.assert_array_equal(open_source(config, "train")[0]["image"], saved)


def test_photos_of_every_ending_want_a_mask(folder):
    save_as(folder.root / "images" / "im9", ".jfif")
    folder.write(images="images/{id}.*")
    report = check(folder)
    assert any("image 'im9' has no semantic mask" in e for e in report["errors"])


def test_pictures_that_no_pattern_or_reader_takes_are_listed(folder):
    for name in ("other.png", "im9.HEIC", "notes.txt"):
        (folder.root / "images" / name).write_bytes(b"")
    masks = {kind: f"{kind}/im{{id}}.png" for kind in ("semantic", "instances")}
    folder.write(images="images/im{id}.*", **masks)
    warnings = check(folder)["warnings"]
    assert [w.split("images ")[-1] for w in warnings] == [
        "do not fit images/im{id}.*: other.png",
        "are of a kind that cannot be read; save them as JPEG or PNG: im9.HEIC",
    ]


def warnings_of(folder, split="train"):
    return open_source(folder.config, split, ALL).unlabelled()


def test_photos_on_no_list_are_listed(folder):
    (folder.root / "val.txt").write_text("im5.png\nim4\n")
    (folder.root / "mine.txt").write_text("im0\n")
    folder.write(split={"train": "mine.txt", "val": "val.txt", "test": "lost.txt"})
    for split in ("train", "val"):
        (warning,) = warnings_of(folder, split)
        assert warning.startswith("3 photos in ")
        assert warning.endswith("on no list: images/im1.png, images/im2.png, images/im3.png")
    # Of two photos of one name, a list takes one.
    folder.path("images", 5).with_suffix(".jpg").write_bytes(b"")
    folder.write(split={"train": "mine.txt", "val": "val.txt"}, images="images/{id}.*")
    (warning,) = warnings_of(folder, "val")
    assert warning.startswith("4 photos in ") and warning.endswith(", images/im5.jpg")


def test_photos_in_subfolders_are_listed_unless_lists_name_them(folder):
    for kind in ("images", "semantic", "instances"):
        (folder.root / kind / "sub").mkdir()
        path = folder.root / kind / "sub" / "im9.png"
        path.write_bytes(folder.path(kind, 0).read_bytes())
    assert any(w.endswith("name them in lists: sub/im9.png") for w in warnings_of(folder))
    list_images(folder, "".join(f"im{index}\n" for index in range(6)) + "sub/im9\n")
    assert warnings_of(folder) == [] and len(open_source(folder.config, "train")) == 7


def test_masks_in_a_folder_below_the_photos_are_no_photos(folder):
    for index in range(6):
        folder.path("images", index).rename(folder.root / f"im{index}.png")
    folder.write(images="{id}.png")
    assert warnings_of(folder) == []


def test_photos_that_are_skipped_are_listed(folder):
    folder.path("semantic", 1).unlink()
    config = folder.config
    config.data.annotations.without_labels = "skip"
    warnings = open_source(config, "train").unlabelled()
    assert warnings == ["1 photos without masks are left out: im1"]


def test_hidden_files_are_no_photos(folder):
    (folder.root / "images" / "._im0.png").write_bytes(b"of a Mac")
    assert len(open_source(folder.config, "train")) == 4


@pytest.mark.parametrize(
    "images, semantic", [("{id}.png", "{id}_mask.png"), ("{id}.*", "{id}.png")]
)
def test_masks_may_lie_beside_the_photos(folder, images, semantic):
    for index in range(6):
        photo = Image.open(folder.path("images", index))
        photo.save(folder.root / f"im{index}{'.png' if images == '{id}.png' else '.bmp'}")
        mask = semantic.replace("{id}", f"im{index}")
        Image.open(folder.path("semantic", index)).save(folder.root / mask)
    folder.write(images=images, semantic=semantic)
    assert names_of(open_source(folder.config, "train")) == ["im0", "im1", "im3", "im4"]
    # A mask whose photo is gone is no photo.
    (folder.root / f"im5{'.png' if images == '{id}.png' else '.bmp'}").unlink()
    if images == "{id}.png":
        assert names_of(open_source(folder.config, "val")) == ["im2"]
        assert any("im5_mask.png has no photo" in w for w in check(folder)["warnings"])


def test_every_missing_file_is_listed(folder):
    for index in (0, 1, 4):
        folder.path("semantic", index).unlink()
    for index in (2, 3):
        folder.path("images", index).unlink()
    report = check(folder)
    assert [e.split()[1] for e in report["errors"]] == ["'im0'", "'im1'"]
    lost = [w for w in report["warnings"] if "has no photo" in w]
    assert len(lost) == 4 and all("im2" in w or "im3" in w for w in lost)
    with pytest.raises(UserError, match=r"image 'im0' has no semantic mask.* so do 1 others"):
        open_source(folder.config, "train")


@pytest.mark.parametrize("choice", ["empty", "skip"])
def test_photos_without_masks_may_be_empty_or_left_out(folder, choice):
    for kind in ("semantic", "instances"):
        folder.path(kind, 1).unlink()
    config = folder.config
    config.data.annotations.without_labels = choice
    source = open_source(config, "train")
    assert names_of(source) == ["im0", *(["im1"] if choice == "empty" else []), "im3", "im4"]
    if choice == "empty":
        sample = source[1]
        assert not sample["semantic"].any() and not sample["instance"].any()
        assert not sample["crowd"].any() and check_source(source, 256)["errors"] == []


def test_lists_may_name_files(folder):
    (folder.root / "mine.txt").write_text("im4.png\nim1\n")
    folder.write(split={"train": "mine.txt"})
    assert names_of(open_source(folder.config, "train")) == ["im4", "im1"]


def test_links_work_for_folders_photos_masks_and_the_root(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (folder.root / "semantic").rename(elsewhere / "semantic")
    (folder.root / "semantic").symlink_to(elsewhere / "semantic")
    for kind in ("images", "instances"):
        path = folder.path(kind, 0)
        path.rename(elsewhere / f"{kind}.png")
        path.symlink_to(elsewhere / f"{kind}.png")
    link = elsewhere / "root"
    link.symlink_to(folder.root)
    config = folder.config
    config.data.root = str(link)
    report = check_source(open_source(config, "train"), 256)
    assert report["images"] == 4 and report["errors"] == report["warnings"] == []


# === Masks ===


@pytest.mark.parametrize("kind", ["semantic", "instances"])
def test_masks_with_losses_are_refused(folder, kind):
    mask = Image.open(folder.path(kind, 0))
    mask.save(folder.path(kind, 0), format="JPEG")
    with pytest.raises(UserError, match="stored as JPEG"):
        open_source(folder.config, "train")[0]
    (error,) = check(folder)["errors"]
    assert "im0.png is stored as JPEG" in error


def test_noise_of_a_mask_that_was_a_jpeg_is_counted(folder):
    objects = np.zeros((20, 30), np.uint8)
    objects[2:9, 3:9] = 200
    for value in range(20):
        objects[9, value] = 100 + value
    folder.save("instances", 1, objects)
    report = check(folder)
    assert report["problems"][NOISE] == ["im1"]
    assert any("20 of 21 objects have fewer than 10 pixels" in w for w in report["warnings"])


def test_objects_on_stuff_and_ignored_pixels_are_counted(folder):
    objects = np.zeros((20, 30), np.uint8)
    objects[0:2, :3], objects[2:9, 3:9] = 1, 2
    folder.save("instances", 3, objects)
    report = check(folder)
    assert report["problems"] == {NO_CLASS: ["im3"]} and report["errors"] == []
    assert any("6 of 48 pixels" in w and "1 of 2 objects vanish" in w for w in report["warnings"])


def test_class_masks_of_0_and_255_are_an_error_where_nothing_else_is_left(folder):
    folder.write(
        classes=[{"name": "road", "type": "stuff"}, {"name": "car", "type": "thing", "id": 1}]
    )
    mask = np.zeros((20, 30), np.uint8)
    mask[4:9, 4:9] = 255
    folder.save("semantic", 0, mask)
    for index in (1, 3, 4):
        folder.save("semantic", index, mask // 255)
    report = check(folder)
    assert report["problems"][BINARY_CLASSES] == ["im0"] and report["errors"] == []
    for index in (1, 3, 4):
        folder.save("semantic", index, mask)
    report = check(folder)
    assert len(report["problems"][BINARY_CLASSES]) == 4
    assert "0 and 255 alone" in report["errors"][0]
    folder.write(
        classes=[{"name": "road", "type": "stuff"}, {"name": "car", "type": "thing", "id": 255}],
        ignore=[],
    )
    assert BINARY_CLASSES not in check(folder)["problems"]


def test_object_masks_of_0_and_255_with_several_regions_are_counted(folder):
    objects = np.zeros((20, 30), np.uint8)
    objects[2:9, 3:9] = objects[8:14, 20:28] = 255
    folder.save("instances", 0, objects)
    assert check(folder)["problems"][BINARY_OBJECTS] == ["im0"]


@pytest.mark.parametrize("orientation", [3, 6])
def test_turned_photos_are_counted_or_their_masks_refused(folder, orientation):
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    Image.open(folder.path("images", 0)).save(folder.path("images", 0), exif=exif)
    report = check(folder)
    if orientation == 3:
        assert report["problems"] == {TURNED: ["im0"]} and report["errors"] == []
    else:
        assert "before its EXIF orientation 6 turns it" in report["errors"][0]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ids_in", [None, "red"])
def test_masks_are_turned_by_their_own_metadata(folder, orientation, ids_in):
    whole = open_source(folder.config, "train")[0]
    for kind in ("semantic", "instances"):
        upright = np.asarray(Image.open(folder.path(kind, 0)))
        # The one way to store it that this orientation turns back.
        stored = next(
            turned
            for turned in (turn_upright(upright, way) for way in range(1, 9))
            if np.array_equal(turn_upright(turned, orientation), upright)
        )
        if ids_in:
            stored = np.stack([stored, stored * 0, stored * 0], axis=-1)
        exif = Image.Exif()
        exif[ORIENTATION_TAG] = orientation
        Image.fromarray(stored).save(folder.path(kind, 0), exif=exif)
    folder.write(semantic_in=ids_in, instances_in=ids_in)
    source = open_source(folder.config, "train")
    for key in ("semantic", "instance", "crowd"):
        np.testing.assert_array_equal(source[0][key], whole[key])
    problems = [problem.kind for problem in source.problems(0)]
    assert problems == [MASK_TURNED] * (2 * (orientation > 1))


# === Colours ===


def paint_colors(folder, values):
    """Class masks in colour, and objects as CARLA has them: id in red, number in green and blue."""
    for index in range(6):
        objects = np.zeros((20, 30, 3), np.uint8)
        objects[..., 0] = 3
        objects[2:9, 3:9] = (7, 1, 0)
        objects[8:14, 20:28] = (7, 1, 1)
        folder.save("instances", index, objects)
        folder.save("semantic", index, objects if values is None else values[objects[..., 0]])


def test_ids_may_be_in_some_of_the_channels(folder):
    paint_colors(folder, None)
    folder.write(semantic_in="red", instances_in="green+blue")
    sample = open_source(folder.config, "train")[0]
    assert sample["instance"].max() == 2 and np.sum(sample["semantic"] == 1) == 90
    assert not sample["crowd"].any()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_class_masks_may_be_in_colour(folder, mode):
    values = np.zeros((256, 3), np.uint8)
    values[3], values[7] = (128, 64, 128), (0, 0, 142)
    paint_colors(folder, values)
    for index in range(6):
        path = folder.path("semantic", index)
        Image.open(path).convert(mode, palette=Image.Palette.ADAPTIVE).save(path)
    classes = [
        {"name": "road", "type": "stuff", "color": [128, 64, 128]},
        {"name": "car", "type": "thing", "color": "#00008e"},
    ]
    folder.write(semantic_in="colors", instances_in="green+blue", classes=classes)
    assert np.sum(open_source(folder.config, "train")[0]["semantic"] == 1) == 90
    classes[1]["color"] = [1, 2, 3]
    folder.write(semantic_in="colors", instances_in="green+blue", classes=classes)
    with pytest.raises(UserError, match=r"1 colours .* such as \(0, 0, 142\) on 90"):
        open_source(folder.config, "train")[0]


# === What can be trained on ===


def test_data_without_val_cannot_be_trained_on(folder):
    (folder.root / "mine.txt").write_text("im1\n")
    folder.write(split={"train": "mine.txt"})
    with pytest.raises(UserError, match="split 'val' is unknown"):
        check_trainable(folder.config)
    (folder.root / "empty.txt").write_text("\n")
    folder.write(split={"train": "mine.txt", "val": "empty.txt"})
    with pytest.raises(UserError, match="is empty"):
        check_trainable(folder.config)
    folder.write(split={"train": "mine.txt", "val": "mine.txt"})
    assert len(check_trainable(folder.config)) == 1


def test_a_list_that_means_a_photo_twice_is_refused_by_training_too(folder):
    list_images(folder, "im1\nim0\nim1.png\n")
    with pytest.raises(UserError, match=r"mine\.txt names the image 'im1' twice"):
        check_trainable(folder.config)
    with pytest.raises(UserError, match="twice"):
        check(folder)


@pytest.mark.parametrize("kind", ["semantic", "instances"])
def test_a_mask_with_losses_stops_training_before_it_starts(folder, kind):
    # One of many, and not among the first.
    for index in range(6, 20):
        for each in ("images", "semantic", "instances"):
            folder.path(each, index).write_bytes(folder.path(each, 0).read_bytes())
    last = folder.path(kind, 18)
    Image.open(last).save(last.with_suffix(".JPG"), "JPEG")
    last.unlink()
    folder.write(**{kind: f"{kind}/{{id}}.*"})
    with pytest.raises(UserError, match=r"im18\.JPG is stored as JPEG"):
        check_trainable(folder.config)
    assert any("im18.JPG is stored as JPEG" in error for error in check(folder)["errors"])
    # A PNG by another name is none.
    last.with_suffix(".JPG").write_bytes(folder.path(kind, 0).read_bytes())
    check_trainable(folder.config)


def spoil_masks(folder, values, indices):
    folder.write(
        classes=[{"name": "road", "type": "stuff"}, {"name": "car", "type": "thing", "id": 1}]
    )
    for index in range(6):
        mask = np.zeros((20, 30), np.uint8)
        mask[2:9, 3:9] = 1
        if index in indices:
            mask = np.full((20, 30), values[-1], np.uint8)
            mask[0] = values[0]
        folder.save("semantic", index, mask)


@pytest.mark.parametrize(
    "values, message", [([0, 255], "hold 0 and 255 alone"), ([255], "have no labelled pixel")]
)
def test_masks_that_mean_nothing_are_told_before_training(folder, caplog, values, message):
    spoil_masks(folder, values, (0, 1, 3))  # the first ones of train
    check_trainable(folder.config)
    assert message in caplog.text and "looks at all" in caplog.text
    spoil_masks(folder, values, (2, 5))  # all of val
    with pytest.raises(UserError, match=message):
        check_trainable(folder.config)
    assert check(folder, "val")["errors"]


def test_a_first_image_that_cannot_be_read_stops_training(folder):
    folder.path("semantic", 1).write_bytes(folder.path("semantic", 1).read_bytes()[:60])
    with pytest.raises(UserError, match=r"im1\.png"):
        check_trainable(folder.config)


# === COCO panoptic with its own classes ===


def panoptic_set(folder, **changes):
    root = folder.root / "own"
    for split in ("train", "val"):
        (root / split).mkdir(parents=True, exist_ok=True)
        pngs = root / "annotations" / f"panoptic_{split}"
        pngs.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((6, 8, 3), np.uint8)).save(root / split / "a.png")
        ids = np.zeros((6, 8, 3), np.uint8)
        ids[:3, :, 0], ids[3:, :, 0] = 1, 2
        Image.fromarray(ids).save(pngs / "a.png")
        segments = [{"id": 1, "category_id": 1}, {"id": 2, "category_id": 2}]
        content = {
            "images": [{"id": 5, "file_name": "a.png"}],
            "annotations": [{"image_id": 5, "file_name": "a.png", "segments_info": segments}],
            "categories": [
                {"id": 1, "name": "road", "isthing": 0, "color": [9, 8, 7]},
                {"id": 2, "name": "pothole", "isthing": 1},
            ],
        }
        content.update(changes.get(split, {}))
        (root / "annotations" / f"panoptic_{split}.json").write_bytes(
            json.dumps(content).encode("utf-8-sig")
        )
    config = folder.config
    config.data.dataset, config.data.root = "coco", str(root)
    return config


def test_a_panoptic_set_has_its_own_classes(folder):
    config = panoptic_set(folder)
    dataset = check_trainable(config).dataset
    assert dataset.class_names == ("road", "pothole") and dataset.thing_classes == (1,)
    assert dataset.colors[0] == (9, 8, 7) and dataset.name == "own"
    sample = open_source(config, "train")[0]
    assert sample["semantic"][0, 0] == 0 and sample["semantic"][5, 0] == 1
    assert sample["instance"].any() and not sample["instance"][:3].any()


def test_splits_with_different_classes_are_refused(folder):
    config = panoptic_set(
        folder,
        val={
            "categories": [
                {"id": 2, "name": "pothole", "isthing": 1},
                {"id": 1, "name": "road", "isthing": 0},
            ]
        },
    )
    with pytest.raises(UserError, match="different classes"):
        check_trainable(config)


def test_a_panoptic_set_with_a_category_of_no_class_is_refused(folder):
    bad = [{"id": 1, "category_id": 1}, {"id": 2, "category_id": 77}]
    annotations = [{"image_id": 5, "file_name": "a.png", "segments_info": bad}]
    config = panoptic_set(folder, train={"annotations": annotations})
    with pytest.raises(UserError, match="category 77"):
        open_source(config, "train")[0]


def test_two_annotations_of_one_photo_are_refused(folder):
    segments = [{"id": 1, "category_id": 1}, {"id": 2, "category_id": 2}]
    annotations = [
        {"image_id": 5, "file_name": name, "segments_info": segments} for name in ("a.png", "b.png")
    ]
    config = panoptic_set(folder, train={"annotations": annotations})
    with pytest.raises(UserError, match=r"a\.png and b\.png in .* are both of the photo"):
        check_trainable(config)


def test_photos_and_pngs_that_no_panoptic_json_names_are_listed(folder):
    config = panoptic_set(folder)
    root = folder.root / "own"
    for place in ("train/later.png", "annotations/panoptic_train/lost.png"):
        (root / place).write_bytes(b"")
    pngs, photos = open_source(config, "train").unlabelled()
    assert "panoptic_train/lost.png is not in" in pngs
    assert photos.startswith("1 photos in ") and photos.endswith("in no split: later.png")
    assert open_source(config, "val").unlabelled() == []
