"""Samples of any network by any sampler, and the metrics of samples, whoever generated them."""

import jax.numpy as jnp
import numpy as np
import pytest

from rfdsm import sampling
from rfdsm.sampling import metrics

D = 6
VARIANCES = np.array([0.3, 0.6, 1.0, 1.0, 1.5, 2.5])


def best(y, level):
    """The noise, negative, that the best network sees in data N(0, diag(VARIANCES))."""
    return -level.root_h * y / (level.a**2 * VARIANCES + level.h)


def start(size=4000, seed=0):
    return np.random.default_rng(seed).normal(size=(size, D))


@pytest.mark.parametrize(
    "rule",
    [
        sampling.euler,
        *(pytest.param(rule, marks=pytest.mark.slow) for rule in (sampling.ddim, sampling.ddpm, sampling.reverse_sde)),
    ],
)
def test_the_best_network_generates_the_data(rule):
    samples = sampling.generate(best, rule(sampling.geometric(4, 2e-3, 250)), start())
    ratio = np.var(np.asarray(samples), axis=0) / (VARIANCES + 4e-3)
    np.testing.assert_allclose(ratio, 1, atol=5 * np.sqrt(2 / 4000) + 0.02)


@pytest.mark.slow
def test_batches_and_whole_batches_are_one():
    """Sample i has noise of its own; a network of arrays gives what one of single points gives."""
    sampler = sampling.ddpm(sampling.geometric(2, 0.1, 5))
    first = start(50)
    one = np.asarray(sampling.generate(best, sampler, first, batch=50))
    np.testing.assert_allclose(sampling.generate(best, sampler, first, batch=7), one, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        sampling.generate(best, sampler, first, batch=16, whole_batches=True), one, rtol=1e-5, atol=1e-6
    )
    path = sampling.generate(best, sampler, first, path=True)
    assert path.shape == (6, 50, D)
    np.testing.assert_allclose(path[-1], one, rtol=1e-5, atol=1e-6)


def test_a_score_is_noise_over_its_deviation():
    sampler = sampling.ddim(sampling.geometric(2, 0.1, 8))
    found = sampling.generate(lambda y, level: best(y, level) / level.root_h, sampler, start(20), target="score")
    np.testing.assert_allclose(found, sampling.generate(best, sampler, start(20)), rtol=1e-4, atol=1e-5)


def test_samples_that_overflow_are_told():
    with pytest.warns(RuntimeWarning, match=r"not finite from step 1 of 2 on, t = 1"):
        sampling.generate(lambda y, level: y * jnp.inf, sampling.ddim([1, 0.5, 0.1]), start(4))


@pytest.mark.parametrize(
    "asked, message",
    [
        (lambda: sampling.generate(best, sampling.ddim([1, 0.1]), np.ones(3)), r"start must have shape \(samples, d\)"),
        (lambda: sampling.generate(best, sampling.ddim([1, 0.1]), start(4) * np.nan), "start must be finite"),
        (
            lambda: sampling.generate(lambda y, level: y[:2], sampling.ddim([1, 0.1]), start(4)),
            "network returned shape",
        ),
        (lambda: sampling.generate(best, sampling.ddim([1, 0.1]), start(4), schedule="flow"), "levels = 1 must be"),
        (lambda: metrics.fit_gaussian(start(10), -1.0), "target must be positive definite"),
        (lambda: metrics.fit_gaussian(start(10), np.ones(3)), "target must be a covariance"),
        (lambda: metrics.memorised(start(10), start(10)[:, :2], start(10)), "training has 2 columns"),
        (lambda: metrics.memorised(start(10), start(10), start(10), ratio=2), "ratio must be a number"),
        (lambda: metrics.relative_distance(start(5), start(10), start(20)), "at least d [+] 2 = 8"),
    ],
)
def test_refusals(asked, message):
    with pytest.raises(ValueError, match=message):
        asked()


def test_divergences_have_no_bias():
    """Against the exact ones, where samples are few; the plain ones are off by many standard errors."""
    rng = np.random.default_rng(1)
    target = np.diag(VARIANCES)
    law = 0.8 * target + 0.2
    inverse = np.linalg.inv(target)
    difference = np.linalg.slogdet(law)[1] - np.linalg.slogdet(target)[1]
    exact = {
        "kl": (np.trace(inverse @ law) - D - difference) / (2 * D),
        "reverse_kl": (np.trace(np.linalg.inv(law) @ target) - D + difference) / (2 * D),
        "logdet": np.linalg.slogdet(law)[1] / D,
    }
    root = np.linalg.cholesky(law)
    fits = [metrics.fit_gaussian(rng.normal(size=(24, D)) @ root.T, target) for _ in range(1000)]
    for name, value in exact.items():
        found = np.array([getattr(fit, name) for fit in fits])
        error = found.std() / np.sqrt(len(found))
        assert abs(found.mean() - value) < 4 * error, (name, found.mean(), value, error)
        assert error < 0.02
    few = metrics.fit_gaussian(rng.normal(size=(D + 1, D)), VARIANCES)
    assert np.isfinite(few.kl) and np.isnan(few.reverse_kl)


def test_copies_are_told_from_fresh_points():
    rng = np.random.default_rng(2)
    training, fresh = rng.normal(size=(80, 20)), rng.normal(size=(60, 20))
    mixed = np.concatenate([training[:15] + 1e-3 * rng.normal(size=(15, 20)), rng.normal(size=(45, 20))])
    found = metrics.memorised(mixed, training, fresh)
    assert found.fraction == 15 / 60 and found.fraction_null == 0
    distances = np.sort(np.linalg.norm(mixed[:, None] - training, axis=2), axis=1)[:, 0] / np.sqrt(20)
    np.testing.assert_allclose(found.nearest, np.quantile(distances, found.quantiles), rtol=1e-12)
    exact = metrics.memorised(training[:10], training, fresh)
    assert exact.fraction == 1 and np.all(exact.nearest == 0)


@pytest.mark.slow
def test_relative_distance_by_its_definition():
    """In one dimension, by integrals of squares of densities on a grid."""
    rng = np.random.default_rng(3)
    training, fresh = rng.normal(size=(5, 1)), rng.normal(size=(40, 1))
    mean, covariance, sigma = np.array([0.2]), np.array([[0.7]]), 1.1
    x = np.linspace(-12, 12, 20001)

    def density(points, variance):
        return np.mean(np.exp(-((x - points) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance), axis=0)

    law = density(mean[:, None], 0.7)
    squares = [np.trapezoid((law - density(p, (sigma / len(p)) ** 2)) ** 2, x) for p in (training, fresh)]
    delta = squares[0] - squares[1]
    found = metrics.relative_distance((mean, covariance), training, fresh, sigma=sigma)
    assert found.sign == np.sign(delta)
    np.testing.assert_allclose(found.log_distance, np.log(abs(delta)) + np.log(4 * np.pi * sigma**2) / 2, rtol=1e-6)
