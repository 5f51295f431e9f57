"""Two-point functions of the resolvent, R = (U - z)^-1 at two places (docs/training, section 3).

With a probe covariance M of the features, all per coordinate or per feature,

    transfer = (1/d) tr V^T R_1 M R_2 V          gain = (1/p) tr R_1 M R_2

They are the off-diagonal of the fixed-point equations of `fixed_point`, read for 2 x 2 upper triangular matrices whose
diagonal holds the solutions at the two places: linear equations for the responses kappa_s, kappa_a of c_s, c_a and
Gamma of G. In the unknowns (y_s, y_a, mu) of `resolvent`, with S(s) = 1/((1 + w_1)(1 + w_2)) and Gamma in units of
G_1 G_2,

    A = A_0 + beta_s kappa_s + beta_a kappa_a          D(s) = D_0(s) + D_s(s) kappa_s + D_a kappa_a
    Gamma (psi_p - <w_1 w_2 S>) = -(A + <D S>)
    kappa_s = C_0 - y_s1 y_s2 (Gamma (beta_s + <D_s S>) - <D_s D S>)/psi_n
    kappa_a = -q (1 - q) x_a1 x_a2 (Gamma (beta_a + <D_a S>) - <D_a D S>)/psi_n,          y_a = (1 - q) x_a

A probe is (A_0, D_0, C_0): the population covariance, or that of fresh noise on the training points.

V is the cross-covariance of the features with the target alpha x + beta z. With N(s) = y_s alpha a s + y_t beta sqrt(h)
at one place and N_12(s) = kappa_s alpha a s + kappa_t beta sqrt(h),

    transfer = kappa_s alpha^2 <s> + kappa_t beta^2
               - L <N_1 N_12/(1 + w_1)> - L <N_12 N_2/(1 + w_2)> + L <N_1 N_2 (D - Gamma) S>

where fresh noise takes memory_2 alpha a s, what is fitted of it, off the first N_12, and memory_1 alpha a s off the
second.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp

from rfdsm.theory._populations import Populations
from rfdsm.theory._resolvent import Triple


class Points(NamedTuple):
    """One-point quantities at the nodes, arrays (N,)."""

    y_s: Any
    x_a: Any
    mu: Any
    y_t: Any  # G c_t = q y_s + y_a
    shrink: Any  # 1/(1 + w), (S, N)
    cross: Any  # N = cross s + cross_noise
    cross_noise: Any
    known: tuple[Any, Any]  # <N/(1 + w)>, <s N/(1 + w)>
    memory: Any  # c_s E_12: how far a training point's own noise-averaged features are fitted
    explained: Any  # (1/d) tr V^T R V = T_t - J*
    gain: Any  # (1/p) tr R


class Pair(NamedTuple):
    """Two-point functions for one probe."""

    transfer: Any
    gain: Any


def one_point(y: Triple, P: Populations) -> Points:
    """What derives from the order parameters at each node. Nodes of P's spectrum have shape (S, 1)."""
    y_s, y_a, mu = y
    y_t = P.q * y_s + y_a
    shrink = 1 / (1 + y_s * P.signal * P.nodes + y_t * P.noise)
    m0, m1, m2 = (P.average(P.nodes**power * shrink) for power in range(3))
    x_a = 1 / (mu + P.q * P.inverse_psi_n * (P.beta_a + P.noise * m0))
    memory = y_s * (P.signal * m1 + P.beta_psi) * P.inverse_psi_n
    cross, cross_noise = P.alpha * P.a * y_s, P.beta * P.root_h * y_t
    known = cross * m1 + cross_noise * m0, cross * m2 + cross_noise * m1
    variance = P.average(P.nodes)
    left = P.alpha**2 * variance * y_s + P.beta**2 * y_t - P.L * (cross * known[1] + cross_noise * known[0])
    explained = P.alpha**2 * variance + P.beta**2 - mu * left
    return Points(y_s, x_a, mu, y_t, shrink, cross, cross_noise, known, memory, explained, P.inverse_psi_p / mu)


class Probe(NamedTuple):
    """Covariance M = W D_0 W^T/d + A_0 of what is measured, D_0(s) = D_signal s + D_constant, and its C_0."""

    A: Any
    D_signal: Any
    D_constant: Any
    C: Any
    fitted: tuple[Any, Any] = (0.0, 0.0)
    """What the training points' own signal in the target counts less by, seen from either place."""


def population_probe(P: Populations) -> Probe:
    """Features of fresh points with fresh noise."""
    return Probe(P.beta_psi + P.beta_a, P.signal, P.noise, 0.0, (0.0, 0.0))


def fresh_noise_probe(one: Points, other: Points, P: Populations) -> Probe:
    """Features of the training points with fresh noise: what they share with the training set is partly fitted."""
    memory, memory_ = one.memory[:, None], other.memory[None, :]
    forgotten = 1 - memory - memory_
    return Probe(P.beta_a + forgotten * P.beta_psi, forgotten * P.signal, P.noise, memory * memory_, (memory, memory_))


class _Response(NamedTuple):
    """What a change (A, D) of the resolvent leads to: Gamma, and the terms that change kappa_s and kappa_a."""

    gamma: Any
    of_s: Any
    of_a: Any


def two_point(one: Points, other: Points, P: Populations, probes: Sequence[Probe]) -> list[Pair]:
    """Two-point functions of each probe for all pairs of nodes, (N, N) each."""

    def each(function: Callable[[Any, Any], Any], a: Any, b: Any) -> Any:
        return function(a[:, None], b[None, :])

    def product(name: str) -> Any:
        return each(jnp.multiply, getattr(one, name), getattr(other, name))

    i0, i1, i2, i3 = (
        jnp.einsum("sk,sl->kl", P.weights * P.nodes**power * one.shrink, other.shrink) for power in range(4)
    )
    rise_1, level_1 = one.y_s * P.signal, one.y_t * P.noise  # w = rise s + level
    rise_2, level_2 = other.y_s * P.signal, other.y_t * P.noise
    mixed = each(jnp.multiply, rise_1, level_2) + each(jnp.multiply, level_1, rise_2)
    w_w = each(jnp.multiply, rise_1, rise_2) * i2 + mixed * i1 + each(jnp.multiply, level_1, level_2) * i0
    per_free = 1 / (1 / P.inverse_psi_p - w_w)
    of_D_s, of_D_a = P.beta_s + P.signal * i1 + P.q * P.noise * i0, P.beta_a + P.noise * i0
    factor_s = -P.inverse_psi_n * product("y_s")
    factor_a = -P.inverse_psi_n * P.q * (1 - P.q) * product("x_a")

    def response(A: Any, D_signal: Any, D_constant: Any) -> _Response:
        """With kappa_s = kappa_a = 0 on the right-hand sides."""
        mean = D_signal * i1 + D_constant * i0
        gamma = -(A + mean) * per_free
        square = P.signal * (D_signal * i2 + D_constant * i1) + P.q * P.noise * mean
        return _Response(gamma, factor_s * (gamma * of_D_s - square), factor_a * (gamma * of_D_a - P.noise * mean))

    to_s = response(P.beta_s, P.signal, P.q * P.noise)  # per unit of kappa_s
    to_a = response(P.beta_a, 0.0, P.noise)
    m_ss, m_aa = 1 - to_s.of_s, 1 - to_a.of_a
    per_determinant = 1 / (m_ss * m_aa - to_a.of_s * to_s.of_a)
    # N_1 N_2 as a polynomial in s, and with it <N_1 N_2 S> and <s N_1 N_2 S>
    n2, n0 = product("cross"), product("cross_noise")
    n1 = each(jnp.multiply, one.cross, other.cross_noise) + each(jnp.multiply, one.cross_noise, other.cross)
    learned, learned_s = n2 * i2 + n1 * i1 + n0 * i0, n2 * i3 + n1 * i2 + n0 * i1
    signal, noise = P.alpha * P.a, P.beta * P.root_h
    target_signal, target_noise = P.alpha**2 * P.average(P.nodes), P.beta**2
    known = each(jnp.add, one.known[0], other.known[0])
    known_s = tuple(values[1] for values in (one.known, other.known))
    G_G = -P.inverse_psi_p / product("mu")

    def probed(probe: Probe) -> Pair:
        own = response(probe.A, probe.D_signal, probe.D_constant)
        right_s, right_a = probe.C + own.of_s, own.of_a
        kappa_s = (m_aa * right_s + to_a.of_s * right_a) * per_determinant
        kappa_a = (m_ss * right_a + to_s.of_a * right_s) * per_determinant
        gamma = own.gamma + kappa_s * to_s.gamma + kappa_a * to_a.gamma
        kappa_t = P.q * kappa_s + kappa_a
        D_signal, D_constant = probe.D_signal + kappa_s * P.signal, probe.D_constant + kappa_t * P.noise
        (fitted, fitted_), (own_s, other_s) = probe.fitted, known_s
        cross = kappa_t * noise * known + signal * (
            (kappa_s - fitted_) * own_s[:, None] + (kappa_s - fitted) * other_s[None, :]
        )
        rest = D_signal * learned_s + (D_constant - gamma) * learned
        return Pair(kappa_s * target_signal + kappa_t * target_noise + P.L * (rest - cross), gamma * G_G)

    return [probed(probe) for probe in probes]
