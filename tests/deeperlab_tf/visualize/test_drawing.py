import cv2
import numpy as np
import pytest

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.images import read_image
from deeperlab_tf.visualize.drawing import write_image


@pytest.mark.both_stacks
@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_images_are_written_without_a_word_and_read_back(tmp_path, capfd, name):
    image = np.full((20, 30, 3), (200, 100, 50), np.uint8)
    write_image(str(tmp_path / name), image)
    assert np.abs(read_image(str(tmp_path / name)).astype(int) - image).max() <= 3
    assert not any(capfd.readouterr())


def test_an_image_that_cannot_be_encoded_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr(cv2, "imencode", lambda *_: (False, None))
    with pytest.raises(UserError, match=r"cannot write .*a\.png"):
        write_image(str(tmp_path / "a.png"), np.zeros((4, 4, 3), np.uint8))
    assert not list(tmp_path.iterdir())
