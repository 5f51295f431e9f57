"""The solver: Newton's matrix and its elimination, the start, convergence over the whole box, implicit derivatives."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rfdsm.activations import Moments
from rfdsm.theory._equations import evaluate, jacobian
from rfdsm.theory._fixed_point import MAX_STEPS, TOLERANCE, Solution, newton, solve, start
from rfdsm.theory._populations import Populations, populations
from rfdsm.theory._predict import losses_at
from tests.levels import noise_at
from tests.theory.boxes import fields
from tests.tolerances import IDENTITY, ROUTES

NODES, WEIGHTS = jnp.array([0.02, 0.9, 30.0]), jnp.array([0.5, 0.3, 0.2])


def parameters(psi_n=3.0, psi_p=5.0, q=0.25, unit=1.0, ridge=2e-4, L=0.4, beta_psi=0.02, beta_a=0.03, t=0.2):
    """One cell with three atoms."""
    a_squared, h = np.exp(-2 * t), -np.expm1(-2 * t)
    scalars = (1 / psi_n, 1 / psi_p, q, unit, ridge, a_squared, h, L, beta_psi, beta_a)
    return Populations(*map(jnp.asarray, (*scalars, NODES, WEIGHTS)))


CELLS = {
    "regular": parameters(),
    "infinite m": parameters(q=0.0, ridge=1e-9),
    "one draw": parameters(q=1.0, psi_p=0.2, ridge=1e-5),
    "peak": parameters(psi_n=1.0, psi_p=4.0, ridge=1e-12),
    "interpolating at ridge 0": parameters(psi_p=40.0, unit=0.0, ridge=1.0),
    "least squares at ridge 0": parameters(psi_p=0.4, ridge=1e-60),
    "redundant features": parameters(psi_p=40.0, psi_n=0.5, ridge=1e-60, beta_psi=1e-100, beta_a=1e-100),
    "infinite psi_n": parameters(psi_n=np.inf),
    "infinite psi_p at ridge 0": parameters(psi_p=np.inf, unit=0.0, ridge=1.0),
}


def box(count, rng):
    """Cells of the box with moments of their own, wider than any activation's: linear and even ones among them."""
    psi_n, psi_p, m, t, ridge = fields(count, rng)
    L, beta_psi, beta_a = 10 ** rng.uniform(-6, 0, (3, count))
    linear, even = rng.random((2, count)) < 0.07
    moments = Moments(
        np.where(even, 0, np.sqrt(L)),
        np.where(linear, 0, beta_psi),
        np.where(linear, 0, beta_a * -np.expm1(-2 * t)),  # vanishes with the noise, as for every smooth activation
    )
    return 1 / psi_n, 1 / psi_p, 1 / m, noise_at(t), ridge / psi_p, moments


def relative(x, reference):
    return np.max([np.abs(np.asarray(a) / np.asarray(b) - 1) for a, b in zip(x, reference, strict=True)], axis=0)


@functools.cache
def solved():
    """All of CELLS in one batch: solution, relative residual, losses."""
    whole = jax.tree.map(lambda *values: jnp.stack(values, axis=-1), *CELLS.values())

    @jax.jit
    def run(P):
        solution = solve(P)
        return solution, losses_at(solution, P)

    return whole, *run(whole)


def exact_matrix(x, P):
    """I - F' by automatic differentiation, cell by cell; the last axes are the matrix's."""

    def image(y):
        return jnp.stack(evaluate(tuple(y), P).image)

    x = jnp.stack(x)
    columns = [jax.jvp(image, (x,), (jnp.zeros_like(x).at[k].set(1.0),))[1] for k in range(3)]
    return np.eye(3) - np.moveaxis(np.stack(columns, axis=1), -1, 0)


def scaled_solve(matrix, b, x):
    """Solution of matrix y = b, in coordinates relative to x, as unknowns may differ by sixty decades."""
    x, b = np.stack(x, -1), np.stack(b, -1)
    y = np.linalg.solve(matrix * x[:, None, :] / x[:, :, None], (b / x)[..., None])[..., 0]
    return np.moveaxis(y * x, -1, 0)


def test_every_cell_is_solved():
    P, solution, losses = solved()
    x = solution[:3]
    assert bool(jnp.all(solution.settled)) and float(jnp.max(losses.residual)) <= 1e-14
    assert np.all(np.stack(x) > 0)
    np.testing.assert_allclose(np.stack(evaluate(x, P).image), np.stack(x), rtol=IDENTITY)


def test_elimination_without_subtractions_solves_the_newton_system():
    """The matrix rebuilt from couplings and slacks is I - F', with F' from automatic differentiation."""
    P, solution, _ = solved()
    x = solution[:3]
    b = tuple(scale * value for scale, value in zip((0.3, -2.0, 1.1), x, strict=True))
    # All but the cells in which I - F' is so nearly singular that LU on its entries loses digits.
    keep = [k for k, name in enumerate(CELLS) if name not in ("peak", "redundant features")]
    ours = np.stack(jacobian(x, evaluate(x, P), P).solve(b))
    reference = scaled_solve(exact_matrix(x, P), b, x)
    np.testing.assert_allclose(ours[:, keep], reference[:, keep], rtol=ROUTES)


def test_slack_is_eulers_identity():
    """x - F' x at the solution as a sum of positive terms."""
    P, solution, _ = solved()
    x = solution[:3]
    slack = np.stack(jacobian(x, evaluate(x, P), P).slack)
    assert np.all(slack >= 0)
    _, product = jax.jvp(lambda y: jnp.stack(evaluate(tuple(y), P).image), (jnp.stack(x),), (jnp.stack(x),))
    np.testing.assert_allclose(slack, 1 - product / jnp.stack(x), rtol=ROUTES, atol=1e-14)


def test_sources_are_the_derivatives_by_the_populations_weights():
    """A probe adds a multiple of each population to A and D: what it does to F, by automatic differentiation."""
    P, solution, _ = solved()
    x = E_s, _, G = solution[:3]
    state = evaluate(x, P)

    def image(more_s, more_a):
        c_s, c_a = state.c_s + more_s, state.c_a + more_a
        D = c_s * (P.signal * NODES[:, None] + P.q * P.noise) + c_a * P.noise
        tau = [G * P.average(N / (1 + G * D)) for N in (P.signal * NODES[:, None] + P.q * P.noise, P.noise)]
        A = c_s * P.beta_s + c_a * P.beta_a
        resolvent = 1 / (P.ridge + P.inverse_psi_p * (A + P.average(D / (1 + G * D))))
        return jnp.stack([tau[0] + P.beta_s * G, tau[1] + P.beta_a * G, resolvent])

    matrix = jacobian(x, state, P)
    zero, one = jnp.zeros_like(E_s), jnp.ones_like(E_s)
    for source, direction in ((matrix.source_s, (one, zero)), (matrix.source_a, (zero, one))):
        change = jax.jvp(image, (zero, zero), direction)[1]
        keep = [k for k, name in enumerate(CELLS) if name != "redundant features"]  # 1 + w of 1e60 cancels in `image`
        np.testing.assert_allclose(np.stack(source)[:, keep], -change[:, keep], rtol=ROUTES)
    combined = np.stack(matrix.response(2.0, 3.0))
    parts = np.stack(matrix.solve(matrix.source_s)), np.stack(matrix.solve(matrix.source_a))
    np.testing.assert_allclose(combined, 2 * parts[0] + 3 * parts[1], rtol=IDENTITY)


def test_newton_off_the_solution():
    """The step is Newton's where the excess x - F(x) is not zero: above the solution and below it."""
    P, solution, _ = solved()
    keep = [k for k, name in enumerate(CELLS) if name not in ("peak", "redundant features")]
    for factor in (3.0, 1.0 + 1e-3):
        x = tuple(factor * value for value in solution[:3])
        excess = tuple(a - b for a, b in zip(x, evaluate(x, P).image, strict=True))
        reference = np.stack(x) - scaled_solve(exact_matrix(x, P), excess, x)
        np.testing.assert_allclose(np.stack(newton(x, P))[:, keep], reference[:, keep], rtol=ROUTES)
    below = tuple(0.9 * value for value in solution[:3])
    # From below the first step overshoots to above; the safeguard keeps it positive.
    assert np.all(np.stack(newton(below, P)) >= np.stack(solution[:3]) * (1 - IDENTITY))


def test_the_equations_are_homogeneous():
    """unit and ridge have a meaning through their product only: x scales with unit, losses stay."""
    P, solution, losses = solved()
    for factor in (1e-6, 1e6):
        other = P._replace(unit=P.unit * factor, ridge=P.ridge / factor)
        scaled = tuple(factor * value for value in solution[:3])
        np.testing.assert_allclose(np.stack(evaluate(scaled, other).image), np.stack(scaled), rtol=IDENTITY)
        again = losses_at(Solution(*scaled, solution.steps, solution.settled), other)
        for name in ("train", "empirical_test", "test", "score", "objective"):
            np.testing.assert_allclose(getattr(again, name), getattr(losses, name), rtol=IDENTITY, err_msg=name)


@pytest.mark.slow
def test_every_cell_of_the_box_converges():
    """From a start that is a super-solution, monotonically, with moments of any kind."""
    rng = np.random.default_rng(5)
    nodes = jnp.asarray(10 ** rng.uniform(-3, 3, 5))

    @jax.jit
    def run(cells):
        P, singular = populations(*cells, nodes, jnp.full(5, 0.2))
        solution, first = solve(P), start(P)
        path = [first]
        for _ in range(3):
            path.append(newton(path[-1], P))
        x, image = solution[:3], evaluate(solution[:3], P).image
        amplification = jacobian(x, evaluate(x, P), P).solve(x)  # the norm of the M-matrix's inverse, in relative terms
        return singular, solution, image, first, evaluate(first, P).image, path, amplification

    result = jax.tree.map(np.asarray, run(box(20_000, rng)))
    singular, solution, image, first, first_image, path, amplification = result
    assert 30 < singular.sum() < 400
    x = np.stack(solution[:3])
    assert np.all(solution.settled)
    assert np.all(np.isfinite(x)) and np.all(x > 0)
    assert np.max(relative(image, x)) <= 1e-14 < TOLERANCE
    assert np.max(solution.steps) <= 80 < MAX_STEPS
    assert np.percentile(solution.steps, 99) <= 20
    assert np.all(np.stack(first) >= np.stack(first_image) * (1 - 1e-14))
    # What rounding of 4e-15 moves where I - F' is all but singular.
    margin = 4e-15 * np.max(np.stack(amplification) / x, axis=0)
    assert np.median(margin) < 1e-13
    for before, after in itertools.pairwise(path):
        assert np.all(np.stack(before) >= x * (1 - margin))
        assert np.all(np.stack(after) <= np.stack(before) * (1 + margin))


@pytest.mark.slow
def test_vanishing_ridge_approaches_the_limit_linearly():
    """Both sides of p = nm: losses at ridge = 0 are what a vanishing ridge tends to, at rate ridge."""
    ridge = jnp.array([0.0, 1e-7, 1e-8])

    @jax.jit
    def run(psi_p):
        fields = jnp.broadcast_arrays(1 / 3.0, 1 / psi_p, 0.25, 0.2, ridge, 0.6, 0.02, 0.03)
        P, _ = populations(*fields[:3], noise_at(fields[3]), fields[4], Moments(*fields[5:]), NODES, WEIGHTS)
        return losses_at(solve(P), P)

    for psi_p in (0.4, 40.0):
        losses = run(psi_p)
        for name in ("empirical_test", "test", "score"):
            values = np.asarray(getattr(losses, name))
            np.testing.assert_allclose((values[1] - values[0]) / (values[2] - values[0]), 10, rtol=1e-3, err_msg=name)
