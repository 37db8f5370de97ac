"""What Apache Beam does is what one process does, to the byte and to the bit."""

import filecmp
import os
import tarfile

import numpy as np
import pytest
from PIL import Image

from deeperlab_tf.config import default_config
from deeperlab_tf.config_json import config_to_json
from deeperlab_tf.evaluation import at_scale
from deeperlab_tf.evaluation.evaluate import evaluate
from deeperlab_tf.evaluation.files import Files, evaluate_files
from deeperlab_tf.files.submissions import CocoResults
from deeperlab_tf.prediction.parsing import Parsing
from deeperlab_tf.prediction.predictor import Predictor
from deeperlab_tf.prediction.shards import Photos, parse_shards
from deeperlab_tf.work import beam, local
from input_pipeline import checks, open_source
from input_pipeline.records.write import write_records
from tests.input_pipeline.conftest import FolderMaker
from tests.kills import KILLS, start_and_kill
from tests.programs import run_program
from tests.toys import save_untrained

IMAGES = 7


@pytest.fixture
def config():
    """Of drawn shapes."""
    config = default_config()
    config.data.dataset = "shapes"
    config.data.shapes.update(image_size=(65, 65), num_train=IMAGES, num_val=IMAGES)
    config.data.crop_size = config.eval.image_size = (65, 65)
    return config


@pytest.fixture
def on_beam(tmp_path):
    """Function (job) -> what Beam makes of it."""
    pytest.importorskip("apache_beam", reason="Apache Beam is an extra")
    return lambda job: beam.run(job, ["--runner=DirectRunner"], str(tmp_path / "scratch"))


@pytest.fixture
def small_tasks(monkeypatch):
    """Jobs have many tasks."""
    monkeypatch.setattr(at_scale, "_IMAGES", 2)
    monkeypatch.setattr(checks, "_IMAGES", 2)


@pytest.fixture
def files(config, tmp_path):
    """Truth and poor parses of it, with equal scores here and there."""
    source = open_source(config, "val")
    rng = np.random.default_rng(0)
    for folder, shift in (("truth", 0), ("parses", 3)):
        writer = CocoResults(str(tmp_path / folder), source.dataset)
        for index in range(len(source)):
            sample = source[index]
            maps = [np.roll(sample[name], shift, 1) for name in ("semantic", "instance")]
            scores = rng.integers(1, 4, maps[1].max() + 1) / 4
            parsing = Parsing.from_maps(*maps, source.dataset, scores=scores)
            writer.add(parsing, sample["image_id"])
        writer.close()
    paths = []
    for name in ("truth", "parses"):
        paths += [str(tmp_path / name / "parses.json"), str(tmp_path / name)]
    return Files(*paths, strict=False)


def test_scores_of_files_do_not_depend_on_the_split(files, small_tasks):
    expected = evaluate_files(*files[:-1]).result()
    assert 0 < expected["pq"] < 1 and expected["num_images"] == IMAGES
    job = at_scale.files_job(files)
    assert len(job.tasks) == 4
    np.testing.assert_equal(local.run(job, 1), expected)
    backwards = job._replace(tasks=job.tasks[::-1], sizes=job.sizes[::-1])
    np.testing.assert_equal(local.run(backwards, 1), expected)


def test_scores_of_files_on_beam(files, small_tasks, on_beam):
    expected = evaluate_files(*files[:-1]).result()
    np.testing.assert_equal(on_beam(at_scale.files_job(files)), expected)


@pytest.mark.slow
def test_scores_of_a_model_on_beam(config, small_tasks, on_beam, tmp_path):
    model = save_untrained(tmp_path / "run", open_source(config, "val").dataset)
    overrides = {
        "data.dataset": "shapes",
        "data.shapes.num_val": IMAGES,
        "data.shapes.image_size": (65, 65),
        "eval.batch_size": 3,
    }
    predictor = Predictor(model, overrides)
    source = open_source(predictor.config, "val")
    expected = evaluate(predictor, source, str(tmp_path / "evaluation"), batch_size=3).result()
    job = at_scale.model_job(model, overrides, "val", open_source)
    np.testing.assert_equal(on_beam(job), expected)


def test_reports_on_data_on_beam(config, small_tasks, on_beam):
    for limit in (0, 3):
        expected = checks.check_source(open_source(config, "train"), 1, limit)
        config.fusion.max_instances = 1
        report = on_beam(checks.check_job(config, "train", limit))
        assert report == expected and list(report["sizes"]) == list(expected["sizes"])


def same_files(first, second):
    names = sorted(os.listdir(first))
    assert names == sorted(os.listdir(second))
    _, differing, failed = filecmp.cmpfiles(first, second, names, shallow=False)
    assert not differing and not failed
    return names


def test_records_on_beam(config, on_beam, tmp_path):
    here, there = str(tmp_path / "here"), str(tmp_path / "there")
    write_records(config, "train", here, 3, processes=1)
    write_records(config, "train", there, 3, run=on_beam)
    assert len(same_files(here, there)) > 4


@pytest.mark.slow
@pytest.mark.parametrize("kill", range(KILLS))
@pytest.mark.parametrize("kind", ["records_on_beam", "records", "records, one worker"])
def test_records_after_a_kill_at_a_random_moment(config, on_beam, tmp_path, kind, kill):
    config.data.shapes.num_train = 40
    here, there = str(tmp_path / "here"), str(tmp_path / "there")
    write_records(config, "train", here, 20, processes=1)
    arguments = dict(config=config_to_json(config), output=there)
    if kind == "records_on_beam":
        start_and_kill(kind, dict(arguments, scratch=str(tmp_path)), ".tfrecord", False)
        write_records(config, "train", there, 20, run=on_beam)
    else:
        only_worker = kind != "records"
        start_and_kill("records", dict(arguments, processes=2), ".tfrecord", only_worker)
        write_records(config, "train", there, 20, processes=2)
    same_files(here, there)


# === Counters ===


@pytest.fixture
def counters(monkeypatch):
    """Function () -> the counters that the last job logged, by name."""
    lines = []
    monkeypatch.setattr(beam.logging, "info", lambda text, *values: lines.append(text % values))

    def read():
        _, _, shown = lines[-1].partition(": ")
        pairs = (each.split() for each in shown.split(", "))
        return {name: int(count) for count, name in pairs}

    return read


def test_records_on_beam_count_what_they_write(config, on_beam, counters, tmp_path):
    manifest = write_records(config, "train", str(tmp_path / "records"), 3, run=on_beam)
    size = sum(os.path.getsize(path) for path in (tmp_path / "records").glob("*.tfrecord"))
    assert counters() == {"images": IMAGES, "bytes": size}
    assert manifest["images"] == IMAGES and sum(s["bytes"] for s in manifest["shards"]) == size


@pytest.mark.slow
def test_parses_on_beam_count_the_bad_and_the_time(on_beam, counters, tmp_path, toy_dataset):
    files = {}
    for number in range(IMAGES):
        files[f"p{number}"] = str(tmp_path / f"p{number}.png")
        Image.new("RGB", (65, 65), (30 * number, 0, 0)).save(files[f"p{number}"])
    (tmp_path / "p4.png").write_bytes(b"no picture")
    model = save_untrained(tmp_path / "run", toy_dataset)
    parse_shards(Photos(files, model, {}, 2), str(tmp_path / "parses"), 3, on_beam)
    sizes = []
    for path in (tmp_path / "parses").glob("*.tar"):
        with tarfile.open(path) as tar:
            sizes += [member.size for member in tar]
    found = counters()
    assert found.pop("network_ms") > 0
    assert found == {"images": IMAGES, "bad": 1, "bytes": sum(sizes)} and len(sizes) == IMAGES - 1


@pytest.mark.slow
def test_an_evaluation_on_beam_counts_the_bad_and_the_time(
    small_tasks, on_beam, counters, tmp_path
):
    (tmp_path / "data").mkdir()
    folder = FolderMaker(tmp_path / "data")
    folder.write()
    config = folder.config
    model = save_untrained(tmp_path / "run", open_source(config, "train").dataset)
    path = open_source(config, "train").paths(1)[0]
    with open(path, "wb") as file:
        file.write(b"no picture")
    overrides = {"data.dataset": "folder", "data.root": config.data.root}
    result = on_beam(at_scale.model_job(model, overrides, "train", open_source))
    found = counters()
    assert found.pop("network_ms") > 0
    assert found == {"images": 4, "bad": 1} and result["num_images"] == 3


# === From the command line ===


@pytest.fixture
def program():
    """Function (script, *flags) -> the finished process."""
    pytest.importorskip("apache_beam", reason="Apache Beam is an extra")
    return run_program


def test_programs_hand_beams_options_on(program, files, tmp_path):
    sides = zip(("gt_json", "gt_dir", "pred_json", "pred_dir"), files)
    flags = [f"--{name}={path}" for name, path in sides]
    output = tmp_path / "metrics.json"
    done = program(
        "evaluate.py",
        *flags,
        f"--output={output}",
        "--runner=DirectRunner",
        "--direct_num_workers=1",
    )
    assert done.returncode == 0, done.stderr
    assert f"{IMAGES} images" in done.stdout and output.exists()
    assert "comparing: 7 images" in done.stderr


@pytest.mark.slow
def test_a_models_scores_do_not_depend_on_who_does_the_work(program, config, tmp_path):
    model = save_untrained(tmp_path / "run", open_source(config, "val").dataset)
    flags = [f"--model={model}", "--config.data.dataset=shapes", "--config.eval.batch_size=2"]
    flags += [f"--config.data.shapes.num_val={IMAGES}", "--config.data.shapes.image_size=65,65"]
    scores = []
    for name, runner in (("here", []), ("there", ["--runner=DirectRunner"])):
        done = program("evaluate.py", *flags, f"--output={tmp_path / name}", *runner)
        assert done.returncode == 0, done.stderr
        scores.append((tmp_path / name / "metrics.json").read_text())
    assert scores[0] == scores[1] and '"num_images": 7' in scores[0]


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--runner=DirectRunner", "--nonsense=1"], "has the option --nonsense=1"),
        (["--runner=NoRunner"], "Beam cannot start"),
        (["--runner=DirectRunner", "--report"], "does not do --report"),
        (["--direct_num_workers=2"], "Unknown command line flag 'direct_num_workers'"),
    ],
)
def test_mistakes_are_one_sentence(program, files, tmp_path, flags, message):
    sides = zip(("gt_json", "gt_dir", "pred_json", "pred_dir"), files)
    given = [f"--{name}={path}" for name, path in sides]
    done = program("evaluate.py", *given, f"--output={tmp_path / 'm.json'}", *flags)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert message in line and not (tmp_path / "m.json").exists()
