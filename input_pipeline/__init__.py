"""From files to batches: datasets, preprocessing and the targets of DeeperLab's five heads."""

from deeperlab_tf.schema import Dataset
from input_pipeline.pipeline import make_dataset
from input_pipeline.sources import Reading, open_source
from input_pipeline.targets import make_targets
from input_pipeline.unlabelled import open_photos

__all__ = ["Dataset", "Reading", "make_dataset", "make_targets", "open_photos", "open_source"]
