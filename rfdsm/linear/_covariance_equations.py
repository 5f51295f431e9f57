"""log det(Omega + b1 b1^T) of the fitted denoiser, for any m, ridge, Sigma and any Omega that commutes with Sigma.

With U + lambda the regression matrix and V the covariance of noisy and clean points, b1 = V^T (U + lambda)^{-1}, and
by Schur complements

    det(Omega + b1 b1^T) = det [[0, A, -V], [A, -1, 0], [V^T, 0, Omega]] / det [[0, A], [A, -1]],   A = U + lambda.

Every sample enters the large matrix by terms of finite rank, so it has a deterministic equivalent with a 3 x 3 matrix
per eigenvalue of Sigma (docs/linear, section 3). The samples' weights are 2 x 2 matrices (k + T)^{-1},
T = [[tau, -omega], [upsilon, tau]]. With Omega = epsilon shape(s), the unknowns are

    x = (tau_s, upsilon_s/epsilon, omega_s, tau_a/(q epsilon), upsilon_a/(q epsilon), omega_a/q):

positive, and finite as epsilon -> 0 wherever b1 is invertible (n > d). As arranged below, every quantity is a sum of
positive terms.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rfdsm.linear._ridge_equations import Populations

TOLERANCE = 1e-9
"""Largest relative residual at which a point counts as solved."""
MAX_STEPS = 60
SMALLEST = 1e-280
RADIUS = 2.0
"""Longest Newton step, in logarithms."""


class Weights(NamedTuple):
    """(k + T)^{-1} of one population: (k + tau)/D, omega/D and upsilon/(epsilon D), D = (k + tau)^2 + omega upsilon."""

    same: jax.Array
    up: jax.Array
    down: jax.Array
    cost: jax.Array  # log det(k + T) - tr T (k + T)^{-1}


class Blocks(NamedTuple):
    """The deterministic equivalent along each eigendirection, after elimination of the third row; arrays (S,)."""

    W: jax.Array
    N: jax.Array  # the determinant is -W N
    inverse: jax.Array  # (Omega + b1 b1^T)^{-1}
    rest: jax.Array  # 1 - Omega * inverse, without the subtraction
    image: jax.Array  # F(x), shape (6,)


def _weights(tau: jax.Array, upsilon: jax.Array, omega: jax.Array, epsilon: jax.Array, k: jax.Array) -> Weights:
    product = epsilon * omega * upsilon
    determinant = (k + tau) ** 2 + product
    # many samples multiply small costs: log1p where T is small beside k = 1
    logarithm = jnp.where(k == 1, jnp.log1p(tau * (tau + 2) + product), jnp.log(determinant))
    cost = logarithm - 2 * (tau * (k + tau) + product) / determinant
    return Weights((k + tau) / determinant, omega / determinant, upsilon / determinant, cost)


def _weights_at(x: jax.Array, epsilon: jax.Array, P: Populations) -> tuple[Weights, Weights]:
    own = P.q * x[3:]
    symmetric = _weights(x[0], x[1], x[2], epsilon, P.stiffness)
    return symmetric, _weights(epsilon * own[0], own[1], own[2], epsilon, P.stiffness)


def evaluate(x: jax.Array, epsilon: jax.Array, shape: jax.Array, P: Populations) -> Blocks:
    """Everything at a point x (6,) for Omega = epsilon * shape (S,), shape > 0; epsilon >= 0 where b1 is invertible."""
    s, h, a = P.nodes, P.noise, jnp.sqrt(P.signal)
    w, v = _weights_at(x, epsilon, P)
    alone = 1 - P.q
    floor = P.ridge + w.same * P.q * h + alone * v.same * h  # noise and penalty as the regression sees them
    extra = 1 + epsilon * alone * v.down * h
    beyond = extra + epsilon * w.down * P.q * h
    g = w.same * a * s
    p = w.up * P.symmetric + alone * v.up * h
    W = shape + w.down * s
    remaining = P.signal * s * shape / W  # signal in y that Omega leaves to the regression
    p_eff = epsilon * p + g**2 / W
    q_eff = floor + w.same * remaining
    z_eff = beyond + epsilon * w.down * remaining
    N = p_eff * z_eff + epsilon * q_eff**2
    q_full, z_full = floor + a * g, extra + epsilon * w.down * P.symmetric
    inverse = (p * z_full + q_full**2) / (W * N)
    rest = (epsilon * w.down * s * (p * beyond + floor**2) + g**2 * beyond) / (W * N)

    seen = P.symmetric * shape + s * w.down * P.q * h
    tau_s = P.average((epsilon * q_eff * seen + a * s * g * z_eff) / (W * N))
    upsilon_s = P.average(P.symmetric * z_eff / N)
    unexplained = p * (P.signal * epsilon * shape + beyond) + floor**2
    omega_s = P.average((P.q * h * p_eff * W + s * unexplained) / (W * N))
    tau_a, upsilon_a, omega_a = (h * P.average(value / N) for value in (q_eff, z_eff, p_eff))
    image = jnp.stack([tau_s, upsilon_s, omega_s, tau_a, upsilon_a, omega_a]) / P.psi
    return Blocks(W, N, inverse, rest, image)


class Point(NamedTuple):
    """A solved point: x (6,), residual and number of Newton steps."""

    x: jax.Array
    residual: jax.Array
    steps: jax.Array


def solve(start: jax.Array, epsilon: jax.Array, shape: jax.Array, P: Populations) -> Point:
    """Solve x = F(x) from a positive start: Newton's method in logarithms, within a radius that adapts."""

    def defect(logarithm):
        return jnp.log(evaluate(jnp.exp(logarithm), epsilon, shape, P).image) - logarithm

    def unfinished(carry):
        _, _, size, previous, radius, steps = carry
        rounding = (size < 1e-9) & (size > 0.5 * previous)
        return (size > 1e-15) & ~rounding & (steps < MAX_STEPS) & (radius > 1e-6)

    def newton(carry):
        logarithm, value, size, previous, radius, steps = carry
        step = -jnp.linalg.solve(jax.jacfwd(defect)(logarithm), value[:, None])[:, 0]
        step = jnp.where(jnp.all(jnp.isfinite(step)), step, 0.5 * value)
        trial = logarithm + step * jnp.minimum(1.0, radius / jnp.max(jnp.abs(step)))
        new = defect(trial)
        new_size = jnp.max(jnp.abs(new))
        better = new_size < size
        radius = jnp.where(better, jnp.minimum(2 * radius, RADIUS), radius / 4)
        kept = (jnp.where(better, trial, logarithm), jnp.where(better, new, value), jnp.minimum(new_size, size))
        # a rejected step at rounding level ends the iteration
        return *kept, jnp.where(better | (size < 1e-9), size, previous), radius, steps + 1

    begin = jnp.log(jnp.maximum(start, SMALLEST))
    value = defect(begin)
    first = (begin, value, jnp.max(jnp.abs(value)), jnp.array(jnp.inf), jnp.array(RADIUS), jnp.array(0.0))
    logarithm, _, size, _, _, steps = jax.lax.while_loop(unfinished, newton, first)
    return Point(jnp.exp(logarithm), size, steps)


def follow(start: jax.Array, epsilons: jax.Array, shapes: jax.Array, P: Populations) -> tuple[Point, Blocks]:
    """Solutions at Omega = epsilons[k] * shapes[k], shapes (E,) and (E, S), from large Omega downwards.

    Each starts from the line through the two before it in logarithms. Returns points and blocks with leading axis E.
    """

    def step(carry, place):
        logarithm, slope, before = carry
        epsilon, shape = place
        stride = jnp.log(epsilon / before)
        point = solve(jnp.exp(logarithm + slope * stride), epsilon, shape, P)
        new = jnp.log(point.x)
        slope = jnp.where(stride == 0, slope, (new - logarithm) / jnp.where(stride == 0, 1.0, stride))
        return (new, slope, epsilon), (point, evaluate(point.x, epsilon, shape, P))

    begin = jnp.log(jnp.maximum(start, SMALLEST))
    far_slope = jnp.array([0.0, -1.0, -1.0, -1.0, -1.0, -1.0])  # of `far_point` as epsilon grows
    return jax.lax.scan(step, (begin, far_slope, epsilons[0]), (epsilons, shapes))[1]


def far_point(
    fitted: tuple[jax.Array, jax.Array], sensitivity: jax.Array, epsilon: jax.Array, shape: jax.Array, P: Populations
) -> jax.Array:
    """The solution as Omega = epsilon shape -> infinity, from the regression's (e_s, f) and their sensitivity.

    There omega = 0, tau = e, and upsilon is the sensitivity of e to the constant probe.
    """
    e_s, f = fitted
    zero = 0 * e_s
    x = jnp.stack([e_s, sensitivity[0] / epsilon, zero, f / epsilon, sensitivity[1] / epsilon, zero])
    image = evaluate(x, epsilon, shape, P).image
    return x.at[2].set(image[2]).at[5].set(image[5])


def potential(x: jax.Array, epsilon: jax.Array, shape: jax.Array, P: Populations) -> jax.Array:
    """(1/d) log |det| of the large matrix, up to constants that cancel against `reference`; stationary in x."""
    blocks = evaluate(x, epsilon, shape, P)
    w, v = _weights_at(x, epsilon, P)
    bulk = P.average(jnp.log(blocks.W) + jnp.log(blocks.N))
    return bulk + P.psi * (w.cost + _others(P) * v.cost)


def reference(e_s: jax.Array, f: jax.Array, resolvent: jax.Array, P: Populations) -> jax.Array:
    """(1/d) log |det [[0, U + lambda], [U + lambda, -1]]| = (2/d) log det(U + lambda), with the same constants."""

    def cost(e):
        logarithm = jnp.where(P.stiffness == 1, jnp.log1p(e), jnp.log(P.stiffness + e))
        return logarithm - e / (P.stiffness + e)

    return 2 * (P.average(-jnp.log(resolvent)) + P.psi * (cost(e_s) + _others(P) * cost(P.q * f)))


def _others(P: Populations) -> jax.Array:
    """m - 1, the antisymmetric modes of a sample; 0 at m = inf, where what it multiplies vanishes faster."""
    return jnp.where(P.q > 0, (1 - P.q) / jnp.where(P.q > 0, P.q, 1.0), 0.0)
