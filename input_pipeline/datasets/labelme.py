"""labelme: a JSON for each photo, in a folder with subfolders.

    a.jpg, a.json, …         the JSON's `imagePath` names its photo, which may also lie beside it
    labels.txt               names of the classes, one a line; without it: all that occur

Shapes are polygons, rectangles, circles and masks; those of one label with one `group_id` are one
object. The label `__ignore__` does not count, `_background_` is what no shape covers. A folder
`train` and a folder `val` are the splits; without them every n-th photo is `val`
(config.data.annotations.val_every). https://github.com/wkentaro/labelme
"""

from __future__ import annotations

import base64
import binascii
import collections
import io
import itertools
import operator
import os
import typing
from collections.abc import Iterable, Sequence

import numpy as np
from ml_collections import ConfigDict

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.atomic import read_json
from deeperlab_tf.files.images import IMAGE_ENDINGS, read_mask
from deeperlab_tf.files.made import results_among
from deeperlab_tf.schema import IGNORE_LABEL
from deeperlab_tf.work.names import NameSet, kept_names, sorted_names
from deeperlab_tf.work.values import Mapped
from input_pipeline.datasets.layout import (
    check_root,
    described_by,
    existing_file,
    read_list,
    split_every,
    unique_names,
    walk_files,
)
from input_pipeline.datasets.outlined import (
    NO_AREA,
    Found,
    Outlined,
    Photo,
    check_stated_size,
    kept_photos,
)
from input_pipeline.datasets.outlines import (
    FaultyOutline,
    Region,
    RunLengths,
    Size,
    circle_runs,
    mask_runs,
    polygon_runs,
    union,
)
from input_pipeline.datasets.photos import check_photos_once
from input_pipeline.datasets.rules import OutlinedClass, Rules, list_classes
from input_pipeline.datasets.values import shown, to_name, to_number

_IGNORE = "__ignore__"
_LABELS = "labels.txt"
_SPLIT_FOLDERS = {"val": ("val", "valid", "validation")}
_WITHOUT_AREA = ("point", "points", "line", "linestrip")
_PNG = b"\x89PNG"
_CORNERS = 2  # points of a rectangle, a circle and a mask


def open_split(config: ConfigDict, split: str) -> Labelme:
    """The `Labelme` that `config.data` describes."""
    return Labelme(config.data.root, split, config.data.classes, Rules.of(config))


class Labelme(Outlined):
    """Source of a split of labelme's files.

    Args:
      root: folder of the data.
      split: train | val, or the name of a subfolder.
      labels: path of the list of classes; "": labels.txt in the root, or all labels that occur.
      rules: what the files leave open.

    Raises:
      UserError: there is no JSON of labelme's, one is broken, or two are of one photo.
    """

    def __init__(self, root: str, split: str, labels: str = "", rules: Rules | None = None):
        check_root(root)
        rules = rules or Rules()
        root = storage.abspath(root)
        files, labels_found = _look_through(root)
        if not files:
            raise UserError(f"there is no JSON of labelme's in {root}; check config.data.root.")
        names = _class_names(root, labels, labels_found)
        where = labels or root
        entries = [OutlinedClass(name, name) for name in names]
        classes = list_classes(storage.basename(root), entries, rules, where)

        self._root = root
        folder, has_folder = _split_folder(root, split)
        start = storage.join(folder, "")
        inside = (_File(*file) for file in files if file[0].startswith(start))
        pairs = kept_names((_photo_of(file, root), file.path) for file in inside)
        paths, keys = (Mapped(pairs, operator.itemgetter(place)) for place in (0, 1))
        check_photos_once(paths, keys)
        bare = _without_json(folder, paths)
        self._loose = _loose_photos(root) if has_folder else []
        self._skipped = bare if rules.without_labels == "skip" else []
        pairs = sorted_names(
            itertools.chain(pairs, () if self._skipped else ((p, None) for p in bare))
        )
        names = unique_names(Mapped(pairs, lambda pair: storage.relpath(pair[0], root)))
        photos = kept_photos(Photo(name, *pair) for name, pair in zip(names, pairs))
        if not has_folder:
            photos = kept_photos(split_every(photos, split, rules.val_every))
        super().__init__(classes, photos, rules)

    def find_regions(self, photo: Photo, size: Size) -> Found:
        """The regions of a photo's JSON, each group one."""
        if photo.key is None:
            return Found([], collections.Counter())
        content = read_json(photo.key, "annotation")
        shapes = _shapes(content, photo.key)
        stated = content.get("imageHeight"), content.get("imageWidth")
        is_sized = check_stated_size(*stated, photo, size)
        parts, odd = {}, collections.Counter()
        for number, shape in enumerate(shapes):
            label, group = self._label(shape), shape.get("group_id")
            is_single = group is None or isinstance(group, (dict, list))
            key = (label, "shape", number) if is_single else (label, "group", group)
            runs = _runs(shape, size)
            if runs is None:
                odd[NO_AREA] += 1
            else:
                parts.setdefault(key, []).append(runs)
        regions = [Region(key[0], union(runs)) for key, runs in parts.items()]
        return Found(regions, odd, is_sized)

    def label_files(self, index: int) -> tuple[str, ...]:
        """Path of the photo's JSON, if there is one."""
        path = self._photos[index].key
        return (path,) if path else ()

    def incomplete(self) -> dict[int, str]:
        """JSONs whose photo is missing and, unless the rules allow them, photos without a JSON."""
        found = {}
        for index, photo in enumerate(self._photos):
            if photo.key is None and self._rules.without_labels == "error":
                found[index] = f"image {photo.name!r} has no JSON: no file of labelme's is of it"
            elif not storage.isfile(photo.path):
                found[index] = (
                    f"image {photo.name!r} has no image: neither the imagePath of {photo.key} nor "
                    f"{photo.path} exists"
                )
        return found

    def unlabelled(self) -> list[str]:
        """Sentences about the photos without a JSON that are left out, and those in no split."""
        sentences = []
        if self._skipped:
            skipped = ", ".join(storage.relpath(path, self._root) for path in self._skipped)
            sentences.append(f"{len(self._skipped)} photos without a JSON are left out: {skipped}")
        if self._loose:
            loose = ", ".join(self._loose)
            sentences.append(f"{len(self._loose)} photos in {self._root} are in no split: {loose}")
        return sentences

    def _label(self, shape: dict) -> int:
        name = to_name(shape.get("label"))
        if name == _IGNORE:
            return IGNORE_LABEL
        if name not in self._classes.label_of_key:
            raise FaultyOutline(
                f"has a shape of the label {shown(shape.get('label'))}, which is no class"
            )
        return self._classes.label_of_key[name]


# === Files ===


class _File(typing.NamedTuple):
    """What is kept of a JSON: its path, and what it calls its photo."""

    path: str
    image_path: str


def _look_through(root: str) -> tuple[Sequence[_File], set[str]]:
    """All JSONs of labelme's, and the labels that occur in them."""
    labels = set()
    files = (_look_at(path, labels) for path in walk_files(root, (".json",)))
    return kept_names(file for file in files if file), labels - {None, _IGNORE}


def _look_at(path: str, labels: set[str]) -> _File | None:
    """None if a JSON is not labelme's; one that is broken is an error once it is read.

    Its labels are added to `labels`.
    """
    try:
        content = read_json(path, "annotation")
        if not isinstance(content, dict) or "shapes" not in content:
            return None
        labels.update({to_name(shape.get("label")) for shape in _shapes(content, path)})
    except UserError:
        return _File(path, "")
    image_path = content.get("imagePath")
    return _File(path, image_path.replace("\\", "/") if isinstance(image_path, str) else "")


def _shapes(content: typing.Any, path: str) -> list[dict]:
    shapes = content.get("shapes") if isinstance(content, dict) else None
    if not isinstance(shapes, list) or not all(isinstance(shape, dict) for shape in shapes):
        raise UserError(f"{path} is not a JSON of labelme's: it has no list of shapes.")
    return shapes


def _class_names(root: str, given: str, found: set[str]) -> list[str]:
    path = described_by(root, given or _LABELS)
    if given or storage.isfile(path):
        return [name for name in read_list(path, "classes") if name != _IGNORE]
    if not found:
        raise UserError(f"no JSON in {root} has a shape with a label; draw some.")
    return sorted(found)


def _split_folder(root: str, split: str) -> tuple[str, bool]:
    """The folder of a split, and whether it has one of its own."""
    for name in _SPLIT_FOLDERS.get(split, (split,)):
        path = storage.join(root, name)
        if storage.isdir(path):
            return path, True
    return root, False


def _loose_photos(root: str) -> list[str]:
    """Names of the pictures beside the folders of the splits."""
    names = sorted(name for name, _ in storage.scan(root) if name[0] != ".")
    return [name for name in names if name.lower().endswith(IMAGE_ENDINGS)]


def _photo_of(file: _File, root: str) -> str:
    """Path of the photo of a JSON; where it should be, if there is none."""
    folder, given = storage.dirname(file.path), file.image_path
    if given and "\0" not in given:
        # Beside the JSON, or where the name leads to unless that is out of the root.
        relative = storage.relpath(storage.join(folder, given), root)
        places = [storage.join(folder, storage.basename(given))]
        if not storage.isabs(given) and relative.split(os.sep)[0] != os.pardir:
            places.insert(0, storage.join(root, relative))
        for place in places:
            found = existing_file(place)
            if found:
                return found
    stem = storage.splitext(file.path)[0]
    return existing_file(f"{stem}.*") or f"{stem}.jpg"


def _without_json(folder: str, photos: Iterable[str]) -> Sequence[str]:
    """The pictures of a folder that are not among these photos, nor results of a parse."""
    known = NameSet(photos)
    left = kept_names(path for path in walk_files(folder, IMAGE_ENDINGS) if path not in known)
    if not left:
        return []
    is_ours = results_among(walk_files(folder, (".json",)))
    return kept_names(path for path in left if not is_ours(path))


# === Shapes ===


def _runs(shape: dict, size: Size) -> RunLengths | None:
    """The region of a shape; None if it has no area."""
    kind = shape.get("shape_type", "polygon") or "polygon"
    if kind in _WITHOUT_AREA:
        return None
    points = _points(shape.get("points"))
    if kind == "mask":
        return _mask_runs(shape, points, size)
    if kind == "rectangle" and len(points) == _CORNERS:
        (left, top), (right, bottom) = points
        points = [[left, top], [right, top], [right, bottom], [left, bottom]]
    elif kind == "circle":
        return circle_runs(*points, size) if len(points) == _CORNERS else None
    elif kind not in ("polygon", "rectangle", "oriented_rectangle"):
        raise FaultyOutline(f"has a shape of the type {shown(kind)}; draw polygons")
    return polygon_runs([value for point in points for value in point], size)


def _points(value: typing.Any) -> list[list[float]]:
    points = value if isinstance(value, list) else [None]
    for point in points:
        is_pair = isinstance(point, list) and len(point) == 2
        if not is_pair or None in [to_number(number) for number in point]:
            raise FaultyOutline(f"has a shape whose points are {shown(value)}; give pairs x, y")
    return points


def _mask_runs(shape: dict, points: list[list[float]], size: Size) -> RunLengths | None:
    """The region of a mask: a PNG in base64, whose corners in the image are the points."""
    try:
        data = base64.b64decode(shape["mask"])
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise FaultyOutline("has a shape of the type mask without a mask in base64") from error
    try:
        if not data.startswith(_PNG):
            raise UserError("it is no PNG.")
        mask = read_mask(io.BytesIO(data)) > 0
    except UserError as error:
        raise FaultyOutline("has a shape of the type mask whose PNG cannot be read") from error
    if len(points) != _CORNERS:
        raise FaultyOutline("has a shape of the type mask that has no two corners")
    x, y = (round(min(values)) for values in zip(*points))
    whole = np.zeros(size, bool)
    # What sticks out of the image is cut off.
    top, left = max(y, 0), max(x, 0)
    inside = mask[top - y :, left - x :][: max(size[0] - top, 0), : max(size[1] - left, 0)]
    whole[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
    return mask_runs(whole) if whole.any() else None
