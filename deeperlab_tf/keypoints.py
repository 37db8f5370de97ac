"""Object keypoints and the directed keypoint relation graph, DKRG (paper Sec. 3.3.2, Fig. 4d).

Keypoints of the star graph, in channel order: the four corners of the bounding box and the centre
of mass. The rectangle graph of the ablation (Tab. 6) has the corners only.
"""

import dataclasses

from deeperlab_tf.errors import UserError

TOP_LEFT, TOP_RIGHT, BOTTOM_LEFT, BOTTOM_RIGHT, CENTER = range(5)
NUM_CORNERS = 4


@dataclasses.dataclass(frozen=True)
class KeypointGraph:
    """Keypoint kinds and the directed edges along which middle-range offsets are predicted.

    Attributes:
      names: name of each keypoint kind; P = len(names).
      edges: (source, target) keypoint of each edge; E = len(edges).
      flip_keypoints: after a left-right flip, channel p holds what channel flip_keypoints[p] held
        before.
    """

    names: tuple
    edges: tuple
    flip_keypoints: tuple

    @property
    def num_keypoints(self):
        return len(self.names)

    @property
    def num_edges(self):
        return len(self.edges)

    @property
    def flip_edges(self):
        """Edge permutation that goes with `flip_keypoints`: a tuple of E indices."""
        flipped = [
            (self.flip_keypoints[source], self.flip_keypoints[target])
            for source, target in self.edges
        ]
        return tuple(self.edges.index(edge) for edge in flipped)

    @property
    def has_center(self):
        return self.num_keypoints > NUM_CORNERS

    def edge(self, source, target):
        """Index of the edge source → target."""
        return self.edges.index((source, target))


_CORNER_NAMES = ("top_left", "top_right", "bottom_left", "bottom_right")
_CORNER_FLIP = (TOP_RIGHT, TOP_LEFT, BOTTOM_RIGHT, BOTTOM_LEFT)
_CORNERS = (TOP_LEFT, TOP_RIGHT, BOTTOM_LEFT, BOTTOM_RIGHT)

STAR = KeypointGraph(
    names=(*_CORNER_NAMES, "center"),
    edges=(*((CENTER, corner) for corner in _CORNERS), *((corner, CENTER) for corner in _CORNERS)),
    flip_keypoints=(*_CORNER_FLIP, CENTER),
)

RECTANGLE = KeypointGraph(
    names=_CORNER_NAMES,
    edges=(
        (TOP_LEFT, TOP_RIGHT),
        (TOP_RIGHT, BOTTOM_RIGHT),
        (BOTTOM_RIGHT, BOTTOM_LEFT),
        (BOTTOM_LEFT, TOP_LEFT),
        (TOP_RIGHT, TOP_LEFT),
        (BOTTOM_RIGHT, TOP_RIGHT),
        (BOTTOM_LEFT, BOTTOM_RIGHT),
        (TOP_LEFT, BOTTOM_LEFT),
    ),
    flip_keypoints=_CORNER_FLIP,
)

GRAPHS = {"star": STAR, "rectangle": RECTANGLE}


def keypoint_graph(name):
    """The `KeypointGraph` called `name`; raises UserError naming the known ones."""
    if name not in GRAPHS:
        raise UserError(
            f"config.model.keypoint_graph is {name!r}; known graphs are {sorted(GRAPHS)}."
        )
    return GRAPHS[name]
