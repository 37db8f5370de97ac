"""Parses of a film: frames in, frames with overlays out.

Instances keep their colour while they overlap from frame to frame.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import numpy as np
from tqdm import tqdm

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.films import FilmReader, VideoReader, VideoWriter, open_film
from deeperlab_tf.files.results import check_lengths, check_results, writing_results
from deeperlab_tf.prediction.parsing import Parsing
from deeperlab_tf.prediction.tracks import Tracker, track_colors
from deeperlab_tf.visualize.parses import draw_parsing

__all__ = ["Tracker", "VideoReader", "VideoWriter", "batches", "parse_video", "track_colors"]

FILM_ENDINGS = (".json", "_overlay.mp4")

Item = TypeVar("Item")


def parse_video(
    predictor: Callable[[list[np.ndarray]], list[Parsing]],
    path: str,
    folder: str,
    batch_size: int,
    name: str = "",
) -> tuple[int, int]:
    """Parses a video frame by frame; shows a progress bar.

    Writes `folder`/NAME_overlay.mp4, and NAME.json: `frames`, a list with name, track, score, box
    and area of each segment of each frame.

    Args:
      predictor: a `Predictor`.
      path: a video, or an animated GIF, PNG or WebP.
      folder: where the results go.
      batch_size: frames that run at once.
      name: of the results; "": the film's.

    Returns:
      number of frames parsed, number of frames the file claims to have (0 if it does not say).

    Raises:
      UserError: the file is not a film, not even its first frame can be read, or no file can hold
        its frames; or a file that is no result of this film's would be replaced.
    """
    name = name or _name(path)
    check_film(path, folder, name)
    reader = open_film(path)

    with writing_results(folder, name, path) as files:
        with VideoWriter(files.path("_overlay.mp4"), reader.frames_per_second) as writer:
            frames = _parse_frames(predictor, reader, writer, batch_size)
        if not frames:
            raise UserError(f"{path} has no frame that can be read; give another video.")
        files.content["frames"] = frames
    return len(frames), reader.expected


def check_film(path: str, folder: str, name: str = "") -> None:
    """Fails where it is clear before the work that `parse_video` would.

    Args:
      path, folder, name: as of `parse_video`.

    Raises:
      UserError: the file is not a film, or a file of the user's is in the way of a result.
    """
    name = name or _name(path)
    open_film(path)
    check_results(folder, name, FILM_ENDINGS, path)
    check_lengths(folder, name, FILM_ENDINGS)


def _name(path):
    """Of a film's results."""
    return storage.splitext(storage.basename(path))[0]


def _parse_frames(predictor, reader: FilmReader, writer: VideoWriter, batch_size: int):
    """What NAME.json says of each frame; their overlays are written."""
    total, tracker = reader.expected or None, Tracker()
    images = tqdm(reader, total=total, unit="frame", desc="parsing", dynamic_ncols=True)
    frames = []
    for batch in batches(images, batch_size):
        for image, parsing in zip(batch, predictor(batch)):
            tracks = tracker.update(parsing)
            colors = track_colors(parsing, tracks)
            writer.write(draw_parsing(image, parsing, colors))
            frames.append([_describe(segment, tracks) for segment in parsing.segments])
    return frames


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yields lists of `size` items, the last one perhaps shorter."""
    items = iter(items)
    while batch := list(itertools.islice(items, size)):
        yield batch


def _describe(segment, tracks):
    return dict(
        name=segment.name,
        track=tracks.get(segment.instance),
        score=segment.score,
        box=segment.box,
        area=segment.area,
    )
