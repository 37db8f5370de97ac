"""The training program from the command line: a run, a resume, one sentence for each mistake."""

import json
import os
import subprocess
import sys

import pytest

from experiments.shapes import get_config as config_of_shapes
from input_pipeline.records.files import find_shards, record_offsets
from input_pipeline.records.write import write_records
from tests.programs import REPOSITORY, run_program

TINY = (
    "--config.data.shapes.num_train=4",
    "--config.data.shapes.num_val=2",
    "--config.data.shapes.image_size=(65,65)",
    "--config.data.crop_size=(65,65)",
    "--config.eval.image_size=(65,65)",
    "--config.model.width=0.1",
    "--config.model.decoder_channels=8",
    "--config.train.batch_size=2",
    "--config.train.checkpoint_every=2",
)


def train(*flags, cwd=REPOSITORY):
    return run_program("train.py", *flags, cwd=cwd)


def error_of(result):
    """The one line a user sees."""
    assert result.returncode == 1, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    return line


@pytest.mark.slow
@pytest.mark.both_stacks
def test_trains_stops_and_resumes_from_any_folder(repository, tmp_path):
    experiment = repository / "experiments" / "shapes.py"
    run = tmp_path / "run"
    flags = (f"--config={experiment}", f"--workdir={run}", "--config.train.steps=4", *TINY)
    first = train(*flags, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert "4/4" in first.stderr and "img/s" in first.stderr
    assert json.loads((run / "config.json").read_text())["train"]["steps"] == 4
    os.remove(run / "checkpoints" / "ckpt-4.index")
    (run / "checkpoints" / "checkpoint").write_text('model_checkpoint_path: "ckpt-2"\n')
    second = train(*flags, cwd=tmp_path)
    assert second.returncode == 0, second.stderr
    assert "resumed from" in second.stderr and "ckpt-2" in second.stderr


@pytest.mark.slow
def test_corrupt_records_are_counted_and_a_data_service_prepares_the_batches(repository, tmp_path):
    config = config_of_shapes()
    config.data.shapes.update({"image_size": (65, 65), "num_train": 4, "num_val": 2})
    folder = str(tmp_path / "records")
    for split in ("train", "val"):
        write_records(config, split, folder, num_shards=1, processes=1)
    (shard,) = find_shards(folder, "train")
    with open(shard, "r+b") as file:
        file.seek(record_offsets(shard)[2][0] + 50)
        file.write(b"\xff\xff\xff")
    flags = [
        f"--config={repository / 'experiments' / 'shapes.py'}",
        f"--workdir={tmp_path / 'run'}",
        *TINY,
    ]
    flags += [f"--config.data.records={folder}", "--config.train.steps=4", "--skip_corrupt"]
    first = train(*flags)
    assert first.returncode == 0, first.stderr
    assert f"left out as corrupt: 1 (record 2 of {shard})" in first.stderr.splitlines()[-1]

    script = [sys.executable, str(repository / "scripts" / "data_service.py")]
    servers = [subprocess.Popen(script, stdout=subprocess.PIPE, text=True)]
    try:
        address = servers[0].stdout.readline().split()[-1]
        for _ in range(2):
            servers.append(
                subprocess.Popen(
                    [*script, f"--dispatcher={address}"], stdout=subprocess.PIPE, text=True
                )
            )
        assert all("ready" in server.stdout.readline() for server in servers[1:])
        os.remove(tmp_path / "run" / "checkpoints" / "ckpt-4.index")
        (tmp_path / "run" / "checkpoints" / "checkpoint").write_text(
            'model_checkpoint_path: "ckpt-2"\n'
        )
        second = train(*flags, f"--data_service={address}")
        assert second.returncode == 0, second.stderr
        assert "resumed from" in second.stderr and "4/4" in second.stderr
    finally:
        for server in servers:
            server.kill()


@pytest.mark.parametrize(
    "flags, words",
    [
        (("--config=experiments/missing.py", "--workdir=w"), "experiments/missing.py"),
        (("--config=experiments/shapes.py",), "workdir"),
        (("--config=experiments/shapes.py", "--workdir=w", "--config.train.stepz=3"), "stepz"),
        (("--config=experiments/shapes.py", "--workdir=w", "--config.train.steps=many"), "many"),
        (
            ("--config=experiments/shapes.py", "--workdir=w", "--config.data.crop_size=(128,128)"),
            "129",
        ),
        (("--config=experiments/shapes.py", "--workdir=w", "extra"), "extra"),
        (
            ("--config=experiments/folder.py", "--workdir=w", "--config.data.root=/no/such"),
            "/no/such",
        ),
    ],
)
def test_a_mistake_is_one_sentence_and_leaves_nothing(tmp_path, flags, words):
    flags = [flag.replace("--workdir=w", f"--workdir={tmp_path / 'w'}") for flag in flags]
    assert words in error_of(train(*flags))
    assert not os.listdir(tmp_path)
