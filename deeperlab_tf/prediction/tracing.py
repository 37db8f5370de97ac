"""Makes the graph of `prediction.graph` from a trained network."""

from __future__ import annotations

import tensorflow as tf
from ml_collections import ConfigDict

from deeperlab_tf.compat import keras
from deeperlab_tf.prediction.folding import folded_norms, layers_of
from deeperlab_tf.prediction.graph import HEADS, IMAGES, NETWORK_INPUT, PARSE, GraphFile
from deeperlab_tf.prediction.inference import parse_heads, prepare_images
from deeperlab_tf.schema import Dataset

# The graph takes one image at a time: for a batch, fusion would be a loop.
_IMAGE = tf.TensorSpec([1, None, None, 3], tf.uint8, name=IMAGES)
_FLOAT = tf.float32.as_datatype_enum
_NORM = "FusedBatchNormV3"


def trace_parse(network: keras.Model, config: ConfigDict, dataset: Dataset) -> GraphFile:
    """The parse of images by a network, without the weights.

    Args:
      network: of `build_model`.
      config: the whole config, whose values become part of the graph.
      dataset: what the classes mean.
    """

    @tf.function(input_signature=[_IMAGE], autograph=False)
    def parse(images):
        prepared = tf.identity(prepare_images(images, config), name=NETWORK_INPUT)
        heads = _named("heads", network(prepared, training=False))
        height, width = tf.shape(images)[1], tf.shape(images)[2]
        return _named("parse", parse_heads(heads, height, width, config, dataset.thing_classes))

    graph = parse.get_concrete_function().graph
    definition = graph.as_graph_def()
    layers, norms = layers_of(network), folded_norms(network)
    _fold_norms(definition, norms)
    _cut_variables(definition, _placeholders(graph, network))

    fetched = [*(f"parse/{name}" for name in PARSE), *(f"heads/{name}" for name in HEADS)]
    _prune(definition, fetched)
    folded = {layer: (norm, layers[norm].epsilon) for layer, norm in norms.items()}
    return GraphFile(definition.SerializeToString(), _weights(definition), folded)


def _named(kind, tensors):
    return {name: tf.identity(value, name=f"{kind}/{name}") for name, value in tensors.items()}


def _fold_norms(definition, norms):
    """Where there was a batch norm, only the bias of its convolution is added."""
    convolutions = {norm: layer for layer, norm in norms.items()}
    for node in definition.node:
        layer = convolutions.get(node.name.split("/")[-2]) if "/" in node.name else None
        if node.op != _NORM or layer is None:
            continue
        node.op = "BiasAdd"
        bias = f"weights/{layer}/bias"
        node.input[1:] = [bias]
        for name in set(node.attr) - {"T", "data_format"}:
            del node.attr[name]
        _make_placeholder(definition.node.add(), bias)


def _placeholders(graph, network):
    """dict placeholder of a variable's handle in the graph -> the variable's name."""
    names = {id(variable.handle): variable.name.split(":")[0] for variable in network.variables}
    return {inside.op.name: names[id(outside)] for outside, inside in graph.captures}


def _cut_variables(definition, variables):
    """Turns variables, and the reading of them, into placeholders `weights/NAME`."""
    for node in definition.node:
        if node.name in variables:
            _make_placeholder(node, f"weights/{variables[node.name]}")
        elif node.op == "ReadVariableOp" and node.input[0] in variables:
            node.op = "Identity"
            node.input[0] = f"weights/{variables[node.input[0]]}"
            node.attr.clear()
            node.attr["T"].type = _FLOAT


def _make_placeholder(node, name):
    node.op, node.name = "Placeholder", name
    node.attr.clear()
    node.attr["dtype"].type = _FLOAT
    node.attr["shape"].shape.unknown_rank = True


def _prune(definition, fetched):
    """Removes what nothing fetched needs: batch norm's moments, for example."""
    nodes = {node.name: node for node in definition.node}
    needed, waiting = set(), list(fetched)
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            # Inputs are "name:number", or "^name" of what only has to have run.
            waiting += [source.lstrip("^").split(":")[0] for source in nodes[name].input]
    kept = [node for node in definition.node if node.name in needed]
    del definition.node[:]
    definition.node.extend(kept)


def _weights(definition):
    """Names of the placeholders of weights, without `weights/`."""
    nodes = (node.name for node in definition.node if node.op == "Placeholder")
    return [name.partition("/")[2] for name in nodes if name.startswith("weights/")]
