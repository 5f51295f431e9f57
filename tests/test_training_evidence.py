"""Learning curves against real networks: gradient flow by eigendecomposition and steps of optax, by slope in 1/d."""

import numpy as np
import optax
import pytest

from rfdsm import Problem, simulate_training, spectra, training_curve, units
from rfdsm.extrapolation import fit

NAMES = ("train", "empirical_test", "test", "score")
DIMENSIONS = (40, 160)
TIMES = (0.1, 1.0, 20.0, 500.0)
TRIALS = 26
CASES = {
    "m = 1 and 4, two atoms": (
        Problem(2.0, 1.0, np.array([1, 4]), 0.1, 1e-3, spectrum=spectra.atoms([0.5, 1.5])),
        0.0,
    ),
    "m = inf, p > n": (Problem(0.5, 1.0, np.inf, 0.1, 0.0), 0.0),
    "relu from random weights": (Problem(1.0, 1.0, 2, 0.3, 1e-2, "relu"), 0.5),
}


def deviations(problem, initial):
    """Mean and standard error over trials of simulation - theory, (losses, d, cells, times)."""
    theory = training_curve(problem, TIMES, initial=initial)
    means, errors = [], []
    for d in DIMENSIONS:
        runs = simulate_training(problem, TIMES, d, initial=initial, trials=TRIALS, key=7)
        values = np.stack([np.asarray(getattr(runs, name)) - getattr(theory, name) for name in NAMES])
        means.append(values.mean(axis=1))
        errors.append(values.std(axis=1, ddof=1) / np.sqrt(TRIALS))
    shape = (len(NAMES), len(DIMENSIONS), -1, len(TIMES))
    return (np.stack(values, axis=1).reshape(shape) for values in (means, errors))


@pytest.fixture(scope="module")
def evidence(one_contour):
    return {name: tuple(deviations(*case)) for name, case in CASES.items()}


def test_simulated_curves_extrapolate_to_theory(evidence):
    x = 1 / np.array(DIMENSIONS)[None, :, None, None]
    z = np.concatenate([fit(x, mean, error).z.ravel() for mean, error in evidence.values()])
    assert z.size == 4 * 4 * len(TIMES)
    assert np.max(np.abs(z)) < 4.5
    assert 0.5 < np.sqrt(np.mean(z**2)) < 1.6


def test_deviations_shrink_like_one_over_d(evidence):
    scale = np.array(DIMENSIONS)[None, :, None, None]
    for mean, error in evidence.values():
        change = (mean * scale)[:, -1] - (mean * scale)[:, 0]
        assert np.max(np.abs(change) / np.hypot((error * scale)[:, -1], (error * scale)[:, 0])) < 4.5


def test_the_evidence_has_power(evidence):
    """A theory one per cent off would be more than three standard errors away from most values."""
    x = 1 / np.array(DIMENSIONS)[None, :, None, None]
    for name, (mean, error) in evidence.items():
        theory = training_curve(CASES[name][0], TIMES, initial=CASES[name][1])
        sizes = np.stack([getattr(theory, loss).reshape(-1, len(TIMES)) for loss in NAMES])
        assert np.median(fit(x, mean, error).error / sizes) < 0.0033


def test_small_steps_of_gradient_descent_follow_theory(one_contour):
    """optax's plain descent on the loss of theory.md, in the units of `flow_time`, at one d."""
    problem, d, rate, trials = Problem(2.0, 1.0, 4, 0.3, 1e-2), 64, 40.0, 8
    steps = np.array([40, 400])
    runs = simulate_training(problem, steps, d, optimiser=optax.sgd(rate), trials=trials, key=3)
    theory = training_curve(problem, units.flow_time(rate, steps, 0.3, d, d))
    for name in NAMES:
        values = np.asarray(getattr(runs, name))
        error = values.std(axis=0, ddof=1) / np.sqrt(trials)
        # At one finite d: standard errors, and the 1/d deviation that the tests above resolve.
        assert np.all(np.abs(values.mean(axis=0) - getattr(theory, name)) < 4 * error + 2 / d * getattr(theory, name))
