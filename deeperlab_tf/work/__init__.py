"""Work that can be cut into tasks: done by processes of this machine, or by Apache Beam anywhere.

job.py      what is done, and how parts become a whole
local.py    by processes of this machine
beam.py     by Apache Beam: its runners are Dataflow, Flink, Spark and processes of this machine
names.py    lists of names that may be millions
walking.py  where such names come from: folders, patterns, lists
"""
