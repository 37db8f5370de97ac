"""The paper's ablations repeated: equal trainings, differences, verdicts."""

import json
import sys

import ablate
import pytest

from benchmarks.ablations import BASE, COMPARISONS, VARIANTS
from deeperlab_tf.config import default_config
from deeperlab_tf.errors import UserError


def write_metrics(output, variant, seed, pq, pc):
    folder = output / f"{variant}_{seed}" / "evaluation"
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps({"pq": pq, "pc": pc}))


def test_every_variant_changes_one_choice_of_the_config():
    known = default_config()
    for changes in (BASE, *VARIANTS.values()):
        known.update_from_flattened_dict(changes)  # an unknown key is an error
    assert {c.without for c in COMPARISONS} | {c.having for c in COMPARISONS} == set(VARIANTS)


def test_what_is_compared_wins_over_what_was_given(monkeypatch):
    given = ["--config=x.py", "--config.train.steps=7", "--config.train.hard_pixel_fraction=0.5"]
    monkeypatch.setattr(sys, "argv", ["ablate.py", *given, "--output=o"])
    flags = ablate.config_flags("mining", 3)
    assert flags[:3] == given
    assert "--config.train.hard_pixel_fraction=0.15" in flags[3:]
    assert "--config.train.seed=3" in flags and "--config.data.seed=3" in flags
    assert not any(flag.startswith("--config.train.steps") for flag in flags[3:])
    # A value given for all holds where the variant says nothing of it.
    assert not any("hard_pixel_fraction" in flag for flag in ablate.config_flags("base", 3)[3:])


def test_differences_within_the_spread_of_the_seeds_tell_nothing(tmp_path):
    for seed, (base, mining, rectangle) in enumerate([(20, 23, 20.5), (21, 24, 21)]):
        write_metrics(tmp_path, "base", seed, base / 100, 0.4)
        write_metrics(tmp_path, "mining", seed, mining / 100, 0.3)
        write_metrics(tmp_path, "rectangle", seed, rectangle / 100, 0.4)
    ablate.write_table(str(tmp_path))
    rows = json.loads((tmp_path / "table.json").read_text())["rows"]
    found = {(row["choice"], row["metric"]): row for row in rows}
    mining = found["hard pixel mining", "PQ"]
    assert mining["here"] == pytest.approx(3) and mining["spread"] == pytest.approx(1)
    assert mining["verdict"] == "holds"
    assert found["hard pixel mining", "PC"]["verdict"] == "does not hold here"
    assert found["star instead of rectangle", "PQ"]["verdict"] == "cannot tell"
    assert len(rows) == 4  # what was not trained has no row
    assert (
        "| 5 | hard pixel mining | PQ | +0.57 | +3.00 | 1.00 | holds |"
        in (tmp_path / "table.md").read_text()
    )


def test_one_seed_cannot_tell(tmp_path):
    write_metrics(tmp_path, "base", 0, 0.2, 0.4)
    write_metrics(tmp_path, "mining", 0, 0.5, 0.5)
    verdicts = {row["verdict"] for row in ablate.rows(ablate.read_scores(str(tmp_path)))}
    assert verdicts == {"cannot tell"}


def test_a_training_that_is_done_is_not_repeated(tmp_path, monkeypatch):
    write_metrics(tmp_path, "base", 0, 0.2, 0.4)
    monkeypatch.setattr(ablate, "_call", lambda *_: pytest.fail("trained again"))
    ablate.run("base", 0, str(tmp_path))


def test_bad_flags_are_named(program, tmp_path):
    with pytest.raises(UserError, match="--only=star is none of the variants"):
        ablate._chosen(["star"])
    with pytest.raises(UserError, match="--seeds=a: give whole numbers"):
        ablate._seeds(["a"])


def test_variants_are_trained_evaluated_and_laid_side_by_side(program, tmp_path, repository):
    tiny = {
        "train.steps": 2,
        "train.batch_size": 2,
        "train.warmup_steps": 0,
        "model.width": 0.25,
        "model.decoder_channels": 8,
        "model.aspp_channels": 8,
        "data.crop_size": "(65, 65)",
        "data.shapes.num_val": 2,
        "eval.image_size": "(129, 129)",
    }
    # As if that variant had been trained before.
    write_metrics(tmp_path / "out", "base", 0, 0.2, 0.4)
    done = program(
        "ablate.py",
        f"--config={repository / 'experiments' / 'shapes.py'}",
        *[f"--config.{key}={value}" for key, value in tiny.items()],
        "--only=base,mining",
        "--seeds=0",
        f"--output={tmp_path / 'out'}",
    )
    assert done.returncode == 0, done.stderr
    assert "| 5 | hard pixel mining | PC | +0.11 |" in done.stdout
    config = json.loads((tmp_path / "out" / "mining_0" / "config.json").read_text())
    assert config["train"]["hard_pixel_fraction"] == 0.15 and config["train"]["steps"] == 2
