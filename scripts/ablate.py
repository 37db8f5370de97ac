r"""Repeats the paper's ablations in short, equal trainings and says which of them hold.

    python scripts/ablate.py --config=experiments/street.py --config.data.root=STREET \
        --config.train.initial_checkpoint=mobilenet_v2_1.0_224.ckpt --output=runs/ablations

The variants are those of scripts/benchmarks/ablations.py; values given as --config.KEY=VALUE hold
for all. Each is a training and an evaluation of its own in OUTPUT/VARIANT_SEED; run again, the
program goes on where it was, and with more --seeds it adds those. table.md and table.json are
written anew after each training.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from typing import Any

from absl import flags
from tqdm import tqdm

from benchmarks.ablations import BASE, COMPARISONS, VARIANTS, Comparison
from deeperlab_tf import cli
from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.atomic import read_json, write_json, write_text
from deeperlab_tf.files.reports import check_page, check_report

SCRIPTS = storage.dirname(storage.realpath(__file__))
METRICS = {"PQ": "pq", "PC": "pc"}  # name in the table, key of metrics.json

Scores = dict[str, list[dict[str, float]]]  # of each variant, one a seed: percent by metric

CONFIG = cli.define_config()
SEEDS = flags.DEFINE_list("seeds", ["0", "1"], "Seeds, each a training of every variant.")
ONLY = flags.DEFINE_list("only", [], "Variants to train; default: all.")
OUTPUT = flags.DEFINE_string("output", None, "Folder of the trainings and of the table.")


def main() -> None:
    cli.read_config(CONFIG)
    check_page(storage.join(OUTPUT.value, "table.md"), "| Table | choice |")
    check_report(storage.join(OUTPUT.value, "table.json"), {"scores", "rows"})
    variants = _chosen(ONLY.value)
    # The seed outermost: the first one of all gives a whole table.
    jobs = [(variant, seed) for seed in _seeds(SEEDS.value) for variant in variants]
    for variant, seed in tqdm(jobs, unit="training", desc="ablations", disable=None):
        run(variant, seed, OUTPUT.value)
        write_table(OUTPUT.value)
    print(f"{table(read_scores(OUTPUT.value))}\n  wrote {storage.join(OUTPUT.value, 'table.md')}")


def _chosen(names: list[str]) -> list[str]:
    for name in names:
        if name not in VARIANTS:
            known = ", ".join(VARIANTS)
            raise UserError(f"--only={name} is none of the variants; known are {known}.")
    return names or list(VARIANTS)


def _seeds(texts: list[str]) -> list[int]:
    if not texts or not all(text.isdecimal() for text in texts):
        raise UserError(f"--seeds={','.join(texts)}: give whole numbers, 0,1 for example.")
    return [int(text) for text in texts]


# === Trainings ===


def run(variant: str, seed: int, output: str) -> None:
    """Trains and evaluates a variant, as far as that was not done before."""
    workdir = storage.join(output, f"{variant}_{seed}")
    evaluation = storage.join(workdir, "evaluation")
    if storage.exists(storage.join(evaluation, "metrics.json")):
        return
    _call("train.py", [*config_flags(variant, seed), f"--workdir={workdir}"])
    _call("evaluate.py", [f"--workdir={workdir}", f"--output={evaluation}"])


def config_flags(variant: str, seed: int) -> list[str]:
    """Flags of a training: the variant's last, for they are what is compared."""
    given = [flag for flag in sys.argv[1:] if flag.lstrip("-").startswith("config")]
    seeds = {"train.seed": seed, "data.seed": seed}
    values = {**BASE, **seeds, **VARIANTS[variant]}
    said = {flag.lstrip("-").split("=")[0] for flag in given}
    changes = []
    for key, value in values.items():
        decides = key in seeds or key in VARIANTS[variant]
        if decides or f"config.{key}" not in said:
            changes.append(f"--config.{key}={value}")
    return given + changes


def _call(program: str, arguments: list[str]) -> None:
    command = [sys.executable, storage.join(SCRIPTS, program), *arguments]
    if subprocess.run(command, check=False).returncode:
        raise UserError(f"{program} failed ({' '.join(arguments)}); its message is above.")


# === The table ===


def read_scores(output: str) -> Scores:
    """The metrics of all trainings in the folder, in percent."""
    scores: Scores = {variant: [] for variant in VARIANTS}
    for variant in VARIANTS:
        for folder in sorted(storage.listdir(output)):
            path = storage.join(output, folder, "evaluation", "metrics.json")
            seed = folder[len(variant) + 1 :]
            is_one = folder.startswith(f"{variant}_") and seed.isdecimal()
            if is_one and storage.isfile(path):
                metrics = read_json(path, "result of an evaluation")
                scores[variant].append({name: 100 * metrics[METRICS[name]] for name in METRICS})
    return scores


def compare(comparison: Comparison, scores: Scores, metric: str) -> dict[str, Any] | None:
    """One comparison in one metric; None where a training is missing.

    Returns:
      dict of `paper` and `here` (differences of means, percent points), `spread` (the largest
      distance between two seeds of a variant; None with one seed), `verdict`.
    """
    sides = [
        [score[metric] for score in scores[variant]]
        for variant in (comparison.without, comparison.having)
    ]
    if not all(sides):
        return None
    without, having = sides
    paper = {"PQ": comparison.pq, "PC": comparison.pc}[metric]
    here = statistics.mean(having) - statistics.mean(without)
    spread = None
    if min(map(len, sides)) > 1:
        spread = max(max(side) - min(side) for side in sides)
    return {
        "paper": paper,
        "here": here,
        "spread": spread,
        "verdict": verdict(paper, here, spread),
    }


def verdict(paper: float, here: float, spread: float | None) -> str:
    """Whether the paper's difference holds: differences within the spread tell nothing."""
    if spread is None or abs(here) <= spread:
        return "cannot tell"
    return "holds" if paper * here > 0 else "does not hold here"


def rows(scores: Scores) -> list[dict[str, Any]]:
    """A dict for each comparison and metric that has its trainings."""
    result = []
    for comparison in COMPARISONS:
        for metric in METRICS:
            compared = compare(comparison, scores, metric)
            if compared is not None:
                named = {"table": comparison.table, "choice": comparison.choice, "metric": metric}
                result.append({**named, **compared})
    return result


def table(scores: Scores) -> str:
    """The comparisons in Markdown."""
    lines = [
        "| Table | choice | metric | paper | here | spread of seeds | verdict |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows(scores):
        spread = "one seed" if row["spread"] is None else f"{row['spread']:.2f}"
        lines.append(
            f"| {row['table']} | {row['choice']} | {row['metric']} | {row['paper']:+.2f} "
            f"| {row['here']:+.2f} | {spread} | {row['verdict']} |"
        )
    return "\n".join(lines)


def write_table(output: str) -> None:
    """Writes table.md and table.json."""
    scores = read_scores(output)
    write_text(storage.join(output, "table.md"), f"{table(scores)}\n")
    result = {"scores": scores, "rows": rows(scores)}
    write_json(storage.join(output, "table.json"), result)


if __name__ == "__main__":
    cli.run(main, required=("config", "output"))
