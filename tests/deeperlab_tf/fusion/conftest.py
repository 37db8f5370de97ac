"""Scenes for the tests of the fusion: label maps, and the perfect heads they describe."""

import numpy as np
import pytest
import tensorflow as tf

from deeperlab_tf.config import default_config
from deeperlab_tf.evaluation.oracle import perfect_heads
from deeperlab_tf.fusion import fuse
from deeperlab_tf.fusion.maps import Grid, Maps
from input_pipeline.targets import make_targets

NUM_CLASSES, THINGS = 4, (2, 3)


class Scene:
    """Label maps of one image: stuff class 0, to which things are added."""

    def __init__(self, size=(65, 81), radius=8.0):
        self.semantic = np.zeros(size, np.int32)
        self.instance = np.zeros(size, np.int32)
        self.crowd = np.zeros(size, bool)
        self.config = default_config()
        self.config.fusion.keypoint_radius = radius
        self.config.fusion.detection.radius_pixels = 5.0

    def add(self, mask, label=2):
        """Adds a thing over what is there; `mask` may be a bool map or (y1, x1, y2, x2), ends
        included.
        """
        if isinstance(mask, tuple):
            y1, x1, y2, x2 = mask
            mask = np.zeros(self.semantic.shape, bool)
            mask[y1 : y2 + 1, x1 : x2 + 1] = True
        self.semantic[mask] = label
        self.instance[mask] = self.instance.max() + 1
        return self

    def heads(self, seed=0):
        """The perfect heads of the scene."""
        labels = (self.semantic, self.instance, self.crowd)
        tensors = make_targets(*map(tf.constant, labels), self.config)
        targets = {name: tensor.numpy() for name, tensor in tensors.items()}
        return perfect_heads(targets, NUM_CLASSES, seed)

    def fuse(self, heads=None):
        """The parse of some heads, by default the perfect ones; without batch dimension."""
        heads = heads or self.heads()
        parse = fuse(heads, self.semantic.shape, THINGS, self.config.fusion)
        return {name: value.numpy()[0] for name, value in parse.items()}

    def ious(self, parse):
        """Best IoU of every instance with the segments of a parse, by instance id."""
        ious = []
        for number in range(1, self.instance.max() + 1):
            mask = self.instance == number
            best = 0.0
            for found in np.unique(parse["instance"][mask]):
                segment = parse["instance"] == found
                best = max(best, (mask & segment).sum() / (mask | segment).sum())
            ious.append(best)
        return ious


@pytest.fixture
def scene():
    """The class `Scene`."""
    return Scene


@pytest.fixture(scope="session")
def scene_class():
    """The class `Scene`, for fixtures that live longer than a test."""
    return Scene


@pytest.fixture
def things():
    """Thing classes of a `Scene`, which has four classes."""
    return THINGS


@pytest.fixture
def make_maps():
    """Function (height, width, **fields) -> `Maps` with R = 25 and None where nothing is given."""

    def make(height, width, **fields):
        fields = {"grid": Grid(height, width), "radius": 25.0, **fields}
        return Maps(**{name: fields.get(name) for name in Maps._fields})

    return make
