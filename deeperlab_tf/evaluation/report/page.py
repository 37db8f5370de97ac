"""Puts the page together: numbers, classes, sizes, confusions, the best and worst images."""

from __future__ import annotations

import html
import json
import math
import string
from collections.abc import Mapping
from importlib import resources
from typing import Any

from deeperlab_tf.evaluation.report.gallery import gallery
from deeperlab_tf.evaluation.report.header import header
from deeperlab_tf.evaluation.report.scores import image_scores
from deeperlab_tf.evaluation.report.tables import class_table, confusion_table, size_table
from deeperlab_tf.evaluation.results import Evaluation
from deeperlab_tf.files import storage
from deeperlab_tf.files.atomic import atomic_path

_GALLERY = 24  # this many of the worst images and of the best
_ANCHORS = ("classes", "sizes", "confusion", "worst", "best")


def write_report(path: str, evaluation: Evaluation, result: Mapping[str, Any]) -> None:
    """Writes one HTML page about an evaluation that needs nothing else, nor a network.

    Args:
      path: the HTML file.
      evaluation: of `evaluate` or `evaluate_files`.
      result: its `result()`.

    Raises:
      UserError: the file cannot be written.

    Example:
      evaluation = evaluate_files("truth.json", "truth", "parses/parses.json", "parses")
      write_report("report.html", evaluation, evaluation.result())
    """
    dataset = evaluation.dataset
    scores = image_scores(evaluation)
    worst, best = _worst_and_best(scores)
    pictures = gallery(evaluation, scores, worst, best)
    anchors = _ANCHORS if best else _ANCHORS[:-1]
    sections = [
        header(result, dataset, anchors),
        class_table(result, dataset),
        size_table(evaluation),
        confusion_table(evaluation),
        pictures.section,
    ]
    page = string.Template(_read("page.html")).substitute(
        title=html.escape(f"Evaluation on {dataset.name}"),
        style=_read("style.css"),
        body="\n".join(sections),
        # Nothing in a name may close the script element.
        names=json.dumps(pictures.names).replace("<", "\\u003c"),
        script=_read("script.js"),
    )
    with atomic_path(path) as temporary, storage.open(temporary, "w", encoding="utf-8") as file:
        file.write(page)


def _worst_and_best(scores):
    """Numbers of the images to show: the worst first, the best first; images of void alone last."""

    def rank(number):
        return math.isnan(scores[number]), scores[number]

    # An odd number's middle image is among the worst.
    order = sorted(range(len(scores)), key=rank)
    shown = min(_GALLERY, math.ceil(len(order) / 2))
    worst = order[:shown]
    best = [number for number in reversed(order) if number not in worst]
    return worst, best[:shown]


def _read(name):
    """A file that lies beside this one, also in an installed package."""
    folder = resources.files("deeperlab_tf.evaluation.report")
    return folder.joinpath(name).read_text(encoding="utf-8")
