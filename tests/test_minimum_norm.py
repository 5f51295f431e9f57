"""The evidence at ridge = 0: minimum-norm interpolation and least squares of the real network against theory.

As in test_agreement, by standard errors and by slope in 1/d. All problems have an m on either side of the
interpolation threshold nm = p (nm = d for linear features of p > d), a factor of two away or more: closer to it losses
scatter too wildly for their standard errors to be trusted.
"""

import numpy as np
import pytest

from rfdsm import Problem, compare, predict, spectra
from tests.test_agreement import DIMENSIONS, TRIALS, scaled_change

DEFICIENT = spectra.atoms([0.0, 1.0, 3.0], [2, 1, 1])
PROBLEMS = {
    "isotropic": Problem(0.5, 1.5, np.array([1, 8]), 0.1, 0.0, "tanh"),
    "rank-deficient covariance": Problem(0.5, 1.5, np.array([1, 8]), 0.3, 0.0, "tanh", DEFICIENT),
    "linear": Problem(0.2, 1.5, np.array([1, 12]), 0.2, 0.0, "linear", DEFICIENT),
}


@pytest.fixture(scope="module")
def comparisons():
    return {name: compare(problem, DIMENSIONS, trials=TRIALS, key=11) for name, problem in PROBLEMS.items()}


def judged(comparison):
    """Where there is anything to compare: not where the training loss is exactly zero."""
    return ~np.all(comparison.theory == 0, axis=1)


@pytest.mark.slow
@pytest.mark.parametrize("name", PROBLEMS)
def test_one_problem_interpolates_and_the_other_does_not(comparisons, name):
    """Training loss zero by theory, rounding in the simulation, and not a number in standard errors; m decides."""
    comparison = comparisons[name]
    np.testing.assert_array_equal(comparison.theory[0] == 0, [[True, False]] * len(DIMENSIONS))
    assert np.all(comparison.simulation[0, ..., 0] < 1e-24)
    assert np.all(comparison.simulation[0, ..., 1] > 0.05)
    np.testing.assert_array_equal(np.isnan(comparison.z[0]), comparison.theory[0] == 0)
    assert np.isnan(comparison.extrapolation.z[0, 0])
    assert not np.any(np.isnan(comparison.z[1:]))


def test_extrapolation_hits_theory(comparisons):
    z = np.concatenate([comparison.extrapolation.z[judged(comparison)] for comparison in comparisons.values()])
    assert z.size == (4 * 2 - 1) * len(PROBLEMS)
    assert np.max(np.abs(z)) < 4.5
    assert 0.5 < np.sqrt(np.mean(z**2)) < 1.5


@pytest.mark.parametrize("name", PROBLEMS)
def test_deviation_shrinks_like_one_over_d(comparisons, name):
    comparison = comparisons[name]
    some = judged(comparison)
    assert np.max(np.abs(scaled_change(comparison)[some])) < 4.5
    assert np.all(np.abs(comparison.relative_deviation[:, -1][some]) < 0.03)


def test_the_evidence_has_power(comparisons):
    """Errors are small enough to see a formula that is one per cent off, in every loss of every problem."""
    limits = (np.where(c.theory[:, -1] == 0, np.nan, c.theory[:, -1]) for c in comparisons.values())
    errors = [c.extrapolation.error / limit for c, limit in zip(comparisons.values(), limits, strict=True)]
    assert np.nanmedian(errors) < 0.006
    assert np.nanmax(errors) < 0.02


def test_a_small_ridge_is_told_from_none(comparisons):
    """What ridge = 1e-3 would do to theory is many standard errors: the evidence is for zero."""
    for name in ("isotropic", "rank-deficient covariance"):
        comparison, problem = comparisons[name], PROBLEMS[name]
        ridged = predict(Problem(problem.psi_n, problem.psi_p, problem.m, problem.t, 1e-3, "tanh", problem.spectrum))
        change = (ridged.test - comparison.limit.test) / comparison.extrapolation.error[2]
        assert np.max(np.abs(change)) > 4.5
        assert np.all(ridged.train[0] > 1e-6)
