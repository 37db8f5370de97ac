"""Datasets: each module is one kind; its `open_split(config, split)` gives a source, see sources.py."""

NAMES = ("coco", "cityscapes", "vistas", "voc", "folder", "shapes")
