"""Parses in shards: whole, the same again, and what cannot be parsed is named."""

import functools
import io
import json
import os
import pathlib
import pickle
import random
import tarfile

import numpy as np
import pytest
from PIL import Image

from deeperlab_tf.config import default_config
from deeperlab_tf.errors import UserError
from deeperlab_tf.files.panoptic_png import read_ids
from deeperlab_tf.prediction import shards
from deeperlab_tf.prediction.names import ResultNames
from deeperlab_tf.prediction.parsing import Parsing
from deeperlab_tf.prediction.planned import Records, planned, read_planned
from deeperlab_tf.prediction.shards import Photos, bad_images, parse_shards
from deeperlab_tf.work import local
from tests.kills import KILLS, run_whole, start_and_kill
from tests.toys import save_untrained


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
        (tmp_path / name / "dataset.json").write_text(toy_dataset.to_json())
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


@pytest.mark.slow
@pytest.mark.parametrize("kill", range(KILLS))
def test_after_a_kill_at_a_random_moment_it_comes_to_the_same(tmp_path, toy_dataset, kill):
    """Of all processes, or of one worker in every second case."""
    model = save_untrained(tmp_path / "run", toy_dataset)
    rng, files = np.random.default_rng(0), {}
    for number in range(20):
        files[f"p{number:02d}"] = str(tmp_path / f"p{number:02d}.png")
        noise = rng.integers(0, 256, (60, 65, 3), np.uint8)
        Image.fromarray(noise).save(files[f"p{number:02d}"])
    (tmp_path / "p07.png").write_bytes((tmp_path / "p07.png").read_bytes()[:40])
    here, there = tmp_path / "here", tmp_path / "there"
    shared = dict(files=files, model=model, processes=2)
    run_whole("parses", dict(shared, output=str(here)))
    only_worker = (kill or random.randrange(2)) % 2 == 1
    arguments = dict(shared, output=str(there))
    start_and_kill("parses", arguments, "[0-9].jsonl", only_worker)
    run_whole("parses", arguments)
    assert contents(there) == contents(here)


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


def test_it_says_which_files_changed(photos, run, tmp_path):
    parse_shards(photos, str(tmp_path / "out"), 3, run)
    another_photo(photos)
    files = dict(photos.files, p9=photos.files["p6"].replace("p6", "p9"))
    del files["p2"], files["p3"]
    pathlib.Path(files["p9"]).write_bytes(b"new")
    with pytest.raises(UserError) as raised:
        parse_shards(photos._replace(files=files), str(tmp_path / "out"), 3, run)
    where = tmp_path / "photos"
    expected = f"changed: {where}/p0.png; new: {where}/p9.png; gone: {where}/p2.png, {where}/p3.png"
    assert f"files differ ({expected})" in str(raised.value)


def test_parses_of_records_are_those_of_the_photos(photos, run, tmp_path):
    samples = [
        {"image_id": name, "image": np.asarray(Image.open(path))}
        for name, path in photos.files.items()
        if name != "p4"
    ]
    samples.append(dict(samples[0]))
    samples.append(dict(samples[0], image_id="../p"))
    config = default_config()

    class Model(type(shards.Predictor(photos.model, {}))):
        pass

    records = Records("records", "val", len(samples), lambda *_: samples)
    Model.config = config
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "Predictor", lambda *_: Model())
        of_records = photos._replace(files={"s": photos.files["p0"]}, records=records)
        summary = parse_shards(of_records, str(tmp_path / "records"), 1, run)
    assert (summary["images"], summary["bad"]) == (6, 2)
    errors = [bad["error"] for bad in bad_images(str(tmp_path / "records"), summary)]
    assert "name 'p0' of another" in errors[0] and "'../p' leaves the folder" in errors[1]
    parse_shards(photos, str(tmp_path / "files"), 1, run)
    name = "parses-00000-of-00001.tar"
    assert (tmp_path / "records" / name).read_bytes() == (tmp_path / "files" / name).read_bytes()


def test_what_the_tasks_are_told_does_not_grow_with_the_images(photos, tmp_path):
    """Their names are in a file."""
    sizes = []
    for count in (1000, 50_000):
        many = photos._replace(files=ResultNames([f"p{n:06d}.png" for n in range(count)], "", {}))
        with planned(many.files, str(tmp_path)) as files:
            tasks = shards._tasks(many, str(tmp_path), 7, files)
            sizes.append(len(pickle.dumps(tasks)))
            task = tasks[3]
            read = list(read_planned(files.now, task.place, task.last - task.first))
        assert read == list(many.files.items())[task.first : task.last]
    assert sizes[1] < sizes[0] + 200


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
    with pytest.raises(UserError, match=rf"{mine.name} exists already and is none"):
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
