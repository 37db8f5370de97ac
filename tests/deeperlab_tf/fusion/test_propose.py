"""Routes along the relation graphs against a planner, and proposals along them."""

import numpy as np
import pytest
import tensorflow as tf

from deeperlab_tf.config import default_config
from deeperlab_tf.fusion.maps import Candidates
from deeperlab_tf.fusion.propose import propose_instances
from deeperlab_tf.keypoints import CENTER, CORNERS, GRAPHS, STAR


def planned_route(graph, start):
    """Hops from one kind to all others: next is always the known kind that has the most to show."""
    reached, route = {start}, []
    while len(reached) < graph.num_keypoints:
        new = {
            source: sorted(
                end for begin, end in graph.edges if begin == source and end not in reached
            )
            for source in sorted(reached)
        }
        source = max(new, key=lambda kind: len(new[kind]))
        route.append((source, tuple(new[source])))
        reached.update(new[source])
    return tuple(route)


@pytest.mark.both_stacks
@pytest.mark.parametrize("name", sorted(GRAPHS))
def test_routes_are_those_of_the_planner(name):
    graph = GRAPHS[name]
    assert len(graph.routes) == graph.num_keypoints
    for start, route in enumerate(graph.routes):
        assert route == planned_route(graph, start)


@pytest.mark.parametrize("name", sorted(GRAPHS))
def test_routes_of_corners_have_the_same_form(name):
    graph = GRAPHS[name]
    forms = {tuple(len(hop.targets) for hop in graph.routes[corner]) for corner in CORNERS}
    assert len(forms) == 1
    for start, route in enumerate(graph.routes):
        sources = [start, *(hop.targets[0] for hop in route)]
        assert [hop.source for hop in route] == sources[:-1]


def test_centres_need_one_hop():
    ((source, targets),) = STAR.routes[CENTER]
    assert source == CENTER and targets == CORNERS


@pytest.mark.both_stacks
@pytest.mark.parametrize("name", sorted(GRAPHS))
@pytest.mark.parametrize("read", ["voters", "point"])
def test_every_keypoint_proposes_the_instance_it_belongs_to(name, read, make_maps):
    graph = GRAPHS[name]
    refinement = default_config().fusion.refinement
    refinement.keypoint_read = read
    truth = np.array([[20, 24], [20, 90], [70, 24], [70, 90], [45, 57]], np.float32)
    truth = truth[: graph.num_keypoints]
    height, width = 24, 30
    cells = np.stack(np.unravel_index(np.arange(height * width), (height, width)), 1)
    offsets = truth - 4.0 * cells[:, None].astype(np.float32)
    maps = make_maps(
        height,
        width,
        keypoint_logits=np.where(np.linalg.norm(offsets, axis=2) <= 25, 8, -8).astype(np.float32),
        short_offsets=offsets,
        middle_offsets=offsets[:, [target for _, target in graph.edges]],
        graph=graph,
    )
    groups = [CORNERS, [CENTER]] if graph.has_center else [CORNERS]
    for starts in groups:
        candidates = Candidates(tf.constant(truth[list(starts)]), tf.constant(starts))
        proposals = propose_instances(candidates, starts, maps, refinement)
        expected = np.repeat(truth[None], len(starts), axis=0)
        np.testing.assert_allclose(proposals.keypoints, expected, atol=1e-3)
        np.testing.assert_allclose(proposals.miss, 0, atol=1e-3)
