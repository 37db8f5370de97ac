"""The whole way where nothing but temporary files lies on this machine's disk: in TensorFlow's
memory, and in a bucket by the programs.
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
from deeperlab_tf.files import storage
from tests.input_pipeline.conftest import FolderMaker
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
    from deeperlab_tf.evaluation.evaluate import evaluate
    from deeperlab_tf.evaluation.report.page import write_report
    from deeperlab_tf.export.saved_model import ExportOptions, export_saved_model
    from deeperlab_tf.files.atomic import atomic_path, read_json, write_json
    from deeperlab_tf.prediction.predictor import Predictor
    from deeperlab_tf.training.train import train
    from deeperlab_tf.training.workdir import load_run
    from input_pipeline import make_dataset, open_source
    from input_pipeline.records.write import write_records

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
    from deeperlab_tf.training.loop import RunOptions

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


class Programs:
    """Runs the programs of scripts/ in an empty folder, with gs://bucket in reach."""

    def __init__(self, repository, environment, folder):
        self.repository, self.folder = repository, folder
        self.environment = dict(os.environ, CUDA_VISIBLE_DEVICES="", **environment)

    def start(self, name, *flags, **variables):
        command = [sys.executable, str(self.repository / "scripts" / name), *flags]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env={**self.environment, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, name, *flags, status=0):
        process = self.start(name, *flags)
        output = process.communicate(timeout=800)[0]
        assert process.returncode == status, output[-4000:]
        return output


def free_port() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return door.getsockname()[1]


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


@pytest.mark.slow
def test_the_programs_work_in_a_bucket(repository, bucket, bucket_environment, data, tmp_path):
    put(data, f"{bucket}/data")
    (tmp_path / "empty").mkdir()
    programs = Programs(repository, bucket_environment, tmp_path / "empty")

    for split in ("train", "val"):
        programs.run(
            "build_records.py",
            "--dataset=folder",
            f"--root={bucket}/data",
            f"--split={split}",
            f"--output={bucket}/records",
            "--shards=2",
            "--processes=2",
        )

    # Two processes train; one is killed, and both begin again.
    flags = (
        f"--config={repository / 'experiments' / 'shapes.py'}",
        f"--config.data.records={bucket}/records",
        f"--workdir={bucket}/run",
        *TINY,
    )
    address = [f"127.0.0.1:{free_port()}" for _ in range(2)]

    def start_both(steps):
        return [
            programs.start(
                "train.py",
                *flags,
                f"--config.train.steps={steps}",
                "--cluster_timeout=300",
                TF_CONFIG=json.dumps(
                    {"cluster": {"worker": address}, "task": {"type": "worker", "index": index}}
                ),
            )
            for index in range(2)
        ]

    both = start_both(1000)
    wait_for(lambda: storage.isfile(f"{bucket}/run/checkpoints/ckpt-2.index"), both)
    for process in both:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    done = newest_step(bucket)
    both = start_both(done + 4)
    outputs = [process.communicate(timeout=800)[0] for process in both]
    assert all(process.returncode == 1 for process in both), outputs[0][-4000:]
    assert "train.steps differ" in outputs[0]
    both = start_both(1000)
    wait_for(lambda: newest_step(bucket) >= done + 2, both)
    for process in both:
        process.send_signal(signal.SIGTERM)
    outputs = [process.communicate(timeout=800)[0] for process in both]
    assert "resumed from gs://bucket/run/checkpoints/ckpt-" in outputs[0], outputs[0][-4000:]

    model = f"--model={bucket}/run"
    programs.run("evaluate.py", model, f"--output={bucket}/evaluation", "--report")
    metrics = json.loads(content(f"{bucket}/evaluation/metrics.json"))
    assert metrics["num_images"] == 2
    assert b"<title>" in content(f"{bucket}/evaluation/report.html")
    evaluation = f"{bucket}/evaluation"
    programs.run(
        "evaluate.py",
        f"--gt_json={evaluation}/parses/parses.json",
        f"--gt_dir={evaluation}/parses",
        f"--pred_json={evaluation}/parses/parses.json",
        f"--pred_dir={evaluation}/parses",
        f"--output={bucket}/scores/files.json",
    )
    assert json.loads(content(f"{bucket}/scores/files.json"))["pq"] == 1.0
    programs.run("export.py", model, f"--output={bucket}/exports/toy/1")
    programs.run(
        "predict.py",
        f"--model={bucket}/exports/toy",
        f"--input={bucket}/data/images",
        f"--output={bucket}/parses",
    )
    names = sorted(storage.listdir(f"{bucket}/parses"))
    assert [name for name in names if name.endswith(".json")] == [f"im{n}.json" for n in range(6)]

    # One sentence for what is not there.
    said = programs.run(
        "predict.py", model, "--input=gs://nobody/x.png", "--output=gs://nobody/y", status=1
    )
    assert "error: there is no file or folder gs://nobody/x.png" in said
    assert os.listdir(programs.folder) == []


def newest_step(bucket: str) -> int:
    names = storage.listdir(f"{bucket}/run/checkpoints")
    return max(int(name[len("ckpt-") : -len(".index")]) for name in names if ".index" in name)


def wait_for(condition, processes):
    end = time.monotonic() + 800
    while not condition():
        for process in processes:
            assert process.poll() is None, process.communicate()[0][-4000:]
        assert time.monotonic() < end
        time.sleep(1)
