"""The page's tables: classes, things by size, confusions of classes."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from deeperlab_tf.evaluation.report.numbers import cell
from deeperlab_tf.evaluation.report.scores import SIZES, quality_by_size
from deeperlab_tf.evaluation.results import Evaluation
from deeperlab_tf.schema import Dataset

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
_MATRIX_CLASSES = 40  # those most confused are shown
_SHOWN_SHARE = 0.005  # of a class' pixels, below which the matrix shows no number


class _Table(NamedTuple):
    """A table with a section of its own; headings and rows are HTML.

    Attributes:
      anchor: id of the section.
      title, hint: above the table.
      headings: cells of the head.
      rows: of the body.
      attributes: of the table element.
    """

    anchor: str
    title: str
    hint: str
    headings: str
    rows: list[str]
    attributes: str = ""

    def section(self):
        return (
            f'<section id="{self.anchor}"><h2>{self.title}</h2><p>{self.hint}</p>'
            f'<div class="scroll" tabindex="0" role="region" aria-label="{self.title}">'
            f"<table {self.attributes}><thead><tr>{self.headings}</tr></thead>"
            f"<tbody>{''.join(self.rows)}</tbody></table></div></section>"
        )


# === Classes ===


def class_table(result: Mapping[str, Any], dataset: Dataset) -> str:
    """One row per class, those that occur first."""
    headings = _sortable("Class", "text") + _sortable("Kind", "text")
    for label, _, _ in _COLUMNS:
        headings += _sortable(label, "number")

    def is_absent(pair):
        return math.isnan(pair[0]["pq"])

    rows = []
    for values, color in sorted(zip(result["per_class"], dataset.colors), key=is_absent):
        rows.append(_class_row(values, color))
    hint = "Click a heading to sort by it."
    table = _Table("classes", "Classes", hint, headings, rows, 'class="sortable"')
    return table.section()


def _sortable(label, kind):
    return f'<th scope="col" class="{kind}"><button type="button">{label}</button></th>'


def _class_row(values, color):
    name = html.escape(values["name"])
    kind = "thing" if values["is_thing"] else "stuff"
    absent = ' class="absent"' if math.isnan(values["pq"]) else ""
    cells = ""
    for _, key, decimals in _COLUMNS:
        cells += cell(values.get(key, math.nan), decimals)
    return (
        f'<tr{absent}><th scope="row" data-value="{name}">'
        f'<span class="swatch" style="background:rgb{tuple(color)}"></span>{name}</th>'
        f'<td data-value="{kind}">{kind}</td>{cells}</tr>'
    )


# === Sizes ===


def size_table(evaluation: Evaluation) -> str:
    """One row per range of areas."""
    headings = '<th scope="col">Size</th>'
    for label in ("PQ", "SQ", "RQ", "TP", "FP", "FN"):
        headings += f'<th scope="col" class="number">{label}</th>'

    things = evaluation.dataset.thing_classes
    rows = []
    for size, (_, result) in zip(SIZES, quality_by_size(evaluation)):
        cells = "".join(cell(result[f"{key}_things"], 1) for key in ("pq", "sq", "rq"))
        for key in ("tp", "fp", "fn"):
            cells += cell(sum(result["per_class"][index][key] for index in things), None)
        rows.append(f'<tr><th scope="row">{size.name}, {_sides(size)}</th>{cells}</tr>')
    hint = "Objects by their true area in pixels; a false positive counts by its own."
    return _Table("sizes", "Things by size", hint, headings, rows).section()


def _sides(size):
    """The areas as those of squares."""
    if math.isinf(size.high):
        return f"{math.isqrt(size.low)}² and more"
    return f"under {math.isqrt(size.high)}²"


# === Confusions ===


def confusion_table(evaluation: Evaluation) -> str:
    """One row per true class, one column per predicted one."""
    confusion = evaluation.metrics.mean_iou.confusion  # [true, predicted], the last: unlabelled
    shown, num_occurring = _most_confused(confusion)
    names = [html.escape(name) for name in evaluation.dataset.class_names]
    columns = [*shown, confusion.shape[1] - 1]
    labels = [*(names[index] for index in shown), "unlabelled"]
    headings = '<th scope="col">true \\ predicted</th>'
    for label in labels:
        headings += f'<th scope="col" class="tilted"><span>{label}</span></th>'

    rows = []
    for index in shown:
        cells = ""
        total = max(int(confusion[index].sum()), 1)
        for column, label in zip(columns, labels):
            kind = "right" if column == index else "wrong"
            share = confusion[index, column] / total
            cells += _confusion_cell(kind, share, f"{names[index]} → {label}")
        rows.append(f'<tr><th scope="row">{names[index]}</th>{cells}</tr>')
    hint = "Where the pixels of each true class went, in percent of its pixels."
    if len(shown) < num_occurring:
        hint += f" The {len(shown)} classes with most wrong pixels, of {num_occurring}."
    attributes = 'class="matrix"'
    return _Table("confusion", "Confusion of classes", hint, headings, rows, attributes).section()


def _most_confused(confusion):
    """Indices of the classes to show, ascending, and how many occur at all."""
    known = confusion[:, :-1]
    predicted, true = known.sum(axis=0), confusion.sum(axis=1)
    # Pixels of each class that were not found, and those wrongly taken for it.
    wrong = predicted + true - 2 * np.diagonal(known)
    occurs = np.flatnonzero(predicted + true)
    most_wrong_first = np.argsort(-wrong[occurs], kind="stable")
    return np.sort(occurs[most_wrong_first[:_MATRIX_CLASSES]]), len(occurs)


def _confusion_cell(kind, share, meaning):
    text = f"{100 * share:.0f}" if share >= _SHOWN_SHARE else ""
    # By the root of the share, that small ones can be seen.
    style = f"--share:{math.sqrt(share):.3f}"
    hover = f"{meaning}: {100 * share:.1f} %"
    return f'<td class="{kind}" style="{style}" title="{hover}">{text}</td>'
