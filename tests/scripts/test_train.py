"""The training program from the command line: a run, a resume, and one sentence for each mistake."""

import json
import os
import subprocess
import sys

import pytest

TINY = (
    "--config.data.shapes.num_train=4", "--config.data.shapes.num_val=2", "--config.data.shapes.image_size=(65,65)",
    "--config.data.crop_size=(65,65)", "--config.eval.image_size=(65,65)", "--config.model.width=0.1",
    "--config.model.decoder_channels=8", "--config.train.batch_size=2", "--config.train.checkpoint_every=2",
)  # fmt: skip


def train(repository, *flags, cwd=None):
    command = [sys.executable, str(repository / "scripts" / "train.py"), *map(str, flags)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd or repository)


def error_of(result):
    """The one line a user sees."""
    assert result.returncode == 1, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    return line


@pytest.mark.slow
@pytest.mark.fast
def test_trains_stops_and_resumes_from_any_folder(repository, tmp_path):
    experiment = repository / "experiments" / "shapes.py"
    run = tmp_path / "run"
    flags = (f"--config={experiment}", f"--workdir={run}", "--config.train.steps=4", *TINY)
    first = train(repository, *flags, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert "4/4" in first.stderr and "img/s" in first.stderr
    assert json.loads((run / "config.json").read_text())["train"]["steps"] == 4
    os.remove(run / "checkpoints" / "ckpt-4.index")
    (run / "checkpoints" / "checkpoint").write_text('model_checkpoint_path: "ckpt-2"\n')
    second = train(repository, *flags, cwd=tmp_path)
    assert second.returncode == 0, second.stderr
    assert "resumed from" in second.stderr and "ckpt-2" in second.stderr


@pytest.mark.parametrize(
    "flags, words",
    [
        (("--config=experiments/missing.py", "--workdir=w"), "experiments/missing.py"),
        (("--config=experiments/shapes.py",), "workdir"),
        (("--config=experiments/shapes.py", "--workdir=w", "--config.train.stepz=3"), "stepz"),
        (("--config=experiments/shapes.py", "--workdir=w", "--config.train.steps=many"), "many"),
        (("--config=experiments/shapes.py", "--workdir=w", "--config.data.crop_size=(128,128)"), "129"),
        (("--config=experiments/shapes.py", "--workdir=w", "extra"), "extra"),
        (("--config=experiments/folder.py", "--workdir=w", "--config.data.root=/no/such"), "/no/such"),
    ],
)
def test_a_mistake_is_one_sentence_and_leaves_nothing(repository, tmp_path, flags, words):
    flags = [flag.replace("--workdir=w", f"--workdir={tmp_path / 'w'}") for flag in flags]
    assert words in error_of(train(repository, *flags))
    assert not os.listdir(tmp_path)
