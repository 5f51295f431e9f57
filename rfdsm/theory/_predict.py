"""Losses from the order parameters: theory's `predict` (docs/theory, section 4).

Every loss is the linear response of the optimal objective to a probe, and the four responses differ only in three
non-negative multiplicities (k_t, k_psi, k_g), whatever the target alpha x + beta z is. With the cross-covariance
N(s) = c_s alpha a s + c_t beta sqrt(h), the learned linear map l(s) = L N G/(1 + G D(s)) along an eigendirection of
Sigma, and delta = alpha sqrt(h) - beta a,

    loss = k_t <(beta - l sqrt(h))^2> + k_psi <s (alpha - l a)^2> + k_g L <N^2/(1 + G D)^2>
    beta - l sqrt(h) = (beta - G L c_s a s delta)/(1 + G D)     alpha - l a = (alpha + G L c_t sqrt(h) delta)/(1 + G D)

    test              k_t = 1 + kappa_t               k_psi = 1 + kappa_s
    empirical_test    k_t = 1 + q x^2 + kappa_t       k_psi = (1 - x)^2 + kappa_s     x = (e_s - e_a)/(1 + e_s)
    train / unit^2    k_t = q c_s^2 + ... + kappa_t   k_psi = c_s^2 + kappa_s

kappa_s and kappa_a are the responses of c_s and c_a, kappa_t = q kappa_s + kappa_a, k_g the response of G. All terms
are positive, and of the first two squares at most one can vanish, so no loss suffers cancellation, however small it is.
The excess of `test` over its floor is <(a^2 s + h)(l - l*)^2> plus the same with own parts 0, l* the best linear map.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rfdsm._batches import in_chunks
from rfdsm._executables import jitted
from rfdsm._problem import FIELDS, Problem, check_problem, in_double
from rfdsm._scope import jax_scope
from rfdsm.activations import Moments
from rfdsm.losses import SINGULAR, Losses
from rfdsm.targets import Asked
from rfdsm.theory._equations import evaluate, jacobian
from rfdsm.theory._fixed_point import MAX_STEPS, TOLERANCE, Solution, solve
from rfdsm.theory._populations import (
    TABLE_FROM,
    Populations,
    all_moments,
    check_moments,
    moments_at_levels,
    populations,
)

SMALL_CHUNK, CHUNK, ACCELERATOR_CHUNK = 2**10, 2**13, 2**20
"""Cells solved per compiled call: small grids, large ones, those of accelerators."""
FEW_STEPS = 6
"""Newton steps of the first pass over a large grid; cells that need more, and those next to p = nm, share chunks."""


class Probe(NamedTuple):
    """What a loss measures: the weights with which its probe raises c_s and c_a, and its own parts of k_t and k_psi."""

    weight_s: Any
    weight_a: Any
    own_t: Any
    own_psi: Any


def empirical_test(q: Any, memory: Any, forgotten: Any) -> Probe:
    """Training points with fresh noise: of what they share with the draws, what is not fitted counts."""
    return Probe(forgotten**2, 1 - q + 2 * q * memory, 1 + q * memory**2, forgotten**2)


PROBES: dict[str, Callable[[Any, Any, Any], Probe]] = {"empirical_test": empirical_test}
"""Functions of q = 1/m, of x (the fitted part of a training point's noise-averaged features) and of 1 - x."""


def losses_at(solution: Solution, P: Populations) -> Losses:
    """The losses at a solved fixed point."""
    x = solution[:3]
    _, F, G = x
    state = evaluate(x, P)
    matrix = jacobian(x, state, P)
    s, shrink_squared = P.nodes, state.shrink**2
    r_a = 1 / (P.unit + P.q * P.inverse_psi_n * F)
    shared = P.inverse_psi_n * state.shared  # e_s - e_a
    gap = (1 - P.q) * shared * state.c_s * r_a  # c_t - c_s
    c_t = P.q * state.c_s + state.c_a
    a, root_h, alpha, beta = P.a, P.root_h, P.alpha, P.beta
    delta = alpha * root_h - beta * a
    total = P.a_squared * s + P.h
    GL = G * P.L
    best = alpha * a * s + beta * root_h  # l* (a^2 s + h)
    constant_term = P.average((beta - GL * a * delta * state.c_s * s) ** 2 * shrink_squared)
    signal_term = (alpha + GL * root_h * delta * c_t) ** 2 * P.average(s * shrink_squared)
    feature_term = P.L * P.average((state.c_s * best + gap * beta * root_h) ** 2 * shrink_squared)

    def loss(weight_s: Any, weight_a: Any, own_t: Any, own_psi: Any) -> Any:
        """Loss whose probe raises c_s and c_a by the given weights, and adds its own parts to k_t and k_psi."""
        y_s, y_f, y_g = matrix.response(weight_s, weight_a)
        kappa_s = P.inverse_psi_n * state.own_s * y_s
        kappa_t = P.q * (kappa_s + P.inverse_psi_n * state.own_a * y_f)
        return (own_t + kappa_t) * constant_term + (own_psi + kappa_s) * signal_term + y_g * feature_term

    memory = shared * state.c_s
    forgotten = state.c_s / r_a  # 1 - memory
    bias = P.average((best + GL * a * root_h * delta * gap * s) ** 2 * shrink_squared / total)
    excess = bias + loss(1.0, 1 - P.q, 0.0, 0.0)
    floor = delta**2 * P.average(s / total)
    unexplained = state.c_s * alpha**2 * s + c_t * beta**2 + GL * state.c_s * c_t * delta**2 * s
    return Losses(
        train=P.unit**2 * loss(state.own_s, state.own_a, P.q * state.own_s + state.own_a, state.own_s),
        **{name: loss(*probe(P.q, memory, forgotten)) for name, probe in PROBES.items()},
        test=floor + excess,
        score=P.score_unit * excess,
        objective=P.unit * P.average(unexplained * state.shrink),
        floor=floor,
        null=alpha**2 * P.average(s) + beta**2,
        converged=None,  # known with the residual, to whom it matters
        residual=functools.reduce(jnp.maximum, (jnp.abs(a - b) / a for a, b in zip(x, state.image, strict=True))),
        steps=solution.steps,
    )


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _replace(where: Any, values: Any, replacement: float) -> Any:
    """`replacement` where it applies, with NaN for a derivative there."""
    return jnp.where(where, replacement, values)


@_replace.defjvp
def _replace_jvp(replacement, primals, tangents):
    (where, values), (_, change) = primals, tangents
    # A factor, not a constant: reverse mode transposes this, and a constant would drop out.
    return _replace(where, values, replacement), change * jnp.where(where, jnp.nan, 1.0)


def _solve_cells(
    inverse_psi_n: Any,
    inverse_psi_p: Any,
    q: Any,
    asked: Asked,
    ridge: Any,
    moments: Moments,
    nodes: Any,
    weights: Any,
    limit: Any = MAX_STEPS,
    peaks: bool = True,
) -> Losses:
    """Losses of cells of one shape that share a spectrum (nodes and weights, shape (S,)).

    Parameters as in `populations`: 1/psi_n, 1/psi_p, 1/m and lambda/psi_p may vanish. At most `limit` Newton steps;
    a cell that has not converged by then gets NaN, and so do those next to p = nm without `peaks`.
    """
    P, singular = populations(inverse_psi_n, inverse_psi_p, q, asked, ridge, moments, nodes, weights)
    solution = solve(P, limit, peaks)
    result = losses_at(solution, P)
    values = {name: getattr(result, name) for name in (*Losses.NAMES, "objective", *Losses.BOUNDS)}
    for name, limit in SINGULAR.items():
        values[name] = _replace(singular, values[name], limit)
    converged = jnp.asarray(solution.settled) & (jnp.asarray(result.residual) <= TOLERANCE)  # NaN is False
    values = {name: _replace(~converged, value, jnp.nan) for name, value in values.items()}
    return Losses(**values, converged=converged, residual=result.residual, steps=result.steps)


# Few cells: the first answer, soon. Many: code that takes longer to compile, and a quarter less to run.
_solve_few = jitted(_solve_cells, static_argnames="peaks")
solve_cells = jax.jit(_solve_cells, static_argnames="peaks")


def predict(problem: Problem, *, throw: bool = False) -> Losses:
    """Losses in the proportional limit d, n, p -> infinity at fixed n/d, p/d and m.

    Computed in float64 whatever JAX's global precision. Differentiable: inside `jax.grad`, `jax.jit` or `jax.vmap` it
    can be differentiated by the problem's fields, the spectrum's nodes and weights and an activation's parameters, by
    implicit differentiation of the fixed point, at the cost of one linear solve per direction.

    ridge = 0 is the limit ridge -> 0, that is the minimum-norm solution. It is singular where the draws are as many as
    the features have rank: at p = nm, or nm = min(p, d) for a linear activation. There train = objective = 0 and
    empirical_test = test = score = inf, and derivatives are NaN. psi_n = inf and psi_p = inf are limits too, the
    latter at fixed ridge (`theory.limits` has the one at fixed ridge/psi_p).

    Memory: the results, 65 bytes per cell, and some megabytes per core.

    Args:
        problem: one problem or a grid of them.
        throw: raise if a cell has not converged (only outside JAX transformations).

    Returns:
        `Losses` of shape `problem.shape`: NumPy float64 arrays, or traced arrays of JAX's default float inside a
        transformation. A cell that fails has converged = False and NaN losses; its neighbours are unaffected.

    Raises:
        ValueError: throw inside a transformation.
        RuntimeError: throw is set and a cell has not converged.

    Source: m = 1 and infinity arXiv 2502.00336, Theorems 1 and 2; finite m arXiv 2609.26392; docs/theory, sections 3-4.

    Examples:
        >>> from rfdsm import Problem, predict
        >>> losses = predict(Problem(psi_n=8, psi_p=[4, 16, 64], m=4, t=0.1, ridge=1e-3))
        >>> losses.test.round(4)
        array([0.9933, 1.8322, 2.0654])
        >>> float(predict(Problem(psi_n=8, psi_p=32, m=4, t=0.1, ridge=0)).test)  # p = nm
        inf
    """
    check_problem(problem)
    dtype = jnp.result_type(float)
    with jax_scope():
        if problem.traced:
            if throw:
                raise ValueError(
                    "throw = True must be False inside jax.jit, grad or vmap: errors cannot be raised there"
                )
            return jax.tree.map(
                lambda x: x.astype(dtype) if x.dtype == float else x, _predict_traced(in_double(problem))
            )
        result = _predict_concrete(problem)
    if throw and not np.all(result.converged):
        converged, residual = np.asarray(result.converged), np.asarray(result.residual)
        worst = np.max(np.nan_to_num(residual, nan=np.inf))
        raise RuntimeError(
            f"{np.sum(~converged)} of {converged.size} cells did not converge (worst residual {worst:.1e})"
        )
    return result


def predict_in_chunks(problem: Problem, chunk: int) -> Losses:
    """`predict` of a concrete problem for who asks thousands of times: a chunk of the right size leaves none idle."""
    check_problem(problem)
    with jax_scope():
        return _predict_concrete(problem, chunk)


def _predict_concrete(problem: Problem, chunk: int | None = None) -> Losses:
    """NumPy in, NumPy out, chunk by chunk: first all cells with few steps, then those that need more."""
    spectrum, size = problem.spectrum, math.prod(problem.shape)
    if chunk is None:
        chunk = ACCELERATOR_CHUNK if jax.default_backend() != "cpu" else SMALL_CHUNK if size <= SMALL_CHUNK else CHUNK
    solver = _solve_few if chunk <= SMALL_CHUNK else solve_cells
    t, activation, variance = np.asarray(problem.t), problem.activation, spectrum.mean
    # Few times: their moments once. Many: with the chunk they belong to.
    moments = all_moments(problem) if t.size <= TABLE_FROM else ()
    if not moments:
        check_moments(activation, problem.asked.a, problem.asked.h, variance)
    fields = [_flat(values, problem.shape) for values in (*(getattr(problem, name) for name in FIELDS), *moments)]
    names = (*Losses.NAMES, "objective", *Losses.BOUNDS, "residual", "steps")
    whole: dict[str, Any] = {name: np.empty(size) for name in names} | {"converged": np.empty(size, bool)}

    def solve_chunk(chosen: list[np.ndarray], limit: int, peaks: bool) -> dict[str, Any]:
        psi_n, psi_p, m, times, ridge, *own = chosen
        setting = problem.asked_at(times)
        own = Moments(*own) if own else moments_at_levels(activation, setting.a, setting.h, variance, problem.schedule)
        ratios, law = (1 / psi_n, 1 / psi_p, 1 / m), (spectrum.nodes, spectrum.weights)
        part = solver(*ratios, setting, ridge / psi_p, own, *law, limit, peaks=peaks)
        return {name: getattr(part, name) for name in whole}

    def solve_all(places: Any, limit: int, peaks: bool = False) -> None:
        one_chunk = functools.partial(solve_chunk, limit=limit, peaks=peaks)
        in_chunks(one_chunk, lambda cells: [field[cells] for field in fields], places, chunk, whole)

    one_pass = size <= chunk
    solve_all(size, MAX_STEPS if one_pass else FEW_STEPS)
    # Which code solves a cell does not depend on its companions: no step was made where only the other one does.
    hard = np.flatnonzero(~whole["converged"])
    close = whole["steps"][hard] == 0
    for places, peaks in ((hard[~close], False), (hard[close], True)):
        if peaks or not one_pass:
            solve_all(places, MAX_STEPS, peaks)
    return Losses(**{name: values.reshape(problem.shape) for name, values in whole.items()})


def _flat(values: Any, shape: tuple[int, ...]) -> Any:
    """Elements of an array broadcast to a shape, addressed by flat index without building the whole."""
    view = np.broadcast_to(values, shape)
    return view.reshape(-1) if view.flags.c_contiguous else view.flat


def _predict_traced(problem: Problem) -> Losses:
    """The same inside a transformation: one batch of all cells, differentiable."""
    psi_n, psi_p, m, t, ridge = (jnp.asarray(getattr(problem, name), dtype=float) for name in FIELDS)
    setting = problem.asked_at(t)
    moments = problem.activation.moments(setting.a**2 * problem.spectrum.mean, setting.h)
    fields = (1 / psi_n, 1 / psi_p, 1 / m, setting, ridge / psi_p, moments)
    cells = jax.tree.map(lambda field: jnp.broadcast_to(jnp.asarray(field, float), problem.shape), fields)
    nodes, weights = (jnp.asarray(values, dtype=float) for values in (problem.spectrum.nodes, problem.spectrum.weights))
    return solve_cells(*cells, nodes, weights)
