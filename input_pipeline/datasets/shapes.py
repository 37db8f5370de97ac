"""Scenes made on the fly: textured land, sea and sky with things of six forms, each drawn from
(seed, index) alone.

No download, as many scenes as wanted, every pixel labelled: the first dataset to train on and the
one to test with.

Pictures to look at or to predict:
  python -m input_pipeline.datasets.shapes --output=DIR --count=8
"""

import functools
import os

import cv2
import numpy as np
from absl import flags

from deeperlab_tf import cli
from deeperlab_tf.config import default_config
from deeperlab_tf.errors import UserError
from deeperlab_tf.files.atomic import atomic_path
from deeperlab_tf.schema import Category, Dataset

DATASET = Dataset(
    name="shapes",
    categories=(
        Category("sky", False, (135, 190, 235), 0),
        Category("meadow", False, (110, 170, 80), 1),
        Category("water", False, (45, 95, 160), 2),
        Category("disc", True, (220, 60, 50), 3),
        Category("box", True, (240, 190, 50), 4),
        Category("triangle", True, (150, 70, 190), 5),
        Category("star", True, (250, 120, 170), 6),
        Category("ring", True, (70, 220, 210), 7),
        Category("cross", True, (240, 240, 235), 8),
    ),
)
SKY, MEADOW, WATER = DATASET.stuff_classes

COLOR_SPREAD = 25  # a thing's colour is its class' colour plus or minus this
# A thing that would leave less of another (or of itself) in sight is not placed.
MIN_VISIBLE_SHARE = 0.35
MIN_VISIBLE_PIXELS = 48
PLACEMENT_TRIES = 4
CAMERA_NOISE = 3.0  # standard deviation, of 255
SUBPIXEL_BITS = 4  # fixed-point coordinates of cv2's polygons

SPLITS = {"train": 0, "val": 1, "test": 2}


def open_split(config, split):
    """The `Shapes` that `config.data` describes."""
    return Shapes(config.data.shapes, split, config.data.seed)


class Shapes:
    """Random-access source of scenes; the same (seed, split, index) always gives the same scene.

    Args:
      shapes: config.data.shapes.
      split: train | val | test. Splits never share a scene.
      seed: config.data.seed.
    """

    dataset = DATASET

    def __init__(self, shapes, split, seed=0):
        if split not in SPLITS:
            raise UserError(
                f"the shapes dataset has no split {split!r}; it has {', '.join(SPLITS)}."
            )
        self._length = shapes.num_train if split == "train" else shapes.num_val
        if self._length < 1:
            raise UserError(
                f"config.data.shapes asks for {self._length} scenes in split {split!r}; give at least 1."
            )
        if shapes.max_things < 1 or min(shapes.image_size) < 33:
            raise UserError(
                "config.data.shapes needs max_things of at least 1 and sides of at least 33 pixels."
            )
        self._size = tuple(shapes.image_size)
        self._max_things = shapes.max_things
        self._random_colors = shapes.random_colors
        self._split = split
        self._seed = seed

    def __len__(self):
        return self._length

    def __getitem__(self, index):
        """The sample `index`: image uint8 [H, W, 3], semantic and instance int32 [H, W], crowd
        bool, image_id.
        """
        if not 0 <= index < self._length:
            raise IndexError(index)
        rng = np.random.Generator(np.random.Philox([self._seed, SPLITS[self._split] << 32 | index]))
        image, semantic = _background(rng, self._size)
        instance = np.zeros(self._size, np.int32)
        areas = [0]  # of each thing when it was drawn, the background first
        for _ in range(rng.integers(1, self._max_things + 1)):
            _place_thing(rng, image, semantic, instance, areas, self._random_colors)
        image += CAMERA_NOISE * rng.standard_normal(image.shape, np.float32)
        return {
            "image": np.clip(np.rint(image), 0, 255).astype(np.uint8),
            "semantic": semantic,
            "instance": instance,
            "crowd": np.zeros(self._size, bool),
            "image_id": f"{self._split}_{index:06d}",
        }


# === Stuff ===


def _background(rng, size):
    """Sky above a wavy horizon, below it meadow, and water behind a wavy shore. float32 [H, W, 3],
    int32 [H, W].
    """
    height, width = size
    columns = np.arange(width)
    horizon = height * rng.uniform(0.25, 0.5) + _wave(rng, columns, height * 0.06)
    shore = (
        height * rng.uniform(0.6, 0.85)
        + _wave(rng, columns, height * 0.1)
        + (columns - width / 2) * rng.normal() / 4
    )
    rows = np.arange(height)[:, None]
    semantic = np.full(size, MEADOW, np.int32)
    semantic[rows > shore] = WATER
    semantic[rows < horizon] = SKY

    tint = np.array([category.color for category in DATASET.categories[: WATER + 1]], np.float32)
    tint = tint + rng.uniform(-15, 15, tint.shape).astype(np.float32)
    clouds = _noise(rng, size, (4, 3)) * 22 + (rows / height * 30).astype(np.float32)
    grass = _noise(rng, size, (height // 3, width // 3)) * 26 + _noise(rng, size, (3, 3)) * 12
    ripples = (
        np.sin((rows + _noise(rng, size, (5, 5)) * 8) * rng.uniform(0.6, 1.0)).astype(np.float32)
        * 14
    )
    texture = np.choose(semantic, [clouds, grass, ripples])
    return tint[semantic] + texture[..., None], semantic


def _wave(rng, columns, amplitude):
    """A random smooth function of the column, about `amplitude` high."""
    wave = np.zeros(len(columns))
    for cycles in (0.7, 1.6, 3.7):
        wave += (
            np.sin(columns / len(columns) * 2 * np.pi * cycles + rng.uniform(0, 2 * np.pi)) / cycles
        )
    return wave * amplitude * rng.uniform(0.3, 1.0)


def _noise(rng, size, cells):
    """Smooth noise in about [-1, 1], float32 [H, W], with `cells` = (rows, columns) bumps."""
    coarse = rng.uniform(-1, 1, (max(cells[0], 2), max(cells[1], 2))).astype(np.float32)
    return cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)


# === Things ===


def _place_thing(rng, image, semantic, instance, areas, random_colors):
    """Draws one thing in front of what is there, unless nowhere leaves it and all it covers
    recognisable.
    """
    height, width = instance.shape
    label = int(rng.choice(DATASET.thing_classes))
    side = min(height, width)
    for _ in range(PLACEMENT_TRIES):
        radius = side * np.exp(rng.uniform(np.log(0.07), np.log(0.22)))
        center = rng.uniform((0, 0), (height, width))
        mask = _form_mask(label, center, radius, rng.uniform(0, 2 * np.pi), (height, width))
        if _leaves_all_visible(mask, radius, instance, areas):
            break
    else:
        return
    base = rng.uniform(0, 255, 3) if random_colors else np.array(DATASET.colors[label])
    color = base + rng.uniform(-COLOR_SPREAD, COLOR_SPREAD, 3)
    image[mask] = (color + _shading(mask, center, radius)[:, None]).astype(np.float32)
    semantic[mask] = label
    instance[mask] = len(areas)
    areas.append(np.count_nonzero(mask))


def _form_mask(label, center, radius, angle, size):
    """bool [H, W]: the form of class `label` of a given size, turned by `angle`; what lies outside
    is cut off.
    """
    mask = np.zeros(size, np.uint8)
    contours = [
        np.rint((center + radius * contour @ _rotation(angle))[:, ::-1] * 2**SUBPIXEL_BITS).astype(
            np.int32
        )
        for contour in _contours(DATASET.class_names[label])
    ]
    cv2.fillPoly(mask, contours, 1, shift=SUBPIXEL_BITS)  # a contour inside another is a hole
    return mask.astype(bool)


def _rotation(angle):
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


@functools.cache
def _contours(name):
    """Closed contours, float [K, 2], of a form of radius 1 around (0, 0)."""
    if name == "disc":
        return (_polygon(32, 1.0),)
    if name == "ring":
        return _polygon(32, 1.0), _polygon(32, 0.5)
    if name == "triangle":
        return (_polygon(3, 1.15),)
    if name == "box":
        return (np.array([(-0.65, -1.0), (-0.65, 1.0), (0.65, 1.0), (0.65, -1.0)]),)
    if name == "star":
        star = _polygon(10, 1.15)
        star[1::2] *= 0.45
        return (star,)
    arm, tip = 0.33, 1.1  # cross
    quarter = np.array([(arm, arm), (arm, tip), (-arm, tip)])
    return (np.concatenate([quarter @ _rotation(-turn * np.pi / 2) for turn in range(4)]),)


def _polygon(corners, radius):
    angles = np.arange(corners) * 2 * np.pi / corners
    return radius * np.stack([np.sin(angles), np.cos(angles)], axis=1)


def _leaves_all_visible(mask, radius, instance, areas):
    """Whether enough of the new thing lies in the image, and of each thing it covers remains in
    sight.
    """
    visible = np.count_nonzero(mask)
    if visible < max(MIN_VISIBLE_PIXELS, MIN_VISIBLE_SHARE * 2 * radius**2):
        return False
    left = np.bincount(instance[~mask], minlength=len(areas))[1:]
    return bool(
        np.all(left >= np.maximum(MIN_VISIBLE_PIXELS, MIN_VISIBLE_SHARE * np.array(areas[1:])))
    )


def _shading(mask, center, radius):
    """Brightness added to each masked pixel: lit from the top left, darker at the rim. float
    [number of pixels].
    """
    y, x = np.nonzero(mask)
    light = -((y - center[0]) + (x - center[1])) / radius * 14
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    inner = cv2.erode(padded, np.ones((3, 3), np.uint8))[1:-1, 1:-1]
    return light - 45 * (inner[y, x] == 0)


def _write_pictures():
    """Writes scenes of the test split, without their labels."""
    source = Shapes(default_config().data.shapes, "test")
    count = min(flags.FLAGS.count, len(source))
    with atomic_path(flags.FLAGS.output) as folder:
        os.makedirs(folder)
        for sample in (source[index] for index in range(count)):
            cv2.imwrite(
                os.path.join(folder, f"{sample['image_id']}.png"), sample["image"][..., ::-1]
            )
    print(f"{count} pictures in {flags.FLAGS.output}")


if __name__ == "__main__":
    flags.DEFINE_string("output", None, "Folder to make for the pictures.")
    flags.DEFINE_integer("count", 8, "How many pictures.", lower_bound=1)
    cli.run(_write_pictures, required=["output"])
