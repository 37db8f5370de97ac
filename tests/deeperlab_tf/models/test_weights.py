"""Weights in half precision: what is stored, what is refused; batch norm folded, by an oracle."""

import numpy as np
import pytest

from deeperlab_tf.backbones.numpy_file import NumpyFile
from deeperlab_tf.errors import UserError
from deeperlab_tf.models.weights import Norm, fill, fold, read_weights, weights_of, write_weights


class Variable:
    """As much of a tf.Variable as weights need."""

    def __init__(self, name, value):
        self.name, self.value = f"{name}:0", np.float32(value)

    @property
    def shape(self):
        return self.value.shape

    def numpy(self):
        return self.value

    def assign(self, value):
        self.value = value


class Network:
    def __init__(self, **values):
        self.variables = [Variable(name.replace("__", "/"), v) for name, v in values.items()]


@pytest.fixture
def network():
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(3, 3, 4, 5))
    return Network(conv__kernel=kernel, bn__moving_variance=[1e-12, 1e6, 1 / 3])


def zeros_like(network):
    arrays = {name.replace("/", "__"): 0 * value for name, value in weights_of(network).items()}
    return Network(**arrays)


def test_kernels_are_halved_and_all_else_is_kept_whole(network, tmp_path):
    path = str(tmp_path / "weights.npz")
    write_weights(path, network)
    copy = zeros_like(network)
    fill(copy, read_weights(path), path)
    kernel, variance = (variable.value for variable in copy.variables)
    np.testing.assert_allclose(kernel, network.variables[0].value, rtol=2**-11)
    assert kernel.dtype == np.float32 and np.load(path)["conv/kernel"].dtype == np.float16
    np.testing.assert_array_equal(variance, network.variables[1].value)


def test_a_kernel_beyond_half_precision_is_kept_whole(tmp_path):
    path, large = str(tmp_path / "weights.npz"), Network(conv__kernel=[[1e6, 0.1]])
    write_weights(path, large)
    np.testing.assert_array_equal(read_weights(path)["conv/kernel"], large.variables[0].value)


@pytest.mark.parametrize("other", [{"bn__gamma": [1.0]}, {"conv__kernel": np.ones((3, 3, 4, 6))}])
def test_weights_of_another_network_are_refused_and_nothing_is_filled(network, other):
    wanted = Network(**{**{"conv__kernel": np.ones((3, 3, 4, 5))}, **other})
    before = wanted.variables[0].value
    with pytest.raises(UserError, match="there is of another network than its config: "):
        fill(wanted, weights_of(network), "there")
    assert wanted.variables[0].value is before


def test_broken_files_are_one_sentence_and_nothing_is_unpickled(network, tmp_path):
    path = tmp_path / "weights.npz"
    write_weights(str(path), network)
    whole = path.read_bytes()
    for broken in (whole[:200], whole[: len(whole) // 2], b"no zip", b""):
        path.write_bytes(broken)
        with pytest.raises(UserError, match=r"the weights .*weights\.npz cannot be read"):
            read_weights(str(path))
    np.savez(path, kernel=np.array([{"an": "object"}], dtype=object))
    with pytest.raises(UserError, match=r"cannot be read .*allow_pickle"):
        read_weights(str(path))
    with pytest.raises(UserError, match="cannot be read"):
        read_weights(str(tmp_path / "gone.npz"))


def dot(patch, kernel, is_depthwise):
    """One place of a convolution: patch [k, k, C'] -> [C]."""
    if is_depthwise:
        return (patch[..., np.newaxis] * kernel).sum((0, 1))[:, 0]
    return np.einsum("ijc,ijcd->d", patch, kernel)


@pytest.mark.parametrize("shape", [(3, 3, 4, 5), (3, 3, 4, 1), (1, 1, 1, 1), (1, 1, 7, 1)])
@pytest.mark.parametrize("is_depthwise", [False, True])
@pytest.mark.parametrize("is_plain", [False, True])
def test_a_folded_convolution_is_the_convolution_and_its_batch_norm(shape, is_depthwise, is_plain):
    if is_depthwise and shape[3] != 1:
        pytest.skip("a depthwise kernel has one channel")
    rng = np.random.default_rng(sum(shape))
    channels = shape[2] if is_depthwise else shape[3]
    kernel, patch = rng.normal(size=shape).astype(np.float32), rng.normal(size=shape[:3])
    gamma, beta, mean = rng.normal(size=(3, channels)).astype(np.float32)
    variance = rng.uniform(0, 2, channels).astype(np.float32)
    norm = (
        Norm(None, None, mean, variance, 1e-3)
        if is_plain
        else Norm(gamma, beta, mean, variance, 1e-3)
    )

    scale, shift = (1, 0) if is_plain else (gamma, beta)
    y = dot(patch, kernel, is_depthwise)
    expected = scale * (y - mean) / np.sqrt(variance + 1e-3) + shift
    folded, bias = fold(kernel, norm)
    assert folded.shape == kernel.shape and bias.shape == (channels,)
    found = dot(patch, folded, is_depthwise) + bias
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_file_that_would_become_very_large_is_refused(tmp_path):
    path = str(tmp_path / "weights.npz")
    np.savez_compressed(path, kernel=np.zeros(2**25, np.float32))
    for read in (read_weights, NumpyFile):
        with pytest.raises(UserError, match=r"weights\.npz .*would become 134217"):
            read(path)
