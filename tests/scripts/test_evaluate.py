"""Scores from the command line: files, and one sentence for each mistake."""

import json

import numpy as np
import pytest
from PIL import Image


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


def test_strict_refuses_what_is_odd_and_scores_the_rest_otherwise(program, error_of, tmp_path):
    """By default the number is COCO's evaluator's, with a note."""
    ids = np.array([[1] * 10 + [2] * 6 + [3] * 4])
    crowds = [dict(id=id_, category_id=2, iscrowd=1) for id_ in (2, 3)]
    disc = dict(id=1, category_id=2, iscrowd=0, area=10)
    sides = {"gt": (ids, [disc, *crowds]), "pred": (np.minimum(ids, 2), [disc, {**disc, "id": 2}])}
    categories = [dict(id=2, name="disc", isthing=1)]
    for name, (pixels, segments) in sides.items():
        (tmp_path / name).mkdir()
        rgb = np.stack([pixels, 0 * pixels, 0 * pixels], -1).astype(np.uint8)
        Image.fromarray(rgb).save(tmp_path / name / "a.png")
        entry = dict(image_id=7, file_name="a.png", segments_info=segments)
        content = dict(annotations=[entry], categories=categories)
        (tmp_path / f"{name}.json").write_text(json.dumps(content))

    def score(name, *more):
        files = {"json": ".json", "dir": ""}
        flags = [
            f"--{side}_{what}={tmp_path / side}{end}"
            for side in sides
            for what, end in files.items()
        ]
        return program("evaluate.py", *flags, f"--output={tmp_path / name}", *more)

    done = score("default.json")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "default.json").read_text())["pq"] == pytest.approx(1 / 1.5)
    assert "image 7: several crowd regions of one class" in done.stdout
    assert score("strict.json", "--strict").returncode == 0
    assert json.loads((tmp_path / "strict.json").read_text())["pq"] == 1.0

    content = json.loads((tmp_path / "gt.json").read_text())
    content["annotations"][0]["segments_info"].append(dict(id=9, category_id=2, area=3))
    (tmp_path / "gt.json").write_text(json.dumps(content))
    assert score("empty.json").returncode == 0
    error = error_of(score("refused.json", "--strict"))
    assert "9" in error and not (tmp_path / "refused.json").exists()
    refused = program("evaluate.py", "--model=street", "--strict", f"--output={tmp_path / 'x'}")
    assert "--strict is about files" in error_of(refused)
