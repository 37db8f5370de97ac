"""The gallery: pictures whose layers can be switched, with names on hover."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import NamedTuple

from deeperlab_tf.evaluation.report.numbers import percent
from deeperlab_tf.evaluation.report.pictures import (
    LAYERS,
    NAMED_SEGMENTS,
    index_url,
    jpeg_url,
    layers,
)
from deeperlab_tf.evaluation.results import Evaluation
from deeperlab_tf.schema import Dataset
from deeperlab_tf.visualize.errors import ERROR_COLORS


class Gallery(NamedTuple):
    """The section of pictures.

    Attributes:
      section: HTML.
      names: of each figure's segments, for the script: dict figure -> dict of `truth` and `parse`,
        lists of (class, score) by their places in the figure's index map.
    """

    section: str
    names: dict[str, dict[str, list[tuple[str, str]]]]


def gallery(
    evaluation: Evaluation, scores: Sequence[float], worst: Sequence[int], best: Sequence[int]
) -> Gallery:
    """The worst and best images.

    Args:
      evaluation: loads them.
      scores: of `image_scores`.
      worst, best: numbers of the images in the order in which they are shown.
    """
    figures, names = {}, {}
    has_photos = False
    for number in (*worst, *best):
        sample = evaluation.load(number)
        has_photos |= sample.image is not None
        key = f"image{number}"
        names[key] = dict(truth=_names(sample.truth), parse=_names(sample.parse))
        title, score = evaluation.names[number], f"PQ {percent(scores[number])}"
        figures[number] = _figure(key, html.escape(title), score, sample)

    section = (
        "<section><h2>Images</h2>"
        "<p>By their own PQ. Point at a picture, or tap it, to see what is there; "
        "open its list of segments to find one.</p>"
        f"{_tools(evaluation.dataset, has_photos)}"
    )
    for anchor, title, numbers in (("worst", "Worst", worst), ("best", "Best", best)):
        if numbers:
            shown = "".join(figures[number] for number in numbers)
            section += f'<h3 id="{anchor}">{title}</h3><div class="gallery">{shown}</div>'
    return Gallery(section + "</section>", names)


# === The bar above the pictures ===


def _tools(dataset: Dataset, has_photos: bool):
    """The bar that switches the layer of all pictures, and the legends of colours."""
    names = LAYERS if has_photos else LAYERS[:-1]
    keys = "".join(f" <kbd>{number}</kbd>" for number in range(1, len(names) + 1))
    classes = ""
    for name, color in zip(dataset.class_names, dataset.colors):
        classes += _legend_entry("swatch", _background(color), html.escape(name))
    errors = ""
    for name, color in ERROR_COLORS.items():
        # Void is hatched, which style.css does.
        style = "" if name == "void" else _background(color)
        errors += _legend_entry(f"swatch {name}", style, name.replace("_", " "))
    return (
        '<div class="tools"><span>Show in all pictures</span>'
        f"{_switch('all', 'all pictures', names, 'all')}"
        f'<span class="hint">keys{keys}</span>'
        f'<div class="legend"><span>Errors:</span>{errors}</div></div>'
        "<details><summary>Colours of the classes</summary>"
        f'<div class="legend">{classes}</div></details>'
    )


def _legend_entry(kind, style, text):
    return f'<span><span class="{kind}" style="{style}"></span>{text}</span>'


def _background(color):
    return f"background:rgb{tuple(color)}"


# === One picture ===


def _figure(key, title, score, sample):
    """A picture with its layers, its switch and its list of segments; `title` is HTML."""
    pictures = layers(sample)
    images = ""
    for place, (layer, picture) in enumerate(pictures.items()):
        hidden = "hidden" if place else ""
        images += (
            f'<img data-layer="{layer}" alt="{layer} of {title}" '
            f'src="{jpeg_url(picture)}" {hidden}>'
        )
    index_map = index_url(sample.truth, sample.parse)
    return (
        f'<figure><div class="picture" data-names="{key}" data-map="{index_map}">{images}</div>'
        f'<figcaption><div class="title"><strong>{title}</strong><span>{score}</span></div>'
        f"{_switch(key, title, pictures)}{_segment_list(sample.parse)}</figcaption></figure>"
    )


def _switch(name, title, layer_names, style=""):
    """Radio buttons of the layers."""
    labels = ""
    for place, layer in enumerate(layer_names):
        checked = "" if place else "checked"
        labels += (
            f'<label><input type="radio" name="{name}" value="{layer}" {checked}>{layer}</label>'
        )
    return (
        f'<fieldset class="layers {style}">'
        f'<legend class="quiet">Layer of {title}</legend>{labels}</fieldset>'
    )


def _segment_list(parse):
    """The segments and their shares of the image, folded away."""
    segments = parse.segments
    items = ""
    for number, (name, segment) in enumerate(zip(_names(parse), segments), start=1):
        text = html.escape(" ".join(name))
        share = 100 * segment.area / parse.semantic.size
        items += (
            f'<li tabindex="0" data-segment="{number}"><span>{text}</span>'
            f"<span>{share:.1f} %</span></li>"
        )
    if len(segments) > NAMED_SEGMENTS:
        items += f"<li>and {len(segments) - NAMED_SEGMENTS} smaller ones</li>"
    return f"<details><summary>{len(segments)} segments</summary><ul>{items}</ul></details>"


def _names(parsing):
    """(class, score or nothing) of each segment that has a name."""
    names = []
    for segment in parsing.segments[:NAMED_SEGMENTS]:
        has_score = segment.score is not None and not math.isnan(segment.score)
        names.append((segment.name, f"{segment.score:.2f}" if has_score else ""))
    return names
