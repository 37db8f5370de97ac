"""A job on Apache Beam (extra `beam`): on Dataflow, Flink, Spark, or processes of this machine."""

from __future__ import annotations

import argparse
import copy
import json
import logging as standard_logging
import re
import uuid
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

from absl import logging

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.atomic import write_text
from deeperlab_tf.work.job import Job

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

_OURS = re.compile(r"UserError: (.+)")  # in what a runner says of a task's failure


def run(job: Job, options: Sequence[str], scratch: str) -> Any:
    """Does the tasks on Beam, and logs its counters in the end.

    A task that fails is tried again as often as the runner does; its function gives the same.

    Args:
      job: what to do; at least one task.
      options: Beam's, as on the command line: ["--runner=DataflowRunner", "--region=…"].
      scratch: folder that all workers can write to, a bucket unless they are on this machine. The
        result passes through a file there, which is removed.

    Returns:
      What `job.finish` says of the whole.

    Raises:
      UserError: Beam is not installed, an option or the runner does not exist, or a task failed.
    """
    beam = _import_beam()
    path = storage.join(scratch, f".beam-{uuid.uuid4().hex}.json")
    try:
        pipeline = beam.Pipeline(options=parse_options(options))
    except (ValueError, ImportError) as error:
        raise UserError(f"Beam cannot start: {_first_line(error)}") from error
    _build(pipeline, job, path)
    try:
        result = pipeline.run()
        result.wait_until_finish()
        _log_counters(job, result)
        if storage.exists(path):
            with storage.open(path, encoding="utf-8") as file:
                return json.load(file)
    except Exception as error:
        # Runners wrap what a task raised, each in its own way.
        ours = _OURS.search(f"{type(error).__name__}: {error}")
        if ours is None:
            raise
        raise UserError(_sentence(ours[1])) from error
    finally:
        if storage.exists(path):
            storage.remove(path)
    raise UserError(
        f"Beam's workers have done their work, but {path} is not here: give an --output in a "
        "bucket, or on a disk that all of them share."
    )


def parse_options(options: Sequence[str]) -> PipelineOptions:
    """Beam's options.

    Raises:
      UserError: names those that Beam does not have, where it would only warn.
    """
    _import_beam()
    # As there.
    from apache_beam.options.pipeline_options import PipelineOptions

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    for group in sorted(_descendants(PipelineOptions), key=lambda each: each.__name__):
        try:
            group._add_argparse_args(parser)
        except argparse.ArgumentError:
            continue  # two groups of Beam's have one option
    try:
        _, unknown = parser.parse_known_args(list(options))
    except argparse.ArgumentError as error:
        raise UserError(f"in Beam's options: {error}.") from error
    if unknown:
        raise UserError(
            f"neither this program nor Beam has the option {unknown[0]}; see --help, and "
            "https://beam.apache.org/documentation/runners/capability-matrix/ for runners."
        )
    # Workers import this library as it is installed there; nothing of the main session is sent.
    return PipelineOptions(list(options), save_main_session=False)


def _import_beam() -> ModuleType:
    # It warns of clients for services that nobody asked for.
    standard_logging.getLogger("apache_beam").setLevel(standard_logging.ERROR)
    try:
        # Imported here: Beam is an extra.
        import apache_beam
    except ImportError as error:
        raise UserError(
            f"--runner needs Apache Beam ({error}); install it with pip install -e .[beam]."
        ) from error
    return apache_beam


def _descendants(base: type) -> set[type]:
    children = set(base.__subclasses__())
    return children.union(*(_descendants(child) for child in children))


def _build(pipeline: Any, job: Job, path: str) -> None:
    """The pipeline: tasks → parts → their sum → a file."""
    beam = _import_beam()
    counter = beam.metrics.Metrics.counter
    tasks = list(zip(job.sizes, job.tasks))
    # Each step below is sent to every worker with what it names.
    job = job._replace(tasks=(), sizes=())

    class Do(beam.DoFn):
        """A task; counts what it did."""

        def process(self, numbered: tuple[int, Any]) -> Iterable[Any]:
            size, task = numbered
            part = job.function(job.shared, task)
            counter(job.name, f"{job.unit}s").inc(size)
            for name, count in job.counts(part).items():
                counter(job.name, name).inc(count)
            yield part

    class Sum(beam.CombineFn):
        """The sum of the parts: a list of one, or of none at the start."""

        def create_accumulator(self) -> list[Any]:
            return []

        def add_input(self, accumulator: list[Any], part: Any) -> list[Any]:
            # What Beam hands on must stay as it is, and merging may change the first.
            return [job.merge(*accumulator, part)] if accumulator else [copy.deepcopy(part)]

        def merge_accumulators(self, accumulators: Iterable[list[Any]]) -> list[Any]:
            total = []
            for accumulator in accumulators:
                for part in accumulator:
                    total = self.add_input(total, part)
            return total

        def extract_output(self, accumulator: list[Any]) -> Any:
            return accumulator[0]

    def write(part: Any) -> None:
        # Not a number is one here: it comes back as it was.
        write_text(path, json.dumps(job.finish(job.shared, part)))

    parts = (
        pipeline
        | "Tasks" >> beam.Create(tasks)
        # Without it one worker would do all that follows.
        | "Spread" >> beam.Reshuffle()
        | job.name.capitalize() >> beam.ParDo(Do())
    )
    total = parts | "Add up" >> beam.CombineGlobally(Sum()).without_defaults()
    _ = total | "Finish" >> beam.Map(write)


def _log_counters(job: Job, result: Any) -> None:
    found = result.metrics().query()["counters"]
    counts = {each.key.metric.name: each.result for each in found}
    shown = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    logging.info("%s: %s", job.name, shown)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


def _sentence(message: str) -> str:
    """What a task said, without the runner's remarks and the rest of a quoted traceback."""
    return message.split("\\n")[0].split(" [while running")[0].strip()
