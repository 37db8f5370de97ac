import json

import numpy as np
import pytest

from deeperlab_tf.errors import UserError
from deeperlab_tf.evaluation.evaluate import evaluate
from deeperlab_tf.evaluation.files import evaluate_files
from deeperlab_tf.evaluation.results import summary
from deeperlab_tf.files.coco_panoptic import PanopticFiles
from deeperlab_tf.files.panoptic_png import write_ids
from deeperlab_tf.files.panoptic_writer import PanopticWriter
from deeperlab_tf.prediction.parsing import Parsing


class Source:
    """Two images of the toy dataset, the second of another size."""

    def __init__(self, dataset, length=2):
        self.dataset, self._length = dataset, length

    def __len__(self):
        return self._length

    def __getitem__(self, index):
        semantic = np.zeros((20 + 4 * index, 30), np.int32)
        semantic[10:] = 1
        semantic[4:14, 5:15] = 2
        instance = (semantic == 2).astype(np.int32)
        image = np.repeat(semantic[..., None] * 60, 3, axis=-1).astype(np.uint8)
        crowd = np.zeros(semantic.shape, bool)
        return dict(
            image=image,
            semantic=semantic,
            instance=instance,
            crowd=crowd,
            image_id=f"image_{index}",
        )


class FakePredictor:
    """Reads the truth off the gray values of `Source`'s images and shifts it by some columns."""

    def __init__(self, dataset, shift=0):
        self.dataset, self.shift = dataset, shift

    def __call__(self, images):
        maps = [np.roll(image[..., 0] // 60, self.shift, axis=1) for image in images]
        return [
            Parsing.from_maps(m, m == 2, self.dataset, image=image, scores=[0.5])
            for m, image in zip(maps, images)
        ]

    def predict_all(self, source, batch_size):
        for index in range(len(source)):
            yield index, source[index], self([source[index]["image"]])[0]


@pytest.mark.both_stacks
def test_perfect_model_scores_one_and_its_files_are_all_there(toy_dataset, tmp_path):
    result = evaluate(
        FakePredictor(toy_dataset), Source(toy_dataset), str(tmp_path), batch_size=2
    ).result()
    assert result["pq"] == result["pc"] == result["miou"] == result["pq_stuff"] == 1.0
    assert result["ap"] == pytest.approx(1)
    assert result["num_images"] == 2 and result["num_classes"] == 3
    assert result["per_class"][2]["name"] == "disc" and result["per_class"][2]["tp"] == 2
    assert result["notes"] == ["not in truth or prediction, so not in the means: box."]
    assert (tmp_path / "contact_sheet.png").exists()
    assert sorted(path.name for path in (tmp_path / "parses").iterdir()) == [
        "image_0.png",
        "image_1.png",
        "parses.json",
    ]


def test_scoring_the_written_parses_gives_the_same_numbers(toy_dataset, tmp_path):
    source, predictor = Source(toy_dataset), FakePredictor(toy_dataset, shift=2)
    from_model = evaluate(predictor, source, str(tmp_path), batch_size=1).result()
    truth = write_truth(tmp_path, toy_dataset, source)
    prediction = (str(tmp_path / "parses" / "parses.json"), str(tmp_path / "parses"))
    from_files = evaluate_files(*truth, *prediction).result()
    assert 0.5 < from_files["pq"] < 1
    np.testing.assert_equal(from_files, from_model)


class CrowdSource(Source):
    """A disc between two crowd regions of boxes, of 4 and 6 columns."""

    def __getitem__(self, index):
        semantic = np.array([[3] * 4 + [2] * 10 + [3] * 6], np.int32)
        regions = np.array([[1] * 4 + [0] * 10 + [2] * 6], np.int32)
        if index:  # the smaller one comes last
            regions = np.where(regions, 3 - regions, 0)
        instance = (semantic == 2).astype(np.int32)
        image = np.repeat(semantic[..., None] * 60, 3, axis=-1).astype(np.uint8)
        sample = dict(image=image, semantic=semantic, instance=instance, crowd=regions > 0)
        return dict(sample, crowd_regions=regions, image_id=f"image_{index}")


class BoxPredictor(FakePredictor):
    """Finds the disc, and one box over all that is box."""

    def __call__(self, images):
        maps = [image[..., 0] // 60 for image in images]
        instances = [np.where(m == 2, 1, np.where(m == 3, 2, 0)) for m in maps]
        return [
            Parsing.from_maps(m, instance, self.dataset, image=image, scores=[0.5, 0.5])
            for m, instance, image in zip(maps, instances, images)
        ]


def test_of_several_crowds_of_a_class_the_last_excuses_as_in_cocos_evaluator(toy_dataset, tmp_path):
    """One box is predicted over both: 6 of its 10 pixels are excused, or 4, which is too few."""
    source, predictor = CrowdSource(toy_dataset), BoxPredictor(toy_dataset)
    evaluation = evaluate(predictor, source, str(tmp_path), batch_size=1)
    result = evaluation.result()
    box = result["per_class"][3]
    assert (box["tp"], box["fp"], box["fn"]) == (0, 1, 0)
    assert result["pq"] == 0.5  # the disc's 1 and the box's 0
    note = "image image_0 and 1 more: several crowd regions of one class"
    assert any(text.startswith(note) and "strict" not in text for text in result["notes"])


@pytest.mark.slow
def test_number_of_workers_does_not_change_the_result(toy_dataset, tmp_path):
    truth = write_truth(tmp_path, toy_dataset, Source(toy_dataset))
    two, one = evaluate_files(*truth, *truth, workers=2), evaluate_files(*truth, *truth)
    np.testing.assert_equal(two.result(), one.result())


def write_truth(folder, dataset, source):
    writer = PanopticWriter(str(folder / "truth"), str(folder / "truth.json"), dataset)
    for index in range(len(source)):
        sample = source[index]
        parsing = Parsing.from_maps(sample["semantic"], sample["instance"], dataset)
        writer.add(parsing, sample["image_id"], sample["image_id"])
    writer.close()
    return str(folder / "truth.json"), str(folder / "truth")


def test_other_formats_are_written_beside(toy_dataset, tmp_path):
    formats = ("cityscapes", "voc")
    evaluate(
        FakePredictor(toy_dataset), Source(toy_dataset), str(tmp_path), 1, result_formats=formats
    )
    assert (tmp_path / "results_cityscapes" / "instance" / "image_0.txt").read_text() == (
        "masks/image_0_0001.png 2 0.500000\n"
    )
    assert (tmp_path / "results_voc" / "SegmentationObject" / "image_1.png").exists()


class WithBroken(Source):
    """Some of its images cannot be read."""

    def __init__(self, dataset, length, broken):
        super().__init__(dataset, length)
        self._broken = broken

    def __getitem__(self, index):
        if index in self._broken:
            raise UserError(f"image {index}.png cannot be read.")
        return super().__getitem__(index)


@pytest.mark.parametrize("broken", [(0,), (1,), (0, 2)])
def test_images_that_cannot_be_read_are_named_and_the_others_scored(
    broken, toy_dataset, tmp_path, capsys
):
    source = WithBroken(toy_dataset, 3, broken)
    evaluation = evaluate(FakePredictor(toy_dataset), source, str(tmp_path), 1, ["voc"])
    result = evaluation.result()
    assert result["pq"] == 1.0 and result["num_images"] == 3 - len(broken)
    assert result["left_out"] == [f"image {index}.png cannot be read." for index in broken]
    assert f"{len(broken)} of 3 images cannot be read, and do not count." in result["notes"]
    said = capsys.readouterr().err
    assert all(f"left out: image {index}.png cannot be read" in said for index in broken)
    for number, name in enumerate(evaluation.names):
        assert (tmp_path / "parses" / f"{name}.png").exists()
        assert name not in [f"image_{index}" for index in broken]
        scored = evaluation.load(number)
        np.testing.assert_array_equal(scored.truth.semantic, scored.parse.semantic)


def test_no_image_that_can_be_read_is_an_error(toy_dataset, tmp_path):
    source = WithBroken(toy_dataset, 3, (0, 1, 2))
    with pytest.raises(UserError, match=r"none of 3 images can be read; the first: image 0\.png"):
        evaluate(FakePredictor(toy_dataset), source, str(tmp_path))


def test_a_parse_that_does_not_fit_into_a_form_is_scored_all_the_same(
    toy_dataset, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("deeperlab_tf.files.submissions._VOC_VOID", 1)
    result = evaluate(
        FakePredictor(toy_dataset), Source(toy_dataset), str(tmp_path), 1, ["voc", "coco"]
    ).result()
    assert result["pq"] == 1.0 and result["unfit"] == ["image_0", "image_1"]
    assert "left out of results_voc: the parse of image_0" in capsys.readouterr().err
    assert (tmp_path / "results_coco" / "image_1.png").exists()


def test_data_of_other_classes_and_empty_splits_are_refused(toy_dataset, tmp_path):
    import dataclasses

    other = dataclasses.replace(toy_dataset, name="other", categories=toy_dataset.categories[:3])
    with pytest.raises(UserError, match="toy, the data have those of other"):
        evaluate(FakePredictor(toy_dataset), Source(other), str(tmp_path), batch_size=1)
    with pytest.raises(UserError, match="no images"):
        evaluate(
            FakePredictor(toy_dataset), Source(toy_dataset, length=0), str(tmp_path), batch_size=1
        )


def test_no_annotations_at_all_are_refused(toy_dataset, tmp_path):
    truth = write_truth(tmp_path, toy_dataset, Source(toy_dataset, length=1))
    content = json.loads((tmp_path / "truth.json").read_text())
    (tmp_path / "truth.json").write_text(json.dumps(dict(content, annotations=[])))
    with pytest.raises(UserError, match="nothing to evaluate"):
        evaluate_files(*truth, *truth)


class VoidSource(Source):
    """The images of `Source`, nothing of them labelled."""

    def __getitem__(self, index):
        sample = super().__getitem__(index)
        return dict(
            sample, semantic=np.full_like(sample["semantic"], 255), instance=0 * sample["instance"]
        )


def test_truth_of_void_alone_gives_numbers_that_are_none_and_says_so(toy_dataset, tmp_path):
    result = evaluate(
        FakePredictor(toy_dataset), VoidSource(toy_dataset), str(tmp_path), batch_size=2
    ).result()
    assert all(
        np.isnan(result[name]) for name in ("pq", "pq_things", "pq_stuff", "pc", "miou", "ap")
    )
    notes = " ".join(result["notes"])
    for reason in (
        "pc is not a number: the truth labels no pixel outside crowds",
        "pq_things is not a number: of thing classes, none occurs",
        "ap is not a number: the truth has no instance",
        "not in the means: sky, ground, disc, box",
    ):
        assert reason in notes


def test_pictures_of_a_model_show_what_was_scored(toy_dataset, tmp_path):
    evaluation = evaluate(
        FakePredictor(toy_dataset), Source(toy_dataset), str(tmp_path), batch_size=2
    )
    image, truth, parse, crowd = evaluation.load(1)
    np.testing.assert_array_equal(parse.semantic, truth.semantic)
    assert image.shape[:2] == crowd.shape == (24, 30)
    assert [segment.score for segment in parse.segments if segment.is_thing] == [0.5]


class NumberedSource(Source):
    """Whose images have ids of a COCO JSON, besides their names."""

    def __getitem__(self, index):
        return dict(super().__getitem__(index), coco_id=70 + index)


def test_parses_have_the_ids_of_the_truths_json(toy_dataset, tmp_path):
    source = NumberedSource(toy_dataset)
    arguments = (FakePredictor(toy_dataset), source, str(tmp_path), 1)
    evaluation = evaluate(*arguments, result_formats=("coco",))
    for folder in ("parses", "results_coco"):
        content = json.loads((tmp_path / folder / "parses.json").read_text())
        entries = [(each["image_id"], each["file_name"]) for each in content["annotations"]]
        assert entries == [(70 + i, f"image_{i}.png") for i in range(len(source))]
    assert evaluation.load(1).parse.semantic.shape == (24, 30)


def test_bad_files_are_named_from_workers_too(toy_dataset, tmp_path):
    truth = write_truth(tmp_path, toy_dataset, Source(toy_dataset))
    (tmp_path / "truth" / "image_1.png").unlink()
    for workers in (1, 2):
        with pytest.raises(UserError, match=r"there is no file .*image_1\.png"):
            evaluate_files(*truth, *truth, workers=workers)


def test_photos_outside_their_folder_are_refused(toy_dataset, tmp_path):
    truth = write_truth(tmp_path, toy_dataset, Source(toy_dataset))
    content = json.loads((tmp_path / "truth.json").read_text())
    content["images"][0]["file_name"] = "../secret.png"
    (tmp_path / "truth.json").write_text(json.dumps(content))
    evaluation = evaluate_files(*truth, *truth, image_dir=str(tmp_path / "truth"))
    with pytest.raises(UserError, match="leaves the folder"):
        evaluation.load(0)


def test_summary_shows_missing_numbers_as_not_available(toy_dataset, tmp_path):
    stuff_only = Source(toy_dataset, length=1)
    result = evaluate(FakePredictor(toy_dataset), stuff_only, str(tmp_path), batch_size=1).result()
    result["pq_things"] = float("nan")
    assert "n/a" in summary(result) and "note:" in summary(result)


# === The two COCO photos' truth against distorted copies of itself, by the definition of the
# official evaluation ===


def slow_panoptic_quality(truth, prediction):
    """PQ of each class from (ids, segments) of each image: one pair of segments at a time. dict
    class -> counts.
    """
    stat = {}
    for (gt_ids, gt_segments), (pred_ids, pred_segments) in zip(truth, prediction):
        gt_segments = {s["id"]: s for s in gt_segments}
        pred_segments = {s["id"]: s for s in pred_segments}
        matched = set()
        for gt_id, gt in gt_segments.items():
            for pred_id, pred in pred_segments.items():
                if gt["iscrowd"] or gt["category_id"] != pred["category_id"]:
                    continue
                mask = pred_ids == pred_id
                intersection = np.sum((gt_ids == gt_id) & mask)
                union = (
                    np.sum(gt_ids == gt_id)
                    + np.sum(mask)
                    - intersection
                    - np.sum((gt_ids == 0) & mask)
                )
                if intersection / union > 0.5:
                    counts = stat.setdefault(gt["category_id"], [0.0, 0, 0, 0])
                    counts[0] += intersection / union
                    counts[1] += 1
                    matched |= {("gt", gt_id), ("pred", pred_id)}
        for gt_id, gt in gt_segments.items():
            if not gt["iscrowd"] and ("gt", gt_id) not in matched:
                stat.setdefault(gt["category_id"], [0.0, 0, 0, 0])[3] += 1
        for pred_id, pred in pred_segments.items():
            if ("pred", pred_id) in matched:
                continue
            mask = pred_ids == pred_id
            crowd = [
                i
                for i, s in gt_segments.items()
                if s["iscrowd"] and s["category_id"] == pred["category_id"]
            ]
            if np.sum(mask & (np.isin(gt_ids, crowd) | (gt_ids == 0))) / np.sum(mask) <= 0.5:
                stat.setdefault(pred["category_id"], [0.0, 0, 0, 0])[2] += 1
    return stat


def distort(ids, segments, rng):
    """Shifts the map, erases a disc, gives a segment another class and splits another."""
    ids = np.roll(ids, rng.integers(-6, 7, 2), axis=(0, 1))
    rows, columns = np.mgrid[: ids.shape[0], : ids.shape[1]]
    y, x = rng.integers(0, ids.shape)
    ids = np.where(np.hypot(rows - y, columns - x) < 40, 0, ids)
    segments = [dict(segment) for segment in segments if (ids == segment["id"]).any()]
    segments[rng.integers(len(segments))]["category_id"] = 1
    chosen = segments[rng.integers(len(segments))]
    ids = np.where((ids == chosen["id"]) & (columns > ids.shape[1] // 2), 7, ids)
    if (ids == 7).any():
        segments.append(dict(chosen, id=7))
    return ids, [segment for segment in segments if (ids == segment["id"]).any()]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_distorted_coco_annotations_score_as_the_definition_says(data_dir, tmp_path, seed):
    sample = data_dir / "coco_panoptic" / "sample_data"
    paths = (str(sample / "panoptic_examples.json"), str(sample / "panoptic_examples"))
    content = json.loads((sample / "panoptic_examples.json").read_text())
    files, rng = PanopticFiles(*paths), np.random.default_rng(seed)
    truth, prediction = [], []
    for annotation in content["annotations"]:
        ids = files.read(annotation["image_id"])[0].astype(np.int64)
        truth.append((ids, annotation["segments_info"]))
        prediction.append(distort(*truth[-1], rng))
        write_ids(str(tmp_path / annotation["file_name"]), prediction[-1][0])
        annotation["segments_info"] = prediction[-1][1]
    (tmp_path / "distorted.json").write_text(json.dumps(content))
    result = evaluate_files(*paths, str(tmp_path / "distorted.json"), str(tmp_path)).result()

    expected = slow_panoptic_quality(truth, prediction)
    pq, sq, rq = [], [], []
    for values in result["per_class"]:
        iou_sum, tp, fp, fn = expected.get(values["id"], [0.0, 0, 0, 0])
        assert (values["tp"], values["fp"], values["fn"]) == (tp, fp, fn)
        if tp + fp + fn:
            pq.append(iou_sum / (tp + fp / 2 + fn / 2))
            sq.append(iou_sum / tp if tp else 0.0)
            rq.append(tp / (tp + fp / 2 + fn / 2))
    for name, values in (("pq", pq), ("sq", sq), ("rq", rq)):
        assert result[name] == pytest.approx(np.mean(values), abs=1e-12)
    assert result["num_classes"] == len(pq)
    assert 0.05 < result["pq"] < 0.99


def test_real_truth_against_itself_is_exactly_one(data_dir):
    sample = data_dir / "coco_panoptic" / "sample_data"
    paths = (str(sample / "panoptic_examples.json"), str(sample / "panoptic_examples"))
    result = evaluate_files(*paths, *paths).result()
    for name in ("pq", "sq", "rq", "pq_things", "pq_stuff", "pc", "pc_normalized", "miou"):
        assert result[name] == 1.0
