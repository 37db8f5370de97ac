"""The program of the page: mistakes are one sentence, at once."""

import importlib
import sys

import pytest

from deeperlab_tf.errors import UserError


def test_a_model_that_is_not_there_is_one_sentence(program, error_of, tmp_path):
    error = error_of(program("demo.py", f"--model={tmp_path / 'nowhere'}"))
    assert "nowhere" in error and "street" in error


def test_without_gradio_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.delitem(sys.modules, "demo_page.page", raising=False)
    with pytest.raises(UserError, match=r"pip install -e .\[demo\]"):
        importlib.import_module("demo_page.page")
