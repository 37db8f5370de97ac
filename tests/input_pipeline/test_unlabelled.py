"""Photos without labels: where the benchmarks' archives and lists have them."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from deeperlab_tf.config import default_config
from deeperlab_tf.errors import UserError
from deeperlab_tf.evaluation.submit import write_results
from deeperlab_tf.files.inputs import find_inputs
from deeperlab_tf.files.submissions import RESULT_FORMATS
from deeperlab_tf.prediction.parsing import Parsing
from input_pipeline.unlabelled import open_photos
from tests.toys import toy_dataset


def photos_at(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((6, 8, 3), np.uint8)).save(path)


def opened(root, dataset="folder", split="test", image_list=""):
    config = default_config()
    config.data.dataset, config.data.root = dataset, str(root)
    return open_photos(config, split, str(image_list))


def test_coco_lists_its_test_split(tmp_path):
    names = [f"{number:012d}.jpg" for number in (1, 19)]
    photos_at(tmp_path, *(f"test2017/{name}" for name in (*names, "000000000002.jpg")))
    listed = {"images": [{"id": int(name[:-4]), "file_name": name} for name in names]}
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/image_info_test-dev2017.json").write_text(json.dumps(listed))
    assert opened(tmp_path, "coco", "test-dev").names == [name[:-4] for name in names]


@pytest.mark.parametrize(
    "dataset, file, name",
    [
        ("cityscapes", "leftImg8bit/test/bonn/bonn_1_2_leftImg8bit.png", "bonn_1_2"),
        ("vistas", "testing/images/x.jpg", "x"),
        ("voc", "VOC2012/JPEGImages/2008_1.jpg", "2008_1"),
        ("folder", "a.JPG", "a"),
    ],
)
def test_test_splits_are_found_where_archives_have_them(tmp_path, dataset, file, name):
    photos_at(tmp_path, file)
    if dataset == "voc":
        listed = tmp_path / "VOC2012/ImageSets/Segmentation/test.txt"
        listed.parent.mkdir(parents=True)
        listed.write_bytes("2008_1\r\n".encode("utf-8-sig"))
    photos = opened(tmp_path, dataset)
    assert photos.names == [name] and photos[0]["image"].shape == (6, 8, 3)


def test_photos_of_two_cities_with_one_name_keep_their_city(tmp_path):
    places = ("berlin/a", "bonn/a", "bonn/b")
    photos_at(tmp_path, *(f"leftImg8bit/test/{place}_leftImg8bit.png" for place in places))
    assert opened(tmp_path, "cityscapes").names == ["berlin/a", "bonn/a", "b"]


def test_a_list_that_names_a_photo_twice_is_refused(tmp_path):
    photos_at(tmp_path, "a.png")
    images = [{"id": number, "file_name": "a.png"} for number in (1, 2)]
    (tmp_path / "some.json").write_text(json.dumps({"images": images}))
    with pytest.raises(UserError, match=r"some\.json names 'a\.png' 2 times"):
        opened(tmp_path, image_list=tmp_path / "some.json")


def test_a_list_may_be_text(tmp_path):
    photos_at(tmp_path, "a.png", "in/b.png", "c.png")
    (tmp_path / "some.txt").write_text("in/b.png\na.png\n")
    assert opened(tmp_path, image_list=tmp_path / "some.txt").names == ["in/b", "a"]
    (tmp_path / "some.txt").write_text("in/b\na\n")
    assert opened(tmp_path, image_list=tmp_path / "some.txt").names == ["in/b", "a"]


def test_a_missing_image_of_a_list_is_told(tmp_path):
    photos_at(tmp_path, "a.png")
    (tmp_path / "some.txt").write_text("a.png\nb.png\n")
    with pytest.raises(UserError, match=r"1 of the 2 images .* such as 'b\.png'"):
        opened(tmp_path, image_list=tmp_path / "some.txt")
    with pytest.raises(UserError, match="does not exist"):
        opened(tmp_path / "nowhere")


class EverythingIsADisc:
    dataset = toy_dataset()

    def predict_all(self, source, batch_size, progress=True):
        for index in range(len(source)):
            size = source[index]["image"].shape[:2]
            semantic, instance = np.full(size, 2, np.int32), np.ones(size, np.int32)
            parse = Parsing.from_maps(semantic, instance, self.dataset, scores=np.array([0.5]))
            yield index, source[index], parse


def test_results_of_every_form_are_written_without_labels(tmp_path):
    photos_at(tmp_path / "photos", "a.png", "in/b.png")
    formats = sorted(RESULT_FORMATS)
    photos = opened(tmp_path / "photos")
    assert write_results(EverythingIsADisc(), photos, str(tmp_path / "out"), formats) == []
    assert (tmp_path / "out/results_coco/in/b.png").is_file()
    assert (tmp_path / "out/results_voc/SegmentationClass/a.png").is_file()
    assert (tmp_path / "out/results_cityscapes/instance/a.txt").is_file()
    assert (tmp_path / "out/results_vistas/parses.json").is_file()
    with pytest.raises(UserError, match="nothing would be written"):
        write_results(EverythingIsADisc(), photos, str(tmp_path / "none"), [])


def test_a_bad_photo_is_named_and_the_results_of_the_rest_are_written(tmp_path, capsys):
    photos_at(tmp_path / "photos", "a.png", "c.png")
    bad = tmp_path / "photos" / "b.png"
    bad.write_bytes((tmp_path / "photos/a.png").read_bytes()[:60])
    for batch_size in (1, 2, 3):
        output, photos = tmp_path / str(batch_size), opened(tmp_path / "photos")
        left_out = write_results(
            EverythingIsADisc(), photos, str(output), ["coco", "voc"], batch_size
        )
        assert left_out == [str(bad)]
        assert "left out: image" in (said := capsys.readouterr().err) and str(bad) in said
        content = json.loads((output / "results_coco/parses.json").read_text())
        assert [image["id"] for image in content["images"]] == ["a", "c"]
        drawn = sorted(path.name for path in (output / "results_voc/SegmentationClass").iterdir())
        assert drawn == ["a.png", "c.png"]

    for name in ("a.png", "c.png"):
        (tmp_path / "photos" / name).write_bytes(b"no image")
    with pytest.raises(UserError, match=r"none of 3 images can be read; the first: .*a\.png"):
        write_results(EverythingIsADisc(), opened(tmp_path / "photos"), str(output), ["voc"])


class EverythingIsCrowded(EverythingIsADisc):
    """As many instances as pixels; in small photos more than VOC's form has room for."""

    def predict_all(self, source, batch_size, progress=True):
        for index in range(len(source)):
            height, width = source[index]["image"].shape[:2]
            instance = np.arange(1, height * width + 1).reshape(height, width)
            parse = Parsing.from_maps(np.full_like(instance, 2), instance, self.dataset)
            yield index, source[index], parse


def test_a_parse_that_a_form_cannot_hold_is_named_and_the_rest_is_written(tmp_path, capsys):
    photos_at(tmp_path / "photos", "a.png", "c.png")
    Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(tmp_path / "photos/b.png")
    photos, output = opened(tmp_path / "photos"), tmp_path / "out"
    predictor = EverythingIsCrowded()
    left_out = write_results(predictor, photos, str(output), ["voc", "coco"], batch_size=2)
    assert left_out == [str(tmp_path / "photos/b.png")]
    said = capsys.readouterr().err
    assert "left out of results_voc: the parse of b has 400 instances; a VOC PNG holds" in said
    for folder, names in (
        ("results_voc/SegmentationClass", ["a.png", "c.png"]),
        ("results_voc/SegmentationObject", ["a.png", "c.png"]),
        ("results_coco", ["a.png", "b.png", "c.png", "parses.json"]),
    ):
        assert sorted(path.name for path in (output / folder).iterdir()) == names
    for name in ("a", "c"):
        (tmp_path / f"photos/{name}.png").unlink()
    with pytest.raises(UserError, match="the parse of b has 400 instances"):
        write_results(predictor, opened(tmp_path / "photos"), str(tmp_path / "none"), ["voc"])


def test_results_have_the_ids_of_the_list(tmp_path):
    """By which the benchmark's server knows an image, whatever its file is called."""
    photos_at(tmp_path / "photos", "a.png", "in/b.png")
    listed = tmp_path / "info.json"
    images = [{"id": 7, "file_name": "in/b.png"}, {"id": "night", "file_name": "a.png"}]
    listed.write_text(json.dumps({"images": images}))
    photos = opened(tmp_path / "photos", image_list=listed)
    formats = ["coco", "vistas", "cityscapes", "voc"]
    assert write_results(EverythingIsADisc(), photos, str(tmp_path / "out"), formats) == []
    for place in ("results_coco", "results_vistas", "results_cityscapes/panoptic"):
        content = json.loads((tmp_path / "out" / place / "parses.json").read_text())
        assert [image["id"] for image in content["images"]] == [7, "night"]
        entries = [(each["image_id"], each["file_name"]) for each in content["annotations"]]
        assert entries == [(7, "in/b.png"), ("night", "a.png")]

    wrong = {r"gives 'in/b\.png' and 'a\.png' the id": [7, 7], "have no id": [None, 7]}
    for message, ids in wrong.items():
        some = [{"id": id_, "file_name": image["file_name"]} for id_, image in zip(ids, images)]
        listed.write_text(json.dumps({"images": some}))
        with pytest.raises(UserError, match=message):
            opened(tmp_path / "photos", image_list=listed)


def test_a_single_photo_is_one(tmp_path):
    photos_at(tmp_path, "in/a.png", "b.png")
    photos = opened(tmp_path / "in/a.png")
    assert photos.names == ["a"] and photos.paths == [str(tmp_path / "in/a.png")]
    with pytest.raises(UserError, match="is one photo; give the folder"):
        opened(tmp_path / "in/a.png", image_list=tmp_path / "list.txt")


def test_results_inside_the_photos_folder_are_no_photos(tmp_path):
    """Nor are they to predict.py without --results; what the user calls alike stays a photo."""
    photos_at(tmp_path, "a.png", "in/b.png", "results_voc/c.png", "mine/d.png")
    (tmp_path / "mine/made_by.json").write_text('{"made_by": "me"}')
    names = ["a", "in/b", "mine/d", "results_voc/c"]
    for output in ("s1", "in/s2"):
        photos = opened(tmp_path)
        assert photos.names == names
        write_results(EverythingIsADisc(), photos, str(tmp_path / output), sorted(RESULT_FORMATS))
    assert opened(tmp_path).passed_over > 2 * 4 * len(names)
    inputs = find_inputs(str(tmp_path))
    assert inputs.images == [str(tmp_path / f"{name}.png") for name in names]
    assert inputs.passed_over == opened(tmp_path).passed_over
    with pytest.raises(UserError, match=r"no photo .* besides .* results of earlier parses"):
        opened(tmp_path / "s1")

    parse = Parsing.from_maps(np.full((6, 8), 2), np.ones((6, 8), int), toy_dataset())
    parse.save(tmp_path, "a_parse")
    assert opened(tmp_path).names == names


@pytest.mark.parametrize("form", sorted(RESULT_FORMATS))
def test_results_that_were_moved_are_no_photos(form, tmp_path):
    photos_at(tmp_path / "photos", "a.png", "in/b.png")
    out = tmp_path / "out"
    write_results(EverythingIsADisc(), opened(tmp_path / "photos"), str(out), [form])
    shutil.copytree(out / f"results_{form}", tmp_path / "photos/copied")
    moved = next(path for path in out.rglob("*.png") if path.name.startswith("b"))
    moved.rename(tmp_path / "photos/moved.png")
    (out / f"results_{form}").rename(tmp_path / "photos/in/elsewhere")
    photos, inputs = opened(tmp_path / "photos"), find_inputs(str(tmp_path / "photos"))
    assert photos.names == ["a", "in/b"] and inputs.images == photos.paths
    assert photos.passed_over == inputs.passed_over > 3
    # What somebody drew over a result is that person's.
    Image.open(tmp_path / "photos/moved.png").convert("RGB").save(tmp_path / "photos/moved.png")
    assert opened(tmp_path / "photos").names == ["a", "moved", "in/b"]


@pytest.mark.parametrize("listed", ["", "list.txt", "info.json"])
def test_what_lies_on_the_disk_is_what_would_be_held(tmp_path, monkeypatch, listed):
    files = [f"{number % 3}/photo {number:02d}.jpg" for number in range(40)]
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    (tmp_path / "list.txt").write_text("\n".join(reversed(files)))
    images = [{"id": 100 - n, "file_name": file} for n, file in enumerate(files)]
    (tmp_path / "info.json").write_text(json.dumps({"images": images}))
    path = listed and tmp_path / listed

    def found():
        photos = opened(tmp_path, image_list=path)
        return list(photos.names), list(photos.paths), list(photos.ids)

    held = found()
    assert len(held[0]) == 40 and bool(held[2]) == (listed == "info.json")
    monkeypatch.setattr("deeperlab_tf.work.names.HELD", 10)
    monkeypatch.setattr("deeperlab_tf.files.large_json.HELD", 10)
    assert found() == held
    assert not isinstance(opened(tmp_path, image_list=path).paths, list)
