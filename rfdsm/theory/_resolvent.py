"""Resolvent of the feature matrix U = Phi Phi^T/(nm) at complex z: its physical branch (docs/spectrum, sections 1-3).

The order parameters of `fixed_point` at lambda = -z, in the unknowns y_s = G c_s, y_a = G c_a and mu = 1/G:

    y_s (mu + T_s/psi_n) = 1          y_a (mu + q T_a/psi_n) = 1 - q          mu (psi_p - kappa) + z = 0
    T_N = beta_N + <D_N/(1 + y_s D_s + y_a D_a)>          kappa = y_s T_s + y_a T_a

They are polynomial but for the averages, and stay regular where G or c vanish or diverge. At z = -u the solution is the
positive one, which `fixed_point.solve` always finds. From there z turns around the circle |z| = u to the real axis, by
Newton's method: the scale of the problem never changes, so a few steps suffice. A step counts only if it stays in the
half planes of the physical branch; otherwise the next one is shorter. The end is on the axis itself, nothing is
smoothed, and is checked by itself: a solution with Im G, Im E_s, Im F > 0 is the physical one within the support, a
real one is the physical one outside if G, E_s and F increase with z.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rfdsm._batches import in_chunks
from rfdsm._executables import jitted
from rfdsm._problem import Problem
from rfdsm._scope import jax_scope
from rfdsm.theory._fixed_point import solve
from rfdsm.theory._populations import NEGLIGIBLE, Populations, cells_of, populations, rank

CHUNK, SMALL_CHUNK = 8192, 256
"""Pairs (problem, u) per compiled call; the small one for the few pairs of a search."""
FEW_STEPS, MAX_STEPS = 20, 150
"""Newton steps of the first pass over many pairs, and of the second over those that need more."""
TURN = 0.2
"""Factor by which a successful step reduces the angle between z and the real axis."""
CLOSE, SETTLED = 0.03, 1e-14
"""Relative change at which a step is followed by the next angle, and at which the last one ends."""
NOISE = 1e-8
"""Relative difference below which two rates count as equal."""
FLAT = 1e-11
"""Relative imaginary part up to which a solution is real: Newton's method squares it at every step where it is."""
ROUNDING = 1e-9
"""Relative imaginary part of the wrong sign that counts as noise: outside the support and next to -|z|."""

Triple = tuple[Any, Any, Any]
"""(y_s, y_a, mu)."""


PARAMETERS = ("inverse_psi_n", "inverse_psi_p", "q", "a_squared", "h", "L", "beta_psi", "beta_a")


class Cells(NamedTuple):
    """Concrete parameters of a batch of problems, arrays (cells,)."""

    parameters: dict[str, np.ndarray]
    """Those of `Populations` named in PARAMETERS."""
    origin: np.ndarray
    """What U is at least: beta_a at m = inf, where it is a mere shift and beta_a = 0 in the equations; else 0."""
    mass_at_origin: np.ndarray  # by counting ranks
    nodes: np.ndarray  # (S,), shared by all cells
    weights: np.ndarray

    @property
    def size(self) -> int:
        """Number of cells."""
        return self.origin.size


class State(NamedTuple):
    """What the equations and their derivatives need at a point."""

    T_s: Any
    T_a: Any
    free: Any  # psi_p - kappa
    residual: Triple
    direction: tuple[Any, Any]  # -dy/dmu along the curve on which the first two equations hold
    remainder: tuple[Any, Any]  # what a Newton step at fixed mu adds to y
    slope: Any  # -dz/dmu along that curve: it vanishes at the edges of the support
    bend: Triple  # <D_s^2/(1+w)^2>, <D_s D_a/(1+w)^2>, <D_a^2/(1+w)^2>: minus the derivatives of T by y
    gain: Any  # change of mu kappa by a step at fixed mu


class Points(NamedTuple):
    """Solutions on the real axis, arrays of one shape."""

    density: Any
    below: Any  # fraction of the eigenvalues below u
    outside: Any  # whether u lies outside the support, by a real solution
    converged: Any
    y_s: Any
    y_a: Any
    mu: Any


def cells(problem: Problem) -> Cells:
    """Parameters of the cells of a problem, in a row."""
    (inverse_psi_n, inverse_psi_p, q, asked, moments), law = cells_of(problem), problem.spectrum
    with jax_scope():
        P, _ = populations(inverse_psi_n, inverse_psi_p, q, asked, jnp.ones_like(q), moments, law.nodes, law.weights)
        linear = np.asarray(P.beta_a) <= NEGLIGIBLE
        draws = np.divide(1, q * inverse_psi_n, out=np.full(np.shape(q), np.inf), where=q > 0)
        # At m = inf noise alone gives beta_a in all directions, the origin; n samples and d dimensions rise above it.
        above = np.where((q == 0) & ~linear, 1 / inverse_psi_n + (np.asarray(P.L) > 0), np.inf)
        filled = np.minimum(np.minimum(1 / np.asarray(rank(inverse_psi_p, P.L, linear)), draws), above)
        mass_at_origin = np.maximum(1 - inverse_psi_p * filled, 0)
    arrays = {name: np.array(np.broadcast_to(np.asarray(getattr(P, name)), np.shape(q))) for name in PARAMETERS}
    origin = np.where((arrays["q"] == 0) & (arrays["beta_a"] > NEGLIGIBLE), arrays["beta_a"], 0.0)
    arrays["beta_a"] = np.where(origin > 0, NEGLIGIBLE, arrays["beta_a"])
    return Cells(arrays, origin, mass_at_origin, law.nodes, law.weights)


def evaluate(y: Triple, z: Any, P: Populations) -> State:
    """The equations at (y_s, y_a, mu) and z, real or complex, with all that Newton's method asks."""
    y_s, y_a, mu = y
    shared, psi_p, P = P.signal * P.nodes + P.q * P.noise, 1 / P.inverse_psi_p, P.like(mu)
    s, q, signal, noise, per_n = P.nodes, P.q, P.signal, P.noise, P.inverse_psi_n
    shrink = 1 / (1 + y_s * jnp.asarray(shared, mu.dtype) + y_a * noise)
    first = P.weights * shrink
    T_a = P.beta_a + noise * jnp.sum(first, axis=0)
    T_s = P.beta_psi + signal * jnp.sum(first * s, axis=0) + q * T_a
    second = first * shrink
    i0, i1, i2 = (jnp.sum(second * s**power, axis=0) for power in range(3))
    rise_a = noise * i0
    rise_s = signal * i1 + q * rise_a
    bend_aa, bend_sa = noise * rise_a, noise * rise_s
    bend_ss = signal * (signal * i2 + q * noise * i1) + q * bend_sa
    free = jnp.asarray(psi_p, mu.dtype) - y_s * T_s - y_a * T_a
    a, b = mu + per_n * T_s, mu + q * per_n * T_a
    f_s, f_a = 1 - y_s * a, (1 - q) - y_a * b

    m_ss, m_sa = a - per_n * y_s * bend_ss, -per_n * y_s * bend_sa
    m_as, m_aa = -q * per_n * y_a * bend_sa, b - q * per_n * y_a * bend_aa
    inverse = 1 / (m_ss * m_aa - m_sa * m_as)
    remainder = (m_aa * f_s - m_sa * f_a) * inverse, (m_ss * f_a - m_as * f_s) * inverse
    direction = (m_aa * y_s - m_sa * y_a) * inverse, (m_ss * y_a - m_as * y_s) * inverse
    k_s, k_a = mu * (P.beta_s + rise_s), mu * (P.beta_a + rise_a)  # mu dkappa/dy
    slope = free + k_s * direction[0] + k_a * direction[1]
    gain = k_s * remainder[0] + k_a * remainder[1]
    residual = (f_s, f_a, -(mu * free + z))
    return State(T_s, T_a, free, residual, direction, remainder, slope, (bend_ss, bend_sa, bend_aa), gain)


def newton(y: Triple, state: State) -> Triple:
    """The next iterate from y."""
    step = (state.residual[2] + state.gain) / state.slope
    return (
        y[0] + state.remainder[0] - state.direction[0] * step,
        y[1] + state.remainder[1] - state.direction[1] * step,
        y[2] + step,
    )


def change(new: Triple, old: Triple) -> Any:
    """Largest relative change of an unknown; y_a = 0 at m = 1 does not count."""
    changes = (jnp.abs(a - b) / (jnp.abs(a) + 1e-280) for a, b in zip(new, old, strict=True))
    return functools.reduce(jnp.maximum, changes)


def real(y: Triple) -> Any:
    """Whether imaginary parts are so small that a solution is real."""
    return functools.reduce(jnp.logical_and, (jnp.abs(jnp.imag(value)) <= FLAT * jnp.abs(value) for value in y))


def increasing(y: Triple, state: State) -> Any:
    """Whether G, E_s = T_s G and F = T_a G increase with z at a real solution, as they do outside the support only."""
    y, state = jax.tree.map(jnp.real, (y, state))
    rate = -1 / state.slope  # dmu/dz
    d_s, d_a = (-d * rate for d in state.direction)
    bend_ss, bend_sa, bend_aa = state.bend

    def rises(change: Any, value: Any) -> Any:
        """T G rises as T falls slower than 1/G; where both are powers of z the difference may be rounding."""
        gain, loss = -value * rate, change * y[2]
        return gain - loss > -NOISE * (jnp.abs(gain) + jnp.abs(loss))

    e_s = rises(bend_ss * d_s + bend_sa * d_a, state.T_s)
    return (rate < 0) & e_s & rises(bend_sa * d_s + bend_aa * d_a, state.T_a)


def track(z: Any, P: Populations, limit: Any) -> tuple[Triple, Any]:
    """Solution at z = u > 0, meaning u + i0, or at complex z in the closed upper half plane; and whether it was found.

    z turns on its circle from -|z|, where the solution is the positive one. Found means that Newton's method settled at
    z within `limit` steps, on the physical branch.
    """
    z = jnp.asarray(z, complex)
    radius, end = jnp.abs(z), jnp.angle(z)
    start = solve(P._replace(unit=jnp.ones_like(radius), ridge=radius * P.inverse_psi_p), peaks=False)
    G = start.G
    first = (G / (1 + P.inverse_psi_n * start.E_s), (1 - P.q) * G / (1 + P.q * P.inverse_psi_n * start.F), 1 / G)
    first = tuple(value.astype(complex) for value in first)

    def in_half_planes(y: Triple, tolerance: Any) -> Any:
        pairs = zip((1, 1, -1), y, strict=True)
        inside = (sign * jnp.imag(value) >= -tolerance * jnp.abs(value) for sign, value in pairs)
        return functools.reduce(jnp.logical_and, inside)

    def body(carry: Any) -> Any:
        y, reached, reached_angle, angle, tries, done, steps, before = carry
        last = angle <= end
        on_axis = angle == 0
        state = evaluate(y, jnp.where(last, z, radius.astype(complex) * jnp.exp(1j * angle.astype(complex))), P)
        new = newton(y, state)
        moved = change(new, y)
        inside = in_half_planes(new, jnp.where(last, ROUNDING, 0.0))  # a NaN is not
        # Within the support real solutions may exist too; not the physical one.
        inside &= ~on_axis | ~real(new) | increasing(y, state)
        # Next to a hard edge rounding moves y by more than SETTLED: then the changes cease to shrink.
        # (Next to any other edge they halve, as at a double root.)
        settled = (moved < SETTLED) | ((moved < 1e-4) & (moved > 0.8 * before) & (tries > 1))
        small = jnp.where(last, settled, moved < CLOSE)
        success = inside & small
        # On the axis, on the way to a real solution, imaginary parts may change sign.
        astray = ~inside & (small | ~on_axis | jnp.isnan(moved))
        failure = ~success & (astray | (tries >= jnp.where(last, 30.0, 5.0)))
        easy = (angle < 0.3) & (tries <= 2)
        retreat = jnp.where(on_axis, reached_angle * TURN, jnp.sqrt(reached_angle * angle))
        onwards = jnp.maximum(jnp.where(easy, 0, angle * TURN), end)
        next_angle = jnp.where(success, onwards, jnp.where(failure, retreat, angle))
        next_reached = tuple(jnp.where(success, a, b) for a, b in zip(new, reached, strict=True))
        next_y = tuple(jnp.where(failure, a, b) for a, b in zip(next_reached, new, strict=True))
        following = (
            next_y,
            next_reached,
            jnp.where(success, angle, reached_angle),
            next_angle,
            jnp.where(success | failure, 0, tries + 1),
            success & last,
            steps + 1,
            moved,
        )
        return jax.tree.map(lambda a, b: jnp.where(done, a, b), carry, following)

    def unfinished(carry: Any) -> Any:
        return jnp.any(~carry[5] & (carry[6] < limit))

    zero = jnp.zeros_like(radius)
    carry = (first, first, zero + jnp.pi, jnp.maximum(jnp.pi * TURN, end), zero, zero != 0, zero, zero)
    y, _, _, _, _, done, _, _ = jax.lax.while_loop(unfinished, body, carry)
    return y, done


@jitted
def solve_pairs(u: Any, parameters: Any, nodes: Any, weights: Any, limit: Any) -> Points:
    """Density and eigenvalue count at pairs of u > 0 and parameters, arrays of one shape."""
    column = (-1, *[1] * jnp.ndim(u))
    nodes, weights = jnp.reshape(nodes, column), jnp.reshape(weights, column)
    P = Populations(**parameters, unit=1.0, ridge=1.0, nodes=nodes, weights=weights)
    per_n, per_p, q = P.inverse_psi_n, P.inverse_psi_p, P.q
    y, done = track(u, P, limit)

    outside = done & real(y)
    y = tuple(jnp.where(outside, jnp.real(value).astype(value.dtype), value) for value in y)

    y_s, y_a, mu = y
    C = P.like(mu)
    shrink = 1 / (1 + y_s * (C.signal * C.nodes + C.q * C.noise) + y_a * C.noise)
    T_a = C.beta_a + C.noise * C.average(shrink)
    T_s = C.beta_psi + C.signal * C.average(C.nodes * shrink) + C.q * T_a
    G, E_s, F = 1 / mu, T_s / mu, T_a / mu
    inside = (jnp.imag(G) > 0) & (jnp.imag(E_s) > 0) & (jnp.imag(F) > 0)

    def angle(value: Any) -> Any:
        """Argument in [0, pi] of a number in the closed upper half plane."""
        return jnp.arctan2(jnp.abs(jnp.imag(value)), jnp.real(value))

    # Imaginary part of (1/d) log det(U - z), section 3 of docs/spectrum.
    w_part = jnp.imag(y_s * (2 * T_s - C.beta_s) + y_a * (T_a - C.beta_a))
    many = jnp.where(
        q > 0, (1 - q) / jnp.where(q > 0, q * per_n, 1) * angle(1 + C.q * C.inverse_psi_n * F), jnp.imag(y_a * T_a)
    )
    w_part = w_part + jnp.imag(y_a * T_a)
    counts = (
        angle(G) / per_p - angle(1 + C.inverse_psi_n * E_s) / per_n - many - P.average(angle(G) - angle(G * shrink))
    )
    below = per_p * (counts + w_part) / jnp.pi
    density = jnp.where(outside, 0, jnp.imag(G) * per_p / jnp.pi)
    return Points(density, below, outside, done & (outside | inside), *(jnp.real(value) for value in y))


def evaluate_pairs(problems: Cells, index: np.ndarray, u: np.ndarray) -> Points:
    """Solutions at u[k] > 0 above the origin of problem index[k], arrays (pairs,); NaN density where none was found."""
    result = Points(*(np.empty(u.size, bool if name in ("outside", "converged") else float) for name in Points._fields))

    def take(pairs: Any) -> Any:
        own = index[pairs]
        return u[pairs], {name: values[own] for name, values in problems.parameters.items()}

    def run(pairs: Any, count: int, limit: int) -> None:
        size = CHUNK if count > CHUNK // 4 else SMALL_CHUNK
        in_chunks(lambda x: solve_pairs(*x, problems.nodes, problems.weights, limit), take, pairs, size, result)

    many = u.size > SMALL_CHUNK
    run(u.size, u.size, FEW_STEPS if many else MAX_STEPS)
    hard = np.flatnonzero(~result.converged)
    if many and hard.size:
        run(hard, hard.size, MAX_STEPS)
    result.density[~result.converged] = np.nan
    return result
