"""Single precision gives the losses of double precision to 1e-4 at every ridge from 1e-4 on, whatever is asked."""

import warnings

import jax.numpy as jnp
import numpy as np
import pytest

from rfdsm import Losses, Problem, simulate, simulate_training, spectra

TIMES = [1.0, 1e3, 1e5, np.inf]
HARD = spectra.atoms([1e-4, 1.0, 5.0])


def disagreement(problem, d, key, times=None):
    """Largest relative difference of any loss: one key draws the same networks in both precisions."""

    def losses(dtype):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of series in few dimensions
            options = dict(trials=1, key=key, dtype=dtype)
            found = (
                simulate(problem, d, **options) if times is None else simulate_training(problem, times, d, **options)
            )
        return np.stack([np.asarray(getattr(found, name), float) for name in (*Losses.NAMES, "objective")])

    double, single = losses("float64"), losses("float32")
    assert np.isfinite(double).all() and not np.array_equal(double, single)
    return np.max(np.abs(single / double - 1))


@pytest.mark.slow
@pytest.mark.parametrize("seed", (0, 2, 4))
def test_single_precision_at_random(seed):
    """One ridge, several, and gradient flow; primal and dual; every target; psi over a factor of sixty."""
    rng = np.random.default_rng(seed)
    activation = ("tanh", "relu", "erf", "linear", "softplus", "gelu")[seed % 6]
    target, m = ("noise", "data", "velocity")[seed % 3], rng.choice([1, 4, 30, np.inf])
    psi_n, psi_p = np.exp(rng.uniform(np.log(0.3), np.log([8, 20])))
    ridge = 10 ** rng.uniform(-4, -2)
    several, times = ((False, None), (True, None), (False, TIMES))[(seed // 2) % 3]
    t, law = np.exp(rng.uniform(np.log(0.005), np.log(2))), rng.choice([None, spectra.atoms([0.3, 3.0])])
    ridges = [ridge, 10 * ridge, 1.0] if several else ridge
    problem = Problem(psi_n, psi_p, m, t, ridges, activation, law, target=target)
    assert disagreement(problem, int(rng.integers(20, 40)), seed, times) < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("activation, times", [("relu", TIMES), (lambda u: jnp.tanh(u) + 0.9, None)])
def test_single_precision_of_products(activation, times):
    """So many draws that their products are in single precision: features of a mean, of few directions, p above d."""
    ridge = [1e-4, 1e-3, 1.0] if times is None else 1e-4
    assert disagreement(Problem(4.0, 10.0, 40, 0.05, ridge, activation, HARD), 20, 3, times) < 1e-5
