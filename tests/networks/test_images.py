"""U-Nets at the sizes of common images."""

import jax
import numpy as np
import pytest

from rfdsm import networks
from rfdsm.sampling import NoiseLevel


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(28, 28), (32, 32, 3)])
def test_a_step_at_the_size_of_common_images(shape):
    """Rows of H W C numbers come back as such; losses are finite, and a step changes all weights."""
    d = int(np.prod(shape))
    network = networks.unet(shape, channels=4, depth=2)
    rows = np.random.default_rng(0).normal(size=(12, d))
    training = networks.train(
        network, rows, m=2, levels=networks.levels.log_uniform(0.05, 2.0), target="data", steps=1, batch=4, measured=8,
        record=[0, 1],
    )  # fmt: skip
    assert training.d == d and np.isfinite(training.losses.test).all() and training.failed is None
    assert training.losses.train[1] != training.losses.train[0]
    level = NoiseLevel(*np.array([0.5, 0.6, 0.64, 1.0], network.first.weight.dtype))
    assert training.network(jax.numpy.asarray(rows[0], network.first.weight.dtype), level).shape == (d,)
    for before, after in zip(jax.tree.leaves(network), jax.tree.leaves(training.network), strict=True):
        matrix = before.ndim in (2, 4)  # norms take out the biases of single channels
        assert before.shape == after.shape and (not matrix or np.any(np.abs(before - after) > 1e-4))


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 4])
def test_the_level_is_told_to_narrow_networks(channels):
    """Norms of single channels take out what is constant over an image: the level must come after them."""
    network = networks.unet((4, 4), channels=channels, depth=1)
    y = jax.numpy.linspace(-1.0, 1.0, 16, dtype=network.first.weight.dtype)
    one = network(y, NoiseLevel(*np.float32([0.5, 0.6, 0.1, 1.0])))
    scale = np.float32(np.sqrt((0.36 + 0.9) / (0.36 + 0.1)))  # inputs are divided by their deviation
    other = network(y * scale.astype(y.dtype), NoiseLevel(*np.float32([0.5, 0.6, 0.9, 1.0])))
    assert np.abs(other - one).max() > 1e-2 * np.abs(one).max()


@pytest.mark.slow
def test_channels_and_sizes_that_cannot_be_halved():
    network = networks.unet((4, 4, 3), channels=2, depth=1)
    assert network.first.weight.shape[1] == 3 and network.last.weight.shape[0] == 3
    with pytest.raises(ValueError, match="multiples of 2"):
        networks.unet((30, 30), depth=2)
