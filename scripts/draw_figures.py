"""Draws the figures of docs/architecture.md: the network, and the fusion on a made-up scene.

python scripts/draw_figures.py --output=figures
python scripts/draw_figures.py --output=figures --photo=street.jpg --model=street

With --photo it draws street.jpg of the README instead: the parse of that photo, without the photo.
"""

from __future__ import annotations

from deeperlab_tf import cli  # isort: skip - first, for it quiets TensorFlow's start-up banners


import matplotlib
import numpy as np
import tensorflow as tf
from absl import flags
from matplotlib import pyplot
from ml_collections import ConfigDict

from deeperlab_tf import visualize
from deeperlab_tf.config import default_config
from deeperlab_tf.evaluation.oracle import perfect_heads
from deeperlab_tf.files import storage
from deeperlab_tf.files.atomic import atomic_path
from deeperlab_tf.files.reports import check_absent
from deeperlab_tf.fusion import fuse
from deeperlab_tf.fusion.hough import score_map
from deeperlab_tf.fusion.maps import flat_maps
from deeperlab_tf.fusion.refine import refine_long_range
from deeperlab_tf.fusion.semantics import Classes, label_pixels
from deeperlab_tf.heads import head_channels
from deeperlab_tf.keypoints import KeypointGraph, keypoint_graph
from deeperlab_tf.prediction.parsing import Parsing
from deeperlab_tf.prediction.predictor import Predictor
from deeperlab_tf.schema import Dataset
from input_pipeline import make_targets, open_source

matplotlib.use("Agg")

OUTPUT = flags.DEFINE_string("output", None, "Folder for the figures.")
PHOTO = flags.DEFINE_string("photo", None, "Photo of a street whose parse to draw.")
MODEL = flags.DEFINE_string("model", "street", "Model that parses --photo.")

SCENE = 3  # of the validation scenes
FIGURE_CELL = 300  # pixels, height of a picture
STREET_WIDTH = 1200  # pixels
NUM_CLASSES = 66  # of Mapillary Vistas, the paper's main dataset
INK, PAPER = "#1c2024", "#ffffff"
BLUE, GREEN, AMBER, RED = "#d7e5f7", "#dcefdc", "#f9ecc9", "#f6dbd6"


def main() -> None:
    if PHOTO.value:
        path = storage.join(OUTPUT.value, "street.jpg")
        check_absent(path)
        visualize.write_image(path, draw_street(Predictor(MODEL.value)(PHOTO.value)))
        print(f"wrote {path}")
        return

    path, fusion_path = (storage.join(OUTPUT.value, name) for name in ("network.svg", "fusion.jpg"))
    check_absent(path, fusion_path)
    with atomic_path(path) as temporary:
        # Without the date, so that an unchanged figure is an unchanged file.
        draw_network(default_config()).savefig(temporary, facecolor=PAPER, metadata={"Date": None})
    print(f"wrote {path}")

    visualize.write_image(fusion_path, draw_fusion())
    print(f"wrote {fusion_path}")


# === A parse without its photo ===


def draw_street(parsing: Parsing) -> np.ndarray:
    """Colours, outlines, names and scores of a parse on a plain ground: uint8 [H, W, 3]."""
    scale = visualize.overlay_scale(parsing.image, STREET_WIDTH)
    plain = np.full_like(parsing.image, 255)
    return visualize.draw_parsing(plain, parsing, scale=scale)


# === The network (paper Fig. 2) ===


def draw_network(config: ConfigDict) -> pyplot.Figure:
    """The network of a config as boxes and arrows, with its own numbers."""
    model = config.model
    matplotlib.rcParams["svg.hashsalt"] = "deeperlab"
    figure, axes = pyplot.subplots(figsize=(12, 5.2))
    axes.set_xlim(0, 120)
    axes.set_ylim(0, 52)
    axes.axis("off")

    kernel = model.decoder_kernel_size
    inner = model.decoder_channels * 16
    side = f"{kernel}×{kernel}"

    box(axes, (1, 22), (12, 9), "image\nH × W × 3\n0–255", PAPER)
    box(axes, (18, 19), (17, 15), "encoder\nMobileNetV2 5×5\nor Xception-71", BLUE)
    box(axes, (41, 30), (14, 9), f"ASPP\n{model.aspp_channels}", BLUE)
    low_level = f"1×1 → {model.low_level_channels}\nspace-to-depth\n{model.low_level_channels * 16}"
    box(axes, (41, 11), (14, 11), low_level, GREEN)
    decoder = f"concatenate\n{side} → {inner}\n{side} → {inner}\ndepth-to-space"
    box(axes, (61, 18), (17, 16), decoder, GREEN)

    arrow(axes, (13, 26.5), (18, 26.5))
    arrow(axes, (35, 30), (41, 34), "stride 16", (37.2, 35.8))
    arrow(axes, (35, 22), (41, 17), "stride 4", (37.2, 15.2))
    arrow(axes, (55, 34), (61, 29))
    arrow(axes, (55, 17), (61, 22))

    channels = head_channels(keypoint_graph(model.keypoint_graph), NUM_CLASSES)
    for row, (name, count) in enumerate(channels.items()):
        middle = 46 - 10 * row
        color = AMBER if row == 0 else RED
        width = model.semantic_head_channels if row == 0 else model.instance_head_channels
        box(
            axes,
            (86, middle - 3.5),
            (14, 7),
            f"{model.head_kernel_size}×{model.head_kernel_size} → {width}\n1×1",
            color,
        )
        arrow(axes, (78, 26), (86, middle))
        arrow(axes, (100, middle), (103, middle))
        text(axes, (104, middle), f"{name}\n{count} channels", "left")
    text(axes, (69.5, 14.8), f"stride 4, {model.decoder_channels} channels", "center", size=9)
    figure.tight_layout(pad=0.3)
    return figure


def box(axes, corner, size, label, color):
    patch = matplotlib.patches.FancyBboxPatch(
        corner, *size, boxstyle="round,pad=0.2,rounding_size=0.9", facecolor=color, edgecolor=INK
    )
    axes.add_patch(patch)
    text(axes, (corner[0] + size[0] / 2, corner[1] + size[1] / 2), label, "center")


def arrow(axes, start, end, label="", at=(0, 0)):
    axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": INK, "shrinkA": 2})
    if label:
        text(axes, at, label, "center", size=9)


def text(axes, at, label, align, size=10.5):
    axes.text(*at, label, ha=align, va="center", fontsize=size, color=INK, linespacing=1.35)


# === The fusion (Sec. 3.4) ===


def draw_fusion() -> np.ndarray:
    """What the steps of the fusion make of perfect heads of a made-up scene: uint8 [H, W, 3]."""
    config = scene_config()
    source = open_source(config, "val")
    sample = source[SCENE]
    image, graph = sample["image"], keypoint_graph(config.fusion.keypoint_graph)
    labels = (sample[name] for name in ("semantic", "instance", "crowd"))
    targets = make_targets(*labels, config)
    targets = {name: np.asarray(value) for name, value in targets.items()}
    heads = perfect_heads(targets, source.dataset.num_classes)

    parse = fuse(heads, image.shape[:2], source.dataset.thing_classes, config.fusion)
    parse = {name: value[0].numpy() for name, value in parse.items()}
    parsing = Parsing.from_fused(parse, source.dataset, image)

    votes = keypoint_votes(heads, graph, source.dataset, config)
    scale = visualize.overlay_scale(image, FIGURE_CELL)
    steps = {
        "1  image": image,
        "2  classes": visualize.semantic_map(parsing.semantic, source.dataset),
        "3  votes for keypoints": visualize.heatmap(votes, image, scale),
        "4  detected instances": visualize.detection(image, parsing, scale),
        "5  pixels assigned to them": visualize.instance_map(parsing.instance),
        "6  the parse": visualize.draw_parsing(image, parsing, scale=scale),
    }
    titles = list(steps)
    rows = [titles[:3], titles[3:]]
    sheets = [
        visualize.contact_sheet([[steps[title] for title in row]], row, FIGURE_CELL) for row in rows
    ]
    width = max(sheet.shape[1] for sheet in sheets)
    legend = visualize.heatmap_legend(graph, width)
    return np.vstack([*sheets, legend])


def scene_config() -> ConfigDict:
    """The quickstart's scenes, at twice their size."""
    config = default_config()
    config.data.shapes.image_size = (257, 257)
    config.model.keypoint_radius = 12.0
    return config


def keypoint_votes(
    heads: dict[str, np.ndarray], graph: KeypointGraph, dataset: Dataset, config: ConfigDict
) -> np.ndarray:
    """The score map of one image, brightest at 1: float32 [h, w, P]."""
    one = {name: tf.constant(head[0]) for name, head in heads.items()}
    maps = flat_maps(one, graph, config.fusion.keypoint_radius)
    classes = Classes(dataset.num_classes, dataset.thing_classes)
    semantics = label_pixels(maps.semantic_logits, classes, maps.grid)
    long_range = refine_long_range(semantics.things, maps, config.fusion.refinement)
    scores = score_map(long_range, maps, config.fusion.voting).numpy()
    height, width = heads["keypoint_logits"].shape[1:3]
    # A square root: votes away from the peaks would be too dark to see.
    return np.sqrt(scores / scores.max()).reshape(height, width, -1)


if __name__ == "__main__":
    cli.run(main, required=("output",))
