"""The fusion lowers to StableHLO for GPUs and TPUs, on machines that have neither."""

import re

import pytest
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from deeperlab_tf.fusion import fuse, ops
from deeperlab_tf.model import build_model
from deeperlab_tf.prediction.compiled import CompiledParser

# The TensorFlow of the reference stack lowers for its own devices only.
CAN_LOWER = tuple(int(part) for part in tf.__version__.split(".")[:2]) >= (2, 18)
DIALECT = re.compile(r"%[\w:]+ = \"?(\w+)\.")
# Sizes known only at run time, and float64: XLA has them, TPUs do not.
NOT_ON_TPUS = re.compile(r"tensor<[\dx]*\?|tensor<[\dx]*f64>")


def only_stablehlo(text):
    """Whether there is nothing that a device would have to bring along, or that TPUs lack."""
    dialects = set(DIALECT.findall(text))
    is_plain = dialects <= {"func", "stablehlo"} and "custom_call" not in text
    return is_plain and not NOT_ON_TPUS.search(text)


@pytest.fixture
def lowered(scene, things):
    """Function (graph, platform) -> the fusion as StableHLO for that platform."""

    def lower(graph, platform):
        made = scene().add((6, 5, 30, 40))
        made.config.fusion.keypoint_graph = graph
        heads = {name: tf.constant(head) for name, head in made.heads().items()}

        @tf.function(jit_compile=True, autograph=False)
        def parse(heads):
            with ops.one_form(compiled=True):
                return fuse(heads, (65, 81), things, made.config.fusion)

        stages = parse.experimental_get_compiler_ir(heads)
        return str(stages(stage="stablehlo", platform_name=platform))

    return lower


def whole_parse(config, dataset, platform):
    """Network and fusion as StableHLO."""
    network = build_model(config.model, dataset)
    parser = CompiledParser(network, config, dataset.thing_classes)
    prepared = parser.prepare(tf.zeros([1, 65, 65, 3], tf.uint8))
    step = tf.function(parser.step, autograph=False).get_concrete_function(prepared)
    # Variables live on a device, and there is none.
    frozen = convert_variables_to_constants_v2(step, lower_control_flow=False)
    whole = tf.function(lambda *inputs: frozen(*inputs), jit_compile=True, autograph=False)
    stages = whole.experimental_get_compiler_ir(*prepared)
    return str(stages(stage="stablehlo", platform_name=platform))


@pytest.fixture(scope="module", params=["GPU", "TPU"])
def platform(request):
    """One for which the installed TensorFlow has kernels, be there such a device or not."""
    if not CAN_LOWER:
        pytest.skip("needs TensorFlow 2.18")
    twice = tf.function(lambda x: 2.0 * x, jit_compile=True)
    stages = twice.experimental_get_compiler_ir(tf.constant(1.0))
    try:
        stages(stage="stablehlo", platform_name=request.param)
    except (ValueError, RuntimeError, TypeError, tf.errors.OpError) as error:
        reason = str(error).splitlines()[0][:120]
        package = {"GPU": "tensorflow", "TPU": "tensorflow-tpu"}[request.param]
        pytest.skip(f"this TensorFlow lowers nothing for it, {package} does: {reason}")
    return request.param


@pytest.mark.slow
@pytest.mark.both_stacks
@pytest.mark.parametrize("graph", ["star", "rectangle"])
def test_every_operation_has_a_lowering(lowered, graph, platform):
    text = lowered(graph, platform)
    assert only_stablehlo(text) and "stablehlo.scatter" in text


@pytest.mark.slow
@pytest.mark.both_stacks
def test_the_whole_parse_has_a_lowering(tiny_config, toy_dataset, platform):
    text = whole_parse(tiny_config, toy_dataset, platform)
    assert only_stablehlo(text) and "stablehlo.convolution" in text
