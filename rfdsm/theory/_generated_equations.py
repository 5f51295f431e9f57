"""Equations of the law of generated samples, level by level (docs/generation, sections 2 and 4).

One network per level, independent of each other given the data, in a chain of steps y -> A y + C f(y) + spread xi from
y ~ N(0, start): as d -> infinity samples are N(0, Lambda(S)), S = X^T X/n, with a recursion for each eigenvalue x of S,

    Lambda' = A^2 Lambda + 2 A C m(x) Lambda + C^2 P(x) + spread^2

m the mean slope of the network along the eigenvector, P the mean square of its output. Given X the features of the
symmetric mode are information plus noise, which has the deterministic equivalent

    c_a = (1 - q)/(1 + e_a)     D_0 = (kappa q + c_a) L h     D(x) = D_0 + a^2 L x/(1 + delta)
    1/g = lambda + kappa beta_s + c_a beta_a + <D/(1 + psi_p g D)>
    tau = psi_p g/(1 + psi_p g D)     tau_0 = psi_p g/(1 + psi_p g D_0)
    delta = (q L h <tau> + beta_s psi_p g)/psi_n     e_a = q (L h <tau> + beta_a psi_p g)/psi_n
    kappa = (1/psi_n) <1/(1 + delta + a^2 L x tau_0)> + (1 - 1/psi_n)/(1 + delta)
    N(x) = alpha a x/(1 + delta) + beta sqrt(h) (q kappa + c_a)     m(x) = L N tau mu1(G_y)/mu1(G)

and P is the derivative of alpha^2 x/(1 + delta) + beta^2 (q kappa + c_a) - L N^2 tau by the strength of a probe that
adds mu1(G_y)^2 Lambda(x) to D_0 and v^2(G_y) to 1/g. G^2 = a^2 tr Sigma/d + h is the norm in training, G_y^2 = <Lambda>
that of the samples on their way.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rfdsm.activations import Activation

TOLERANCE = 1e-10
"""Largest relative residual at which a level counts as solved."""
SETTLED = 1e-13
MAX_STEPS = 100
TINY = 1e-300


class Level(NamedTuple):
    """One level's network and step, numbers."""

    a: Any
    h: Any
    alpha: Any
    beta: Any
    ridge: Any
    mu1: Any
    v0_squared: Any
    beta_a: Any
    A: Any
    C: Any
    spread: Any


class Ratios(NamedTuple):
    """Of samples, features and draws; q = 1/m."""

    inverse_psi_n: Any
    psi_p: Any
    q: Any
    spare: Any
    """1 - rank/n, the part of the samples beyond the rank of S."""


class Probe(NamedTuple):
    """Strength zero: what it would add per unit."""

    to_D: Any
    to_g: Any


def _forms(u: Any, strength: Any, level: Level, r: Ratios, probe: Probe, x: Any, weights: Any) -> tuple[Any, ...]:
    """Right-hand sides of the unknowns u = (delta, kappa, e_a, psi_p g), the objective per eigenvalue, N and tau."""
    delta, kappa, e_a, X = u
    L = level.mu1**2
    beta_s = level.v0_squared + r.q * level.beta_a
    c_a = (1 - r.q) / (1 + e_a)
    c_t = r.q * kappa + c_a
    D_0 = c_t * L * level.h + strength * probe.to_D
    D = D_0 + level.a**2 * L * x / (1 + delta)
    tau, tau_0 = X / (1 + X * D), X / (1 + X * D_0)
    mean = jnp.sum(weights * tau)
    level_of_g = level.ridge + kappa * beta_s + c_a * level.beta_a + strength * probe.to_g
    new_X = r.psi_p / (level_of_g + jnp.sum(weights * D / (1 + X * D)))
    new_delta = (r.q * L * level.h * mean + beta_s * X) * r.inverse_psi_n
    new_e_a = r.q * (L * level.h * mean + level.beta_a * X) * r.inverse_psi_n
    seen = jnp.where(x > 0, weights, 0.0) / (1 + delta + level.a**2 * L * x * tau_0)
    new_kappa = r.inverse_psi_n * jnp.sum(seen) + r.spare / (1 + delta)  # the zeros of S and -1/psi_n make `spare`
    N = level.alpha * level.a * x / (1 + delta) + level.beta * jnp.sqrt(level.h) * c_t
    objective = level.alpha**2 * x / (1 + delta) + level.beta**2 * c_t - L * N**2 * tau
    return jnp.stack([new_delta, new_kappa, new_e_a, new_X]), objective, N, tau


def _solve(start: Any, level: Level, r: Ratios, x: Any, weights: Any) -> tuple[Any, Any]:
    """The unknowns by Newton's method, kept positive, and the largest relative residual.

    It starts from the order parameters of the losses, which solve the same problem averaged over the data: for the
    limiting spectrum they are the solution. Derivatives are those of the root, by the implicit function theorem.
    """
    nothing = Probe(jnp.zeros_like(x), 0.0)

    def image(u: Any) -> Any:
        return _forms(u, 0.0, level, r, nothing, x, weights)[0]

    def newton(difference: Any, start: Any) -> tuple[Any, Any]:
        def unfinished(carry: Any) -> Any:
            _, residual, previous, steps = carry
            return (residual > SETTLED) & ~((residual < TOLERANCE) & (residual > 0.5 * previous)) & (steps < MAX_STEPS)

        def step(carry: Any) -> Any:
            u, residual, _, steps = carry
            new = u - _linear_solve(jax.jacfwd(difference)(u), difference(u), u)
            new = jnp.clip(jnp.where(jnp.isfinite(new), new, u + difference(u)), u / 4, 4 * u + TINY)
            return new, _residual(new, difference(new)), residual, steps + 1

        first = (start, _residual(start, difference(start)), jnp.array(jnp.inf), jnp.array(0))
        u, residual, *_ = jax.lax.while_loop(unfinished, step, first)
        return u, residual

    def linear(difference: Any, y: Any) -> Any:
        return _linear_solve(jax.jacfwd(difference)(y), y, jax.lax.stop_gradient(start))

    return jax.lax.custom_root(lambda u: image(u) - u, jax.lax.stop_gradient(start), newton, linear, has_aux=True)


def _residual(u: Any, difference: Any) -> Any:
    scale = u + jnp.array([1.0, TINY, 1.0, TINY])  # delta and e_a matter beside 1 only
    return jnp.max(jnp.abs(difference) / scale)


def _linear_solve(matrix: Any, right: Any, scale: Any) -> Any:
    """Of four equations for unknowns of this size, by orthogonalisation: little code, and as stable as pivoting."""
    scale = jax.lax.stop_gradient(scale) + 1e-150  # whose quotients do not overflow
    columns = [matrix[:, k] * (scale[k] / scale) for k in range(4)]
    right, rows, ends = right / scale, [], []
    for k in range(4):
        length = jnp.sqrt(jnp.sum(columns[k] ** 2))
        q = columns[k] / length
        row = [jnp.sum(q * column) for column in columns[k + 1 :]]
        columns[k + 1 :] = [column - r * q for column, r in zip(columns[k + 1 :], row, strict=True)]
        end = jnp.sum(q * right)
        right = right - end * q
        rows.append([length, *row])
        ends.append(end)
    found: list[Any] = []
    for row, end in zip(rows[::-1], ends[::-1], strict=True):
        found.insert(0, (end - sum(r * x for r, x in zip(row[1:], found, strict=True))) / row[0])
    return jnp.stack(found) * scale


def _response(u: Any, level: Level, r: Ratios, probe: Probe, x: Any, weights: Any) -> Any:
    """P(x): the derivative of the objective per eigenvalue by the probe's strength, all unknowns responding."""

    def forms(u: Any, strength: Any) -> Any:
        return _forms(u, strength, level, r, probe, x, weights)[:2]

    (_, _), (source, direct) = jax.jvp(lambda strength: forms(u, strength), (0.0,), (1.0,))
    change = _linear_solve(jnp.eye(4) - jax.jacfwd(lambda u: forms(u, 0.0)[0])(u), source, u)
    return direct + jax.jvp(lambda u: forms(u, 0.0)[1], (u,), (change,))[1]


class Chain(NamedTuple):
    """All a law follows from, of one cell; a leading axis of K levels where not said otherwise."""

    levels: Level
    starts: Any
    """Of the unknowns (delta, kappa, e_a, psi_p g), shape (K, 4)."""
    ratios: Ratios
    """Numbers."""
    nodes: Any
    """Eigenvalues x of S, shape (N,)."""
    weights: Any
    first: Any
    """Variance of the first samples, a number."""


def follow(activation: Activation, chain: Chain) -> tuple[Any, Any]:
    """Variances after every step (K, N) and residuals (K,), one level after the other."""
    r, x, weights = chain.ratios, chain.nodes, chain.weights

    def step(variance: Any, inputs: Any) -> Any:
        level, start = inputs
        u, residual = _solve(start, level, r, x, weights)
        slope, probe = _slope(activation, u, level, r, x, weights, variance)
        power = _response(u, level, r, probe, x, weights)
        A, C = level.A, level.C
        # A^2 Lambda + 2 A C m Lambda + C^2 P, P >= m^2 Lambda: a square and what the network adds to it
        rest = jnp.maximum(power - slope**2 * variance, 0.0)
        new = (A + C * slope) ** 2 * variance + C**2 * rest + level.spread**2
        return new, (new, residual)

    return jax.lax.scan(step, jnp.full(x.shape, chain.first), (chain.levels, chain.starts))[1]


def slopes(activation: Activation, level: Level, start: Any, r: Ratios, x: Any, weights: Any, variance: Any) -> Any:
    """m(x) of one level, and the residual: all that is left of a network in infinitely many steps."""
    u, residual = _solve(start, level, r, x, weights)
    return _slope(activation, u, level, r, x, weights, variance)[0], residual


def _slope(activation: Activation, u: Any, level: Level, r: Ratios, x: Any, weights: Any, variance: Any) -> Any:
    """m(x), and the probe whose response is P(x), for samples of this variance."""
    norm = jnp.sum(weights * variance)
    mu1, _, v_squared = activation.moments(jnp.zeros_like(norm), norm)
    _, _, N, tau = _forms(u, 0.0, level, r, Probe(jnp.zeros_like(x), 0.0), x, weights)
    return level.mu1 * mu1 * N * tau, Probe(mu1**2 * variance, v_squared)
