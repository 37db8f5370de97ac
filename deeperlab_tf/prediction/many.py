"""Parsing many image files: what cannot be parsed is named and counted, the rest is done."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Union

import numpy as np
from tqdm import tqdm

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.images import image_file_size, read_image
from deeperlab_tf.files.results import check_lengths, check_results
from deeperlab_tf.prediction.parsing import Parsing
from deeperlab_tf.prediction.video import batches

_NAMED = 5  # files that the last sentence names

# Of the files and images of a batch their parses; in place of one, what is wrong with the image.
Parse = Callable[[Sequence[str], Sequence[np.ndarray]], Sequence[Union[Parsing, UserError]]]
Pictures = Callable[[Parsing], Mapping[str, np.ndarray]]


class Job(NamedTuple):
    """What is to be parsed, and where the results go.

    Attributes:
      files: results' name -> image file, of `files.results.result_names`.
      output: folder of the results.
      kinds: of pictures that are written beside the overlay.
    """

    files: Mapping[str, str]
    output: str
    kinds: Sequence[str] = ()

    @property
    def endings(self) -> list[str]:
        """Of the results of each image."""
        return [".json", ".png", "_overlay.jpg", *(f"_{kind}.png" for kind in self.kinds)]


def check_job(job: Job) -> None:
    """Fails where it is clear before the work that it cannot be done.

    Raises:
      UserError: a file of the user's is in the way of a result, or none of the images can be read.
    """
    for name, file in job.files.items():
        check_results(job.output, name, job.endings, file)
    errors = []
    for file in job.files.values():
        try:
            image_file_size(file)
        except UserError as error:
            errors.append(error)
        else:
            return
    if len(errors) == 1:
        raise errors[0]
    raise UserError(f"none of {len(errors)} images can be read; the first: {errors[0]}")


def parse_files(
    job: Job, parse: Parse, batch_size: int, pictures: Pictures = lambda _: {}
) -> list[str]:
    """Parses image files and writes the results; shows a progress bar.

    Args:
      job: what to do.
      parse: see `Parse`.
      batch_size: files that are read and parsed at once.
      pictures: of a parse, those of `job.kinds`.

    Returns:
      files that were left out, each of which has been named with the reason.

    Raises:
      UserError: results cannot be written; or it is the only image that is wrong.
    """
    left_out = []
    total = len(job.files)
    with tqdm(total=total, unit="image", desc="parsing", dynamic_ncols=True) as progress:
        for batch in batches(job.files.items(), batch_size):
            readable, errors = _read(job, batch)
            files, images = [file for _, file, _ in readable], [image for *_, image in readable]
            parsings = parse(files, images) if readable else []
            for (name, file, _), parsing in zip(readable, parsings):
                if isinstance(parsing, UserError):
                    errors.append((file, parsing))
                    continue
                parsing.save(job.output, name, pictures=pictures(parsing), source=file)
            if errors and total == 1:
                raise errors[0][1]
            for file, error in errors:
                tqdm.write(f"left out: {error}", file=sys.stderr)
                left_out.append(file)
            progress.update(len(batch))
    return left_out


def complain(job: Job, left_out: Sequence[str]) -> None:
    """Ends the work with a sentence about the files that were left out, if there are any.

    Raises:
      UserError: says how many there are, and where the rest is.
    """
    if not left_out:
        return
    names = ", ".join(left_out[:_NAMED])
    more = f" and {len(left_out) - _NAMED} more" if len(left_out) > _NAMED else ""
    rest = len(job.files) - len(left_out)
    done = f"the other {rest} are in {job.output}" if rest else "there are no others"
    raise UserError(
        f"{len(left_out)} of {len(job.files)} images were left out, for the reasons above "
        f"({names}{more}); {done}."
    )


def _read(job, batch):
    """(name, file, image) of the files of a batch that can be read, and errors of the others."""
    readable, errors = [], []
    for name, file in batch:
        try:
            check_lengths(job.output, name, job.endings)
            readable.append((name, file, read_image(file)))
        except UserError as error:
            errors.append((file, error))
    return readable, errors
