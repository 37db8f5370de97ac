"""Parses of a video: frames in, frames with overlays out, instances keep their colour while they
overlap.
"""

import itertools
import os

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment
from tqdm import tqdm

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.atomic import atomic_path, write_json
from deeperlab_tf.files.paths import path_inside
from deeperlab_tf.metrics.overlaps import overlap_table
from deeperlab_tf.visualize.drawing import shades
from deeperlab_tf.visualize.parses import draw_parsing

_SHADES = 24  # of each class; tracks take them in turn
_SMALLEST_IOU = 0.2  # with the instance of the frame before, to be the same object


def parse_video(predictor, path, folder, batch_size):
    """Parses a video frame by frame; shows a progress bar.

    Writes `folder`/NAME_overlay.mp4, and NAME.json: `frames`, a list with name, track, score, box
    and area of each segment of each frame.

    Args:
      predictor: `Predictor`.
      path: the video file.
      folder: where the results go.
      batch_size: frames that run at once.

    Returns:
      number of frames parsed, number of frames the file claims to have (0 if it does not say).

    Raises:
      UserError: the file is no video, or not even its first frame can be read.
    """
    reader, tracker = VideoReader(path), Tracker()
    name = os.path.splitext(os.path.basename(path))[0]
    images = tqdm(
        reader, total=reader.expected or None, unit="frame", desc="parsing", dynamic_ncols=True
    )
    frames = []
    with atomic_path(path_inside(folder, f"{name}_overlay.mp4")) as temporary:
        with VideoWriter(temporary, reader.frames_per_second) as writer:
            for batch in batches(images, batch_size):
                for image, parsing in zip(batch, predictor(batch)):
                    tracks = tracker.update(parsing)
                    writer.write(draw_parsing(image, parsing, track_colors(parsing, tracks)))
                    frames.append([_describe(segment, tracks) for segment in parsing.segments])
        if not frames:
            raise UserError(f"{path} has no frame that can be read.")
    write_json(path_inside(folder, f"{name}.json"), dict(frames=frames))
    return len(frames), reader.expected


def batches(items, size):
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


class Tracker:
    """Gives the instances of successive parses numbers that stay with an object.

    An instance takes the number of the instance of its class in the frame before that it overlaps
    best, in a one-to-one assignment; without one it gets a new number.
    """

    def __init__(self):
        self._previous = None
        self._tracks = {}  # instance id of the previous parse -> track number
        self._next = 0

    def update(self, parsing):
        """Track numbers of a `Parsing`'s instances: dict instance id -> int."""
        tracks = {}
        if self._previous is not None and self._previous.semantic.shape == parsing.semantic.shape:
            for before, now in self._matches(parsing):
                if before in self._tracks:
                    tracks[now] = self._tracks[before]
        for segment in parsing.segments:
            if segment.instance and segment.instance not in tracks:
                tracks[segment.instance] = self._next
                self._next += 1
        self._previous, self._tracks = parsing, tracks
        return tracks

    def _matches(self, parsing):
        table = overlap_table(
            self._previous.semantic,
            self._previous.instance,
            parsing.semantic,
            parsing.instance,
            num_classes=parsing.dataset.num_classes,
            ignore_label=parsing.dataset.ignore_label,
        )
        before, now = table.pair_gt, table.pair_pred
        iou = table.pair_area / (table.gt_area[before] + table.pred_area[now] - table.pair_area)
        iou = np.where(table.gt_class[before] == table.pred_class[now], iou, 0.0)
        scores = np.zeros((len(table.gt_area), len(table.pred_area)))
        scores[before, now] = np.where(
            (table.gt_instance[before] > 0) & (table.pred_instance[now] > 0), iou, 0.0
        )
        return [
            (int(table.gt_instance[row]), int(table.pred_instance[column]))
            for row, column in zip(*linear_sum_assignment(-scores))
            if scores[row, column] >= _SMALLEST_IOU
        ]


def track_colors(parsing, tracks):
    """Colours by track: dict segment id -> (r, g, b), for `visualize.draw_parsing`."""
    palettes = [shades(color, _SHADES) for color in parsing.dataset.colors]
    return {
        segment.id: palettes[segment.class_index][tracks[segment.instance] % _SHADES]
        if segment.instance
        else tuple(parsing.dataset.colors[segment.class_index])
        for segment in parsing.segments
    }


class VideoReader:
    """Frames of a video file, uint8 [H, W, 3], RGB.

    Attributes:
      frames_per_second: of the file; 25 where it does not say.
      expected: number of frames the file claims to have, 0 if it does not say.

    Raises:
      UserError: the file is no video that can be read.
    """

    def __init__(self, path):
        self._capture = cv2.VideoCapture(path)
        if not self._capture.isOpened():
            raise UserError(f"{path} is no video that can be read.")
        self.frames_per_second = self._capture.get(cv2.CAP_PROP_FPS) or 25.0
        self.expected = max(int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)

    def __iter__(self):
        while True:
            there, frame = self._capture.read()
            if not there:
                self._capture.release()
                return
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)


class VideoWriter:
    """Writes frames, uint8 [H, W, 3], RGB, as an MP4. Use as a context manager; the first frame
    sets the size.
    """

    def __init__(self, path, frames_per_second):
        self._path, self._rate, self._writer = path, frames_per_second, None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._writer is not None:
            self._writer.release()

    def write(self, frame):
        if self._writer is None:
            size = (frame.shape[1], frame.shape[0])
            self._writer = cv2.VideoWriter(
                self._path, cv2.VideoWriter_fourcc(*"mp4v"), self._rate, size
            )
            if not self._writer.isOpened():
                raise UserError(
                    f"cannot write the video {self._path}: this OpenCV has no MP4 encoder."
                )
        self._writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
