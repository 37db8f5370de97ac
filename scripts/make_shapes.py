"""Writes made-up scenes, without their labels: pictures to look at or to predict.

python scripts/make_shapes.py --output=DIR --count=8
"""

from __future__ import annotations

from absl import flags

from deeperlab_tf import cli
from deeperlab_tf.config import default_config
from deeperlab_tf.files import storage
from deeperlab_tf.files.atomic import atomic_path
from deeperlab_tf.files.encode import write_encoded
from deeperlab_tf.files.reports import check_absent
from input_pipeline.datasets.shapes import Shapes

OUTPUT = flags.DEFINE_string("output", None, "Folder to make for the pictures.")
COUNT = flags.DEFINE_integer("count", 8, "How many pictures.", lower_bound=1)


def main() -> None:
    source = Shapes(default_config().data.shapes, "test")  # what no training has seen
    count = min(COUNT.value, len(source))
    check_absent(OUTPUT.value)
    with atomic_path(OUTPUT.value) as folder:
        for index in range(count):
            sample = source[index]
            path = storage.join(folder, f"{sample['image_id']}.png")
            write_encoded(path, sample["image"][..., ::-1])
    print(f"{count} pictures in {OUTPUT.value}")


if __name__ == "__main__":
    cli.run(main, required=["output"])
