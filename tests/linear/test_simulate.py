"""Simulation of the linear denoiser: the regression done plainly, exact expectations against draws, keys."""

import jax
import numpy as np
import pytest

from rfdsm import linear, spectra
from rfdsm.linear._fitting import Normal, draw, fit, normal_rows
from rfdsm.linear._plan import realised

STATIC = {"dual": ("kind", "m"), "primal": ("kind",)}
compiled = {kind: jax.jit(fit, static_argnames=names) for kind, names in STATIC.items()}


def plain_fit(sample, m, key, a, eta, ridge):
    """The denoiser by a design matrix with a column of ones, as least squares with appended rows for the penalty."""
    n, d = sample.rows.shape
    noise = [normal_rows(jax.random.fold_in(key, j), n, d) for j in range(m)]
    x = np.asarray(sample.rows + sample.mean)
    y = np.concatenate([a * x + np.sqrt(eta) * np.asarray(z) for z in noise])
    targets = np.tile(x, (m, 1))
    y_mean, x_mean = y.mean(axis=0), targets.mean(axis=0)
    design = np.concatenate([(y - y_mean) / np.sqrt(n * m), np.sqrt(ridge) * np.eye(d)])
    right = np.concatenate([(targets - x_mean) / np.sqrt(n * m), np.zeros((d, d))])
    b1 = np.linalg.lstsq(design, right, rcond=1e-12)[0].T
    b0 = x_mean - b1 @ y_mean
    train = np.sum((targets - b0 - y @ b1.T) ** 2) / (n * m * d)
    return b0, b1, train


@pytest.mark.parametrize(
    ("n", "m", "ridge", "kind"),
    [(5, 1, 0.0, "dual"), (4, 2, 0.3, "dual"), (9, 2, 0.0, "primal"), (4, 3, 0.1, "primal")],
)
def test_the_denoiser_is_the_ridge_regression_with_intercept(n, m, ridge, kind):
    """In an array of more rows than points, too."""
    d, a, eta = 8, 0.6, 0.3
    law = Normal(np.linspace(0.5, 2.0, d))
    keys = jax.random.split(jax.random.key(1))
    sample = draw(keys[0], n, n, law)
    b0, b1, train = plain_fit(sample, m, keys[1], a, eta, ridge)
    fitted = compiled[kind](draw(keys[0], n, 32, law), keys[1], kind, m, a, eta, ridge)
    np.testing.assert_allclose(fitted.b1, b1, atol=1e-9 * np.abs(b1).max())
    np.testing.assert_allclose(fitted.offset, b0, atol=1e-9)
    np.testing.assert_allclose(fitted.train, train, rtol=1e-8, atol=1e-15)
    np.testing.assert_allclose(fitted.mean, b0 + b1 @ (a * np.asarray(sample.mean)), atol=1e-9)
    spread = a**2 * np.var(np.asarray(sample.rows), axis=0, ddof=1).mean() + eta
    np.testing.assert_allclose(fitted.spread, spread, rtol=1e-12)


@pytest.fixture(scope="module")
def result():
    return linear.simulate(problem_at(3.0), 6, key=4, smoothing=0.2)


def problem_at(psi):
    return linear.Problem(psi, 0.5, 2, 0.1, 0.5, 1.3, spectra.atoms([0.5, 1.5]))


def again(n, eigenvalues, problem):
    """The sample of the first trial of key 4, and the denoiser fitted to it."""
    for_points, for_noise = jax.random.split(jax.random.fold_in(jax.random.key(4), 0))
    sample = draw(for_points, n, 32, Normal(np.sqrt(eigenvalues)))
    return sample, compiled["primal"](sample, for_noise, "primal", 2, float(problem.a), float(problem.eta), 0.1)


def test_statistics_are_those_of_draws(result):
    """Losses and divergences against plain formulas and Monte Carlo at small d."""
    problem, d = problem_at(3.0), 6
    eigenvalues = 1.69 * np.repeat([0.5, 1.5], 3)
    sample, fitted = again(18, eigenvalues, problem)
    a, eta = float(problem.a), float(problem.eta)
    b1, b0 = np.asarray(fitted.b1), np.asarray(fitted.offset)
    rng = np.random.default_rng(0)
    count = 200_000
    fresh = rng.normal(size=(count, d)) * np.sqrt(eigenvalues)
    points = np.repeat(np.asarray(sample.rows + sample.mean)[:18], count // 18, axis=0)
    for x, found in ((fresh, result.losses.test[0]), (points, result.losses.empirical_test[0])):
        y = a * x + np.sqrt(eta) * rng.normal(size=x.shape)
        errors = np.sum((x - b0 - y @ b1.T) ** 2, axis=1) / d
        assert abs(errors.mean() - found) < 4 * errors.std() / np.sqrt(len(errors))
    np.testing.assert_allclose(result.losses.excess + result.losses.floor, result.losses.test, rtol=1e-12)

    covariance = float(fitted.spread) * b1 @ b1.T
    law, target = covariance + 0.2 * np.eye(d), np.diag(eigenvalues + 0.2)
    mean, deviation = np.asarray(fitted.mean), np.sqrt(target)
    (log, log_target), middle = (np.linalg.slogdet(each)[1] for each in (law, target)), (law + target) / 2
    to_target, to_law, across = (mean @ np.linalg.solve(each, mean) for each in (target, law, middle))
    overlaps = np.sqrt(np.linalg.eigvalsh(deviation @ law @ deviation))
    expected = {
        "kl": (np.trace(np.linalg.solve(target, law)) + to_target - d - log + log_target) / 2,
        "reverse_kl": (np.trace(np.linalg.solve(law, target)) + to_law - d + log - log_target) / 2,
        "bhattacharyya": across / 8 + np.linalg.slogdet(middle)[1] / 2 - (log + log_target) / 4,
        "wasserstein": mean @ mean + np.trace(law + target) - 2 * np.sum(overlaps),
        "logdet": log,
        "trace": np.trace(covariance),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(getattr(result.generated, name)[0] * d, value, rtol=1e-9, err_msg=name)
    np.testing.assert_allclose(result.mean_error[0], mean @ mean / d, rtol=1e-12)


def test_directions_without_variance_are_left_out():
    """Law and target are compared where the data vary, per dimension of the whole."""
    problem = linear.Problem(2.0, 0.5, 2, 0.1, 0.5, 1.3, spectra.atoms([0.0, 1.5], [1, 2]))
    d, k = 6, 4
    result = linear.simulate(problem, d, key=4, wasserstein=False).generated
    _, fitted = again(12, 1.69 * np.array([0, 0, 1.5, 1.5, 1.5, 1.5]), problem)
    root = np.sqrt(float(fitted.spread)) * np.asarray(fitted.b1)
    assert np.all(np.abs(root[:2]) < 1e-12)
    law, mean, target = (root @ root.T)[2:, 2:], np.asarray(fitted.mean)[2:], 1.69 * 1.5
    log = np.linalg.slogdet(law)[1] - k * np.log(target)
    kl = (np.trace(law) / target + mean @ mean / target - k - log) / 2
    reverse = (np.trace(np.linalg.inv(law)) * target + mean @ np.linalg.solve(law, mean) - k + log) / 2
    np.testing.assert_allclose([result.kl[0], result.reverse_kl[0]], np.array([kl, reverse]) / d, rtol=1e-9)
    assert result.logdet[0] == -np.inf


def test_trials_depend_on_their_key_only(result):
    many = linear.simulate(problem_at(np.array([2.0, 3.0])), 6, trials=2, key=jax.random.key(4), smoothing=0.2)
    for name in ("test", "train"):
        np.testing.assert_allclose(getattr(many.losses, name)[:1, 1], getattr(result.losses, name), rtol=1e-12)
    np.testing.assert_allclose(many.generated.kl[:1, 1], result.generated.kl, rtol=1e-12)
    assert len(np.unique(many.losses.test)) == many.losses.test.size


def test_singular_laws_are_infinite_and_small_ones_do_not_underflow():
    unit = np.array([1, 1, 1, 1e-60])  # a determinant of 1e-720
    problem = linear.Problem(np.array([0.5, 1.0, 1.5, 1.5]), 2.0, 1, 0.0, np.exp(-4) * unit**2, unit)
    law = linear.simulate(problem, 6).generated
    np.testing.assert_array_equal(np.isinf(law.kl[0]), [True, True, False, False])
    np.testing.assert_array_equal(np.isinf(law.logdet[0]), [True, True, False, False])
    assert np.all(np.isfinite(law.wasserstein))
    np.testing.assert_allclose(law.logdet[0, 3], law.logdet[0, 2] + 2 * np.log(1e-60), rtol=1e-9)
    for name in ("kl", "reverse_kl", "bhattacharyya"):
        np.testing.assert_allclose(getattr(law, name)[0, 3], getattr(law, name)[0, 2], rtol=1e-9)


def test_comparison_holds_at_the_realised_ratio():
    actual = realised(linear.Problem(0.33, 1.0, spectrum=spectra.atoms([1.0, 3.0], [2, 1])), 10)
    np.testing.assert_allclose(actual.psi, 0.3)
    np.testing.assert_allclose(actual.spectrum.weights, [0.7, 0.3])
