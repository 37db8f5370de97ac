"""Oddities of the formats that people annotate in, one by one."""

import json

import numpy as np
import pytest
from PIL import Image

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.panoptic_png import write_ids
from deeperlab_tf.prediction.parsing import Parsing
from input_pipeline.checks import check_source
from input_pipeline.datasets.orientation import KIND as TURNED
from input_pipeline.datasets.outlined import BOX_ONLY, HIDDEN, NO_AREA
from input_pipeline.datasets.rules import OutlinedClass, Rules, list_classes
from input_pipeline.sources import Reading, check_trainable, open_source
from tests.input_pipeline.datasets import outlined

SQUARE = [2, 2, 8, 2, 8, 8, 2, 8]
SIZE = (12, 16)


class Coco:
    """Two photos and a JSON of COCO's that a test can spoil."""

    def __init__(self, root):
        self.root = root
        self.content = {
            "images": [{"id": n, "file_name": f"p{n}.png"} for n in (4, 9)],
            "categories": [{"id": 7, "name": "car"}, {"id": 3, "name": "road"}],
            "annotations": [{"image_id": 4, "category_id": 7, "segmentation": [SQUARE]}],
        }
        for n in (4, 9):
            path = root / "images" / f"p{n}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(path)

    def annotate(self, *annotations):
        self.content["annotations"] = [
            {"image_id": 4, "category_id": 7, **annotation} for annotation in annotations
        ]

    def open(self, **rules):
        for split in ("train", "val"):
            path = self.root / "annotations" / f"instances_{split}.json"
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(self.content))
        config = outlined.config_of("coco_instances", self.root)
        config.data.annotations.update({"stuff": "", **rules})
        return open_source(config, "train", Reading(allow_incomplete=True))


@pytest.fixture
def coco(tmp_path):
    return Coco(tmp_path)


def report_of(source):
    return check_source(source, 256)


def test_crowds_lie_below_objects_and_are_no_instances(coco):
    coco.annotate(
        {"segmentation": [SQUARE]},
        {"segmentation": [[0, 0, 12, 0, 12, 12, 0, 12]], "iscrowd": 1},
    )
    sample = coco.open()[0]
    assert np.sum(sample["instance"] > 0) == 36 and np.sum(sample["crowd"]) == 144 - 36


def test_a_file_of_crowds_alone_is_told(coco):
    coco.annotate({"segmentation": [SQUARE], "iscrowd": 1})
    assert any("all 1 annotations are crowds" in text for text in coco.open().unlabelled())


def test_later_outlines_lie_on_top_or_smaller_ones(coco):
    large, small = [0, 0, 12, 0, 12, 12, 0, 12], SQUARE
    coco.annotate({"segmentation": [small]}, {"segmentation": [large], "category_id": 3})
    hidden = coco.open()
    assert set(np.unique(hidden[0]["semantic"])) == {1, 2}
    assert report_of(hidden)["problems"] == {HIDDEN: ["p4"]}
    on_top = coco.open(overlaps="smaller_on_top")
    assert np.sum(on_top[0]["semantic"] == 0) == 36 and report_of(on_top)["problems"] == {}


@pytest.mark.parametrize(
    "uncovered, label", [("background", 2), ("sky", 2), ("ignore", 255), ("road", 1)]
)
def test_pixels_that_no_outline_covers_have_the_class_that_is_named(coco, uncovered, label):
    source = coco.open(uncovered=uncovered)
    assert source[0]["semantic"][0, 0] == label and source[0]["semantic"][4, 4] == 0
    if label < 255:
        assert not source.dataset.categories[label].is_thing
        assert source.dataset.class_names[label] == uncovered


def test_stuff_is_named_in_the_file_or_by_the_config(coco):
    assert coco.open().dataset.thing_classes == (0, 1)
    assert coco.open(stuff="road").dataset.thing_classes == (0,)
    coco.content["categories"][1]["isthing"] = 0
    assert coco.open().dataset.thing_classes == (0,)
    with pytest.raises(UserError, match="stuff names 'raod'"):
        coco.open(stuff="raod")


def test_an_object_with_a_box_alone_does_not_count(coco):
    coco.annotate({"segmentation": [], "bbox": [2, 2, 4, 5]}, {"segmentation": [SQUARE]})
    source = coco.open()
    coco.annotate({"segmentation": [SQUARE]}, {"bbox": [9, 0, 4, 5]})
    sample = coco.open()[0]
    assert np.sum(sample["semantic"] == 255) == 20 and np.sum(sample["instance"] > 0) == 36
    assert report_of(source)["problems"] == {BOX_ONLY: ["p4"]}
    coco.annotate({"segmentation": [], "bbox": [2, 2, 4, 5]})
    with pytest.raises(UserError, match="boxes and no outlines"):
        coco.open()


@pytest.mark.parametrize("segmentation", [[[1, 2]], [[1, 1, 5, 5]], [[]]])
def test_outlines_without_area_are_counted(coco, segmentation):
    coco.annotate({"segmentation": segmentation}, {"segmentation": [SQUARE]})
    source = coco.open()
    assert source[0]["instance"].max() == 1 and report_of(source)["problems"] == {NO_AREA: ["p4"]}


def test_a_single_polygon_may_lack_its_list(coco):
    coco.annotate({"segmentation": SQUARE})
    assert np.sum(coco.open()[0]["instance"]) == 36


@pytest.mark.parametrize(
    "segmentation, message",
    [
        ([[1, 2, 3, 4, 5]], "x, y, x, y"),
        ([["a", 1, 2, 3, 4, 5]], "x, y, x, y"),
        ([[1e9, 1, 2, 3, 4, 5]], "far outside"),
        ([[float("nan"), 1, 2, 3, 4, 5]], "x, y, x, y"),
        ("somewhere", "segmentation"),
        ({"size": [3, 3], "counts": [9]}, "picture of"),
        ({"size": list(SIZE), "counts": [5]}, "do not fill"),
        ({"size": list(SIZE), "counts": [200, -8]}, "do not fill"),
        ({"size": list(SIZE), "counts": "garbage"}, "do not fill"),
        ({"size": list(SIZE), "counts": "o" * 99}, "do not fill"),
        ({"size": list(SIZE)}, "do not fill"),
    ],
)
def test_broken_outlines_are_refused(coco, segmentation, message):
    coco.annotate({"segmentation": segmentation})
    with pytest.raises(UserError, match=f"image 'p4' has .*{message}"):
        coco.open()[0]


@pytest.mark.parametrize("size", [(0, 0), (-1, -1), (None, None), SIZE])
def test_a_size_that_states_nothing_is_passed_over(coco, size):
    coco.content["images"][0].update(height=size[0], width=size[1])
    assert coco.open()[0]["instance"].max() == 1


def test_a_size_that_is_not_the_photos_is_refused(coco):
    coco.content["images"][0].update(height=24, width=32)
    with pytest.raises(UserError, match=r"annotated at 24 x 32, but .*p4\.png is 12 x 16"):
        coco.open()[0]


def test_polygons_drawn_before_the_photo_was_turned_are_refused(coco):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(coco.root / "images/p4.png", exif=exif)
    coco.content["images"][0].update(height=SIZE[0], width=SIZE[1])
    with pytest.raises(UserError, match="before its EXIF orientation 6 turns it"):
        coco.open()[0]


@pytest.mark.parametrize("orientation", [3, 6])
def test_where_no_size_is_stated_turned_photos_are_counted(coco, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo = Image.fromarray(np.zeros((*SIZE, 3), np.uint8))
    for name in ("p4", "p9"):  # of which the second has no labels
        photo.save(coco.root / "images" / f"{name}.png", exif=exif)
    assert report_of(coco.open())["problems"][TURNED] == ["p4"]


@pytest.mark.parametrize("name", ["images/p4.png", "images\\p4.png", "p4.PNG", "./p4.png"])
def test_photos_are_found_as_tools_name_them(coco, name):
    coco.content["images"][0]["file_name"] = name
    assert coco.open()[0]["instance"].max() == 1


@pytest.mark.parametrize("name", ["/data/p4.png", "../images/p4.png", "a/../../p4.png"])
def test_names_that_leave_the_folder_are_refused(coco, name):
    coco.content["images"][0]["file_name"] = name
    with pytest.raises(UserError, match="leaves the folder"):
        coco.open()


def test_a_photo_that_is_missing_is_listed_and_a_wrong_folder_told(coco):
    (coco.root / "images" / "p4.png").unlink()
    (error,) = report_of(coco.open())["errors"][:1]
    assert "image 'p4'" in error and "has no photo" in error
    (coco.root / "images" / "p9.png").unlink()
    with pytest.raises(UserError, match="none of the 2 photos"):
        coco.open()


def test_images_without_annotations_are_pictures_of_the_background(coco):
    source = coco.open()
    assert np.all(source[1]["semantic"] == 2)
    assert any("1 images of" in text and text.endswith(": p9") for text in source.unlabelled())
    assert len(coco.open(without_labels="skip")) == 1


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda c: c["annotations"][0].update(category_id=99), "category 99"),
        (lambda c: c["categories"].append({"id": 7, "name": "x"}), "category 7 twice"),
        (lambda c: c["categories"].append({"id": 8, "name": "car"}), "'car' twice"),
        (lambda c: c["images"].append(c["images"][0]), "twice"),
        (lambda c: c.update(categories=[]), "no categories"),
        (lambda c: c.update(images={}), "'images' is not a list"),
        (lambda c: c["categories"][0].pop("name"), "needs a whole number"),
    ],
)
def test_a_broken_json_is_told(coco, change, message):
    change(coco.content)
    with pytest.raises(UserError, match=message):
        coco.open()[0]


def test_roboflows_name_of_the_project_is_no_class(coco):
    coco.content["categories"] = [
        {"id": 0, "name": "cars", "supercategory": "none"},
        {"id": 7, "name": "cars", "supercategory": "cars"},
    ]
    assert coco.open().dataset.class_names == ("cars", "background")


def test_roboflows_folders_are_found(coco):
    for split in ("train", "valid"):
        folder = coco.root / split
        folder.mkdir()
        for n in (4, 9):
            Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(folder / f"p{n}.png")
        (folder / "_annotations.coco.json").write_text(json.dumps(coco.content))
    config = outlined.config_of("coco_instances", coco.root)
    config.data.annotations.stuff = ""
    assert len(check_trainable(config)) == 2
    assert str(open_source(config, "val").paths(0)[0]).endswith("valid/p4.png")


def test_a_file_that_annotates_none_of_its_images_is_told(coco):
    coco.content["annotations"] = [{"image_id": 5, "category_id": 7}]
    with pytest.raises(UserError, match="annotates none of its images"):
        coco.open()


def test_photos_that_no_json_names_are_listed(coco):
    outlined.save_photo(coco.root / "images" / "later.png", 0)
    outlined.save_photo(coco.root / "images" / "held_out.png", 0)
    coco.open()
    coco.content["images"].append({"id": 5, "file_name": "held_out.png"})
    (coco.root / "annotations" / "instances_val.json").write_text(json.dumps(coco.content))
    config = outlined.config_of("coco_instances", coco.root)
    config.data.annotations.stuff = ""
    for split in ("train", "val"):
        warning = open_source(config, split).unlabelled()[-1]
        assert warning.startswith("1 photos in ") and warning.endswith("no split: later.png")


def test_images_that_are_skipped_are_listed(coco):
    warnings = coco.open(without_labels="skip").unlabelled()
    assert len(warnings) == 1 and warnings[0].endswith("have no annotation and are left out: p9")


def test_two_images_of_one_photo_are_refused(coco):
    coco.content["images"].append({"id": 11, "file_name": "./p4.png"})
    with pytest.raises(UserError, match=r"p4\.png and \./p4\.png in .* are both of the photo"):
        coco.open()


def test_the_file_may_be_named(coco):
    (coco.root / "mine.json").write_text(json.dumps(coco.content))
    config = outlined.config_of("coco_instances", coco.root)
    config.data.annotations.update(stuff="", val_every=2)
    config.data.classes = "mine.json"
    assert [len(open_source(config, split)) for split in ("train", "val")] == [1, 1]
    for split in ("train", "val"):
        (coco.root / f"mine_{split}.json").write_text(json.dumps(coco.content))
    config.data.classes = "mine_{split}.json"
    assert [len(open_source(config, split)) for split in ("train", "val")] == [2, 2]


# === YOLO ===


@pytest.fixture
def yolo(tmp_path):
    outlined.write_yolo(tmp_path)
    return outlined.config_of("yolo", tmp_path)


def rewrite(config, text):
    with open(f"{config.data.root}/data.yaml", "w") as file:
        file.write(text)


@pytest.mark.parametrize(
    "text",
    [
        "train: images/train\nval: images/val\nnames: {0: road, 1: car, 2: dog}",
        "train: ../images/train\nval: ../images/val\nnames: [road, car, dog]",
        "path: /somewhere/else\ntrain: [images/train]\nvalid: images/val\nnames: [road, car, dog]",
        "path: .\ntrain: train.txt\nval: val.txt\nnames:\n  0: road\n  1: car\n  2: dog",
        "train: images/train/\nval: images/val/\nnames:\n- road\n- car\n- dog",
    ],
)
def test_descriptions_of_yolo_as_tools_write_them(yolo, text, tmp_path):
    rewrite(yolo, text)
    for split in ("train", "val"):
        files = sorted((tmp_path / "images" / split).iterdir())
        lines = [f"./images/{split}/{file.name}" for file in files]
        (tmp_path / f"{split}.txt").write_text("\n".join(lines))
    assert len(open_source(yolo, "train")) == 6 and len(open_source(yolo, "val")) == 2
    assert open_source(yolo, "train").dataset.class_names == ("road", "car", "dog", "background")


@pytest.mark.parametrize(
    "text, message",
    [
        ("train: images/train\nnames: [road, car, dog]", "has no key 'val'"),
        ("train: images/train\nval:\nnames: [road, car, dog]", "has no key 'val'"),
        ("train: images/train\nval: images/none\nnames: [road]", "which is not in"),
        ("train: images/train\nval: images/val\nnames: [road]", "does not name"),
        ("train: images/train\nval: images/val", "has no names"),
        ("train: images/train\nval: images/val\nnc: 2\nnames: [road, car, dog]", "nc '2'"),
        ("train: images/train\nval: images/val\nnames: {a: road}", "names the class 'a'"),
    ],
)
def test_broken_descriptions_of_yolo_are_told(yolo, text, message):
    rewrite(yolo, text)
    with pytest.raises(UserError, match=message):
        check_trainable(yolo)
        [open_source(yolo, "train")[i] for i in range(6)]


@pytest.mark.parametrize(
    "line, message",
    [
        ("9 0.1 0.1 0.5 0.1 0.5 0.5", "the class 9"),
        ("0 10 10 50 10 50 50", "outside 0-1"),
        ("0 0.1 0.1 0.5 0.1 0.5 0.5 0.7", "odd number"),
        ("0 a b c d e f", "not a number"),
        ("0 nan 0.1 0.5 0.1 0.5 0.5", "outside 0-1"),
    ],
)
def test_broken_lines_of_yolo_are_told(yolo, line, message):
    with open(f"{yolo.data.root}/labels/train/im0.txt", "w") as file:
        file.write(f"\n{line}\n")
    with pytest.raises(UserError, match=rf"line 2 of .*im0\.txt.*{message}"):
        open_source(yolo, "train")[0]


def test_label_files_of_yolo_may_have_their_ending_in_capitals(yolo, tmp_path):
    whole = open_source(yolo, "train")[0]
    path = tmp_path / "labels" / "train" / "im0.txt"
    path.rename(path.with_suffix(".TXT"))
    source = open_source(yolo, "train")
    np.testing.assert_array_equal(source[0]["semantic"], whole["semantic"])
    assert source.label_files(0)[0].endswith("im0.TXT") and not source.unlabelled()
    path.with_name("gone.TXT").write_text("")
    assert any("gone.TXT has no photo" in text for text in source.unlabelled())


def test_photos_of_yolo_that_are_on_no_list_or_skipped_are_listed(yolo, tmp_path):
    photos = sorted((tmp_path / "images" / "train").iterdir())
    lines = [f"images/train/{photo.name}\n" for photo in photos]
    (tmp_path / "train.txt").write_text("".join(lines[1:3]))
    (tmp_path / "val.txt").write_text("".join(lines[3:]))
    rewrite(yolo, "train: train.txt\nval: val.txt\nnames: [road, car, dog]")
    for split in ("train", "val"):
        warning = open_source(yolo, split).unlabelled()[-1]
        assert warning.startswith("1 photos in ") and warning.endswith(f": {photos[0].name}")
    (tmp_path / "labels" / "train" / f"{photos[1].stem}.txt").unlink()
    yolo.data.annotations.without_labels = "skip"
    source = open_source(yolo, "train")
    assert len(source) == 1
    assert any("are left out: images/train/im1" in text for text in source.unlabelled())


def test_two_photos_of_yolo_with_one_label_file_are_refused(yolo, tmp_path):
    outlined.save_photo(tmp_path / "images" / "train" / "im0.jpg", 0)
    with pytest.raises(UserError, match=r"im0\.jpg and \S*im0\.png share the label file"):
        open_source(yolo, "train")
    # Two pictures of the background share nothing.
    (tmp_path / "labels" / "train" / "im0.txt").unlink()
    names = [open_source(yolo, "train")[n]["image_id"] for n in range(2)]
    assert names == ["images/train/im0.jpg", "images/train/im0.png"]


def test_labels_of_yolo_may_lie_beside_the_photos_and_below_a_folder_called_images(tmp_path):
    root = tmp_path / "images" / "mine"
    outlined.write_yolo(root)
    config = outlined.config_of("yolo", root)
    assert open_source(config, "train")[0]["instance"].any()
    for path in sorted((root / "labels").rglob("*.txt")):
        path.rename(root / "images" / path.relative_to(root / "labels"))
    assert open_source(config, "train")[0]["instance"].any()


def test_photos_of_yolo_without_any_label_file_are_told(yolo, tmp_path):
    (tmp_path / "labels").rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"none of the 6 photos .* has a label file"):
        open_source(yolo, "train")


def test_boxes_of_yolo_do_not_count(yolo):
    with open(f"{yolo.data.root}/labels/train/im0.txt", "w") as file:
        file.write("1 0.5 0.5 0.5 0.5")
    source = open_source(yolo, "train")
    assert np.sum(source[0]["semantic"] == 255) == 12 * 20
    assert report_of(source)["problems"] == {BOX_ONLY: ["images/train/im0"]}


# === labelme ===


@pytest.fixture
def labelme(tmp_path):
    outlined.write_labelme(tmp_path)
    return outlined.config_of("labelme", tmp_path)


def change_json(config, change, number=0):
    path = f"{config.data.root}/im{number}.json"
    with open(path) as file:
        content = json.load(file)
    change(content)
    with open(path, "w") as file:
        json.dump(content, file)


def test_circles_and_ignored_shapes_of_labelme(labelme):
    shapes = [
        {"label": "car", "shape_type": "circle", "points": [[12, 12], [12, 4]]},
        {"label": "__ignore__", "points": [[30, 0], [40, 0], [40, 5], [30, 5]]},
    ]
    change_json(labelme, lambda content: content.update(shapes=shapes))
    sample = open_source(labelme, "train")[0]
    assert abs(np.sum(sample["instance"] > 0) - np.pi * 64) < 12
    assert np.sum(sample["semantic"] == 255) == 50 and sample["instance"].max() == 1


@pytest.mark.parametrize("given", ["im0.png", "..\\photos\\im0.png", "/home/x/im0.png", None, ""])
def test_photos_of_labelme_are_found_beside_their_json(labelme, given):
    change_json(labelme, lambda content: content.update(imagePath=given))
    assert open_source(labelme, "train")[0]["image_id"] == "im0"


def test_two_jsons_of_one_photo_are_refused(labelme, tmp_path):
    (tmp_path / "later.json").write_bytes((tmp_path / "im0.json").read_bytes())
    with pytest.raises(UserError, match=r"im0\.json and \S*later\.json are both of the photo"):
        check_trainable(labelme)


def test_photos_without_a_json_are_an_error_or_empty_or_left_out(labelme, tmp_path):
    for name in ("later.png", "sub/last.png"):
        outlined.save_photo(tmp_path / name, 0)
    with pytest.raises(UserError, match=r"'later' has no JSON.*so do 1 others.*without_labels to"):
        check_trainable(labelme)
    source = open_source(labelme, "train", Reading(allow_incomplete=True))
    errors = report_of(source)["errors"]
    assert [text.partition(":")[0] for text in errors] == [
        "image 'later' has no JSON",
        "image 'sub/last' has no JSON",
    ]
    for choice, count in (("empty", 2), ("skip", 0)):
        labelme.data.annotations.without_labels = choice
        splits = [open_source(labelme, split) for split in ("train", "val")]
        assert sum(map(len, splits)) == outlined.COUNT + count
        told = [text for source in splits for text in source.unlabelled()]
        skipped = "2 photos without a JSON are left out: later.png, sub/last.png"
        assert set(told) == ({skipped} if choice == "skip" else set())


def test_results_of_a_parse_are_no_photos_of_labelme(labelme, tmp_path):
    dataset = open_source(labelme, "train").dataset
    nothing = np.zeros((4, 5), int)
    Parsing.from_maps(nothing, nothing + 1, dataset).save(tmp_path / "parses", "im0")
    write_ids(tmp_path / "ids" / "im0.png", nothing)
    assert sum(len(open_source(labelme, split)) for split in ("train", "val")) == outlined.COUNT


def test_photos_beside_the_folders_of_labelmes_splits_are_named(labelme, tmp_path):
    for number in range(outlined.COUNT):
        folder = tmp_path / ("val" if number == 1 else "train")
        folder.mkdir(exist_ok=True)
        for ending in (".png", ".json"):
            (tmp_path / f"im{number}{ending}").rename(folder / f"im{number}{ending}")
    outlined.save_photo(tmp_path / "loose.png", 0)
    source = open_source(labelme, "train")
    assert len(source) == outlined.COUNT - 1
    assert source.unlabelled() == [f"1 photos in {tmp_path} are in no split: loose.png"]


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda c: c["shapes"][0].update(label="tree"), "label 'tree'"),
        (lambda c: c["shapes"][0].update(points=[[1]]), "give pairs"),
        (lambda c: c["shapes"][0].update(shape_type="cube"), "type 'cube'"),
        (lambda c: c["shapes"][0].update(shape_type="mask"), "without a mask"),
        (lambda c: c.update(imageHeight=99), "annotated at 99 x 40"),
        (lambda c: c.update(shapes=5), "no list of shapes"),
    ],
)
def test_broken_files_of_labelme_are_told(labelme, change, message):
    change_json(labelme, change)
    source = open_source(labelme, "train")
    with pytest.raises(UserError, match=message):
        source[0]


def test_labels_that_occur_are_the_classes_without_a_list(labelme, tmp_path):
    (tmp_path / "labels.txt").unlink()
    names = open_source(labelme, "train").dataset.class_names
    assert names == ("car", "dog", "road", "background")


def test_a_background_of_the_file_is_what_no_outline_covers():
    classes = [OutlinedClass("_background_", "_background_"), OutlinedClass("car", "car")]
    listed = list_classes("x", classes, Rules(), "labels.txt")
    assert listed.uncovered == 0 and listed.dataset.thing_classes == (1,)
    assert listed.dataset.class_names == ("_background_", "car")
