"""The evidence: simulations of the real nonlinear network against theory, by standard errors and by slope in 1/d.

Each deviation must vanish like 1/d: the intercept of its fit in 1/d is zero within its error at several problems that
cover n, p, m, t, the covariance and the activation, and across all of them intercepts scatter as their errors say.
Simulated losses are exact given the network and its draws, m = inf is trained on the expectation over noise, and so the
errors are the spread over networks alone. At m = inf `empirical_test` is `train`, in simulation and in theory.
"""

import numpy as np
import pytest

from rfdsm import Problem, compare, spectra

DIMENSIONS = (40, 160)
"""A third in between would leave the error of the intercept as it is, to two per cent."""
TRIALS = 32
LARGE = "underparametrised, larger"
PROBLEMS = {
    "between n and nm": Problem(1.0, 2.0, np.array([3, 8]), 0.1, 1e-2, "erf"),
    "interpolating": Problem(0.5, 3.0, np.array([1, np.inf]), 0.3, 1e-2, "relu"),
    "rank-deficient covariance": Problem(
        2.0, 1.5, np.array([1, np.inf]), 0.2, 1e-2, "softplus", spectra.atoms([0.0, 0.4, 3.0], [2, 1, 1])
    ),
    "late time, strong ridge": Problem(2.0, 2.0, np.array([5, np.inf]), 1.0, 0.1, "abs"),
    "user activation": Problem(1.0, 1.0, np.array([2, np.inf]), 0.2, 1e-2, lambda u: u + 0.3 * u**2),
}


@pytest.fixture(scope="module")
def comparisons():
    found = {name: compare(problem, DIMENSIONS, trials=TRIALS, key=11) for name, problem in PROBLEMS.items()}
    larger = Problem(1.0, 0.5, np.array([1, 4, np.inf]), 0.1, 1e-2, "tanh")
    return found | {LARGE: compare(larger, (100, 200, 800), trials=13, key=11)}


def test_extrapolation_hits_theory(comparisons):
    z = np.concatenate([comparison.extrapolation.z.ravel() for comparison in comparisons.values()])
    assert z.size == 4 * (2 * len(PROBLEMS) + 3)
    assert np.max(np.abs(z)) < 4.5
    assert 0.6 < np.sqrt(np.mean(z**2)) < 1.5


def scaled_change(comparison):
    """Of d times the deviation, from the smallest to the largest d, in standard errors: it is d^-1 that removes it."""
    d = np.array(comparison.dimensions)[None, :, None]
    scaled, spread = comparison.deviation * d, comparison.standard_error * d
    return (scaled[:, -1] - scaled[:, 0]) / np.hypot(spread[:, -1], spread[:, 0])


@pytest.mark.parametrize("name", [*PROBLEMS, LARGE])
def test_deviation_shrinks_like_one_over_d(comparisons, name):
    comparison = comparisons[name]
    assert np.max(np.abs(scaled_change(comparison))) < 4.5
    assert np.all(np.abs(comparison.relative_deviation[:, -1]) < (0.01 if name == LARGE else 0.1))


def test_the_evidence_has_power(comparisons):
    """Errors are small enough to see a formula that is one per cent off in test or training loss."""
    small = [comparisons[name] for name in PROBLEMS]
    worst = max(np.max(c.extrapolation.error[[0, 2]] / np.abs(c.theory[[0, 2], -1])) for c in small)
    typical = np.median([np.median(c.extrapolation.error / np.abs(c.theory[:, -1])) for c in small])
    assert typical < 0.004
    assert worst < 0.05


def test_larger_networks_show_half_a_per_cent(comparisons):
    """Deviations lie on the line in 1/d; a theory 0.6 per cent off is three standard errors from every loss, half a
    per cent ten from most."""
    large = comparisons[LARGE]
    d = np.array(large.dimensions)[None, :, None]
    slope, error = large.extrapolation.slope[:, None], large.extrapolation.slope_error[:, None]
    assert np.max(np.abs(large.deviation * d - slope) / np.hypot(large.standard_error * d, error)) < 4.5
    errors = large.extrapolation.error / large.theory[:, -1]
    assert np.all(errors < 0.006 / 3)
    assert np.median(errors) < 0.005 / 10
