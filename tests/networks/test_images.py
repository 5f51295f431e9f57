"""U-Nets at the sizes of common images."""

import jax
import numpy as np
import optax
import pytest

from rfdsm import networks
from rfdsm.sampling import NoiseLevel


@pytest.mark.slow
def test_a_unet_learns_images_of_a_common_size():
    """Waves of unequal variance: after some steps it is far better than no network, and all weights have moved."""
    law = networks.gaussian_images((28, 28), exponent=3)
    network = networks.unet((28, 28), channels=4, depth=2)
    training = networks.train(
        network, law, level=1.0, target="data", steps=20, batch=8, measured=32, record=[0, 20],
        optimiser=optax.adam(5e-3),
    )  # fmt: skip
    losses = training.losses
    assert training.d == 784 and training.failed is None
    assert losses.floor[-1] < losses.test[-1] < 0.8 * losses.null[-1]
    leaves = (map(np.asarray, jax.tree.leaves(one)) for one in (network, training.network))
    for before, after in zip(*leaves, strict=True):
        matrix = before.ndim in (2, 4)  # norms take out the biases of single channels
        assert before.shape == after.shape and (not matrix or np.any(np.abs(before - after) > 1e-4))


@pytest.mark.slow
def test_the_level_is_told_to_narrow_networks():
    """Norms of single channels take out what is constant over an image: the level must come after them. Rows of several
    colours come back as such."""
    network = networks.unet((4, 4, 3), channels=1, depth=1)
    assert network.first.weight.shape[1] == 3 and network.last.weight.shape[0] == 3
    y = jax.numpy.linspace(-1.0, 1.0, 48, dtype=network.first.weight.dtype)
    told = jax.jit(lambda y, level: network(y, level))
    one = told(y, NoiseLevel(*np.float32([0.5, 0.6, 0.1, 1.0])))
    assert one.shape == (48,)
    scale = np.float32(np.sqrt((0.36 + 0.9) / (0.36 + 0.1)))  # inputs are divided by their deviation
    other = told(y * scale.astype(y.dtype), NoiseLevel(*np.float32([0.5, 0.6, 0.9, 1.0])))
    assert np.abs(other - one).max() > 1e-2 * np.abs(one).max()
