"""Writes made-up scenes, without their labels: pictures to look at or to predict.

python scripts/make_shapes.py --output=DIR --count=8
"""

from __future__ import annotations

import os

import cv2
from absl import flags

from deeperlab_tf import cli
from deeperlab_tf.config import default_config
from deeperlab_tf.files.atomic import atomic_path
from deeperlab_tf.files.reports import check_absent
from input_pipeline.datasets.shapes import Shapes

OUTPUT = flags.DEFINE_string("output", None, "Folder to make for the pictures.")
COUNT = flags.DEFINE_integer("count", 8, "How many pictures.", lower_bound=1)


def main() -> None:
    source = Shapes(default_config().data.shapes, "test")  # what no training has seen
    count = min(COUNT.value, len(source))
    check_absent(OUTPUT.value)
    with atomic_path(OUTPUT.value) as folder:
        os.makedirs(folder)
        for index in range(count):
            sample = source[index]
            path = os.path.join(folder, f"{sample['image_id']}.png")
            cv2.imwrite(path, sample["image"][..., ::-1])
    print(f"{count} pictures in {OUTPUT.value}")


if __name__ == "__main__":
    cli.run(main, required=["output"])
