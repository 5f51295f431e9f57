"""No function needs JAX to promote dtypes, or ranks outside its own scope: users may have forbidden both."""

import jax
import numpy as np
import pytest

import rfdsm
from rfdsm import Problem, linear, spectra

TWO = spectra.atoms([0.5, 2.0])
CALLS = {
    "predict": lambda: rfdsm.predict(Problem(4, [2, 8], [[2], [np.inf]], 0.1, 0.1, "tanh", TWO)).test,
    "linear.predict": lambda: linear.predict(linear.Problem([0.5, 2.0], 1.0, 2, 0.1, spectrum=TWO)).test,
}
"""All others are in `test_jax_settings.py`, with the numbers that they must give."""


@pytest.fixture
def forbidden():
    """For all threads: a context would hold in this one only."""
    jax.config.update("jax_numpy_dtype_promotion", "strict")
    jax.config.update("jax_numpy_rank_promotion", "raise")
    yield
    jax.config.update("jax_numpy_dtype_promotion", "standard")
    jax.config.update("jax_numpy_rank_promotion", "allow")


@pytest.mark.parametrize("name", CALLS)
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
