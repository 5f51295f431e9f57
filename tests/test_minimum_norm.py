"""The evidence at ridge = 0: minimum-norm interpolation and least squares of the real network against theory.

As in test_agreement, by standard errors and by slope in 1/d. All problems but one have an m on either side of the
interpolation threshold nm = p (nm = d for linear features of p > d), a factor of two away or more: closer to it losses
scatter too wildly for their standard errors to be trusted.
"""

import numpy as np
import pytest

from rfdsm import Problem, compare, predict, spectra
from tests.test_agreement import DIMENSIONS, intercepts_scatter_as_their_errors_say, shrinks_like_one_over_d

DEFICIENT = spectra.atoms([0.0, 1.0, 3.0], [2, 1, 1])
PROBLEMS = {
    "isotropic": Problem(0.5, 1.5, np.array([1, 8]), 0.2, 0.0, "tanh"),
    "rank-deficient covariance": Problem(0.5, 1.5, np.array([1, 8]), 0.2, 0.0, "tanh", DEFICIENT),
    "linear": Problem(0.2, 1.5, np.array([1, 12]), 0.2, 0.0, "linear", DEFICIENT),
    "underparametrised": Problem(6.0, 1.5, np.array([1, 4]), 0.2, 0.0, "tanh"),
}


@pytest.fixture(scope="module")
def comparisons():
    return {name: compare(problem, DIMENSIONS, trials=24, key=11) for name, problem in PROBLEMS.items()}


def judged(comparison):
    """Where there is anything to compare: not where the training loss is exactly zero."""
    return ~np.all(comparison.theory == 0, axis=1)


def test_one_problem_interpolates_and_the_other_does_not(comparisons):
    """Training loss zero by theory, rounding in the simulation, and not a number in standard errors; m decides."""
    for name in set(PROBLEMS) - {"underparametrised"}:
        comparison = comparisons[name]
        np.testing.assert_array_equal(comparison.theory[0] == 0, [[True, False]] * len(DIMENSIONS))
        assert np.all(comparison.simulation[0, ..., 0] < 1e-24)
        assert np.all(comparison.simulation[0, ..., 1] > 0.05)
        np.testing.assert_array_equal(np.isnan(comparison.z[0]), comparison.theory[0] == 0)
        assert np.isnan(comparison.extrapolation.z[0, 0])
        assert not np.any(np.isnan(comparison.z[1:]))


def test_theory_is_the_limit(comparisons):
    z = np.concatenate([found.extrapolation.z[judged(found)] for found in comparisons.values()])
    assert z.size == 4 * 2 * len(PROBLEMS) - 3
    intercepts_scatter_as_their_errors_say(z, 0.5)
    for found in comparisons.values():
        shrinks_like_one_over_d(found, judged(found))
        assert np.all(np.abs(found.relative_deviation[:, -1][judged(found)]) < 0.03)


def test_the_evidence_has_power(comparisons):
    """Errors are small enough to see a formula that is one per cent off, in every loss of every problem."""
    errors = [found.extrapolation.error / found.theory[:, -1] for found in comparisons.values()]
    errors = np.concatenate([error[judged(found)] for error, found in zip(errors, comparisons.values(), strict=True)])
    assert np.median(errors) < 0.006
    assert np.max(errors) < 0.02


def test_a_small_ridge_is_told_from_none(comparisons):
    """What ridge = 1e-3 would do to theory is many standard errors: the evidence is for zero."""
    for name in ("isotropic", "rank-deficient covariance"):
        comparison, problem = comparisons[name], PROBLEMS[name]
        ridged = predict(problem.at(ridge=1e-3))
        change = (ridged.test - comparison.limit.test) / comparison.extrapolation.error[2]
        assert np.max(np.abs(change)) > 4.5
        assert np.all(ridged.train[0] > 1e-6)
