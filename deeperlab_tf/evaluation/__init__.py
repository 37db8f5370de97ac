"""How good parses are: a model's on a dataset, those in files, and the best the method allows.

evaluate.py     a model on a dataset
files.py        files in the COCO panoptic format
results.py      what was measured
distributed.py  a model on several devices
panels.py       TensorBoard's pictures while training
samples.py      the images that a model is tried on
kept_heads.py   heads that are fused many times
sweep.py        many settings of the fusion
replaced_heads.py  which head is to blame
oracle.py       perfect heads, and the ceiling of the method
lost.py         which segments perfect heads lose, and why
report/         an HTML page about an evaluation
"""
