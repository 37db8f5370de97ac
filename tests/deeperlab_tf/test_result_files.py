import dataclasses

import numpy as np
import pytest
from PIL import Image

from deeperlab_tf.coco_panoptic import PanopticFiles
from deeperlab_tf.errors import UserError
from deeperlab_tf.metrics import ParsingMetrics
from deeperlab_tf.parsing import Parsing
from deeperlab_tf.result_files import RESULT_FORMATS, CityscapesResults, VocResults, voc_palette


@pytest.fixture
def dataset(toy_dataset):
    """The toy classes with ids that are not their indices."""
    categories = [dataclasses.replace(c, original_id=i) for c, i in zip(toy_dataset.categories, (23, 7, 26, 33))]
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
    assert [c.original_id for c in files.dataset.categories] == [c.original_id + shift for c in dataset.categories]
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
    classes, objects = (Image.open(folder / f"Segmentation{kind}" / f"{name}.png") for kind in ("Class", "Object"))
    assert classes.mode == objects.mode == "P"
    instance = np.asarray(objects).astype(int)
    return index_of(np.asarray(classes), dataset), np.where(instance == 255, 0, instance)


READERS = dict(coco=read_coco, vistas=read_vistas, cityscapes=read_cityscapes, voc=read_voc)


@pytest.mark.fast
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


def test_voc_palette_is_the_one_of_genuine_files(data_dir):
    genuine = Image.open(data_dir / "voc" / "SegmentationClass" / "2007_000063.png").getpalette()
    np.testing.assert_array_equal(voc_palette().reshape(-1)[: len(genuine)], genuine)


def test_ids_and_instances_that_do_not_fit_are_named(dataset, tmp_path):
    many = np.arange(1, 301).reshape(15, 20)
    parse = Parsing.from_maps(np.full((15, 20), 2), many, dataset)
    with pytest.raises(UserError, match="has 300 instances"):
        VocResults(str(tmp_path), dataset).add(parse, "scene")
    large = dataclasses.replace(dataset.categories[0], original_id=300)
    wide = dataclasses.replace(dataset, categories=(large, *dataset.categories[1:]))
    with pytest.raises(UserError, match="do not fit into 8 bits"):
        CityscapesResults(str(tmp_path), wide).add(parse, "scene")
    with pytest.raises(UserError, match="leaves the folder"):
        VocResults(str(tmp_path / "in"), dataset).add(Parsing.from_maps(many * 0, many * 0, dataset), "../../out")
