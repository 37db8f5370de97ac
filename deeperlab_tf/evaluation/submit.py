"""What the servers of the benchmarks take, of photos without labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.submissions import RESULT_FORMATS
from deeperlab_tf.prediction.parsing import Parsing
from deeperlab_tf.schema import Dataset

Sample = Mapping[str, Any]


class PhotoPredictor(Protocol):
    """Parses photos: `Predictor`, or `DistributedPredictor` on several devices."""

    dataset: Dataset

    def predict_all(
        self, source: Sequence[Sample], batch_size: int
    ) -> Iterator[tuple[int, Sample, Parsing]]:
        """Yields (index, sample, parse) of every photo, in order."""


def write_results(
    predictor: PhotoPredictor,
    photos: Sequence[Sample],
    folder: str,
    formats: Sequence[str],
    batch_size: int = 1,
) -> int:
    """Parses photos and writes `folder`/results_FORMAT.

    Args:
      predictor: the model.
      photos: random access to dicts of `image` and `image_id`, as of `input_pipeline.open_photos`.
      folder: to write into.
      formats: keys of `files.submissions.RESULT_FORMATS`.
      batch_size: images per step.

    Returns:
      the number of photos.

    Raises:
      UserError: no format is given, or a parse does not fit into one.
    """
    if not formats:
        raise UserError("nothing would be written; give --results=coco, say.")
    writers = [
        RESULT_FORMATS[name](storage.join(folder, f"results_{name}"), predictor.dataset)
        for name in formats
    ]
    for _, sample, parsing in predictor.predict_all(photos, batch_size):
        for writer in writers:
            writer.add(parsing, sample["image_id"])
    for writer in writers:
        writer.close()
    return len(photos)
