"""Of a dataset of any size little is held, and what lies on the disk is what would be held."""

from __future__ import annotations

import json
import pickle
import random
import tracemalloc

import pytest

from deeperlab_tf.config import default_config
from deeperlab_tf.files import large_json, text
from deeperlab_tf.work import names
from input_pipeline import open_source
from input_pipeline.datasets.layout import forget_listings
from input_pipeline.datasets.outlined import Outlined
from input_pipeline.records import fingerprint

_FEW, _MANY = 1200, 3600
_A_PHOTO = 120  # bytes: hashes while they are sorted; two names alone are 150

_CLASSES = """
name: many
images: photos/{id}.*
instances: photos/{id}_mask.png
classes: [{name: ground, type: stuff}, {name: thing, type: thing}]
split: SPLIT
"""


def folder(root, count, split):
    for number in range(count):
        touch(root / "photos" / f"some photo {number:05d}.jpg")
        touch(root / "photos" / f"some photo {number:05d}_mask.png")
    (root / "classes.yaml").write_text(_CLASSES.replace("SPLIT", split))


def folder_of_lists(root, count):
    folder(root, count, "{train: train.txt}")
    lines = (f"some photo {number:05d}.jpg\n" for number in reversed(range(count)))
    (root / "train.txt").write_text("".join(lines))


def folder_without_lists(root, count):
    folder(root, count, "{every_nth: 10}")


def cityscapes(root, count):
    for number in range(count):
        name = f"train/city{number % 2}/photo_{number // 3:05d}_{number % 3}"
        touch(root / "leftImg8bit" / f"{name}_leftImg8bit.png")
        touch(root / "gtFine" / f"{name}_gtFine_instanceIds.png")


def vistas(root, count):
    for number in range(count):
        touch(root / f"training/images/some_photo_{number:05d}.jpg")
        touch(root / f"training/instances/some_photo_{number:05d}.png")


def coco(root, count):
    for number in range(count):
        touch(root / f"train2017/some photo {number:05d}.jpg")
        touch(root / f"annotations/panoptic_train2017/some photo {number:05d}.png")
    annotations = [
        {
            "image_id": 7 * number,
            "file_name": f"some photo {number:05d}.png",
            "segments_info": [{"id": number + 1, "category_id": 1, "area": 9}],
        }
        for number in in_disorder(count)
    ]
    _write_json(root / "annotations/panoptic_train2017.json", images(count), annotations)


def coco_instances(root, count):
    for number in range(count):
        touch(root / f"train2017/some photo {number:05d}.jpg")
    annotations = [
        dict(OUTLINE, id=number, image_id=7 * (number % count), category_id=1)
        for number in in_disorder(3 * count)
    ]
    _write_json(root / "annotations/instances_train2017.json", images(count), annotations)


def coco_instances_without_splits(root, count):
    coco_instances(root, count)
    (root / "annotations/instances_train2017.json").rename(root / "result.json")


OUTLINE = {"segmentation": [[0, 0, 9, 0, 9, 9.5]], "iscrowd": 0}


def images(count):
    names = {7 * number: f"some photo {number:05d}.jpg" for number in in_disorder(count)}
    return [{"id": key, "file_name": name, "height": 9, "width": 9} for key, name in names.items()]


def in_disorder(count):
    return random.Random(count).sample(range(count), count)


def _write_json(path, images, annotations):
    path.parent.mkdir(parents=True, exist_ok=True)
    categories = [{"id": 1, "name": "thing", "isthing": 1}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    path.write_text(json.dumps(content, indent=1))


def yolo(root, count):
    for number in range(count):
        touch(root / f"images/train/some photo {number:05d}.jpg")
        touch(root / f"labels/train/some photo {number:05d}.txt")
    (root / "data.yaml").write_text("train: images/train\nnames: [thing]\n")


def yolo_with_a_list(root, count):
    yolo(root, count)
    lines = (f"images/train/some photo {number:05d}.jpg\n" for number in in_disorder(count))
    (root / "train.txt").write_text("".join(lines))
    (root / "data.yaml").write_text("train: train.txt\nnames: [thing]\n")


def labelme(root, count):
    for number in range(count):
        touch(root / f"train/some photo {number:05d}.jpg")
        shapes = [{"label": "thing", "points": [[0, 0], [9, 0], [9, 9]]}]
        content = {"imagePath": f"some photo {number:05d}.jpg", "shapes": shapes}
        (root / f"train/some photo {number:05d}.json").write_text(json.dumps(content))


def labelme_without_splits(root, count):
    labelme(root, count)
    (root / "train").rename(root / "all")


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def opened(root, kind):
    """The train split that lies in `root`, and what records of it would be made from."""
    config = default_config()
    config.data.dataset, config.data.root = kind, str(root)
    source = open_source(config, "train")
    return source, fingerprint.describe(source, config, 2)


def all_of(source, number):
    """Whatever is known of a sample before its photo is read."""
    files = source.paths(number), source.label_files(number)
    if isinstance(source, Outlined):
        photo = source._photos[number]
        return files, photo.name, repr(source.find_regions(photo, (9, 9)))
    return files, getattr(source, "annotations", [None] * (number + 1))[number]


def peak(root, kind):
    """Bytes that opening takes at most."""
    forget_listings()
    tracemalloc.start()
    source, _ = opened(root, kind)
    assert len(source) > 300 and source.unlabelled() == [] and source.incomplete() == {}
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (folder_without_lists, "folder"),
        (folder_of_lists, "folder"),
        (cityscapes, "cityscapes"),
        (vistas, "vistas"),
        (coco, "coco"),
        (coco_instances_without_splits, "coco_instances"),
        (yolo_with_a_list, "yolo"),
        (labelme_without_splits, "labelme"),
    ],
)
def test_little_is_held_of_each_photo(make, kind, tmp_path, monkeypatch):
    for count in (_FEW, _MANY):
        make(tmp_path / str(count), count)
    plain, as_held = opened(tmp_path / str(_FEW), kind)
    expected = list(map(all_of, [plain] * len(plain), range(len(plain))))
    unlabelled = plain.unlabelled()
    sent = pickle.loads(pickle.dumps(plain))  # as to another process
    assert [sent.paths(number) for number in range(len(sent))] == [
        plain.paths(number) for number in range(len(plain))
    ]

    monkeypatch.setattr(names, "HELD", 1000)
    monkeypatch.setattr(names, "_RUNS", 3)
    monkeypatch.setattr(large_json, "HELD", 0)
    monkeypatch.setattr(large_json, "_READ", 2**12)
    monkeypatch.setattr(text, "_BLOCK_BYTES", 2**12)
    forget_listings()
    source, described = opened(tmp_path / str(_FEW), kind)
    assert list(map(all_of, [source] * len(source), range(len(source)))) == expected
    assert source.unlabelled() == unlabelled == []
    assert not fingerprint.changes(as_held, described)

    peak(tmp_path / str(_FEW), kind)  # what is imported on the way
    few, many = (peak(tmp_path / str(count), kind) for count in (_FEW, _MANY))
    assert (many - few) / (_MANY - _FEW) < _A_PHOTO
