"""Parses of a video: frames in, frames with overlays out.

Instances keep their colour while they overlap from frame to frame.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import cv2
import numpy as np
from tqdm import tqdm

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.atomic import atomic_path, write_json
from deeperlab_tf.files.paths import path_inside
from deeperlab_tf.metrics.overlaps import overlap_table
from deeperlab_tf.prediction.parsing import Parsing
from deeperlab_tf.visualize.drawing import Color, shades
from deeperlab_tf.visualize.parses import draw_parsing

_SHADES = 24  # of each class; tracks take them in turn
_SMALLEST_IOU = 0.2  # with the instance of the frame before, to be the same object

Item = TypeVar("Item")


def parse_video(
    predictor: Callable[[list[np.ndarray]], list[Parsing]],
    path: str,
    folder: str,
    batch_size: int,
) -> tuple[int, int]:
    """Parses a video frame by frame; shows a progress bar.

    Writes `folder`/NAME_overlay.mp4, and NAME.json: `frames`, a list with name, track, score, box
    and area of each segment of each frame.

    Args:
      predictor: a `Predictor`.
      path: the video file.
      folder: where the results go.
      batch_size: frames that run at once.

    Returns:
      number of frames parsed, number of frames the file claims to have (0 if it does not say).

    Raises:
      UserError: the file is not a video, or not even its first frame can be read.
    """
    reader, tracker = VideoReader(path), Tracker()
    name = os.path.splitext(os.path.basename(path))[0]
    total = reader.expected or None
    images = tqdm(reader, total=total, unit="frame", desc="parsing", dynamic_ncols=True)

    frames = []
    with atomic_path(path_inside(folder, f"{name}_overlay.mp4")) as temporary:
        with VideoWriter(temporary, reader.frames_per_second) as writer:
            for batch in batches(images, batch_size):
                for image, parsing in zip(batch, predictor(batch)):
                    tracks = tracker.update(parsing)
                    colors = track_colors(parsing, tracks)
                    writer.write(draw_parsing(image, parsing, colors))
                    frames.append([_describe(segment, tracks) for segment in parsing.segments])
        if not frames:
            raise UserError(f"{path} has no frame that can be read; give another video.")
    write_json(path_inside(folder, f"{name}.json"), dict(frames=frames))
    return len(frames), reader.expected


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


# === Tracks ===


class Tracker:
    """Gives the instances of successive parses numbers that stay with an object.

    An instance takes the number of the instance of its class in the frame before that it overlaps
    best, in a one-to-one assignment; without one it gets a new number.
    """

    def __init__(self) -> None:
        self._previous = None
        self._tracks = {}  # instance id of the previous parse -> track number
        self._next = 0

    def update(self, parsing: Parsing) -> dict[int, int]:
        """Track numbers of a parse's instances, by instance id."""
        tracks = {}
        if self._follows(parsing):
            for before, now in self._matches(parsing):
                if before in self._tracks:
                    tracks[now] = self._tracks[before]
        for segment in parsing.segments:
            if segment.instance and segment.instance not in tracks:
                tracks[segment.instance] = self._next
                self._next += 1
        self._previous, self._tracks = parsing, tracks
        return tracks

    def _follows(self, parsing):
        """Whether there is a frame before, of the same size."""
        previous = self._previous
        return previous is not None and previous.semantic.shape == parsing.semantic.shape

    def _matches(self, parsing):
        """(instance before, instance now) of each object that is in both frames."""
        # Imported here: single images need not wait for it.
        from scipy.optimize import linear_sum_assignment

        table = overlap_table(
            self._previous.semantic,
            self._previous.instance,
            parsing.semantic,
            parsing.instance,
            num_classes=parsing.dataset.num_classes,
            ignore_label=parsing.dataset.ignore_label,
        )
        before, now = table.pair_gt, table.pair_pred
        union = table.gt_area[before] + table.pred_area[now] - table.pair_area
        iou = table.pair_area / union
        same_class = table.gt_class[before] == table.pred_class[now]
        are_instances = (table.gt_instance[before] > 0) & (table.pred_instance[now] > 0)

        # [before, now]: IoU of instances of one class, 0 for all other pairs.
        scores = np.zeros((len(table.gt_area), len(table.pred_area)))
        scores[before, now] = np.where(same_class & are_instances, iou, 0.0)
        matches = []
        for row, column in zip(*linear_sum_assignment(-scores)):
            if scores[row, column] >= _SMALLEST_IOU:
                pair = int(table.gt_instance[row]), int(table.pred_instance[column])
                matches.append(pair)
        return matches


def track_colors(parsing: Parsing, tracks: dict[int, int]) -> dict[int, Color]:
    """Colour of each segment id, by its track, for `draw_parsing`.

    Args:
      parsing: a parse.
      tracks: of `Tracker.update`.
    """
    class_colors = parsing.dataset.colors
    palettes = [shades(color, _SHADES) for color in class_colors]
    colors = {}
    for segment in parsing.segments:
        color = class_colors[segment.class_index]
        if segment.instance:
            track = tracks[segment.instance]
            color = palettes[segment.class_index][track % _SHADES]
        colors[segment.id] = color
    return colors


# === Files ===


class VideoReader:
    """Frames of a video file, uint8 [H, W, 3], RGB.

    Attributes:
      frames_per_second: of the file; 25 where it does not say.
      expected: number of frames the file claims to have, 0 if it does not say.

    Raises:
      UserError: the file is not a video that can be read.
    """

    def __init__(self, path: str) -> None:
        self._capture = cv2.VideoCapture(path)
        if not self._capture.isOpened():
            raise UserError(f"{path} is not a video that can be read; give another file.")
        self.frames_per_second = self._capture.get(cv2.CAP_PROP_FPS) or 25.0
        self.expected = max(int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)

    def __iter__(self) -> Iterator[np.ndarray]:
        while True:
            there, frame = self._capture.read()
            if not there:
                self._capture.release()
                return
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)


class VideoWriter:
    """Writes frames as an MP4; a context manager. The first frame sets the size.

    Args:
      path: the file.
      frames_per_second: how fast it plays.
    """

    def __init__(self, path: str, frames_per_second: float) -> None:
        self._path, self._rate = path, frames_per_second
        self._writer = None

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, *_) -> None:
        if self._writer is not None:
            self._writer.release()

    def write(self, frame: np.ndarray) -> None:
        """Adds a frame, uint8 [H, W, 3], RGB.

        Raises:
          UserError: OpenCV cannot write this format here.
        """
        if self._writer is None:
            self._open(frame.shape[1], frame.shape[0])
        self._writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))

    def _open(self, width, height):
        codec = cv2.VideoWriter_fourcc(*"mp4v")
        self._writer = cv2.VideoWriter(self._path, codec, self._rate, (width, height))
        if not self._writer.isOpened():
            raise UserError(
                f"cannot write the video {self._path}: this OpenCV has no MP4 encoder; "
                "install opencv-python from PyPI."
            )
