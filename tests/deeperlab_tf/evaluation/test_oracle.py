"""Perfect heads through fusion: the truest test of targets and fusion together."""

import json

import numpy as np
import pytest
import tensorflow as tf

from deeperlab_tf import fuse
from deeperlab_tf.config import default_config
from deeperlab_tf.evaluation.lost import lost_segments
from deeperlab_tf.evaluation.oracle import grid_ceiling, perfect_heads
from deeperlab_tf.metrics import PanopticQuality
from input_pipeline import make_targets, open_source
from tests.programs import run_program


@pytest.fixture(scope="module")
def shapes_oracle():
    """Fused parses and grid ceilings of held-out scenes: (config, samples, parses, ceilings, PQ
    results).
    """
    config = default_config()
    config.data.keypoint_radius = 8.0
    config.fusion.detection.radius_pixels = 5.0
    source = open_source(config, "val")
    things, num_classes = source.dataset.thing_classes, source.dataset.num_classes
    parse = tf.function(lambda heads: fuse(heads, (129, 129), things, config.fusion))
    fused, ceiling = (PanopticQuality(num_classes, things) for _ in range(2))
    samples, parses, ceilings = [], [], []
    for sample in (source[index] for index in range(24)):
        labels = [sample[name] for name in ("semantic", "instance", "crowd")]
        targets = {
            name: value.numpy()
            for name, value in make_targets(*map(tf.constant, labels), config).items()
        }
        heads = perfect_heads(targets, num_classes)
        result = {
            name: value.numpy()[0]
            for name, value in parse({k: tf.constant(v) for k, v in heads.items()}).items()
        }
        on_grid = grid_ceiling(*labels[:2])
        fused.update(*labels[:2], result["semantic"], result["instance"])
        ceiling.update(*labels[:2], *on_grid)
        samples.append(labels)
        parses.append(result)
        ceilings.append(on_grid)
    return config, samples, parses, ceilings, fused.result(), ceiling.result()


@pytest.mark.both_stacks
def test_perfect_heads_give_nearly_every_segment_back(shapes_oracle):
    *_, fused, _ = shapes_oracle
    assert fused["rq"] >= 0.98


@pytest.mark.both_stacks
def test_perfect_heads_come_close_to_the_ceiling_of_the_grid(shapes_oracle):
    *_, fused, ceiling = shapes_oracle
    assert ceiling["pq"] >= 0.94
    assert fused["pq"] >= 0.97 * ceiling["pq"]


def test_every_lost_segment_has_a_reason(shapes_oracle):
    config, samples, parses, ceilings, fused, _ = shapes_oracle
    lost = [
        segment
        for labels, parse, on_grid in zip(samples, parses, ceilings)
        for segment in lost_segments(*labels, parse, on_grid, config.fusion)
    ]
    false_negatives = sum(entry["fn"] for entry in _per_class(fused))
    assert len(lost) == false_negatives
    assert all(segment["reason"] and segment["iou"] <= 0.5 for segment in lost)


def _per_class(result):
    return (
        result["per_class"].values()
        if isinstance(result["per_class"], dict)
        else result["per_class"]
    )


def test_heads_that_are_not_supervised_hold_garbage():
    config = default_config()
    source = open_source(config, "val")
    sample = source[0]
    targets = make_targets(
        *(tf.constant(sample[name]) for name in ("semantic", "instance", "crowd")), config
    )
    targets = {name: value.numpy() for name, value in targets.items()}
    first, second = (perfect_heads(targets, source.dataset.num_classes, seed) for seed in (0, 1))
    off = np.repeat(targets["short_mask"], 2, axis=-1) == 0
    assert np.all(first["short_offsets"][0][~off] == second["short_offsets"][0][~off])
    assert np.mean(first["short_offsets"][0][off] != second["short_offsets"][0][off]) > 0.99


@pytest.mark.slow
def test_program_scores_real_labels_beside_their_ceiling(data_dir, tmp_path):
    folder = data_dir / "coco_panoptic" / "sample_data"
    result = run_program(
        "oracle.py",
        f"--gt_json={folder / 'panoptic_examples.json'}",
        f"--gt_dir={folder / 'panoptic_examples'}",
        "--image_size=641",
        f"--output={tmp_path / 'oracle.json'}",
    )
    assert result.returncode == 0, result.stderr
    measured = json.loads((tmp_path / "oracle.json").read_text())
    assert measured["fused"]["pq"] >= 0.98 * measured["ceiling"]["pq"]
    assert isinstance(measured["lost"], list)


def test_program_takes_datasets_scales_and_every_nth_image(tmp_path):
    output = tmp_path / "oracle.json"
    arguments = [
        "--dataset=shapes",
        "--every=70",
        "--scale=0.75",
        "--keypoint_radius=6",
        f"--output={output}",
    ]
    result = run_program("oracle.py", *arguments)
    assert result.returncode == 0, result.stderr
    measured = json.loads(output.read_text())
    # Sky, in each of the images 0, 70 and 140 of 200.
    assert measured["fused"]["per_class"][0]["tp"] == 3
    assert measured["ratio"] == pytest.approx(measured["fused"]["pq"] / measured["ceiling"]["pq"])


def test_program_without_labels_says_what_to_give(tmp_path):
    result = run_program("oracle.py", f"--output={tmp_path / 'oracle.json'}")
    assert result.returncode == 1
    assert "--dataset" in result.stderr and "Traceback" not in result.stderr


def test_sweep_scores_choices_under_noise(tmp_path):
    output = tmp_path / "sweep.json"
    arguments = [
        "--dataset=shapes",
        "--every=150",
        "--image_size=129",
        "--keypoint_radius=8",
        f"--output={output}",
    ]
    choices = ["defaults", "no middle-range refinement"]
    result = run_program("sweep_fusion.py", *arguments, f"--choices={','.join(choices)}")
    assert result.returncode == 0, result.stderr
    rows = json.loads(output.read_text())["rows"]
    assert [row["choice"] for row in rows] == choices
    assert all(row["none"] >= row["offsets R"] for row in rows)
