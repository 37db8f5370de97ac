"""Object keypoints and the directed keypoint relation graph, DKRG (paper Sec. 3.3.2, Fig. 4d).

Keypoints of the star graph, in channel order: the four corners of the bounding box and the centre
of mass. The rectangle graph of the ablation (Tab. 6) has the corners only.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from deeperlab_tf.errors import UserError

TOP_LEFT, TOP_RIGHT, BOTTOM_LEFT, BOTTOM_RIGHT, CENTER = range(5)
CORNERS = (TOP_LEFT, TOP_RIGHT, BOTTOM_LEFT, BOTTOM_RIGHT)
NUM_CORNERS = len(CORNERS)


class Hop(NamedTuple):
    """A step along the relation graph, from a keypoint that is known to some that are not yet.

    Attributes:
      source: kind of the known keypoint.
      targets: kinds of the others; the graph has an edge from the source to each.
    """

    source: int
    targets: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class KeypointGraph:
    """Keypoint kinds and the directed edges along which middle-range offsets are predicted.

    Attributes:
      names: name of each keypoint kind; P = len(names).
      edges: (source, target) keypoint of each edge; E = len(edges).
      flip_keypoints: after a left-right flip, channel p holds what channel flip_keypoints[p] held
        before.
      routes: for each kind, the hops that lead from a keypoint of it to all others (Sec. 3.4.1).
        Those of all corners have the same form: as many hops, to as many targets, and each starts
        from the first keypoint that the hop before reached.

    Example:
      >>> STAR.routes[TOP_LEFT]
      (Hop(source=0, targets=(4,)), Hop(source=4, targets=(1, 2, 3)))
    """

    names: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    flip_keypoints: tuple[int, ...]
    routes: tuple[tuple[Hop, ...], ...]

    @property
    def num_keypoints(self) -> int:
        """P."""
        return len(self.names)

    @property
    def num_edges(self) -> int:
        """E."""
        return len(self.edges)

    @property
    def flip_edges(self) -> tuple[int, ...]:
        """Edge permutation that goes with `flip_keypoints`: a tuple of E indices."""
        flip = self.flip_keypoints
        flipped = [(flip[source], flip[target]) for source, target in self.edges]
        return tuple(self.edges.index(edge) for edge in flipped)

    @property
    def has_center(self) -> bool:
        """Whether the centre of mass is one of the keypoints."""
        return self.num_keypoints > NUM_CORNERS

    def edge(self, source: int, target: int) -> int:
        """Index of the edge source → target."""
        return self.edges.index((source, target))


_CORNER_NAMES = ("top_left", "top_right", "bottom_left", "bottom_right")
_CORNER_FLIP = (TOP_RIGHT, TOP_LEFT, BOTTOM_RIGHT, BOTTOM_LEFT)

STAR = KeypointGraph(
    names=(*_CORNER_NAMES, "center"),
    edges=(
        (CENTER, TOP_LEFT),
        (CENTER, TOP_RIGHT),
        (CENTER, BOTTOM_LEFT),
        (CENTER, BOTTOM_RIGHT),
        (TOP_LEFT, CENTER),
        (TOP_RIGHT, CENTER),
        (BOTTOM_LEFT, CENTER),
        (BOTTOM_RIGHT, CENTER),
    ),
    flip_keypoints=(*_CORNER_FLIP, CENTER),
    # Corners hop to the centre, and from there to the other corners.
    routes=(
        (Hop(TOP_LEFT, (CENTER,)), Hop(CENTER, (TOP_RIGHT, BOTTOM_LEFT, BOTTOM_RIGHT))),
        (Hop(TOP_RIGHT, (CENTER,)), Hop(CENTER, (TOP_LEFT, BOTTOM_LEFT, BOTTOM_RIGHT))),
        (Hop(BOTTOM_LEFT, (CENTER,)), Hop(CENTER, (TOP_LEFT, TOP_RIGHT, BOTTOM_RIGHT))),
        (Hop(BOTTOM_RIGHT, (CENTER,)), Hop(CENTER, (TOP_LEFT, TOP_RIGHT, BOTTOM_LEFT))),
        (Hop(CENTER, CORNERS),),
    ),
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
    # Corners hop to both neighbours, and from the first of these to the corner across.
    routes=(
        (Hop(TOP_LEFT, (TOP_RIGHT, BOTTOM_LEFT)), Hop(TOP_RIGHT, (BOTTOM_RIGHT,))),
        (Hop(TOP_RIGHT, (TOP_LEFT, BOTTOM_RIGHT)), Hop(TOP_LEFT, (BOTTOM_LEFT,))),
        (Hop(BOTTOM_LEFT, (TOP_LEFT, BOTTOM_RIGHT)), Hop(TOP_LEFT, (TOP_RIGHT,))),
        (Hop(BOTTOM_RIGHT, (TOP_RIGHT, BOTTOM_LEFT)), Hop(TOP_RIGHT, (TOP_LEFT,))),
    ),
)

GRAPHS = {"star": STAR, "rectangle": RECTANGLE}


def keypoint_graph(name: str) -> KeypointGraph:
    """The `KeypointGraph` called `name`: "star" or "rectangle".

    Raises:
      UserError: for another name; lists the known ones.

    Example:
      >>> keypoint_graph("star").num_edges
      8
    """
    if name not in GRAPHS:
        raise UserError(
            f"config.model.keypoint_graph is {name!r}; known graphs are {sorted(GRAPHS)}."
        )
    return GRAPHS[name]
