"""The card of a model that ships, as Markdown: what it is, its training, its figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from deeperlab_tf.files import storage
from deeperlab_tf.schema import Dataset


class Facts(NamedTuple):
    """What a card tells.

    Attributes:
      name: of the model.
      about: Markdown of a person: what it is for, the data and their terms, what it cannot do.
      config: of the training.
      dataset: what the classes mean.
      provenance: run.json of the training; empty where there is none.
      metrics: metrics.json of its evaluation; None where there is none.
    """

    name: str
    about: str
    config: ConfigDict
    dataset: Dataset
    provenance: Mapping[str, Any]
    metrics: Mapping[str, Any] | None


def write_card(facts: Facts) -> str:
    """The card's text."""
    parts = [f"# {facts.name}", facts.about.strip(), _use(facts), _training(facts), _figures(facts)]
    return "\n\n".join(parts) + "\n"


def _use(facts):
    height, width = facts.config.eval.image_size
    things = ", ".join(c.name for c in facts.dataset.categories if c.is_thing)
    stuff = ", ".join(c.name for c in facts.dataset.categories if not c.is_thing)
    return f"""## Use

```sh
python scripts/predict.py --model={facts.name} --input=photo.jpg --output=parses
```

Images of any size; what is larger than {width} × {height} is shrunk to fit.

- things, one segment each: {things or "none"}
- stuff: {stuff or "none"}"""


def _training(facts):
    config, run = facts.config, facts.provenance
    lines = ["## Training", ""]
    if run.get("command"):
        lines += ["```sh", f"python {_command(run['command'])}", "```", ""]
    if run.get("git_commit"):
        changed = ", with changes" if run.get("git_changes") else ""
        lines.append(f"Commit {run['git_commit']}{changed}; TensorFlow {run['tensorflow']}.")
    average = f", moving average {config.train.ema}" if config.train.ema else ""
    lines.append(
        f"{config.train.steps} steps of {config.train.batch_size} crops of "
        f"{config.data.crop_size[1]} × {config.data.crop_size[0]}{average}. "
        "Kernels are stored in half precision."
    )
    return "\n".join(lines)


def _command(arguments: Sequence[str]) -> str:
    """The command of a training; where its files were is left out."""
    shown = []
    for argument in arguments:
        flag, equals, value = argument.partition("=")
        if storage.isabs(value):
            value = storage.basename(value.rstrip("/"))
        shown.append(flag + equals + value)
    return " ".join(shown)


def _figures(facts):
    metrics = facts.metrics
    if metrics is None:
        return "## Figures\n\nNot evaluated yet."
    height, width = facts.config.eval.image_size
    lines = [
        "## Figures",
        "",
        f"On {metrics['num_images']} images at {width} × {height}, in percent:",
    ]
    lines += ["", "| | PQ | SQ | RQ |", "|---|---|---|---|"]
    for label, suffix in (("all", ""), ("things", "_things"), ("stuff", "_stuff")):
        lines.append(_row(label, (metrics[f"{name}{suffix}"] for name in ("pq", "sq", "rq"))))
    others = (("PC", "pc"), ("mIoU", "miou"), ("AP", "ap"))
    named = [f"{label} {_percent(metrics[key])}" for label, key in others if key in metrics]
    lines += ["", "  ".join(named), "", "| class | PQ | SQ | RQ | IoU |", "|---|---|---|---|---|"]
    for values in metrics["per_class"]:
        row = (values.get(name) for name in ("pq", "sq", "rq", "iou"))
        lines.append(_row(values["name"], row))
    return "\n".join(lines)


def _row(label, values):
    return f"| {label} | {' | '.join(_percent(value) for value in values)} |"


def _percent(value):
    """A figure of metrics.json; null where there was nothing to measure."""
    if value is None or math.isnan(value):
        return "–"
    return f"{100 * value:.1f}"
