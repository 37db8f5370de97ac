import json
import pathlib

import cv2
import numpy as np
import pytest

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.coco_panoptic import PanopticFiles
from deeperlab_tf.files.panoptic_pair import PanopticPair, compare
from deeperlab_tf.files.panoptic_writer import PanopticWriter
from deeperlab_tf.metrics import ParsingMetrics
from deeperlab_tf.prediction.parsing import Parsing


@pytest.fixture
def parse(toy_dataset):
    """A parse with each class, two discs and some unlabelled pixels."""
    semantic = np.zeros((20, 30), np.int32)
    semantic[10:] = 1
    semantic[3:8, 3:8] = semantic[3:8, 12:18] = 2
    semantic[12:18, 20:28] = 3
    semantic[0, :4] = 255
    instance = np.zeros_like(semantic)
    instance[3:8, 3:8], instance[3:8, 12:18], instance[12:18, 20:28] = 1, 2, 3
    return Parsing.from_maps(semantic, instance, toy_dataset, scores=[0.9, 0.8, 0.7])


@pytest.fixture
def write(tmp_path, toy_dataset):
    """Function (name, parsing): writes one image "a" and returns its PanopticFiles arguments."""

    def make(name, parsing):
        folder = tmp_path / name
        writer = PanopticWriter(str(folder), str(folder / "parses.json"), toy_dataset)
        writer.add(parsing, "a", "a")
        writer.close()
        return str(folder / "parses.json"), str(folder)

    return make


def strict_pair(truth, prediction):
    return PanopticPair.open((*truth, *prediction), strict=True)


def edit(json_path, change):
    content = json.loads(pathlib.Path(json_path).read_text())
    change(content)
    with open(json_path, "w") as file:
        json.dump(content, file)


@pytest.mark.both_stacks
def test_a_written_parse_reads_back_the_same(parse, write):
    files = PanopticFiles(*write("parses", parse))
    semantic, instance, crowd = files.read_labels("a")
    np.testing.assert_array_equal(semantic, parse.semantic)
    assert files.dataset.class_names == parse.dataset.class_names
    assert files.dataset.thing_classes == parse.dataset.thing_classes
    assert not crowd.any()
    pairs = set(zip(instance.flat, parse.instance.flat))
    assert len(pairs) == 4  # numbered anew, one to one


@pytest.mark.both_stacks
def test_comparing_files_gives_the_same_as_comparing_maps(parse, write):
    other = Parsing.from_maps(
        np.roll(parse.semantic, 2, 1), np.roll(parse.instance, 2, 1), parse.dataset
    )
    files = strict_pair(write("truth", parse), write("parses", other))
    from_files, from_maps = (ParsingMetrics(4, (2, 3)) for _ in range(2))
    from_files.add(compare(files, "a").table)
    from_maps.update(parse.semantic, parse.instance, other.semantic, other.instance)
    np.testing.assert_equal(from_files.result(), from_maps.result())


def test_real_files_have_the_areas_their_json_claims(data_dir):
    sample = data_dir / "coco_panoptic" / "sample_data"
    path = sample / "panoptic_examples.json"
    files = PanopticFiles(str(path), str(sample / "panoptic_examples"))
    for annotation in json.loads(path.read_text())["annotations"]:
        semantic, instance, crowd = files.read_labels(annotation["image_id"])
        infos = annotation["segments_info"]
        assert crowd.sum() == sum(info["area"] for info in infos if info["iscrowd"])
        things = [
            i for i in infos if files.dataset.categories[files._class_of[i["category_id"]]].is_thing
        ]
        areas = sorted(info["area"] for info in things if not info["iscrowd"])
        assert sorted(np.bincount(instance.ravel())[1:]) == areas
        assert (semantic != 255).sum() == sum(info["area"] for info in infos)


def test_an_image_of_void_alone_is_read(parse, write, toy_dataset):
    empty = Parsing.from_maps(np.full((20, 30), 255), np.zeros((20, 30), int), toy_dataset)
    files = PanopticFiles(*write("void", empty))
    assert (files.read_labels("a")[0] == 255).all()
    table = compare(strict_pair(write("truth", parse), write("parses", empty)), "a").table
    assert len(table.pred_class) == 0 and len(table.gt_class) == 5


def _drop_segment(content):
    content["annotations"][0]["segments_info"].pop()


def _add_segment(content):
    content["annotations"][0]["segments_info"].append(dict(id=77, category_id=0))


def _repeat_segment(content):
    content["annotations"][0]["segments_info"] *= 2


def _unknown_category(content):
    content["annotations"][0]["segments_info"][0]["category_id"] = 99


def _leave_folder(content):
    content["annotations"][0]["file_name"] = "../../secret.png"


def _id_beyond_the_png(content):
    content["annotations"][0]["segments_info"][0]["id"] = 1 << 24


def _id_beyond_all_integers(content):
    content["annotations"][0]["segments_info"][0]["id"] = 1 << 80


def _id_of_void(content):
    content["annotations"][0]["segments_info"][0]["id"] = 0


def _id_as_text(content):
    content["annotations"][0]["segments_info"][0]["id"] = "5"


def _category_as_list(content):
    content["annotations"][0]["segments_info"][0]["category_id"] = [1]


def _no_list_of_segments(content):
    content["annotations"][0]["segments_info"] = None


def _annotation_is_no_object(content):
    content["annotations"][0] = "a"


def _lose_image(content):
    content["annotations"] = []


def _lose_png(content):
    content["annotations"][0]["file_name"] = "gone.png"


def _repeat_image(content):
    content["annotations"] *= 2


def _lose_key(content):
    del content["annotations"][0]["segments_info"]


def _no_annotations(content):
    del content["annotations"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_drop_segment, "is in the PNG but not in the JSON"),
        (_add_segment, "segment 77 is in the JSON but has no pixel in the PNG"),
        (_repeat_segment, "twice; segments may not overlap"),
        (_unknown_category, "category 99"),
        (_id_beyond_the_png, "can hold ids below 16777216"),
        (_id_beyond_all_integers, "can hold ids below 16777216"),
        (_id_of_void, "id 0, which means void"),
        (_id_as_text, "not both whole numbers"),
        (_category_as_list, "not both whole numbers"),
        (_no_list_of_segments, "image a in .* needs a file name and a list of segments"),
        (_annotation_is_no_object, "annotation that is not an object"),
        (_leave_folder, "leaves the folder"),
        (_lose_image, "has no annotation for image a"),
        (_lose_png, "there is no file .*gone.png"),
        (_repeat_image, "annotates image a twice"),
        (_lose_key, "lacks 'segments_info'"),
        (_no_annotations, "has no list of annotations"),
    ],
)
def test_bad_predictions_are_named(parse, write, change, message):
    truth, arguments = write("truth", parse), write("parses", parse)
    edit(arguments[0], change)
    with pytest.raises(UserError, match=message):
        compare(strict_pair(truth, arguments), "a")


def _categories(*changes):
    return lambda content: [
        content["categories"][index].update(change) for index, change in changes
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.pop("categories"), "names no categories"),
        (
            lambda content: content["categories"][0].pop("isthing"),
            "a category in .* lacks 'isthing'",
        ),
        (lambda content: content["categories"].append(7), "a category in .* lacks 'id'"),
        (_categories((0, {"id": "x"})), "id that is not a whole number"),
        (_categories((0, {"id": 5}), (1, {"id": 5})), "has category 5 twice"),
        (_categories((0, {"name": "sky"}), (1, {"name": "sky"})), "names class 'sky' twice"),
    ],
)
def test_bad_categories_of_the_truth_are_named(parse, write, change, message):
    arguments = write("truth", parse)
    edit(arguments[0], change)
    with pytest.raises(UserError, match=message):
        PanopticFiles(*arguments)


@pytest.mark.parametrize(
    "color", [["red;}</style><script>", 0, 0], [1, 2], "blue", [0, 0, 999], None]
)
def test_colors_that_are_none_are_replaced(parse, write, color):
    arguments = write("truth", parse)
    edit(arguments[0], _categories((0, {"color": color})))
    assert all(0 <= value <= 255 for value in PanopticFiles(*arguments).dataset.colors[0])


def test_image_ids_are_numbers_where_coco_has_numbers(parse, tmp_path, toy_dataset):
    writer = PanopticWriter(str(tmp_path), str(tmp_path / "parses.json"), toy_dataset)
    writer.add(parse, "000000142238", "000000142238")
    writer.close()
    assert (
        json.loads((tmp_path / "parses.json").read_text())["annotations"][0]["image_id"] == 142238
    )
    files = PanopticFiles(str(tmp_path / "parses.json"), str(tmp_path))
    for image_id in (142238, "142238", "000000142238"):
        assert image_id in files
        np.testing.assert_array_equal(files.read_labels(image_id)[0], parse.semantic)
    assert "142238a" not in files


@pytest.mark.parametrize("images", [None, 5, {"a": 1}, [7, {"file_name": "a.jpg"}]])
def test_a_list_of_images_that_is_none_does_not_matter(parse, write, images):
    arguments = write("parses", parse)
    edit(arguments[0], lambda content: content.update(images=images))
    files = PanopticFiles(*arguments)
    assert files.image_ids == ["a"] and files.photo_name("a") is None


def test_another_size_and_another_format_are_named(parse, write):
    truth = write("truth", parse)
    smaller = Parsing.from_maps(parse.semantic[:10], parse.instance[:10], parse.dataset)
    with pytest.raises(UserError, match="is 10 x 30 pixels"):
        compare(strict_pair(truth, write("small", smaller)), "a")
    arguments = write("grey", parse)
    cv2.imwrite(arguments[1] + "/a.png", np.zeros((20, 30), np.uint8))
    with pytest.raises(UserError, match="is not a panoptic PNG"):
        compare(strict_pair(truth, arguments), "a")


def test_names_that_leave_the_folder_are_not_written(parse, tmp_path, toy_dataset):
    writer = PanopticWriter(str(tmp_path / "in"), str(tmp_path / "in.json"), toy_dataset)
    with pytest.raises(UserError, match="leaves the folder"):
        writer.add(parse, "a", "../out")
    assert not (tmp_path / "out.png").exists()


def test_files_of_the_users_are_not_written_over(parse, tmp_path, toy_dataset):
    photo, truth = tmp_path / "photo.png", tmp_path / "gt.json"
    photo.write_text("a photo")
    writer = PanopticWriter(str(tmp_path), str(truth), toy_dataset)
    with pytest.raises(UserError, match=r"photo\.png exists already"):
        writer.add(parse, "photo", "photo")
    writer.add(parse, "parse", "parse")
    with pytest.raises(UserError, match="are called 'parse'"):
        writer.add(parse, "other", "parse")
    truth.write_text("the truth")
    with pytest.raises(UserError, match=r"gt\.json exists already"):
        writer.close()
    with pytest.raises(UserError, match=r"gt\.json exists already"):
        PanopticWriter(str(tmp_path), str(truth), toy_dataset)
    assert photo.read_text() == "a photo" and truth.read_text() == "the truth"
