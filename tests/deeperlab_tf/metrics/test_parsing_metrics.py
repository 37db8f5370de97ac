import numpy as np

from deeperlab_tf.metrics import MeanIoU, PanopticQuality, ParsingCovering, ParsingMetrics


def test_gives_what_each_metric_gives_alone(random_parse):
    together, merged = ParsingMetrics(5, (0, 2)), ParsingMetrics(5, (0, 2))
    alone = [metric(5, (0, 2)) for metric in (PanopticQuality, ParsingCovering, MeanIoU)]
    for seed in range(4):
        together.update(*random_parse(seed))
        for metric in alone:
            metric.update(*random_parse(seed))
    result = merged.merge(together).result()
    assert result["num_images"] == 4
    for metric in alone:
        expected = metric.result()
        for index, values in enumerate(expected.pop("per_class")):
            np.testing.assert_equal(
                {name: result["per_class"][index][name] for name in values}, values
            )
        np.testing.assert_equal({name: result[name] for name in expected}, expected)
