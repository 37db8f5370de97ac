"""The four benchmarks' readers, on genuine samples and on made-up full layouts."""

import json
import shutil

import numpy as np
import pytest
import scipy.io
from PIL import Image

from deeperlab_tf.config import default_config
from deeperlab_tf.errors import UserError
from deeperlab_tf.files.panoptic_png import VOID
from input_pipeline import open_source
from input_pipeline.checks import check_source
from input_pipeline.datasets import cityscapes, coco, vistas, voc
from input_pipeline.records import write
from input_pipeline.sources import check_trainable


@pytest.fixture
def coco_root(data_dir, tmp_path):
    """The two genuine photos in the official layout."""
    sample = data_dir / "coco_panoptic" / "sample_data"
    (tmp_path / "annotations").mkdir()
    for source, target in (
        ("panoptic_examples.json", "annotations/panoptic_val2017.json"),
        ("panoptic_examples", "annotations/panoptic_val2017"),
        ("input_images", "val2017"),
    ):
        copy = shutil.copytree if (sample / source).is_dir() else shutil.copy
        copy(sample / source, tmp_path / target)
    for path in tmp_path.rglob("*"):
        path.chmod(0o755)
    return tmp_path


def edit_json(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


# === Class tables ===


def test_coco_classes_are_the_official_ones(data_dir):
    official = json.loads(
        (data_dir / "coco_panoptic" / "panoptic_coco_categories.json").read_text()
    )
    ours = [
        (c.original_id, c.name, int(c.is_thing), list(c.color)) for c in coco.DATASET.categories
    ]
    assert ours == [(c["id"], c["name"], c["isthing"], c["color"]) for c in official]
    assert len(coco.DATASET.thing_classes) == 80 and len(coco.DATASET.stuff_classes) == 53


def test_vistas_classes_are_the_official_ones(data_dir):
    official = json.loads((data_dir / "vistas_mini" / "config_v1.2.json").read_text())["labels"]
    ours = [(c.original_id, c.name, c.is_thing, list(c.color)) for c in vistas.DATASET.categories]
    assert ours == [
        (i, c["readable"], c["instances"], c["color"])
        for i, c in enumerate(official)
        if c["evaluate"]
    ]
    assert len(vistas.DATASET.thing_classes) == 37 and len(vistas.DATASET.stuff_classes) == 28


def test_cityscapes_classes_are_the_19_train_ids(data_dir):
    folder = data_dir / "cityscapes_mini" / "gtFine" / "val" / "frankfurt"
    ids = np.asarray(Image.open(next(folder.glob("*_labelIds.png"))))
    train_ids = np.asarray(Image.open(next(folder.glob("*_labelTrainIds.png"))))
    for label, category in enumerate(cityscapes.DATASET.categories):
        found = train_ids[ids == category.original_id]
        # The sample was made smaller, each mask on its own.
        assert not found.size or np.mean(found == label) > 0.95
    assert (
        cityscapes.DATASET.thing_classes == tuple(range(11, 19))
        and cityscapes.DATASET.num_classes == 19
    )
    # From cityscapesscripts 2.3.0, helpers/labels.py.
    ids = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
    assert tuple(category.original_id for category in cityscapes.DATASET.categories) == ids
    colors = {
        "fence": (190, 153, 153),
        "terrain": (152, 251, 152),
        "rider": (255, 0, 0),
        "truck": (0, 0, 70),
    }
    assert {
        name: dict(zip(cityscapes.DATASET.class_names, cityscapes.DATASET.colors))[name]
        for name in colors
    } == colors


def test_voc_colours_are_those_of_its_palette(data_dir):
    palette = Image.open(next((data_dir / "voc" / "SegmentationClass").glob("*.png"))).getpalette()
    assert [list(color) for color in voc.DATASET.colors] == [
        palette[3 * i : 3 * i + 3] for i in range(21)
    ]


# === Labels ===


def test_coco_segments_become_labels(coco_root):
    source = coco.CocoPanoptic(coco_root, "val")
    assert len(source) == 2
    for index, annotation in enumerate(source.annotations):
        sample = source[index]
        assert sample["coco_id"] == annotation["image_id"]
        ids = np.asarray(Image.open(source.paths(index)[1]).convert("RGB")).astype(int) @ [
            1,
            256,
            65536,
        ]
        seen = set()
        for segment in annotation["segments_info"]:
            region = ids == segment["id"]
            assert region.sum() == segment["area"]
            (label,) = np.unique(sample["semantic"][region])
            category = coco.DATASET.categories[label]
            assert category.original_id == segment["category_id"]
            assert np.all(sample["crowd"][region] == segment["iscrowd"])
            (instance,) = np.unique(sample["instance"][region])
            assert (instance > 0) == (
                category.is_thing and not segment["iscrowd"]
            ) and instance not in seen - {0}
            seen.add(instance)
        assert np.all(sample["semantic"][ids == 0] == 255) and not np.any(
            sample["instance"][ids == 0]
        )


def test_coco_crowds_are_no_instances(coco_root):
    def make_crowds(content):
        for annotation in content["annotations"]:
            for segment in annotation["segments_info"]:
                segment["iscrowd"] = 1

    edit_json(coco_root / "annotations" / "panoptic_val2017.json", make_crowds)
    sample = coco.CocoPanoptic(coco_root, "val")[0]
    assert sample["crowd"].any() and not sample["instance"].any()


def test_photos_of_one_name_in_two_cities_are_both_trained_on(tmp_path):
    places = {"berlin/a": 10, "bonn/a": 20, "bonn/b": 30}
    for split in ("train", "val"):
        for (place, grey), ending in zip(places.items(), ("png", "png", "PNG")):
            for kind, pixels in (
                ("leftImg8bit", np.full((6, 8, 3), grey, np.uint8)),
                ("gtFine", np.full((6, 8), 26_000 + grey, np.uint16)),
            ):
                suffix = {"leftImg8bit": "leftImg8bit", "gtFine": "gtFine_instanceIds"}[kind]
                path = tmp_path / kind / split / f"{place}_{suffix}.{ending}"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)
    config = default_config()
    config.data.dataset, config.data.root = "cityscapes", str(tmp_path)
    check_trainable(config)
    source = open_source(config, "train")
    samples = [source[index] for index in range(len(source))]
    assert [(s["image_id"], s["image"][0, 0, 0]) for s in samples] == [
        ("berlin/a", 10),
        ("bonn/a", 20),
        ("b", 30),
    ]
    assert all((sample["instance"] == 1).all() for sample in samples)
    report = check_source(source, 256)
    assert report["images"] == 3 and report["errors"] == []


def test_several_coco_crowds_of_one_class_keep_their_order(coco_root):
    def crowds_of_one_class(content):
        first, second = (annotation["segments_info"] for annotation in content["annotations"])
        for number, segment in enumerate(second):
            segment["iscrowd"] = int(not number)
        for segment in first:
            segment.update(iscrowd=1, category_id=first[0]["category_id"])

    edit_json(coco_root / "annotations" / "panoptic_val2017.json", crowds_of_one_class)
    source = coco.CocoPanoptic(coco_root, "val")
    several = [index for index in range(2) if "crowd_regions" in source[index]]
    assert len(several) == 1
    regions = source[several[0]]["crowd_regions"]
    rgb = np.asarray(Image.open(source.paths(several[0])[1]).convert("RGB")).astype(int)
    ids = rgb @ [1, 256, 65536]
    numbers = {VOID: 0}
    for number, segment in enumerate(source.annotations[several[0]]["segments_info"], start=1):
        numbers[segment["id"]] = number
    np.testing.assert_array_equal(regions, np.vectorize(numbers.get)(ids))
    np.testing.assert_array_equal(regions > 0, source[several[0]]["crowd"])


def test_cityscapes_instances_groups_and_void(data_dir):
    source = cityscapes.Cityscapes(data_dir / "cityscapes_mini", "val")
    assert len(source) == 1
    sample = source[0]
    folder = data_dir / "cityscapes_mini" / "gtFine" / "val" / "frankfurt"
    label_ids = np.asarray(Image.open(next(folder.glob("*_labelIds.png"))))
    ids = np.asarray(Image.open(next(folder.glob("*_instanceIds.png")))).astype(int)
    evaluated = {
        category.original_id: label for label, category in enumerate(cityscapes.DATASET.categories)
    }
    np.testing.assert_array_equal(
        sample["semantic"], np.vectorize(lambda i: evaluated.get(i, 255))(label_ids)
    )
    things = np.isin(sample["semantic"], range(11, 19))
    np.testing.assert_array_equal(sample["instance"] > 0, things & (ids >= 1000))
    np.testing.assert_array_equal(sample["crowd"], things & (ids < 1000))
    assert sample["instance"].max() == len(np.unique(ids[things & (ids >= 1000)]))
    assert sample["image_id"] == "frankfurt_000000_000294"


@pytest.fixture
def voc_root(data_dir, tmp_path):
    """The genuine image in the official layout."""
    shutil.copytree(data_dir / "voc", tmp_path / "VOC2012")
    (tmp_path / "VOC2012").chmod(0o755)
    (tmp_path / "VOC2012" / "ImageSets" / "Segmentation").mkdir(parents=True)
    (tmp_path / "VOC2012" / "ImageSets" / "Segmentation" / "val.txt").write_text("2007_000063\n")
    return tmp_path


def test_voc_palettes_are_read_as_indices(data_dir, voc_root):
    sample = voc.Voc(voc_root, "val")[0]
    classes = np.asarray(Image.open(data_dir / "voc" / "SegmentationClass" / "2007_000063.png"))
    objects = np.asarray(Image.open(data_dir / "voc" / "SegmentationObject" / "2007_000063.png"))
    np.testing.assert_array_equal(sample["semantic"], classes)
    np.testing.assert_array_equal(sample["instance"] > 0, (objects > 0) & (objects < 255))
    assert sample["instance"].max() == len(np.unique(objects[(objects > 0) & (objects < 255)]))


@pytest.fixture
def sbd_root(tmp_path):
    """A made-up VOC with images a (train) and b (val), and an SBD with a, b, c and d."""
    root, sbd = tmp_path, tmp_path / "benchmark_RELEASE" / "dataset"
    for folder in (
        "ImageSets/Segmentation",
        "JPEGImages",
        "SegmentationClass",
        "SegmentationObject",
    ):
        (root / folder).mkdir(parents=True)
    for folder in ("cls", "inst"):
        (sbd / folder).mkdir(parents=True)
    (root / "ImageSets/Segmentation/train.txt").write_text("a\n")
    (root / "ImageSets/Segmentation/val.txt").write_text("b\n")
    (sbd / "train.txt").write_text("a\nb\nc\n")
    (sbd / "val.txt").write_text("d\n")
    classes, objects = np.zeros((6, 8), np.uint8), np.zeros((6, 8), np.uint8)
    classes[1:3], objects[1:3, :4], objects[1:3, 4:] = 15, 1, 2
    for name in "abcd":
        Image.fromarray(np.zeros((6, 8, 3), np.uint8)).save(root / f"JPEGImages/{name}.jpg")
        for kind, key, mask in (("cls", "GTcls", classes), ("inst", "GTinst", objects)):
            scipy.io.savemat(sbd / kind / f"{name}.mat", {key: {"Segmentation": mask}})
    for kind, mask in (("Class", classes * 0 + 7), ("Object", objects * 0 + 1)):
        Image.fromarray(mask).save(root / f"Segmentation{kind}/a.png")
    return root


def test_train_aug_is_voc_and_sbd_without_val(sbd_root):
    classes, objects = np.zeros((6, 8), np.uint8), np.zeros((6, 8), np.uint8)
    classes[1:3], objects[1:3, :4], objects[1:3, 4:] = 15, 1, 2
    source = voc.Voc(sbd_root, "train_aug")
    samples = [source[i] for i in range(len(source))]
    assert [sample["image_id"] for sample in samples] == ["a", "c", "d"]
    assert np.all(samples[0]["semantic"] == 7)  # VOC's own label, where it has one
    np.testing.assert_array_equal(samples[1]["semantic"], classes)
    np.testing.assert_array_equal(samples[1]["instance"], objects)


@pytest.mark.parametrize("layout", ["v1", "v2"])
def test_both_archives_of_vistas_load(tmp_path, layout):
    folder = tmp_path / "training"
    masks = folder / ("instances" if layout == "v1" else "v1.2/instances")
    (folder / "images").mkdir(parents=True)
    masks.mkdir(parents=True)
    ids = np.full((6, 8), 27 * 256, np.uint16)  # sky
    # Unlabeled, two cars, bird 0.
    ids[0], ids[1], ids[2], ids[3] = 65 * 256, 55 * 256, 55 * 256 + 1, 0
    Image.fromarray(np.zeros((6, 8, 3), np.uint8)).save(folder / "images" / "x.jpg")
    Image.fromarray(ids).save(masks / "x.png")
    sample = vistas.Vistas(tmp_path, "train")[0]
    np.testing.assert_array_equal(sample["semantic"][:, 0], [255, 55, 55, 0, 27, 27])
    np.testing.assert_array_equal(sample["instance"][:, 0], [0, 2, 3, 1, 0, 0])


@pytest.mark.parametrize("split, count", [("train", 1), ("val", 2)])
def test_the_made_up_layout_of_vistas_loads(data_dir, split, count):
    source = vistas.Vistas(data_dir / "layouts" / "mapillary_vistas_dataset", split)
    samples = [source[i] for i in range(len(source))]
    assert len(samples) == count and all(sample["instance"].any() for sample in samples)


def test_the_made_up_layouts_of_cityscapes_and_coco_are_found(data_dir):
    assert (
        cityscapes.Cityscapes(data_dir / "layouts/cityscapes_dataset/dataset", "train")[0][
            "semantic"
        ].ndim
        == 2
    )
    source = coco.CocoPanoptic(data_dir / "layouts/coco_panoptic", "train")
    assert [path.split("coco_panoptic/")[1] for path in source.paths(0)] == [
        "images/train/a.jpg",
        "annotations/panoptic_train/a.png",
    ]
    with pytest.raises(UserError, match=r"a.png is 5 x 5 but its image .* is 5 x 10"):
        source[0]


# === Bad input ===


def test_a_segment_the_json_does_not_know_is_named(coco_root):
    path = coco_root / "annotations" / "panoptic_val2017.json"
    edit_json(
        path,
        lambda content: [
            annotation["segments_info"].pop() for annotation in content["annotations"]
        ],
    )
    with pytest.raises(UserError, match=r"\.png holds the segment id \d+"):
        coco.CocoPanoptic(coco_root, "val")[0]


def test_an_unknown_category_is_named(coco_root):
    def change(content):
        content["annotations"][0]["segments_info"][0]["category_id"] = 12
        content["annotations"][1]["segments_info"][0]["category_id"] = 12

    edit_json(coco_root / "annotations" / "panoptic_val2017.json", change)
    with pytest.raises(UserError, match="category 12"):
        coco.CocoPanoptic(coco_root, "val")[0]


@pytest.mark.parametrize("part", ["images", "annotations"])
def test_file_names_that_leave_the_folder_are_refused(coco_root, part):
    def change(content):
        for entry in content[part]:
            entry["file_name"] = "../../" + entry["file_name"]

    edit_json(coco_root / "annotations" / "panoptic_val2017.json", change)
    with pytest.raises(UserError, match="leaves the folder"):
        coco.CocoPanoptic(coco_root, "val")[0]


def test_duplicate_file_names_are_refused(coco_root):
    path = coco_root / "annotations" / "panoptic_val2017.json"
    edit_json(path, lambda content: content["annotations"].append(content["annotations"][0]))
    with pytest.raises(UserError, match="two annotations"):
        coco.CocoPanoptic(coco_root, "val")


def test_a_json_of_another_format_is_named(coco_root):
    (coco_root / "annotations" / "panoptic_val2017.json").write_text('{"annotations": []}')
    with pytest.raises(UserError, match="panoptic format"):
        coco.CocoPanoptic(coco_root, "val")


@pytest.mark.parametrize(
    "reader", [coco.CocoPanoptic, cityscapes.Cityscapes, vistas.Vistas, voc.Voc]
)
def test_missing_and_empty_folders_are_named(tmp_path, reader):
    with pytest.raises(UserError, match="does not exist"):
        reader(tmp_path / "nowhere", "val")
    with pytest.raises(UserError, match=str(tmp_path)):
        reader(tmp_path, "val")


# === Records ===


def assert_round_trip(name, root, split, output):
    """Builds records of a split, and compares every sample with that of the raw files; returns how
    many there are.
    """
    config = default_config()
    config.data.dataset, config.data.root = name, str(root)
    raw = open_source(config, split)
    manifest = write.write_records(config, split, str(output), num_shards=2, processes=1)
    config.data.dataset, config.data.root, config.data.records = "folder", "", str(output)
    back = open_source(config, split)
    assert len(raw) == len(back) == manifest["images"] and raw.dataset == back.dataset
    for index in range(len(raw)):
        expected, actual = raw[index], back[index]
        assert actual["image_id"] == expected["image_id"]
        for key in ("semantic", "instance", "crowd"):
            assert actual[key].dtype == expected[key].dtype
            np.testing.assert_array_equal(actual[key], expected[key])
        np.testing.assert_array_equal(actual["image"], expected["image"])
    return len(raw)


def test_cityscapes_survives_records_bit_for_bit(data_dir, tmp_path):
    assert (
        assert_round_trip("cityscapes", data_dir / "cityscapes_mini", "val", tmp_path / "mini") == 1
    )
    layout = data_dir / "layouts/cityscapes_dataset/dataset"
    assert assert_round_trip("cityscapes", layout, "train", tmp_path / "layout") == 1


def test_coco_survives_records_bit_for_bit(coco_root, tmp_path_factory):
    assert assert_round_trip("coco", coco_root, "val", tmp_path_factory.mktemp("records")) == 2


def test_vistas_survives_records_bit_for_bit(data_dir, tmp_path):
    assert (
        assert_round_trip(
            "vistas", data_dir / "layouts" / "mapillary_vistas_dataset", "val", tmp_path
        )
        == 2
    )


def test_voc_survives_records_bit_for_bit(voc_root, tmp_path_factory):
    assert assert_round_trip("voc", voc_root, "val", tmp_path_factory.mktemp("records")) == 1


def test_sbd_survives_records_bit_for_bit(sbd_root, tmp_path_factory):
    assert assert_round_trip("voc", sbd_root, "train_aug", tmp_path_factory.mktemp("records")) == 3
