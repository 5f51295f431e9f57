"""The closed limits for other schedules and targets, against `predict` near them: errors fall at the rate stated."""

import numpy as np
import pytest

from rfdsm import Losses, Problem, predict, spectra
from rfdsm.theory import limits
from tests.tolerances import ROUTES

LAW = spectra.atoms([2.0, 0.5], [0.4, 0.6])
NAMES = (*Losses.NAMES, "objective")


def distance(limit, exact):
    """Largest relative error of the losses whose limit is not zero."""
    pairs = [(np.asarray(getattr(limit, name)), np.asarray(getattr(exact, name))) for name in NAMES]
    return max(np.max(np.abs(a / b - 1)) for a, b in pairs if np.all(a != 0))


def check(limit, problems, rate, last):
    """Errors at two problems, the second nearer to the limit by a factor whose effect is `rate`."""
    far, near = (distance(limit(problem), predict(problem)) for problem in problems)
    assert near < last and far / near == pytest.approx(rate, rel=0.3), (far, near)


SMALL = [("ou", "data", 10), ("ou", "velocity", 10), ("flow", "flow", 100), ("edm", "linear:0.3,0.8", 100)]
LATE = [
    ("ou", "data", (4.0, 6.0), np.exp(4)),
    ("flow", "flow", (0.99, 0.999), 10),
    ("variance_exploding", "flow", (100.0, 1000.0), 10),
    ("edm", "noise", (100.0, 1000.0), 100),
    ("cosine", "linear:0.5,1", (0.99, 0.999), 10),
]


@pytest.mark.parametrize("m", [1, 3, np.inf])
@pytest.mark.parametrize("schedule, target, rate", SMALL)
def test_small_time(schedule, target, rate, m):
    problems = (Problem(2, [0.7, 5.0], m, t, 0.05, "tanh", LAW, schedule, target) for t in (1e-4, 1e-5))
    check(limits.small_time, problems, rate, 2e-3)


@pytest.mark.parametrize("m", [1, 3])
@pytest.mark.parametrize("schedule, target, times, rate", LATE)
def test_late_time(schedule, target, times, rate, m):
    problems = (Problem(2, [0.7, 5.0], m, t, 0.05, "tanh", LAW, schedule, target) for t in times)
    check(limits.late_time, problems, rate, 1e-2)


PAIRS = [("flow", "flow"), ("ou", "velocity"), ("edm", "data"), ("variance_exploding", "linear:0.4,-0.7")]


@pytest.mark.parametrize("schedule, target", PAIRS)
def test_infinite_sizes(schedule, target):
    """Infinitely many samples, features, or all three."""

    def problem(psi_n, psi_p, m, ridge):
        return Problem(psi_n, psi_p, m, 0.4, ridge, "relu", LAW, schedule, target)

    exact = problem(np.inf, [0.7, 5.0], 3, [1e-2, 0.0])
    assert distance(limits.population(exact), predict(exact)) < ROUTES
    for m in (2, np.inf):
        check(lambda p: limits.kernel_ridge(p, 0.1), (problem(1.5, x, m, 0.1 * x) for x in (1e4, 1e5)), 10, 1e-3)
    check(limits.kernel, (problem(1.5, psi_p, 2, 0.1) for psi_p in (1e6, 1e7)), 10, 1e-3)
    check(limits.infinite_draws, (problem(size, 3 * size, np.inf, 0.1) for size in (1e4, 1e5)), 10, 1e-3)
