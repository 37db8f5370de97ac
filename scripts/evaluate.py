"""Scores a trained model on a dataset, or files in the COCO panoptic format.

A trained model, whatever form it is in, with other values of its config where they are given:

python scripts/evaluate.py --model=runs/shapes --output=evaluations/shapes
python scripts/evaluate.py --model=runs/shapes --best --output=evaluations/shapes-best
python scripts/evaluate.py --model=street --config.data.root=STREET --output=evaluations/street
python scripts/evaluate.py --model=exports/street/1 --config.data.root=STREET \\
    --config.fusion.peak_threshold=0.2 --output=evaluations/street-0.2

On several devices or hosts: --strategy, see --helpfull. With --runner, Apache Beam does the work
and the numbers alone are written, of files or of a model.

Files:

python scripts/evaluate.py --gt_json=truth.json --gt_dir=truth \\
    --pred_json=parses.json --pred_dir=parses --output=metrics.json
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from absl import flags

from deeperlab_tf import cli
from deeperlab_tf.errors import UserError
from deeperlab_tf.evaluation.evaluate import evaluate
from deeperlab_tf.evaluation.files import evaluate_files
from deeperlab_tf.evaluation.report.page import write_report
from deeperlab_tf.evaluation.results import summary
from deeperlab_tf.evaluation.samples import Forgiving
from deeperlab_tf.files import storage
from deeperlab_tf.files.atomic import atomic_path, write_json
from deeperlab_tf.files.reports import check_absent, check_page, check_report
from deeperlab_tf.files.submissions import RESULT_FORMATS
from deeperlab_tf.prediction.c_library import choose_kernels
from deeperlab_tf.prediction.many import complain_of, some_of

if TYPE_CHECKING:
    import tensorflow as tf
    from ml_collections import ConfigDict

    from deeperlab_tf.evaluation.evaluate import DatasetPredictor
    from deeperlab_tf.work.job import Run

cli.define_model("A run, an export or the name of a shipped model: score it on its dataset.")
BEST = flags.DEFINE_bool(
    "best", False, "A run's best checkpoint (see train.evaluate_every) instead of its newest."
)
SPLIT = flags.DEFINE_string("split", "val", "Split of the dataset, with --model.")
RESULTS = flags.DEFINE_multi_enum(
    "results",
    [],
    sorted(RESULT_FORMATS),
    "Write the parses in this format too, with --model.",
)
LABELLED = flags.DEFINE_bool(
    "labelled", True, "--nolabelled: the split has no labels; write --results, and score nothing."
)
IMAGE_LIST = flags.DEFINE_string(
    "image_list", "", "With --nolabelled: the images, as text or as COCO's image_info JSON."
)
FILES = {
    "gt_json": flags.DEFINE_string("gt_json", None, "Truth: JSON in the COCO panoptic format."),
    "gt_dir": flags.DEFINE_string("gt_dir", None, "Truth: folder of its PNGs."),
    "pred_json": flags.DEFINE_string(
        "pred_json", None, "Prediction: JSON in the COCO panoptic format."
    ),
    "pred_dir": flags.DEFINE_string("pred_dir", None, "Prediction: folder of its PNGs."),
}
IMAGE_DIR = flags.DEFINE_string("image_dir", None, "Folder of the photos, for the report of files.")
REPORT = flags.DEFINE_bool(
    "report", False, "Write an HTML page too: report.html in the folder, or beside the JSON."
)
STRICT = flags.DEFINE_bool(
    "strict",
    False,
    "Of files: refuse what is odd instead of scoring it as COCO's own evaluator does.",
)
WORKERS = flags.DEFINE_integer("workers", 1, "Processes that compare files.", lower_bound=1)
cli.define_strategy()
cli.define_runner()
COMPILE = cli.define_compile()
OUTPUT = flags.DEFINE_string(
    "output", None, "With --model a new folder, for files the JSON of the metrics."
)

_METRICS = {"pq", "sq", "rq", "per_class", "num_images"}  # by which such a report is known


def main() -> None:
    choose_kernels()
    files = {name: flag.value for name, flag in FILES.items()}
    run = cli.runner(storage.dirname(storage.abspath(OUTPUT.value)))
    if COMPILE.value and (run or any(files.values())):
        raise UserError("--compile is for --model on one machine; leave it out.")
    if run:
        result = _score_at_scale(run, files)
    elif cli.model() is None:
        result = _score_files(files)
    elif any(files.values()):
        raise UserError("give either --model or files (--gt_json ...), not both.")
    elif STRICT.value:
        raise UserError("--strict is about files (--gt_json ...); leave it out with --model.")
    elif not LABELLED.value:
        result = _write_results()
    else:
        result = _score_model()

    if result is not None:
        print(f"{summary(result)}\n  wrote {OUTPUT.value}")
        _complain(result)


def _complain(result: dict[str, Any]) -> None:
    """Ends the work with a sentence about images that are not scored, or not in all results."""
    if unfit := result.get("unfit"):
        raise UserError(
            f"{len(unfit)} of {result['num_images']} parses do not fit into results that were "
            f"asked for, as said above ({some_of(unfit)}); all else is in {OUTPUT.value}."
        )
    left_out = result.get("left_out", ())
    complain_of(left_out, len(left_out) + result["num_images"], OUTPUT.value)


def _check_files(files: dict[str, str | None]) -> None:
    missing = [f"--{name}" for name, value in files.items() if value is None]
    if missing:
        raise UserError(
            "give --model to score a model, or all of --gt_json ... ; "
            f"missing: {', '.join(missing)}."
        )
    if cli.overrides():
        raise UserError("--config.KEY=VALUE changes a model's config; files have none.")


def _score_at_scale(run: Run, files: dict[str, str | None]) -> dict[str, Any]:
    """The metrics of files or of a model by Apache Beam: the numbers, without pictures."""
    # Imported here: mistakes in the flags need not wait.
    from deeperlab_tf.evaluation.at_scale import files_job, model_job
    from deeperlab_tf.evaluation.files import Files
    from input_pipeline import open_source

    for flag in (REPORT, RESULTS, BEST, IMAGE_DIR):
        if flag.value:
            raise UserError(f"--runner measures, and does not do --{flag.name}; leave out one.")
    if not LABELLED.value:
        raise UserError("--runner measures, for which --nolabelled has no truth; leave out one.")
    model = cli.model()
    if model is None:
        _check_files(files)
        check_report(OUTPUT.value, _METRICS)
        result = run(files_job(Files(**files, strict=STRICT.value)))
        write_json(OUTPUT.value, result)
        return result

    check_absent(OUTPUT.value)
    job = model_job(model, cli.overrides(), SPLIT.value, open_source)
    result = dict(run(job), **_origin())
    _note_overrides(result)
    with atomic_path(OUTPUT.value) as folder:
        write_json(storage.join(folder, "metrics.json"), result)
    return result


def _score_files(files: dict[str, str | None]) -> dict[str, Any]:
    """The metrics of the files, which are written to --output."""
    _check_files(files)
    check_report(OUTPUT.value, _METRICS)
    page = f"{storage.splitext(OUTPUT.value)[0]}.html"
    if REPORT.value:
        check_page(page, "<title>Evaluation on ")
    evaluation = evaluate_files(
        **files, image_dir=IMAGE_DIR.value, workers=WORKERS.value, strict=STRICT.value
    )
    result = evaluation.result()
    write_json(OUTPUT.value, result)
    if REPORT.value:
        write_report(page, evaluation, result)
    return result


def _write_results() -> None:
    """Parses of photos without labels, in the forms of --results."""
    # Imported here: scoring files needs no TensorFlow, which takes seconds to load.
    from deeperlab_tf.evaluation.submit import write_results
    from deeperlab_tf.prediction.predictor import Predictor
    from input_pipeline import open_photos

    check_absent(OUTPUT.value)
    predictor = Predictor(cli.required_model(), cli.overrides(), COMPILE.value)
    photos = open_photos(predictor.config, SPLIT.value, IMAGE_LIST.value)
    batch_size = predictor.config.eval.batch_size
    with atomic_path(OUTPUT.value) as folder:
        left_out = write_results(predictor, photos, folder, RESULTS.value, batch_size)
    count = len(photos) - len(left_out)
    print(f"parsed {count} photos without labels; wrote {OUTPUT.value}")
    complain_of(left_out, len(photos), OUTPUT.value)


def _score_model() -> dict[str, Any] | None:
    """The metrics of the model, which are written to --output.

    None on those of several hosts that only take their share of the images.
    """
    # Imported here: scoring files needs no TensorFlow, which takes seconds to load.
    from deeperlab_tf.training.strategy import is_chief
    from input_pipeline import open_source

    check_absent(OUTPUT.value)
    strategy = cli.strategy_from_flags()
    predictor, config = _open_model(strategy)
    source = open_source(config, SPLIT.value)

    batch_size = config.eval.batch_size
    if not is_chief(strategy):
        for _ in predictor.predict_all(Forgiving(source), batch_size):
            pass
        return None

    with atomic_path(OUTPUT.value) as folder:
        evaluation = evaluate(predictor, source, folder, batch_size, RESULTS.value)
        result = dict(evaluation.result(), **_origin())
        _note_overrides(result)
        write_json(storage.join(folder, "metrics.json"), result)
        if REPORT.value:
            write_report(storage.join(folder, "report.html"), evaluation, result)
    return result


def _open_model(strategy: tf.distribute.Strategy) -> tuple[DatasetPredictor, ConfigDict]:
    """What parses the dataset, and the whole config."""
    # As in `_score_model`.
    from deeperlab_tf import Predictor, models
    from deeperlab_tf.evaluation.distributed import DistributedPredictor
    from deeperlab_tf.prediction.loading import is_export
    from deeperlab_tf.prediction.networks import load_network
    from deeperlab_tf.training.strategy import is_one_device

    model, overrides = cli.model(), cli.overrides()
    if is_export(models.find(model)):
        _check_for_export(model, strategy)
    elif BEST.value or not is_one_device(strategy):
        with strategy.scope():
            network, config, dataset = load_network(model, overrides, BEST.value)
        compile = COMPILE.value if COMPILE.present else None
        predictor = DistributedPredictor(network, config, dataset, strategy, compile)
        return predictor, config
    # What parses with --runner, too, and in the other programs: the same to the last bit.
    predictor = Predictor(model, overrides, COMPILE.value)
    return predictor, predictor.config


def _check_for_export(model: str, strategy: tf.distribute.Strategy) -> None:
    if BEST.value:
        raise UserError(f"--best is for runs; {model} is an export, of one checkpoint.")
    if strategy.num_replicas_in_sync > 1:
        raise UserError(
            f"the export {model} runs on one device; give --strategy=one_device, or the run it was "
            "made from."
        )


def _origin() -> dict[str, Any]:
    """What metrics.json says of where its numbers are from."""
    return dict(model=cli.model(), split=SPLIT.value, overrides=cli.overrides())


def _note_overrides(result: dict[str, Any]) -> None:
    for key, value in result["overrides"].items():
        result["notes"].append(f"with config.{key} = {value!r}.")


if __name__ == "__main__":
    cli.run(main, required=("output",))
