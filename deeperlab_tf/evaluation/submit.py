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
from deeperlab_tf.files.submissions import RESULT_FORMATS
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

    Beside them `made_by.json` says that these are results, and no photos to parse.

    Args:
      predictor: the model.
      photos: what to parse.
      folder: to write into.
      formats: keys of `files.submissions.RESULT_FORMATS`.
      batch_size: photos that are read and parsed at once.

    Returns:
      files that were left out, each of which has been named with the reason.

    Raises:
      UserError: no format is given, two photos have one name, a parse does not fit into a format,
        or none of the photos can be read.
    """
    if not formats:
        raise UserError("nothing would be written; give --results=coco, say.")
    writers = [
        RESULT_FORMATS[name](storage.join(folder, f"results_{name}"), predictor.dataset)
        for name in formats
    ]
    left_out, errors = [], []
    with tqdm(total=len(photos), unit="image", desc="parsing", disable=None) as progress:
        # The files after these are read while the network runs.
        steps = batches(range(len(photos)), batch_size)
        for samples, unreadable in one_ahead(functools.partial(_read, photos), steps):
            for file, error in unreadable.items():
                tqdm.write(f"left out: {error}", file=sys.stderr)
                left_out.append(file)
                errors.append(error)
            for _, sample, parsing in predictor.predict_all(samples, batch_size, progress=False):
                for writer in writers:
                    writer.add(parsing, sample["image_id"], sample.get("coco_id"))
            progress.update(len(samples) + len(unreadable))
    if errors and len(errors) == len(photos):
        raise none_can_be_read(errors)
    for writer in writers:
        writer.close()
    mark_folder(folder, formats=list(formats), left_out=left_out)
    return left_out


def _read(photos: PhotoSource, places: Sequence[int]) -> tuple[list[Sample], dict[str, UserError]]:
    """The photos that can be read, and file -> what is wrong with the others."""
    samples, errors = [], {}
    for place in places:
        try:
            samples.append(photos[place])
        except UserError as error:
            errors[photos.paths[place]] = error
    return samples, errors
