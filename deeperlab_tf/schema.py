"""What a dataset means: its classes, which of them are things, their colours, and how labels are
encoded.

The description travels with a model (`dataset.json` in a workdir, an asset in an export), so that
a parse can be named and drawn wherever the model goes.
"""

from __future__ import annotations

import colorsys
import dataclasses
import json

from deeperlab_tf.errors import UserError

IGNORE_LABEL = 255
LABEL_DIVISOR = 1000  # panoptic ids and records are class * LABEL_DIVISOR + instance

_HUE_STEP = 0.381966  # golden angle in turns: no two of its multiples are close for long


@dataclasses.dataclass(frozen=True)
class Category:
    """One semantic class.

    Attributes:
      name: what people call it.
      is_thing: True for countable things, False for stuff.
      color: (r, g, b), 0-255.
      original_id: the class' id in the dataset's own files.

    Example:
      >>> Category("cat", is_thing=True, color=(220, 60, 60), original_id=17).name
      'cat'
    """

    name: str
    is_thing: bool
    color: tuple[int, int, int]
    original_id: int


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Description of a dataset; class c of every label map is `categories[c]`.

    Attributes:
      name: dataset name.
      categories: the classes.
      ignore_label: semantic label of pixels that do not count.

    Raises:
      UserError: there are no classes or too many, or two have one name.

    Example:
      >>> lawn = Category("lawn", is_thing=False, color=(90, 160, 60), original_id=0)
      >>> cat = Category("cat", is_thing=True, color=(220, 60, 60), original_id=17)
      >>> dataset = Dataset("garden", (lawn, cat))
      >>> dataset.num_classes, dataset.thing_classes
      (2, (1,))
      >>> Dataset.from_json(dataset.to_json()) == dataset
      True
    """

    name: str
    categories: tuple[Category, ...]
    ignore_label: int = IGNORE_LABEL

    def __post_init__(self) -> None:
        if not self.categories:
            raise UserError(f"dataset {self.name!r} has no classes; list at least one.")

        if len(self.categories) > self.ignore_label:
            raise UserError(
                f"dataset {self.name!r} has {len(self.categories)} classes; label "
                f"{self.ignore_label} means ignore, so at most {self.ignore_label} are possible."
            )

        repeated = _first_repeated(self.class_names)
        if repeated is not None:
            raise UserError(
                f"dataset {self.name!r} names class {repeated!r} twice; "
                "give each class its own name."
            )

    @property
    def num_classes(self) -> int:
        """Number of classes, ignore not among them."""
        return len(self.categories)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name of each class."""
        return tuple(category.name for category in self.categories)

    @property
    def colors(self) -> tuple[tuple[int, int, int], ...]:
        """(r, g, b) of each class."""
        return tuple(tuple(category.color) for category in self.categories)

    @property
    def thing_classes(self) -> tuple[int, ...]:
        """Class indices of things, ascending."""
        return tuple(i for i, category in enumerate(self.categories) if category.is_thing)

    @property
    def stuff_classes(self) -> tuple[int, ...]:
        """Class indices of stuff, ascending."""
        return tuple(i for i, category in enumerate(self.categories) if not category.is_thing)

    def to_json(self) -> str:
        """The description as JSON, with the divisor, which readers elsewhere need."""
        return json.dumps(dict(dataclasses.asdict(self), label_divisor=LABEL_DIVISOR), indent=2)

    @classmethod
    def from_json(cls, text: str, source: str = "dataset.json") -> Dataset:
        """Reads what `to_json` wrote.

        Args:
          text: JSON.
          source: names the file in errors.

        Raises:
          UserError: it is not such a description, or of labels with another divisor.
        """
        try:
            fields = json.loads(text)
            divisor = fields.pop("label_divisor", LABEL_DIVISOR)
            categories = tuple(_to_category(entry) for entry in fields.pop("categories"))
            dataset = cls(categories=categories, **fields)
        except UserError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"{source} is not a dataset description ({error}); restore it or train again."
            ) from error

        if divisor != LABEL_DIVISOR:
            raise UserError(
                f"{source} has label_divisor {divisor}, but only {LABEL_DIVISOR} can be read; "
                "write the records again with this version."
            )
        return dataset


def distinct_colors(count: int) -> tuple[tuple[int, int, int], ...]:
    """`count` (r, g, b) colours, easy to tell apart: hues by the golden angle, two brightnesses."""
    colors = []
    for index in range(count):
        hue = (0.08 + index * _HUE_STEP) % 1.0
        saturation, value = (0.75, 0.95) if index % 2 == 0 else (0.55, 0.7)
        channels = colorsys.hsv_to_rgb(hue, saturation, value)
        colors.append(tuple(round(255 * channel) for channel in channels))
    return tuple(colors)


def voc_color(index: int) -> tuple[int, int, int]:
    """(r, g, b) of an index 0-255 in VOC's palette: bit 3i + c of it is bit 7 - i of channel c."""
    channels = [0, 0, 0]
    for bit in range(8):
        channels[bit % 3] |= (index >> bit & 1) << (7 - bit // 3)
    return tuple(channels)


def _to_category(entry):
    color = tuple(int(channel) for channel in entry["color"])
    original_id = int(entry["original_id"])
    return Category(str(entry["name"]), bool(entry["is_thing"]), color, original_id)


def _first_repeated(names):
    """The alphabetically first name that occurs twice."""
    return min((name for name in names if names.count(name) > 1), default=None)
