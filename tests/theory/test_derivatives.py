"""Derivatives of every loss by every parameter, against 60-digit differences of an independent solution."""

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

from rfdsm import Losses, Problem, activations, predict, spectra
from rfdsm._executables import jitted
from tests.theory.oracle import Oracle
from tests.tolerances import REFERENCE

NAMES = (*Losses.NAMES, "objective")
PARAMETERS = ("psi_n", "psi_p", "t", "ridge", "m", "slope", "node 1", "node 2", "weight 1", "weight 2")
BASE = dict(zip(PARAMETERS, (2.0, 3.0, 0.3, 1e-2, 10 / 3, 0.1, 0.4, 2.0, 0.3, 0.7), strict=True))
CASES = {
    "near p = nm": dict(psi_p=6.67, ridge=1e-6),
    "small time": dict(t=1e-3, ridge=1e-4),
    "interpolated": dict(psi_p=40.0, ridge=1e-7),
    "many draws, many features": dict(m=1e4, psi_p=1000.0, psi_n=300.0, ridge=1e-6),
    "no ridge, p > nm": dict(psi_p=20.0, ridge=0.0),
    "no ridge, p < nm": dict(psi_p=3.5, ridge=0.0),
    "infinitely many samples": dict(psi_n=np.inf),
    "infinitely many draws": dict(m=np.inf, psi_p=5.0),
}
VALUES = np.array([list((BASE | case).values()) for case in CASES.values()])
"""All parameters of all cases."""
SINGULAR = np.array(list((BASE | dict(m=3.0, psi_p=6.0, ridge=0.0)).values()))
"""p = nm without ridge."""


def losses_of(x):
    """All losses as a function of all parameters; m need not be an integer."""
    problem = Problem(x[0], x[1], x[4], x[2], x[3], activations.leaky_relu(x[5]), spectra.atoms(x[6:8], x[8:10]))
    losses = predict(problem)
    return jnp.stack([getattr(losses, name) for name in NAMES])


@jitted
@jax.vmap
def along(x, direction):
    """Losses with their first and second derivative along a direction: jvp of jvp, under vmap and a user's jit."""
    (value, first), (_, second) = jax.jvp(lambda y: jax.jvp(losses_of, (y,), (direction,)), (x,), (direction,))
    return value, first, second


def exact(x):
    """The same losses from the textbook equations; moments of leaky ReLU from the arc-cosine kernel."""
    psi_n, psi_p, t, ridge, m, slope, *spectrum = x
    nodes, weights = spectrum[:2], spectrum[2:]
    mean = mp.fdot(zip(nodes, weights, strict=True)) / mp.fsum(weights)
    signal, noise = mp.exp(-2 * t) * mean, -mp.expm1(-2 * t)
    total = signal + noise
    r = signal / total
    bend = ((1 - slope) / 2) ** 2 * 2 / mp.pi * total
    shared, all_of_it = bend * (mp.sqrt(1 - r**2) + r * mp.asin(r) - 1), bend * (mp.pi / 2 - 1)
    oracle = Oracle(psi_n, psi_p, m, t, ridge, ((1 + slope) / 2) ** 2, shared, all_of_it - shared, nodes, weights)
    losses = oracle.losses()
    return [losses[name] for name in NAMES]


def exact_along(x, direction):
    """First and second derivative by differences whose step leaves 40 digits: one-sided at ridge = 0."""
    step = mp.mpf(10) ** -14
    points = (1, 2, 3, 4, 5) if x[3] == 0 and direction[3] > 0 else (-1, 0, 1)
    with mp.workdps(200):
        x = [mp.mpf(value) if np.isfinite(value) else mp.mpf(10) ** 45 for value in x]
        direction = [mp.mpf(value) for value in direction]
        values = [exact([a + k * step * b for a, b in zip(x, direction, strict=True)]) for k in points]
        powers = mp.matrix([[(k * step) ** n for n in range(len(points))] for k in points])
        series = [mp.lu_solve(powers, mp.matrix(loss)) for loss in zip(*values, strict=True)]
        return np.array([float(a[1]) for a in series]), np.array([2 * float(a[2]) for a in series])


@pytest.fixture(scope="module")
def derivatives():
    """Our derivatives along each parameter (relative) and along a direction of all; exact ones by differences.

    And, from the same batch, ours at the singular point.
    """
    count = len(PARAMETERS)
    directions = np.concatenate([np.eye(count), np.random.default_rng(0).standard_normal((1, count))])
    x = np.repeat(VALUES, len(directions), axis=0)
    # Relative steps; none at infinity, and an absolute one upwards from ridge = 0.
    v = np.tile(directions, (len(VALUES), 1)) * np.where(np.isinf(x), 0, x)
    v = np.where(x == 0, np.abs(np.tile(directions, (len(VALUES), 1))), v)
    found = along(jnp.asarray([*x, SINGULAR]), jnp.asarray([*v, SINGULAR]))
    singular = [np.asarray(part)[-1] for part in found]
    ours = [np.asarray(part)[:-1].reshape(len(VALUES), len(directions), -1) for part in found]
    moved = np.any(v != 0, axis=1)
    theirs = [
        exact_along(*pair) if move else (np.zeros(5), np.zeros(5)) for *pair, move in zip(x, v, moved, strict=True)
    ]
    first, second = (np.array(part).reshape(ours[0].shape) for part in zip(*theirs, strict=True))
    return ours, first, second, singular


def deviation(value, ours, exact):
    """Largest relative error; of derivatives that vanish, relative to 1e-5 of the loss: some rounding of the loss."""
    scale = np.maximum(np.abs(exact), 1e-5 * np.abs(value))
    # A training loss without ridge is zero, and so are its derivatives but the second one by the ridge.
    return np.max(np.abs(ours - exact) / np.maximum(scale, 1e-20))


@pytest.mark.slow
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("case", CASES)
def test_derivatives_by_every_parameter(derivatives, case, order):
    ours, *exact, _ = derivatives
    k = list(CASES).index(case)
    assert deviation(ours[0][k], ours[order][k], exact[order - 1][k]) < REFERENCE
    assert np.count_nonzero(np.abs(exact[0][k]) > 1e-6 * ours[0][k]) > 20


@pytest.mark.slow
def test_a_singular_point_has_no_slope(derivatives):
    """Nor do the cases in its batch, whose derivatives are right, notice."""
    value, first, second = derivatives[-1]
    assert np.isinf(value[1:4]).all() and np.isnan(first).all() and np.isnan(second).all()


@pytest.mark.slow
def test_reverse_mode_equals_forward_mode(derivatives):
    """jax.grad by all parameters at once, one gradient for each case."""
    (_, ours, _), _, _, _ = derivatives
    weights = jnp.array([1.0, -2.0, 0.5, 0.3, 3.0])
    places = jnp.asarray([*VALUES, SINGULAR])
    *gradient, at_peak = np.asarray(jitted(jax.vmap(jax.grad(lambda x: losses_of(x) @ weights)))(places))
    assert np.isnan(at_peak[:4]).all()
    gradient = np.array(gradient)
    scale = np.where(np.isinf(VALUES), 0, np.where(VALUES == 0, 1, VALUES))
    forward = ours[:, : len(PARAMETERS)] @ np.asarray(weights)
    gap = np.abs(scale * gradient - forward).max(axis=1)
    assert np.all(gap < 1e-12 * np.abs(forward).max(axis=1))
    assert np.all(gradient[np.isinf(VALUES)] == 0)  # by psi_n and m at infinity


def loops(jaxpr):
    """Number of while loops in a jaxpr and everything it calls."""
    count = 0
    for equation in jaxpr.eqns:
        count += equation.primitive.name == "while"
        for value in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda v: hasattr(v, "eqns")):
            inner = getattr(value, "jaxpr", value)
            count += loops(inner) if hasattr(inner, "eqns") else 0
    return count


@pytest.mark.parametrize("transform", [jax.grad, pytest.param(jax.hessian, marks=pytest.mark.slow)])
def test_derivatives_need_no_second_solve(transform):
    """However many parameters, however often differentiated: one while loop, the fixed point's own."""
    jaxpr = jax.make_jaxpr(transform(lambda x: losses_of(x)[3]))(jnp.asarray(VALUES[0]))
    assert loops(jaxpr.jaxpr) == 1


@pytest.mark.slow
def test_losses_are_differentiable_by_a_power_law():
    """By its exponent, cutoff and variance, with and without jit, against central differences of concrete ones."""

    def test_loss(*law):
        exponent, cutoff, variance = law
        return predict(Problem(3.0, 2.0, 2, 0.3, 1e-2, spectrum=spectra.power_law(exponent, cutoff, 24, variance))).test

    at, step = np.array([1.2, 0.05, 1.5]), 1e-4
    value, found = jitted(jax.value_and_grad(test_loss, argnums=(0, 1, 2)))(*at)
    np.testing.assert_allclose(value, test_loss(*at), rtol=1e-12)
    for k in range(3):
        ends = [at + sign * step * at[k] * np.eye(3)[k] for sign in (1, -1)]
        slope = np.subtract(*(test_loss(*end) for end in ends)) / (2 * step * at[k])
        np.testing.assert_allclose(found[k], slope, rtol=1e-6)
