"""Makes the graph of `prediction.graph` from a trained network."""

from __future__ import annotations

import tensorflow as tf
from ml_collections import ConfigDict

from deeperlab_tf.compat import keras
from deeperlab_tf.prediction.folding import fold_network, folded_norms, layers_of
from deeperlab_tf.prediction.graph import IMAGES, NETWORK_INPUT, GraphFile
from deeperlab_tf.prediction.inference import parse_heads, prepare_images
from deeperlab_tf.schema import Dataset

# The graph takes one image at a time: for a batch, fusion would be a loop.
_IMAGE = tf.TensorSpec([1, None, None, 3], tf.uint8, name=IMAGES)


def trace_parse(network: keras.Model, config: ConfigDict, dataset: Dataset) -> GraphFile:
    """The parse of images by a network, without the weights.

    Args:
      network: of `build_model`.
      config: the whole config, whose values become part of the graph.
      dataset: what the classes mean.
    """
    folded = fold_network(network, config.model, dataset)

    @tf.function(input_signature=[_IMAGE], autograph=False)
    def parse(images):
        prepared = tf.identity(prepare_images(images, config), name=NETWORK_INPUT)
        heads = _named("heads", folded(prepared, training=False))
        height, width = tf.shape(images)[1], tf.shape(images)[2]
        return _named("parse", parse_heads(heads, height, width, config, dataset.thing_classes))

    graph = parse.get_concrete_function().graph
    definition = graph.as_graph_def()
    _cut_variables(definition, _placeholders(graph, folded))
    layers = layers_of(network)
    norms = {layer: (norm, layers[norm].epsilon) for layer, norm in folded_norms(network).items()}
    variables = [_name(variable) for variable in folded.variables]
    return GraphFile(definition.SerializeToString(deterministic=True), variables, norms)


def _named(kind, tensors):
    return {name: tf.identity(value, name=f"{kind}/{name}") for name, value in tensors.items()}


def _name(variable):
    return variable.name.split(":")[0]


def _placeholders(graph, network):
    """dict placeholder of a variable's handle in the graph -> the variable's name."""
    names = {id(variable.handle): _name(variable) for variable in network.variables}
    return {inside.op.name: names[id(outside)] for outside, inside in graph.captures}


def _cut_variables(definition, placeholders):
    """Turns variables, and the reading of them, into placeholders `weights/NAME`."""
    for node in definition.node:
        if node.name in placeholders:
            node.name = f"weights/{placeholders[node.name]}"
            node.attr["dtype"].type = tf.float32.as_datatype_enum
            node.attr["shape"].shape.unknown_rank = True
            node.attr.pop("_user_specified_name", None)
        elif node.op == "ReadVariableOp" and node.input[0] in placeholders:
            node.op = "Identity"
            node.input[0] = f"weights/{placeholders[node.input[0]]}"
            node.attr["T"].CopyFrom(node.attr["dtype"])
            del node.attr["dtype"]
