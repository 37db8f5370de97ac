"""Classes from a table."""

from deeperlab_tf.schema import Category
from input_pipeline.datasets.class_table import read_class_table


def test_a_line_is_a_class_whose_name_may_have_spaces():
    table = """
  7  stuff  128  64 128  road
 19  thing    0   0 142  Crosswalk - Plain
"""
    road = Category("road", False, (128, 64, 128), 7)
    crosswalk = Category("Crosswalk - Plain", True, (0, 0, 142), 19)
    assert read_class_table(table) == (road, crosswalk)
