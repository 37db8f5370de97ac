"""One self-contained HTML page about an evaluation: numbers, classes, sizes, confusions, the best
and worst images.
"""

import html
import json
import math

import numpy as np

from deeperlab_tf.evaluation.report import gallery as report_gallery
from deeperlab_tf.evaluation.report.page import PAGE, SCRIPT, STYLE
from deeperlab_tf.files.atomic import atomic_path
from deeperlab_tf.metrics import PanopticQuality
from deeperlab_tf.metrics.panoptic_quality import Matches, match_segments

# Pixels, as COCO has them.
SIZES = (("small", 0, 32**2), ("medium", 32**2, 96**2), ("large", 96**2, math.inf))
_GALLERY = 24  # this many of the worst images and of the best
_MATRIX_CLASSES = 40  # those most confused are shown

_CARDS = (  # headline and its key; what stands below it
    ("PQ", "pq", (("SQ", "sq"), ("RQ", "rq"))),
    ("PC", "pc", (("areas relative to the image", "pc_normalized"),)),
    ("mIoU", "miou", ()),
    ("AP of instances", "ap", (("AP50", "ap50"),)),
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
_GLOSSARY = {
    "PQ = SQ × RQ": "panoptic quality: segmentation quality (mean IoU of the segments found) times recognition quality "
    "(their F1 score). A segment is found if a predicted one of its class has an IoU above 0.5 with it.",
    "PC": "parsing covering: of each true region the best IoU with a predicted region of its class, weighted by area.",
    "IoU, mIoU": "intersection over union of the pixels of a class, instances aside; the mean over the classes.",
    "AP, AP50": "average precision of the instances by COCO's evaluator; AP50 counts an IoU of 0.5 as found.",
    "TP, FP, FN": "segments found, segments predicted where there is none, segments missed.",
    "things, stuff": "countable objects, and what can only be measured by area.",
}


def write_report(path, evaluation, result):
    """Writes the page.

    Args:
      path: the HTML file.
      evaluation: `evaluation.Evaluation`.
      result: its `result()`.
    """
    scores = image_scores(evaluation)
    order = sorted(
        range(len(scores)), key=lambda number: (math.isnan(scores[number]), scores[number])
    )
    shown = min(_GALLERY, math.ceil(len(order) / 2))
    worst = order[:shown]
    best = [number for number in reversed(order) if number not in worst][:shown]
    names = {}
    sections = [
        _header(result, evaluation.dataset, bool(best)),
        _class_table(result, evaluation.dataset),
        _size_table(evaluation),
        _confusion_table(evaluation),
        _galleries(worst, best, evaluation, scores, names),
    ]
    page = PAGE.format(
        title=html.escape(f"Evaluation on {evaluation.dataset.name}"),
        style=STYLE,
        body="\n".join(sections),
        # Nothing in a name may close the script element.
        names=json.dumps(names).replace("<", "\\u003c"),
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


def _header(result, dataset, has_best):
    cards = "".join(_card(result, *card) for card in _CARDS)
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in result["notes"])
    glossary = "".join(f"<dt>{term}</dt><dd>{meaning}</dd>" for term, meaning in _GLOSSARY.items())
    anchors = ["classes", "sizes", "confusion", "worst"] + (["best"] if has_best else [])
    navigation = "".join(f'<a href="#{anchor}">{anchor}</a>' for anchor in anchors)
    return (
        f"<header><h1>Evaluation on {html.escape(dataset.name)}</h1>"
        f"<nav>{navigation}</nav></header>"
        f'<dl class="cards">{cards}</dl>{_group_table(result)}'
        f"<p>{_count(result['num_images'], 'image')}. Values are percentages.</p>"
        + (f'<ul class="notes">{notes}</ul>' if notes else "")
        + f'<details class="glossary"><summary>What the numbers mean</summary><dl>{glossary}</dl></details>'
    )


def _card(result, label, key, below):
    more = (
        " · ".join(f"{name} {_percent(result[name_key])}" for name, name_key in below) or "&nbsp;"
    )
    return (
        f'<div class="card"><dt>{label}</dt><dd><div class="value">{_percent(result[key])}</div>'
        f'<div class="track"><i style="--share:{_share(result[key])}"></i></div>'
        f'<div class="more">{more}</div></dd></div>'
    )


def _group_table(result):
    rows = []
    for name, suffix in (("All classes", ""), ("Things", "_things"), ("Stuff", "_stuff")):
        cells = "".join(_cell(result[key + suffix], 1) for key in ("pq", "sq", "rq"))
        rows.append(
            f'<tr><th scope="row">{name}</th>{cells}{_cell(result["num_classes" + suffix], None)}</tr>'
        )
    headings = "".join(
        f'<th scope="col" class="number">{label}</th>' for label in ("PQ", "SQ", "RQ", "Classes")
    )
    return (
        '<div class="scroll narrow" tabindex="0" role="region" aria-label="Things and stuff"><table>'
        f'<thead><tr><th scope="col"></th>{headings}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
    )


def _class_table(result, dataset):
    headings = "".join(
        [
            _sortable("Class"),
            _sortable("Kind"),
            *(_sortable(label, "number") for label, _, _ in _COLUMNS),
        ]
    )
    rows = []
    occurring_first = sorted(
        zip(result["per_class"], dataset.colors), key=lambda pair: math.isnan(pair[0]["pq"])
    )
    for values, color in occurring_first:
        swatch = f'<span class="swatch" style="background:rgb{tuple(color)}"></span>'
        name, kind = html.escape(values["name"]), "thing" if values["is_thing"] else "stuff"
        cells = [
            f'<th scope="row" data-value="{name}">{swatch}{name}</th><td data-value="{kind}">{kind}</td>'
        ]
        cells += [_cell(values.get(key, math.nan), decimals) for _, key, decimals in _COLUMNS]
        absent = ' class="absent"' if math.isnan(values["pq"]) else ""
        rows.append(f"<tr{absent}>{''.join(cells)}</tr>")
    hint = "Click a heading to sort by it."
    return _table_section("classes", "Classes", hint, headings, rows, 'class="sortable"')


def _size_table(evaluation):
    headings = '<th scope="col">Size</th>' + "".join(
        f'<th scope="col" class="number">{label}</th>'
        for label in ("PQ", "SQ", "RQ", "TP", "FP", "FN")
    )
    rows = []
    for (name, low, high), (_, result) in zip(SIZES, quality_by_size(evaluation)):
        sides = f"{math.isqrt(low)}² and more" if math.isinf(high) else f"under {math.isqrt(high)}²"
        counts = [
            sum(result["per_class"][c][key] for c in evaluation.dataset.thing_classes)
            for key in ("tp", "fp", "fn")
        ]
        cells = "".join(_cell(result[f"{key}_things"], 1) for key in ("pq", "sq", "rq"))
        cells += "".join(_cell(value, None) for value in counts)
        rows.append(f'<tr><th scope="row">{name}, {sides}</th>{cells}</tr>')
    hint = "Objects by their true area in pixels; a false positive counts by its own."
    return _table_section("sizes", "Things by size", hint, headings, rows)


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
            hover = f"{names[index]} → {label}: {100 * share:.1f} %"
            cells.append(
                f'<td class="{kind}" style="--share:{math.sqrt(share):.3f}" title="{hover}">{text}</td>'
            )
        rows.append(f'<tr><th scope="row">{names[index]}</th>{"".join(cells)}</tr>')
    hint = "Where the pixels of each true class went, in percent of its pixels."
    if len(shown) < len(occurs):
        hint += f" The {len(shown)} classes with most wrong pixels, of {len(occurs)}."
    return _table_section(
        "confusion", "Confusion of classes", hint, headings, rows, 'class="matrix"'
    )


def _table_section(anchor, title, hint, headings, rows, attributes=""):
    return (
        f'<section id="{anchor}"><h2>{title}</h2><p>{hint}</p>'
        f'<div class="scroll" tabindex="0" role="region" aria-label="{title}">'
        f"<table {attributes}><thead><tr>{headings}</tr></thead><tbody>{''.join(rows)}</tbody></table></div></section>"
    )


def _sortable(label, kind="text"):
    return f'<th scope="col" class="{kind}"><button type="button">{label}</button></th>'


def _cell(value, decimals):
    """A number of a table: a count, or a percentage with a bar as long as its share."""
    missing = value is None or math.isnan(value)
    data = f'data-value="{"" if missing else value}"'
    if decimals is None:
        return f'<td class="number" {data}>{value}</td>'
    return f'<td class="number bar" style="--share:{_share(value)}" {data}>{_percent(value, decimals)}</td>'


def _percent(value, decimals=1):
    return "–" if value is None or math.isnan(value) else f"{100 * value:.{decimals}f}"


def _share(value):
    return "0" if value is None or math.isnan(value) else f"{value:.3f}"


def _count(number, word):
    return f"{number} {word}" + ("" if number == 1 else "s")


def _galleries(worst, best, evaluation, scores, names):
    """The worst and best images; `names` gets the names of all segments shown."""
    figures, has_photos = {}, False
    for number in (*worst, *best):
        sample = evaluation.load(number)
        has_photos |= sample[0] is not None
        score = f"PQ {_percent(scores[number])}"
        figures[number] = report_gallery.figure(
            f"image{number}", evaluation.names[number], score, sample, names
        )
    galleries = "".join(
        f'<h3 id="{anchor}">{title}</h3><div class="gallery">{"".join(figures[number] for number in numbers)}</div>'
        for anchor, title, numbers in (("worst", "Worst", worst), ("best", "Best", best))
        if numbers
    )
    hint = "By their own PQ. Point at a picture, or tap it, to see what is there; open its list of segments to find one."
    tools = report_gallery.tools(evaluation.dataset, has_photos)
    return f"<section><h2>Images</h2><p>{hint}</p>{tools}{galleries}</section>"
