"""A model's name or path, as people give it."""

import pathlib

import pytest

import deeperlab_tf
from deeperlab_tf import models
from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage

pytestmark = pytest.mark.both_stacks


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A house whose only shipped model is called `street`; gives its folder."""
    folder = tmp_path / "house" / "street"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (tmp_path / "house" / "__pycache__").mkdir()
    monkeypatch.setattr(models, "_HERE", str(folder.parent))
    return folder


def test_the_shipped_models_are_listed(shipped):
    assert deeperlab_tf.models() == models.names() == ["street"]


def test_a_shipped_name_gives_its_folder_and_a_path_stays_a_path(shipped, tmp_path, monkeypatch):
    assert models.find("street") == str(shipped)
    (tmp_path / "street").mkdir()
    monkeypatch.chdir(tmp_path)
    assert models.find("street") == str(shipped)
    assert models.find("./street") == "./street"
    assert models.find(pathlib.Path("street")) == "street"
    assert models.find(tmp_path / "street") == str(tmp_path / "street")
    storage.makedirs("ram://found/run")
    assert models.find("ram://found/run") == "ram://found/run"


@pytest.mark.parametrize("unknown", ["strret", "runs/nowhere", "../street", ""])
def test_what_is_neither_is_told_the_names(shipped, tmp_path, monkeypatch, unknown):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="the name of a shipped model: street"):
        models.find(unknown)


def test_a_file_is_no_model(shipped, tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"")
    with pytest.raises(UserError, match=r"photo\.jpg is a file"):
        models.find(tmp_path / "photo.jpg")
