import json

import numpy as np
import pytest

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.coco_panoptic import PanopticFiles
from deeperlab_tf.files.images import read_image
from deeperlab_tf.files.panoptic_png import color_to_id
from deeperlab_tf.prediction.parsing import Parsing


@pytest.fixture
def fused():
    """What `fuse` gives for one image: a disc and a box on two stuff classes, arrays padded to four
    instances.
    """
    semantic = np.repeat([[0], [1]], [6, 6], axis=0) + np.zeros((12, 16), int)
    semantic[2:5, 2:6], semantic[7:11, 8:14] = 2, 3
    instance = np.where(semantic == 2, 1, np.where(semantic == 3, 2, 0))
    return dict(
        semantic=semantic.astype(np.int32),
        instance=instance.astype(np.int32),
        panoptic=(semantic * 1000 + instance).astype(np.int32),
        instance_class=np.array([2, 3, -1, -1], np.int32),
        instance_score=np.array([0.9, 0.6, 0, 0], np.float32),
        instance_box=np.zeros((4, 4), np.float32),
        instance_keypoints=np.ones((4, 5, 2), np.float32),
        num_instances=np.int32(2),
    )


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)


@pytest.mark.both_stacks
def test_segments_tell_class_score_box_and_area(fused, toy_dataset):
    parsing = Parsing.from_fused(fused, toy_dataset)
    assert sum(segment.area for segment in parsing.segments) == 12 * 16
    by_name = {segment.name: segment for segment in parsing.segments}
    disc = by_name["disc"]
    assert (disc.id, disc.class_index, disc.instance, disc.is_thing) == (2001, 2, 1, True)
    assert (disc.box, disc.area) == ((2, 2, 5, 6), 12)
    assert disc.score == pytest.approx(0.9)
    assert by_name["box"].box == (7, 8, 11, 14)
    assert by_name["sky"].score is None and not by_name["sky"].is_thing
    assert [segment.area for segment in parsing.segments] == sorted(
        (s.area for s in parsing.segments), reverse=True
    )
    assert parsing.keypoints.shape == (2, 5, 2)


def test_coco_form_holds_every_segment_once(fused, toy_dataset):
    parsing = Parsing.from_fused(fused, toy_dataset)
    ids, infos = parsing.to_coco()
    assert len({info["id"] for info in infos}) == 4
    for segment, info in zip(parsing.segments, infos):
        np.testing.assert_array_equal(ids == info["id"], parsing.panoptic == segment.id)
        assert info["category_id"] == toy_dataset.categories[segment.class_index].original_id
    disc = next(info for info in infos if info["category_id"] == 2)
    assert disc["bbox"] == [2, 2, 4, 3] and disc["score"] == pytest.approx(0.9)
    sky = next(info for info in infos if info["category_id"] == 0)
    assert sky["id"] == color_to_id(toy_dataset.colors[0]) and "score" not in sky


def test_unlabelled_pixels_are_void(fused, toy_dataset):
    semantic = fused["semantic"].copy()
    semantic[0] = 255
    parsing = Parsing.from_maps(semantic, fused["instance"], toy_dataset)
    assert sum(segment.area for segment in parsing.segments) == 11 * 16
    assert (parsing.to_coco()[0][0] == 0).all()


def test_more_instances_than_the_divisor_keep_their_own_ids(toy_dataset):
    instance = np.arange(1, 1501).reshape(30, 50)
    parsing = Parsing.from_maps(np.full((30, 50), 2), instance, toy_dataset)
    assert len(parsing.segments) == 1500
    assert len({info["id"] for info in parsing.to_coco()[1]}) == 1500


def test_save_writes_png_json_and_overlay(fused, image, toy_dataset, tmp_path):
    parsing = Parsing.from_fused(fused, toy_dataset, image)
    parsing.save(tmp_path, "scene")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "scene.json",
        "scene.png",
        "scene_overlay.jpg",
    ]
    files = PanopticFiles(str(tmp_path / "scene.json"), str(tmp_path))
    np.testing.assert_array_equal(files.read_labels("scene")[0], parsing.semantic)
    assert (
        json.loads((tmp_path / "scene.json").read_text())["annotations"][0]["file_name"]
        == "scene.png"
    )
    assert read_image(str(tmp_path / "scene_overlay.jpg")).ndim == 3


def test_save_makes_subfolders_but_does_not_leave_the_folder(fused, toy_dataset, tmp_path):
    parsing = Parsing.from_fused(fused, toy_dataset)
    parsing.save(tmp_path / "in", "a/b")
    assert (tmp_path / "in" / "a" / "b.png").exists()
    files = PanopticFiles(str(tmp_path / "in" / "a" / "b.json"), str(tmp_path / "in"))
    np.testing.assert_array_equal(files.read_labels("a/b")[0], parsing.semantic)
    with pytest.raises(UserError, match="leaves the folder"):
        parsing.save(tmp_path / "in", "../out")


def test_overlay_has_the_size_of_the_image_and_needs_one(fused, image, toy_dataset):
    parsing = Parsing.from_fused(fused, toy_dataset)
    assert parsing.overlay(image).shape == image.shape
    with pytest.raises(UserError, match="does not hold its image"):
        parsing.overlay()


def test_instance_numbers_beyond_the_panoptic_map_are_named(toy_dataset):
    semantic = np.full((2, 2), 2)
    for number in (2**31, 2**40, 2**31 // 3):
        with pytest.raises(UserError, match=f"instance {number} is too large"):
            Parsing.from_maps(semantic, np.full((2, 2), number), toy_dataset)
    fits = Parsing.from_maps(semantic, np.full((2, 2), 10**8), toy_dataset)
    assert (fits.panoptic == 2 * (10**8 + 1) + 10**8).all() and fits.segments[0].instance == 10**8
