"""U-Nets at the sizes of common images."""

import jax
import numpy as np
import pytest

from rfdsm import networks
from rfdsm.sampling import NoiseLevel


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(28, 28), (32, 32, 3)])
def test_a_step_at_the_size_of_common_images(shape):
    """Rows of H W C numbers come back as such; losses are finite, and a step changes every array of the network."""
    d = int(np.prod(shape))
    network = networks.unet(shape, channels=4, depth=2)
    rows = np.random.default_rng(0).normal(size=(12, d))
    training = networks.train(
        network, rows, m=2, levels=networks.levels.log_uniform(0.05, 2.0), target="data", steps=1, batch=4, measured=8,
        record=[0, 1],
    )  # fmt: skip
    assert training.d == d and np.isfinite(training.losses.test).all() and training.failed is None
    assert training.losses.train[1] != training.losses.train[0]
    level = NoiseLevel(*np.float32([0.5, 0.6, 0.64, 1.0]))
    assert training.network(rows[0].astype(np.float32), level).shape == (d,)
    for before, after in zip(jax.tree.leaves(network), jax.tree.leaves(training.network), strict=True):
        assert before.shape == after.shape and np.any(before != after)


def test_channels_and_sizes_that_cannot_be_halved():
    network = networks.unet((4, 4, 3), channels=2, depth=1)
    assert network.first.weight.shape[1] == 3 and network.last.weight.shape[0] == 3
    with pytest.raises(ValueError, match="multiples of 2"):
        networks.unet((30, 30), depth=2)
