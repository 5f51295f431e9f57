"""Simulation of the linear denoiser: the regression done plainly, exact expectations against draws, keys."""

import jax
import numpy as np
import pytest

from rfdsm import linear, spectra
from rfdsm.linear._fitting import Normal, draw, fit, normal_rows
from rfdsm.linear._plan import realised

compiled_fit = jax.jit(fit, static_argnames=("kind", "m"))


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
    [(5, 1, 0.0, "dual"), (4, 2, 0.3, "dual"), (9, 2, 0.0, "primal"), (20, 1, 0.05, "primal"), (4, 3, 0.1, "primal")],
)
def test_the_denoiser_is_the_ridge_regression_with_intercept(n, m, ridge, kind):
    d, a, eta = 8, 0.6, 0.3
    deviations = np.linspace(0.5, 2.0, d)
    keys = jax.random.split(jax.random.key(1))
    sample = draw(keys[0], n, n, Normal(deviations))
    b0, b1, train = plain_fit(sample, m, keys[1], a, eta, ridge)
    padded = draw(keys[0], n, 32, Normal(deviations))  # more rows than points change nothing
    for each in (sample, padded):
        fitted = compiled_fit(each, keys[1], kind, m, a, eta, ridge)
        np.testing.assert_allclose(fitted.b1, b1, atol=1e-9 * np.abs(b1).max())
        np.testing.assert_allclose(fitted.offset, b0, atol=1e-9)
        np.testing.assert_allclose(fitted.train, train, rtol=1e-8, atol=1e-15)
        x_mean = np.asarray(sample.mean)
        np.testing.assert_allclose(fitted.mean, b0 + b1 @ (a * x_mean), atol=1e-9)
        spread = a**2 * np.var(np.asarray(sample.rows), axis=0, ddof=1).mean() + eta
        np.testing.assert_allclose(fitted.spread, spread, rtol=1e-12)


def test_exact_noise_is_the_limit_of_many_draws():
    keys = jax.random.split(jax.random.key(2))
    sample = draw(keys[0], 12, 12, Normal(np.ones(6)))
    limit = compiled_fit(sample, keys[1], "exact", 0, 0.7, 0.4, 0.1)
    many = compiled_fit(sample, keys[1], "primal", 20_000, 0.7, 0.4, 0.1)
    assert np.max(np.abs(many.b1 - limit.b1)) < 0.02
    np.testing.assert_allclose(many.train, limit.train, rtol=0.02)


def test_statistics_are_those_of_draws():
    """Losses and divergences against plain formulas and Monte Carlo at small d."""
    problem = linear.Problem(3.0, 0.5, 2, 0.1, 0.5, 1.3, spectra.atoms([0.5, 1.5]))
    d, key = 6, 4
    result = linear.simulate(problem, d, key=key, smoothing=0.2)
    base = jax.random.fold_in(jax.random.key(key), 0)
    for_points, for_noise = jax.random.split(base)
    eigenvalues = 1.69 * np.repeat([0.5, 1.5], 3)
    sample = draw(for_points, 18, 32, Normal(np.sqrt(eigenvalues)))
    a, eta = float(problem.a), float(problem.eta)
    fitted = compiled_fit(sample, for_noise, "primal", 2, a, eta, 0.1)
    b1, b0 = np.asarray(fitted.b1), np.asarray(fitted.offset)
    rng = np.random.default_rng(0)
    count = 200_000
    x = rng.normal(size=(count, d)) * np.sqrt(eigenvalues)
    y = a * x + np.sqrt(eta) * rng.normal(size=(count, d))
    errors = np.sum((x - b0 - y @ b1.T) ** 2, axis=1) / d
    assert abs(errors.mean() - result.losses.test[0]) < 4 * errors.std() / np.sqrt(count)
    points = np.asarray(sample.rows + sample.mean)[:18]
    repeats = np.repeat(points, count // 18, axis=0)
    y = a * repeats + np.sqrt(eta) * rng.normal(size=repeats.shape)
    errors = np.sum((repeats - b0 - y @ b1.T) ** 2, axis=1) / d
    assert abs(errors.mean() - result.losses.empirical_test[0]) < 4 * errors.std() / np.sqrt(len(errors))
    np.testing.assert_allclose(result.losses.excess + result.losses.floor, result.losses.test, rtol=1e-12)

    covariance = float(fitted.spread) * b1 @ b1.T
    law, target = covariance + 0.2 * np.eye(d), np.diag(eigenvalues + 0.2)
    mean = np.asarray(fitted.mean)
    logs = np.linalg.slogdet(law)[1], np.linalg.slogdet(target)[1]
    middle = (law + target) / 2
    values, vectors = np.linalg.eigh(target)
    root = vectors * np.sqrt(values) @ vectors.T
    expected = {
        "kl": (np.trace(np.linalg.solve(target, law)) + mean @ np.linalg.solve(target, mean) - d - logs[0] + logs[1])
        / 2,
        "reverse_kl": (
            np.trace(np.linalg.solve(law, target)) + mean @ np.linalg.solve(law, mean) - d + logs[0] - logs[1]
        )
        / 2,
        "bhattacharyya": mean @ np.linalg.solve(middle, mean) / 8 + np.linalg.slogdet(middle)[1] / 2 - sum(logs) / 4,
        "wasserstein": mean @ mean
        + np.trace(law + target)
        - 2 * np.sum(np.sqrt(np.linalg.eigvalsh(root @ law @ root))),
        "logdet": logs[0],
        "trace": np.trace(covariance),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(getattr(result.generated, name)[0] * d, value, rtol=1e-9, err_msg=name)
    np.testing.assert_allclose(result.mean_error[0], mean @ mean / d, rtol=1e-12)


def test_directions_without_variance_are_left_out():
    """Law and target are compared where the data vary, per dimension of the whole."""
    problem = linear.Problem(2.0, 0.5, 2, 0.1, 0.5, 1.3, spectra.atoms([0.0, 1.5], [1, 2]))
    d, k = 6, 4
    result = linear.simulate(problem, d, key=4).generated
    for_points, for_noise = jax.random.split(jax.random.fold_in(jax.random.key(4), 0))
    eigenvalues = 1.69 * np.array([0, 0, 1.5, 1.5, 1.5, 1.5])
    sample = draw(for_points, 12, 128, Normal(np.sqrt(eigenvalues)))
    fitted = compiled_fit(sample, for_noise, "primal", 2, float(problem.a), float(problem.eta), 0.1)
    root = np.sqrt(float(fitted.spread)) * np.asarray(fitted.b1)
    assert np.all(np.abs(root[:2]) < 1e-12)
    law, mean, target = (root @ root.T)[2:, 2:], np.asarray(fitted.mean)[2:], 1.69 * 1.5
    log = np.linalg.slogdet(law)[1] - k * np.log(target)
    kl = (np.trace(law) / target + mean @ mean / target - k - log) / 2
    reverse = (np.trace(np.linalg.inv(law)) * target + mean @ np.linalg.solve(law, mean) - k + log) / 2
    np.testing.assert_allclose([result.kl[0], result.reverse_kl[0]], np.array([kl, reverse]) / d, rtol=1e-9)
    assert result.logdet[0] == -np.inf


def test_trials_depend_on_their_key_only():
    problem = linear.Problem(np.array([2.0, 3.0]), 1.0)
    many = linear.simulate(problem, 10, trials=5, key=7)
    few = linear.simulate(linear.Problem(3.0, 1.0), 10, trials=2, key=7)
    np.testing.assert_allclose(many.losses.test[:2, 1], few.losses.test, rtol=1e-12)
    again = linear.simulate(problem, 10, trials=5, key=jax.random.key(7))
    np.testing.assert_array_equal(again.generated.trace, many.generated.trace)
    assert len(np.unique(many.losses.test)) == many.losses.test.size


def test_singular_laws_are_infinite_and_large_ones_do_not_underflow():
    law = linear.simulate(linear.Problem(np.array([0.5, 1.0, 1.3]), 2.0), 10, trials=2).generated
    np.testing.assert_array_equal(np.isinf(law.kl[0]), [True, True, False])
    np.testing.assert_array_equal(np.isinf(law.logdet[0]), [True, True, False])
    assert np.all(np.isfinite(law.wasserstein))
    # at sigma = 1e-3 the determinant in 200 dimensions is 1e-1200
    small = linear.simulate(linear.Problem(2.0, 2.0, sigma=1e-3, noise_scale=1e-6), 200, wasserstein=False).generated
    np.testing.assert_allclose(small.logdet, np.log(1e-6), rtol=0.2)
    assert np.isnan(small.wasserstein).all()


def test_comparison_holds_at_the_realised_ratio():
    actual = realised(linear.Problem(0.33, 1.0, spectrum=spectra.atoms([1.0, 3.0], [2, 1])), 10)
    np.testing.assert_allclose(actual.psi, 0.3)
    np.testing.assert_allclose(actual.spectrum.weights, [0.7, 0.3])
