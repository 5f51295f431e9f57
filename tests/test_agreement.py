"""The evidence: simulations of the real nonlinear network against theory, by standard errors and by slope in 1/d.

Each deviation must vanish like 1/d: the intercept of its fit in 1/d is zero within its error at several problems that
cover n, p, m, t, the covariance and the activation, and across all of them intercepts scatter as their errors say.
Simulated losses are exact given the network and its draws, m = inf is trained on the expectation over noise, and so the
errors are the spread over networks alone. At m = inf `empirical_test` is `train`, in simulation and in theory.
"""

import numpy as np
import pytest

from rfdsm import Problem, compare, spectra

DIMENSIONS = (40, 80, 160)
PROBLEMS = {
    "underparametrised": Problem(4.0, 0.5, np.array([4, np.inf]), 0.1, 1e-3, "tanh"),
    "between n and nm": Problem(1.0, 2.0, np.array([3, 8]), 0.1, 1e-2, "erf"),
    "interpolating": Problem(0.5, 3.0, np.array([1, np.inf]), 0.3, 1e-2, "relu"),
    "structured covariance": Problem(
        2.0, 1.5, np.array([1, np.inf]), 0.2, 1e-2, "softplus", spectra.atoms([0.2, 1.0, 3.0], [2, 1, 1])
    ),
    "rank-deficient covariance": Problem(1.5, 1.0, np.array([2, np.inf]), 0.4, 1e-2, "gelu", spectra.atoms([0.0, 2.0])),
    "late time, strong ridge": Problem(2.0, 2.0, np.array([5, np.inf]), 1.0, 0.1, "abs"),
    "user activation": Problem(1.0, 1.0, np.array([2, np.inf]), 0.2, 1e-2, lambda u: u + 0.3 * u**2),
}


@pytest.fixture(scope="module")
def comparisons():
    return {name: compare(problem, DIMENSIONS, trials=24, key=11) for name, problem in PROBLEMS.items()}


def test_extrapolation_hits_theory(comparisons):
    z = np.concatenate([comparison.extrapolation.z.ravel() for comparison in comparisons.values()])
    assert z.size == 4 * 2 * len(PROBLEMS)
    assert np.max(np.abs(z)) < 4.5
    assert 0.6 < np.sqrt(np.mean(z**2)) < 1.5


@pytest.mark.parametrize("name", PROBLEMS)
def test_deviation_shrinks_like_one_over_d(comparisons, name):
    """Where the deviation at the smallest d is resolved, it is d^-1 that removes it."""
    comparison = comparisons[name]
    deviation, error = comparison.mean - comparison.theory, comparison.standard_error
    scaled = deviation * np.array(DIMENSIONS)[None, :, None]
    spread = error * np.array(DIMENSIONS)[None, :, None]
    change = (scaled[:, 2] - scaled[:, 0]) / np.hypot(spread[:, 2], spread[:, 0])
    assert np.max(np.abs(change)) < 4.5
    assert np.all(np.abs(comparison.relative_deviation[:, -1]) < 0.1)


def test_the_evidence_has_power(comparisons):
    """Errors are small enough to see a formula that is one per cent off in test or training loss."""
    worst = max(np.max(c.extrapolation.error[[0, 2]] / np.abs(c.theory[[0, 2], -1])) for c in comparisons.values())
    typical = np.median([np.median(c.extrapolation.error / np.abs(c.theory[:, -1])) for c in comparisons.values()])
    assert typical < 0.004
    assert worst < 0.05


LARGE = (100, 200, 400, 800)
"""Dimensions of the evidence by slope."""


@pytest.fixture(scope="module", params=["tanh"])
def large(request):
    return compare(Problem(1.0, 0.5, np.array([1, 4, np.inf]), 0.1, 1e-2, request.param), LARGE, trials=12, key=11)


def test_theory_is_the_limit_by_slope(large):
    """For m = 1, 4 and inf: the intercept in 1/d is zero, and d times the deviation has stopped to change."""
    z = large.extrapolation.z
    assert z.shape == (4, 3)
    assert np.max(np.abs(z)) < 4.5
    d = np.array(LARGE)[None, :, None]
    scaled, spread = large.deviation * d, large.standard_error * d
    slope, error = large.extrapolation.slope[:, None], large.extrapolation.slope_error[:, None]
    assert np.max(np.abs(scaled - slope) / np.hypot(spread, error)) < 4.5
    assert np.all(np.abs(large.relative_deviation[:, -1]) < 0.01)


def test_a_wrong_theory_would_be_seen_by_slope(large):
    """A theory 0.6 per cent off is three standard errors from every loss, half a per cent ten from most."""
    errors = large.extrapolation.error / large.theory[:, -1]
    assert np.all(errors < 0.006 / 3)
    assert np.median(errors) < 0.005 / 10
