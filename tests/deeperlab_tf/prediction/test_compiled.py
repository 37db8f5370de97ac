"""The whole parse of an image compiles, and is the plain one's."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from deeperlab_tf import Predictor
from deeperlab_tf.errors import UserError
from deeperlab_tf.evaluation.oracle import perfect_heads
from deeperlab_tf.pixels.image_size import resize_image, resize_labels
from deeperlab_tf.prediction import compiled, resizing
from deeperlab_tf.prediction.inference import parse_images
from deeperlab_tf.prediction.networks import load_network
from input_pipeline.targets import make_targets
from tests.toys import save_untrained

SIDES = [(65, 49, 33, 25), (40, 57, 80, 114), (31, 90, 31, 45), (50, 40, 7, 64), (9, 9, 9, 9)]


@pytest.mark.both_stacks
@pytest.mark.parametrize("sides", SIDES)
def test_images_resized_by_tables_are_tensorflows(sides):
    height, width, *size = sides
    rng = np.random.default_rng(0)
    images = tf.constant(rng.integers(0, 256, [2, height, width, 3]).astype(np.uint8))
    found = resizing.resize_image(images, *size).numpy().astype(int)
    expected = resize_image(images, *size).numpy()
    # Where a sum is halfway between two numbers, its order decides.
    assert np.abs(found - expected).max() <= 1 and np.mean(found != expected) < 0.001


@pytest.mark.both_stacks
@pytest.mark.parametrize("sides", SIDES)
def test_labels_resized_by_tables_are_tensorflows(sides):
    height, width, *size = sides
    labels = tf.constant(np.random.default_rng(0).integers(0, 9, [2, height, width]))
    found = resizing.resize_labels(labels, *size)
    np.testing.assert_array_equal(found, resize_labels(labels, *size))


@pytest.fixture(scope="module")
def scaled(toy_dataset, tmp_path_factory):
    """(network, config, dataset) whose images are made smaller and padded to 65 x 81."""
    workdir = save_untrained(tmp_path_factory.mktemp("run"), toy_dataset)
    return load_network(workdir, {"eval.image_size": (65, 81)})


def pictures(*sizes):
    """Photos of some sizes, of large patches."""
    rng = np.random.default_rng(0)
    patches = (rng.integers(0, 256, (1 + h // 9, 1 + w // 9, 3)) for h, w in sizes)
    whole = (patch.repeat(9, 0).repeat(9, 1).astype(np.uint8) for patch in patches)
    return [image[:h, :w] for image, (h, w) in zip(whole, sizes)]


def same_parse(found, expected):
    assert set(found) == set(expected)
    for name in ("semantic", "instance", "panoptic"):
        assert found[name].shape == expected[name].shape
        assert np.mean(found[name] == expected[name]) >= 0.999
    np.testing.assert_array_equal(found["num_instances"], expected["num_instances"])
    np.testing.assert_allclose(found["instance_box"], expected["instance_box"], atol=0.1)


@pytest.mark.slow
def test_parse_images_compiles_whole(scaled):
    network, config, dataset = scaled
    (image,) = pictures((90, 100))
    images = tf.constant(image[np.newaxis])

    @tf.function(jit_compile=True, autograph=False)
    def parse(images):
        return parse_images(network, images, config, dataset.thing_classes)

    # What random weights say of a pixel hangs on its last bit: the next test compares.
    found = parse(images)
    assert found["instance"].shape == found["semantic"].shape == (1, 90, 100)
    last = found["num_instances"][0] - 1
    assert found["instance_class"][0, last] >= 0 > found["instance_class"][0, last + 1]


def decided(config):
    """A network that sees three things and two kinds of stuff in any image of 65 x 81."""
    semantic, instance = np.zeros((65, 81), np.int32), np.zeros((65, 81), np.int32)
    semantic[:, 40:] = 1
    places = ((6, 5, 30, 40), (34, 8, 60, 28), (20, 48, 50, 76))
    for number, (top, left, bottom, right) in enumerate(places, 1):
        semantic[top:bottom, left:right] = 2 + number % 2
        instance[top:bottom, left:right] = number
    labels = (semantic, instance, np.zeros((65, 81), bool))
    targets = make_targets(*map(tf.constant, labels), config)
    heads = perfect_heads({name: value.numpy() for name, value in targets.items()}, 4, seed=0)

    def network(images, training):
        assert images.shape == (1, 65, 81, 3) and not training
        return {name: tf.constant(head) for name, head in heads.items()}

    return network


@pytest.mark.slow
@pytest.mark.both_stacks
@pytest.mark.parametrize("size", [(90, 100), (65, 81), (200, 249)])
def test_a_compiled_parse_of_an_image_is_the_plain_one(scaled, size):
    _, config, dataset = scaled
    network = decided(config)

    def parse(images):
        return parse_images(network, images, config, dataset.thing_classes)

    images = tf.zeros([1, *size, 3], tf.uint8)
    expected = parse(images)
    assert expected["num_instances"] == 3
    found = tf.function(parse, jit_compile=True, autograph=False)(images)
    same_parse(found, expected)
    np.testing.assert_array_equal(found["instance_class"], expected["instance_class"])
    np.testing.assert_allclose(found["instance_score"], expected["instance_score"], rtol=1e-4)


@pytest.mark.slow
def test_one_compilation_serves_images_of_all_sizes(scaled):
    network, config, dataset = scaled
    parser = compiled.CompiledParser(network, config, dataset.thing_classes)
    for image in pictures((90, 100), (65, 81), (30, 20)):
        images = tf.constant(image[np.newaxis])
        expected = parse_images(network, images, config, dataset.thing_classes)
        same_parse(parser(images), expected)
    assert parser.compiled_step.experimental_get_tracing_count() == 1


TWO_REPLICAS = """
import sys
import numpy as np
import tensorflow as tf
from deeperlab_tf.evaluation.distributed import DistributedPredictor
from deeperlab_tf.prediction.inference import parse_images
from deeperlab_tf.prediction.networks import load_network

devices = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], devices)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    network, config, dataset = load_network(sys.argv[1], {"eval.image_size": (65, 81)})
predictor = DistributedPredictor(network, config, dataset, strategy, compile=True)
source = [{"image": np.load(path)} for path in sys.argv[2:]]
for _, sample, parsing in predictor.predict_all(source, progress=False):
    images = tf.constant(sample["image"][None])
    plain = parse_images(network, images, config, dataset.thing_classes)["panoptic"][0]
    assert parsing.panoptic.shape == plain.shape
    assert np.mean(parsing.panoptic == plain) > 0.999, np.mean(parsing.panoptic == plain)
print("parsed", len(source))
"""


@pytest.mark.slow
def test_two_replicas_each_run_a_compiled_step(toy_dataset, tmp_path):
    workdir = save_untrained(tmp_path / "run", toy_dataset)
    paths = []
    for number, image in enumerate(pictures((90, 100), (65, 81), (30, 20))):
        paths.append(str(tmp_path / f"{number}.npy"))
        np.save(paths[-1], image)
    # Logical devices are made before TensorFlow starts.
    command = [sys.executable, "-c", TWO_REPLICAS, workdir, *paths]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.stdout == "parsed 3\n", done.stderr[-2000:]


def test_a_tensorflow_without_xla_is_a_sentence(monkeypatch):
    def without(*_, **__):
        def call(_):
            raise tf.errors.UnimplementedError(None, None, "no XLA")

        return call

    monkeypatch.setattr(compiled.tf, "function", without)
    with pytest.raises(UserError, match="it lacks XLA; leave out --compile"):
        compiled.check_compiler()


def test_a_network_for_another_runtime_cannot_be_compiled(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"")
    with pytest.raises(UserError, match="nor compiled"):
        Predictor(tmp_path, compile=True)
