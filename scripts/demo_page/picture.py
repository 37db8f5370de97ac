"""A layer of a parse as HTML, with what the pointer says about it, and the list of its regions."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Mapping

import cv2
import numpy as np

from deeperlab_tf import Parsing
from deeperlab_tf.prediction.segments import Segment
from deeperlab_tf.visualize.drawing import Color
from deeperlab_tf.visualize.parses import segment_colors

_JPEG_QUALITY = 90
_MAX_ROWS = 40  # of the list


def picture_html(picture: np.ndarray, parsing: Parsing, is_flat: bool) -> str:
    """The figure that pointer.js knows.

    Args:
      picture: uint8 [h, w, 3] of the shape of the parse's image.
      parsing: `Parsing`.
      is_flat: the picture has few flat colours, which JPEG would soil.
    """
    # Of each pixel which segment it is of, from 1 on; 0: none.
    numbers = np.zeros(parsing.panoptic.shape, np.uint32)
    for number, segment in enumerate(parsing.segments, start=1):
        y1, x1, y2, x2 = segment.box
        inside = parsing.panoptic[y1:y2, x1:x2] == segment.id
        numbers[y1:y2, x1:x2][inside] = number
    # Red, green and blue are the three lowest bytes.
    colored = numbers.astype("<u4").view(np.uint8).reshape(*numbers.shape, 4)[..., :3]
    texts = ["", *(describe(segment) for segment in parsing.segments)]
    height, width = parsing.panoptic.shape
    return (
        f'<figure class="parse" data-names="{html.escape(json.dumps(texts))}">'
        f'<img class="layer" alt="the parse" width="{width}" height="{height}"'
        f' src="{_data_url(picture, ".png" if is_flat else ".jpg")}">'
        f'<img class="segments" alt="" src="{_data_url(colored, ".png")}">'
        '<canvas></canvas><figcaption role="status"></figcaption></figure>'
    )


def segments_html(parsing: Parsing) -> str:
    """The regions, largest first, as a table: colour, name, score, share of the picture."""
    colors = segment_colors(parsing)
    rows = []
    for segment in parsing.segments[:_MAX_ROWS]:
        score = f"{segment.score:.2f}" if is_object(segment) else ""
        share = f"{segment.area / parsing.panoptic.size:.1%}"
        rows.append(
            f"<tr><td>{_swatch(colors[segment.id])}{html.escape(segment.name)}</td>"
            f"<td>{score}</td><td>{share}</td></tr>"
        )
    more = len(parsing.segments) - len(rows)
    foot = f'<tr><td colspan="3">and {more} smaller ones</td></tr>' if more > 0 else ""
    head = "<tr><th>region</th><th>score</th><th>of the picture</th></tr>"
    return f'<table class="regions">{head}{"".join(rows)}{foot}</table>'


def legend_html(colors: Mapping[str, Color]) -> str:
    """A line that tells what colours mean."""
    items = (f"<span>{_swatch(color)}{html.escape(name)}</span>" for name, color in colors.items())
    return f'<p class="legend">{"".join(items)}</p>'


def note_html(text: str, is_error: bool = False) -> str:
    """A line below the photo."""
    kind = "error" if is_error else "note"
    return f'<p class="{kind}" role="status">{html.escape(text)}</p>'


def describe(segment: Segment) -> str:
    """What the pointer says: the name, and of a detected object the score."""
    if segment.score is None:
        return segment.name
    if not is_object(segment):
        return f"{segment.name}, not told apart"
    return f"{segment.name} {segment.score:.2f}"


def is_object(segment: Segment) -> bool:
    """Whether it was detected: what is left of a thing's class has score 0."""
    return bool(segment.score)


def _swatch(color):
    return '<i style="background: rgb({}, {}, {})"></i>'.format(*color)


def _data_url(picture, ending):
    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if ending == ".jpg" else []
    _, encoded = cv2.imencode(ending, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)
    kind = "jpeg" if ending == ".jpg" else "png"
    return f"data:image/{kind};base64,{base64.b64encode(encoded).decode()}"
