"""What people annotate becomes a folder of masks by one command, and can be trained on."""

import json

import pytest

from tests.input_pipeline.datasets import outlined


@pytest.mark.slow  # three programs that load TensorFlow
def test_annotations_are_converted_and_checked(program, tmp_path, error_of):
    outlined.write_labelme(tmp_path / "drawn")
    flags = ["--dataset=labelme", "--stuff=road", "--val_every=4"]
    output = tmp_path / "masks"
    root = f"--root={tmp_path / 'drawn'}"
    done = program("convert_dataset.py", *flags, root, f"--output={output}")
    assert done.returncode == 0 and "6 of train, 2 of val" in done.stdout, done.stderr

    checked = tmp_path / "check"
    done = program("check_dataset.py", f"--root={output}", f"--output={checked}")
    assert done.returncode == 0 and "can be trained on" in done.stdout, done.stderr
    report = json.loads((checked / "report.json").read_text())
    assert report["images"] == 6 and report["errors"] == []

    done = program("convert_dataset.py", *flags, f"--root={tmp_path}/no", f"--output={output}2")
    assert "does not exist" in error_of(done) and not (tmp_path / "masks2").exists()
