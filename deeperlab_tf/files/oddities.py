"""What is odd in files of the COCO panoptic format, though its official evaluator scores them."""

from __future__ import annotations

import collections
import enum
from collections.abc import Iterable
from typing import NamedTuple


class Oddity(enum.Enum):
    """A way in which files are odd: what is found, how the official evaluator takes it, and what
    the strict reading does.
    """

    CROWDS = (
        "several crowd regions of one class",
        "only the last of a class excuses what is predicted there",
        "counts all of them",
    )
    AREA = (
        "a true segment whose area in the JSON is not that of the PNG",
        "the JSON's goes into its IoU",
        "takes the PNG's",
    )
    LARGE_IOU = (
        "an IoU above 1, which the JSON's areas or a true segment 0 bring about",
        "it counts as it is",
        "takes the PNG's areas, and refuses segment 0",
    )
    EMPTY = ("a true segment without a pixel", "it is missed", "refuses it")
    UNLISTED = (
        "pixels of the truth whose id is not in the JSON",
        "they are neither void nor a segment, so what is predicted there is wrong",
        "refuses them",
    )
    UNKNOWN_CATEGORY = (
        "a true segment of a category that is not in the list",
        "it does not count, and what is predicted there is wrong",
        "refuses it",
    )
    VOID_SEGMENT = (
        "a segment with the id 0, which also means void",
        "it is both",
        "refuses it",
    )
    REPEATED_SEGMENT = (
        "a segment that is listed twice",
        "the last entry counts",
        "refuses it",
    )
    REPEATED_TRUTH = ("an image that the truth has twice", "it is scored twice", "refuses it")
    REPEATED_PREDICTION = (
        "an image that the prediction has twice",
        "the last entry counts",
        "refuses it",
    )
    SIXTEEN_BITS = (
        "a PNG with colours of 16 bits",
        "only their upper halves are read",
        "refuses it",
    )
    SIZE = (
        "truth and prediction of two sizes, one of them one pixel high or wide",
        "that pixel is repeated",
        "refuses it",
    )
    CATEGORY_TWICE = ("a category id that is listed twice", "the last entry counts", "refuses it")
    CATEGORY_NAME = (
        "categories without a name, or with one name",
        "names do not matter; here the id is added",
        "refuses them",
    )
    CATEGORY_KIND = (
        "a category whose isthing is neither 0 nor 1",
        "it is stuff",
        "takes it the same way",
    )


class Found(NamedTuple):
    """An oddity and where it was found: "image 7", "category 3"."""

    oddity: Oddity
    place: str


def notes(found: Iterable[Found], may_be_strict: bool = True) -> list[str]:
    """Sentences about all that is odd, one for each kind.

    Args:
      found: what is odd.
      may_be_strict: say what --strict would do.

    Example:
      >>> found = [Found(Oddity.EMPTY, "image 7"), Found(Oddity.EMPTY, "image 9")]
      >>> notes(found)[0][:53]
      'image 7 and 1 more: a true segment without a pixel. '
    """
    # Kind -> its places, in the order in which they were found.
    places = collections.defaultdict(dict)
    for oddity, place in found:
        places[oddity][place] = None

    sentences = []
    for oddity, where in places.items():
        what, official, strict = oddity.value
        first, *others = where
        more = f" and {len(others)} more" if others else ""
        otherwise = f"; --strict {strict}" if may_be_strict else ""
        sentences.append(
            f"{first}{more}: {what}. By the rules of COCO's evaluator {official}{otherwise}."
        )
    return sentences
