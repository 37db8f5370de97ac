"""What the servers of the benchmarks take, of photos without labels."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from tqdm import tqdm

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.made import mark_folder
from deeperlab_tf.files.submissions import RESULT_FORMATS, DoesNotFit, Results
from deeperlab_tf.prediction.many import none_can_be_read, one_ahead
from deeperlab_tf.prediction.parsing import Parsing
from deeperlab_tf.prediction.video import batches
from deeperlab_tf.schema import Dataset

Sample = Mapping[str, Any]


class PhotoPredictor(Protocol):
    """Parses photos, as `Predictor` does."""

    dataset: Dataset

    def predict_all(
        self, source: Sequence[Sample], batch_size: int, progress: bool
    ) -> Iterator[tuple[int, Sample, Parsing]]:
        """Yields (index, sample, parse) of every photo, in order."""


class PhotoSource(Protocol):
    """Random access to photos, as of `input_pipeline.open_photos`.

    Attributes:
      names: what each is called.
      paths: of their files.
    """

    names: Sequence[str]
    paths: Sequence[str]

    def __len__(self) -> int:
        """Number of photos."""

    def __getitem__(self, index: int) -> Sample:
        """dict of `image`, `image_id` and perhaps `coco_id`, its id in the JSON that lists it."""


def write_results(
    predictor: PhotoPredictor,
    photos: PhotoSource,
    folder: str,
    formats: Sequence[str],
    batch_size: int = 1,
) -> list[str]:
    """Parses photos and writes `folder`/results_FORMAT; shows a progress bar.

    Beside them `made_by.json` says that these are results, and no photos to parse. A photo that
    cannot be read is in none of the forms, one whose parse does not fit into a form in the others.

    Args:
      predictor: the model.
      photos: what to parse.
      folder: to write into.
      formats: keys of `files.submissions.RESULT_FORMATS`.
      batch_size: photos that are read and parsed at once.

    Returns:
      files that were left out, each of which has been named with the reason.

    Raises:
      UserError: no format is given, two photos have one name, the classes do not fit into a form,
        or none of the photos is in any of them.
    """
    if not formats:
        raise UserError("nothing would be written; give --results=coco, say.")
    writers = writers_of(formats, folder, predictor.dataset)
    errors, written = {}, 0  # errors: of each file that is left out of some form, the first
    with tqdm(total=len(photos), unit="image", desc="parsing", disable=None) as progress:
        # The files after these are read while the network runs.
        steps = batches(range(len(photos)), batch_size)
        for readable, unreadable in one_ahead(functools.partial(_read, photos), steps):
            for file, error in unreadable.items():
                tqdm.write(f"left out: {error}", file=sys.stderr)
                errors[file] = error
            files, samples = [file for file, _ in readable], [sample for _, sample in readable]
            parses = predictor.predict_all(samples, batch_size, progress=False)
            for file, (_, sample, parsing) in zip(files, parses):
                unfit = add_to_all(writers, sample, parsing)
                written += len(unfit) < len(writers)
                if unfit:
                    errors[file] = unfit[0]
            progress.update(len(samples) + len(unreadable))
    if errors and not written:
        has_unfit = any(isinstance(error, DoesNotFit) for error in errors.values())
        done = "written" if has_unfit else "read"
        raise none_can_be_read(list(errors.values()), done=done)
    for writer in writers.values():
        writer.close()
    mark_folder(folder, formats=list(formats), left_out=list(errors))
    return list(errors)


def writers_of(formats: Sequence[str], folder: str, dataset: Dataset) -> dict[str, Results]:
    """Of each form the writer of `folder`/results_FORMAT."""
    return {
        name: RESULT_FORMATS[name](storage.join(folder, f"results_{name}"), dataset)
        for name in formats
    }


def add_to_all(writers: Mapping[str, Results], sample: Sample, parsing: Parsing) -> list[UserError]:
    """Writes a parse in all forms that can hold it; of the others, it is said why they cannot.

    Returns:
      the errors that were said.
    """
    errors = []
    for form, writer in writers.items():
        try:
            writer.add(parsing, sample["image_id"], sample.get("coco_id"))
        except DoesNotFit as error:
            tqdm.write(f"left out of results_{form}: {error}", file=sys.stderr)
            errors.append(error)
    return errors


def _read(
    photos: PhotoSource, places: Sequence[int]
) -> tuple[list[tuple[str, Sample]], dict[str, UserError]]:
    """Files and photos that can be read, and file -> what is wrong with the others."""
    samples, errors = [], {}
    for place in places:
        try:
            samples.append((photos.paths[place], photos[place]))
        except UserError as error:
            errors[photos.paths[place]] = error
    return samples, errors
