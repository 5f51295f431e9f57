"""The fixed point x = F(x) in every cell, by Newton's method from above; differentiable (docs/theory, section 3).

Next to p = nm the equations leave the scale of the solution to rounding: there it follows from a count of freedoms.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rfdsm.theory._equations import Jacobian, Triple, evaluate, jacobian, positive_root
from rfdsm.theory._populations import Populations

MAX_STEPS = 250
PATIENCE = 24
"""Steps of Newton's method next to the peak, after which those that pin the first unknown take turns with them."""
SETTLED = 1e-9
"""Relative change after which a step, which squares it, has reached rounding."""
TOLERANCE = 1e-12
"""Largest relative residual at which a cell counts as converged."""
TURNS = 60
"""Of scaling redundant features' solutions: each leaves a third of the error."""


class Solution(NamedTuple):
    """Order parameters at the fixed point, with the solver's diagnosis; arrays of the cells' shape."""

    E_s: Any
    F: Any
    G: Any
    steps: Any
    settled: Any  # whether the last step was small enough to be the last


def newton(x: Triple, P: Populations, pinned: Any = False) -> Triple:
    """The next iterate from x, all of it positive.

    Where `pinned`, G stays where it is, and its equation with it, for `rescaled` to follow.
    """
    state = evaluate(x, P)
    matrix = jacobian(x, state, P)
    remainder = tuple(row * unknown for row, unknown in zip(matrix.slack, x, strict=True))  # F(x) - F' x
    excess = tuple((a - b) / a for a, b in zip(x, state.image, strict=True))

    def raised(slack: Any) -> Jacobian:
        # Rounding can leave x just below the solution: a negative excess sends it back above, by a factor two at most.
        rows = zip(matrix.slack, excess, slack, strict=True)
        return matrix._replace(slack=tuple(row + jnp.maximum(more, -most / 2) for row, more, most in rows))

    free = raised(matrix.slack).solve(remainder)  # pyright: ignore[reportArgumentType]
    if pinned is False:
        return free
    s1, s2, s3 = matrix.slack
    n13, n23 = matrix.coupling[1], matrix.coupling[3]
    held = raised((s1 + n13, s2 + n23, s3)).pinned(remainder, 1.0)
    return tuple(jnp.where(pinned, a, b) for a, b in zip(held, free, strict=True))  # pyright: ignore[reportReturnType]


def start(P: Populations) -> Triple:
    """A point x >= F(x): E_s and F at their largest for given G, and G such that its own equation is met from above.

    With E_s = t_s G and F = t_a G the third equation asks ridge G + kappa(G)/psi_p >= 1 of the degrees of freedom
    kappa = y_s beta_s + y_a beta_a + <w/(1 + w)>, y = c G. All of its parts are parallel sums in 1/G, so 1/kappa is
    concave in 1/G and lies below its tangent: each tangent leaves a quadratic for G.
    """
    t_a = P.noise + P.beta_a
    t_s = P.signal * P.average(P.nodes) + P.beta_psi + P.q * t_a
    k_s, k_a = P.inverse_psi_n * t_s, P.q * P.inverse_psi_n * t_a
    k, beta = jnp.maximum(k_s, k_a), P.beta_s + (1 - P.q) * P.beta_a  # kappa >= beta G/(unit + k G)
    G = positive_root(P.ridge * k, P.ridge * P.unit + P.inverse_psi_p * beta - k, P.unit)
    G = jnp.minimum(G, 1 / P.ridge)

    r_s, r_a = 1 / (P.unit + k_s * G), 1 / (P.unit + k_a * G)
    y_s, y_a = r_s * G, (1 - P.q) * r_a * G

    def of_populations(y_s: Any, y_a: Any) -> tuple[Any, Any]:
        return y_s * P.beta_s + y_a * P.beta_a, y_s * P.signal * P.nodes + (P.q * y_s + y_a) * P.noise

    free, w = of_populations(y_s, y_a)
    free_rise, w_rise = of_populations(P.unit * r_s * y_s, P.unit * r_a * y_a)  # G d/dG
    free_rest, w_rest = of_populations(k_s * G * r_s * y_s, k_a * G * r_a * y_a)  # what is left, without a difference
    shrink = 1 / (1 + w)
    kappa = free + P.average(w * shrink)
    rise = free_rise + P.average(w_rise * shrink**2)
    rest = free_rest + P.average((w_rest + w**2) * shrink**2)
    level, slope = rest / kappa / kappa, G * (rise / kappa / kappa)  # 1/kappa <= level + slope/G
    G = positive_root(P.ridge * level, P.ridge * slope + P.inverse_psi_p - level, slope)
    return t_s * G, t_a * G, G


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


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def solve(P: Populations, limit: Any = MAX_STEPS, peaks: bool = True) -> Solution:
    """Positive solution of x = F(x) in every cell; differentiable in every field of P to any order.

    Cells that have not converged after `limit` steps are left where they are: their residual tells. Without `peaks`,
    cells next to p = nm are left alone, and all others are solved by less code.
    """

    def step(x: Triple, pinned: Any) -> Triple:
        def free(x: Triple) -> Triple:
            return newton(x, P)

        def at_peak(x: Triple) -> Triple:
            return rescaled(jax.lax.cond(jnp.any(pinned), lambda x: newton(x, P, pinned), free, x), P)

        return jax.lax.cond(jnp.any(close), at_peak, free, x) if peaks else free(x)

    def body(carry):
        x, active, previous, steps = carry
        pinned = scaled & (steps >= PATIENCE) & (steps % 2 > 0)
        new = step(x, pinned)
        change = functools.reduce(jnp.maximum, (jnp.abs(b / a - 1) for a, b in zip(x, new, strict=True)))
        # Close to p = nm at ridge = 0 rounding moves x by more than SETTLED: then the changes cease to shrink.
        smallest = SETTLED * jnp.where(P.peak > 0, 1e-6, 1.0)
        noise = jnp.where(P.peak > 0, jnp.where(steps < 2 * PATIENCE, 1e-9, lasting), 1e-3)
        settled = (change <= smallest) | ((change < noise) & ((change > 0.75 * previous) | (steps >= 4 * PATIENCE)))
        x = tuple(jnp.where(active, b, a) for a, b in zip(x, new, strict=True))
        return x, active & ~(settled & ~pinned), change, jnp.where(active, steps + 1, steps)

    def unfinished(carry):
        _, active, _, steps = carry
        return jnp.any(active & (steps < limit))

    first = start(P)
    zero = jnp.zeros_like(first[2])
    close = (P.peak + P.square > 0) & (zero == 0)
    scaled = P.peak * (1 - P.redundant) > 0
    # What rounding leaves of a change for ever: more where features without a nonlinear part are nearly d.
    nearly_d = (P.beta_a <= 1e-9 * P.noise) & (jnp.abs(1 - P.inverse_psi_p) < 1e-5)
    lasting = jnp.where(nearly_d, 0.1, 1e-9)
    solved = zero == 0 if peaks else ~close
    if peaks:
        first = jax.lax.cond(jnp.any(close), lambda x: rescaled(x, P), lambda x: x, first)
    x, active, _, steps = jax.lax.while_loop(unfinished, body, (first, solved, zero + jnp.inf, zero))
    return Solution(x[0], x[1], x[2], steps, ~active & solved)


@solve.defjvp
def _solve_jvp(peaks, primals, tangents):
    (P, limit), (dP, _) = primals, tangents
    solution = solve(P, limit, peaks)
    x = solution[:3]
    state = evaluate(x, P)
    _, dF = jax.jvp(lambda parameters: evaluate(x, parameters).image, (P,), (dP,))
    matrix = jacobian(x, state, P)
    dx = matrix.solve(dF)
    if peaks:
        dx = tuple(jnp.where(P.peak > 0, a, b) for a, b in zip(counted(x, dF, matrix, P, dP), dx, strict=True))
    flags = np.zeros(jnp.shape(solution.settled), jax.dtypes.float0)
    return solution, Solution(dx[0], dx[1], dx[2], jnp.zeros_like(solution.steps), flags)
