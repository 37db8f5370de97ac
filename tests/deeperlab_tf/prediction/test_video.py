import json

import cv2
import numpy as np
import pytest

from deeperlab_tf.errors import UserError
from deeperlab_tf.prediction.parsing import Parsing
from deeperlab_tf.prediction.video import (
    Tracker,
    VideoReader,
    VideoWriter,
    parse_video,
    track_colors,
)

DISC = 2


def scene(dataset, *columns):
    """A parse with one disc of 6 x 6 pixels at each column, numbered in this order."""
    semantic, instance = np.zeros((2, 12, 80), np.int32)
    for number, column in enumerate(columns):
        semantic[3:9, column : column + 6], instance[3:9, column : column + 6] = DISC, number + 1
    return Parsing.from_maps(semantic, instance, dataset)


@pytest.mark.both_stacks
def test_instances_keep_their_track_while_they_overlap(toy_dataset):
    tracker = Tracker()
    first = tracker.update(scene(toy_dataset, 10, 40))
    second = tracker.update(scene(toy_dataset, 41, 12))  # both moved a little, in the other order
    assert second == {1: first[2], 2: first[1]}
    third = tracker.update(scene(toy_dataset, 42, 70))  # one jumped too far: a new object
    assert third[1] == first[2] and third[2] not in first.values()


def test_tracks_start_anew_when_the_size_changes(toy_dataset):
    tracker = Tracker()
    tracker.update(scene(toy_dataset, 10))
    larger = Parsing.from_maps(np.full((20, 20), DISC), np.ones((20, 20), int), toy_dataset)
    assert tracker.update(larger) == {1: 1}


def test_a_track_has_one_color(toy_dataset):
    tracker, colors = Tracker(), []
    for columns in ((10, 40), (41, 12)):
        parsing = scene(toy_dataset, *columns)
        by_segment = track_colors(parsing, tracker.update(parsing))
        colors.append([by_segment[DISC * 1000 + number] for number in (1, 2)])
    assert colors[0] == colors[1][::-1]


def test_frames_survive_writing_and_reading(tmp_path):
    path = str(tmp_path / "video.mp4")
    frames = [np.full((48, 64, 3), value, np.uint8) for value in (40, 120, 200)]
    with VideoWriter(path, 5.0) as writer:
        for frame in frames:
            writer.write(frame)
    reader = VideoReader(path)
    assert reader.frames_per_second == pytest.approx(5.0) and reader.expected == 3
    read = list(reader)
    assert [frame.shape for frame in read] == [(48, 64, 3)] * 3
    assert [abs(int(frame.mean()) - value) < 12 for frame, value in zip(read, (40, 120, 200))] == [
        True
    ] * 3


def test_a_video_that_breaks_off_gives_the_frames_it_has(toy_dataset, tmp_path):
    whole, cut = tmp_path / "whole.avi", tmp_path / "cut.avi"
    writer = cv2.VideoWriter(str(whole), cv2.VideoWriter_fourcc(*"MJPG"), 5.0, (64, 48))
    rng = np.random.default_rng(0)
    for _ in range(20):
        writer.write(rng.integers(0, 256, (48, 64, 3), np.uint8))
    writer.release()
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    reader = VideoReader(str(cut))
    assert 0 < len(list(reader)) < 20 == VideoReader(str(whole)).expected

    def predictor(images):
        labels = np.zeros(images[0].shape[:2], np.int32)
        return [Parsing.from_maps(labels, labels, toy_dataset) for _ in images]

    parsed, expected = parse_video(predictor, str(cut), str(tmp_path / "out"), batch_size=4)
    assert 0 < parsed < expected == 20
    assert len(list(VideoReader(str(tmp_path / "out" / "cut_overlay.mp4")))) == parsed
    assert len(json.loads((tmp_path / "out" / "cut.json").read_text())["frames"]) == parsed


def test_a_file_that_is_no_video_is_named(tmp_path):
    path = tmp_path / "broken.mp4"
    path.write_bytes(b"no video")
    with pytest.raises(UserError, match=r"broken\.mp4 is not a video"):
        VideoReader(str(path))
    assert cv2.VideoCapture(str(path)).isOpened() is False


def test_a_parsed_video_shows_every_frame_and_tells_its_segments(toy_dataset, tmp_path):
    columns = iter(range(10, 60, 2))

    def predictor(images):
        return [scene(toy_dataset, next(columns)) for _ in images]

    with VideoWriter(str(tmp_path / "clip.mp4"), 10.0) as writer:
        for _ in range(5):
            writer.write(np.full((12, 80, 3), 99, np.uint8))
    assert parse_video(
        predictor, str(tmp_path / "clip.mp4"), str(tmp_path / "out"), batch_size=2
    ) == (5, 5)
    frames = list(VideoReader(str(tmp_path / "out" / "clip_overlay.mp4")))
    assert [frame.shape for frame in frames] == [(12, 80, 3)] * 5
    segments = json.loads((tmp_path / "out" / "clip.json").read_text())["frames"]
    discs = [next(segment for segment in frame if segment["name"] == "disc") for frame in segments]
    assert [disc["track"] for disc in discs] == [0] * 5
    assert discs[1]["box"] == [3, 12, 9, 18] and discs[0]["area"] == 36
