"""Several denoising steps: exact recursions in small cases, limits, and what the number of steps does."""

import numpy as np
import pytest

from rfdsm import linear, spectra
from rfdsm.extrapolation import fit
from rfdsm.linear._chain import generated_spectrum, times
from tests.tolerances import IDENTITY

CELL = dict(T=1.2, m=np.inf, noise_scale=0.6)


def test_ancestral_update_is_the_posterior_of_the_process():
    """Given x, (y', y) are jointly normal: mean and variance of y' given y and x, by linear regression."""
    now, then, scale = 0.9, 0.3, 0.8
    a, b = np.exp(-now), np.exp(-then)
    eta, eta_next = scale * (1 - a * a), scale * (1 - b * b)
    gain = (a / b) * eta_next / eta  # cov(y', y | x)/var(y | x)
    left = eta_next - gain**2 * eta
    w = np.array([0.5, 2.0])
    denoised = a * w / (a * a * w + eta)
    factor = gain + (b - gain * a) * denoised
    arguments = (w, np.array([now, then]), np.array(scale), np.array(0.0), np.array(1.3))
    np.testing.assert_allclose(generated_spectrum(*arguments, 1.0), factor**2 * 1.3 + left, rtol=IDENTITY)


def test_deterministic_updates_reach_the_flow():
    """Many steps: the probability flow of N(0, w) carries variance v to v w/(a^2 w + eta)."""
    problem = linear.Problem(3.0, sigma=1.0, **CELL)
    w = np.array([0.2, 1.0, 2.5])
    start = float(problem.a**2 + problem.eta)
    errors = []
    for steps in (800, 1600):
        at = times("uniform", steps, np.array(1.2))
        found = generated_spectrum(w, at, np.array(0.6), np.array(0.0), np.array(start), 0.0)
        errors.append(np.asarray(found) / (start * w / (problem.a**2 * w + problem.eta)) - 1)
    np.testing.assert_allclose(errors[0] / errors[1], 2, rtol=0.1)
    assert np.max(np.abs(errors[1])) < 0.03


def test_sample_covariance_is_where_many_stochastic_steps_end():
    """Early start, long time: sampling forgets the start and the law tends to N(0, sample covariance)."""
    psi = 3.0
    law = linear.chain(linear.Problem(psi, 4.0, np.inf, noise_scale=1.0), [500, 1000, 2000], stochasticity=1.0)
    expected = (1 - (psi - 1) * np.log(psi / (psi - 1))) / 2
    gaps = law.kl - expected
    assert np.all(gaps > 0) and np.all(gaps[:-1] > 1.6 * gaps[1:])
    assert gaps[2] < 0.004


def test_schedules():
    for name in ("uniform", "quadratic", "geometric"):
        at = times(name, 5, np.array([1.0, 2.0]))
        assert at.shape == (2, 6)
        np.testing.assert_array_equal(at[:, 0], [1, 2])
        np.testing.assert_array_equal(at[:, -1], 0)
        assert np.all(np.diff(at) < 0)
    np.testing.assert_allclose(times("quadratic", 4, np.array(2.0)), [2, 9 / 8, 1 / 2, 1 / 8, 0])
    np.testing.assert_allclose(times("geometric", 4, np.array(2.0)), [2, 0.2, 0.02, 0.002, 0])
    problem = linear.Problem(2.0, **CELL)
    listed = linear.chain(problem, 4, schedule=[1.0, 0.75, 0.5, 0.25])
    np.testing.assert_allclose(listed.kl, linear.chain(problem, 4).kl, rtol=IDENTITY)


@pytest.mark.parametrize("chi", [0.0, 1.0])
def test_theory_and_simulation_of_a_chain(chi):
    """Deviations are c/d: extrapolated they vanish within standard errors, d times them is the same at both d."""
    problem = linear.Problem(np.array([0.6, 2.0]), ridge=0.02, **CELL)
    law = linear.chain(problem, 4, stochasticity=chi, smoothing=0.2)
    dimensions, trials = np.array([20, 60]), (800, 400)
    simulated = [
        linear.simulate_chain(problem, 4, d, trials=count, key=1, stochasticity=chi, smoothing=0.2)
        for d, count in zip(dimensions.tolist(), trials, strict=True)
    ]
    for name in law.NAMES:
        theory = getattr(law, name)
        values = [getattr(each, name) for each in simulated]
        deviation = np.stack([each.mean(axis=0) - theory for each in values])[None]
        error = np.stack([each.std(axis=0, ddof=1) / np.sqrt(len(each)) for each in values])[None]
        line = fit(1 / dimensions[None, :, None], deviation, error)
        assert np.all(np.abs(line.z) < 4), name
        assert np.all(line.error < 0.01 * np.maximum(np.abs(theory), 0.1)), name


def test_chain_of_any_covariance_matches_one_step():
    problem = linear.Problem(np.array([0.7, 3.0]), ridge=0.1, spectrum=spectra.atoms([0.5, 2.0]), **CELL)
    one = linear.simulate_chain(problem, 1, 20, trials=3, key=5, smoothing=0.1)
    law = linear.simulate(problem, 20, trials=3, key=5, smoothing=0.1).generated
    for name in law.NAMES:
        np.testing.assert_allclose(getattr(one, name), getattr(law, name), rtol=1e-9, atol=1e-12)


def test_the_best_number_of_steps_is_finite_where_it_should_be():
    """Least squares: more steps are always better in KL. A ridge shrinks at every step: a few steps are best."""
    free, _ = linear.optimal_steps(linear.Problem(np.array([1.5, 4.0]), **CELL), 40)
    np.testing.assert_array_equal(free, 40)
    ridged = linear.Problem(np.array([1.5, 4.0, 100.0]), 1.0, np.inf, 0.3)
    best, least = linear.optimal_steps(ridged, 40)
    assert np.all((best > 1) & (best < 20))
    around = linear.chain(ridged, [1, 40]).kl
    assert np.all(least[:, None] < around)
    np.testing.assert_allclose(
        np.take_along_axis(linear.chain(ridged, list(range(1, 41))).kl, best[:, None] - 1, 1)[:, 0], least
    )
    # fewer samples than dimensions: smoothed, more steps end by copying the sample covariance
    few, _ = linear.optimal_steps(linear.Problem(0.5, 4.0, np.inf, 0.0, 1.0), 40, smoothing=1.0)
    assert 1 < few < 20
