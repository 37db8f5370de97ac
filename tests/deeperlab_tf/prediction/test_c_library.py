"""Graphs that run by TensorFlow's C library."""

import concurrent.futures
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow.core.protobuf import config_pb2

from deeperlab_tf.prediction import c_library
from deeperlab_tf.prediction.c_library import SESSION_CONFIG, CLibraryError, Session

pytestmark = [
    pytest.mark.both_stacks,
    pytest.mark.skipif(sys.platform not in ("linux", "darwin"), reason="no C library here"),
]


@pytest.fixture(scope="module")
def graph():
    """images · weights/factor -> product; which fails where a number of it is above 100."""
    graph = tf.Graph()
    with graph.as_default():
        images = tf.compat.v1.placeholder(tf.float32, None, "images")
        factor = tf.compat.v1.placeholder(tf.float32, None, "weights/factor")
        product = tf.multiply(images, factor, "product")
        small = tf.compat.v1.debugging.assert_less(product, 100.0, message="too large")
        with tf.control_dependencies([small]):
            tf.identity(product, "checked")
        tf.shape(product, name="size")
    return graph.as_graph_def().SerializeToString()


@pytest.fixture(scope="module")
def session(graph):
    return Session(graph, {"weights/factor": np.float32([2, 3])})


def test_what_is_fed_and_fetched_comes_out_as_computed(session):
    image = np.arange(6, dtype=np.float32).reshape(3, 2)
    results = session.run({"images": image}, ["product", "size"])
    np.testing.assert_array_equal(results["product"], image * [2, 3])
    assert results["product"].dtype == np.float32 and results["size"].tolist() == [3, 2]
    # Not contiguous; empty.
    turned = session.run({"images": image.T[::-1, :2]}, ["product"])["product"]
    np.testing.assert_array_equal(turned, image.T[::-1, :2] * [2, 3])
    assert session.run({"images": image[:0]}, ["product"])["product"].shape == (0, 2)


def test_results_stay_when_the_session_goes(graph):
    session = Session(graph, {"weights/factor": np.float32(7)})
    product = session.run({"images": np.ones(3, np.float32)}, ["product"])["product"]
    del session
    assert product.tolist() == [7, 7, 7]


def test_threads_share_a_session(session):
    def run(number):
        fed = np.full((50, 2), number, np.float32)
        return (session.run({"images": fed}, ["product"])["product"] == fed * [2, 3]).all()

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert all(pool.map(run, range(200)))


def test_mistakes_are_told(session, graph):
    large = np.float32([[99, 1]])
    assert session.run({"images": large}, ["product"])["product"].tolist() == [[198, 3]]
    with pytest.raises(CLibraryError, match="too large"):
        session.run({"images": large}, ["checked"])
    with pytest.raises(CLibraryError, match="no operation gone"):
        session.run({"images": large}, ["gone"])
    with pytest.raises(CLibraryError):
        Session(graph[: len(graph) // 2], {})


def test_without_the_library_one_is_told(monkeypatch):
    c_library.load_library.cache_clear()
    monkeypatch.setattr(c_library, "_NAMES", {})
    with pytest.raises(CLibraryError, match="no C library"):
        c_library.load_library()
    monkeypatch.setattr(c_library, "_NAMES", {sys.platform: ("libnothing.so",)})
    with pytest.raises(CLibraryError, match="cannot be loaded"):
        c_library.load_library()
    c_library.load_library.cache_clear()


def test_the_session_config_is_what_its_comment_says():
    config = config_pb2.ConfigProto.FromString(SESSION_CONFIG)
    assert config.graph_options.rewrite_options.disable_meta_optimizer
    assert config.graph_options.optimizer_options.opt_level == -1
    assert config.allow_soft_placement and config.gpu_options.allow_growth


def test_tensorflow_may_be_imported_after_the_library():
    program = (
        "from deeperlab_tf.prediction.c_library import load_library\n"
        "import sys; load_library(); assert 'tensorflow' not in sys.modules\n"
        "import tensorflow as tf; assert float(tf.reduce_sum(tf.ones(3))) == 3\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


# Runs a program, and prints which kernels are asked for when TensorFlow is first looked for.
_WATCH = """
import os, runpy, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "tensorflow":
            print("kernels", os.environ.get("TF_ENABLE_ONEDNN_OPTS"))
            sys.meta_path.remove(self)
sys.meta_path.insert(0, Watch())
sys.argv = sys.argv[1:]
sys.path.insert(0, os.path.dirname(sys.argv[0]))
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("script", ["evaluate.py", "predict.py"])
@pytest.mark.parametrize("runner", [(), ("--runner=DirectRunner",)])
def test_all_that_parses_has_the_same_kernels(repository, tmp_path, script, runner):
    """Others round otherwise, so that scores would differ in their last bits."""
    if runner:
        pytest.importorskip("apache_beam", reason="Apache Beam is an extra")
    flags = ["--model=street", f"--output={tmp_path / 'out'}", *runner]
    if script == "evaluate.py":
        flags += [f"--config.data.root={tmp_path / 'nowhere'}"]  # so it ends once it is loaded
    else:
        Image.new("RGB", (33, 33)).save(tmp_path / "photo.png")
        flags += [f"--input={tmp_path}", *(["--shards=1"] if runner else [])]
    command = [sys.executable, "-c", _WATCH, str(repository / "scripts" / script), *flags]
    environment = dict(os.environ, PYTHONPATH=str(repository))
    environment.pop("TF_ENABLE_ONEDNN_OPTS", None)
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert "kernels 1" in done.stdout.splitlines(), done.stderr
