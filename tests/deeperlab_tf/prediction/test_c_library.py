"""Graphs that run by TensorFlow's C library."""

import concurrent.futures
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
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
