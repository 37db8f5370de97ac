"""Exports from the command line: one sentence for each mistake."""

import shutil

import pytest

from deeperlab_tf.errors import UserError
from deeperlab_tf.training.workdir import load_run


def test_what_cannot_be_exported_is_one_clear_sentence(
    program, error_of, exported, workdir, tmp_path
):
    again = program("export.py", f"--workdir={workdir}", f"--output={exported}")
    assert "exists already; choose another --output, the next version number" in error_of(again)

    untrained, half = tmp_path / "untrained", tmp_path / "half"
    shutil.copytree(workdir, untrained, ignore=shutil.ignore_patterns("checkpoints"))
    output = tmp_path / "model" / "1"
    done = program("export.py", f"--workdir={untrained}", f"--output={output}")
    assert "has no checkpoint yet; train first" in error_of(done)
    assert not output.parent.exists()

    shutil.copytree(workdir, half)
    for data in (half / "checkpoints").glob("*.data-*"):
        data.write_bytes(data.read_bytes()[:1000])
    with pytest.raises(UserError, match="can be read"):
        load_run(str(half))
    (half / "dataset.json").write_text('{"name": "toy"')
    with pytest.raises(UserError, match=r"dataset\.json is not a dataset description"):
        load_run(str(half))


@pytest.mark.parametrize(
    "flags, message",
    [
        (("--format=onnx", "--precision=int8"), "needs --calibration"),
        (("--format=onnx", "--precision=float16"), "offers --precision=float32 or int8"),
    ],
)
def test_flags_that_do_not_go_together_are_told(
    program, error_of, workdir, tmp_path, flags, message
):
    assert message in error_of(
        program("export.py", f"--workdir={workdir}", f"--output={tmp_path / 'x'}", *flags)
    )
