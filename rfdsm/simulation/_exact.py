"""Exact moments of the features over fresh noise: given the points, or over the whole population. No draws are made.

Given x, a pre-activation w_k.y/sqrt(d) is normal with mean s_ik = a w_k.x_i/sqrt(d) and deviation sigma_k =
sqrt(h/d) |w_k|, and two of them have the correlation rho_kl of the rows of W. With the Hermite coefficients c_r[i,k] of
the activation (rfdsm.activations.expansion),

    U_inf = (1/n) sum_i E[phi phi^T | x_i] = sum_r (1/n)(C_r^T C_r) o rho^r
    V_inf = -(1/n) sum_i E[phi | x_i] alpha x_i^T - beta diag(mean_i c_1) W/|W|,     E[phi | x_i] = c_0.

Over the population the pre-activations are centred, of deviations G_k and correlations that follow a^2 Sigma + h: the
same sum with one point. rho is O(1/sqrt(d)) off the diagonal, so a few terms reach rounding; the diagonal is exact.

Source: docs/simulation, section 2.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rfdsm.activations._expansion import Rule
from rfdsm.simulation._design import Points, stream
from rfdsm.simulation._moments import Law, Moments
from rfdsm.simulation._strips import Strips, add, bounds, diagonal, gram, with_diagonal, zeros


class Series(NamedTuple):
    """Number of terms of a Hermite series, static, and the quadrature rule of its coefficients."""

    terms: int
    rule: Rule | None
    double: int | None = None
    """Terms from the first whose products are formed in double precision, static; None for all."""


def population_moments(law: Law, eigenvalues: Float[Array, " d"], series: Series) -> Moments:
    """Moments over fresh points x ~ N(0, diag(eigenvalues)) and fresh noise."""
    W, activation, asked, *_ = law
    p, d = W.shape
    variances = asked.a**2 * eigenvalues + asked.h
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
    shared, square = asked.beta * jnp.sqrt(asked.h), asked.beta**2
    if asked.alpha is not None:
        shared = shared + asked.alpha * asked.a * eigenvalues
        square = square + asked.alpha**2 * jnp.mean(eigenvalues)
    V = -(c[1] / G)[:, None] * W * (shared / d**0.5)
    return Moments(with_diagonal(U, second[:, 0]), V, square)


def conditional_moments(law: Law, points: Points, series: Series, chunk: int) -> Moments:
    """Moments over fresh noise on the given points, `chunk` points at a time."""
    W, activation, asked, _, shards = law
    p, d = W.shape
    length = jnp.sqrt(jnp.sum(W**2, axis=1))
    unit = W / length[:, None]
    deviation = jnp.sqrt(asked.h / d) * length
    rho = gram(unit)
    terms = max(series.terms, 2)

    def step(carry: tuple[Strips, list[Array]], index: Array) -> tuple[Strips, list[Array]]:
        U, sums = carry
        x = points.rows(index % points.size)
        C, second = activation.expand(asked.a / d**0.5 * (W @ x.T), deviation[:, None], terms, series.rule)
        valid = jnp.where(index < points.size, jnp.ones((), W.dtype), 0)
        C = C * valid
        parts = [_sum(C, series.double, *strip) for strip in zip(rho, bounds(p), strict=True)]
        averaged = [second @ valid, jnp.sum(C[1], axis=1)]
        if asked.alpha is not None:
            averaged += [C[0] @ x, valid @ jnp.sum(x**2, axis=1)]
        return add(U, parts), add(sums, averaged)

    shapes = [(p,), (p,)] if asked.alpha is None else [(p,), (p,), (p, d), ()]
    U, sums = stream(points.size, chunk, shards, step, (zeros(p), [jnp.zeros(shape) for shape in shapes]))
    square, first, *of_signal = (total / points.size.astype(total.dtype) for total in sums)
    beta = jnp.asarray(asked.beta, first.dtype)
    V, offset_squared = -beta * first[:, None] * unit.astype(first.dtype), beta**2
    if of_signal:
        (mean_x, x_squared), alpha = of_signal, jnp.asarray(asked.alpha, first.dtype)
        V, offset_squared = V - alpha * mean_x, offset_squared + alpha**2 * x_squared / d
    return Moments(with_diagonal([part / points.size.astype(part.dtype) for part in U], square), V, offset_squared)


def _sum(C: Float[Array, "terms p c"], double: int | None, rho: Array, rows: tuple[int, int]) -> Array:
    """sum_r (C_r C_r^T) o rho^r on a strip of these rows."""
    if double is None or double >= len(C):
        return _horner(C, rho, rows, jnp.zeros_like(rho))
    high, single = (x.astype("float32") for x in (C[double:], rho))
    rest = _horner(high, single, rows, jnp.zeros_like(single))
    return _horner(C[:double], rho, rows, rest.astype(rho.dtype))


def _horner(C: Array, rho: Array, rows: tuple[int, int], total: Array) -> Array:
    low, high = rows

    def body(total: Array, c: Array) -> tuple[Array, None]:
        return total * rho + c[low:high] @ c[:high].T, None

    return jax.lax.scan(body, total, C, reverse=True)[0]
