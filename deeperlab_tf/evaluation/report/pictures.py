"""The gallery's pictures, encoded as text that stands in the page."""

from __future__ import annotations

import base64

import cv2
import numpy as np

from deeperlab_tf.evaluation.results import ScoredImage
from deeperlab_tf.prediction.parsing import Parsing
from deeperlab_tf.visualize.errors import error_codes, error_map
from deeperlab_tf.visualize.parses import draw_parsing, overlay_scale, paint

NAMED_SEGMENTS = 255  # an image's largest segments have names: as many as a byte can tell
LAYERS = ("Parse", "Truth", "Errors", "Image")

_SIDE = 480  # pixels, the longer one
_JPEG_QUALITY = 80
_NO_PHOTO = 190  # grey value


def layers(sample: ScoredImage) -> dict[str, np.ndarray]:
    """The pictures of one image by the names of `LAYERS`; no `Image` where there is no photo."""
    truth, parse = sample.truth, sample.parse
    photo = sample.image
    if photo is None:
        photo = np.full((*truth.semantic.shape, 3), _NO_PHOTO, np.uint8)
    scale = overlay_scale(photo, _SIDE)
    codes = error_codes(truth, parse, sample.crowd)
    pictures = {
        "Parse": draw_parsing(photo, parse, scale=scale, names=False),
        "Truth": draw_parsing(photo, truth, scale=scale, names=False),
        "Errors": error_map(photo, codes, scale),
    }
    if sample.image is not None:
        pictures["Image"] = sample.image
    return pictures


def jpeg_url(picture: np.ndarray) -> str:
    """A picture, uint8 [H, W, 3], as the URL of a JPEG of the gallery's size."""
    # Averaged where it shrinks, smooth where it grows.
    shrinks = max(picture.shape) > _SIDE
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    small = cv2.resize(picture, _size(picture.shape), interpolation=interpolation)
    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    return _data_url(".jpg", small, "image/jpeg", options)


def index_url(truth: Parsing, parse: Parsing) -> str:
    """Which segments lie at each pixel, as the URL of a PNG of the gallery's size.

    Red is the place in the truth's list of names, from 1 on, green in the parse's; 0 is none.
    """
    channels = [_places(truth), _places(parse)]
    rgb = np.dstack([*channels, np.zeros_like(channels[0])])
    small = cv2.resize(rgb, _size(rgb.shape), interpolation=cv2.INTER_NEAREST)
    return _data_url(".png", small, "image/png", [cv2.IMWRITE_PNG_COMPRESSION, 9])


def _places(parsing):
    """uint8 [H, W], each pixel's place among the named segments, from 1 on; 0: none."""
    colors = {}
    for place, segment in enumerate(parsing.segments[:NAMED_SEGMENTS], start=1):
        colors[segment.id] = (place, 0, 0)
    return paint(parsing.panoptic, colors)[..., 0]


def _size(shape):
    """(width, height) of an image in the gallery."""
    factor = _SIDE / max(shape[:2])
    return max(1, round(shape[1] * factor)), max(1, round(shape[0] * factor))


def _data_url(extension, rgb, media_type, options):
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    encoded = cv2.imencode(extension, bgr, options)[1]
    text = base64.b64encode(encoded.tobytes()).decode("ascii")
    return f"data:{media_type};base64,{text}"
