"""The law of generated samples: `generated_law` (docs/generation).

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

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from rfdsm.activations import Activation, Moments
from rfdsm.activations.kept import kept
from rfdsm.arguments import number_array
from rfdsm.problem import Problem, check_problem
from rfdsm.sampling import Sampler, last_level
from rfdsm.scope import jax_scope
from rfdsm.spectra import Spectrum
from rfdsm.targets import Asked
from rfdsm.theory.fixed_point import solve
from rfdsm.theory.populations import cells_of, populations
from rfdsm.theory.sample_covariance import SampleSpectrum, sample_spectrum
from rfdsm.values import one_line

TOLERANCE = 1e-10
"""Largest relative residual at which a level counts as solved."""
MAX_STEPS = 100
TINY = 1e-300


class _Level(NamedTuple):
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


class _Ratios(NamedTuple):
    inverse_psi_n: Any
    psi_p: Any
    q: Any
    spare: Any
    """1 - rank/n, the part of the samples beyond the rank of S."""


class _Probe(NamedTuple):
    """Strength zero: what it would add per unit."""

    to_D: Any
    to_g: Any


def _forms(u: Any, strength: Any, level: _Level, r: _Ratios, probe: _Probe, x: Any, weights: Any) -> tuple[Any, ...]:
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


def _solve(start: Any, level: _Level, r: _Ratios, x: Any, weights: Any) -> tuple[Any, Any]:
    """The unknowns by Newton's method, kept positive, and the largest relative residual.

    It starts from the order parameters of the losses, which solve the same problem averaged over the data: for the
    limiting spectrum they are the solution.
    """
    nothing = _Probe(jnp.zeros_like(x), 0.0)

    def image(u: Any) -> Any:
        return _forms(u, 0.0, level, r, nothing, x, weights)[0]

    def unfinished(carry: Any) -> Any:
        _, residual, previous, steps = carry
        return (residual > 1e-15) & ~((residual < TOLERANCE) & (residual > 0.5 * previous)) & (steps < MAX_STEPS)

    def newton(carry: Any) -> Any:
        u, residual, _, steps = carry
        new = u + jnp.linalg.solve(jnp.eye(4) - jax.jacfwd(image)(u), image(u) - u)
        new = jnp.clip(jnp.where(jnp.isfinite(new), new, image(u)), u / 4, 4 * u + TINY)
        return new, _residual(new, image(new)), residual, steps + 1

    first = (start, _residual(start, image(start)), jnp.array(jnp.inf), jnp.array(0))
    u, residual, *_ = jax.lax.while_loop(unfinished, newton, first)
    return u, residual


def _residual(u: Any, image: Any) -> Any:
    scale = u + jnp.array([1.0, TINY, 1.0, TINY])  # delta and e_a matter beside 1 only
    return jnp.max(jnp.abs(image - u) / scale)


def _response(u: Any, level: _Level, r: _Ratios, probe: _Probe, x: Any, weights: Any) -> Any:
    """P(x): the derivative of the objective per eigenvalue by the probe's strength, all unknowns responding."""

    def forms(u: Any, strength: Any) -> Any:
        return _forms(u, strength, level, r, probe, x, weights)[:2]

    (_, _), (source, direct) = jax.jvp(lambda strength: forms(u, strength), (0.0,), (1.0,))
    change = jnp.linalg.solve(jnp.eye(4) - jax.jacfwd(lambda u: forms(u, 0.0)[0])(u), source)
    return direct + jax.jvp(lambda u: forms(u, 0.0)[1], (u,), (change,))[1]


@kept(maxsize=8)
def _chain(activation: Activation) -> Any:
    """All levels, one after the other: variances after every step (K, N), residuals (K,)."""

    def chain(levels: _Level, starts: Any, r: _Ratios, x: Any, weights: Any, first: Any) -> Any:
        def step(variance: Any, inputs: Any) -> Any:
            level, start = inputs
            u, residual = _solve(start, level, r, x, weights)
            norm = jnp.sum(weights * variance)
            mu1, _, v_squared = activation.moments(jnp.zeros_like(norm), norm)
            _, _, N, tau = _forms(u, 0.0, level, r, _Probe(jnp.zeros_like(x), 0.0), x, weights)
            slope = level.mu1 * mu1 * N * tau
            power = _response(u, level, r, _Probe(mu1**2 * variance, v_squared), x, weights)
            A, C = level.A, level.C
            # A^2 Lambda + 2 A C m Lambda + C^2 P, P >= m^2 Lambda: a square and what the network adds to it
            rest = jnp.maximum(power - slope**2 * variance, 0.0)
            new = (A + C * slope) ** 2 * variance + C**2 * rest + level.spread**2
            return new, (new, residual)

        return jax.lax.scan(step, first, (levels, starts))[1]

    return jax.jit(chain)


class GeneratedLaw(eqx.Module):
    """N(0, Lambda(S)), S the sample covariance, and its distances to the data's law N(0, Sigma).

    Distances are per dimension. N values for the nodes of the quadrature over S's eigenvalues, K steps.
    """

    nodes: Float[np.ndarray, " N"]
    """Eigenvalues of S."""
    weights: Float[np.ndarray, " N"]
    variance: Float[np.ndarray, " N"]
    """Of the samples along the eigenvectors: Lambda."""
    path: Float[np.ndarray, "steps N"]
    """The same after every step."""
    kl: Any
    """KL(generated || target)/d."""
    reverse_kl: Any
    """KL(target || generated)/d."""
    kl_at_end: Any
    """Of the target N(0, a^2 Sigma + h), the data's law at the sampler's last level."""
    reverse_kl_at_end: Any
    """The same the other way round."""
    logdet: Any
    """(1/d) log det of the generated covariance."""
    trace: Any
    """Its trace per dimension, the mean squared norm of samples."""
    converged: bool
    """Whether every level was solved, and no variance overflowed."""
    residual: float
    variance_at: Callable[[Any], Float[np.ndarray, " points"]]
    """Lambda at other eigenvalues x >= 0 of S, a list of them."""


def generated_law(problem: Problem, sampler: Sampler, *, start: Any = None, given: Any = None) -> GeneratedLaw:
    """The law of samples that networks of this problem generate, one network for each level, trained on the same data.

    Args:
        problem: one problem with ridge > 0; its t is not used. The ridge is one number, or one for each level.
        sampler: from `rfdsm.sampling`, with the levels.
        start: variance of the samples at the first level; default that of noised data, a^2 tr(Sigma)/d + h.
        given: eigenvalues of a sample covariance of one's own, with the zeros; default their limiting law. Distances
            are then known for isotropic data only, and NaN for others.

    Returns:
        `GeneratedLaw`. A level that cannot be solved, or variances that overflow: converged = False.

    Raises:
        ValueError: ridge = 0, several problems, times that the schedule has not, negative eigenvalues.

    Source: docs/generation (this project's own).

    Examples:
        >>> from rfdsm import Problem, generated_law, sampling
        >>> sampler = sampling.ddim(sampling.geometric(3, 0.05, steps=10))
        >>> law = generated_law(Problem(psi_n=4, psi_p=2, m=4, t=1, ridge=0.03, target="data"), sampler)
        >>> round(law.trace, 3), round(law.kl, 3)
        (0.752, 0.075)
        >>> law.variance_at([0.5, 1, 2]).round(3)
        array([0.405, 0.748, 1.454])
    """
    check_problem(problem)
    at_levels = sampler.problems(problem)
    steps = sampler.steps(problem)
    count = steps.A.size
    if problem.traced or at_levels.shape != (count,):
        raise ValueError("problem must be one concrete problem (its ridge one number, or one for each level)")
    if np.any(at_levels.ridge == 0):
        raise ValueError("ridge = 0 must be > 0: without a penalty networks of different levels have no common law")
    if np.any(np.isinf(at_levels.psi_p)):
        raise ValueError("psi_p = inf must be finite: take it large, with the ridge in proportion")
    law = problem.spectrum
    spectrum = sample_spectrum(float(at_levels.psi_n), law.nodes, law.weights) if given is None else _given(given)
    asked, cells = at_levels.asked, cells_of(at_levels)
    first = asked.a[0] ** 2 * law.mean + asked.h[0] if start is None else start
    first = number_array("start", first, "a variance >= 0")
    if first.ndim or not (np.isfinite(first) and first >= 0):
        raise ValueError(f"start = {one_line(start)} must be one finite variance >= 0")
    levels = _Level(
        asked.a, asked.h, asked.alpha, asked.beta, np.broadcast_to(at_levels.ridge, count), *cells.moments, *steps
    )
    x, w = spectrum.nodes, spectrum.weights
    per_n = 1 / float(at_levels.psi_n)
    spare = max(0.0, 1 - per_n * float(np.sum(law.weights[law.nodes > 0] if given is None else w[x > 0])))
    r = _Ratios(per_n, float(at_levels.psi_p), 1 / float(at_levels.m), spare)

    def along(x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with jax_scope():
            arrays = jax.tree.map(lambda value: jnp.asarray(value, float), (levels, _starts(at_levels), r, x, w))
            found = _chain(problem.activation)(*arrays, jnp.full(x.size, float(first)))
            return np.asarray(found[0]), np.asarray(found[1])

    def variance_at(places: Any) -> np.ndarray:
        asked_at = np.atleast_1d(number_array("x", places, "eigenvalues >= 0"))
        if asked_at.ndim > 1 or not np.all(np.isfinite(asked_at) & (asked_at >= 0)):
            raise ValueError(f"x = {one_line(places)} must be a list of finite eigenvalues >= 0")
        return along(np.append(x, asked_at), np.append(w, np.zeros(asked_at.size)))[0][-1, x.size :]

    path, residual = along(x, w)
    variance = path[-1]
    a, h = last_level(sampler, problem)
    distances = [_distances(variance, spectrum, law, target) for target in (law.nodes, a**2 * law.nodes + h)]
    with np.errstate(all="ignore"):
        logdet, trace = float(np.sum(np.where(w > 0, w * np.log(variance), 0.0))), float(np.sum(w * variance))
    worst = float(np.max(np.where(np.isnan(residual), np.inf, residual)))
    return GeneratedLaw(
        nodes=x,
        weights=w,
        variance=variance,
        path=path,
        kl=distances[0][0],
        reverse_kl=distances[0][1],
        kl_at_end=distances[1][0],
        reverse_kl_at_end=distances[1][1],
        logdet=logdet,
        trace=trace,
        converged=bool(worst <= TOLERANCE and np.all(np.isfinite(path))),
        residual=worst,
        variance_at=variance_at,
    )


def _distances(
    variance: np.ndarray, spectrum: SampleSpectrum, law: Spectrum, target: np.ndarray
) -> tuple[float, float]:
    """KL(generated || target)/d and KL(target || generated)/d, the target of these variances along Sigma."""
    with np.errstate(all="ignore"):
        own = np.where(spectrum.weights > 0, spectrum.weights * np.log(variance), 0.0)
        logdet = np.sum(own) - np.sum(law.weights * np.log(target))
        forward = np.sum(spectrum.overlap(1 / target) * variance) - 1 - logdet
        reverse = np.sum(spectrum.overlap(target) / variance) - 1 + logdet
    return (float(forward) / 2, float(reverse) / 2) if np.all(target > 0) else (np.inf, np.inf)


def _given(eigenvalues: Any) -> SampleSpectrum:
    x = number_array("given", eigenvalues, "eigenvalues >= 0")
    if x.ndim != 1 or not x.size or not np.all(np.isfinite(x) & (x >= 0)):
        raise ValueError(f"given = {one_line(eigenvalues)} must be a list of finite eigenvalues >= 0")
    x = np.where(x > x.size * np.finfo(float).eps * x.max(), x, 0.0)  # zeros that rounding has moved
    weights = np.full(x.size, 1 / x.size)

    def overlap(values: Any) -> np.ndarray:
        f = np.asarray(values, float)
        return weights * f[0] if np.all(f == f[0]) else np.full(x.size, np.nan)

    return SampleSpectrum(x, weights, np.array([[x.min(), x.max()]]), overlap)


def _starts(at_levels: Problem) -> Any:
    """The unknowns in the mean over the data, (K, 4), from the order parameters of the losses."""
    cells, law = cells_of(at_levels), at_levels.spectrum
    ridge = np.broadcast_to(at_levels.ridge, at_levels.shape) * cells.inverse_psi_p
    return _solved_starts(*cells[:4], ridge, cells.moments, law.nodes, law.weights)


@jax.jit  # or its loop would be compiled anew for every problem
def _solved_starts(
    per_n: Any, per_p: Any, q: Any, asked: Asked, ridge: Any, moments: Moments, nodes: Any, weights: Any
) -> Any:
    P, _ = populations(per_n, per_p, q, asked, ridge, moments, nodes, weights)
    E_s, F, G = solve(P)[:3]
    E_s, F, X = (value / P.unit for value in (E_s, F, G))
    delta = P.inverse_psi_n * (P.q * F + P.beta_psi * X)
    kappa = 1 / (1 + P.inverse_psi_n * E_s)
    return jnp.stack([delta, kappa, P.inverse_psi_n * P.q * F, X], axis=1)
