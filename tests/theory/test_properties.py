"""What holds at every point: bounds, monotonicity and exact symmetries of the losses, over random problems."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from rfdsm import Losses, Problem, activations, predict, spectra
from tests.tolerances import IDENTITY, ROUTES

SMALL, LARGE = activations.polynomial([0.1, 0.3, 0.2, -0.05]), activations.polynomial([10.0, 30.0, 20.0, -5.0])
LAWS = (  # of one size, for one compilation
    spectra.Spectrum(np.ones(3), np.full(3, 1 / 3)),
    spectra.Spectrum(np.array([0.1, 2.0, 2.0]), np.array([0.5, 0.25, 0.25])),
    spectra.atoms([0.0, 0.5, 4.0], [0.2, 0.5, 0.3]),
)


def powers(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high).map(lambda exponent: 10.0**exponent)


NUMBERS = dict(psi_n=powers(-2, 2), psi_p=powers(-2, 2), t=powers(-3, 0.5), ridge=powers(-8, 1))
CHOICES = dict(m=[1, 2, 5, 30, np.inf], activation=["tanh", "relu", "erf", "abs"], spectrum=LAWS)
FIELDS = st.fixed_dictionaries(NUMBERS | {name: st.sampled_from(values) for name, values in CHOICES.items()})


@pytest.mark.slow
@given(FIELDS)
@settings(max_examples=150)
def test_bounds(fields):
    """0 <= train <= objective <= 1 (zero is a network too); no test loss below that of the true score."""
    problem = Problem(**fields)
    losses = predict(problem)
    assert losses.converged
    assert 0 <= losses.train <= losses.objective * (1 + IDENTITY) <= 1 + 2 * IDENTITY
    assert losses.score >= 0 and losses.test >= losses.floor
    assert losses.empirical_test >= losses.train * (1 - IDENTITY)


@given(FIELDS)
def test_a_larger_ridge_fits_worse(fields):
    problem = Problem(**fields)
    losses = predict(dataclasses.replace(problem, ridge=problem.ridge * np.array([1.0, 1.1])))
    assert losses.objective[1] >= losses.objective[0] * (1 - IDENTITY)
    assert losses.train[1] >= losses.train[0] * (1 - IDENTITY)


@given(FIELDS)
def test_scaling_the_activation_is_scaling_the_ridge(fields):
    """B phi does not change if phi grows a hundredfold and B shrinks as much; the penalty then needs ridge * 100^2."""
    problem = Problem(**fields | {"activation": SMALL})
    scaled = dataclasses.replace(problem, activation=LARGE, ridge=problem.ridge * 1e4)
    ours, theirs = predict(problem), predict(scaled)
    for name in (*Losses.NAMES, "objective"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=ROUTES)


@given(FIELDS)
def test_more_draws_fit_worse(fields):
    """The training loss averages over more noise as m grows, so its optimum can only rise."""
    problem = Problem(**fields)
    losses = predict(dataclasses.replace(problem, m=np.array([1, 2, 7, 100, np.inf])))
    assert np.all(np.diff(losses.objective) >= -IDENTITY * losses.objective[:-1])
