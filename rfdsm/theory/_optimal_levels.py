"""The ridge of every level that brings generated samples nearest to the data: `optimal_levels` (docs/generation)."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from jaxtyping import Float

from rfdsm._executables import jitted
from rfdsm._hints import Number
from rfdsm._problem import Problem
from rfdsm._scope import jax_scope
from rfdsm._values import one_line
from rfdsm.sampling import Sampler
from rfdsm.theory._generation import GeneratedLaw, generated_law, one_chain

GRID = np.geomspace(1e-6, 1e2, 33)
"""Ridges, relative to the mean square of a feature, among which the best common one is looked for first."""
RANGE = 1e-9, 1e5
DISTANCES = ("kl", "reverse_kl", "bhattacharyya", "kl_at_end", "reverse_kl_at_end")


class OptimalLevels(NamedTuple):
    """Best ridges, and what they gain over the best one that is common to all levels."""

    ridges: Float[np.ndarray, " K"]
    value: float
    """Distance with a ridge of its own for each level."""
    ridge: float
    """Best common one."""
    common: float
    """Distance with it."""
    law: GeneratedLaw
    """With the best ridges."""
    converged: bool


def optimal_levels(
    problem: Problem, sampler: Sampler, *, distance: str = "kl", start: Number | None = None
) -> OptimalLevels:
    """The ridge of every level that minimises a distance of the generated law, by the law's exact gradient.

    Args:
        problem: one problem; its ridge and t are not used.
        sampler: from `rfdsm.sampling`.
        distance: "kl", "reverse_kl", "bhattacharyya" (isotropic data), or "kl_at_end", "reverse_kl_at_end".
        start: as in `generated_law`.

    Raises:
        ValueError: as `generated_law`; an unknown distance.

    Source: docs/generation, section 7.

    Examples:
        >>> from rfdsm import Problem, optimal_levels, sampling
        >>> problem = Problem(psi_n=2, psi_p=4, m=2, t=1, ridge=0.03)
        >>> best = optimal_levels(problem, sampling.ddim([3, 0.9, 0.3, 0.08]))
        >>> best.ridges.round(3), best.value < best.common
        (array([0.017, 0.022, 0.026]), True)
    """
    if distance not in DISTANCES:
        raise ValueError(f"distance = {one_line(distance)} must be one of {', '.join(DISTANCES)}")
    if distance == "bhattacharyya" and problem.spectrum.size > 1:
        raise ValueError("distance = 'bhattacharyya' has a gradient for isotropic data only: kl has one for all")
    K = sampler.size
    chain = one_chain(problem, sampler, np.ones(K))
    with jax_scope():
        asked = chain.asked
        moments = problem.activation.moments(asked.a**2 * problem.spectrum.mean, asked.h)
        unit = np.asarray(moments.mu1**2 * (asked.a**2 * problem.spectrum.mean + asked.h) + moments.v0_squared)
    grid = np.stack([ridge * unit for ridge in GRID])
    # One cell for each: they are a grid.
    several = problem.at(ridge=np.broadcast_to(problem.ridge, GRID.shape), t=chain.t[0])
    laws = generated_law(several, sampler, start=start, ridges=grid.T)
    tried = np.nan_to_num(getattr(laws, distance), nan=np.inf)
    if not np.any(np.isfinite(tried)):
        raise ValueError(f"distance = {distance!r} must be finite for some ridge: the data's law has no density")

    def value(logarithms: Any) -> Any:
        ridges = jnp.exp(logarithms)
        return getattr(generated_law(problem, sampler, start=start, ridges=ridges), distance)

    with jax_scope():
        gradient = jitted(jax.value_and_grad(value))

    def along(logarithms: np.ndarray) -> tuple[float, np.ndarray]:
        with jax_scope():
            found, slope = gradient(jnp.asarray(logarithms))
        return (float(found), np.asarray(slope, float)) if np.isfinite(found) else (np.inf, np.zeros(K))

    def common(logarithm: np.ndarray) -> tuple[float, np.ndarray]:
        found, slope = along(np.full(K, logarithm[0]))
        return found, np.array([slope.sum()])

    first = np.log(grid[np.argmin(tried)])
    span = np.log(RANGE[0] * unit.min()), np.log(RANGE[1] * unit.max())
    descend = functools.partial(scipy.optimize.minimize, jac=True, method="L-BFGS-B")
    one = descend(common, [first.mean()], bounds=[span])
    options = {"maxiter": 500, "ftol": 1e-13}
    starts = first, np.full(K, one.x[0])
    best = min((descend(along, x, bounds=[span] * K, options=options) for x in starts), key=lambda found: found.fun)
    ridges = np.exp(best.x)
    law = generated_law(problem, sampler, start=start, ridges=ridges)
    return OptimalLevels(ridges, float(best.fun), float(np.exp(one.x[0])), float(one.fun), law, bool(best.success))
