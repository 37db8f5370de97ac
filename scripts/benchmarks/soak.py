"""Does an exported model hold up? Many requests of mixed sizes, its memory looked at as they go.

cd scripts && python -m benchmarks.soak EXPORT/1 --requests=10000
"""

from __future__ import annotations

import argparse
import os

import cv2
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from benchmarks.memory import memory_mb

_SIZES = 40  # different ones, again and again in another order
_SAMPLES = 20


def soak(path: str | os.PathLike, requests: int, largest: int = 96) -> list[float]:
    """Sends encoded images of mixed sizes, one to three per request, to `image_bytes`.

    Args:
      path: folder of a SavedModel.
      requests: how many.
      largest: side of the largest image, pixels.

    Returns:
      resident memory in MB, `_SAMPLES` times on the way: the first after the first requests, the
      last at the end. Errors are raised.
    """
    module = tf.saved_model.load(str(path))
    parse = module.signatures["image_bytes"]
    rng = np.random.default_rng(0)
    images = _encoded_images(rng, largest)

    memory = []
    for number in tqdm(range(requests), unit="request", dynamic_ncols=True):
        batch = rng.choice(_SIZES, rng.integers(1, 4))
        parse(image_bytes=tf.constant([images[index] for index in batch]))["panoptic"].numpy()
        if (number + 1) % max(requests // _SAMPLES, 1) == 0:
            memory.append(memory_mb("VmRSS"))
    return memory


def _encoded_images(rng: np.random.Generator, largest: int) -> list[bytes]:
    images = []
    for height, width in rng.integers(1, largest + 1, (_SIZES, 2)):
        picture = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
        suffix = rng.choice([".jpg", ".png"])
        images.append(cv2.imencode(suffix, picture)[1].tobytes())
    return images


def main() -> None:
    """Prints the memory as it grows, or does not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", help="folder of a SavedModel")
    parser.add_argument("--requests", type=int, default=10_000)
    arguments = parser.parse_args()
    memory = soak(arguments.path, arguments.requests)
    print("resident memory, MB:", *(f"{value:.0f}" for value in memory))


if __name__ == "__main__":
    main()
