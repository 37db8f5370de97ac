"""What check_source and the script around it find."""

import json
import os
import shutil

import numpy as np
import pytest

from input_pipeline import open_source
from input_pipeline.checks import check_source
from input_pipeline.datasets.cityscapes import Cityscapes
from input_pipeline.datasets.coco import CocoPanoptic
from input_pipeline.datasets.mask_problems import NO_CLASS
from input_pipeline.records import files as record_files
from input_pipeline.records import write
from tests.programs import run_program


def test_classes_segments_and_pixels_are_counted(folder):
    report = check_source(open_source(folder.config, "train"), max_instances=1)
    assert report["errors"] == report["warnings"] == []
    assert report["images"] == 4 and report["sizes"] == {"20 x 30": 4}
    assert report["instances_per_image"] == {"mean": 2.0, "most": 2, "exceeding": 4}
    road, car = report["classes"]
    assert car == {"name": "car", "thing": True, "images": 4, "segments": 8, "pixels": 4 * 90}
    assert road == {
        "name": "road",
        "thing": False,
        "images": 4,
        "segments": 4,
        "pixels": 4 * (600 - 30 - 90),
    }


def test_broken_files_and_missing_labels_are_listed(folder):
    folder.path("images", 0).write_bytes(b"nothing")
    folder.save("semantic", 1, np.full((20, 30), 42, np.uint8))
    folder.save("semantic", 3, np.full((20, 30), 255, np.uint8))
    report = check_source(open_source(folder.config, "train"), max_instances=256)
    assert len(report["errors"]) == 2 and report["images"] == 2
    assert "im0.png cannot be read" in report["errors"][0] and "class id 42" in report["errors"][1]
    assert "image 'im3' has no label at all" in report["warnings"]
    assert report["problems"] == {NO_CLASS: ["im3"]}


def test_segments_that_json_and_png_tell_differently_are_listed(data_dir, tmp_path):
    sample = data_dir / "coco_panoptic" / "sample_data"
    shutil.copytree(sample / "panoptic_examples", tmp_path / "annotations" / "panoptic_val")
    shutil.copytree(sample / "input_images", tmp_path / "val")
    content = json.loads((sample / "panoptic_examples.json").read_text())
    segments = content["annotations"][0]["segments_info"]
    segments[0]["area"] += 1
    segments.append({"id": 1, "category_id": 1, "area": 5, "iscrowd": 0})
    (tmp_path / "annotations").chmod(0o755)
    (tmp_path / "annotations" / "panoptic_val.json").write_text(json.dumps(content))
    report = check_source(CocoPanoptic(tmp_path, "val"), max_instances=256)
    found = [warning for warning in report["warnings"] if "do not occur" not in warning]
    assert report["errors"] == [] and len(found) == 2
    assert "pixels, not" in found[0] and "segment 1 of the JSON is not in" in found[1]


def test_images_without_labels_are_listed(data_dir, tmp_path):
    layouts = data_dir / "layouts"
    shutil.copytree(layouts / "cityscapes_dataset" / "dataset", tmp_path / "city")
    os.chmod(tmp_path / "city/gtFine/val/defaultcity", 0o755)
    shutil.copy(next((tmp_path / "city/gtFine/val/defaultcity").iterdir()), tmp_path / "x.png")
    shutil.copy(
        tmp_path / "x.png",
        tmp_path / "city/gtFine/val/defaultcity/lost_000001_000001_gtFine_instanceIds.png",
    )
    (found,) = [
        w
        for w in check_source(Cityscapes(tmp_path / "city", "val"), 256)["warnings"]
        if "no photo" in w
    ]
    assert "lost_000001_000001" in found

    sample = data_dir / "coco_panoptic" / "sample_data"
    shutil.copytree(sample / "panoptic_examples", tmp_path / "coco/annotations/panoptic_val")
    shutil.copytree(sample / "input_images", tmp_path / "coco/val")
    content = json.loads((sample / "panoptic_examples.json").read_text())
    lost = content["annotations"].pop()["image_id"]
    name = next(image["file_name"] for image in content["images"] if image["id"] == lost)
    (tmp_path / "coco/annotations").chmod(0o755)
    (tmp_path / "coco/annotations/panoptic_val.json").write_text(json.dumps(content))
    warnings = check_source(CocoPanoptic(tmp_path / "coco", "val"), 256)["warnings"]
    assert [w for w in warnings if "no annotation" in w and repr(name) in w]


@pytest.mark.parametrize("skip", [False, True])
def test_corrupt_records_are_named_and_counted(folder, tmp_path_factory, skip):
    config = folder.config
    config.data.records = str(tmp_path_factory.mktemp("records"))
    write.write_records(folder.config, "train", config.data.records, num_shards=1, processes=1)
    (shard,) = record_files.find_shards(config.data.records, "train")
    assert check_source(open_source(config, "train"), 256)["errors"] == []
    with open(shard, "r+b") as file:
        file.seek(record_files.record_offsets(shard)[2][0] + 50)
        file.write(b"\xff\xff\xff")
    report = check_source(open_source(config, "train"), 256, skip_corrupt=skip)
    assert report["images"] == 3 and report["corrupt"] == 1
    assert f"record 2 of {shard} is corrupt" in report["warnings" if skip else "errors"][0]


@pytest.mark.slow
@pytest.mark.parametrize("broken", [False, True])
def test_the_exit_status_tells_whether_data_can_be_trained_on(folder, tmp_path_factory, broken):
    if broken:
        folder.path("images", 0).write_bytes(b"nothing")
    output = tmp_path_factory.mktemp("check") / "out"
    done = run_program("check_dataset.py", f"--root={folder.root}", f"--output={output}")
    assert done.returncode == int(broken), done.stderr
    assert len(json.loads((output / "report.json").read_text())["errors"]) == int(broken)
    assert (output / "sheet.png").stat().st_size > 1000
