"""A shipped model is its run, up to half precision: by its graph, by its network, on one stack and
the other.
"""

import json
import shutil

import numpy as np
import pytest

from deeperlab_tf.backbones.initial_checkpoint import find_backbone, load_initial_checkpoint
from deeperlab_tf.errors import UserError
from deeperlab_tf.export import shipping
from deeperlab_tf.export.card import Facts, write_card
from deeperlab_tf.export.shipping import ship
from deeperlab_tf.model import build_model
from deeperlab_tf.models.shipped import verify
from deeperlab_tf.prediction import c_library, forms
from deeperlab_tf.prediction.graph import GraphFile
from deeperlab_tf.prediction.predictor import Predictor
from deeperlab_tf.training.workdir import load_run

pytestmark = pytest.mark.both_stacks


@pytest.fixture(scope="module")
def shipped(run, tmp_path_factory):
    """The run of this folder, shipped."""
    network, config, dataset = run
    config = config.copy_and_resolve_references()
    config.data.root, config.train.initial_checkpoint = "/home/somebody/photos", "/home/weights.h5"
    path = tmp_path_factory.mktemp("shipped") / "toy"
    ship((network, config, dataset), str(path), "# toy\n", {"pq": 0.5})
    return path


@pytest.fixture(scope="module")
def predictor(shipped):
    return Predictor(shipped)


def test_a_folder_holds_all_of_it_and_nothing_of_the_machine(shipped):
    verify(str(shipped))
    assert sorted(path.name for path in shipped.iterdir()) == [
        "README.md",
        "SHA256SUMS",
        "config.json",
        "dataset.json",
        "graph.json",
        "graph.pb.gz",
        "metrics.json",
        "weights.npz",
    ]
    assert "/home" not in (shipped / "config.json").read_text()
    assert json.loads((shipped / "metrics.json").read_text()) == {"pq": 0.5}


@pytest.mark.parametrize("size", [(65, 65), (40, 57), (200, 90)])
def test_heads_are_those_of_the_run_up_to_half_precision(predictor, original, pictures, size):
    (picture,) = pictures(size)
    found, expected = predictor._heads(picture[None]), original._heads(picture[None])
    for name, values in expected.items():
        scale = np.abs(values).max()
        np.testing.assert_allclose(found[name], values, atol=0.02 * scale)


def test_images_of_several_sizes_are_parsed_as_by_the_shipped_network(
    shipped, predictor, pictures, assert_same_labels
):
    """The graph is the code's parse of the network that `load_run` builds."""
    images = pictures((65, 65), (65, 65), (40, 57), (200, 90))
    network, config, dataset = load_run(str(shipped))
    for parsing, image in zip(predictor(images), images):
        outputs = forms.parse_images(network, image[None], config, dataset.thing_classes)
        assert_same_labels(parsing.panoptic, outputs["panoptic"][0])
        assert len(parsing.keypoints) == outputs["num_instances"][0]
    maps = predictor.maps(images[2])
    assert maps["heatmap"].shape == (10, 15, 5)


def test_without_the_c_library_the_network_is_built(shipped, predictor, pictures, monkeypatch):
    def missing():
        raise c_library.CLibraryError("none")

    monkeypatch.setattr(c_library, "load_library", missing)
    monkeypatch.setattr(forms, "load_library", missing)
    (picture,) = pictures((65, 65))
    found = Predictor(shipped)._heads(picture[None])
    for name, values in predictor._heads(picture[None]).items():
        np.testing.assert_allclose(found[name], values, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("part", ["backbone", "network"])
def test_a_training_starts_from_a_shipped_model(run, shipped, part):
    trained, config, dataset = run
    network, train = build_model(config.model, dataset), config.train.copy_and_resolve_references()
    train.initial_checkpoint, train.initial_part = str(shipped), part
    load_initial_checkpoint(network, train)
    expected = {variable.name: variable.numpy() for variable in trained.variables}
    filled = network if part == "network" else find_backbone(network)
    for variable in filled.variables:
        np.testing.assert_allclose(variable, expected[variable.name], rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("name", ["weights.npz", "graph.pb.gz", "config.json", "graph.json"])
def test_a_damaged_model_is_one_sentence(shipped, tmp_path, name):
    path = tmp_path / "toy"
    shutil.copytree(shipped, path)
    whole = (path / name).read_bytes()
    (path / name).write_bytes(whole[: len(whole) // 2])
    for load in (Predictor, load_run):
        with pytest.raises(UserError, match=f"damaged: {name}"):
            load(str(path))
    (path / name).unlink()
    with pytest.raises(UserError, match=f"damaged: {name}"):
        Predictor(path)


def test_only_a_shipped_model_is_replaced_and_only_where_asked(run, shipped, tmp_path, monkeypatch):
    graph = GraphFile.read(str(shipped))
    monkeypatch.setattr(shipping, "trace_parse", lambda *run: graph)  # which takes seconds
    path, photos = tmp_path / "toy", tmp_path / "photos"
    shutil.copytree(shipped, path)
    with pytest.raises(UserError, match="exists already"):
        ship(run, str(path), "# second\n")
    ship(run, str(path), "# second\n", replace=True)
    assert (path / "README.md").read_text() == "# second\n"
    assert not (path / "metrics.json").exists()
    verify(str(path))

    photos.mkdir()
    (photos / "photo.jpg").touch()
    with pytest.raises(UserError, match="photos is no shipped model; it is not replaced"):
        ship(run, str(photos), "# third\n", replace=True)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["photos", "toy"]
    assert (photos / "photo.jpg").exists()


# === The card ===


def test_the_card_tells_classes_training_and_figures_and_no_paths(run, toy_dataset):
    _, config, _ = run
    command = ["scripts/train.py", "--config=experiments/toy.py", "--config.data.root=/home/me/toy"]
    provenance = dict(command=command, git_commit="abc", git_changes=True, tensorflow="2.15.1")
    row = dict(pq=0.123, sq=0.5, rq=0.25, iou=0.375)
    totals = {f"{name}{kind}": 0.2 for name in ("pq", "sq", "rq") for kind in ("", "_things")}
    totals.update(pq_stuff=None, sq_stuff=float("nan"), rq_stuff=0.2, pc=0.6, miou=0.7, ap=None)
    per_class = [dict(row, name=category.name) for category in toy_dataset.categories]
    metrics = dict(totals, per_class=per_class, num_images=7)
    facts = Facts("toy", "Knows shapes.\n", config, toy_dataset, provenance, metrics)

    card = write_card(facts)
    assert card.startswith("# toy\n\nKnows shapes.\n")
    assert "- things, one segment each: disc, box" in card
    assert "--config=experiments/toy.py --config.data.root=toy\n" in card and "/home" not in card
    assert "Commit abc, with changes" in card
    assert "| disc | 12.3 | 50.0 | 25.0 | 37.5 |" in card and "| stuff | – | – | 20.0 |" in card
    assert "On 7 images at 65 × 65" in card and "mIoU 70.0  AP –" in card
    assert "Not evaluated yet" in write_card(facts._replace(metrics=None, provenance={}))
