"""One of the paper's tables beside this project's numbers.

python scripts/reproduce.py --table=4 --runs=runs --output=table04.md

Parameters, operations and receptive field are those of the networks as built; network and fusion
are timed on this machine (--nomeasure leaves that out); PQ and PC are read from
evaluation/metrics.json of the trainings in --runs, which are called as the experiments' docstrings
call them. What was not measured says so. The output is Markdown, and a .json of the same name
beside it.
"""

import importlib.util
import json
import os
import re
import time
from pathlib import Path

from absl import flags

from deeperlab_tf import cli
from deeperlab_tf.errors import UserError
from deeperlab_tf.files.atomic import atomic_path, read_json, write_json

EXPERIMENTS = Path(__file__).resolve().parents[1] / "experiments" / "paper"
SAME_MODELS = {2: 1, 11: 10}  # tables of other splits: the experiments are those of the table named
TABLES = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
# Columns of accuracy: the paper's name and the key of metrics.json.
ACCURACY = {"PQ": "pq", "SQ": "sq", "RQ": "rq", "PC": "pc"}
ACCURACY.update(
    {
        f"{name}_{part[:2].title()}": f"{key}_{part}"
        for part in ("things", "stuff")
        for name, key in (("PQ", "pq"), ("SQ", "sq"), ("RQ", "rq"))
    }
)
NOT_MEASURED = "not measured"
FUSED_INSTANCES = 20  # in the scene whose heads are fused
FUSION_REPEATS = 5

TABLE = flags.DEFINE_integer("table", None, "Table of the paper: 1 to 11.")
RUNS = flags.DEFINE_string("runs", "runs", "Folder of trainings.")
MEASURE = flags.DEFINE_bool("measure", True, "Time network and fusion on this machine.")
OUTPUT = flags.DEFINE_string("output", None, "Markdown file to write; a .json beside it.")


def main():
    if TABLE.value not in TABLES:
        raise UserError(f"--table={TABLE.value} is none of the paper's; give 1 to 11.")
    rows = table_rows(TABLE.value, RUNS.value, MEASURE.value)
    text = f"# Table {TABLE.value}\n\n{markdown(rows)}\n\n{notes(MEASURE.value)}\n"
    with atomic_path(OUTPUT.value) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
    write_json(f"{os.path.splitext(OUTPUT.value)[0]}.json", {"table": TABLE.value, "rows": rows})
    print(f"{aligned(rows)}\n\n{notes(MEASURE.value)}\nwrote {OUTPUT.value}")


# === Rows ===


def table_rows(table, runs, measure):
    """One dict a row: `experiment`, `row`, `paper` (dict of its numbers), `here` (the same keys and
    more).
    """
    paths = sorted(EXPERIMENTS.glob(f"table{SAME_MODELS.get(table, table):02d}_*.py"))
    costs, rows = {}, []
    for path in paths:
        text, config = load_experiment(path)
        dataset = importlib.import_module(f"input_pipeline.datasets.{config.data.dataset}").DATASET
        key = json.dumps([config.model.to_dict(), config.eval.image_size, dataset.num_classes])
        if key not in costs:
            costs[key] = network_cost(config, dataset, measure)
        here = {**costs[key], **accuracy(runs, path.stem)}
        rows.append(
            dict(
                experiment=path.name,
                row=row_name(text),
                paper=paper_numbers(text, table),
                here=here,
            )
        )
    return rows


def load_experiment(path):
    """(docstring, config) of an experiment's file."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.__doc__, module.get_config()


def row_name(text):
    """`Table 4, row 5: space-to-depth.` → `space-to-depth`."""
    return text.splitlines()[0].split(": ", 1)[1].rstrip(".")


def paper_numbers(text, table):
    """dict of the numbers that the docstring of an experiment quotes from a table."""
    quoted = re.search(rf"^Paper, Table {table} \(\w+\): (.+?)\.$", text, re.MULTILINE | re.DOTALL)[
        1
    ]
    return {name: float(value) for name, value in re.findall(r"(\w+) ([\d.]*\d)", quoted)}


def accuracy(runs, experiment):
    """dict of the accuracies (in percent) of the training of an experiment; empty if there is none."""
    for name in (experiment, "_".join(experiment.split("_")[:2])):
        path = os.path.join(runs, name, "evaluation", "metrics.json")
        if os.path.exists(path):
            metrics = read_json(path, "result of an evaluation")
            return {
                name: 100 * metrics[key]
                for name, key in ACCURACY.items()
                if metrics.get(key) is not None
            }
    return {}


def network_cost(config, dataset, measure):
    """Size of the network and, if asked for, its times in milliseconds."""
    from benchmarks import network  # TensorFlow loads here: mistakes above need not wait for it

    from deeperlab_tf.model import build_model

    if measure:
        row = network.in_own_process(
            network.measure_inference, config.model, dataset.num_classes, config.eval.image_size
        )
        return {**row, "fusion_milliseconds": fusion_milliseconds(config, dataset)}
    return network.network_size(build_model(config.model, dataset, (*config.eval.image_size, 3)))


def fusion_milliseconds(config, dataset):
    """Time to fuse made-up heads of this size; None for the rectangle graph, of which no scenes are
    made.
    """
    import tensorflow as tf
    from benchmarks.scene import scene_heads

    from deeperlab_tf.fusion import fuse
    from deeperlab_tf.keypoints import keypoint_graph

    graph = keypoint_graph(config.model.keypoint_graph)
    if not graph.has_center:
        return None
    size, things = config.eval.image_size, len(dataset.thing_classes)
    heads = scene_heads(
        size, FUSED_INSTANCES, dataset.num_classes, things, graph, config.model.keypoint_radius
    )
    heads = {name: tf.constant(head) for name, head in heads.items()}
    # The scene's things come last.
    classes = tuple(range(dataset.num_classes - things, dataset.num_classes))
    parse = tf.function(lambda heads: fuse(heads, size, classes, config.fusion))
    seconds = []
    for _ in range(1 + FUSION_REPEATS):
        start = time.perf_counter()
        parse(heads)["panoptic"].numpy()
        seconds.append(time.perf_counter() - start)
    return 1000 * min(seconds[1:])


# === Text ===


def columns(rows):
    """Headings, and for each the function of a row that gives its text."""
    first = list(rows[0]["paper"])
    result = {"row": lambda row: row["row"]}
    for name in (name for name in ACCURACY if name in first):
        result[f"{name} paper"] = lambda row, name=name: f"{row['paper'][name]:g}"
        result[f"{name} here"] = lambda row, name=name: number(row["here"].get(name), "{:.2f}")
    result["parameters"] = lambda row: f"{row['here']['parameters'] / 1e6:.2f} M"
    result["GFLOP"] = lambda row: f"{row['here']['gflop']:.1f}"
    result["receptive field"] = lambda row: str(row["here"]["receptive_field"])
    if "CPU" in first:
        for device in ("CPU", "GPU"):
            result[f"{device} paper"] = lambda row, device=device: (
                f"{1000 / row['paper'][device]:.0f} ms"
            )
    result["network here"] = lambda row: number(row["here"].get("milliseconds"), "{:.0f} ms")
    if "merge" in first:
        result["fusion paper"] = lambda row: f"{row['paper']['merge']:.0f} ms"
    result["fusion here"] = lambda row: number(row["here"].get("fusion_milliseconds"), "{:.0f} ms")
    return result


def number(value, form):
    return NOT_MEASURED if value is None else form.format(value)


def cells(rows):
    """Lines of cells, the headings first."""
    parts = columns(rows)
    return [list(parts), *([text(row) for text in parts.values()] for row in rows)]


def markdown(rows):
    head, *lines = cells(rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *lines))


def aligned(rows):
    """The table for a terminal: one block of `heading: value` columns, each as wide as it has to
    be.
    """
    lines = cells(rows)
    widths = [max(map(len, column)) for column in zip(*lines)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines
    )


def notes(measured):
    """What the numbers are of."""
    text = (
        "Parameters and operations are of the network at the row's input size; the receptive field is the backbone's. "
        "The paper's times are the inverse of its fps (Xeon E5-1650 v3 and V100)."
    )
    if measured:
        from benchmarks.machine import machine

        here = machine()
        gpus = f", {len(here['gpus'])} GPU" if here["gpus"] else ""
        text += (
            f" Here: {here['processor']}, {here['threads']} threads{gpus}, TensorFlow {here['tensorflow']}; the fusion "
            f"is of a made-up scene of {FUSED_INSTANCES} things."
        )
    return text


if __name__ == "__main__":
    cli.run(main, required=("table", "output"))
