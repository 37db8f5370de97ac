"""The stand-in for a street dataset: class names and colours, no images."""

from __future__ import annotations

from deeperlab_tf.schema import Category, Dataset, distinct_colors

# As many as Mapillary Vistas has; the last ones are things.
NUM_CLASSES, NUM_THINGS = 66, 37


def street_dataset(num_classes: int = NUM_CLASSES, num_things: int = NUM_THINGS) -> Dataset:
    """A dataset whose first classes are stuff and whose last `num_things` are things."""
    first_thing = num_classes - num_things
    categories = []
    for index, color in enumerate(distinct_colors(num_classes)):
        category = Category(f"class {index}", index >= first_thing, color, index)
        categories.append(category)
    return Dataset("street", tuple(categories))
