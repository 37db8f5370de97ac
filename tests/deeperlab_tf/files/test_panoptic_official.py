"""Scores of odd files are those of COCO's own evaluator, and the strict reading refuses them."""

import contextlib
import importlib.util
import io
import json
import math
import os
import tempfile
import warnings

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from deeperlab_tf.errors import UserError
from deeperlab_tf.evaluation.files import evaluate_files
from deeperlab_tf.files import large_json
from deeperlab_tf.files.atomic import read_json
from deeperlab_tf.work import names
from tests.deeperlab_tf.files.official_rules import Counts, Refused, quality_of_files

EXAMPLES = int(os.environ.get("DEEPERLAB_OFFICIAL_EXAMPLES", "60"))
CATEGORIES = [
    dict(id=1, name="lawn", isthing=0),
    dict(id=2, name="cat", isthing=1),
    dict(id=3, name="dog", isthing=1),
]


# === Files ===


def to_rgb(ids):
    return np.stack([ids % 256, ids // 256 % 256, ids // 65536], -1).astype(np.uint8)


def save_png(path, ids, mode="RGB"):
    """Ids as a picture of one of several modes."""
    rgb = to_rgb(np.asarray(ids))
    if mode == "16 bits":
        cv2.imwrite(path, rgb[..., ::-1].astype(np.uint16) * 256 + 17)
    elif mode == "RGBA":
        alpha = np.arange(rgb[..., :1].size).reshape(rgb[..., :1].shape).astype(np.uint8)
        Image.fromarray(np.concatenate([rgb, alpha], -1)).save(path)
    elif mode == "CMYK":
        four = np.concatenate([rgb, rgb[..., :1]], -1)
        Image.fromarray(four, "CMYK").save(path, format="TIFF")
    elif mode == "grey":
        Image.fromarray(rgb[..., 0]).save(path)
    else:
        Image.fromarray(rgb).save(path)


def write_side(folder, name, images, categories):
    """Writes [(image_id, ids, mode, segments)]; returns the JSON's path and the folder's."""
    pngs = os.path.join(folder, name)
    os.makedirs(pngs)
    annotations = []
    for number, (image_id, ids, mode, segments) in enumerate(images):
        file_name = f"{number}.png"
        save_png(os.path.join(pngs, file_name), ids, mode)
        annotations.append(dict(image_id=image_id, file_name=file_name, segments_info=segments))
    path = os.path.join(folder, f"{name}.json")
    with open(path, "w") as file:
        json.dump(dict(annotations=annotations, categories=categories), file)
    return path, pngs


def segment(number, category=2, area=None, iscrowd=0, **more):
    area = {} if area is None else dict(area=area)
    return dict(id=number, category_id=category, iscrowd=iscrowd, **area, **more)


@pytest.fixture
def score(tmp_path):
    """Function (truth, prediction, categories, strict) -> the result; each side is an image's
    (ids, segments) or a list of what `write_side` takes.
    """
    count = iter(range(100))

    def run(truth, prediction, categories=CATEGORIES, strict=False):
        folder = str(tmp_path / str(next(count)))
        paths = ()
        for name, side in (("truth", truth), ("prediction", prediction)):
            images = side if isinstance(side, list) else [(7, side[0], "RGB", side[1])]
            paths += write_side(folder, name, images, categories)
        if not strict:
            with np.errstate(divide="ignore"):
                assert_equal_to(quality_of_files(*paths), evaluate_files(*paths).result())
        assert _told(paths, strict) == _told_on_disk(paths, strict)
        return evaluate_files(*paths, strict=strict).result()

    return run


def _told(paths, strict):
    """All that is said of files, errors included."""
    try:
        evaluation = evaluate_files(*paths, strict=strict)
    except UserError as error:
        return str(error)
    return repr(evaluation.result()), list(evaluation.names)


def _told_on_disk(paths, strict):
    """The same, of JSONs that count as long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(large_json, "HELD", -1)
        patch.setattr(names, "HELD", 1)
        return _told(paths, strict)


def assert_equal_to(expected, result):
    """A result has the `Counts` of each category, and the means that follow from them."""
    pq, rq = [], []
    for values in result["per_class"]:
        counts = expected.get(values["id"], Counts(0.0, 0, 0, 0))
        assert (values["tp"], values["fp"], values["fn"]) == counts[1:], values
        if math.isinf(counts.iou_sum):
            assert math.isinf(values["iou_sum"])
        else:
            assert values["iou_sum"] == pytest.approx(counts.iou_sum, rel=1e-13, abs=1e-12)
        segments = counts.tp + 0.5 * counts.fp + 0.5 * counts.fn
        if segments:
            pq.append(counts.iou_sum / segments)
            rq.append(counts.tp / segments)
    for name, means in (("pq", pq), ("rq", rq)):
        if means:
            assert result[name] == pytest.approx(sum(means) / len(means), rel=1e-12, abs=1e-12)
    assert result["num_classes"] == len(pq)


# === The cases, one by one ===

ROW = np.array([[1] * 10 + [2] * 6 + [3] * 4])


def note_of(result, words):
    return any(words in note for note in result["notes"])


def test_of_two_crowds_of_a_class_the_last_excuses(score):
    truth = (ROW, [segment(1, area=10), segment(2, iscrowd=1), segment(3, iscrowd=1)])
    found = np.where(ROW == 1, 1, 5)
    prediction = (found, [segment(1), segment(5)])
    result, strict = score(truth, prediction), score(truth, prediction, strict=True)
    assert result["pq"] == pytest.approx(1 / 1.5)  # only 4 of 10 pixels are excused
    assert strict["pq"] == 1.0
    assert note_of(result, "image 7: several crowd regions of one class")
    assert not note_of(strict, "crowd regions")


def test_the_last_crowd_is_the_last_in_the_file_not_by_its_id(score):
    truth = (ROW, [segment(1, area=10), segment(3, iscrowd=1), segment(2, iscrowd=1)])
    prediction = (np.where(ROW == 1, 1, 5), [segment(1), segment(5)])
    assert score(truth, prediction)["pq"] == 1.0  # 6 of 10


def test_the_area_of_the_truth_is_that_of_its_json(score):
    truth = (ROW, [segment(1, area=30), segment(2, 3, area=6), segment(3, 1, area=4)])
    prediction = (ROW, [segment(1), segment(2, 3), segment(3, 1)])
    result, strict = score(truth, prediction), score(truth, prediction, strict=True)
    assert result["per_class"][1]["tp"] == 0 and result["pq"] == pytest.approx(2 / 3)
    assert strict["pq"] == 1.0
    assert note_of(result, "whose area in the JSON is not that of the PNG")


def test_an_area_that_is_too_small_gives_more_than_one(score):
    truth = (ROW, [segment(1, area=5), segment(2, 3, area=6), segment(3, 1, area=4)])
    prediction = (ROW, [segment(1), segment(2, 3), segment(3, 1)])
    result = score(truth, prediction)
    assert result["per_class"][1]["pq"] == 2.0 and note_of(result, "an IoU above 1")


def test_a_missing_area_is_that_of_the_png(score, tmp_path):
    paths = write_side(str(tmp_path), "truth", [(7, ROW, "RGB", [segment(1)])], CATEGORIES)
    ours = write_side(str(tmp_path), "ours", [(7, ROW % 3 % 2, "RGB", [segment(1)])], CATEGORIES)
    assert evaluate_files(*paths, *ours).result()["pq"] == 1.0


def test_a_true_segment_without_a_pixel_is_missed(score):
    truth = (ROW, [segment(1, area=10), segment(9, area=0), *(segment(n, 3, 5) for n in (2, 3))])
    prediction = (ROW, [segment(1), segment(2, 3), segment(3, 3)])
    result = score(truth, prediction)
    assert result["per_class"][1]["fn"] == 1
    assert note_of(result, "a true segment without a pixel")
    with pytest.raises(UserError, match="segment 9 is in the JSON but has no pixel"):
        score(truth, prediction, strict=True)


@pytest.mark.parametrize("number", [7.5, -1, 2**24, 2**70, "1", None])
def test_a_true_id_that_no_png_can_hold_is_missed(score, number):
    truth = (ROW, [segment(number, area=3)])
    assert score(truth, (ROW, [segment(n) for n in (1, 2, 3)]))["per_class"][1]["fn"] == 1


def test_pixels_that_the_truth_does_not_list_are_not_void(score):
    prediction = (ROW, [segment(n) for n in (1, 2, 3)])
    result = score((ROW, [segment(1, area=10)]), prediction)
    assert result["per_class"][1]["fp"] == 2
    assert note_of(result, "pixels of the truth whose id is not in the JSON")


def test_a_true_segment_of_an_unknown_category_does_not_count(score):
    truth = (ROW, [segment(1, area=10), segment(2, 99, 6), segment(3, 3, area=4)])
    prediction = (ROW, [segment(1), segment(2), segment(3, 3)])
    result = score(truth, prediction)
    assert result["per_class"][1]["fp"] == 1 and result["num_classes"] == 2
    assert note_of(result, "category that is not in the list")


def test_the_id_0_may_be_a_segment(score):
    ids = np.where(ROW == 1, 0, ROW)
    segments = [segment(2, 3, area=6), segment(3, 1, area=4)]
    predicted = score((ROW, [segment(1, area=10), *segments]), (ids, [segment(0), *segments]))
    assert predicted["pq"] == 1.0 and note_of(predicted, "the id 0, which also means void")
    # Of the truth it is void as well: 8 / (8 + 10 - 8 - 8).
    part = np.where(np.arange(20) < 8, 1, np.where(ROW == 1, 2, ROW))
    truth = (ids, [segment(0, area=10), *segments])
    true = score(truth, (part, [segment(1), segment(2, 3), segment(3, 1)]))
    assert true["per_class"][1]["pq"] == 4.0 and note_of(true, "an IoU above 1")


def test_an_infinite_quality_is_told(score):
    segments = [segment(0, area=16), segment(3, 3, area=4)]
    ids = np.where(ROW < 3, 0, ROW)
    result = score((ids, segments), (ids, segments))
    assert math.isinf(result["pq"]) and note_of(result, "pq is infinite")


def test_a_segment_that_is_listed_twice_counts_as_the_last(score):
    truth = (ROW, [segment(n, 3, area=area) for n, area in ((1, 10), (2, 6), (3, 4))])
    prediction = (ROW, [segment(1), segment(2, 3), segment(3, 3), segment(1, 3)])
    result = score(truth, prediction)
    assert result["pq"] == 1.0 and note_of(result, "a segment that is listed twice")


def test_ids_that_are_equal_need_not_look_alike(score):
    truth = [(7.0, ROW, "RGB", [segment(1.0, 2.0, area=15.0, iscrowd=False)])]
    prediction = [(7, ROW, "RGB", [segment(n, 2 + 0.0) for n in (1, 2.0, 3)])]
    categories = [
        dict(one, id=float(one["id"]), isthing=float(one["isthing"])) for one in CATEGORIES
    ]
    result = score(truth, prediction, categories)
    assert result["num_classes_things"] == 1 and result["per_class"][1]["fp"] == 2


@pytest.mark.parametrize("mode", ["RGBA", "16 bits", "CMYK"])
def test_pngs_of_other_modes_are_read(score, mode):
    ids = ROW * 1000
    segments = [segment(1000, area=10), segment(2000, 3, area=6), segment(3000, 1, area=4)]
    plain, odd = [(7, ids, "RGB", segments)], [(7, ids, mode, segments)]
    result = score(odd, plain)
    assert score(plain, odd)["pq"] == result["pq"] == 1.0
    if mode == "16 bits":
        assert note_of(result, "colours of 16 bits")
        with pytest.raises(UserError, match="has colours of 16 bits"):
            score(odd, plain, strict=True)


def test_images_may_come_twice(score):
    whole, half = [segment(1, area=20)], [segment(1), segment(2, 3)]
    ids, other = np.ones((1, 20), int), np.where(np.arange(20) < 15, 1, 2)[None]
    truth = [(7, ids, "RGB", whole), (7, ids, "RGB", whole), ("7", ids, "RGB", whole)]
    prediction = [(7, ids, "RGB", whole), ("7", ids, "RGB", whole), (7, other, "RGB", half)]
    result = score(truth, prediction)
    assert result["per_class"][1]["iou_sum"] == 0.75 + 0.75 + 1.0
    assert note_of(result, "an image that the truth has twice")
    assert note_of(result, "an image that the prediction has twice")
    assert result["num_images"] == 3


def test_what_is_one_pixel_high_is_repeated(score):
    ids = np.repeat(ROW, 4, axis=0)
    truth = (ids, [segment(1, area=40), segment(2, 3, area=24), segment(3, 1, area=16)])
    result = score(truth, (ROW, [segment(1), segment(2, 3), segment(3, 1)]))
    assert note_of(result, "two sizes")


def test_categories_may_be_odd(score):
    categories = [
        dict(id=1, isthing=0),
        dict(id=2, name="cat", isthing=2),
        dict(id=3, name="cat", isthing=1),
        dict(id="x", name="cat", isthing=True),
        dict(id=3, name="cat", isthing=0),
    ]
    truth = (ROW, [segment(1, "x", area=10), segment(2, 2, area=6), segment(3, 3, area=4)])
    result = score(truth, (ROW, [segment(1, "x"), segment(2), segment(3, 3)]), categories)
    assert result["pq"] == 1.0
    assert (result["num_classes_things"], result["num_classes_stuff"]) == (1, 2)
    names = [values["name"] for values in result["per_class"]]
    assert len(set(names)) == 4 and names[1] == "cat"
    for words in ("listed twice", "without a name", "neither 0 nor 1"):
        assert note_of(result, words)


def test_more_classes_than_a_byte_can_tell_are_scored(score):
    categories = [dict(id=n, name=str(n), isthing=n % 2) for n in range(600)]
    truth = (ROW, [segment(1, 255, area=10), segment(2, 256, area=6), segment(3, 599, area=4)])
    result = score(truth, (ROW, [segment(1, 255), segment(2, 256), segment(3, 598)]), categories)
    assert result["per_class"][256]["tp"] == result["per_class"][255]["tp"] == 1
    assert result["num_classes"] == 4


def test_predictions_that_the_evaluator_refuses_are_refused(tmp_path):
    truth = write_side(str(tmp_path), "t", [(7, ROW, "RGB", [segment(1, area=10)])], CATEGORIES)
    cases = {
        "segment 3 is in the PNG but not in the JSON": [segment(1), segment(2)],
        "segment 9 is in the JSON but has no pixel": [segment(n) for n in (1, 2, 3, 9)],
        "category 99, which is not among": [segment(1, 99), segment(2), segment(3)],
        "an id and a category_id": [dict(id=1)],
    }
    for number, (message, segments) in enumerate(cases.items()):
        name = f"p{number}"
        images = [(7, ROW, "RGB", segments), (8, ROW, "RGB", "broken, but not asked for")]
        ours = write_side(str(tmp_path), name, images, CATEGORIES)
        with pytest.raises(UserError, match=message):
            evaluate_files(*truth, *ours)
    grey = write_side(str(tmp_path), "grey", [(7, ROW, "grey", [segment(1)])], CATEGORIES)
    with pytest.raises(UserError, match="must be RGB, not L"):
        evaluate_files(*truth, *grey)


# === Any files ===

IDS = [0, 1, 2, 3, 256, 65536 + 2, 2**24 - 1]
MODES = ["RGB", "RGB", "RGB", "RGBA", "16 bits", "CMYK", "grey"]


def as_json_number(draw, value):
    return draw(st.sampled_from([value, value, value, float(value)]))


@st.composite
def true_segments(draw, ids):
    """Segments of a truth's PNG, oddly."""
    shown = [value for value in np.unique(ids).tolist() if draw(st.integers(0, 5))]
    strange = draw(
        st.lists(st.sampled_from([*IDS, 7, 7.5, -1, "1", None, 2**24, True]), max_size=2)
    )
    numbers = draw(st.permutations(shown + strange))
    segments = []
    for number in numbers:
        area = int(np.sum(ids == number)) if number not in ("1", None) else 4
        areas = [area] * 4 + [area + 1, area / 2, 0, -3, float("nan"), float("inf"), True]
        segments.append(
            dict(
                id=as_json_number(draw, number) if number in IDS else number,
                category_id=draw(st.sampled_from([1, 1, 1, 2, 2, 3.0, 99, "x"])),
                area=draw(st.sampled_from(areas)),
                iscrowd=draw(st.sampled_from([0, 0, 0, 1, 1, True, 1.0, 2, False])),
            )
        )
    return segments


@st.composite
def predicted_segments(draw, ids):
    shown = np.unique(ids).tolist()
    if draw(st.booleans()):
        shown = [value for value in shown if value]
    if not draw(st.integers(0, 9)):
        shown = [*shown, draw(st.sampled_from(IDS))]  # again, or without a pixel
    return [
        dict(
            id=as_json_number(draw, number),
            category_id=draw(st.sampled_from([1, 1, 1, 2, 2, 3.0, "x"])),
        )
        for number in draw(st.permutations(shown))
    ]


@st.composite
def image_pairs(draw):
    """The ids, mode and segments of one image, true and predicted."""
    size = draw(st.tuples(st.integers(1, 4), st.integers(1, 6)))
    count = size[0] * size[1]
    few = draw(st.lists(st.sampled_from(IDS), min_size=1, max_size=4))
    gt = np.array(draw(st.lists(st.sampled_from(few), min_size=count, max_size=count)))
    pred = gt.copy()
    for _ in range(draw(st.integers(0, max(count // 2, 1)))):
        pred[draw(st.integers(0, count - 1))] = draw(st.sampled_from(few))
    gt, pred = gt.reshape(size), pred.reshape(size)
    if not draw(st.integers(0, 9)):
        pred = pred[:1] if draw(st.booleans()) else pred[:, :1]

    mode = st.sampled_from(MODES)
    return (
        (gt, draw(mode), draw(true_segments(gt))),
        (pred, draw(mode), draw(predicted_segments(pred))),
    )


@st.composite
def sides(draw):
    """Truth and prediction as `write_side` takes them, and the categories."""
    truth, prediction = [], []
    for image_id in draw(st.lists(st.sampled_from([1, "1", 2.0, "b"]), min_size=1, max_size=3)):
        gt, pred = draw(image_pairs())
        truth.append((image_id, *gt))
        prediction.append((image_id, *pred))
    kind = st.sampled_from([0, 1, True, 1.0, 2, "1"])
    ids = [1, 2, 3, "x", *draw(st.lists(st.sampled_from([1, 2.0]), max_size=1))]
    categories = [dict(id=one, name=f"class {one}", isthing=draw(kind)) for one in ids]
    return truth, draw(st.permutations(prediction)), categories


def official_quality(*paths):
    """`quality_of_files` by COCO's own evaluator."""
    from panopticapi.evaluation import pq_compute_single_core

    truth, prediction = (read_json(path) for path in paths[::2])
    predictions = {annotation["image_id"]: annotation for annotation in prediction["annotations"]}
    categories = {category["id"]: category for category in truth["categories"]}
    quiet = io.StringIO()
    try:
        with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
            pairs = [(one, predictions[one["image_id"]]) for one in truth["annotations"]]
            stat = pq_compute_single_core(0, pairs, paths[1], paths[3], categories)
    except Exception as error:
        raise Refused from error
    found = {key: stat[key] for key in categories}
    return {key: Counts(one.iou, one.tp, one.fp, one.fn) for key, one in found.items()}


RULES = {"the published rules": quality_of_files}
if importlib.util.find_spec("panopticapi"):
    RULES["COCO's evaluator"] = official_quality


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES.keys())
@settings(max_examples=EXAMPLES, deadline=None, database=None)
@given(files=sides())
def test_any_files_score_as_by(rules, files):
    truth, prediction, categories = files
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        paths = write_side(folder, "truth", truth, categories)
        paths += write_side(folder, "prediction", prediction, categories)
        assert _told(paths, strict=False) == _told_on_disk(paths, strict=False)
        try:
            expected = rules(*paths)
        except Refused:
            with contextlib.suppress(UserError):  # nothing but a sentence, or what is meant
                evaluate_files(*paths)
            return
        assert_equal_to(expected, evaluate_files(*paths).result())
        with contextlib.suppress(UserError):
            evaluate_files(*paths, strict=True)
