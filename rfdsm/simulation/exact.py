"""Exact moments of the features over fresh noise: given the points, or over the whole population. No draws are made.

Given x, a pre-activation w_k.y/sqrt(d) is normal with mean s_ik = a w_k.x_i/sqrt(d) and deviation sigma_k =
sqrt(h/d) |w_k|, and two of them have the correlation rho_kl of the rows of W. With the Hermite coefficients c_r[i,k] of
the activation (rfdsm.activations.expansion),

    U_inf = (1/n) sum_i E[phi phi^T | x_i] = sum_r (1/n)(C_r^T C_r) o rho^r,     V_inf = diag(mean_i c_1) W/|W|.

Over the population the pre-activations are centred, of deviations G_k and correlations that follow a^2 Sigma + h: the
same sum with one point. rho is O(1/sqrt(d)) off the diagonal, so a few terms reach rounding; the diagonal is exact.

Source: docs/simulation, section 2.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rfdsm.activations.expansion import Rule
from rfdsm.simulation.design import Points, stream
from rfdsm.simulation.moments import Law, Moments
from rfdsm.simulation.strips import Strips, add, bounds, diagonal, gram, with_diagonal, zeros


class Series(NamedTuple):
    """Number of terms of a Hermite series, static, and the quadrature rule of its coefficients."""

    terms: int
    rule: Rule | None


def population_moments(law: Law, variances: Float[Array, " d"], series: Series) -> Moments:
    """Moments over fresh points and fresh noise, y ~ N(0, diag(variances))."""
    W, activation, h, *_ = law
    p, d = W.shape
    covariance = gram(W * jnp.sqrt(variances / d))
    G = jnp.sqrt(diagonal(covariance))
    coefficients, second = activation.expand(jnp.zeros((p, 1), W.dtype), G[:, None], max(series.terms, 2), series.rule)
    c = coefficients[..., 0]

    def strip(covariance: Array, low: int, high: int) -> Array:
        known = activation.kernel(G[low:high, None], G[:high], covariance)
        if known is not None:
            return known
        rho = covariance / (G[low:high, None] * G[:high])

        def body(total: Array, row: Array) -> tuple[Array, None]:
            return total * rho + row[low:high, None] * row[:high], None

        return jax.lax.scan(body, jnp.zeros_like(rho), c, reverse=True)[0]

    U = [strip(part, low, high) for part, (low, high) in zip(covariance, bounds(p), strict=True)]
    V = jnp.sqrt(h / d) * (c[1] / G)[:, None] * W
    return Moments(with_diagonal(U, second[:, 0]), V, jnp.ones((), W.dtype))


def conditional_moments(law: Law, points: Points, series: Series, chunk: int) -> Moments:
    """Moments over fresh noise on the given points, `chunk` points at a time."""
    W, activation, h, _, shards = law
    p, d = W.shape
    length = jnp.sqrt(jnp.sum(W**2, axis=1))
    unit = W / length[:, None]
    deviation = jnp.sqrt(h / d) * length
    rho = gram(unit)
    terms = max(series.terms, 2)

    def step(carry: tuple[Strips, Array, Array], index: Array) -> tuple[Strips, Array, Array]:
        U, first, square = carry
        s = jnp.sqrt((1 - h) / d) * (W @ points.rows(index % points.size).T)
        C, second = activation.expand(s, deviation[:, None], terms, series.rule)
        valid = jnp.where(index < points.size, jnp.ones((), W.dtype), 0)
        parts = [_horner(C, valid, strip, low, high) for strip, (low, high) in zip(rho, bounds(p), strict=True)]
        first, square = add((first, square), (C[1] @ valid, second @ valid))
        return add(U, parts), first, square

    zero = zeros(p), jnp.zeros(p), jnp.zeros(p)
    U, first, square = stream(points.size, chunk, shards, step, zero)
    count = points.size.astype(square.dtype)
    U = with_diagonal([part / count for part in U], square / count)
    return Moments(U, (first / count)[:, None] * unit.astype(first.dtype), jnp.ones(()))


def _horner(C: Float[Array, "terms p c"], valid: Float[Array, " c"], rho: Array, low: int, high: int) -> Array:
    """sum_r (C_r C_r^T) o rho^r over the valid columns, on rows low ... high and up to column high."""

    def body(total: Array, c: Array) -> tuple[Array, None]:
        return total * rho + (c[low:high] * valid) @ c[:high].T, None

    return jax.lax.scan(body, jnp.zeros_like(rho), C, reverse=True)[0]
