"""Of a dataset of any size little is held, and what lies on the disk is what would be held."""

from __future__ import annotations

import tracemalloc

import pytest

from deeperlab_tf.config import default_config
from deeperlab_tf.work import names
from input_pipeline import open_source
from input_pipeline.datasets.layout import forget_listings
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


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def opened(root, kind):
    """The train split that lies in `root`, and what records of it would be made from."""
    config = default_config()
    config.data.dataset, config.data.root = kind, str(root)
    source = open_source(config, "train")
    return source, fingerprint.describe(source, config, 2)


def peak(root, kind):
    """Bytes that opening takes at most."""
    forget_listings()
    tracemalloc.start()
    kept = opened(root, kind)
    assert len(kept[0]) > 300
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
    ],
)
def test_little_is_held_of_each_photo(make, kind, tmp_path, monkeypatch):
    for count in (_FEW, _MANY):
        make(tmp_path / str(count), count)
    plain, as_held = opened(tmp_path / str(_FEW), kind)
    expected = [plain.paths(number) for number in range(len(plain))]
    unlabelled = plain.unlabelled()

    monkeypatch.setattr(names, "HELD", 1000)
    forget_listings()
    source, described = opened(tmp_path / str(_FEW), kind)
    assert [source.paths(number) for number in range(len(source))] == expected
    assert source.unlabelled() == unlabelled == []
    assert not fingerprint.changes(as_held, described)

    peak(tmp_path / str(_FEW), kind)  # what is imported on the way
    few, many = (peak(tmp_path / str(count), kind) for count in (_FEW, _MANY))
    assert (many - few) / (_MANY - _FEW) < _A_PHOTO
