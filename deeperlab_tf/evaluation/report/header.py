"""The top of the page: headline numbers, notes, what the numbers mean."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from deeperlab_tf.evaluation.report.numbers import bar_share, cell, count, percent
from deeperlab_tf.schema import Dataset

_CARDS = (  # headline and its key; what stands below it
    ("PQ", "pq", (("SQ", "sq"), ("RQ", "rq"))),
    ("PC", "pc", (("areas relative to the image", "pc_normalized"),)),
    ("mIoU", "miou", ()),
    ("AP of instances", "ap", (("AP50", "ap50"),)),
)
_GROUPS = (("All classes", ""), ("Things", "_things"), ("Stuff", "_stuff"))
_GLOSSARY = {
    "PQ = SQ × RQ": (
        "panoptic quality: segmentation quality (mean IoU of the segments found) times "
        "recognition quality (their F1 score). A segment is found if a predicted one of its "
        "class has an IoU above 0.5 with it."
    ),
    "PC": (
        "parsing covering: of each true region the best IoU with a predicted region of its "
        "class, weighted by area."
    ),
    "IoU, mIoU": (
        "intersection over union of the pixels of a class, instances aside; the mean over the "
        "classes."
    ),
    "AP, AP50": (
        "average precision of the instances by COCO's evaluator; AP50 counts an IoU of 0.5 as "
        "found."
    ),
    "TP, FP, FN": ("segments found, segments predicted where there is none, segments missed."),
    "things, stuff": "countable objects, and what can only be measured by area.",
}


def header(result: Mapping[str, Any], dataset: Dataset, anchors: Sequence[str]) -> str:
    """The top of the page.

    Args:
      result: of `Evaluation.result`.
      dataset: names the page.
      anchors: the sections to jump to.
    """
    title = html.escape(dataset.name)
    navigation = "".join(f'<a href="#{anchor}">{anchor}</a>' for anchor in anchors)
    cards = "".join(_card(result, *card) for card in _CARDS)
    images = count(result["num_images"], "image")
    return (
        f"<header><h1>Evaluation on {title}</h1>"
        f"<nav>{navigation}</nav></header>"
        f'<dl class="cards">{cards}</dl>{_group_table(result)}'
        f"<p>{images}. Values are percentages.</p>"
        f"{_notes(result)}{_glossary()}"
    )


def _card(result, label, key, below):
    """A headline number with a bar, and the numbers below it."""
    more = " · ".join(f"{name} {percent(result[name_key])}" for name, name_key in below)
    return (
        f'<div class="card"><dt>{label}</dt><dd>'
        f'<div class="value">{percent(result[key])}</div>'
        f'<div class="track"><i style="--share:{bar_share(result[key])}"></i></div>'
        f'<div class="more">{more or "&nbsp;"}</div></dd></div>'
    )


def _group_table(result):
    headings = ""
    for label in ("PQ", "SQ", "RQ", "Classes"):
        headings += f'<th scope="col" class="number">{label}</th>'
    rows = ""
    for name, suffix in _GROUPS:
        cells = "".join(cell(result[key + suffix], 1) for key in ("pq", "sq", "rq"))
        cells += cell(result["num_classes" + suffix], None)
        rows += f'<tr><th scope="row">{name}</th>{cells}</tr>'
    return (
        '<div class="scroll narrow" tabindex="0" role="region" aria-label="Things and stuff">'
        f'<table><thead><tr><th scope="col"></th>{headings}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _notes(result):
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in result["notes"])
    return f'<ul class="notes">{notes}</ul>' if notes else ""


def _glossary():
    terms = "".join(f"<dt>{term}</dt><dd>{meaning}</dd>" for term, meaning in _GLOSSARY.items())
    return (
        '<details class="glossary"><summary>What the numbers mean</summary>'
        f"<dl>{terms}</dl></details>"
    )
