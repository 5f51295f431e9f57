"""The scale of the solution next to p = nm, where the equations leave it to rounding: from a count of freedoms."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rfdsm.theory._equations import Jacobian, Triple, evaluate, positive_root
from rfdsm.theory._populations import Populations

TURNS = 60
"""Of scaling redundant features' solutions: each leaves a third of the error."""


class _Count(NamedTuple):
    """Degrees of freedom in three ways, each divided by their number: at the solution

    penalised - excess = (nm/p) unfitted     and, of redundant features,     unlearned - excess_over_d = nm/d unfitted.

    The first is the sum of the equations with weights c_s, c_a and psi_p/G.
    """

    penalised: Any  # ridge G
    unlearned: Any  # <1/(1 + w)>
    unfitted: Any  # unit c_t


def _count(x: Triple, P: Populations) -> _Count:
    E_s, F, G = x
    c_s = 1 / (P.unit + P.inverse_psi_n * E_s)
    c_a = (1 - P.q) / (P.unit + P.q * P.inverse_psi_n * F)
    c_t = P.q * c_s + c_a
    w = G * (c_s * P.signal * P.nodes + c_t * P.noise)
    return _Count(P.ridge * G, P.average(1 / (1 + w)), P.unit * c_t)


def _imbalance(x: Triple, P: Populations) -> Any:
    """Zero at the solution: the count of freedoms that decides next to the peak."""
    count = _count(x, P)
    redundant = count.unlearned - (1 - P.excess_over_d) * count.unfitted - P.excess_over_d
    return jnp.where(P.redundant > 0, redundant, count.penalised - (1 - P.excess) * count.unfitted - P.excess)


def rescaled(x: Triple, P: Populations) -> Triple:
    """x with its scale, of which the equations know next to nothing close to p = nm, from the count of freedoms.

    There I - F' is all but singular, its null vector x itself: rounding of F(x) moves x along it. But c falls as x
    rises, so that the count is a quadratic for the factor. For redundant features the null vector is (E_s, F, 0) and G
    has the equation of its own, which p = d leaves to rounding too: both counts together, in turns.
    """
    E_s, F, G = x
    count = _count(x, P)
    factor = jnp.where(P.peak > 0, positive_root(count.penalised, -P.excess, (1 - P.excess) * count.unfitted), 1.0)

    def in_turns(_: Any, x: Triple) -> Triple:
        E_s, F, _ = evaluate(x, P).image  # the direction, which far from the solution Newton's method would not find
        now = _count((E_s, F, x[2]), P)
        more = positive_root(now.unlearned, -P.excess_over_d, (1 - P.excess_over_d) * now.unfitted)
        more = more**0.65  # exact would be 1 for p > d, 2/3 at p = d, 1/2 below
        E_s, F = more * E_s, more * F
        unfitted = (1 - P.excess) * _count((E_s, F, x[2]), P).unfitted
        return E_s, F, jnp.maximum(P.excess + unfitted, unfitted / 8) / P.ridge

    def of_redundant(x: Triple) -> Triple:
        found = jax.lax.fori_loop(0, TURNS, in_turns, x)
        return tuple(jnp.where(P.redundant > 0, a, b) for a, b in zip(found, x, strict=True))  # pyright: ignore[reportReturnType]

    of_G = jnp.where(P.square > 0, jnp.sqrt(count.unlearned / count.penalised), factor)
    scaled = (factor * E_s, factor * F, of_G * G)
    return jax.lax.cond(jnp.any(P.redundant > 0), of_redundant, lambda x: x, scaled)


def counted(x: Triple, dF: Triple, matrix: Jacobian, P: Populations, dP: Populations) -> Triple:
    """Derivative of the solution by dP, with the count of freedoms in place of the first equation."""
    zero = jnp.zeros_like(x[0])
    along = matrix.solve((zero, zero, zero), 1.0)
    rest = matrix.solve(dF, 0.0)

    def change(dx: Triple, dP: Any) -> Any:
        """Of the count's imbalance."""
        return jax.jvp(_imbalance, (x, P), (dx, dP))[1]

    rise = change(along, jax.tree.map(jnp.zeros_like, dP))
    share = -change(rest, dP) / jnp.where(P.peak > 0, rise, 1.0)
    return tuple(a + share * b for a, b in zip(rest, along, strict=True))  # pyright: ignore[reportReturnType]
