"""Scenes made on the fly: textured land, sea and sky with things of six forms, each drawn from
(seed, index) alone.

No download, as many scenes as wanted, every pixel labelled: the first dataset to train on and the
one to test with. `scripts/make_shapes.py` writes some as pictures.
"""

from __future__ import annotations

import functools
import typing

import cv2
import numpy as np
from ml_collections import ConfigDict

from deeperlab_tf.errors import UserError
from deeperlab_tf.schema import Dataset
from input_pipeline.datasets import Sample, Source
from input_pipeline.datasets.class_table import read_class_table

_TABLE = """
  0  stuff  135 190 235  sky
  1  stuff  110 170  80  meadow
  2  stuff   45  95 160  water
  3  thing  220  60  50  disc
  4  thing  240 190  50  box
  5  thing  150  70 190  triangle
  6  thing  250 120 170  star
  7  thing   70 220 210  ring
  8  thing  240 240 235  cross
"""

DATASET = Dataset(name="shapes", categories=read_class_table(_TABLE))
SKY, MEADOW, WATER = DATASET.stuff_classes

COLOR_SPREAD = 25  # a thing's colour is its class' colour plus or minus this
# A thing that would leave less of another (or of itself) in sight is not placed.
MIN_VISIBLE_SHARE = 0.35
MIN_VISIBLE_PIXELS = 48
SMALLEST_RADIUS, LARGEST_RADIUS = 0.07, 0.22  # of a thing, shares of the image's shorter side
PLACEMENT_TRIES = 4
CAMERA_NOISE = 3.0  # standard deviation, of 255
SUBPIXEL_BITS = 4  # fixed-point coordinates of cv2's polygons

SPLITS = {"train": 0, "val": 1, "test": 2}
_SMALLEST_SIDE = 33


def open_split(config: ConfigDict, split: str) -> Shapes:
    """The `Shapes` that `config.data` describes."""
    return Shapes(config.data.shapes, split, config.data.seed)


class Shapes(Source):
    """Source of scenes; the same (seed, split, index) always gives the same scene.

    Args:
      shapes: config.data.shapes.
      split: train | val | test. Splits never share a scene.
      seed: config.data.seed.

    Raises:
      UserError: no such split, or settings without a scene.
    """

    dataset = DATASET

    def __init__(self, shapes: ConfigDict, split: str, seed: int = 0):
        if split not in SPLITS:
            known = ", ".join(SPLITS)
            raise UserError(f"the shapes dataset has no split {split!r}; it has {known}.")
        self._length = shapes.num_train if split == "train" else shapes.num_val
        if self._length < 1:
            raise UserError(
                f"config.data.shapes asks for {self._length} scenes in split {split!r}; "
                "give at least 1."
            )
        if shapes.max_things < 1 or min(shapes.image_size) < _SMALLEST_SIDE:
            raise UserError(
                "config.data.shapes needs max_things of at least 1 and sides of at least "
                f"{_SMALLEST_SIDE} pixels."
            )
        self._size = tuple(shapes.image_size)
        self._max_things = shapes.max_things
        self._random_colors = shapes.random_colors
        self._split = split
        self._seed = seed

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < self._length:
            raise IndexError(index)
        key = [self._seed, SPLITS[self._split] << 32 | index]
        rng = np.random.Generator(np.random.Philox(key))
        scene = _background(rng, self._size)
        for _ in range(rng.integers(1, self._max_things + 1)):
            _place_thing(rng, scene, self._random_colors)
        noise = rng.standard_normal(scene.image.shape, np.float32)
        image = np.rint(scene.image + CAMERA_NOISE * noise)
        image = np.clip(image, 0, 255)
        return {
            "image": image.astype(np.uint8),
            "semantic": scene.semantic,
            "instance": scene.instance,
            "crowd": np.zeros(self._size, bool),
            "image_id": f"{self._split}_{index:06d}",
        }


class _Scene(typing.NamedTuple):
    """A scene while things are drawn into it.

    Attributes:
      image: float32 [H, W, 3], about 0-255.
      semantic: int32 [H, W].
      instance: int32 [H, W], 0 where there is no thing.
      areas: pixels of each thing when it was drawn, with a 0 for the background first.
    """

    image: np.ndarray
    semantic: np.ndarray
    instance: np.ndarray
    areas: list[int]


# === Stuff ===


def _background(rng: np.random.Generator, size: tuple[int, int]) -> _Scene:
    """Sky above a wavy horizon, below it meadow, and water behind a wavy shore."""
    semantic = _stuff(rng, size)
    tint = np.array(DATASET.colors[: WATER + 1], np.float32)
    change = rng.uniform(-15, 15, tint.shape)
    tint = tint + change.astype(np.float32)
    texture = np.choose(semantic, _textures(rng, size))
    image = tint[semantic] + texture[..., None]
    return _Scene(image, semantic, instance=np.zeros(size, np.int32), areas=[0])


def _stuff(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """int32 [H, W]: sky, meadow and water."""
    height, width = size
    columns = np.arange(width)
    horizon = height * rng.uniform(0.25, 0.5)
    horizon = horizon + _wave(rng, columns, height * 0.06)
    shore = height * rng.uniform(0.6, 0.85)
    shore = shore + _wave(rng, columns, height * 0.1)
    slope = rng.normal()
    shore = shore + (columns - width / 2) * slope / 4

    # Where the shore is above the horizon, the sky is in front.
    rows = np.arange(height)[:, None]
    semantic = np.full(size, MEADOW, np.int32)
    semantic[rows > shore] = WATER
    semantic[rows < horizon] = SKY
    return semantic


def _textures(rng: np.random.Generator, size: tuple[int, int]) -> list[np.ndarray]:
    """Brightness of sky, meadow and water, float32 [H, W] each."""
    height, width = size
    rows = np.arange(height)[:, None]
    # Bright towards the horizon; fine bumps on coarse ones; waves, bent by coarse bumps.
    haze = (rows / height * 30).astype(np.float32)
    clouds = _noise(rng, size, (4, 3)) * 22 + haze

    blades = _noise(rng, size, (height // 3, width // 3)) * 26
    grass = blades + _noise(rng, size, (3, 3)) * 12

    bent_rows = rows + _noise(rng, size, (5, 5)) * 8
    frequency = rng.uniform(0.6, 1.0)
    ripples = np.sin(bent_rows * frequency).astype(np.float32) * 14
    return [clouds, grass, ripples]


def _wave(rng: np.random.Generator, columns: np.ndarray, amplitude: float) -> np.ndarray:
    """A random smooth function of the column, about `amplitude` high."""
    wave = np.zeros(len(columns))
    for cycles in (0.7, 1.6, 3.7):
        phase = rng.uniform(0, 2 * np.pi)
        angle = columns / len(columns) * 2 * np.pi * cycles + phase
        wave += np.sin(angle) / cycles
    return wave * amplitude * rng.uniform(0.3, 1.0)


def _noise(rng: np.random.Generator, size: tuple[int, int], cells: tuple[int, int]) -> np.ndarray:
    """Smooth noise in about [-1, 1], float32 [H, W], with `cells` = (rows, columns) bumps."""
    rows, columns = (max(count, 2) for count in cells)
    coarse = rng.uniform(-1, 1, (rows, columns))
    coarse = coarse.astype(np.float32)
    return cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)


# === Things ===


class _Form(typing.NamedTuple):
    """A form in its place.

    Attributes:
      mask: bool [H, W].
      radius: pixels.
      center: float (y, x).
    """

    mask: np.ndarray
    radius: float
    center: np.ndarray


def _place_thing(rng: np.random.Generator, scene: _Scene, random_colors: bool) -> None:
    """Draws one thing in front of what is there, unless in no place it and what it covers would
    remain recognisable.
    """
    label = int(rng.choice(DATASET.thing_classes))
    form = _find_place(rng, scene, label)
    if form is None:
        return
    base = rng.uniform(0, 255, 3) if random_colors else np.array(DATASET.colors[label])
    color = base + rng.uniform(-COLOR_SPREAD, COLOR_SPREAD, 3)
    pixels = color + _shading(form)[:, None]  # [number of pixels, 3]
    mask = form.mask
    scene.image[mask] = pixels.astype(np.float32)
    scene.semantic[mask] = label
    scene.instance[mask] = len(scene.areas)
    scene.areas.append(np.count_nonzero(mask))


def _find_place(rng: np.random.Generator, scene: _Scene, label: int) -> _Form | None:
    size = scene.instance.shape
    for _ in range(PLACEMENT_TRIES):
        log_share = rng.uniform(np.log(SMALLEST_RADIUS), np.log(LARGEST_RADIUS))
        radius = min(size) * np.exp(log_share)
        center = rng.uniform((0, 0), size)
        angle = rng.uniform(0, 2 * np.pi)
        # [K, 2] each, (y, x) in pixels.
        contours = _contours(DATASET.class_names[label])
        turned = [center + radius * contour @ _rotation(angle) for contour in contours]
        form = _Form(_fill(turned, size), radius, center)
        if _leaves_all_visible(form, scene):
            return form
    return None


def _fill(contours: list[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    """bool [H, W]: what contours float [K, 2], (y, x), enclose; what lies outside is cut off."""
    mask = np.zeros(size, np.uint8)
    polygons = []
    for contour in contours:
        x_and_y = contour[:, ::-1] * 2**SUBPIXEL_BITS
        polygons.append(np.rint(x_and_y).astype(np.int32))
    cv2.fillPoly(mask, polygons, 1, shift=SUBPIXEL_BITS)  # a contour inside another is a hole
    return mask.astype(bool)


def _rotation(angle: float) -> np.ndarray:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine], [sine, cosine]])


@functools.cache
def _contours(name: str) -> tuple[np.ndarray, ...]:
    """Closed contours, float [K, 2], of a form of radius 1 around (0, 0)."""
    if name == "disc":
        return (_polygon(32, 1.0),)
    if name == "ring":
        return _polygon(32, 1.0), _polygon(32, 0.5)
    if name == "triangle":
        return (_polygon(3, 1.15),)
    if name == "box":
        half = 0.65
        corners = [(-half, -1.0), (-half, 1.0), (half, 1.0), (half, -1.0)]
        return (np.array(corners),)
    if name == "star":
        star = _polygon(10, 1.15)
        star[1::2] *= 0.45
        return (star,)
    arm, tip = 0.33, 1.1  # of a cross
    quarter = np.array([(arm, arm), (arm, tip), (-arm, tip)])
    quarters = [quarter @ _rotation(-turn * np.pi / 2) for turn in range(4)]
    return (np.concatenate(quarters),)


def _polygon(corners: int, radius: float) -> np.ndarray:
    angles = np.arange(corners) * 2 * np.pi / corners
    points = np.stack([np.sin(angles), np.cos(angles)], axis=1)
    return radius * points


def _leaves_all_visible(form: _Form, scene: _Scene) -> bool:
    """Whether enough of the new thing lies in the image, and of each thing it covers remains in
    sight.
    """
    visible = np.count_nonzero(form.mask)
    if visible < max(MIN_VISIBLE_PIXELS, MIN_VISIBLE_SHARE * 2 * form.radius**2):
        return False
    # Pixels that each earlier thing would keep, [things].
    uncovered = scene.instance[~form.mask]
    left = np.bincount(uncovered, minlength=len(scene.areas))[1:]
    wanted = MIN_VISIBLE_SHARE * np.array(scene.areas[1:])
    return bool(np.all(left >= np.maximum(MIN_VISIBLE_PIXELS, wanted)))


def _shading(form: _Form) -> np.ndarray:
    """Brightness added to each masked pixel: lit from the top left, darker at the rim; float
    [number of pixels].
    """
    y, x = np.nonzero(form.mask)
    center_y, center_x = form.center
    toward_light = -((y - center_y) + (x - center_x))
    light = toward_light / form.radius * 14

    # What lies at the border of the image is no rim.
    mask = form.mask.astype(np.uint8)
    padded = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    neighbourhood = np.ones((3, 3), np.uint8)
    inner = cv2.erode(padded, neighbourhood)[1:-1, 1:-1]
    is_rim = inner[y, x] == 0
    return light - 45 * is_rim
