"""Converting datasets: all that is bad is named at once."""

import pytest
from PIL import Image

from deeperlab_tf.errors import UserError
from input_pipeline.convert import convert
from tests.input_pipeline.datasets import outlined


def test_all_bad_images_are_named(tmp_path, capsys):
    outlined.write_labelme(tmp_path / "drawn")
    config = outlined.config_of("labelme", tmp_path / "drawn")
    photos = sorted(
        path for path in (tmp_path / "drawn").rglob("*.*") if path.suffix in Image.EXTENSION
    )
    bad = [photos[0], photos[1], photos[-1]]
    for photo in bad:
        photo.write_bytes(photo.read_bytes()[:100])
    with pytest.raises(UserError, match="3 of 8 images cannot be converted"):
        convert(config, ["train", "val"], "folder", str(tmp_path / "out"))
    said = capsys.readouterr().err
    assert all(str(photo) in said for photo in bad)
