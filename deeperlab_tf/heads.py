"""The five heads (paper Sec. 3.3): the grid they live on, and what their channels are."""

from __future__ import annotations

from deeperlab_tf.keypoints import KeypointGraph

HEAD_STRIDE = 4  # pixels between cells of the heads' grid: the decoder's output stride (Sec. 3.2)


def head_channels(graph: KeypointGraph, num_classes: int | None = None) -> dict[str, int | None]:
    """Channels of each head; an offset is a pair (y, x) in pixels of the network input.

    Args:
      graph: the keypoint relation graph, with P keypoint kinds and E edges.
      num_classes: number of classes; None where it does not matter.

    Returns:
      dict head name -> number of channels, in the order in which the paper names the heads.

    Example:
      >>> head_channels(STAR, 19)
      {'semantic_logits': 19, 'keypoint_logits': 5, 'short_offsets': 10, 'middle_offsets': 16,
       'long_offsets': 10}
    """
    return {
        "semantic_logits": num_classes,
        "keypoint_logits": graph.num_keypoints,
        "short_offsets": 2 * graph.num_keypoints,
        "middle_offsets": 2 * graph.num_edges,
        "long_offsets": 2 * graph.num_keypoints,
    }


def grid_side(side: int) -> int:
    """Cells along a side of the network input: (side - 1) / 4 + 1; cell i sits on pixel 4 i."""
    return (side - 1) // HEAD_STRIDE + 1
