"""Many settings of the fusion on the same heads: which suits a trained network."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict
from tqdm import tqdm

from deeperlab_tf.evaluation.kept_heads import KeptHeads, score
from deeperlab_tf.prediction.overrides import Overrides, override_config
from deeperlab_tf.schema import Dataset

METRICS = {
    "PQ": "pq",
    "things": "pq_things",
    "stuff": "pq_stuff",
    "PC": "pc",
    "mIoU": "miou",
}  # heading -> key of the result

Values = Mapping[str, Sequence[Any]]  # key of the config -> values to try


def grid(values: Values) -> list[dict[str, Any]]:
    """Every combination of values.

    Example:
      >>> grid({"fusion.nms_iou": [0.5, 0.6], "fusion.peak_threshold": [0.1]})
      [{'fusion.nms_iou': 0.5, 'fusion.peak_threshold': 0.1},
       {'fusion.nms_iou': 0.6, 'fusion.peak_threshold': 0.1}]
    """
    return [dict(zip(values, combination)) for combination in itertools.product(*values.values())]


def one_by_one(values: Values) -> list[dict[str, Any]]:
    """Every value alone, all else as it is in the model."""
    return [{key: value} for key, options in values.items() for value in options]


def sweep(
    kept: KeptHeads, dataset: Dataset, config: ConfigDict, settings: Sequence[Overrides]
) -> list[dict[str, Any]]:
    """Scores settings of the fusion; shows a progress bar.

    Args:
      kept: heads and labels.
      dataset: what the classes mean.
      config: the whole config of the model.
      settings: values that differ from it in each; {}: the model's own.

    Returns:
      of each setting a dict of `setting`, `name` and the metrics of `METRICS`, in the order given.

    Raises:
      UserError: a key that there is not, or a value that does not fit, before anything is scored.
    """
    configs = [override_config(config, setting) for setting in settings]
    progress = tqdm(configs, unit="setting", desc="fusing", dynamic_ncols=True, disable=None)
    rows = []
    for setting, changed in zip(settings, progress):
        row = row_of(name_of(setting), score(kept, dataset, changed))
        rows.append(dict(row, setting=dict(setting)))
    return rows


def row_of(name: str, result: Mapping[str, Any]) -> dict[str, Any]:
    """A row of `table`: the name and the metrics of `METRICS`."""
    return dict(name=name, **{key: result[key] for key in METRICS.values()})


def best_of(rows: Sequence[Mapping[str, Any]], metric: str) -> Mapping[str, Any]:
    """The row with the highest value of a metric; the first of equal ones."""
    return max(rows, key=lambda row: -math.inf if math.isnan(row[metric]) else row[metric])


def table(rows: Sequence[Mapping[str, Any]], best: Mapping[str, Any]) -> str:
    """Rows of `row_of` as a table in Markdown, in percent, the row `best` in bold."""
    lines = [f"| | {' | '.join(METRICS)} |", "|---" * (1 + len(METRICS)) + "|"]
    for row in rows:
        cells = [row["name"]]
        for key in METRICS.values():
            cells.append("n/a" if math.isnan(row[key]) else f"{100 * row[key]:.2f}")
        if row is best:
            cells = [f"**{cell}**" for cell in cells]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def name_of(setting: Overrides) -> str:
    """What a setting is called: its values, the section left out."""
    if not setting:
        return "as in the model"
    shown = [f"{key.partition('.')[2]} = {value}" for key, value in setting.items()]
    return ", ".join(shown)
