"""Pictures of made-up scenes from the command line."""

import cv2
import numpy as np

from deeperlab_tf.config import default_config
from input_pipeline.datasets.shapes import Shapes
from tests.programs import run_program


def make_shapes(output):
    return run_program("make_shapes.py", f"--output={output}", "--count=2")


def test_scenes_of_the_test_split_are_written_and_a_folder_is_not_replaced(tmp_path):
    output = tmp_path / "shapes"
    result = make_shapes(output)
    assert result.returncode == 0, result.stderr
    assert sorted(path.name for path in output.iterdir()) == ["test_000000.png", "test_000001.png"]
    source = Shapes(default_config().data.shapes, "test")
    picture = cv2.imread(str(output / "test_000001.png"))[..., ::-1]
    np.testing.assert_array_equal(picture, source[1]["image"])

    again = make_shapes(output)
    assert again.returncode == 1 and "exists already" in again.stderr
