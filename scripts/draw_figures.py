"""Draws the figures of docs/architecture.md: the network, and the fusion on a made-up scene.

python scripts/draw_figures.py --output=docs/figures
"""

from __future__ import annotations

import os

import matplotlib
from absl import flags

from deeperlab_tf import cli
from deeperlab_tf.config import default_config
from deeperlab_tf.files.atomic import atomic_path
from deeperlab_tf.heads import head_channels
from deeperlab_tf.keypoints import keypoint_graph

matplotlib.use("Agg")
from matplotlib import pyplot

OUTPUT = flags.DEFINE_string("output", None, "Folder for network.svg and fusion.png.")

NUM_CLASSES = 66  # of Mapillary Vistas, the paper's main dataset
INK, PAPER = "#1c2024", "#ffffff"
BLUE, GREEN, AMBER, RED = "#d7e5f7", "#dcefdc", "#f9ecc9", "#f6dbd6"


def main():
    save(draw_network(default_config()), "network.svg")


def save(figure, name):
    path = os.path.join(OUTPUT.value, name)
    with atomic_path(path) as temporary:
        # Without the date, so that an unchanged figure is an unchanged file.
        metadata = {"Date": None} if name.endswith(".svg") else None
        figure.savefig(temporary, dpi=110, facecolor=PAPER, metadata=metadata)
    print(f"wrote {path}")


# === The network (paper Fig. 2) ===


def draw_network(config):
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


if __name__ == "__main__":
    cli.run(main, required=("output",))
