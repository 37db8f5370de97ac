"""Of files of any number of images little is held while they are scored, nor of parses."""

from __future__ import annotations

import json
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from deeperlab_tf.evaluation.files import evaluate_files
from deeperlab_tf.files import large_json, text
from deeperlab_tf.work import names

_FEW, _MANY = 200, 500
_AN_IMAGE = 300  # bytes; an image's table alone is ten times as many
_CATEGORIES = [dict(id=1, name="lawn", isthing=0), dict(id=2, name="cat", isthing=1)]


def write_side(folder, count):
    """COCO panoptic files of pictures of two segments; gives the paths of JSON and folder."""
    folder.mkdir(parents=True)
    annotations = []
    for number in range(count):
        ids = np.ones((4, 6, 3), np.uint8)
        ids[:2, :, 0] += 1
        ids[..., 1:] = 0
        Image.fromarray(ids).save(folder / f"some photo {number:05d}.png")
        segments = [dict(id=n, category_id=n, area=12, iscrowd=0) for n in (1, 2)]
        name = f"some photo {number:05d}"
        annotations.append(dict(image_id=name, file_name=f"{name}.png", segments_info=segments))
    images = [dict(id=one["image_id"], file_name=f"{one['image_id']}.jpg") for one in annotations]
    content = dict(images=images, annotations=annotations, categories=_CATEGORIES)
    folder.with_suffix(".json").write_text(json.dumps(content))
    return str(folder.with_suffix(".json")), str(folder)


def peak(paths, strict):
    """Bytes that scoring takes at most."""
    tracemalloc.start()
    result = evaluate_files(*paths, strict=strict).result()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert result["pq"] == 1.0
    return most


@pytest.mark.parametrize("strict", [False, True])
def test_little_is_held_of_each_image(strict, tmp_path, monkeypatch):
    monkeypatch.setattr(names, "HELD", 100)
    monkeypatch.setattr(names, "_RUNS", 3)
    monkeypatch.setattr(large_json, "HELD", 0)
    monkeypatch.setattr(large_json, "_READ", 2**12)
    monkeypatch.setattr(text, "_BLOCK_BYTES", 2**12)
    sides = {
        count: [
            path
            for side in ("truth", "parses")
            for path in write_side(tmp_path / f"{side} {count}", count)
        ]
        for count in (_FEW, _MANY)
    }
    peak(sides[_FEW], strict)  # what is imported on the way
    few, many = (peak(sides[count], strict) for count in (_FEW, _MANY))
    assert (many - few) / (_MANY - _FEW) < _AN_IMAGE
