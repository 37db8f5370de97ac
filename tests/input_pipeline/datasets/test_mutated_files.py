"""Broken masks, JSON and YAML: one sentence, or data; never a traceback, never a hang.

`DEEPERLAB_MUTATIONS=3000` tries so many, instead of a few hundred.
"""

import contextlib
import copy
import io
import json
import os
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from deeperlab_tf.errors import UserError
from input_pipeline.checks import check_source
from input_pipeline.convert import convert
from input_pipeline.datasets.folder_description import read_description
from input_pipeline.sources import Reading, check_trainable, open_source
from tests.input_pipeline.datasets import outlined

EXAMPLES = int(os.environ.get("DEEPERLAB_MUTATIONS", "280"))
LONGEST = 30  # seconds for one set of files, on the busiest machine
KINDS = (*outlined.WRITERS, "coco")

NASTY = [
    None, True, False, 0, 1, 2, 3, 7, -1, 255, 256, 2**31, 2**63, 10**30, 0.5, 7.0, 1e300, -1e300,
    float("nan"), float("inf"), "", "0", "7", "010", "off", "a", "\0", "../x", "/etc/passwd",
    "é道路", "\ud800", "x" * 300, "{id}", "*", "[0]", "im0.png", [], {}, [[]], [{}], [None],
    [1, 2, 3], [[1, 2, 3, 4]], [[0, 0, 5, 0, 5, 5]], {"size": [24, 40], "counts": [960]},
    {"counts": "PPYo1"},
    {"size": [24, 40], "counts": "o" * 50}, [1e9] * 6, [[-5, -5, 99, -5, 9, 99]],
]  # fmt: skip
WORDS = [
    "", "-1", "nan", "1e400", "0", "99", "../..", "/x", "*a", "&a [*a]", "[", "{", "}",
    "!!python/x", "? ", "- ", ": ", "#", "'", "\t", "\0", "010", "off", "{id}", "images/train",
    "0.5 0.5", "é道",
]  # fmt: skip
SAVED = ("L", "P", "RGB", "RGBA", "1", "I;16", "LA", "CMYK", "F")


@pytest.fixture(scope="module", params=KINDS)
def dataset(request, tmp_path_factory):
    """A config, and the files that may be spoilt, with their bytes."""
    root = tmp_path_factory.mktemp(request.param.replace(" ", "_"))
    if request.param == "coco":
        outlined.write_labelme(root / "labelme")
        drawn = outlined.config_of("labelme", root / "labelme")
        convert(drawn, ["train", "val"], "coco", str(root / "written"))
        config = outlined.config_of("coco", root / "written")
    else:
        name, write = outlined.WRITERS[request.param]
        write(root)
        config = outlined.config_of(name, root)
    files = [path for path in sorted(root.glob("**/*")) if path.is_file()]
    files = [path for path in files if "labelme" not in path.parts]
    return config, {path: path.read_bytes() for path in files}


def spoil_json(draw, data):
    content = json.loads(data)
    for _ in range(draw(st.integers(1, 2))):
        node = content
        while isinstance(node, (dict, list)) and node:
            keys = sorted(node) if isinstance(node, dict) else range(len(node))
            key = draw(st.sampled_from(keys))
            child = node[key]
            if not isinstance(child, (dict, list)) or not child or draw(st.integers(0, 3)) == 0:
                action = draw(st.integers(0, 3))
                if action == 0:
                    del node[key]
                elif action == 1 and isinstance(node, list):
                    node.append(copy.deepcopy(child))
                else:
                    node[key] = copy.deepcopy(draw(st.sampled_from(NASTY)))
                break
            node = child
    return json.dumps(content).encode()


def spoil_text(draw, data):
    lines = data.decode().split("\n")
    place = draw(st.integers(0, len(lines) - 1))
    words = lines[place].split(" ")
    words[draw(st.integers(0, len(words) - 1))] = draw(st.sampled_from(WORDS))
    lines[place] = " ".join(words)
    if draw(st.booleans()):
        lines.insert(place, draw(st.sampled_from(lines)))
    return "\n".join(lines).encode(draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])))


def spoil_picture(draw, data):
    if draw(st.booleans()):
        picture = Image.open(io.BytesIO(data))
        picture = picture.resize(draw(st.sampled_from([picture.size, (1, 1), (24, 40), (41, 24)])))
        buffer = io.BytesIO()
        try:
            mode = draw(st.sampled_from(SAVED))
            form = draw(st.sampled_from(["PNG", "TIFF", "JPEG"]))
            values = np.asarray(picture.convert("L"))
            picture = Image.fromarray(values.astype(np.uint16)) if mode == "I;16" else picture
            picture = picture if mode == "I;16" else picture.convert(mode)
            picture.save(buffer, form)
            return buffer.getvalue()
        except (OSError, ValueError):
            return data
    return spoil_bytes(draw, data)


def spoil_bytes(draw, data):
    data = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(1, len(data)))] if draw(st.integers(0, 3)) == 0 else data)


def spoil(draw, path, data):
    if draw(st.integers(0, 7)) == 0:
        return draw(
            st.sampled_from([b"", b"{", b"[" * 10**5, b"\xff\xfe", spoil_bytes(draw, data)])
        )
    by_ending = {".json": spoil_json, ".png": spoil_picture}
    return by_ending.get(path.suffix, spoil_text)(draw, data)


def read_and_check(config):
    """Every outcome that a person could meet; UserError is a good one."""
    for split in ("train", "val"):
        try:
            source = open_source(config, split, Reading(allow_incomplete=True))
        except UserError:
            continue
        report = check_source(source, 256)
        assert all(isinstance(text, str) for text in report["errors"] + report["warnings"])
    with contextlib.suppress(UserError):
        check_trainable(config)


@settings(
    max_examples=max(EXAMPLES // len(KINDS), 1),
    deadline=None,
    derandomize=EXAMPLES < 1000,
    suppress_health_check=list(HealthCheck),
    database=None,
)
@given(data=st.data())
def test_spoilt_files_are_told_or_read(dataset, data):
    config, files = dataset
    # What describes the data is one file among many pictures, and the more telling one.
    paths = list(files)
    texts = [path for path in paths if path.suffix != ".png"]
    path = data.draw(st.sampled_from(texts if data.draw(st.integers(0, 2)) else paths))
    started = time.perf_counter()
    path.write_bytes(spoil(data.draw, path, files[path]))
    try:
        read_and_check(config)
    finally:
        path.write_bytes(files[path])
    assert time.perf_counter() - started < LONGEST


@pytest.mark.parametrize("unit", ["[", "{a: ", "- ", "? ", "a: ", "&a ", "[\n", "- \n ", "'"])
def test_a_description_that_is_nested_without_end_is_told_at_once(tmp_path, unit):
    (tmp_path / "classes.yaml").write_text(unit * 20_000)
    started = time.process_time()
    with pytest.raises(UserError):
        read_description(str(tmp_path / "classes.yaml"), str(tmp_path))
    assert time.process_time() - started < LONGEST


def test_a_description_that_unfolds_without_end_is_told(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    (tmp_path / "classes.yaml").write_text("\n".join([*lines, "images: *a11", "classes: *a11"]))
    with pytest.raises(UserError):
        read_description(str(tmp_path / "classes.yaml"), str(tmp_path))
    text = "\n".join(["images: a/{id}.png", "classes: &a [*a]", "ignore: &b {c: *b}"])
    (tmp_path / "classes.yaml").write_text(text)
    with pytest.raises(UserError):
        read_description(str(tmp_path / "classes.yaml"), str(tmp_path))
