"""The law that the linear denoiser generates, against the target: `generated` (docs/linear, sections 3 and 4)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rfdsm import _arguments as arguments
from rfdsm._executables import jitted
from rfdsm._hints import Numbers
from rfdsm._scope import jax_scope
from rfdsm._vocabulary import RANGES
from rfdsm.linear import _covariance_equations as equations, _ridge_equations as ridge
from rfdsm.linear._predict import in_batches, second_moment
from rfdsm.linear._problem import Problem, check_problem
from rfdsm.linear._ridge_equations import CELLWISE, Populations, flat_populations, singular
from rfdsm.losses import GeneratedLaw

FAR = 1e6  # times the size of the law: where Omega hides it
NEAR = 1e-26  # times its size: stands for no smoothing, an error of 1e-13 even where the law has a hard edge
HALF_RANGE, NODES = 4.7, 95  # quadrature of the root, ln(x) = sinh(v), |v| <= HALF_RANGE
BATCH = 16  # cells solved together: compiling takes as long as solving 3000 cells one batch after the other
NUDGE = 1e-11  # relative step off n m = d at ridge = 0, where only finite quantities are read


class _Cell(NamedTuple):
    """Results of one cell in units of the data's variance."""

    logdet: Any  # of rho + Sigma_G, directions in which neither law varies left out
    midpoint: Any  # of rho + (Sigma_G + target)/2, likewise
    inverse: Any  # tr target (rho + Sigma_G)^{-1} / d
    quotient: Any  # tr (target + rho)^{-1} Sigma_G / d
    root: Any  # tr of the square root in the Wasserstein distance / d
    trace: Any
    residual: Any


def _cell(P: Populations, smoothing: Any) -> _Cell:
    s = P.nodes
    target = s + smoothing
    kept = target > 0
    scale = jnp.where(kept, target, 1.0)  # where neither law varies any positive number will do
    solution = ridge.solve(P)
    x = jnp.stack([solution.e_s, solution.f])
    state = ridge.evaluate(x, P)
    sensitivity = ridge.sensitivity(jnp.ones_like(s), x, state, P)
    trace = second_moment(P, jnp.ones_like(s))
    base = equations.reference(solution.e_s, solution.f, state.resolvent, P)

    def descend(last, shape):  # to Omega = last * shape, as many points as the quadrature below has
        return jnp.exp(jnp.linspace(jnp.log(jnp.maximum(FAR * trace, 10 * last)), jnp.log(last), NODES)), (
            jnp.broadcast_to(shape, (NODES, s.size))
        )

    # tr sqrt(C) = (1/pi) int x^{-1/2} tr C/(C + x) dx with C = target^{1/2} (Sigma_G + rho) target^{1/2}
    centre = second_moment(P, jnp.where(kept, target, 0.0)) + smoothing * P.average(target)
    v = jnp.linspace(HALF_RANGE, -HALF_RANGE, NODES)
    abscissae = centre * jnp.exp(jnp.sinh(v))
    omegas = smoothing + abscissae[:, None] / scale
    sizes = jnp.exp(jnp.sum(P.weights * jnp.log(omegas), axis=1))

    flat, both = jnp.ones_like(s), jnp.where(kept, s + 2 * smoothing, 1.0)
    last = jnp.where(smoothing > 0, smoothing, NEAR * trace)
    ways = (descend(last, flat), descend(jnp.ones_like(trace), both), (sizes, omegas / sizes[:, None]))
    epsilons, shapes = (jnp.stack(parts) for parts in zip(*ways, strict=True))

    def trail(epsilons, shapes):
        start = equations.far_point((solution.e_s, solution.f), sensitivity, epsilons[0], shapes[0], P)
        return equations.follow(start, epsilons, shapes, P)

    points, blocks = jax.vmap(trail)(epsilons, shapes)

    def logdet(way, epsilon, shape):
        outside = P.average(jnp.where(kept, 0.0, jnp.log(epsilon * shape)))
        return equations.potential(points.x[way, -1], epsilon, shape, P) - base - outside

    law = logdet(0, last, flat)
    midpoint = logdet(1, jnp.ones_like(trace), both) - P.average(jnp.where(kept, jnp.log(2.0), 0.0))
    inverse = P.average(jnp.where(kept, target * blocks.inverse[0, -1], 0.0))
    remaining = jnp.where(kept, blocks.rest[2] + smoothing * blocks.inverse[2], 0.0)
    stride = 2 * HALF_RANGE / (NODES - 1)
    root = jnp.sum(jnp.sqrt(abscissae) * jnp.sum(P.weights * remaining, axis=1) * jnp.cosh(v)) * stride / jnp.pi

    # points on the way only prepare the last one, whose residual matters; the root uses all of its own
    ends = jnp.max(points.residual[:2, -1])
    residual = jnp.maximum(jnp.maximum(ends, solution.residual), jnp.max(points.residual[2]))
    quotient = second_moment(P, jnp.where(kept, 1 / scale, 0.0))
    return _Cell(law, midpoint, inverse, quotient, root, trace, residual)


@jitted
def _all(P: Populations, smoothing: Any) -> _Cell:
    return jax.vmap(_cell, in_axes=(CELLWISE, 0))(P, smoothing)


def generated(problem: Problem, smoothing: Numbers = 0.0) -> GeneratedLaw:
    """The generated law N(mu_G, Sigma_G), Sigma_G = (a^2 tr Sigma/d + eta) b1 b1^T, in the limit d, n -> infinity.

    Any m, ridge >= 0, covariance and n/d. The mean does not appear: mu_G - mu is O(1/sqrt(n)) per coordinate and adds
    O(1/d) to every value. Computed in float64 whatever JAX's global precision.

    Infinite by rule, with smoothing = 0: for n/d up to the fraction of directions in which the data vary, logdet = -inf
    and kl, reverse_kl, bhattacharyya = inf; reverse_kl = inf also up to n/d = <1 + eta/(m a^2 s)>, where the
    smallest eigenvalues of Sigma_G reach 0. With ridge = 0 at n m = d: trace, kl and wasserstein = inf. Directions in
    which neither law varies are left out (but make logdet = -inf).

    Args:
        problem: one problem or a grid of them.
        smoothing: variance rho >= 0 added to both laws, a number or an array that broadcasts against the problem.

    Returns:
        `GeneratedLaw` of the broadcast shape, NumPy float64. A cell that fails has converged = False and NaN values.

    Raises:
        ValueError: smoothing negative, infinite or not a number, or of a shape that does not broadcast.

    Source: the model is that of arXiv 2411.17807; the law is derived in docs/linear, section 3.

    Examples:
        >>> from rfdsm import linear
        >>> linear.generated(linear.Problem(psi=[1.25, 1.5, 2, 3, 5, 10, 30], T=2.0)).kl.round(4)
        array([0.968 , 0.5495, 0.342 , 0.2181, 0.1562, 0.1218, 0.1028])
    """
    rho = checked_smoothing(smoothing, problem)
    shape = np.broadcast_shapes(problem.shape, rho.shape)
    problem = problem.at(psi=np.broadcast_to(problem.psi, shape))
    rho, variance = np.broadcast_to(rho, shape), np.broadcast_to(problem.variance, shape)
    infinite = singular(problem)
    nudged = problem.at(psi=np.where(infinite, problem.psi * (1 - NUDGE), problem.psi))
    P = flat_populations(nudged)
    with jax_scope(), np.errstate(all="ignore"):
        cell = in_batches(_all, problem, P, (rho / variance).ravel(), sizes=(BATCH,))
    converged = np.asarray(cell.residual <= equations.TOLERANCE)
    weights, s = P.weights, P.nodes
    varying = np.sum(weights[s > 0])
    filled = np.where(rho > 0, 1.0, varying)  # fraction of directions in which the target varies
    relative = (rho / variance)[..., None] + s
    log_target = np.sum(weights * np.log(np.where(relative > 0, relative, 1.0)), axis=-1)
    inverse_target = np.sum(weights / np.where(relative > 0, relative, np.inf), axis=-1)
    quotient = np.where(infinite, np.inf, cell.quotient) + rho / variance * inverse_target

    bare = rho == 0
    deficient = bare & (problem.psi <= filled)
    # n/d up to which the spectrum of Sigma_G reaches 0 although n > d, <1 + eta/(m a^2 s)> where data vary
    hard_edge = varying + (P.q * P.noise / P.signal).reshape(shape) * np.sum(weights[s > 0] / s[s > 0])
    edge = deficient | (bare & (problem.psi <= hard_edge))
    mean_target = np.sum(weights * relative, axis=-1)
    wasserstein = mean_target + rho / variance + np.where(infinite, np.inf, cell.trace) - 2 * cell.root

    def finish(values: Any, rule: Any = False, limit: float = np.inf) -> np.ndarray:
        return np.where(rule, limit, np.where(converged, values, np.nan))

    return GeneratedLaw(
        kl=finish((quotient - filled - cell.logdet + log_target) / 2, deficient, np.inf),
        reverse_kl=finish((cell.inverse - filled + cell.logdet - log_target) / 2, edge, np.inf),
        bhattacharyya=finish(cell.midpoint / 2 - (cell.logdet + log_target) / 4, deficient, np.inf),
        wasserstein=finish(variance * np.where(infinite, np.inf, np.maximum(wasserstein, 0.0))),
        logdet=finish(cell.logdet + np.log(variance), deficient | (filled < 1), -np.inf),
        trace=finish(variance * np.where(infinite, np.inf, cell.trace)),
        converged=converged,
        residual=cell.residual,
    )


def checked_smoothing(smoothing: Any, problem: Problem) -> np.ndarray:
    """The smoothing as an array that broadcasts against the problem. Raises ValueError otherwise."""
    check_problem(problem)
    rho = arguments.field("smoothing", smoothing, RANGES["smoothing"])
    arguments.check_broadcast({"smoothing": rho, "problem": np.empty(problem.shape)})
    return rho
