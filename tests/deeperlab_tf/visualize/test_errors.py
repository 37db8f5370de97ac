import numpy as np

from deeperlab_tf.prediction.parsing import Parsing
from deeperlab_tf.visualize.errors import ERROR_COLORS, error_codes, error_map


def test_errors_name_what_went_wrong(toy_dataset):
    disc, box, sky, void = 2, 3, 0, 255
    gt_semantic = np.array([[disc] * 10 + [disc] * 4 + [disc] * 3 + [sky, box, void, sky]])
    gt_instance = np.array([[1] * 10 + [2] * 4 + [3] * 3 + [0, 4, 0, 0]])
    pred_semantic = np.array([[disc] * 10 + [disc] * 4 + [disc] * 3 + [sky, disc, sky, void]])
    # 1 is found but for two pixels, which an extra piece takes; 2 goes to 1's segment but for one
    # pixel; 3 is split in three, none of them large enough.
    pred_instance = np.array([[1] * 8 + [5] * 2 + [1] * 3 + [6] + [7, 8, 9] + [0, 7, 0, 0]])
    truth = Parsing.from_maps(gt_semantic, gt_instance, toy_dataset)
    parse = Parsing.from_maps(pred_semantic, pred_instance, toy_dataset)
    names = [None, *ERROR_COLORS]
    found = [names[code] for code in error_codes(truth, parse)[0]]
    assert found[:8] == [None] * 8
    assert found[8:10] == ["split"] * 2
    assert found[10:13] == ["merged"] * 3
    assert found[13] == "missed"
    assert found[14:17] == ["missed"] * 3
    assert found[17:] == [None, "wrong_class", "void", "missed"]


def test_right_parse_has_no_errors_and_crowd_counts_as_void(parsing, image):
    assert not error_codes(parsing, parsing).any()
    crowd = parsing.instance == 1
    codes = error_codes(parsing, parsing, crowd)
    assert (codes[crowd] == 1 + list(ERROR_COLORS).index("void")).all() and not codes[~crowd].any()
    assert error_map(image, codes).shape == image.shape
