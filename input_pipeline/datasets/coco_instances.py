"""COCO's object annotations: outlines as polygons or run lengths, in one JSON a split.

    annotations/instances_{split}2017.json       COCO; without the year, CVAT: instances_default
    {split}2017/ or images/                      its photos
    {split}/_annotations.coco.json               Roboflow, the photos beside it
    result.json                                  Label Studio, photos in images/

Another place is given as config.data.classes, {split} in it standing for the split. A JSON without
a split in its name is divided: every n-th photo is `val` (config.data.annotations.val_every).
https://cocodataset.org/#format-data. VIA and many others export it.

Classes are things unless `isthing` of their category or config.data.annotations.stuff say
otherwise. Crowds lie below all other outlines.
"""

from __future__ import annotations

import collections
import contextlib
import operator
from collections.abc import Iterator, Sequence

from ml_collections import ConfigDict

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.panoptic_json import image_key
from deeperlab_tf.schema import IGNORE_LABEL
from deeperlab_tf.work.names import kept_names, sorted_names
from deeperlab_tf.work.tables import Groups, key_set, text_of
from deeperlab_tf.work.values import Mapped
from input_pipeline.datasets.coco_json import (
    SPLITS,
    CocoJson,
    check_same_categories,
    find_json,
    read_coco_json,
)
from input_pipeline.datasets.layout import check_root, split_every, unique_names
from input_pipeline.datasets.outlined import (
    BOX_ONLY,
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
    box_runs,
    check_runs,
    polygon_runs,
    union,
)
from input_pipeline.datasets.photos import (
    PhotoFinder,
    check_photos_once,
    find_photo,
    unnamed_photos,
)
from input_pipeline.datasets.rules import OutlinedClass, Rules, list_classes
from input_pipeline.datasets.values import shown, to_color, to_number, to_whole

_WITH_SPLIT = (
    "annotations/instances_{split}2017.json",
    "annotations/instances_{split}.json",
    "{split}/_annotations.coco.json",
    "annotations/{split}.json",
    "{split}.json",
)
_WITHOUT_SPLIT = (
    "annotations/instances_default.json",
    "result.json",
    "_annotations.coco.json",
    "annotations.json",
    "instances.json",
)
_SPLIT_NAMES = {"val": ("val", "valid", "validation")}
_NO_CATEGORY = "none"  # Roboflow's `supercategory` of the name it gives the whole project


def open_split(config: ConfigDict, split: str) -> CocoInstances:
    """The `CocoInstances` that `config.data` describes."""
    return CocoInstances(config.data.root, split, config.data.classes, Rules.of(config))


class CocoInstances(Outlined):
    """Source of a split of COCO's object annotations.

    Args:
      root: folder of the data.
      split: train | val, or any for which there is a JSON.
      json_path: of the JSON, with {split} in it or not; "": one of the usual places.
      rules: what the file leaves open.

    Raises:
      UserError: a file is missing, or the JSON is not in COCO's format.
    """

    def __init__(self, root: str, split: str, json_path: str = "", rules: Rules | None = None):
        check_root(root)
        rules = rules or Rules()
        places = (_WITH_SPLIT, _WITHOUT_SPLIT)
        names = _SPLIT_NAMES.get(split, (split,))
        found = find_json(root, json_path, places, names)
        content = read_coco_json(found.path)
        check_same_categories(root, json_path, places, found, content)

        self._json = found.path
        name = storage.basename(storage.abspath(root))
        classes = list_classes(name, _classes(content), rules, found.path)
        self._annotations = Groups(content.keys, content.annotations)
        self._strays = _count_strays(content, self._annotations)
        self._check_outlines(content)

        self._root, self._places = root, (json_path, places)
        folders = _photo_folders(root, found.path, names)
        photos = self._list_photos(content, folders)
        self._named = Mapped(photos, operator.attrgetter("path"))
        if not found.has_split:
            photos = Mapped(sorted_names(photos), Photo._make)  # by their names
            photos = kept_photos(split_every(photos, split, rules.val_every))
        self._skipped = []
        if rules.without_labels == "skip":
            self._skipped = kept_names(p.name for p in photos if not self._has_some(p))
            photos = kept_photos(photo for photo in photos if self._has_some(photo))
        super().__init__(classes, photos, rules)

    def find_regions(self, photo: Photo, size: Size) -> Found:
        """The regions of a photo's annotations."""
        _, *stated = photo.key
        is_sized = check_stated_size(*stated, photo, size)
        regions, odd = [], collections.Counter()
        for annotation in self._of(photo):
            label = self._label(annotation)
            runs = _runs(annotation, size)
            if runs is not None:
                is_crowd = bool(to_number(annotation.get("iscrowd", 0)))
                regions.append(Region(label, runs, is_crowd))
                continue
            box = box_runs(annotation.get("bbox"), size)
            odd[BOX_ONLY if box and not annotation.get("segmentation") else NO_AREA] += 1
            if box is not None:
                regions.append(Region(IGNORE_LABEL, box))
        return Found(regions, odd, is_sized)

    def shared_files(self) -> tuple[str, ...]:
        """Path of the JSON."""
        return (self._json,)

    def incomplete(self) -> dict[int, str]:
        """Images of the JSON whose photo is missing."""
        return {
            index: f"image {photo.name!r} of {self._json} has no photo: {photo.path} does not exist"
            for index, photo in enumerate(self._photos)
            if not storage.isfile(photo.path)
        }

    def unlabelled(self) -> list[str]:
        """What is in the JSON or beside its photos, but in no sample; and photos in which it says
        nothing is.
        """
        sentences = []
        if self._strays:
            sentences.append(
                f"{self._strays} annotations of {self._json} are of images that it does not list"
            )
        if crowds := self._crowds_alone():
            sentences.append(
                f"all {crowds} annotations are crowds (iscrowd), so no object can be learned: "
                "export them with iscrowd 0 if each is one object"
            )
        bare = [photo.name for photo in self._photos if not self._has_some(photo)]
        if bare:
            sentences.append(
                f"{len(bare)} images of {self._json} have no annotation, and count as pictures of "
                f"the background: {', '.join(bare)}"
            )
        if self._skipped:
            skipped = ", ".join(self._skipped)
            count = len(self._skipped)
            sentences.append(
                f"{count} images of {self._json} have no annotation and are left out: {skipped}"
            )
        return sentences + unnamed_photos(self._named, self._photos_of_others)

    def _photos_of_others(self) -> Iterator[str]:
        """Paths of the photos of the other splits' JSONs."""
        for split in SPLITS:
            names = _SPLIT_NAMES.get(split, (split,))
            with contextlib.suppress(UserError):  # a split that is broken is told when it is opened
                found = find_json(self._root, *self._places, names)
                if found.path == self._json:
                    continue
                folders = _photo_folders(self._root, found.path, names)
                for image in read_coco_json(found.path).images:
                    yield find_photo(image["file_name"], folders) or ""

    def _of(self, photo: Photo) -> list[dict]:
        """The annotations of a photo."""
        return self._annotations.get(photo.key[0], [])

    def _has_some(self, photo: Photo) -> bool:
        return photo.key[0] in self._annotations

    def _crowds_alone(self) -> int:
        """How many annotations the photos have, if all of them are crowds."""
        count = 0
        for photo in self._photos:
            flags = [bool(to_number(a.get("iscrowd", 0))) for a in self._of(photo)]
            if not all(flags):
                return 0
            count += len(flags)
        return count

    def _label(self, annotation: dict) -> int:
        category = to_whole(annotation.get("category_id"))
        if category not in self._classes.label_of_key:
            given = shown(annotation.get("category_id"))
            raise FaultyOutline(
                f"has an annotation of category {given}, which {self._json} does not list"
            )
        return self._classes.label_of_key[category]

    def _check_outlines(self, content: CocoJson) -> None:
        """Boxes alone cannot be learned from, nor annotations of other images."""
        if self._strays and self._strays == len(content.annotations):
            raise UserError(
                f"{self._json} annotates none of its images: {self._strays} annotations are of "
                "others; export it again."
            )
        if content.annotations and not content.has_outlines:
            raise UserError(
                f"{self._json} has boxes and no outlines: every segmentation is empty; export it "
                "with segmentation masks."
            )

    def _list_photos(self, content: CocoJson, folders: list[str]) -> Sequence[Photo]:
        files = Mapped(content.images, lambda image: image["file_name"])
        names = unique_names(Mapped(files, lambda file: file.replace("\\", "/")))
        find = PhotoFinder(folders, self._json)
        photos = kept_photos(
            Photo(name, find(image["file_name"]), _key(image))
            for image, name in zip(content.images, names)
        )
        find.check(len(photos))
        check_photos_once(Mapped(photos, operator.attrgetter("path")), files, self._json)
        return photos


def _count_strays(content: CocoJson, annotations: Groups) -> int:
    """How many annotations are of images that are not listed."""
    known = key_set(kept_names(text_of(image_key(image["id"])) for image in content.images))
    return sum(count for key, count in annotations.counts() if text_of(key) not in known)


def _key(image: dict) -> tuple:
    """What is known of a photo: key, height and width of its image."""
    return image_key(image["id"]), image.get("height"), image.get("width")


def _classes(content: CocoJson) -> list[OutlinedClass]:
    """The categories; without the one that Roboflow names the project by, if it is not used."""
    parents = [category.get("supercategory") for category in content.categories]
    classes = []
    for category in content.categories:
        is_project = category.get("supercategory") == _NO_CATEGORY and category["name"] in parents
        if is_project and category["id"] not in content.used:
            continue
        is_thing = None if "isthing" not in category else bool(category["isthing"])
        color = to_color(category.get("color"))
        classes.append(OutlinedClass(category["id"], category["name"], is_thing, color))
    return classes


def _runs(annotation: dict, size: Size) -> RunLengths | None:
    """The region of an annotation; None if it has none, or one without area."""
    segmentation = annotation.get("segmentation")
    if isinstance(segmentation, dict):
        return check_runs(segmentation, size)
    if not segmentation:
        return None
    if not isinstance(segmentation, list):
        raise FaultyOutline(f"has the segmentation {shown(segmentation)}")
    # Some write a single polygon without the list around it.
    is_flat = not isinstance(segmentation[0], list)
    polygons = [segmentation] if is_flat else segmentation
    parts = [polygon_runs(polygon, size) for polygon in polygons]
    parts = [part for part in parts if part is not None]
    return union(parts) if parts else None


def _photo_folders(root: str, json_path: str, names: tuple[str, ...]) -> list[str]:
    """Where photos are looked for, the likeliest first."""
    beside = storage.dirname(json_path)
    of_split = [
        folder
        for name in names
        for folder in (f"{name}2017", f"images/{name}2017", f"images/{name}", name)
    ]
    folders = [*of_split, "images", "."]
    paths = [storage.join(root, folder) for folder in folders]
    paths += [beside, storage.join(beside, "images")]
    return [path for path in dict.fromkeys(map(storage.normpath, paths)) if storage.isdir(path)]
