"""The report's gallery: pictures whose layers can be switched, with names on hover, as HTML with
everything inside.
"""

import base64
import html
import math

import cv2
import numpy as np

from deeperlab_tf.visualize import errors as error_pictures
from deeperlab_tf.visualize import parses as visualize

_PICTURE_SIDE = 480  # pixels, the longer side
_JPEG_QUALITY = 80
_NAMED_SEGMENTS = 255  # an image's largest segments have names
_LAYERS = ("Parse", "Truth", "Errors", "Image")
_NO_PHOTO = 190  # grey value


def tools(dataset, has_photos):
    """The bar that switches the layer of all pictures, and the legends of colours."""
    layers = _LAYERS if has_photos else _LAYERS[:-1]
    keys = "".join(f" <kbd>{number}</kbd>" for number in range(1, len(layers) + 1))
    classes = "".join(
        f'<span><span class="swatch" style="background:rgb{tuple(color)}"></span>{html.escape(name)}</span>'
        for name, color in zip(dataset.class_names, dataset.colors)
    )
    kinds = "".join(
        f'<span><span class="swatch {name}" style="{_background(name, color)}"></span>{name.replace("_", " ")}</span>'
        for name, color in error_pictures.ERROR_COLORS.items()
    )
    return (
        f'<div class="tools"><span>Show in all pictures</span>{_switch("all", "all pictures", layers, "all")}'
        f'<span class="hint">keys{keys}</span><div class="legend"><span>Errors:</span>{kinds}</div></div>'
        f'<details><summary>Colours of the classes</summary><div class="legend">{classes}</div></details>'
    )


def figure(key, title, score, sample, names):
    """One picture with its layers.

    Args:
      key: unique name of the figure in the page.
      title: what the image is called.
      score: text beside the title.
      sample: (image uint8 [H, W, 3] or None, truth `Parsing`, parse `Parsing`, crowd bool [H, W]).
      names: dict that gets the names of the figure's segments, as (class, score) by their place in
        the index map.
    """
    truth, parse = sample[1:3]
    names[key] = dict(truth=_names(truth), parse=_names(parse))
    title = html.escape(title)
    layers = _layers(*sample)
    pictures = "".join(
        f'<img data-layer="{layer}" alt="{layer} of {title}" src="{_jpeg(picture)}" {"hidden" if position else ""}>'
        for position, (layer, picture) in enumerate(layers.items())
    )
    return (
        f'<figure><div class="picture" data-names="{key}" data-map="{_index_png(truth, parse)}">{pictures}</div>'
        f'<figcaption><div class="title"><strong>{title}</strong><span>{score}</span></div>'
        f"{_switch(key, title, layers)}{_segment_list(parse)}</figcaption></figure>"
    )


def _layers(image, truth, parse, crowd):
    photo = np.full((*truth.semantic.shape, 3), _NO_PHOTO, np.uint8) if image is None else image
    scale = visualize.overlay_scale(photo, _PICTURE_SIDE)
    layers = {
        "Parse": visualize.draw_parsing(photo, parse, scale=scale, names=False),
        "Truth": visualize.draw_parsing(photo, truth, scale=scale, names=False),
        "Errors": error_pictures.error_map(
            photo, error_pictures.errors(truth, parse, crowd), scale
        ),
    }
    return layers if image is None else dict(layers, Image=image)


def _switch(name, title, layers, style=""):
    labels = "".join(
        f'<label><input type="radio" name="{name}" value="{layer}" {"" if position else "checked"}>{layer}</label>'
        for position, layer in enumerate(layers)
    )
    return f'<fieldset class="layers {style}"><legend class="quiet">Layer of {title}</legend>{labels}</fieldset>'


def _segment_list(parse):
    named = parse.segments[:_NAMED_SEGMENTS]
    items = "".join(
        f'<li tabindex="0" data-segment="{number}"><span>{html.escape(" ".join(name))}</span>'
        f"<span>{100 * segment.area / parse.semantic.size:.1f} %</span></li>"
        for number, (name, segment) in enumerate(zip(_names(parse), named), start=1)
    )
    more = (
        ""
        if len(named) == len(parse.segments)
        else f"<li>and {len(parse.segments) - len(named)} smaller ones</li>"
    )
    return f"<details><summary>{len(parse.segments)} segments</summary><ul>{items}{more}</ul></details>"


def _names(parsing):
    """(class, score or nothing) of each segment that has a name."""
    return [
        (
            segment.name,
            "" if segment.score is None or math.isnan(segment.score) else f"{segment.score:.2f}",
        )
        for segment in parsing.segments[:_NAMED_SEGMENTS]
    ]


def _background(name, color):
    return "" if name == "void" else f"background:rgb{tuple(color)}"


# === Pictures as text ===


def _picture_size(shape):
    factor = _PICTURE_SIDE / max(shape[:2])
    return max(1, round(shape[1] * factor)), max(1, round(shape[0] * factor))


def _jpeg(picture):
    shrinks = max(picture.shape) > _PICTURE_SIDE
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    small = cv2.resize(picture, _picture_size(picture.shape), interpolation=interpolation)
    return _data_url(
        ".jpg", small[..., ::-1], "image/jpeg", [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    )


def _index_png(truth, parse):
    """The pictures' segments as a PNG: red is the place in the truth's list of names, from 1 on,
    green the parse's.
    """
    channels = []
    for parsing in (truth, parse):
        places = {
            segment.id: (place, 0, 0)
            for place, segment in enumerate(parsing.segments[:_NAMED_SEGMENTS], 1)
        }
        channels.append(visualize.paint(parsing.panoptic, places)[..., 0])
    rgb = np.dstack([*channels, np.zeros_like(channels[0])])
    small = cv2.resize(rgb, _picture_size(rgb.shape), interpolation=cv2.INTER_NEAREST)
    return _data_url(".png", small[..., ::-1], "image/png", [cv2.IMWRITE_PNG_COMPRESSION, 9])


def _data_url(extension, pixels, media_type, options):
    encoded = cv2.imencode(extension, np.ascontiguousarray(pixels), options)[1]
    return f"data:{media_type};base64,{base64.b64encode(encoded.tobytes()).decode('ascii')}"
