"""Every form of a model takes overrides, or says why it cannot; the parses are the run's own."""

import numpy as np
import pytest

from deeperlab_tf import Predictor
from deeperlab_tf.errors import UserError
from deeperlab_tf.export.saved_model import ExportOptions, export_saved_model
from deeperlab_tf.export.tflite import export_tflite
from deeperlab_tf.prediction.networks import load_network
from tests.toys import save_untrained

FUSION = {"fusion.peak_threshold": 0.6, "fusion.detection.rescore": "none"}


@pytest.fixture(scope="module")
def workdir(toy_dataset, tmp_path_factory):
    """Workdir of a network with random weights."""
    return save_untrained(tmp_path_factory.mktemp("run"), toy_dataset)


@pytest.fixture(scope="module")
def saved_model(workdir, tmp_path_factory):
    """Its SavedModel."""
    path = str(tmp_path_factory.mktemp("export") / "1")
    export_saved_model(*load_network(workdir), path, ExportOptions(batch_sizes=(1,)))
    return path


@pytest.fixture(scope="module")
def optimised(workdir, tmp_path_factory):
    """The same with its weights built into the graph."""
    path = str(tmp_path_factory.mktemp("optimised") / "1")
    options = ExportOptions(optimise=True, batch_sizes=(1,))
    export_saved_model(*load_network(workdir), path, options)
    return path


@pytest.fixture(scope="module")
def image():
    """Noise, on which the parse depends."""
    return np.random.default_rng(0).integers(0, 256, (48, 60, 3), np.uint8)


@pytest.fixture(scope="module")
def fused_anew(workdir, image):
    """The run's parse with other values."""
    return Predictor(workdir, FUSION)(image)


@pytest.mark.slow
def test_a_saved_model_fuses_anew_with_other_values(
    workdir, saved_model, image, fused_anew, assert_same_labels
):
    own = Predictor(workdir)(image)
    assert np.mean(own.panoptic == fused_anew.panoptic) < 0.999
    changed = Predictor(saved_model, FUSION)
    assert changed.config.fusion.peak_threshold == 0.6
    assert_same_labels(changed(image).panoptic, fused_anew.panoptic)
    assert_same_labels(Predictor(saved_model)(image).panoptic, own.panoptic)


@pytest.mark.slow
def test_what_an_export_has_built_in_is_refused_with_the_way_out(workdir, saved_model, tmp_path):
    sizes = {"eval.image_size": (33, 33)}
    with pytest.raises(UserError, match=r"eval\.image_size is built into the export .* the run"):
        Predictor(saved_model, sizes)
    export_tflite(*load_network(workdir), str(tmp_path / "lite"))
    with pytest.raises(UserError, match=r"eval\.image_size is built into"):
        Predictor(str(tmp_path / "lite"), sizes)
    assert Predictor(str(tmp_path / "lite"), FUSION).config.fusion.peak_threshold == 0.6
    with pytest.raises(UserError, match=r"config\.model\.width is 0\.1 in this model"):
        Predictor(saved_model, {"model.width": 1.0})


@pytest.mark.slow
def test_an_export_of_a_saved_model_is_that_of_its_run(
    saved_model, optimised, image, fused_anew, tmp_path, assert_same_labels
):
    again = str(tmp_path / "2")
    export_saved_model(*load_network(saved_model, FUSION), again, ExportOptions(batch_sizes=(1,)))
    predictor = Predictor(again)
    assert predictor.config.fusion.peak_threshold == 0.6
    assert_same_labels(predictor(image).panoptic, fused_anew.panoptic)

    with pytest.raises(UserError, match=r"--optimise has built .* give the run"):
        load_network(optimised)
    assert_same_labels(Predictor(optimised, FUSION)(image).panoptic, fused_anew.panoptic)
