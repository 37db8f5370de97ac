"""Pictures of everything a person would rather see than read: all are uint8 [H, W, 3], RGB.

parses.py   parses over their images
heads.py    what the instance heads predict
errors.py   where a parse is wrong
sheets.py   several pictures side by side
drawing.py  text, colours and image files, which the others draw with
"""

from deeperlab_tf.visualize.drawing import write_image
from deeperlab_tf.visualize.errors import error_codes, error_legend, error_map
from deeperlab_tf.visualize.heads import detection, heatmap, heatmap_legend, offsets
from deeperlab_tf.visualize.parses import (
    draw_parsing,
    instance_map,
    overlay_scale,
    segment_colors,
    semantic_map,
)
from deeperlab_tf.visualize.sheets import contact_sheet, offset_sheet, prediction_sheet

__all__ = [
    "contact_sheet",
    "detection",
    "draw_parsing",
    "error_codes",
    "error_legend",
    "error_map",
    "heatmap",
    "heatmap_legend",
    "instance_map",
    "offset_sheet",
    "offsets",
    "overlay_scale",
    "prediction_sheet",
    "segment_colors",
    "semantic_map",
    "write_image",
]
