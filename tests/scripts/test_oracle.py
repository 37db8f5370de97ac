"""A model's heads from the command line: which are to blame, and which fusion suits them."""

import json

import pytest

from input_pipeline.datasets import shapes
from tests.toys import save_untrained


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Workdir of a network with random weights that knows the shapes."""
    return save_untrained(tmp_path_factory.mktemp("shapes"), shapes.DATASET)


def written(done, path):
    assert done.returncode == 0, done.stderr
    assert f"wrote {path}" in done.stdout
    return json.loads(path.read_text())


@pytest.mark.slow
def test_true_heads_in_place_of_predicted_ones_lead_to_the_ceiling(program, run, tmp_path):
    output = tmp_path / "blame.json"
    flags = (f"--model={run}", "--num_images=2", f"--output={output}")
    replaced = ("--replace=semantic", "--replace=semantic+keypoints")
    result = written(program("oracle.py", *flags, *replaced), output)
    assert result["num_images"] == 2 and result["split"] == "val"
    predicted, semantic, all_five = result["rows"]
    assert predicted["pq"] < 0.1 and semantic["miou"] > 0.5 > predicted["miou"]
    assert all_five["pq"] > 0.8 > semantic["pq"]


@pytest.mark.slow
def test_settings_are_scored_on_heads_computed_once(program, run, tmp_path):
    output = tmp_path / "sweep.json"
    flags = (f"--model={run}", "--num_images=2", f"--output={output}", "--metric=miou")
    values = ("--set=peak_threshold=0.1,0.9", "--set=merging.least_stuff_share=1.0")
    result = written(program("sweep_fusion.py", *flags, *values), output)
    assert [row["setting"] for row in result["rows"]] == [
        {},
        {"fusion.peak_threshold": 0.1, "fusion.merging.least_stuff_share": 1.0},
        {"fusion.peak_threshold": 0.9, "fusion.merging.least_stuff_share": 1.0},
    ]
    # Without any stuff.
    assert result["rows"][0]["miou"] > result["rows"][1]["miou"]
    assert result["best"] == max(result["rows"], key=lambda row: row["miou"])


@pytest.mark.slow
def test_an_export_scores_as_the_run_it_is_of(program, run, tmp_path):
    export = tmp_path / "shapes" / "1"
    done = program("export.py", f"--workdir={run}", f"--output={export}", "--batch_size=1")
    assert done.returncode == 0, done.stderr
    scores = []
    for name, model in {"run": run, "export": export}.items():
        output = tmp_path / name
        flags = (f"--model={model}", f"--output={output}", "--config.data.shapes.num_val=3")
        done = program("evaluate.py", *flags)
        assert done.returncode == 0, done.stderr
        scores.append(json.loads((output / "metrics.json").read_text()))
    for name in ("pq", "pc", "miou", "num_images"):
        assert scores[0][name] == pytest.approx(scores[1][name], abs=1e-6)


def test_mistakes_are_one_sentence(program, error_of, run, tmp_path):
    def error(name, *flags):
        output = tmp_path / "out.json"
        line = error_of(program(name, *flags, f"--output={output}"))
        assert not output.exists()
        return line

    model = f"--model={run}"
    assert "nose" in error("oracle.py", model, "--replace=nose")
    assert "nose" in error("sweep_fusion.py", model, "--set=nose=1")
    assert "give KEY=VALUE,VALUE" in error("sweep_fusion.py", model, "--set=nms_iou")
    assert "nms_iou" in error("sweep_fusion.py", model, "--set=nms_iou=2")
    assert "give --model, too" in error("sweep_fusion.py", "--set=nms_iou=0.5")
    assert "--choices names nose; there are defaults" in error("sweep_fusion.py", "--choices=nose")
