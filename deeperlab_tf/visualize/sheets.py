"""Several pictures side by side, with captions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from deeperlab_tf.keypoints import KeypointGraph
from deeperlab_tf.visualize.drawing import BACKGROUND, Picture, caption, extend, resize_picture
from deeperlab_tf.visualize.heads import color_wheel, detection, heatmap, offsets
from deeperlab_tf.visualize.parses import (
    Parse,
    draw_parsing,
    instance_map,
    overlay_scale,
    semantic_map,
)

_GAP = 6  # pixels between pictures


# === Sheets of one image ===


def offset_sheet(
    maps: Mapping[str, np.ndarray],
    graph: KeypointGraph,
    image: Picture,
    cell_height: int = 180,
) -> Picture:
    """All offset fields of one image on colour wheels, one row per head, with captions.

    The image and the wheel itself, an arrow's colour by its direction, end the first row.

    Args:
      maps: of `Predictor.maps`: `short_offsets`, `long_offsets` [h, w, P, 2], `middle_offsets`
        [h, w, E, 2].
      graph: names the keypoints.
      image: uint8 [H, W, 3], RGB, which the maps are of.
      cell_height: height of a field, pixels.

    Returns:
      uint8 [.., .., 3].
    """
    names = [name.replace("_", " ") for name in graph.names]
    arrows = [f"{names[source]} → {names[target]}" for source, target in graph.edges]
    rows = [
        _offset_row("short", maps["short_offsets"], names, cell_height),
        _offset_row("middle", maps["middle_offsets"], arrows, cell_height),
        _offset_row("long", maps["long_offsets"], names, cell_height),
    ]
    rows[0].append(("image", _fit_height(image, cell_height)))
    rows[0].append(("direction", color_wheel(cell_height)))

    lines = []
    for row in rows:
        widths = [picture.shape[1] for _, picture in row]
        captions = [caption(text, width) for (text, _), width in zip(row, widths)]
        pictures = [picture for _, picture in row]
        line = np.vstack([_line(captions, widths), _line(pictures, widths)])
        lines.append(extend(line, below=_GAP))
    return _stack(lines)


def prediction_sheet(
    image: Picture,
    parsing: Parse,
    heatmaps: np.ndarray,
    truth: Parse | None = None,
    cell_height: int = 300,
) -> Picture:
    """What the network makes of an image: the columns of the paper's Fig. 10, and the heatmaps.

    Args:
      image: uint8 [H, W, 3], RGB.
      parsing: `Parsing` of it, with `keypoints`.
      heatmaps: keypoint probabilities [h, w, P].
      truth: `Parsing` of the ground truth, where there is one.
      cell_height: height of a picture, pixels.

    Returns:
      uint8 [.., .., 3]; wide images in two lines.
    """
    scale = overlay_scale(image, cell_height)
    pictures = {
        "image": image,
        "keypoint heatmap": heatmap(heatmaps, image),
        "instance detection": detection(image, parsing, scale),
        "instances": _repeat(instance_map(parsing.instance), scale),
        "semantics": _repeat(semantic_map(parsing.semantic, parsing.dataset), scale),
        "parse": draw_parsing(image, parsing, scale=scale),
    }
    if truth is not None:
        pictures["truth"] = draw_parsing(image, truth, scale=scale)

    titles = list(pictures)
    is_wide = image.shape[1] > image.shape[0]
    lines = []
    for line_titles in _parts(titles, 2 if is_wide else 1):
        row = [pictures[title] for title in line_titles]
        lines.append(contact_sheet([row], line_titles, cell_height))
    return _stack(lines)


# === Sheets of several images ===


def contact_sheet(
    rows: Sequence[Sequence[Picture]],
    titles: Sequence[str],
    cell_height: int = 300,
    footer: Callable[[int], Picture] | None = None,
) -> Picture:
    """Rows of pictures side by side, with a title above each column.

    Args:
      rows: pictures, uint8 [H, W, 3]; each row has len(titles) of them, which may differ in size.
      titles: one per column.
      cell_height: height of the pictures; the widest of a column gives the column's width.
      footer: function of the sheet's width that makes a last strip, `error_legend` for example.

    Returns:
      uint8 [.., .., 3].
    """
    cells = [[_fit_height(picture, cell_height) for picture in row] for row in rows]
    # The widest picture of each column.
    widths = np.max([[cell.shape[1] for cell in row] for row in cells], axis=0).tolist()
    lines = [_line(row, widths) for row in cells]
    captions = [caption(title, width) for title, width in zip(titles, widths)]
    sheet = _fold(_line(captions, widths), lines)
    if footer is None:
        return sheet
    return np.vstack([sheet, footer(sheet.shape[1])])


def _fold(head, lines):
    """`lines` below each other with `head` above; a long sheet is folded into two columns."""
    is_long = sum(len(line) for line in lines) > 2 * head.shape[1]
    columns = []
    for part in _parts(lines, 2 if is_long else 1):
        spaced = [extend(line, below=_GAP) for line in part]
        columns.append(np.vstack([head, *spaced]))

    # All columns get one height, and a gutter to their right that the sheet ends with, too.
    height = max(len(column) for column in columns)
    gutter = 4 * _GAP * (len(columns) - 1)
    padded = [extend(column, below=height - len(column), right=gutter) for column in columns]
    return np.hstack(padded)


# === Cells and lines ===


def _offset_row(head, fields, texts, cell_height):
    """(caption, picture) of each field of a head, [h, w, N, 2]; one length saturates them all."""
    longest = np.linalg.norm(fields, axis=-1).max()  # pixels
    row = []
    for index, text in enumerate(texts):
        picture = offsets(fields[:, :, index], longest)
        row.append((f"{head}: {text}", _fit_height(picture, cell_height)))
    return row


def _line(cells, widths):
    """Cells side by side, each centred in its column."""
    return np.hstack([_center(cell, width + _GAP) for cell, width in zip(cells, widths)])


def _stack(lines):
    """Lines below each other, the shorter ones filled up at the right."""
    width = max(line.shape[1] for line in lines)
    return np.vstack([extend(line, right=width - line.shape[1]) for line in lines])


def _parts(items, count):
    """`items` in at most `count` parts of one length, the last one perhaps shorter."""
    length = -(-len(items) // count)
    return [items[start : start + length] for start in range(0, len(items), length)]


def _repeat(picture, scale):
    """Enlarged without smoothing, as colours that mean labels need it."""
    return np.repeat(np.repeat(picture, scale, axis=0), scale, axis=1)


def _fit_height(picture, height):
    width = max(1, round(picture.shape[1] * height / picture.shape[0]))
    return resize_picture(picture, height, min(width, 4 * height))


def _center(picture, width):
    """The picture in the middle of background `width` pixels wide."""
    room = width - picture.shape[1]
    sides = (room // 2, room - room // 2)
    return np.pad(picture, ((0, 0), sides, (0, 0)), constant_values=BACKGROUND)
