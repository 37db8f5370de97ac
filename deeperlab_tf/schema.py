"""What a dataset means: its classes, which of them are things, their colours, and how labels are
encoded.

The descriptor travels with a model (`dataset.json` in a workdir, an asset in an export), so that a
parse can be named and drawn wherever the model goes.
"""

import colorsys
import dataclasses
import json

from deeperlab_tf.errors import UserError

IGNORE_LABEL = 255
LABEL_DIVISOR = 1000  # panoptic ids and records are class * LABEL_DIVISOR + instance


@dataclasses.dataclass(frozen=True)
class Category:
    """One semantic class.

    Attributes:
      name: what people call it.
      is_thing: True for countable things, False for stuff.
      color: (r, g, b), 0-255.
      original_id: the class' id in the dataset's own files.
    """

    name: str
    is_thing: bool
    color: tuple
    original_id: int


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Descriptor of a dataset; class c of every label map is `categories[c]`.

    Attributes:
      name: dataset name.
      categories: tuple of `Category`.
      ignore_label: semantic label of pixels that do not count.
      label_divisor: record files store class * label_divisor + instance.
    """

    name: str
    categories: tuple
    ignore_label: int = IGNORE_LABEL
    label_divisor: int = 1000

    def __post_init__(self):
        if not self.categories:
            raise UserError(f"dataset {self.name!r} has no classes; list at least one.")
        if len(self.categories) > self.ignore_label:
            raise UserError(
                f"dataset {self.name!r} has {len(self.categories)} classes; label {self.ignore_label} means ignore, "
                f"so at most {self.ignore_label} are possible."
            )
        names = [category.name for category in self.categories]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise UserError(
                f"dataset {self.name!r} names class {repeated[0]!r} twice; give each class its own name."
            )

    @property
    def num_classes(self):
        return len(self.categories)

    @property
    def class_names(self):
        return tuple(category.name for category in self.categories)

    @property
    def colors(self):
        return tuple(tuple(category.color) for category in self.categories)

    @property
    def thing_classes(self):
        """Class indices of things, ascending."""
        return tuple(index for index, category in enumerate(self.categories) if category.is_thing)

    @property
    def stuff_classes(self):
        return tuple(
            index for index, category in enumerate(self.categories) if not category.is_thing
        )

    def to_json(self):
        return json.dumps(dataclasses.asdict(self), indent=2)

    @classmethod
    def from_json(cls, text, source="dataset.json"):
        """Reads what `to_json` wrote; `source` names the file in errors."""
        try:
            fields = json.loads(text)
            categories = tuple(
                Category(
                    str(c["name"]),
                    bool(c["is_thing"]),
                    tuple(int(v) for v in c["color"]),
                    int(c["original_id"]),
                )
                for c in fields.pop("categories")
            )
            return cls(categories=categories, **fields)
        except (ValueError, KeyError, TypeError) as error:
            if isinstance(error, UserError):
                raise
            raise UserError(
                f"{source} is not a dataset description ({error}); restore it or train again."
            ) from error


def distinct_colors(count):
    """`count` (r, g, b) colours, easy to tell apart: hues by the golden angle, two brightness
    levels.
    """
    colors = []
    for index in range(count):
        hue = (0.08 + index * 0.381966) % 1.0
        saturation, value = (0.75, 0.95) if index % 2 == 0 else (0.55, 0.7)
        colors.append(
            tuple(round(255 * channel) for channel in colorsys.hsv_to_rgb(hue, saturation, value))
        )
    return tuple(colors)
