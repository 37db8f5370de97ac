"""One of the paper's tables beside this project's numbers.

python scripts/reproduce.py --table=4 --runs=runs --output=table04.md

Parameters, operations and receptive field are those of the networks as built; network and fusion
are timed on this machine (--nomeasure leaves that out); PQ and PC are read from
evaluation/metrics.json of the trainings in --runs, which are called as the experiments' docstrings
call them. What was not measured says so. The output is Markdown, and a .json of the same name
beside it.
"""

from __future__ import annotations

import importlib.util
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import ConfigDict

from deeperlab_tf import cli
from deeperlab_tf.errors import UserError, folder
from deeperlab_tf.files import storage
from deeperlab_tf.files.atomic import atomic_path, read_json, write_json
from deeperlab_tf.files.reports import check_page, check_report
from deeperlab_tf.schema import Dataset

EXPERIMENTS = folder("experiments") / "paper"
TABLES = range(1, 12)
# Tables of other splits: the experiments are those of the table named.
SAME_MODELS = {2: 1, 11: 10}
# Columns of accuracy: the paper's name and the key of metrics.json.
ACCURACY = {
    "PQ": "pq",
    "SQ": "sq",
    "RQ": "rq",
    "PC": "pc",
    "PQ_Th": "pq_things",
    "SQ_Th": "sq_things",
    "RQ_Th": "rq_things",
    "PQ_St": "pq_stuff",
    "SQ_St": "sq_stuff",
    "RQ_St": "rq_stuff",
}
NOT_MEASURED = "not measured"
FUSED_INSTANCES = 20  # in the scene whose heads are fused
FUSION_REPEATS = 5

TABLE = flags.DEFINE_integer("table", None, "Table of the paper: 1 to 11.")
RUNS = flags.DEFINE_string("runs", "runs", "Folder of trainings.")
MEASURE = flags.DEFINE_bool("measure", True, "Time network and fusion on this machine.")
OUTPUT = flags.DEFINE_string("output", None, "Markdown file to write; a .json beside it.")


def main() -> None:
    table = TABLE.value
    if table not in TABLES:
        raise UserError(f"--table={table} is none of the paper's; give 1 to 11.")

    data_path = f"{storage.splitext(OUTPUT.value)[0]}.json"
    check_page(OUTPUT.value, "# Table ")
    check_report(data_path, {"table", "rows"})
    rows = table_rows(table, RUNS.value, MEASURE.value)
    explained = notes(MEASURE.value)
    with atomic_path(OUTPUT.value) as temporary, storage.open(temporary, "w", "utf-8") as file:
        file.write(f"# Table {table}\n\n{markdown(rows)}\n\n{explained}\n")
    write_json(data_path, {"table": table, "rows": rows})
    print(f"{aligned(rows)}\n\n{explained}\nwrote {OUTPUT.value}")


# === Rows ===


def table_rows(table: int, runs: str, measure: bool) -> list[dict[str, Any]]:
    """The rows of a table.

    Each is a dict of `experiment`, `row`, `paper` (dict of the paper's numbers) and `here` (the
    same keys and more).
    """
    costs, rows = {}, []
    for path in sorted(EXPERIMENTS.glob(f"table{SAME_MODELS.get(table, table):02d}_*.py")):
        text, config = load_experiment(path)
        dataset = importlib.import_module(f"input_pipeline.datasets.{config.data.dataset}").DATASET

        # Rows that differ in their training alone have one network.
        key = json.dumps([config.model.to_dict(), config.eval.image_size, dataset.num_classes])
        if key not in costs:
            costs[key] = network_cost(config, dataset, measure)

        row = {
            "experiment": path.name,
            "row": row_name(text),
            "paper": paper_numbers(text, table),
            "here": {**costs[key], **accuracy(runs, path.stem)},
        }
        rows.append(row)
    return rows


def load_experiment(path: Path) -> tuple[str, ConfigDict]:
    """(docstring, config) of an experiment's file."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.__doc__, module.get_config()


def row_name(text: str) -> str:
    """`Table 4, row 5: space-to-depth.` → `space-to-depth`."""
    return text.splitlines()[0].split(": ", 1)[1].rstrip(".")


def paper_numbers(text: str, table: int) -> dict[str, float]:
    """The numbers that the docstring of an experiment quotes from a table."""
    quotation = rf"^Paper, Table {table} \(\w+\): (.+?)\.$"
    quoted = re.search(quotation, text, re.MULTILINE | re.DOTALL)[1]
    return {name: float(value) for name, value in re.findall(r"(\w+) ([\d.]*\d)", quoted)}


def accuracy(runs: str, experiment: str) -> dict[str, float]:
    """The accuracies, in percent, of the training of an experiment; empty if there is none."""
    short_name = "_".join(experiment.split("_")[:2])
    for name in (experiment, short_name):
        path = storage.join(runs, name, "evaluation", "metrics.json")
        if storage.exists(path):
            metrics = read_json(path, "result of an evaluation")
            known = {name: metrics.get(key) for name, key in ACCURACY.items()}
            return {name: 100 * value for name, value in known.items() if value is not None}
    return {}


def network_cost(config: ConfigDict, dataset: Dataset, measure: bool) -> dict[str, Any]:
    """Size of the network and, if asked for, its times in milliseconds."""
    # Imported here: mistakes in flags need not wait for TensorFlow.
    from benchmarks import network
    from deeperlab_tf.model import build_model

    size = config.eval.image_size
    if not measure:
        return network.network_size(build_model(config.model, dataset, (*size, 3)))

    row = network.in_own_process(network.measure_inference, config.model, dataset.num_classes, size)
    return {**row, "fusion_milliseconds": fusion_milliseconds(config, dataset)}


def fusion_milliseconds(config: ConfigDict, dataset: Dataset) -> float | None:
    """Time to fuse made-up heads of this size.

    None for the rectangle graph, of which no scenes are made.
    """
    # As in `network_cost`.
    import tensorflow as tf

    from benchmarks.scene import scene_heads
    from deeperlab_tf.fusion import fuse
    from deeperlab_tf.keypoints import keypoint_graph

    graph = keypoint_graph(config.model.keypoint_graph)
    if not graph.has_center:
        return None

    size, num_things = config.eval.image_size, len(dataset.thing_classes)
    arrays = scene_heads(
        size, FUSED_INSTANCES, dataset.num_classes, num_things, graph, config.model.keypoint_radius
    )
    heads = {name: tf.constant(head) for name, head in arrays.items()}
    # The scene's things come last.
    things = tuple(range(dataset.num_classes - num_things, dataset.num_classes))
    parse = tf.function(lambda heads: fuse(heads, size, things, config.fusion))

    seconds = []
    for _ in range(1 + FUSION_REPEATS):
        start = time.perf_counter()
        parse(heads)["panoptic"].numpy()
        seconds.append(time.perf_counter() - start)
    # The first call traces.
    return 1000 * min(seconds[1:])


# === Text ===


def columns(rows: list[dict[str, Any]]) -> dict[str, Callable[[dict], str]]:
    """Headings, and for each the function of a row that gives its text."""

    def of_paper(key: str, form: str, factor: Callable = float) -> Callable[[dict], str]:
        return lambda row: form.format(factor(row["paper"][key]))

    def here(key: str, form: str, divisor: float = 1) -> Callable[[dict], str]:
        def text(row: dict[str, Any]) -> str:
            value = row["here"].get(key)
            return NOT_MEASURED if value is None else form.format(value / divisor)

        return text

    def milliseconds(frames_per_second: float) -> float:
        return 1000 / frames_per_second

    in_paper = rows[0]["paper"]
    result = {"row": lambda row: row["row"]}
    for name in ACCURACY:
        if name in in_paper:
            result[f"{name} paper"] = of_paper(name, "{:g}")
            result[f"{name} here"] = here(name, "{:.2f}")
    result["parameters"] = here("parameters", "{:.2f} M", divisor=1e6)
    result["GFLOP"] = here("gflop", "{:.1f}")
    result["receptive field"] = here("receptive_field", "{:.0f}")
    if "CPU" in in_paper:
        result["CPU paper"] = of_paper("CPU", "{:.0f} ms", milliseconds)
        result["GPU paper"] = of_paper("GPU", "{:.0f} ms", milliseconds)
    result["network here"] = here("milliseconds", "{:.0f} ms")
    if "merge" in in_paper:
        result["fusion paper"] = of_paper("merge", "{:.0f} ms")
    result["fusion here"] = here("fusion_milliseconds", "{:.0f} ms")
    return result


def cells(rows: list[dict[str, Any]]) -> list[list[str]]:
    """Lines of cells, the headings first."""
    parts = columns(rows)
    lines = [[text(row) for text in parts.values()] for row in rows]
    return [list(parts), *lines]


def markdown(rows: list[dict[str, Any]]) -> str:
    """The table in Markdown."""
    head, *lines = cells(rows)
    rule = ["---"] * len(head)
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *lines))


def aligned(rows: list[dict[str, Any]]) -> str:
    """The table for a terminal: each column as wide as it has to be."""
    lines = cells(rows)
    widths = [max(map(len, column)) for column in zip(*lines)]
    result = []
    for line in lines:
        padded = [cell.ljust(width) for cell, width in zip(line, widths)]
        result.append("  ".join(padded).rstrip())
    return "\n".join(result)


def notes(measured: bool) -> str:
    """What the numbers are of."""
    text = (
        "Parameters and operations are of the network at the row's input size; the receptive "
        "field is the backbone's. The paper's times are the inverse of its fps (Xeon E5-1650 v3 "
        "and V100)."
    )
    if not measured:
        return text

    # Imported here: it loads TensorFlow, which takes seconds.
    from benchmarks.machine import machine

    this = machine()
    gpus = f", {len(this['gpus'])} GPU" if this["gpus"] else ""
    computer = f"{this['processor']}, {this['threads']} threads{gpus}"
    return (
        f"{text} Here: {computer}, TensorFlow {this['tensorflow']}; the fusion is of a made-up "
        f"scene of {FUSED_INSTANCES} things."
    )


if __name__ == "__main__":
    cli.run(main, required=("table", "output"))
