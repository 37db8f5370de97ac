import dataclasses
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from deeperlab_tf.errors import UserError
from deeperlab_tf.evaluation.files import evaluate_files
from deeperlab_tf.files.atomic import write_json
from deeperlab_tf.files.coco_panoptic import PanopticFiles
from deeperlab_tf.files.panoptic_png import write_ids
from deeperlab_tf.files.submissions import (
    RESULT_FORMATS,
    CityscapesResults,
    CocoResults,
    VistasResults,
    VocResults,
    voc_palette,
)
from deeperlab_tf.metrics import ParsingMetrics
from deeperlab_tf.prediction.parsing import Parsing
from input_pipeline.datasets import cityscapes, coco, vistas


@pytest.fixture
def dataset(toy_dataset):
    """The toy classes with ids that are not their indices."""
    categories = [
        dataclasses.replace(c, original_id=i)
        for c, i in zip(toy_dataset.categories, (23, 7, 26, 33))
    ]
    return dataclasses.replace(toy_dataset, categories=tuple(categories))


@pytest.fixture
def truth_and_parse(dataset):
    semantic = np.zeros((30, 40), np.int32)
    semantic[15:] = 1
    semantic[2:14, 3:13] = semantic[2:14, 20:30] = 2
    semantic[18:28, 8:30] = 3
    instance = np.zeros_like(semantic)
    instance[2:14, 3:13], instance[2:14, 20:30], instance[18:28, 8:30] = 1, 2, 3
    shifted = np.roll(semantic, 2, 1)
    shifted[0, :5] = 255
    parse = Parsing.from_maps(shifted, np.roll(instance, 2, 1), dataset, scores=[0.9, 0.8, 0.7])
    return (semantic, instance), parse


def index_of(ids, dataset):
    table = np.full(256, 255)
    table[[category.original_id for category in dataset.categories]] = range(dataset.num_classes)
    return table[ids]


def read_coco(folder, name, dataset, shift=0):
    files = PanopticFiles(str(folder / "parses.json"), str(folder))
    assert [c.original_id for c in files.dataset.categories] == [
        c.original_id + shift for c in dataset.categories
    ]
    return files.read_labels(name)[:2]


def read_vistas(folder, name, dataset):
    return read_coco(folder, name, dataset, shift=1)


def read_cityscapes(folder, name, dataset):
    semantic = index_of(np.asarray(Image.open(folder / "semantic" / f"{name}.png")), dataset)
    instance = np.zeros_like(semantic)
    text = folder / "instance" / f"{name}.txt"
    for number, line in enumerate(text.read_text().splitlines(), start=1):
        mask_name, label, score = line.split()
        mask = np.asarray(Image.open(text.parent / mask_name)) > 0
        assert (semantic[mask] == index_of(int(label), dataset)).all() and 0 < float(score) < 1
        instance[mask] = number
    np.testing.assert_array_equal(read_coco(folder / "panoptic", name, dataset)[0], semantic)
    return semantic, instance


def read_voc(folder, name, dataset):
    classes, objects = (
        Image.open(folder / f"Segmentation{kind}" / f"{name}.png") for kind in ("Class", "Object")
    )
    assert classes.mode == objects.mode == "P"
    instance = np.asarray(objects).astype(int)
    return index_of(np.asarray(classes), dataset), np.where(instance == 255, 0, instance)


READERS = dict(coco=read_coco, vistas=read_vistas, cityscapes=read_cityscapes, voc=read_voc)


@pytest.mark.both_stacks
@pytest.mark.parametrize("form", sorted(RESULT_FORMATS))
@pytest.mark.parametrize("name", ["scene", "city/scene"])
def test_parses_read_back_score_the_same(form, name, truth_and_parse, dataset, tmp_path):
    truth, parse = truth_and_parse
    writer = RESULT_FORMATS[form](str(tmp_path), dataset)
    writer.add(parse, name)
    writer.close()
    before, after = ParsingMetrics(4, (2, 3)), ParsingMetrics(4, (2, 3))
    before.update(*truth, parse.semantic, parse.instance)
    after.update(*truth, *READERS[form](tmp_path, name, dataset))
    np.testing.assert_equal(after.result(), before.result())


@pytest.mark.parametrize("form", sorted(RESULT_FORMATS))
def test_a_second_photo_of_one_name_is_refused(form, truth_and_parse, dataset, tmp_path):
    writer = RESULT_FORMATS[form](str(tmp_path), dataset)
    writer.add(truth_and_parse[1], "in/a")
    written = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    truth = truth_and_parse[0][0]
    for name in ("in/a", "in/./a"):
        with pytest.raises(UserError, match="two photos are called"):
            writer.add(Parsing.from_maps(truth * 0, truth * 0, dataset), name)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == written


def test_voc_palette_is_the_one_of_genuine_files(data_dir):
    genuine = Image.open(data_dir / "voc" / "SegmentationClass" / "2007_000063.png").getpalette()
    np.testing.assert_array_equal(voc_palette().reshape(-1)[: len(genuine)], genuine)


def test_ids_and_instances_that_do_not_fit_are_named(dataset, tmp_path):
    many = np.arange(1, 301).reshape(15, 20)
    parse = Parsing.from_maps(np.full((15, 20), 2), many, dataset)
    with pytest.raises(UserError, match="has 300 instances"):
        VocResults(str(tmp_path / "voc"), dataset).add(parse, "scene")
    assert not (tmp_path / "voc").exists()
    large = dataclasses.replace(dataset.categories[0], original_id=300)
    wide = dataclasses.replace(dataset, categories=(large, *dataset.categories[1:]))
    with pytest.raises(UserError, match="do not fit into 8 bits"):
        CityscapesResults(str(tmp_path), wide)
    with pytest.raises(UserError, match="do not fit into 8 bits"):
        VocResults(str(tmp_path), wide)
    with pytest.raises(UserError, match="leaves the folder"):
        VocResults(str(tmp_path / "in"), dataset).add(
            Parsing.from_maps(many * 0, many * 0, dataset), "../../out"
        )


@pytest.mark.parametrize("form", ["cityscapes", "coco", "vistas"])
def test_a_thousand_instances_of_a_class_and_more_fit(form, dataset, tmp_path):
    """Neither 255 nor 999 nor 9,999 is the end."""
    many = np.arange(1, 10_501).reshape(100, 105)
    scores = np.linspace(0.9, 0.1, many.size)
    if form == "cityscapes":  # a file for each
        many, scores = many % 1_100 + 1, scores[:1_100]
    parse = Parsing.from_maps(np.full(many.shape, 2), many, dataset, scores=scores)
    writer = RESULT_FORMATS[form](str(tmp_path), dataset)
    writer.add(parse, "scene")
    writer.close()
    semantic, instance = READERS[form](tmp_path, "scene", dataset)
    assert (semantic == 2).all() and len(np.unique(instance)) == len(np.unique(many))


# === Genuine annotations, written as if they were parses, against the files the benchmarks' own
# tools read ===


def test_coco_annotations_written_as_parses_score_one_against_the_official_files(
    data_dir, tmp_path
):
    official = data_dir / "coco_panoptic" / "sample_data"
    paths = (str(official / "panoptic_examples.json"), str(official / "panoptic_examples"))
    truth, writer = PanopticFiles(*paths), CocoResults(str(tmp_path), coco.DATASET)
    for image_id in truth.image_ids:
        semantic, instance, _ = truth.read_labels(image_id)
        # As photos are called.
        writer.add(Parsing.from_maps(semantic, instance, coco.DATASET), f"{image_id:012d}")
    writer.close()
    result = evaluate_files(*paths, str(tmp_path / "parses.json"), str(tmp_path)).result()
    assert (
        result["pq"]
        == result["pq_things"]
        == result["pq_stuff"]
        == result["pc"]
        == result["miou"]
        == 1.0
    )


def test_cityscapes_files_hold_the_original_ids_of_the_official_ones(data_dir, tmp_path):
    root = data_dir / "cityscapes_mini"
    sample = cityscapes.Cityscapes(str(root), "val")[0]
    name, dataset = sample["image_id"], cityscapes.DATASET
    assert name == "frankfurt_000000_000294"
    scores = np.linspace(0.9, 0.5, sample["instance"].max())
    writer = CityscapesResults(str(tmp_path), dataset)
    writer.add(
        Parsing.from_maps(sample["semantic"], sample["instance"], dataset, scores=scores), name
    )
    writer.close()
    folder = root / "gtFine" / "val" / "frankfurt"
    label_ids, instance_ids = (
        np.asarray(Image.open(folder / f"{name}_gtFine_{kind}Ids.png")).astype(int)
        for kind in ("label", "instance")
    )
    evaluated = np.isin(label_ids, [category.original_id for category in dataset.categories])
    ours = np.asarray(Image.open(tmp_path / "semantic" / f"{name}.png"))
    np.testing.assert_array_equal(ours, np.where(evaluated, label_ids, 0))

    things = [dataset.categories[index].original_id for index in dataset.thing_classes]
    expected = {i for i in np.unique(instance_ids) if i >= 1000 and i // 1000 in things}
    lines = (tmp_path / "instance" / f"{name}.txt").read_text().splitlines()
    for line in lines:
        mask_name, label, score = line.split()
        ids = np.unique(instance_ids[np.asarray(Image.open(tmp_path / "instance" / mask_name)) > 0])
        assert len(ids) == 1 and ids[0] // 1000 == int(label) and 0 < float(score) < 1
        np.testing.assert_array_equal(
            np.asarray(Image.open(tmp_path / "instance" / mask_name)),
            np.where(instance_ids == ids[0], 255, 0),
        )
        expected.remove(ids[0])
    assert lines and not expected


def test_vistas_files_agree_with_a_truth_made_from_the_official_masks(data_dir, tmp_path):
    mini, truth = data_dir / "vistas_mini", tmp_path / "truth"
    name = "__CRyFzoDOXn6unQ6a3DnQ"
    # Labels without instances.
    genuine = np.asarray(Image.open(mini / "v1.2" / f"{name}.png")).astype(np.int32)
    raw = 256 * genuine + np.arange(genuine.shape[1]) // 40  # which are made up
    labels = json.loads((mini / "config_v1.2.json").read_text())["labels"]
    is_thing = np.array([label["instances"] for label in labels])
    keys, places = np.unique(
        np.where(is_thing[raw // 256], raw, raw // 256 * 256), return_inverse=True
    )
    ids = np.array([0 if key // 256 == 65 else place + 1 for place, key in enumerate(keys)])
    write_ids(str(truth / f"{name}.png"), ids[places.reshape(raw.shape)])
    segments = [
        dict(id=int(i), category_id=int(key) // 256 + 1, iscrowd=0)
        for i, key in zip(ids, keys)
        if i
    ]
    categories = [
        dict(id=index + 1, name=label["readable"], isthing=int(label["instances"]))
        for index, label in enumerate(labels)
        if label["evaluate"]
    ]
    annotation = dict(image_id=name, file_name=f"{name}.png", segments_info=segments)
    write_json(str(truth / "panoptic.json"), dict(annotations=[annotation], categories=categories))

    for target in ("images", "instances"):
        (tmp_path / "validation" / target).mkdir(parents=True)
    shutil.copy(mini / "images" / f"{name}.jpg", tmp_path / "validation" / "images")
    Image.fromarray(raw.astype(np.uint16)).save(
        tmp_path / "validation" / "instances" / f"{name}.png"
    )
    sample = vistas.Vistas(str(tmp_path), "val")[0]
    writer = VistasResults(str(tmp_path / "out"), vistas.DATASET)
    writer.add(
        Parsing.from_maps(sample["semantic"], sample["instance"], vistas.DATASET),
        sample["image_id"],
    )
    writer.close()
    ours = (str(tmp_path / "out" / "parses.json"), str(tmp_path / "out"))
    result = evaluate_files(str(truth / "panoptic.json"), str(truth), *ours).result()
    assert result["pq"] == result["pq_things"] == result["pq_stuff"] == result["pc"] == 1.0
    assert result["num_classes"] == len({segment["category_id"] for segment in segments}) == 3
