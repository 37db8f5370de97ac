import dataclasses

import numpy as np
import pytest

from deeperlab_tf.errors import UserError
from deeperlab_tf.keypoints import RECTANGLE, STAR
from deeperlab_tf.visualize.heads import offset_overlay
from deeperlab_tf.visualize.layers import LABEL_LAYERS, LAYERS, draw_layer, offset_names
from deeperlab_tf.visualize.parses import overlay_scale


def maps_of(graph):
    """Maps at stride 4 of an image of 60 x 80: everywhere two pixels to the right."""
    offset = np.broadcast_to(np.float32([0, 2]), (15, 20, 1, 2))
    points, edges = (
        np.repeat(offset, count, axis=2) for count in (graph.num_keypoints, graph.num_edges)
    )
    heatmap = np.zeros((15, 20, graph.num_keypoints), np.float32)
    heatmap[3:6, 3:6] = 1
    return {
        "heatmap": heatmap,
        "short_offsets": points,
        "middle_offsets": edges,
        "long_offsets": points,
    }


@pytest.mark.parametrize("graph", [STAR, RECTANGLE])
def test_every_layer_has_the_images_shape(image, parsing, graph):
    parsing = dataclasses.replace(parsing, image=image)
    scale = overlay_scale(image)
    for name in LAYERS:
        picture = draw_layer(name, parsing, maps_of(graph), graph)
        expected = 1 if name in LABEL_LAYERS else scale
        assert picture.shape == (60 * expected, 80 * expected, 3), name
        assert picture.dtype == np.uint8


def test_there_is_a_field_for_every_keypoint_and_every_edge():
    names = offset_names(STAR)
    assert len(set(names)) == len(names) == 2 * STAR.num_keypoints + STAR.num_edges


def test_unknown_names_are_refused(image, parsing):
    parsing = dataclasses.replace(parsing, image=image)
    for name, field in (("depth", None), ("offsets", "sideways")):
        with pytest.raises(UserError, match="there is no"):
            draw_layer(name, parsing, maps_of(STAR), STAR, field)


def test_offsets_are_shown_where_they_count():
    image = np.full((40, 40, 3), 100, np.uint8)
    weight = np.zeros((10, 10), np.float32)
    weight[:, :5] = 1
    field = np.zeros((10, 10, 2), np.float32)
    field[..., 1] = 3.0  # to the right: red
    field[:, 5:] = 1e6  # noise
    picture = offset_overlay(field, weight, image)
    assert picture[20, 4, 0] > 200 > 100 > picture[20, 4, 1]
    assert np.all(picture[20, 36] == 40)
