"""Scores from the command line: files, and one sentence for each mistake."""

import json

import pytest


@pytest.fixture
def truth(data_dir):
    sample = data_dir / "coco_panoptic" / "sample_data"
    return {"json": sample / "panoptic_examples.json", "dir": sample / "panoptic_examples"}


def file_flags(truth, **changes):
    flags = {f"{side}_{what}": path for side in ("gt", "pred") for what, path in truth.items()}
    return [f"--{name}={path}" for name, path in {**flags, **changes}.items() if path is not None]


def test_truth_against_itself_writes_ones(program, truth, tmp_path):
    done = program("evaluate.py", *file_flags(truth), f"--output={tmp_path / 'metrics.json'}")
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    keys = ["pc", "pc_normalized", "miou"]
    for name in ("pq", "sq", "rq"):
        keys += [name, f"{name}_things", f"{name}_stuff"]
    assert [metrics[key] for key in keys] == [1.0] * len(keys)
    assert metrics["num_images"] == 2 and len(metrics["per_class"]) == 133
    assert metrics["per_class"][1]["pq"] is None
    assert "100.00" in done.stdout


def test_bad_input_is_one_line_and_status_one(program, truth, tmp_path):
    output = f"--output={tmp_path / 'metrics.json'}"
    cases = {
        "missing: --pred_json": file_flags(truth, pred_json=None),
        "cannot read the panoptic JSON": file_flags(truth, pred_json=tmp_path / "no.json"),
        "there is no folder": [f"--workdir={tmp_path / 'nowhere'}"],
        "not both": [*file_flags(truth), "--workdir=somewhere"],
    }
    for message, flags in cases.items():
        done = program("evaluate.py", *flags, output)
        assert done.returncode == 1
        assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
        assert message in done.stderr
        assert not list(tmp_path.iterdir())


def test_the_truth_is_never_written_over(program, error_of, tmp_path):
    truth = tmp_path / "gt.json"
    truth.write_text('{"images": [], "annotations": [], "categories": []}')
    flags = dict.fromkeys(("gt_json", "pred_json"), truth)
    flags.update(dict.fromkeys(("gt_dir", "pred_dir"), tmp_path))
    flags = [f"--{name}={path}" for name, path in flags.items()]
    for more in ([], ["--report"]):
        done = program("evaluate.py", *flags, f"--output={truth}", *more)
        assert "gt.json exists already and is not a report" in error_of(done)
    (tmp_path / "m.html").write_text("my page")
    done = program("evaluate.py", *flags, f"--output={tmp_path / 'm.json'}", "--report")
    assert "m.html exists already and is not a report" in error_of(done)
    assert "annotations" in truth.read_text() and (tmp_path / "m.html").read_text() == "my page"
