"""Parses in shards: whole, the same again, and what cannot be parsed is named."""

import functools
import io
import json
import os
import pathlib
import tarfile

import numpy as np
import pytest
from PIL import Image

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.panoptic_png import read_ids
from deeperlab_tf.prediction import shards
from deeperlab_tf.prediction.parsing import Parsing
from deeperlab_tf.prediction.shards import Photos, bad_images, parse_shards
from deeperlab_tf.work import local


@pytest.fixture
def run():
    return functools.partial(local.run, processes=1)


@pytest.fixture
def photos(tmp_path, toy_dataset, monkeypatch):
    """Seven photos of three sizes, the fifth of them broken, and a model that sees their red."""
    folder = tmp_path / "photos"
    folder.mkdir()
    files = {}
    for number in range(7):
        path = folder / f"p{number}.png"
        Image.new("RGB", (12 + number % 3, 8), (number % 2 * 255, 0, 0)).save(path)
        files[f"p{number}"] = str(path)
    (folder / "p4.png").write_bytes((folder / "p4.png").read_bytes()[:40])

    class Model:
        dataset = toy_dataset

        def __call__(self, images):
            assert len(images) <= 2
            labels = [(image[..., 0] > 0).astype(np.int32) for image in images]
            return [Parsing.from_maps(each, 0 * each, toy_dataset) for each in labels]

    monkeypatch.setattr(shards, "Predictor", lambda model, overrides: Model())
    for name in ("red", "blue"):
        (tmp_path / name / "checkpoints").mkdir(parents=True)
        (tmp_path / name / "checkpoints" / "ckpt-1.index").write_bytes(b"1")
    return Photos(files, str(tmp_path / "red"), {"fusion.nms_iou": 0.5}, 2)


def contents(folder):
    return {name: (folder / name).read_bytes() for name in sorted(os.listdir(folder))}


def test_every_image_is_in_one_shard(photos, run, tmp_path):
    output = tmp_path / "out"
    summary = parse_shards(photos, str(output), 3, run)
    assert (summary["images"], summary["bad"]) == (6, 1)
    assert summary == json.loads((output / "parses.json").read_text())
    (bad,) = bad_images(str(output), summary)
    assert bad["file"] == photos.files["p4"] and "p4.png cannot be read" in bad["error"]

    seen = []
    for shard in summary["shards"]:
        lines = (output / f"{shard['name']}.jsonl").read_text().splitlines()
        entries = [json.loads(line) for line in lines]
        with tarfile.open(output / f"{shard['name']}.tar") as tar:
            assert tar.getnames() == [entry["annotation"]["file_name"] for entry in entries]
            for entry in entries:
                name = entry["annotation"]["file_name"]
                (tmp_path / "one.png").write_bytes(tar.extractfile(name).read())
                ids = read_ids(tmp_path / "one.png")
                assert ids.shape == (entry["image"]["height"], entry["image"]["width"])
                (segment,) = entry["annotation"]["segments_info"]
                assert (ids == segment["id"]).all() and segment["area"] == ids.size
                assert segment["category_id"] == int(name[1]) % 2
                seen.append(name)
    assert seen == [f"p{number}.png" for number in (0, 1, 2, 3, 5, 6)]


def test_it_goes_on_and_comes_to_the_same(photos, run, tmp_path):
    output = tmp_path / "out"
    parse_shards(photos, str(output), 3, run)
    before = contents(output)
    (output / "parses.json").unlink()
    # What a kill leaves: a shard without its last file.
    (output / "parses-00001-of-00003.jsonl").unlink()
    (output / ".deeperlab-parses-00001-of-00003.jsonl-a1b2c3d4").mkdir()
    kept = (output / "parses-00000-of-00003.tar").stat().st_mtime_ns
    parse_shards(photos, str(output), 3, run)
    assert contents(output) == before
    assert (output / "parses-00000-of-00003.tar").stat().st_mtime_ns == kept


def another_model(photos):
    return photos._replace(model=photos.model.replace("red", "blue")), 3


def trained_on(photos):
    pathlib.Path(photos.model, "checkpoints", "ckpt-2.index").write_bytes(b"2")
    return photos, 3


def other_values(photos):
    return photos._replace(overrides={}), 3


def another_photo(photos):
    """Of the same size in bytes."""
    path = pathlib.Path(photos.files["p0"])
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    return photos, 3


def another_division(photos):
    return photos, 2


@pytest.mark.parametrize(
    "change, names",
    [
        (another_model, "model"),
        (trained_on, "weights"),
        (other_values, "overrides"),
        (another_photo, "files"),
        (another_division, "shards"),
    ],
)
def test_what_was_parsed_by_another_job_is_refused(photos, run, tmp_path, change, names):
    output = tmp_path / "out"
    parse_shards(photos, str(output), 3, run)
    before = contents(output)
    photos, num_shards = change(photos)
    with pytest.raises(UserError, match=rf"parses of another job: .*{names}.* differ"):
        parse_shards(photos, str(output), num_shards, run)
    assert contents(output) == before


def test_a_model_is_opened_once_where_one_process_does_all(photos, run, tmp_path, monkeypatch):
    opened, model = [], shards.Predictor(photos.model, {})
    monkeypatch.setattr(shards, "Predictor", lambda *_: opened.append(1) or model)
    parse_shards(photos, str(tmp_path / "out"), 3, run)
    assert len(opened) == 1


def test_files_of_the_users_stay(photos, run, tmp_path):
    output = tmp_path / "out"
    output.mkdir()
    (output / "parses.json").write_text('{"mine": 1}')
    with pytest.raises(UserError, match=r"parses\.json exists already"):
        parse_shards(photos, str(output), 3, run)
    assert (output / "parses.json").read_text() == '{"mine": 1}'


@pytest.mark.parametrize("kind", [".tar", ".jsonl", ".bad.jsonl"])
def test_a_file_that_is_called_like_a_shard_stays(photos, run, tmp_path, kind):
    output = tmp_path / "out"
    output.mkdir()
    mine = output / f"parses-00001-of-00003{kind}"
    mine.write_text("mine")
    with pytest.raises(UserError, match=rf"{mine.name} exists already and is no shard"):
        parse_shards(photos, str(output), 3, run)
    assert contents(output) == {mine.name: b"mine"}


def test_more_shards_than_images(photos, run, tmp_path):
    summary = parse_shards(photos, str(tmp_path / "out"), 100, run)
    assert len(summary["shards"]) == 7 and summary["images"] == 6


def test_a_tar_knows_no_time(photos, run, tmp_path):
    parse_shards(photos, str(tmp_path / "out"), 1, run)
    archive = io.BytesIO((tmp_path / "out" / "parses-00000-of-00001.tar").read_bytes())
    with tarfile.open(fileobj=archive) as tar:
        assert {member.mtime for member in tar.getmembers()} == {0}
