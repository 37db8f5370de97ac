"""Small datasets on disk, in the folder dataset's format."""

import json

import numpy as np
import pytest
from PIL import Image

from deeperlab_tf.config import default_config


class FolderMaker:
    """A folder of six labelled images that a test can spoil."""

    def __init__(self, root):
        self.root = root
        self.description = {
            "images": "images/{id}.png",
            "semantic": "semantic/{id}.png",
            "instances": "instances/{id}.png",
            "classes": [
                {"name": "road", "type": "stuff", "id": 3},
                {"name": "car", "type": "thing", "id": 7},
            ],
            "split": {"every_nth": 3},
        }
        rng = np.random.default_rng(0)
        for index in range(6):
            semantic = np.full((20, 30), 3, np.uint8)
            instances = np.zeros((20, 30), np.uint8)
            semantic[2:9, 3:9] = semantic[8:14, 20:28] = 7
            instances[2:9, 3:9], instances[8:14, 20:28] = 1, 2
            semantic[0] = 255
            self.save("images", index, rng.integers(0, 256, (20, 30, 3), np.uint8))
            self.save("semantic", index, semantic)
            self.save("instances", index, instances)
        self.write()

    def path(self, kind, index):
        return self.root / kind / f"im{index}.png"

    def save(self, kind, index, array):
        path = self.path(kind, index)
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(array).save(path)

    def write(self, **changes):
        """Writes the description; a change to None leaves that key out."""
        description = {
            key: value
            for key, value in {**self.description, **changes}.items()
            if value is not None
        }
        (self.root / "classes.json").write_text(json.dumps(description))

    @property
    def config(self):
        config = default_config()
        config.data.dataset = "folder"
        config.data.root = str(self.root)
        config.data.crop_size = config.eval.image_size = (33, 33)
        config.data.keypoint_radius = 5.0
        config.train.batch_size = 2
        return config


@pytest.fixture
def folder(tmp_path):
    return FolderMaker(tmp_path)
