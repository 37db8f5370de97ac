"""The layers of one parse, each a picture of the image's shape, to be laid over one another."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from deeperlab_tf.errors import UserError
from deeperlab_tf.keypoints import KeypointGraph
from deeperlab_tf.visualize.drawing import Picture
from deeperlab_tf.visualize.heads import detection, heatmap, offset_overlay
from deeperlab_tf.visualize.parses import (
    Parse,
    draw_parsing,
    instance_map,
    overlay_scale,
    semantic_map,
)

LAYERS = ("parse", "classes", "objects", "keypoints", "heatmap", "offsets")
LABEL_LAYERS = ("classes", "objects")  # of few flat colours


def offset_names(graph: KeypointGraph) -> list[str]:
    """Names of all offset fields, the long-range ones first, for they cover whole objects."""
    return list(_places(graph))


def draw_layer(
    name: str,
    parsing: Parse,
    maps: Mapping[str, np.ndarray],
    graph: KeypointGraph,
    field: str | None = None,
) -> Picture:
    """One layer of a parse.

    Args:
      name: of `LAYERS`.
      parsing: `Parsing`, which holds its image.
      maps: of `Predictor.maps`.
      graph: names the keypoints.
      field: of `offset_names`, for the layer of offsets; None: the first.

    Returns:
      uint8 [H · s, W · s, 3] with s = `overlay_scale(image)`; the maps of labels have s = 1.

    Raises:
      UserError: there is no layer or field of that name.
    """
    image, scale = parsing.image, overlay_scale(parsing.image)
    draw = {
        "parse": lambda: draw_parsing(image, parsing, scale=scale),
        "classes": lambda: semantic_map(parsing.semantic, parsing.dataset),
        "objects": lambda: instance_map(parsing.instance),
        "keypoints": lambda: detection(image, parsing, scale),
        "heatmap": lambda: heatmap(maps["heatmap"], image, scale),
        "offsets": lambda: _draw_offsets(field, parsing, maps, graph),
    }
    if name not in draw:
        raise UserError(f"there is no layer {name!r}; there are {', '.join(LAYERS)}.")
    return draw[name]()


def _places(graph):
    """dict name of an offset field -> (map, its number, keypoint whose disk it counts in)."""
    names = [name.replace("_", " ") for name in graph.names]
    places = {}
    for number, name in enumerate(names):
        places[f"long: own {name}"] = ("long_offsets", number, None)
    for number, name in enumerate(names):
        places[f"short: nearby {name}"] = ("short_offsets", number, number)
    for number, (source, target) in enumerate(graph.edges):
        text = f"middle: {names[source]} → {names[target]}"
        places[text] = ("middle_offsets", number, source)
    return places


def _draw_offsets(field, parsing, maps, graph):
    places = _places(graph)
    field = field or next(iter(places))
    if field not in places:
        raise UserError(f"there is no offset field {field!r}; there are {', '.join(places)}.")
    kind, number, keypoint = places[field]
    values = maps[kind][:, :, number]
    # Long-range offsets are learned inside objects, the others inside the disks of keypoints.
    weight = _things(parsing, values.shape[:2])
    if keypoint is not None:
        weight = maps["heatmap"][..., keypoint]
    return offset_overlay(values, weight, parsing.image, overlay_scale(parsing.image))


def _things(parsing, size):
    """Which cells of a grid lie on things: float32 [h, w], 0 or 1."""
    height, width = parsing.semantic.shape
    rows = np.linspace(0, height - 1, size[0]).round().astype(int)
    columns = np.linspace(0, width - 1, size[1]).round().astype(int)
    cells = parsing.semantic[np.ix_(rows, columns)]
    return np.isin(cells, parsing.dataset.thing_classes).astype(np.float32)
