"""One self-contained HTML page about an evaluation.

page.py      puts the page together from page.html, style.css, script.js and the sections
header.py    the headline numbers
tables.py    classes, sizes, confusions
gallery.py   the best and worst images, whose layers can be switched
pictures.py  their layers, encoded
scores.py    what the page shows that metrics.json does not have
numbers.py   how numbers look
"""

from deeperlab_tf.evaluation.report.page import write_report

__all__ = ["write_report"]
