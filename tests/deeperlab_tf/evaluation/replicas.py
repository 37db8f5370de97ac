"""Parses made-up images on several replicas of this machine's processor.

Each number of replicas wants a process of its own: TensorFlow divides a processor only before its
first use, and two strategies of different size disturb each other.
"""

from __future__ import annotations

import itertools
import json

import numpy as np
import tensorflow as tf

from deeperlab_tf.evaluation import distributed

REPLICAS, BATCH_SIZES, IMAGES = (2, 3), (1, 2), (1, 2, 3, 5, 7)
_INSTANCES, _POINTS = 2, 5


class Untouched:
    """In the place of `Parsing`: the outputs as they came."""

    @staticmethod
    def from_fused(outputs, dataset, image):
        return outputs


class Keras:
    """In the place of a network, which `parse` does without."""


def parse(network, images, config, thing_classes):
    """In the place of `parse_images`: outputs that tell images apart."""
    numbers = tf.cast(images[:, 0, 0, 0], tf.int32)
    maps = tf.cast(images[..., 0], tf.int32)
    return {
        "semantic": maps,
        "instance": maps + 1,
        "panoptic": maps + 2,
        "instance_score": tf.cast(tf.stack([numbers] * _INSTANCES, axis=1), tf.float32),
        "instance_keypoints": tf.tile(
            tf.cast(numbers, tf.float32)[:, None, None, None], [1, _INSTANCES, _POINTS, 2]
        ),
        "num_instances": numbers,
    }


def is_own(number: int, sample: dict, outputs: dict) -> bool:
    """Whether the outputs are those of a sample."""
    size = sample["image"].shape[:2]
    maps = [np.full(size, number + extra) for extra in range(3)]
    found = [outputs[name] for name in ("semantic", "instance", "panoptic")]
    rows = [outputs["instance_score"], outputs["instance_keypoints"], outputs["num_instances"]]
    shapes = [(_INSTANCES,), (_INSTANCES, _POINTS, 2), ()]
    same_rows = all(
        row.shape == shape and bool(np.all(row == number)) for row, shape in zip(rows, shapes)
    )
    return same_rows and all(map(np.array_equal, found, maps))


def images(count: int, sizes: str) -> list[dict]:
    """Samples whose pixels are their numbers."""
    sides = [(4, 6)] * count if sizes == "one" else [(4 + n % 3, 6) for n in range(count)]
    return [{"image": np.full((*side, 3), n, np.uint8)} for n, side in enumerate(sides)]


def main(replicas: int) -> None:
    """Prints a JSON list: of each case (batch size, images, sizes), the numbers of the images that
    came, and whether each had its own outputs.
    """
    (processor,) = tf.config.list_physical_devices("CPU")
    parts = [tf.config.LogicalDeviceConfiguration()] * replicas
    tf.config.set_logical_device_configuration(processor, parts)
    distributed.parse_images, distributed.Parsing = parse, Untouched
    strategy = tf.distribute.MirroredStrategy([f"/cpu:{number}" for number in range(replicas)])
    dataset = type("Dataset", (), {"thing_classes": ()})
    predictor = distributed.DistributedPredictor(Keras(), None, dataset, strategy)
    found = []
    for batch_size, count, sizes in itertools.product(BATCH_SIZES, IMAGES, ("one", "several")):
        came = predictor.predict_all(images(count, sizes), batch_size, progress=False)
        numbers, own = zip(*((number, is_own(number, *pair)) for number, *pair in came))
        found.append([[batch_size, count, sizes], numbers, all(own)])
    print(json.dumps(found))
