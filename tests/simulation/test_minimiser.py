"""The minimum-norm solution at ridge = 0: against NumPy on the features written out, and through `simulate`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rfdsm import Losses, Problem, simulate
from rfdsm.simulation import (
    _minimiser as minimiser,
    _moments as moments,
    _plan as planning,
    _simulate as simulating,
    _strips as strips,
)
from tests.simulation.test_simulate import CUBIC, batched
from tests.tolerances import IDENTITY

D, P = 10, 40
SOLVE = jax.jit(lambda moments, phi, z: minimiser.minimum_norm_minimiser(moments, lambda B: residuals(B, phi, z)))


def residuals(B, phi, z):
    """The residual moment from features of shape (nm, p)."""
    return phi.T @ (z + phi @ B.T) / len(phi)


def written_out(n, m, seed, activation=np.tanh, mean=0.0, t=0.1):
    """Features (nm, p) and noise (nm, d) of m draws of n points."""
    rng = np.random.default_rng(seed)
    x, W, z = rng.normal(size=(n, D)), rng.normal(size=(P, D)), rng.normal(size=(m, n, D))
    y = (np.exp(-t) * x + np.sqrt(-np.expm1(-2 * t)) * z).reshape(n * m, D)
    return activation(y @ W.T / np.sqrt(D)) + mean, z.reshape(n * m, D)


def written_moments(phi, z):
    U = jnp.asarray(phi.T @ phi / len(phi))
    strips_of_U = [U[low:high, :high] for low, high in strips.bounds(len(U))]
    return moments.Moments(strips_of_U, jnp.asarray(phi.T @ z / len(phi)), jnp.asarray(np.mean(z**2)))


def solved(phi, z):
    """The minimiser, and the training loss it leaves."""
    second = written_moments(phi, z)
    B = np.asarray(SOLVE(second, phi, z).B)
    return B, np.mean(np.sum((phi @ B.T + z) ** 2, axis=1)) / D


def linear(u):
    return u


CASES = {  # P = 40 features of rank 40, or D = 10 if they are linear
    "interpolation": (dict(n=12, m=1), 12),
    "interpolation with a large mean": (dict(n=12, m=1, mean=10.0), 12),
    "least squares": (dict(n=12, m=8), 40),
    "linear, d < nm < p": (dict(n=12, m=2, activation=linear), 10),
    "rank one more": (dict(n=25, m=4, activation=linear, mean=1.0), 11),
}


@pytest.mark.parametrize("name", CASES)
def test_minimum_norm_is_that_of_the_pseudoinverse(name):
    """NumPy decomposes the features themselves, the minimiser U: the condition number of U is what it may lose."""
    arguments, rank = CASES[name]
    phi, z = written_out(**arguments, seed=1)
    assert np.linalg.matrix_rank(phi) == rank
    B, train = solved(phi, z)
    expected = -(np.linalg.pinv(phi, rcond=1e-12) @ z).T
    singular = np.linalg.svd(phi, compute_uv=False)[:rank]
    precision = 10 * np.finfo(float).eps * (singular[0] / singular[-1]) ** 2
    assert precision < 1e-8
    assert np.linalg.norm(B - expected) < precision * np.linalg.norm(expected)
    if rank == len(phi):
        assert train < 1e-27
    else:
        least = np.mean(np.sum((phi @ expected.T + z) ** 2, axis=1)) / D
        np.testing.assert_allclose(train, least, rtol=IDENTITY)


def test_training_targets_are_met_however_ill_conditioned_the_features_are():
    """Two noise draws that are nearly the same (t -> 0) leave eigenvalues of U at 1e-9 of the largest.

    A solution from U and V alone would leave 1e-17 of the training loss; what limits the solution itself is the angle
    of the computed eigenvectors, machine precision over 1e-9.
    """
    phi, z = written_out(n=10, m=2, seed=2, t=1e-6)
    singular = np.linalg.svd(phi, compute_uv=False)
    assert 1e-10 < (singular[-1] / singular[0]) ** 2 < 1e-8
    B, train = solved(phi, z)
    expected = -np.linalg.lstsq(phi, z, rcond=None)[0].T
    assert np.linalg.norm(B - expected) < 1e-6 * np.linalg.norm(expected)
    assert train < 1e-22


@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_the_cut_goes_with_the_scale_of_the_features(scale):
    phi, z = written_out(n=12, m=2, seed=1, activation=linear)
    B, train = solved(phi, z)
    scaled, same = solved(scale * phi, z)
    np.testing.assert_allclose(scaled * scale, B, atol=1e-12 * np.max(np.abs(B)))
    np.testing.assert_allclose(same, train, rtol=IDENTITY)


def test_features_that_vanish_learn_nothing():
    B, train = solved(np.zeros((20, P)), np.ones((20, D)))
    np.testing.assert_array_equal(B, 0)
    assert train == 1


# ---------------------------------------------------------------------------------------------------- whole simulations


GRID = Problem.grid(1.0, 1.5, [1, 6], 0.2, [0.0, 1e-7, 1e-5], CUBIC)
OPTIONS = dict(trials=2, key=3)


@pytest.fixture(scope="module")
def losses():
    """p = 18 features between nm = 12 and nm = 72 draws."""
    return simulate(GRID, 12, **OPTIONS)


@pytest.mark.slow
def test_minimum_norm_is_the_limit_of_small_ridges(losses):
    """By another solver: what ridge -> 0 changes shrinks in proportion to the ridge, on both sides of p = nm."""
    for name in ("empirical_test", "test", "score"):
        values = getattr(losses, name)
        small, large = values[..., 1] - values[..., 0], values[..., 2] - values[..., 0]
        assert np.all(np.abs(large) < 0.02 * values[..., 0])
        np.testing.assert_allclose(small, 1e-2 * large, rtol=0.05)


@pytest.mark.slow
def test_training_loss_vanishes_where_draws_are_interpolated(losses):
    assert np.all(losses.train[:, 0, 0] < 1e-26)
    assert np.all(losses.train[:, 1, 0] > 0.1)
    np.testing.assert_array_equal(losses.objective[..., 0], losses.train[..., 0])
    assert np.all(losses.train[..., 0] < losses.train[..., 1])


@pytest.mark.slow
def test_zero_alone_and_among_others_are_the_same(losses, monkeypatch):
    monkeypatch.setattr(planning, "feature_chunk", lambda p, draws: 37)
    monkeypatch.setattr(simulating, "plan", batched)
    looped = simulate(Problem(1.0, 1.5, 6, 0.2, 0.0, CUBIC), 12, **OPTIONS)
    for name in (*Losses.NAMES, "objective"):
        np.testing.assert_allclose(getattr(looped, name), getattr(losses, name)[:, 1, 0], rtol=1e-10, atol=1e-26)
