"""Whether a dataset can be trained on, and what is in it."""

import collections

import numpy as np
from tqdm import tqdm

from deeperlab_tf.errors import UserError
from deeperlab_tf.schema import IGNORE_LABEL
from input_pipeline.records.files import CorruptRecord


def check_source(source, max_instances, limit=0, skip_corrupt=False):
    """Reads every sample of a source.

    Args:
      source: see `input_pipeline.datasets`. `problems(index)` and `unlabeled()`, if it has them,
        add warnings.
      max_instances: more instances than this in an image cannot be predicted
        (config.fusion.max_instances).
      limit: look at this many samples only, evenly spread; 0: at all.
      skip_corrupt: corrupt records are warnings instead of errors.

    Returns:
      dict with
        images, sizes (of each "height x width", the most frequent first), instances_per_image
        (mean, most, and in how many images there are more than max_instances), corrupt (records
        that are); classes: a dict for each class, with name, thing, images, segments and pixels;
        errors: what makes training impossible, list of str; warnings: what is odd, list of str.
    """
    count = len(source)
    chosen = (
        range(count)
        if not limit or limit >= count
        else np.linspace(0, count - 1, limit).astype(int).tolist()
    )
    totals = np.zeros((source.dataset.num_classes, 3), np.int64)  # images, segments, pixels
    sizes, names, instances, errors, corrupt = (
        collections.Counter(),
        collections.Counter(),
        [],
        [],
        [],
    )
    warnings = source.unlabeled() if hasattr(source, "unlabeled") else []
    for index in tqdm(chosen, desc="checking", unit="img"):
        try:
            sample = source[index]
            warnings += source.problems(index) if hasattr(source, "problems") else []
        except UserError as error:
            (corrupt if isinstance(error, CorruptRecord) else errors).append(str(error))
            continue
        names[sample["image_id"]] += 1
        sizes["{} x {}".format(*sample["semantic"].shape)] += 1
        instances.append(len(np.unique(sample["instance"][sample["instance"] > 0])))
        counts = _count(sample, source.dataset)
        totals += counts
        if not counts.any():
            warnings.append(f"image {sample['image_id']!r} has no label at all")
    errors += [
        f"image {name!r} is there {number} times" for name, number in names.items() if number > 1
    ]
    (warnings if skip_corrupt else errors).extend(corrupt)
    keys = ("images", "segments", "pixels")
    classes = [
        {"name": category.name, "thing": category.is_thing, **dict(zip(keys, row))}
        for category, row in zip(source.dataset.categories, totals.tolist())
    ]
    absent = [entry["name"] for entry in classes if not entry["images"]]
    if absent:
        warnings.append(
            f"{len(absent)} of {len(classes)} classes do not occur: {', '.join(absent)}"
        )
    if not totals.any():
        errors.append("there is no labelled pixel")
    per_image = dict(
        mean=float(np.mean(instances)) if instances else 0.0,
        most=max(instances, default=0),
        exceeding=sum(number > max_instances for number in instances),
    )
    return dict(
        images=len(instances),
        sizes=dict(sizes.most_common()),
        instances_per_image=per_image,
        corrupt=len(corrupt),
        classes=classes,
        errors=errors,
        warnings=warnings,
    )


def _count(sample, dataset):
    """int64 [classes, 3]: whether a class is in the image, its segments and its pixels there."""
    semantic, instance = sample["semantic"], sample["instance"]
    pixels = np.bincount(semantic[semantic != IGNORE_LABEL], minlength=dataset.num_classes)
    segments = (pixels > 0) & ~np.isin(np.arange(dataset.num_classes), dataset.thing_classes)
    segments = segments.astype(np.int64)
    is_object = (instance > 0) & (semantic != IGNORE_LABEL)
    pairs = np.unique(semantic[is_object].astype(np.int64) << 32 | instance[is_object])
    segments += np.bincount(pairs >> 32, minlength=dataset.num_classes)
    return np.stack([pixels > 0, segments, pixels], axis=1).astype(np.int64)
