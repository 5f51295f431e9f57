"""No function needs JAX to promote dtypes, or ranks outside its own scope: users may have forbidden both."""

import jax
import numpy as np
import pytest

import rfdsm
from rfdsm import Problem, activations, linear, sampling, spectra

CUBIC = activations.polynomial([0.1, 1, 0.3, 0.1])  # few terms in few dimensions
TWO = spectra.atoms([0.5, 2.0])
ONE = Problem(2, 3, 2, 0.1, 0.1, CUBIC, TWO)
OWN = Problem(2, 3, 2, 0.1, 0.1, lambda x: x / (1 + x**2))
LEVELS = sampling.ddim(sampling.geometric(3, 0.05, steps=3))
CALLS = {
    "predict": lambda: rfdsm.predict(Problem(4, [2, 8], [[2], [np.inf]], 0.1, 0.1, "tanh", TWO)).test,
    "predict, own activation": lambda: rfdsm.predict(OWN).test,
    "spectral_density": lambda: rfdsm.spectral_density(ONE, [0.1, 1.0]).density,
    "optimal": lambda: rfdsm.optimal(ONE, "ridge")["ridge"],
    "simulate": lambda: rfdsm.simulate(Problem(2, 3, 2, 0.1, [0, 0.1], CUBIC), 6, trials=1).test,
    "simulate, single": lambda: rfdsm.simulate(ONE, 6, trials=1, dtype="float32").test,
    "linear.predict": lambda: linear.predict(linear.Problem([0.5, 2.0], 1.0, 2, 0.1, spectrum=TWO)).test,
    "generated_law": lambda: rfdsm.generated_law(Problem(4, 2, 4, 1, 0.03, target="data"), LEVELS).trace,
}
"""Those that compile much are in `test_jax_settings.py`, with the numbers that they must give."""


@pytest.fixture
def forbidden():
    """For all threads: a context would hold in this one only."""
    jax.config.update("jax_numpy_dtype_promotion", "strict")
    jax.config.update("jax_numpy_rank_promotion", "raise")
    yield
    jax.config.update("jax_numpy_dtype_promotion", "standard")
    jax.config.update("jax_numpy_rank_promotion", "allow")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in ("predict", "linear.predict") else pytest.mark.slow) for name in CALLS],
)
def test_nothing_is_promoted(name, forbidden):
    assert np.all(np.isfinite(CALLS[name]()))


def test_promotion_is_noticed_in_what_was_compiled_before():
    """The settings are part of what JAX compiles for, so that other tests hide nothing from those above."""
    add = jax.jit(lambda a, b: a + b)
    single, double = np.zeros(2, np.float32), np.zeros((3, 2))
    add(single, double)
    with jax.numpy_dtype_promotion("strict"), pytest.raises(ValueError, match="dtype promotion"):
        add(single, double)
    with jax.numpy_rank_promotion("raise"), pytest.raises(ValueError, match="rank_promotion"):
        add(single, double)
