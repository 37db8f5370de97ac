"""The whole way with nothing but temporary files on this machine's disk: in TensorFlow's memory,
and in a bucket by the programs.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from deeperlab_tf.errors import UserError
from deeperlab_tf.evaluation.evaluate import evaluate
from deeperlab_tf.evaluation.report.page import write_report
from deeperlab_tf.export.saved_model import ExportOptions, export_saved_model
from deeperlab_tf.files import storage
from deeperlab_tf.files.atomic import atomic_path, read_json, write_json
from deeperlab_tf.prediction.predictor import Predictor
from deeperlab_tf.training.loop import RunOptions
from deeperlab_tf.training.train import train
from deeperlab_tf.training.workdir import load_run
from input_pipeline import make_dataset, open_source
from input_pipeline.records.write import write_records
from tests.input_pipeline.conftest import FolderMaker
from tests.programs import REPOSITORY, run_program
from tests.toys import tiny_config


def put(folder: str, target: str) -> None:
    """Copies a local folder with all in it."""
    for where, _, names in storage.walk(folder):
        for name in names:
            inside = storage.relpath(storage.join(where, name), folder)
            storage.makedirs(storage.dirname(storage.join(target, inside)))
            storage.copy(storage.join(where, name), storage.join(target, inside))


@pytest.fixture
def data(tmp_path):
    """A small dataset on this machine."""
    (tmp_path / "data").mkdir()
    return str(FolderMaker(tmp_path / "data").root)


def config_for(root: str):
    config = tiny_config()
    config.data.dataset, config.data.root = "folder", root
    config.data.crop_size = config.eval.image_size = (33, 33)
    config.data.keypoint_radius = 5.0
    return config


@pytest.mark.slow
@pytest.mark.both_stacks
def test_the_whole_way_in_tensorflows_memory(data, monkeypatch, tmp_path):
    put(data, "ram://data")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")

    # Records, the same as on the disk.
    config = config_for("ram://data")
    for split in ("train", "val"):
        write_records(config, split, "ram://records", num_shards=2, processes=1)
        write_records(config_for(data), split, str(tmp_path / "records"), 2, processes=1)
    for name in storage.listdir(str(tmp_path / "records")):
        if not name.endswith((".gz", ".json")):
            assert content(f"ram://records/{name}") == content(str(tmp_path / "records" / name))
    with pytest.raises(UserError, match="changed: images/im0"):
        storage.copy(str(tmp_path / "data/semantic/im1.png"), "ram://data/images/im0.png")
        write_records(config, "train", "ram://records", num_shards=2, processes=1)

    # Training, twice: the second time it goes on.
    config.data.records = "ram://records"
    source = open_source(config, "val")
    read = functools.partial(make_dataset, config, "train")
    config.train.steps = 2
    train(config, "ram://run", source.dataset, read)
    config.train.steps = 4
    train(config, "ram://run", source.dataset, read, RunOptions(accept_changes=True))
    names = storage.listdir("ram://run/checkpoints")
    assert "ckpt-4.index" in names and "ckpt-2.index" in names

    # Evaluation with its page, export, parses.
    predictor = Predictor("ram://run")
    with atomic_path("ram://evaluation") as folder:
        evaluation = evaluate(predictor, source, folder)
        result = evaluation.result()
        write_json(storage.join(folder, "metrics.json"), result)
        write_report(storage.join(folder, "report.html"), evaluation, result)
    assert read_json("ram://evaluation/metrics.json")["num_images"] == len(source)
    assert storage.isfile("ram://evaluation/report.html")
    assert storage.isfile("ram://evaluation/parses/parses.json")

    options = ExportOptions(batch_sizes=[1])
    export_saved_model(*load_run("ram://run"), "ram://exports/toy/1", options)
    image = source[0]["image"]
    parsing = Predictor("ram://exports/toy")(image)
    same = np.mean(parsing.panoptic == predictor(image).panoptic)
    assert same >= 0.999
    parsing.save("ram://parses", "photo")
    assert sorted(storage.listdir("ram://parses")) == [
        "photo.json",
        "photo.png",
        "photo_overlay.jpg",
    ]
    assert os.listdir(".") == []


def content(path: str) -> bytes:
    with storage.open(path, "rb") as file:
        return file.read()


# === In a bucket, by the programs ===


SHAPES = f"--config={REPOSITORY / 'experiments' / 'shapes.py'}"
TINY = (
    "--config.data.crop_size=(33,33)",
    "--config.data.keypoint_radius=5.0",
    "--config.eval.image_size=(33,33)",
    "--config.model.width=0.1",
    "--config.model.kernel_size=3",
    "--config.model.decoder_channels=8",
    "--config.train.batch_size=2",
    "--config.train.checkpoint_every=2",
    "--config.train.log_every=1",
)


@pytest.fixture
def bucket(bucket, tmp_path):
    """A part of the bucket of the test's own."""
    return f"{bucket}/{tmp_path.name}"


@pytest.fixture
def program(bucket_environment, tmp_path):
    """Function (name, *flags, status) -> what a program printed, in an empty folder."""
    folder = tmp_path / "empty"
    folder.mkdir()

    def run(name, *flags, status=0):
        done = run_program(name, *flags, cwd=folder, environment=bucket_environment)
        assert done.returncode == status, done.stderr[-4000:]
        assert os.listdir(folder) == []
        return done.stdout + done.stderr

    return run


@pytest.fixture
def records(program, bucket, data):
    """Records in the bucket, of data there."""
    put(data, f"{bucket}/data")
    for split in ("train", "val"):
        of = ("--dataset=folder", f"--root={bucket}/data", f"--split={split}")
        program("build_records.py", *of, f"--output={bucket}/records", "--shards=2")
    return f"{bucket}/records"


@pytest.mark.slow
def test_the_programs_work_in_a_bucket(program, bucket, records):
    run = (SHAPES, f"--config.data.records={records}", f"--workdir={bucket}/run", *TINY)
    program("train.py", *run, "--config.train.steps=2")
    program("train.py", *run, "--config.train.steps=2")
    assert newest_step(bucket) == 2
    assert "train.steps differ" in program("train.py", *run, "--config.train.steps=4", status=1)

    model = f"--model={bucket}/run"
    evaluation = f"{bucket}/evaluation"
    program("evaluate.py", model, f"--output={evaluation}", "--report")
    assert json.loads(content(f"{evaluation}/metrics.json"))["num_images"] == 2
    assert b"<title>" in content(f"{evaluation}/report.html")
    sides = []
    for side in ("gt", "pred"):
        sides.append(f"--{side}_json={evaluation}/parses/parses.json")
        sides.append(f"--{side}_dir={evaluation}/parses")
    program("evaluate.py", *sides, f"--output={bucket}/scores/files.json")
    assert json.loads(content(f"{bucket}/scores/files.json"))["pq"] == 1.0

    program("export.py", model, f"--output={bucket}/exports/toy/1")
    where = (f"--input={bucket}/data/images", f"--output={bucket}/parses")
    program("predict.py", f"--model={bucket}/exports/toy", *where)
    names = sorted(storage.listdir(f"{bucket}/parses"))
    assert [name for name in names if name.endswith(".json")] == [f"im{n}.json" for n in range(6)]

    nowhere = ("--input=gs://nobody/x.png", "--output=gs://nobody/y")
    said = program("predict.py", model, *nowhere, status=1)
    assert "error: there is no file or folder gs://nobody/x.png" in said


@pytest.mark.slow
@pytest.mark.long
def test_two_processes_that_are_killed_go_on_in_a_bucket(bucket_environment, bucket, records):
    flags = (f"--config.data.records={records}", f"--workdir={bucket}/run", *TINY)
    command = [sys.executable, str(REPOSITORY / "scripts" / "train.py"), SHAPES, *flags]
    command += ["--config.train.steps=1000", "--cluster_timeout=300"]

    def start_both():
        addresses = [f"127.0.0.1:{free_port()}" for _ in range(2)]
        both = []
        for index in range(2):
            place = {"type": "worker", "index": index}
            cluster = json.dumps({"cluster": {"worker": addresses}, "task": place})
            environment = {**os.environ, **bucket_environment, "TF_CONFIG": cluster}
            pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            both.append(subprocess.Popen(command, env=environment, **pipes))
        return both

    both = start_both()
    wait_for(lambda: newest_step(bucket) >= 2, both)
    for process in both:
        process.kill()
        process.communicate()
    killed_at = newest_step(bucket)
    both = start_both()
    wait_for(lambda: newest_step(bucket) >= killed_at + 2, both)
    for process in both:
        process.send_signal(signal.SIGTERM)
    outputs = [process.communicate(timeout=800)[0] for process in both]
    assert f"resumed from {bucket}/run/checkpoints/ckpt-{killed_at}" in outputs[0], outputs[0]


def free_port() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return door.getsockname()[1]


def newest_step(bucket: str) -> int:
    """Of the checkpoints that are whole; 0: there is none."""
    folder = f"{bucket}/run/checkpoints"
    names = storage.listdir(folder) if storage.isdir(folder) else []
    indices = [name for name in names if name.startswith("ckpt-") and name.endswith(".index")]
    return max((int(name[len("ckpt-") : -len(".index")]) for name in indices), default=0)


def wait_for(condition, processes):
    end = time.monotonic() + 800
    while not condition():
        for process in processes:
            assert process.poll() is None, process.communicate()[0][-4000:]
        assert time.monotonic() < end
        time.sleep(1)
