"""`import deeperlab_tf`: every name is there, documented, typed; the host stays as it is."""

import inspect
import os
import subprocess
import sys
import typing

import pytest

import deeperlab_tf

MODULES = ("backbones", "config", "fusion", "metrics", "models")
NAMES = sorted(set(deeperlab_tf.__all__) - {*MODULES, "UserError"})

pytestmark = pytest.mark.both_stacks


def test_completion_shows_every_public_name():
    assert set(deeperlab_tf.__all__) <= set(dir(deeperlab_tf))


@pytest.mark.parametrize("name", MODULES)
def test_modules_are_there(name):
    assert inspect.ismodule(getattr(deeperlab_tf, name))


@pytest.mark.parametrize("name", NAMES)
def test_names_are_documented_with_an_example(name):
    assert "Example:" in inspect.getdoc(getattr(deeperlab_tf, name))


@pytest.mark.parametrize("name", NAMES)
def test_names_are_typed(name):
    public = getattr(deeperlab_tf, name)
    signature = inspect.signature(public.__init__ if inspect.isclass(public) else public)
    untyped = [
        parameter.name
        for parameter in signature.parameters.values()
        if parameter.name != "self" and parameter.annotation is parameter.empty
    ]
    assert not untyped
    assert inspect.isclass(public) or signature.return_annotation is not signature.empty


def test_a_function_keeps_its_name_where_its_module_was_imported_first():
    program = "import deeperlab_tf.training.train, deeperlab_tf as d; assert callable(d.train)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'predictor_of'"):
        deeperlab_tf.predictor_of  # noqa: B018


def test_importing_changes_nothing_in_the_host():
    program = (
        "import logging, os\n"
        "import cv2, tensorflow\n"  # which set variables of their own
        "before = dict(os.environ), logging.getLogger().level, list(logging.getLogger().handlers)\n"
        "import deeperlab_tf, input_pipeline.targets\n"
        "assert before == (dict(os.environ), logging.getLogger().level,"
        " list(logging.getLogger().handlers))\n"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TF_")}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)


def test_editors_are_told_every_public_name():
    """The imports under TYPE_CHECKING are those of the names that load on first use."""
    source = inspect.getsource(deeperlab_tf)
    block = source.split("typing.TYPE_CHECKING:")[1].split("__version__")[0]
    for name in deeperlab_tf.__all__:
        assert name in block
    assert typing.get_type_hints(deeperlab_tf.__getattr__)["name"] is str
