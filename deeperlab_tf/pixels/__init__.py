"""Arithmetic of pixels, below all else: sizes of images, and maps of labels."""
