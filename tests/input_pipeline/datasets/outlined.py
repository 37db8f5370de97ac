"""The same little scene in every format that people annotate in."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from deeperlab_tf.config import default_config

SIZE = (24, 40)  # height, width
ROAD, CAR, DOG = "road", "car", "dog"
NAMES = (ROAD, CAR, DOG)
# Name and corners (left, top, right, bottom) of each object, in the order they are drawn in.
SCENES = (
    ((ROAD, (0, 12, 40, 24)), (CAR, (2, 4, 12, 16)), (CAR, (8, 8, 20, 20)), (DOG, (30, 2, 36, 8))),
    ((CAR, (20, 10, 34, 22)),),
    ((ROAD, (0, 6, 40, 24)), (DOG, (4, 10, 10, 16))),
    (),
)
# The last photo of each four is `val` where the files have no splits.
COUNT = 8
VAL_EVERY = 4


def scene(number):
    return SCENES[number % len(SCENES)]


def polygon(box):
    left, top, right, bottom = box
    return [left, top, right, top, right, bottom, left, bottom]


def expected(number):
    """Semantic (road 0, car 1, dog 2, background 3) and objects, by plain loops."""
    semantic, objects = np.full(SIZE, 3), np.zeros(SIZE, int)
    for place, (name, (left, top, right, bottom)) in enumerate(scene(number), start=1):
        for y in range(top, bottom):
            for x in range(left, right):
                semantic[y, x] = NAMES.index(name)
                objects[y, x] = 0 if name == ROAD else place
    return semantic, objects


def photo(number):
    return np.random.default_rng(number).integers(0, 256, (*SIZE, 3), np.uint8)


def save_photo(path, number):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(photo(number)).save(path)


def split_of(number):
    return "val" if number % VAL_EVERY == VAL_EVERY - 1 else "train"


# === Writers ===


def write_coco(root, style="polygon"):
    content = {
        "images": [
            {"id": 100 + 7 * n, "file_name": f"day/im{n}.png", "height": SIZE[0], "width": SIZE[1]}
            for n in range(COUNT)
        ],
        "categories": [{"id": 3 * n + 2, "name": name} for n, name in enumerate(NAMES)],
        "annotations": [],
    }
    for n in range(COUNT):
        save_photo(root / "images" / "day" / f"im{n}.png", n)
        for name, box in scene(n):
            annotation = {
                "id": len(content["annotations"]),
                "image_id": 100 + 7 * n,
                "category_id": 3 * NAMES.index(name) + 2,
                "segmentation": segmentation(box, style),
            }
            content["annotations"].append(annotation)
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    (root / "annotations" / "instances_default.json").write_text(json.dumps(content))


def segmentation(box, style):
    if style == "polygon":
        return [polygon(box)]
    mask = box_mask(box)
    if style == "compressed":
        runs = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
        return {"size": list(SIZE), "counts": runs["counts"].decode()}
    counts, last = [0], False
    for value in mask.ravel(order="F"):
        if value != last:
            counts.append(0)
            last = value
        counts[-1] += 1
    return {"size": list(SIZE), "counts": counts}


def box_mask(box):
    left, top, right, bottom = box
    mask = np.zeros(SIZE, bool)
    mask[top:bottom, left:right] = True
    return mask


def write_yolo(root):
    for n in range(COUNT):
        save_photo(root / "images" / split_of(n) / f"im{n}.png", n)
        lines = []
        for name, box in scene(n):
            shares = [v / SIZE[1 - i % 2] for i, v in enumerate(polygon(box))]
            lines.append(" ".join([str(NAMES.index(name)), *(f"{v:.9f}" for v in shares)]))
        labels = root / "labels" / split_of(n) / f"im{n}.txt"
        labels.parent.mkdir(parents=True, exist_ok=True)
        if lines:
            labels.write_text("\n".join(lines))
    (root / "data.yaml").write_text(
        "path: ../datasets/elsewhere\ntrain: images/train\nval: images/val\n"
        f"nc: 3\nnames: [{', '.join(NAMES)}]\n"
    )


SHAPES = ("polygon", "rectangle", "mask", "group")


def write_labelme(root):
    for n in range(COUNT):
        save_photo(root / f"im{n}.png", n)
        shapes = []
        for place, (name, box) in enumerate(scene(n)):
            shapes += labelme_shapes(
                name, box, ("polygon", "rectangle", "mask", "group")[place % 4]
            )
        content = {
            "imagePath": f"im{n}.png",
            "imageHeight": SIZE[0],
            "imageWidth": SIZE[1],
            "imageData": None,
            "shapes": shapes,
        }
        (root / f"im{n}.json").write_text(json.dumps(content))
    (root / "labels.txt").write_text("\n".join(["__ignore__", *NAMES]))


def labelme_shapes(name, box, kind):
    left, top, right, bottom = box
    shape = {"label": name, "group_id": None, "shape_type": "polygon"}
    if kind == "polygon":
        points = polygon(box)
        return [{**shape, "points": [points[i : i + 2] for i in range(0, 8, 2)]}]
    if kind == "rectangle":
        return [{**shape, "shape_type": kind, "points": [[right, bottom], [left, top]]}]
    if kind == "mask":
        png = io.BytesIO()
        Image.fromarray(np.full((bottom - top, right - left), 255, np.uint8)).save(png, "PNG")
        points = [[left, top], [right - 1, bottom - 1]]
        data = base64.b64encode(png.getvalue()).decode()
        return [{**shape, "shape_type": kind, "points": points, "mask": data}]
    middle = (left + right) // 2
    halves = ((left, top, middle, bottom), (middle, top, right, bottom))
    return [
        {**shape, "shape_type": "rectangle", "group_id": 5, "points": [[a, b], [c, d]]}
        for a, b, c, d in halves
    ]


COLORS = {"background": (0, 0, 0), ROAD: (128, 64, 128), CAR: (0, 0, 142), DOG: (64, 0, 128)}


def write_color_folder(root):
    """As CVAT exports: colours, a table of them, and objects in colours, too."""
    palette = np.array([COLORS[name] for name in (*NAMES, "background")], np.uint8)
    for n in range(COUNT):
        save_photo(root / "JPEGImages" / f"im{n}.png", n)
        semantic, objects = expected(n)
        shades = np.stack([objects * 50 % 256, objects * 7, objects], -1).astype(np.uint8)
        for kind, picture in (("Class", palette[semantic]), ("Object", shades)):
            path = root / f"Segmentation{kind}" / f"im{n}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(picture).save(path)
    table = [f"{name}:{r},{g},{b}::" for name, (r, g, b) in COLORS.items()]
    (root / "labelmap.txt").write_text("\n".join(["# label:color_rgb:parts:actions", *table]))
    (root / "classes.yaml").write_text(
        "images: JPEGImages/{id}.png\nsemantic: SegmentationClass/{id}.png\n"
        "instances: SegmentationObject/{id}.png\nsemantic_in: colors\ninstances_in: colors\n"
        "classes: labelmap.txt\nstuff: [background, road]\nsplit: {every_nth: 4}\n"
    )


WRITERS = {
    "polygons": ("coco_instances", write_coco),
    "compressed": ("coco_instances", lambda root: write_coco(root, "compressed")),
    "run lengths": ("coco_instances", lambda root: write_coco(root, "counts")),
    "yolo": ("yolo", write_yolo),
    "labelme": ("labelme", write_labelme),
    "colors": ("folder", write_color_folder),
}


def config_of(dataset, root):
    config = default_config()
    config.data.dataset, config.data.root = dataset, str(root)
    config.data.annotations.stuff = "" if dataset == "folder" else ROAD
    config.data.annotations.val_every = VAL_EVERY
    config.data.crop_size = config.eval.image_size = (33, 33)
    config.data.keypoint_radius = 5.0
    config.train.batch_size = 2
    return config


def same_partition(numbers, others):
    """Whether two maps have the same regions, whatever these are called."""
    pairs = set(zip(numbers.ravel().tolist(), others.ravel().tolist()))
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
