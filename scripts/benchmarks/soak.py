"""Does an exported model hold up? Many requests of mixed sizes, its memory looked at as they go.

python -m benchmarks.soak exports/shapes/1 --requests=10000
"""

import argparse

import cv2
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from benchmarks.memory import memory_mb

_SIZES = 40  # different ones, again and again in another order
_SAMPLES = 20


def soak(path, requests, largest=96):
    """Sends encoded images of mixed sizes, one to three a request, to the signature `image_bytes`.

    Args:
      path: folder of a SavedModel.
      requests: how many.
      largest: side of the largest image, pixels.

    Returns:
      list of resident memory in MB, `_SAMPLES` times on the way: the first after the first
      requests, the last at the end. Errors are raised.
    """
    module, rng = tf.saved_model.load(path), np.random.default_rng(0)
    signature = module.signatures["image_bytes"]
    images = []
    for height, width in rng.integers(1, largest + 1, (_SIZES, 2)):
        picture = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
        images.append(cv2.imencode(rng.choice([".jpg", ".png"]), picture)[1].tobytes())
    memory = []
    for number in tqdm(range(requests), unit="request", dynamic_ncols=True):
        batch = rng.choice(_SIZES, rng.integers(1, 4))
        signature(image_bytes=tf.constant([images[index] for index in batch]))["panoptic"].numpy()
        if (number + 1) % max(requests // _SAMPLES, 1) == 0:
            memory.append(memory_mb("VmRSS"))
    return memory


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", help="folder of a SavedModel")
    parser.add_argument("--requests", type=int, default=10_000)
    arguments = parser.parse_args()
    print(
        "resident memory, MB:",
        *(f"{value:.0f}" for value in soak(arguments.path, arguments.requests)),
    )
