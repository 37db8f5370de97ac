"""Parses made-up images on several replicas of this machine's processor, in a process of its own,
for TensorFlow divides a processor only before its first use.

Prints a JSON list: of each case the numbers of the images that came, in order, and whether each had
its own outputs.
"""

from __future__ import annotations

import itertools
import json

import numpy as np
import tensorflow as tf

from deeperlab_tf.evaluation import distributed

MOST_REPLICAS, MOST_IN_BATCH, MOST_IMAGES = 3, 3, 7
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
    return all(map(np.array_equal, found, maps)) and all(
        row.shape == shape and np.all(row == number) for row, shape in zip(rows, shapes)
    )


def images(count: int, sizes: str) -> list[dict]:
    """Samples whose pixels are their numbers."""
    sides = [(4, 6)] * count if sizes == "one" else [(4 + n % 3, 6) for n in range(count)]
    return [{"image": np.full((*side, 3), n, np.uint8)} for n, side in enumerate(sides)]


def main() -> None:
    (processor,) = tf.config.list_physical_devices("CPU")
    parts = [tf.config.LogicalDeviceConfiguration()] * MOST_REPLICAS
    tf.config.set_logical_device_configuration(processor, parts)
    distributed.parse_images, distributed.Parsing = parse, Untouched
    found = []
    for replicas in range(1, MOST_REPLICAS + 1):
        devices = [f"/cpu:{number}" for number in range(replicas)]
        strategy = tf.distribute.MirroredStrategy(devices)
        dataset = type("Dataset", (), {"thing_classes": ()})
        predictor = distributed.DistributedPredictor(Keras(), None, dataset, strategy)
        cases = itertools.product(
            range(1, MOST_IN_BATCH + 1), range(1, MOST_IMAGES + 1), ("one", "several")
        )
        for batch_size, count, sizes in cases:
            came = predictor.predict_all(images(count, sizes), batch_size, progress=False)
            came = [(number, is_own(number, *pair)) for number, *pair in came]
            numbers, own = zip(*came)
            found.append([[replicas, batch_size, count, sizes], numbers, all(own)])
    print(json.dumps(found))


if __name__ == "__main__":
    main()
