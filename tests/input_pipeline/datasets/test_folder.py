"""Anybody's own data: what loads, and one clear sentence for what does not."""

import shutil

import numpy as np
import pytest
from PIL import Image

from deeperlab_tf.config import default_config
from deeperlab_tf.errors import UserError
from input_pipeline.datasets.folder import Folder
from input_pipeline.sources import open_source


@pytest.mark.both_stacks
def test_labels_come_back_as_classes_and_instances(folder):
    source = open_source(folder.config, "train")
    assert [source[i]["image_id"] for i in range(len(source))] == ["im0", "im1", "im3", "im4"]
    sample = source[0]
    assert sample["image"].shape == (20, 30, 3) and sample["image"].dtype == np.uint8
    assert (
        sample["semantic"].dtype == sample["instance"].dtype == np.int32
        and sample["crowd"].dtype == bool
    )
    assert (
        np.all(sample["semantic"][0] == 255)
        and sample["semantic"][5, 5] == 1
        and sample["semantic"][15, 0] == 0
    )
    assert (
        sample["instance"][5, 5] == 1
        and sample["instance"][10, 25] == 2
        and np.sum(sample["instance"] > 0) == 90
    )
    assert not sample["crowd"].any()
    assert source.dataset.class_names == ("road", "car") and source.dataset.thing_classes == (1,)


def test_every_nth_name_is_validation(folder):
    source = open_source(folder.config, "val")
    assert [source[i]["image_id"] for i in range(len(source))] == ["im2", "im5"]


def test_splits_may_be_lists(folder):
    (folder.root / "mine.txt").write_text("im4\nim1\n")
    folder.write(split={"test": "mine.txt"})
    source = open_source(folder.config, "test")
    assert [source[i]["image_id"] for i in range(len(source))] == ["im4", "im1"]


def test_the_same_object_number_in_two_classes_is_two_instances(folder):
    folder.write(
        classes=[*folder.description["classes"], {"name": "bus", "type": "thing", "id": 8}]
    )
    semantic = np.full((20, 30), 3, np.uint8)
    semantic[:5], semantic[5:9] = 7, 8
    folder.save("semantic", 0, semantic)
    folder.save("instances", 0, np.where(semantic > 3, 4, 0).astype(np.uint8))
    sample = open_source(folder.config, "train")[0]
    assert {
        tuple(np.unique(sample["instance"][sample["semantic"] == label])) for label in (1, 2)
    } == {(1,), (2,)}


def test_things_without_an_object_number_are_crowd(folder):
    folder.save("instances", 0, np.zeros((20, 30), np.uint8))
    sample = open_source(folder.config, "train")[0]
    assert np.array_equal(sample["crowd"], sample["semantic"] == 1) and not sample["instance"].any()


def test_instance_masks_alone_do_for_one_thing_class(folder):
    shutil.rmtree(folder.root / "semantic")
    folder.write(semantic=None)
    sample = open_source(folder.config, "train")[0]
    np.testing.assert_array_equal(sample["semantic"], sample["instance"] > 0)


def test_the_description_may_be_yaml_outside_the_data(folder, tmp_path_factory):
    (folder.root / "classes.json").unlink()
    path = tmp_path_factory.mktemp("elsewhere") / "mine.yaml"
    path.write_text(
        "images: images/{id}.png\ninstances: instances/{id}.png\n"
        "classes: [{name: ground, type: stuff}, {name: cell, type: thing, color: [1, 2, 3]}]\n"
    )
    source = Folder(str(folder.root), "train", str(path))
    assert source.dataset.colors[1] == (1, 2, 3) and len(source) == 6


def test_penn_fudan_loads_with_its_files_as_they_are(data_dir, repository):
    config = default_config()
    config.data.dataset = "folder"
    config.data.root = str(data_dir / "pennfudan" / "PennFudanPed")
    config.data.classes = str(repository / "experiments" / "pennfudan.yaml")
    train, val = open_source(config, "train"), open_source(config, "val")
    assert (len(train), len(val)) == (136, 34)
    assert val[0]["image_id"] == "FudanPed00005"
    assert train.dataset.class_names == ("background", "person")
    sample = train[0]
    assert sample["instance"].max() == 2 and np.array_equal(
        sample["semantic"] == 1, sample["instance"] > 0
    )


# === Bad input ===


def first(folder, split="train"):
    return open_source(folder.config, split)[0]


def test_a_missing_folder_is_named(folder):
    shutil.rmtree(folder.root)
    with pytest.raises(UserError, match="does not exist"):
        first(folder)


def test_an_empty_folder_is_named(folder):
    shutil.rmtree(folder.root / "images")
    with pytest.raises(UserError, match=r"there is no image images/{id}.png"):
        first(folder)


def test_a_missing_description_is_named(folder):
    (folder.root / "classes.json").unlink()
    with pytest.raises(UserError, match=r"no classes.yaml or classes.json"):
        first(folder)


@pytest.mark.parametrize("kind", ["semantic", "instances"])
def test_an_image_without_its_mask_is_named(folder, kind):
    folder.path(kind, 1).unlink()
    with pytest.raises(UserError, match=f"image 'im1' has no {kind} mask"):
        first(folder)


@pytest.mark.parametrize("kind", ["semantic", "instances"])
def test_a_mask_of_another_size_is_named(folder, kind):
    folder.save(kind, 0, np.full((20, 31), 3, np.uint8))
    with pytest.raises(UserError, match=r"im0.png is 20 x 31 but its image .* is 20 x 30"):
        first(folder)


def test_a_class_id_outside_the_list_is_named(folder):
    folder.save("semantic", 0, np.full((20, 30), 42, np.uint8))
    with pytest.raises(UserError, match=r"im0.png holds the class id 42"):
        first(folder)


@pytest.mark.parametrize("kind", ["images", "semantic"])
@pytest.mark.parametrize("damage", ["truncated", "text", "empty"])
def test_an_unreadable_file_is_named(folder, kind, damage):
    path = folder.path(kind, 0)
    data = path.read_bytes()
    path.write_bytes(
        {"truncated": data[: len(data) // 2], "text": b"no picture at all", "empty": b""}[damage]
    )
    with pytest.raises(UserError, match=r"im0.png cannot be read"):
        first(folder)


def test_a_colour_picture_is_no_mask(folder):
    folder.save("semantic", 0, np.zeros((20, 30, 3), np.uint8))
    with pytest.raises(UserError, match="not a map of ids"):
        first(folder)


def test_names_that_leave_the_folder_are_refused(folder):
    (folder.root / "mine.txt").write_text("../../secret\n")
    folder.write(split={"train": "mine.txt"})
    with pytest.raises(UserError, match="leaves the folder"):
        first(folder)
    folder.write(images="../{id}.png")
    with pytest.raises(UserError, match="leaves the folder"):
        first(folder)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"classes": None}, "'classes' must be a list"),
        ({"classes": [{"name": "x"}]}, "class number 0"),
        ({"classes": [{"name": "x", "type": "stuff", "colour": 1}]}, "unknown key 'colour'"),
        ({"classes": [{"name": "x", "type": "stuff", "color": [1, 2, 300]}]}, "color"),
        ({"classes": [{"name": "x", "type": "stuff", "id": -1}]}, "the id -1"),
        (
            {"classes": [{"name": "x", "type": "stuff"}, {"name": "y", "type": "thing", "id": 0}]},
            "id 0 has two meanings",
        ),
        ({"images": None}, "'images' is missing"),
        ({"images": "images/all.png"}, "one {id}"),
        ({"instances": None}, "'instances' is missing"),
        ({"semantic": None, "classes": [{"name": "x", "type": "thing"}]}, "'semantic' is missing"),
        ({"ignore": 255}, "'ignore'"),
        ({"split": {"every_nth": 1}}, "'every_nth' is 1"),
        ({"split": {"every_nth": 7}}, "is empty"),
        ({"split": {"train": "none.txt"}}, "cannot read the list"),
        ({"split": {"test": "none.txt"}}, "split 'val' is unknown"),
        ({"masks": "x"}, "unknown key 'masks'"),
    ],
)
def test_a_faulty_description_says_where(folder, change, message):
    folder.write(**change)
    split = "train" if change.get("split", {}).get("train") else "val"
    with pytest.raises(UserError, match=message):
        first(folder, split)


def test_a_description_that_is_no_yaml_is_named(folder):
    (folder.root / "classes.json").write_text("{")
    with pytest.raises(UserError, match="not valid JSON"):
        first(folder)


def test_a_list_that_repeats_a_name_is_refused(folder):
    (folder.root / "mine.txt").write_text("im1\nim1\n")
    folder.write(split={"train": "mine.txt"})
    with pytest.raises(UserError, match="names 'im1' twice"):
        first(folder)


def test_an_unknown_dataset_is_named():
    config = default_config()
    config.data.dataset = "imagenet"
    with pytest.raises(UserError, match="'imagenet'"):
        open_source(config, "train")


def test_image_and_mask_files_keep_16_bit_ids(folder):
    ids = np.zeros((20, 30), np.uint16)
    ids[2:9, 3:9] = 700
    Image.fromarray(ids).save(folder.path("instances", 0))
    sample = first(folder)
    assert sample["instance"].max() == 1 and np.sum(sample["instance"]) == 42
