"""Relative distance and its rivals: against plain densities where these still fit into floating point numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rfdsm import linear
from rfdsm.linear._fitting import Normal, draw, fit, normal_rows
from rfdsm.sampling._overlaps import log_mean_density, log_pair_sum

TRANSITION = linear.Problem(np.array([0.25, 0.9, 3.0]), 2.0)


def squared_distance(points, mean, covariance, sigma):
    """Integral of (G - K)^2 without |G|^2, by the plain sums of overlaps, the kernels' own included."""
    n, d = points.shape
    width2 = sigma**2 * n ** (-2 / d)
    gaps = np.sum((points[:, None] - points) ** 2, axis=-1)
    own = np.sum(np.exp(-gaps / (4 * width2))) / n**2 / (4 * np.pi * width2) ** (d / 2)
    law = covariance + width2 * np.eye(d)
    away = points - mean
    exponent = -np.sum(away * np.linalg.solve(law, away.T).T, axis=1) / 2
    return own - 2 * np.mean(np.exp(exponent)) / np.sqrt(np.linalg.det(2 * np.pi * law))


@pytest.mark.parametrize(("N", "block"), [(1, 16), (64, 32), (100, 32), (100, 1024)])
def test_pairs_are_streamed_exactly(N, block):
    points = np.random.default_rng(N).normal(size=(N, 4)) + 10.0
    gaps = np.sum((points[:, None] - points) ** 2, axis=-1)[np.tril_indices(N, -1)]
    expected = np.log(np.sum(np.exp(-gaps / 2.8))) if N > 1 else -np.inf
    np.testing.assert_allclose(log_pair_sum(jnp.asarray(points), 0.7, block=block), expected, rtol=1e-9)


def test_nothing_underflows_in_high_dimension():
    points = jax.random.normal(jax.random.key(0), (100, 1000))
    value = log_pair_sum(points, 0.3)
    gaps = np.sum((np.asarray(points)[:, None] - np.asarray(points)[None, :40]) ** 2, axis=-1)
    assert np.isfinite(value) and value < -1000
    assert value >= -np.min(gaps[gaps > 1]) / 1.2
    density = log_mean_density(points, jnp.ones(100), jnp.zeros(1000), 1e-4 * jnp.eye(1000))
    assert np.isfinite(density) and density < -1e6


@pytest.fixture(scope="module")
def result():
    done = []
    found = linear.memorisation(TRANSITION, 40, trials=40, fresh=1500, progress=lambda *counts: done.append(counts))
    assert done == [(k, 40) for k in range(1, 41)]
    return found


def test_single_precision_is_enough(result):
    """The same points in both precisions: what is compared moves by 1e-4, which turns no sign."""
    double = linear.memorisation(TRANSITION, 40, trials=12, fresh=1500, dtype="float64")
    np.testing.assert_array_equal(result.sign[:12], double.sign)
    assert np.ptp(double.sign[:, 2]) == 2
    # log |Delta| magnifies errors where both sides nearly cancel
    np.testing.assert_allclose(np.median(np.abs(result.log_distance[:12] - double.log_distance)), 0, atol=1e-4)
    np.testing.assert_array_equal(result.bhattacharyya[:12], double.bhattacharyya)


def test_transition_from_copying_to_generalising(result):
    """Few samples: the law lies nearer to the training set in every repeat. More samples: not always any more."""
    np.testing.assert_array_equal(result.probability[:2], 0)
    assert result.probability[2] - 4 * result.probability_error[2] > 0.05
    np.testing.assert_allclose(result.probability_error[:2], np.sqrt(2 / 42 / 43))  # none of 40
    np.testing.assert_array_equal(result.hellinger[:, :2], 1)
    np.testing.assert_array_equal(result.bhattacharyya[:, :2], np.inf)
    nearest, error = result.nearest.mean(axis=0), result.nearest.std(axis=0, ddof=1) / np.sqrt(40)
    assert np.all(np.diff(nearest) > 4 * np.hypot(error[1:], error[:-1])) and nearest[2] < 1


@pytest.mark.parametrize(("psi", "transposed"), [([0.5, 2.5], True), ([2.5], False)])
def test_a_trial_done_plainly(psi, transposed):
    """Everything once more for one key, by sums over points and determinants that still fit at d = 8."""
    d, N, sigma = 8, 60, 1.3
    problem = linear.Problem(np.array(psi), 0.4, ridge=0.02, sigma=sigma)
    result = linear.memorisation(problem, d, trials=3, key=5, fresh=N, generated=16, transposed=transposed)
    for_fresh, for_cells = jax.random.split(jax.random.fold_in(jax.random.key(5), 1))
    fresh = sigma * np.asarray(jax.random.normal(for_fresh, (N, d), jnp.float32), dtype=float)
    for_points, for_noise, for_new, for_rivals = jax.random.split(for_cells, 4)
    for place, (n, kind) in enumerate([(4, "dual"), (20, "primal")][-len(psi) :]):
        sample = draw(for_points, n, n, Normal(sigma * jnp.ones(d)))
        a, eta = np.exp(-0.4), float(problem.eta)
        fitted = jax.jit(fit, static_argnames=("kind", "m"))(sample, for_noise, kind, 1, a, eta, 0.02)
        train, b1, mean = np.asarray(sample.rows + sample.mean), np.asarray(fitted.b1), np.asarray(fitted.mean)
        b1 = np.sqrt(float(fitted.spread)) * b1
        covariance = b1.T @ b1 if transposed else b1 @ b1.T
        delta = squared_distance(train, mean, covariance, sigma) - squared_distance(fresh, mean, covariance, sigma)
        assert result.sign[1, place] == np.sign(delta)
        log = np.log(abs(delta)) + d / 2 * np.log(4 * np.pi * sigma**2)
        np.testing.assert_allclose(result.log_distance[1, place], log, atol=1e-4)
        new = mean + np.asarray(normal_rows(for_new, 16, d)) @ b1.T
        gaps = np.sort(np.linalg.norm(new[:, None] - train, axis=-1), axis=1)
        rivals = sigma * np.asarray(normal_rows(for_rivals, n, d))
        away = np.min(np.linalg.norm(new[:, None] - rivals, axis=-1), axis=1)
        np.testing.assert_allclose(result.copied[1, place], np.mean(gaps[:, 0] < gaps[:, 1] / 3))
        np.testing.assert_allclose(result.nearest[1, place], gaps[:, 0].mean() / away.mean(), rtol=1e-9)
        if n > d:
            law, middle = b1 @ b1.T, (b1 @ b1.T + sigma**2 * np.eye(d)) / 2
            overlap = np.exp(-mean @ np.linalg.solve(middle, mean) / 8) / np.sqrt(np.linalg.det(middle))
            overlap *= (np.linalg.det(law) * sigma ** (2 * d)) ** 0.25
            np.testing.assert_allclose(result.hellinger[1, place], 1 - overlap, rtol=1e-9)
            np.testing.assert_allclose(result.bhattacharyya[1, place], -np.log(overlap) / d, rtol=1e-9)
