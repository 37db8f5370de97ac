"""Damaged images end in pixels or in one sentence."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests import mutants

PROGRAM = """
import sys
from deeperlab_tf.files.images import read_image
from tests.mutants import decoded_bytes, memory, forget_peak

path = sys.argv[1]
decoded = decoded_bytes(path)
forget_peak()
before = memory("VmRSS")
read_image(path)
print((memory("VmHWM") - before) / decoded)
"""


def test_damaged_images_neither_crash_nor_hang_nor_fill_the_memory():
    """A few hundred; `python -m tests.mutants` tries 5,000."""
    outcomes, faults = mutants.run(300, seed=1)
    assert not faults
    assert outcomes["read"] > 30 and outcomes["refused"] > 100


@pytest.mark.skipif(sys.platform != "linux", reason="measured from /proc")
@pytest.mark.parametrize("kind, mode", [("JPEG", "RGB"), ("TIFF", "F"), ("PNG", "I;16")])
def test_a_large_picture_takes_less_than_four_times_its_size(repository, tmp_path, kind, mode):
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 256, (2400, 3200)).astype(np.uint8)
    pictures = {
        "RGB": np.repeat(grey[..., np.newaxis], 3, 2),
        "F": grey.astype(np.float32) / 255,
        "I;16": grey.astype(np.uint16) * 257,
    }
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pictures[mode]).save(tmp_path / "x", kind, exif=exif)
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "x")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=repository)
    assert done.returncode == 0, done.stderr
    assert 0.5 < float(done.stdout) < 4
