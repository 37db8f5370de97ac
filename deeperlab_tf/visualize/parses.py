"""Pictures of everything a person would rather see than read. All take and give uint8 [H, W, 3],
RGB.
"""

import cv2
import numpy as np

from deeperlab_tf.keypoints import NUM_CORNERS
from deeperlab_tf.label_maps import dense
from deeperlab_tf.prediction.parsing import Parsing
from deeperlab_tf.visualize.drawing import (
    caption,
    draw_label,
    legend,
    resize_picture,
    shades,
    text_size,
    vivid_colors,
)

UNLABELLED_COLOR = (0, 0, 0)
_MAX_LABELS = 60
_SMALLEST_FONT = 11
_GAP = 6  # pixels between the pictures of a sheet
_BACKGROUND = 24  # grey value of sheets


def segment_colors(parsing):
    """Colour of each segment of a `Parsing`: dict segment id -> (r, g, b).

    Stuff has its class' colour, instances have shades of it. All differ, and none is black.
    """
    things = sorted(
        (s for s in parsing.segments if s.instance), key=lambda segment: segment.instance
    )
    colors, used = {}, {UNLABELLED_COLOR}
    for class_index in {segment.class_index for segment in things}:
        members = [segment for segment in things if segment.class_index == class_index]
        for segment, color in zip(
            members, shades(parsing.dataset.colors[class_index], len(members))
        ):
            colors[segment.id] = color
    for segment in parsing.segments:
        color = colors.get(segment.id, tuple(parsing.dataset.colors[segment.class_index]))
        while color in used:
            number = (color[0] + 256 * color[1] + 65536 * color[2] + 1) % (1 << 24)
            color = (number & 255, (number >> 8) & 255, number >> 16)
        used.add(color)
        colors[segment.id] = color
    return colors


def paint(labels, colors):
    """Integer map [H, W] -> picture; `colors` is a dict value -> (r, g, b), other values are black."""
    values, index = dense(np.asarray(labels, np.int64).reshape(-1))
    table = np.array([colors.get(value, UNLABELLED_COLOR) for value in values.tolist()], np.uint8)
    return table[index].reshape(*labels.shape, 3)


def semantic_map(labels, dataset):
    """Semantic map [H, W] in the dataset's colours; ignored pixels are black."""
    return paint(labels, dict(enumerate(dataset.colors)))


def instance_map(labels):
    """Instance map [H, W], each instance in a colour of its own; no instance: black."""
    count = int(np.max(labels, initial=0))
    return paint(labels, {index + 1: color for index, color in enumerate(vivid_colors(count))})


def overlay(image, semantic, instance, dataset):
    """Label maps [H, W] over their image, ground truth for example; see `draw_parsing`."""
    return draw_parsing(image, Parsing.from_maps(semantic, instance, dataset))


def draw_parsing(image, parsing, colors=None, scale=1, names=True):
    """A `Parsing` over its image: colours, boundaries, names and scores.

    Args:
      image: uint8 [H, W, 3].
      parsing: `Parsing` of the same size.
      colors: dict segment id -> (r, g, b); default `segment_colors`.
      scale: the picture is this many times as large as the image, for legible names on small
        images.
      names: write names and scores.
    """
    colors = colors or segment_colors(parsing)
    is_thing = np.isin(parsing.semantic, parsing.dataset.thing_classes)
    opacity = np.where(is_thing, 0.55, 0.4).astype(np.float32)
    opacity[parsing.semantic == parsing.dataset.ignore_label] = 0.0
    size = (image.shape[1] * scale, image.shape[0] * scale)
    labels = cv2.resize(parsing.panoptic, size, interpolation=cv2.INTER_NEAREST)
    opacity = cv2.resize(opacity, size, interpolation=cv2.INTER_NEAREST)[..., np.newaxis]
    picture = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC).astype(np.float32)
    picture += opacity * (paint(labels, colors) - picture)

    width = max(1, round(max(size) / 700))
    on_thing = cv2.resize(is_thing.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    edges = boundaries(labels, width)
    touches_thing = cv2.dilate(on_thing, np.ones((2 * width + 1, 2 * width + 1), np.uint8)) > 0
    picture = _stroke(picture, edges & ~touches_thing, (30, 30, 34), 0.5)
    picture = _stroke(picture, edges & touches_thing, (255, 255, 255), 0.95)
    picture = np.clip(picture, 0, 255).astype(np.uint8)
    if names:
        _write_names(picture, parsing, colors, scale)
    return picture


def overlay_scale(image, longer_side=900):
    """The `scale` for `overlay` that makes a small image at least about `longer_side` pixels long."""
    return int(np.clip(np.ceil(longer_side / max(image.shape[:2])), 1, 16))


def boundaries(labels, width=1):
    """bool [H, W]: pixels whose right or lower neighbour has another label, thickened to about 2 *
    width - 1.
    """
    edges = np.zeros(labels.shape, np.uint8)
    edges[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    edges[:-1] |= labels[:-1] != labels[1:]
    if width > 1:
        edges = cv2.dilate(edges, np.ones((width, width), np.uint8))
    return edges > 0


def heatmap(probabilities, image, scale=1):
    """Keypoint probabilities [h, w, P], or [h, w] of one kind, as glows over the darkened image, a
    colour a kind.

    `scale`: the picture is this many times as large as the image.
    """
    size = (image.shape[1] * scale, image.shape[0] * scale)
    image = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
    probabilities = cv2.resize(
        np.asarray(probabilities, np.float32), size, interpolation=cv2.INTER_LINEAR
    )
    probabilities = np.clip(probabilities.reshape(*image.shape[:2], -1), 0, 1)
    colors = np.array(vivid_colors(probabilities.shape[-1]), np.float32)
    strongest = probabilities.max(axis=-1, keepdims=True)
    mixed = probabilities @ colors / np.maximum(probabilities.sum(axis=-1, keepdims=True), 1e-6)
    return (image * 0.4 * (1 - strongest) + mixed * strongest).astype(np.uint8)


def heatmap_legend(graph, width):
    """A strip that tells which keypoint has which colour in `heatmap`."""
    names = [name.replace("_", " ") for name in graph.names]
    return legend(dict(zip(names, vivid_colors(len(names)))), width)


def detection(image, parsing, scale=1):
    """The instance detections as in the paper's Fig. 10: each instance's keypoints and the arrows
    between them.

    With the star graph the arrows are the middle-range offsets from the centre to the corners, with
    the rectangle graph those around the box. `parsing` needs its `keypoints`.
    """
    height, width = image.shape[:2]
    picture = cv2.resize(image, (width * scale, height * scale), interpolation=cv2.INTER_CUBIC)
    picture = (picture * 0.55).astype(np.uint8)
    keypoints = np.asarray(parsing.keypoints, np.float64)
    line = max(1, round(max(picture.shape) / 500))
    around = (0, 1, 3, 2, 0)  # the corners in the order of the box' outline
    bits = 4  # fractional bits of the drawing functions' coordinates
    for points, color in zip(keypoints, vivid_colors(len(keypoints))):
        if not points.any():  # a region of a thing's class in which no instance was detected
            continue
        xy = [tuple(int(v) for v in np.round(point[::-1] * scale)) for point in points]
        if len(xy) > NUM_CORNERS:
            arrows = [(xy[NUM_CORNERS], corner) for corner in xy[:NUM_CORNERS]]
        else:
            arrows = [(xy[start], xy[end]) for start, end in zip(around[:-1], around[1:])]
        for start, end in arrows:
            length = max(np.hypot(end[0] - start[0], end[1] - start[1]), 1.0)
            cv2.arrowedLine(
                picture,
                start,
                end,
                color,
                line,
                cv2.LINE_AA,
                tipLength=min(6.0 * line / length, 0.5),
            )
        for point in xy:
            center = tuple(v << bits for v in point)
            cv2.circle(
                picture, center, (2 * line + 1) << bits, (255, 255, 255), -1, cv2.LINE_AA, bits
            )
            cv2.circle(picture, center, (2 * line) << bits, color, -1, cv2.LINE_AA, bits)
    return picture


def offsets(field, longest=None):
    """Offset field [h, w, 2], (y, x), on the colour wheel: hue is the direction, white is none.

    Args:
      field: float [h, w, 2].
      longest: length that is fully saturated; default: the longest there is.
    """
    field = np.asarray(field, np.float32)
    length, angle = cv2.cartToPolar(field[..., 1], field[..., 0], angleInDegrees=True)
    longest = max(float(longest or length.max(initial=0)), 1e-6)
    hsv = np.stack([angle, np.minimum(length / longest, 1), np.ones_like(length)], axis=-1)
    return (cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB) * 255).round().astype(np.uint8)


def color_wheel(side):
    """The colours of `offsets` for every direction, in a disc on dark grey: uint8 [side, side, 3]."""
    rows, columns = np.mgrid[:side, :side] - (side - 1) / 2
    radius = side / 2 - 4
    picture = offsets(np.stack([rows, columns], axis=-1), radius)
    picture[np.hypot(rows, columns) > radius] = _BACKGROUND
    return picture


def offset_sheet(maps, graph, image, cell_height=180):
    """All offset fields of one image on colour wheels, with a caption each: a row a head.

    The image and the wheel itself, an arrow's colour by its direction, end the first row.

    Args:
      maps: dict of `Predictor.maps`: `short_offsets`, `long_offsets` [h, w, P, 2], `middle_offsets`
        [h, w, E, 2].
      graph: `keypoints.KeypointGraph`, for the captions.
      image: uint8 [H, W, 3], which the maps are of.
      cell_height: height of a field.
    """
    names = [name.replace("_", " ") for name in graph.names]
    arrows = [f"{names[source]} → {names[target]}" for source, target in graph.edges]
    rows = []
    for head, captions in (("short", names), ("middle", arrows), ("long", names)):
        fields = maps[f"{head}_offsets"]
        longest = np.linalg.norm(fields, axis=-1).max()
        cells = [
            (f"{head}: {text}", offsets(fields[:, :, index], longest))
            for index, text in enumerate(captions)
        ]
        rows.append([(text, _fit_height(picture, cell_height)) for text, picture in cells])
    rows[0] += [("image", _fit_height(image, cell_height)), ("direction", color_wheel(cell_height))]
    lines = []
    for row in rows:
        cells = [np.vstack([caption(text, picture.shape[1]), picture]) for text, picture in row]
        lines.append(np.hstack([_pad(cell, cell.shape[1] + _GAP, _BACKGROUND) for cell in cells]))
    width = max(line.shape[1] for line in lines)
    padding = [((0, _GAP), (0, width - line.shape[1]), (0, 0)) for line in lines]
    return np.vstack(
        [np.pad(line, pad, constant_values=_BACKGROUND) for line, pad in zip(lines, padding)]
    )


def prediction_sheet(image, parsing, heatmaps, truth=None, cell_height=300):
    """What the network makes of an image, with titles: the columns of the paper's Fig. 10, and the
    heatmaps.

    Args:
      image: uint8 [H, W, 3].
      parsing: `Parsing` of it, with `keypoints`.
      heatmaps: keypoint probabilities [h, w, P].
      truth: `Parsing` of the ground truth, where there is one.
      cell_height: height of a picture.
    """
    scale = overlay_scale(image, cell_height)
    pictures = {
        "image": image,
        "keypoint heatmap": heatmap(heatmaps, image),
        "instance detection": detection(image, parsing, scale),
        "instances": _enlarge(instance_map(parsing.instance), scale),
        "semantics": _enlarge(semantic_map(parsing.semantic, parsing.dataset), scale),
        "parse": draw_parsing(image, parsing, scale=scale),
    }
    if truth is not None:
        pictures["truth"] = draw_parsing(image, truth, scale=scale)
    titles = list(pictures)
    # Wide ones in two lines.
    per_line = -(-len(titles) // 2) if image.shape[1] > image.shape[0] else len(titles)
    lines = [titles[start:][:per_line] for start in range(0, len(titles), per_line)]
    sheets = [
        contact_sheet([[pictures[title] for title in line]], line, cell_height) for line in lines
    ]
    room = [sheets[0].shape[1] - sheet.shape[1] for sheet in sheets]
    padded = [
        np.pad(s, ((0, 0), (0, r), (0, 0)), constant_values=_BACKGROUND)
        for s, r in zip(sheets, room)
    ]
    return np.vstack(padded)


def contact_sheet(rows, titles, cell_height=300, footer=None):
    """Rows of pictures side by side, with a title above each column.

    Args:
      rows: list of lists of uint8 [H, W, 3]; all rows have len(titles) pictures, a row's pictures
        may differ in size.
      titles: list of str.
      cell_height: height of the pictures; the widest of a column gives the column's width.
      footer: function of the width that makes a last strip, `error_pictures.error_legend` for
        example.
    """
    cells = [[_fit_height(picture, cell_height) for picture in row] for row in rows]
    widths = [max(row[column].shape[1] for row in cells) for column in range(len(titles))]
    lines = [
        np.hstack([_pad(cell, width + _GAP, _BACKGROUND) for cell, width in zip(row, widths)])
        for row in cells
    ]
    head = np.hstack(
        [
            _pad(caption(text, width), width + _GAP, _BACKGROUND)
            for text, width in zip(titles, widths)
        ]
    )
    sheet = _fold(head, lines)
    return sheet if footer is None else np.vstack([sheet, footer(sheet.shape[1])])


def _fold(head, lines):
    """`lines` of one width below each other with `head` above; a long sheet is folded into two
    columns.
    """
    folds = 2 if sum(len(line) for line in lines) > 2 * head.shape[1] else 1
    per_column = -(-len(lines) // folds)
    columns = []
    for start in range(0, len(lines), per_column):
        spaced = [
            np.pad(line, ((0, _GAP), (0, 0), (0, 0)), constant_values=_BACKGROUND)
            for line in lines[start:][:per_column]
        ]
        columns.append(np.vstack([head, *spaced]))
    height = max(len(column) for column in columns)
    gutter = 4 * _GAP * (len(columns) - 1)
    padding = [((0, height - len(column)), (0, gutter), (0, 0)) for column in columns]
    return np.hstack([np.pad(c, p, constant_values=_BACKGROUND) for c, p in zip(columns, padding)])


def _enlarge(picture, scale):
    return np.repeat(np.repeat(picture, scale, axis=0), scale, axis=1)


def _fit_height(picture, height):
    width = max(1, round(picture.shape[1] * height / picture.shape[0]))
    return resize_picture(picture, height, min(width, 4 * height))


def _pad(picture, width, value):
    room = width - picture.shape[1]
    return np.pad(picture, ((0, 0), (room // 2, room - room // 2), (0, 0)), constant_values=value)


def _stroke(picture, mask, color, opacity):
    """Blends `color` into float32 [H, W, 3] where `mask`, with softened edges."""
    alpha = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.6)[..., np.newaxis]
    return picture + np.minimum(alpha * 1.3, 1.0) * opacity * (
        np.array(color, np.float32) - picture
    )


def _write_names(picture, parsing, colors, scale):
    """Writes name and score into the middle of each segment that has room, the largest first, none
    over another.
    """
    taken = np.zeros(picture.shape[:2], bool)
    largest_font = int(np.clip(max(picture.shape[:2]) / 64, 12, 30))
    for segment in parsing.segments[:_MAX_LABELS]:
        font = int(np.clip(np.sqrt(segment.area) * scale / 6, _SMALLEST_FONT, largest_font))
        text = segment.name if segment.score is None else f"{segment.name} {segment.score:.2f}"
        height, width = text_size(text, font)
        y1, x1, y2, x2 = segment.box
        if (y2 - y1) * scale < height or (x2 - x1) * scale < 0.6 * width:
            continue
        crop = (parsing.panoptic[y1:y2, x1:x2] == segment.id).astype(np.uint8)
        depth = cv2.distanceTransform(np.pad(crop, 1), cv2.DIST_L2, 3)
        y, x = np.unravel_index(depth.argmax(), depth.shape)
        top, left = (y1 + y) * scale - height // 2, (x1 + x) * scale - width // 2
        top, left = np.clip(
            (top, left), 0, np.maximum(np.subtract(picture.shape[:2], (height, width)), 0)
        )
        place = np.s_[top : top + height, left : left + width]
        if taken[place].any() or taken[place].shape != (height, width):
            continue
        taken[place] = True
        draw_label(picture, text, (top, left), font, colors[segment.id])
