"""Builds records on Beam in a process of its own, which a test kills.

python -m tests.beam_records CONFIG_JSON OUTPUT SCRATCH
"""

import functools
import sys

from deeperlab_tf.config_json import config_from_json
from deeperlab_tf.work import beam
from input_pipeline.records.write import write_records

if __name__ == "__main__":
    path, output, scratch = sys.argv[1:]
    with open(path, encoding="utf-8") as file:
        config = config_from_json(file.read())
    options = ["--runner=DirectRunner"]
    run = functools.partial(beam.run, options=options, scratch=scratch)
    write_records(config, "train", output, 20, run=run)
