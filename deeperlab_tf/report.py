"""One self-contained HTML page about an evaluation: numbers, classes, sizes, confusions, the best and worst images."""

import base64
import html
import json
import math

import cv2
import numpy as np

from deeperlab_tf import error_pictures, visualize
from deeperlab_tf.files import atomic_path
from deeperlab_tf.metrics import PanopticQuality
from deeperlab_tf.metrics.panoptic_quality import Matches, match_segments
from deeperlab_tf.report_page import PAGE, SCRIPT, STYLE

SIZES = (("small", 0, 32**2), ("medium", 32**2, 96**2), ("large", 96**2, math.inf))  # pixels, as COCO has them
_GALLERY = 24  # this many of the worst images and of the best
_PICTURE_SIDE = 480  # pixels, the longer side
_JPEG_QUALITY = 78
_MATRIX_CLASSES = 40  # those most confused are shown
_HOVER_SEGMENTS = 255  # an image's largest segments have names on hover

_HEADLINES = (
    ("PQ", "pq"),
    ("SQ", "sq"),
    ("RQ", "rq"),
    ("PQ things", "pq_things"),
    ("PQ stuff", "pq_stuff"),
    ("PC", "pc"),
    ("PC by image size", "pc_normalized"),
    ("mIoU", "miou"),
    ("AP", "ap"),
    ("AP50", "ap50"),
)
_COLUMNS = (  # of the table of classes: heading, key, decimals of the percentage or None for counts
    ("PQ", "pq", 1),
    ("SQ", "sq", 1),
    ("RQ", "rq", 1),
    ("IoU", "iou", 1),
    ("PC", "pc", 1),
    ("AP", "ap", 1),
    ("TP", "tp", None),
    ("FP", "fp", None),
    ("FN", "fn", None),
)


def write_report(path, evaluation, result):
    """Writes the page.

    Args:
      path: the HTML file.
      evaluation: `evaluation.Evaluation`.
      result: its `result()`.
    """
    scores = image_scores(evaluation)
    order = sorted(range(len(scores)), key=lambda number: (math.isnan(scores[number]), scores[number]))
    shown = min(_GALLERY, math.ceil(len(order) / 2))
    worst = order[:shown]
    best = [number for number in reversed(order) if number not in worst][:shown]
    galleries = [("Worst images", worst)] + ([("Best images", best)] if best else [])
    names = {}
    sections = [
        _headlines(result),
        _class_table(result, evaluation.dataset),
        _size_table(evaluation),
        _confusion_table(evaluation),
        *(_gallery(title, numbers, evaluation, scores, names) for title, numbers in galleries),
    ]
    page = PAGE.format(
        title=html.escape(f"Evaluation on {evaluation.dataset.name}"),
        style=STYLE,
        body="\n".join(sections),
        names=json.dumps(names).replace("<", "\\u003c"),  # nothing in a name may close the script element
        script=SCRIPT,
    )
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write(page)


def image_scores(evaluation):
    """PQ of each image by itself, list of floats in 0-1 (NaN for images of void alone)."""
    scores = []
    for table in evaluation.tables:
        metric = PanopticQuality(evaluation.dataset.num_classes, evaluation.dataset.thing_classes)
        metric.add(table)
        scores.append(metric.result()["pq"])
    return scores


def quality_by_size(evaluation):
    """PQ of things by their area: list of (name, `PanopticQuality.result`) in the order of `SIZES`.

    A found or missed object counts by its true area, a false positive by its own.
    """
    dataset, results = evaluation.dataset, []
    for name, low, high in SIZES:
        metric = PanopticQuality(dataset.num_classes, dataset.thing_classes)
        for table in evaluation.tables:
            metric.add_matches(table, _of_size(table, match_segments(table), low, high))
        results.append((name, metric.result()))
    return results


def _of_size(table, matches, low, high):
    gt_fits = (table.gt_area >= low) & (table.gt_area < high)
    pred_fits = (table.pred_area >= low) & (table.pred_area < high)
    found = gt_fits[matches.gt]
    return Matches(
        matches.gt[found],
        matches.pred[found],
        matches.iou[found],
        matches.missed[gt_fits[matches.missed]],
        matches.false_positives[pred_fits[matches.false_positives]],
    )


# === Sections ===


def _percent(value, decimals=1):
    return "–" if value is None or math.isnan(value) else f"{100 * value:.{decimals}f}"


def _headlines(result):
    cards = "".join(
        f'<div class="card"><dt>{label}</dt><dd>{_percent(result[key])}</dd></div>' for label, key in _HEADLINES
    )
    counts = (
        f"{result['num_images']} images; {result['num_classes']} classes counted "
        f"({result['num_classes_things']} things, {result['num_classes_stuff']} stuff). Values are percentages."
    )
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in result["notes"])
    return f'<dl class="cards">{cards}</dl><p>{counts}</p>' + (f"<ul>{notes}</ul>" if notes else "")


def _class_table(result, dataset):
    headings = "".join(
        [_sortable("Class"), _sortable("Kind"), *(_sortable(label, "number") for label, _, _ in _COLUMNS)]
    )
    rows = []
    occurring_first = sorted(zip(result["per_class"], dataset.colors), key=lambda pair: math.isnan(pair[0]["pq"]))
    for values, color in occurring_first:
        swatch = f'<span class="swatch" style="background:rgb{tuple(color)}"></span>'
        name, kind = html.escape(values["name"]), "thing" if values["is_thing"] else "stuff"
        cells = [f'<th scope="row" data-value="{name}">{swatch}{name}</th><td data-value="{kind}">{kind}</td>']
        for _, key, decimals in _COLUMNS:
            value = values.get(key, math.nan)
            text = str(value) if decimals is None else _percent(value, decimals)
            cells.append(f'<td class="number" data-value="{"" if value != value else value}">{text}</td>')
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return _table_section("Classes", "Choose a heading to sort.", headings, rows, 'class="sortable"')


def _size_table(evaluation):
    headings = '<th scope="col">Size</th>' + "".join(
        f'<th scope="col" class="number">{label}</th>' for label in ("PQ", "SQ", "RQ", "TP", "FP", "FN")
    )
    rows = []
    for (name, low, high), (_, result) in zip(SIZES, quality_by_size(evaluation)):
        sides = f"from {math.isqrt(low)}²" if math.isinf(high) else f"under {math.isqrt(high)}²"
        values = [_percent(result[f"{key}_things"]) for key in ("pq", "sq", "rq")]
        values += [
            sum(result["per_class"][c][key] for c in evaluation.dataset.thing_classes) for key in ("tp", "fp", "fn")
        ]
        cells = "".join(f'<td class="number">{value}</td>' for value in values)
        rows.append(f'<tr><th scope="row">{name} ({sides} pixels)</th>{cells}</tr>')
    return _table_section("Things by size", "A false positive counts by its own area.", headings, rows)


def _confusion_table(evaluation):
    confusion = evaluation.metrics.mean_iou.confusion
    known = confusion[:, :-1]
    wrong = known.sum(axis=0) + confusion.sum(axis=1) - 2 * np.diagonal(known)
    occurs = np.flatnonzero(known.sum(axis=0) + confusion.sum(axis=1))
    shown = np.sort(occurs[np.argsort(-wrong[occurs], kind="stable")[:_MATRIX_CLASSES]])
    names = [html.escape(name) for name in evaluation.dataset.class_names]
    columns = [*shown, confusion.shape[1] - 1]
    labels = [*(names[index] for index in shown), "unlabelled"]
    headings = '<th scope="col">true \\ predicted</th>' + "".join(
        f'<th scope="col" class="tilted"><span>{label}</span></th>' for label in labels
    )
    rows = []
    for index in shown:
        total = max(int(confusion[index].sum()), 1)
        cells = []
        for column, label in zip(columns, labels):
            share = confusion[index, column] / total
            kind = "right" if column == index else "wrong"
            text = f"{100 * share:.0f}" if share >= 0.005 else ""
            cells.append(
                f'<td class="{kind}" style="--share:{share:.3f}" title="{names[index]} → {label}: {100 * share:.1f} %">'
                f"{text}</td>"
            )
        rows.append(f'<tr><th scope="row">{names[index]}</th>{"".join(cells)}</tr>')
    hint = "Where the pixels of each true class went, in percent of its pixels."
    if len(shown) < len(occurs):
        hint += f" The {len(shown)} classes with most wrong pixels, of {len(occurs)}."
    return _table_section("Confusion of classes", hint, headings, rows, 'class="matrix"')


def _table_section(title, hint, headings, rows, attributes=""):
    return (
        f'<section><h2>{title}</h2><p>{hint}</p><div class="scroll" tabindex="0" role="region" aria-label="{title}">'
        f"<table {attributes}><thead><tr>{headings}</tr></thead><tbody>{''.join(rows)}</tbody></table></div></section>"
    )


def _sortable(label, kind="text"):
    return f'<th scope="col" class="{kind}"><button type="button">{label}</button></th>'


# === Gallery ===


def _gallery(title, numbers, evaluation, scores, names):
    figures = "".join(_figure(number, evaluation, scores[number], names) for number in numbers)
    legend = " ".join(
        f'<span class="key"><span class="swatch" style="background:rgb{color}"></span>{name.replace("_", " ")}</span>'
        for name, color in error_pictures.ERROR_COLORS.items()
    )
    hint = f"<p>Point at a picture to see names. Errors: {legend}</p>"
    return f'<section><h2>{title}</h2>{hint}<div class="gallery">{figures}</div></section>'


def _figure(number, evaluation, score, names):
    image, truth, parse, crowd = evaluation.load(number)
    has_photo = image is not None
    if not has_photo:
        image = np.full((*truth.semantic.shape, 3), 96, np.uint8)
    layers = {
        "Parse": visualize.draw_parsing(image, parse, names=False),
        "Truth": visualize.draw_parsing(image, truth, names=False),
        "Errors": error_pictures.error_map(image, error_pictures.errors(truth, parse, crowd)),
    }
    if has_photo:
        layers["Image"] = image
    key = f"image{number}"
    names[key] = dict(truth=_segment_names(truth), parse=_segment_names(parse))
    buttons, pictures = [], []
    title = html.escape(evaluation.names[number])
    for position, (layer, picture) in enumerate(layers.items()):
        checked = "checked" if position == 0 else ""
        buttons.append(f'<label><input type="radio" name="{key}" value="{layer}" {checked}>{layer}</label>')
        hidden = "" if position == 0 else "hidden"
        pictures.append(f'<img data-layer="{layer}" alt="{layer} of {title}" src="{_jpeg(picture)}" {hidden}>')
    listed = sorted({segment.name for segment in parse.segments})
    index_map = _index_png(truth, parse)
    return (
        f'<figure><div class="picture" data-names="{key}" data-map="{index_map}">{"".join(pictures)}</div>'
        f'<figcaption><strong>{title}</strong> PQ {_percent(score)}<fieldset><legend class="quiet">Layer of {title}'
        f"</legend>{''.join(buttons)}</fieldset><details><summary>{len(parse.segments)} segments</summary>"
        f"{html.escape(', '.join(listed))}</details></figcaption></figure>"
    )


def _segment_names(parsing):
    return [
        segment.name if segment.score is None or math.isnan(segment.score) else f"{segment.name} {segment.score:.2f}"
        for segment in parsing.segments[:_HOVER_SEGMENTS]
    ]


def _picture_size(shape):
    factor = min(1.0, _PICTURE_SIDE / max(shape[:2]))
    return max(1, round(shape[1] * factor)), max(1, round(shape[0] * factor))


def _jpeg(picture):
    small = cv2.resize(picture, _picture_size(picture.shape), interpolation=cv2.INTER_AREA)
    return _data_url(".jpg", small[..., ::-1], "image/jpeg", [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])


def _index_png(truth, parse):
    """The pictures' segments as a PNG: red is the place in the truth's list of names, from 1 on, green the parse's."""
    channels = []
    for parsing in (truth, parse):
        index = {
            segment.id: (number, 0, 0) for number, segment in enumerate(parsing.segments[:_HOVER_SEGMENTS], start=1)
        }
        channels.append(visualize.paint(parsing.panoptic, index)[..., 0])
    rgb = np.dstack([*channels, np.zeros_like(channels[0])])
    small = cv2.resize(rgb, _picture_size(rgb.shape), interpolation=cv2.INTER_NEAREST)
    return _data_url(".png", small[..., ::-1], "image/png", [cv2.IMWRITE_PNG_COMPRESSION, 9])


def _data_url(extension, pixels, media_type, options):
    encoded = cv2.imencode(extension, np.ascontiguousarray(pixels), options)[1]
    return f"data:{media_type};base64,{base64.b64encode(encoded.tobytes()).decode('ascii')}"
