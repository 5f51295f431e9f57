"""Training: gradient flow against its own limits, other ways to integrate it, and optimisers against gradient flow."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.linalg

from rfdsm import Losses, Problem, simulate, simulate_training, spectra
from rfdsm.simulation import _design as design, _strips as strips, _training as training, _trial as trial
from rfdsm.simulation._plan import plan
from rfdsm.units import flow_time
from tests.sweeps.tiny import CUBIC
from tests.tolerances import IDENTITY, ROUTES

D, P, N, T = 12, 18, 12, 0.3
NAMES = (*Losses.NAMES, "objective")
RIDGES = np.array([0.0, 1e-2])
PROBLEM = Problem(N / D, P / D, 3, T, RIDGES, CUBIC)
OPTIONS = dict(d=D, trials=2, key=5)
TIMES = [np.inf, 1.0, 0.0, 100.0]


@pytest.fixture(scope="module")
def flow():
    return simulate_training(PROBLEM, TIMES, **OPTIONS)


def test_times_come_in_the_order_asked_for(flow):
    assert flow.shape == (2, 2, 4)
    assert np.all(flow.train[..., 2] > flow.train[..., 1])
    assert np.all(flow.train[..., 1] > flow.train[..., 3])
    assert np.all(flow.train[..., 3] >= flow.train[..., 0])
    np.testing.assert_array_equal(flow.run.n, [N, N])


@pytest.fixture(scope="module")
def end():
    return simulate(PROBLEM, **OPTIONS)


def test_flow_ends_at_the_minimiser_and_starts_from_nothing(flow, end):
    """Least squares and ridge (m = 3), m = inf, interpolation through the dual system (m = 1)."""

    def check(path, last, first, end):
        for name in NAMES:
            np.testing.assert_allclose(getattr(path, name)[..., last], getattr(end, name), rtol=ROUTES, atol=1e-13)
        for name in ("empirical_test", "test"):
            np.testing.assert_allclose(getattr(path, name)[..., first], 1.0, rtol=IDENTITY)

    check(flow, 0, 2, end)
    problem = Problem(1.0, 1.5, np.inf, T, RIDGES, CUBIC)
    check(simulate_training(problem, [0.0, np.inf], **OPTIONS), 1, 0, simulate(problem, **OPTIONS))
    problem = Problem(1.0, 4.0, 1, T, RIDGES, CUBIC)
    zero, random = (simulate_training(problem, [0.0, np.inf], initial=start, **OPTIONS) for start in (0.0, 0.5))
    check(zero, 1, 0, simulate(problem, **OPTIONS))
    # ridge = 0, p > nm: flow from other weights ends at another interpolation, which keeps what the data do not see
    assert np.all(zero.train[:, 0, 1] < 1e-20) and np.all(random.train[:, 0, 1] < 1e-14)
    assert np.all(random.test[:, 0, 1] > zero.test[:, 0, 1] + 1e-3)


def test_flow_is_the_solution_of_the_differential_equation(flow):
    """By matrix exponentials of the moments written out, for one trial."""
    key = jax.random.fold_in(jax.random.key(5), 1)
    drawn = design.draw(key, jnp.asarray(N), P, design.Normal(jnp.ones(D)))
    i = np.arange(3 * N) % N
    z = np.asarray(design.normals(drawn.training.key, jnp.arange(3 * N), jnp.ones(D)))
    y = np.exp(-T) * np.asarray(drawn.training.rows(jnp.asarray(i))) + np.sqrt(-np.expm1(-2 * T)) * z
    phi = np.asarray(CUBIC(y @ np.asarray(drawn.W).T / np.sqrt(D)))
    U, V = phi.T @ phi / len(phi), phi.T @ z / len(phi)
    for k, ridge in enumerate(RIDGES):
        rate = U + ridge * np.eye(P)
        # dB^T/dtheta = -(rate B^T + V), B = 0 at first: one exponential of a block matrix
        block = np.block([[-rate, -V], [np.zeros((D, P + D))]])
        B = scipy.linalg.expm(block)[:P, P:].T
        train = np.mean(np.sum((phi @ B.T + z) ** 2, axis=1)) / D
        np.testing.assert_allclose(flow.train[1, k, 1], train, rtol=ROUTES)
        np.testing.assert_allclose(flow.objective[1, k, 1], train + ridge * np.sum(B**2) / D, rtol=ROUTES)


def test_small_steps_of_gradient_descent_follow_the_flow():
    """The error of Euler steps is first order: a fourth of the step, a fourth of the error, in every loss."""
    h = -np.expm1(-2 * T)
    rate = 0.04 * P * D / (2 * h)
    times = flow_time(rate, np.array([25, 100]), T, P, D)
    np.testing.assert_allclose(times, [1.0, 4.0])
    flow = simulate_training(PROBLEM, times, initial=0.5, **OPTIONS)
    coarse, fine = (
        simulate_training(PROBLEM, np.array([25, 100]) * part, optimiser=optax.sgd(rate / part), initial=0.5, **OPTIONS)
        for part in (1, 4)
    )
    for name in NAMES:
        exact = getattr(flow, name)
        first, second = getattr(coarse, name) - exact, getattr(fine, name) - exact
        assert np.max(np.abs(first)) < 0.02
        np.testing.assert_allclose(second, first / 4, atol=0.05 * np.max(np.abs(first)))


def test_descent_ends_at_the_ridge_minimiser(end):
    """Momentum and Adam, both precisions, from zero and from random weights."""
    rate = 0.1 * P * D / (2 * -np.expm1(-2 * T))
    momentum = simulate_training(PROBLEM, [16000, 0], optimiser=optax.sgd(rate, momentum=0.9), initial=0.5, **OPTIONS)
    for name in NAMES:
        np.testing.assert_allclose(getattr(momentum, name)[:, 1, 0], getattr(end, name)[:, 1], rtol=1e-7)
    assert np.all(np.abs(momentum.train[..., 1] - 1.0) > 1e-3)  # random initial weights
    single = simulate_training(PROBLEM, [3000], optimiser=optax.adam(3e-2), dtype="float32", **OPTIONS)
    assert single.test.dtype == np.float32
    for name in NAMES:
        np.testing.assert_allclose(getattr(single, name)[:, 1, 0], getattr(end, name)[:, 1], rtol=1e-3)


@pytest.mark.parametrize("m", [3, np.inf])
def test_gradients_of_batches_are_right_on_average(m):
    """Over fixed draws (m = 3) and with fresh noise (m = inf): the mean over many batches is the full gradient."""
    how = dict(trials=1, key=0, data=None, dtype="float64", devices=None, memory_limit=None)
    request = plan(Problem(1.0, 1.5, m, T, 1e-2, CUBIC), D, **how)
    group = request.groups[0]
    B = jnp.asarray(np.random.default_rng(0).normal(size=(D, P)) / P)

    @jax.jit
    def slopes(keys):
        cell = jax.tree.map(jnp.asarray, trial.Cell.of(request, group))
        drawn = trial.Trial.drawn(jax.random.key(1), cell, group.settings, 1)
        moments = drawn.training()
        full = strips.product(B, moments.U) + moments.V.T
        return jax.lax.map(lambda key: training._batch_slope(drawn, B, 16, key), keys), full

    batches, full = slopes(jax.random.split(jax.random.key(2), 4000))
    error = np.std(batches, axis=0) / np.sqrt(len(batches))
    z = (np.mean(batches, axis=0) - full) / error
    assert np.max(np.abs(z)) < 5 and 0.8 < np.sqrt(np.mean(z**2)) < 1.2
    assert np.median(error / np.sqrt(np.mean(np.square(full)))) < 0.05  # the evidence has power


def test_batches_follow_the_flow(flow):
    rate = 0.01 * P * D / (2 * -np.expm1(-2 * T))
    np.testing.assert_allclose(flow_time(rate, 100, T, P, D), TIMES[1])
    noisy = simulate_training(PROBLEM, [100], optimiser=optax.sgd(rate), batch_size=64, **OPTIONS)
    for name in ("train", "test"):
        difference = getattr(noisy, name)[..., 0] - getattr(flow, name)[..., 1]
        assert np.all(difference != 0) and np.max(np.abs(difference)) < 0.03


def test_weights_can_be_given():
    A = np.random.default_rng(0).normal(size=(D, P))
    given = simulate_training(PROBLEM, [0.0], initial=A, **OPTIONS)
    steps = simulate_training(PROBLEM, [0], initial=A, optimiser=optax.sgd(1.0), **OPTIONS)
    for name in NAMES:
        np.testing.assert_allclose(getattr(given, name), getattr(steps, name), rtol=IDENTITY)
    scale = np.sqrt(-np.expm1(-2 * T) / P)
    np.testing.assert_allclose(
        given.objective - given.train,
        np.broadcast_to(RIDGES[:, None] * scale**2 * np.sum(A**2) / D, (2, 2, 1)),
        rtol=ROUTES,
    )


@pytest.mark.parametrize(
    "times, options, message",
    [
        ([], {}, r"times has shape \(0,\)"),
        ([1.0, -1.0], {}, "times = -1 must be >= 0"),
        ([np.nan], {}, "times = nan must be >= 0"),
        ([0.5], dict(optimiser=optax.sgd(1.0)), "times = 0.5 must be finite whole numbers of steps"),
        ([1], dict(optimiser="adam"), "optimiser = 'adam' must be an optax optimiser"),
        ([1], dict(batch_size=4), "batch_size = 4 needs an optimiser"),
        ([1], dict(batch_size=0, optimiser=optax.sgd(1.0)), "batch_size = 0 must be an integer >= 1"),
        ([1], dict(initial=-1.0), "initial = -1 must be a finite variance >= 0"),
        ([1], dict(initial=np.zeros((3, 4))), r"initial has shape \(3, 4\): must be \(d, p\) = \(12, 18\)"),
    ],
)
def test_bad_arguments(times, options, message):
    with pytest.raises(ValueError, match=message):
        simulate_training(PROBLEM, times, **(OPTIONS | options))


@pytest.mark.parametrize("target", ["noise", "data"])
def test_small_steps_are_gradient_flow_of_other_schedules(target):
    """Of data whose variance is not one, by which the schedule scales: steps of descent against the exact flow."""
    problem = Problem(2.0, 1.5, 2, 0.7, 1e-2, "tanh", spectra.isotropic(3.0), "edm", target)
    steps, rate = 2000, 0.05
    options = dict(schedule=problem.schedule, target=target, variance=3.0)
    theta = flow_time(rate, steps, 0.7, P, D, **options)
    descent = simulate_training(problem, [steps], D, optimiser=optax.sgd(rate), key=1)
    flow = simulate_training(problem, [theta], D, key=1)
    np.testing.assert_allclose(descent.test, flow.test, rtol=2e-3)
    assert abs(float(simulate_training(problem, [2 * theta], D, key=1).test[0, 0] / flow.test[0, 0]) - 1) > 1e-2
