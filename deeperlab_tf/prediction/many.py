"""Parsing many image files: what cannot be parsed is named and counted, the rest is done."""

from __future__ import annotations

import functools
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar, Union

import numpy as np
from tqdm import tqdm

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.films import broke_off, open_film
from deeperlab_tf.files.images import image_file_size, read_image
from deeperlab_tf.files.inputs import Inputs
from deeperlab_tf.files.results import check_all_results, check_lengths
from deeperlab_tf.prediction.names import Joined, result_names
from deeperlab_tf.prediction.parsing import Parsing
from deeperlab_tf.prediction.video import FILM_ENDINGS, batches, parse_video

_NAMED = 5  # files that the last sentence names

_In, _Out = TypeVar("_In"), TypeVar("_Out")

# Of the files and images of a batch their parses; in place of one, what is wrong with the image.
Parse = Callable[[Sequence[str], Sequence[np.ndarray]], Sequence[Union[Parsing, UserError]]]
Pictures = Callable[[Parsing], Mapping[str, np.ndarray]]
Predict = Callable[[Sequence[np.ndarray]], Sequence[Parsing]]


class Job(NamedTuple):
    """What is to be parsed, and where the results go.

    Attributes:
      files: results' name -> image file, of `prediction.names.result_names`.
      output: folder of the results.
      kinds: of pictures that are written beside the overlay.
      films: results' name -> film, likewise.
    """

    files: Mapping[str, str]
    output: str
    kinds: Sequence[str] = ()
    films: Mapping[str, str] = {}

    @classmethod
    def of(cls, inputs: Inputs, output: str, kinds: Sequence[str] = ()) -> Job:
        """What is to be done with all inputs."""
        names = result_names(Joined(inputs.images, inputs.films), inputs.root)
        return cls(names.of(inputs.images), output, kinds, names.of(inputs.films))

    @property
    def endings(self) -> list[str]:
        """Of the results of each image."""
        return [".json", ".png", "_overlay.jpg", *(f"_{kind}.png" for kind in self.kinds)]


def check_job(job: Job) -> None:
    """Fails where it is clear before the work that it cannot be done.

    Raises:
      UserError: a file of the user's is in the way of a result, or none of the files can be read.
    """
    check_all_results(job.output, job.files, job.endings)
    check_all_results(job.output, job.films, FILM_ENDINGS)
    errors = []
    images = ((image_file_size, file) for file in job.files.values())
    films = ((open_film, file) for file in job.films.values())
    for open_file, file in itertools.chain(images, films):
        try:
            open_file(file)
        except UserError as error:
            errors.append(error)
        else:
            return
    raise none_can_be_read(errors, "files" if job.films else "images")


def none_can_be_read(
    errors: Sequence[UserError], what: str = "images", done: str = "read"
) -> UserError:
    """What to say where there is nothing else than these errors."""
    if len(errors) == 1:
        return errors[0]
    return UserError(f"none of {len(errors)} {what} can be {done}; the first: {errors[0]}")


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
        read = one_ahead(functools.partial(_read, job), batches(job.files.items(), batch_size))
        parsed = (_parse(parse, batch) for batch in read)
        # The network runs while the files before and after are written and read.
        for batch in one_ahead(functools.partial(_write, job, pictures), parsed):
            if batch.errors and total + len(job.films) == 1:
                raise batch.errors[0][1]
            for file, error in batch.errors:
                tqdm.write(f"left out: {error}", file=sys.stderr)
                left_out.append(file)
            progress.update(batch.size)
    return left_out


def one_ahead(function: Callable[[_In], _Out], items: Iterable[_In]) -> Iterator[_Out]:
    """function(item) of each item, in a thread, an item ahead of what is used.

    What fails there is raised here, in its turn.
    """
    with ThreadPoolExecutor(max_workers=1) as thread:
        before = None
        for item in items:
            result = thread.submit(function, item)
            if before is not None:
                yield before.result()
            before = result
        if before is not None:
            yield before.result()


def parse_films(job: Job, predictor: Predict, batch_size: int) -> tuple[int, list[str]]:
    """Parses films one after the other, as `parse_files` does images.

    Returns:
      number of frames that were parsed, and the films of which not all were.

    Raises:
      UserError: it is the only input, and something is wrong with it.
    """
    frames, left_out = 0, []
    for name, film in job.films.items():
        try:
            parsed, expected = parse_video(predictor, film, job.output, batch_size, name)
            frames += parsed
            if broke_off(parsed, expected):
                raise UserError(
                    f"{film} broke off after {parsed} of {expected} frames; those are in "
                    f"{job.output}."
                )
        except UserError as error:
            if len(job.films) + len(job.files) == 1:
                raise
            tqdm.write(f"left out: {error}", file=sys.stderr)
            left_out.append(film)
    return frames, left_out


def complain(job: Job, left_out: Sequence[str]) -> None:
    """Ends the work with a sentence about the files that were left out, if there are any.

    Raises:
      UserError: says how many there are, and where the rest is.
    """
    total, what = len(job.files) + len(job.films), "files" if job.films else "images"
    complain_of(left_out, total, job.output, what)


def complain_of(left_out: Sequence[str], total: int, output: str, what: str = "images") -> None:
    """`complain` of work that is no `Job`.

    Args:
      left_out: files, each of which has been named with the reason.
      total: number of files, those among them.
      output: where the rest is.
      what: the files are.

    Raises:
      UserError: as of `complain`.
    """
    if not left_out:
        return
    rest = total - len(left_out)
    done = f"the other {rest} are in {output}" if rest else "there are no others"
    raise UserError(
        f"{len(left_out)} of {total} {what} were left out, for the reasons above "
        f"({some_of(left_out)}); {done}."
    )


def some_of(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


class _Batch(NamedTuple):
    """Some files on their way.

    Attributes:
      images: results' name, file and image; later its parse.
      errors: file and what is wrong with it.
    """

    images: list[tuple[str, str, np.ndarray | Parsing]]
    errors: list[tuple[str, UserError]]

    @property
    def size(self) -> int:
        return len(self.images) + len(self.errors)


def _read(job: Job, files: Sequence[tuple[str, str]]) -> _Batch:
    batch = _Batch([], [])
    for name, file in files:
        try:
            check_lengths(job.output, name, job.endings)
            batch.images.append((name, file, read_image(file)))
        except UserError as error:
            batch.errors.append((file, error))
    return batch


def _parse(parse: Parse, batch: _Batch) -> _Batch:
    if not batch.images:
        return batch
    names, files, images = zip(*batch.images)
    parsed = _Batch([], batch.errors)
    for name, file, parsing in zip(names, files, parse(files, images)):
        if isinstance(parsing, UserError):
            parsed.errors.append((file, parsing))
        else:
            parsed.images.append((name, file, parsing))
    return parsed


def _write(job: Job, pictures: Pictures, batch: _Batch) -> _Batch:
    for name, file, parsing in batch.images:
        parsing.save(job.output, name, pictures=pictures(parsing), source=file)
    return batch
