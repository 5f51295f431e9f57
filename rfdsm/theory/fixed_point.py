"""Order parameters of ridge regression on two Gaussian populations, and their linear response.

The unknowns are x = (E_s, F, G) = (psi_n e_s, psi_n e_a/q, psi_p g), solving x = F(x) (docs/theory, section 3):

    c_s = 1/(unit + E_s/psi_n)     c_a = (1 - q)/(unit + q F/psi_n)
    D(s) = c_s D_s(s) + c_a D_a     w = G D     tau[N] = G <N/(1 + w)>
    1/G = ridge + (c_s beta_s + c_a beta_a + <D/(1 + w)>)/psi_p
    E_s = tau[D_s] + beta_s G     F = tau[D_a] + beta_a G

F is increasing and jointly concave, so Newton's method started at an x >= F(x) decreases to the solution. Three things
make the arithmetic as safe as the method. Every quantity is a sum of positive terms. F is homogeneous of degree one in
(x, unit, 1/ridge): rescaling all of them describes the same problem, so that either unit or ridge may vanish at
lambda = 0. And Euler's identity gives the *slack* of I - F' as a positive sum,

    x - F' x = [x - F(x)] + unit dF/d(unit) - ridge dF/d(ridge),

from which Gaussian elimination needs no subtraction (Grassmann, Taksar and Heyman's device for M-matrices): linear
responses keep their relative accuracy however close to singular I - F' comes, as it does at p = nm when lambda -> 0.
The last two terms are also Newton's right-hand side: the next iterate solves (I - F') x = F(x) - F' x, all positive.

Everything is elementwise in the cells; only averages over the spectrum of Sigma reduce an axis, the first.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rfdsm.theory.populations import Populations

MAX_STEPS = 250
TURNS = 60
"""Of scaling redundant features' solutions next to their peak: each leaves a third of the error."""
FEW_STEPS = 6
"""Newton steps of the first pass over a large grid, which leaves all cells next to the peak to the second."""
PATIENCE = 24
"""Steps of Newton's method next to the peak, after which those that pin the first unknown take turns with them."""
SETTLED = 1e-9
"""Relative change after which a step, which squares it, has reached rounding."""
TOLERANCE = 1e-12
"""Largest relative residual at which a cell counts as converged."""

Triple = tuple[Any, Any, Any]
"""A value for each unknown: (E_s, F, G)."""


class Solution(NamedTuple):
    """Order parameters at the fixed point, with the solver's diagnosis; arrays of the cells' shape."""

    E_s: Any
    F: Any
    G: Any
    steps: Any
    settled: Any  # whether the last step was small enough to be the last


class State(NamedTuple):
    """Everything the equations and their derivatives need at a point x, evaluated once."""

    c_s: Any
    c_a: Any
    own_s: Any  # c_s^2 = -dc_s/d(unit)
    own_a: Any  # -dc_a/d(unit)
    shared: Any  # tau[D_psi] + beta_psi G = E_s - q F, without cancellation
    w: Any  # G D(s), shape (S, ...)
    shrink: Any  # 1/(1 + w)
    image: Triple  # F(x)


def evaluate(x: Triple, P: Populations) -> State:
    """c, w and F(x) at x."""
    E_s, F, G = x
    c_s = 1 / (P.unit + P.inverse_psi_n * E_s)
    r_a = 1 / (P.unit + P.q * P.inverse_psi_n * F)
    c_a = (1 - P.q) * r_a
    D = c_s * P.signal * P.nodes + (P.q * c_s + c_a) * P.noise
    w = G * D
    shrink = 1 / (1 + w)
    F_image = G * (P.noise * P.average(shrink) + P.beta_a)
    shared = G * (P.signal * P.average(P.nodes * shrink) + P.beta_psi)
    A = c_s * P.beta_s + c_a * P.beta_a
    G_image = 1 / (P.ridge + P.inverse_psi_p * (A + P.average(D * shrink)))
    return State(c_s, c_a, c_s**2, c_a * r_a, shared, w, shrink, (shared + P.q * F_image, F_image, G_image))


class Jacobian(NamedTuple):
    """I - F' in relative coordinates y_i / x_i, and the sources that probes of the two populations put beside it."""

    x: Triple
    source_s: Triple  # decrease of F(x) per unit by which a probe raises c_s
    source_a: Triple  # the same for c_a
    coupling: tuple[Any, Any, Any, Any, Any, Any]  # F'_ij x_j / x_i for ij = 12, 13, 21, 23, 31, 32
    slack: Triple  # row sums of the matrix

    def solve(self, b: Triple, first: Any = None) -> Triple:
        """Solve (I - F') y = b by elimination without subtractions in the matrix.

        With `first`, which is y_1/x_1, only the last two equations count.
        """
        n12, n13, n21, n23, n31, n32 = self.coupling
        s1, s2, s3 = self.slack
        b1, b2, b3 = (value / unknown for value, unknown in zip(b, self.x, strict=True))
        d3 = 1 / (s3 + n31 + n32)
        n13, n23 = n13 * d3, n23 * d3
        s1, b1, n12 = s1 + n13 * s3, b1 + n13 * b3, n12 + n13 * n32
        s2, b2, n21 = s2 + n23 * s3, b2 + n23 * b3, n21 + n23 * n31
        d2 = 1 / (s2 + n21)
        n12 = n12 * d2
        y1 = (b1 + n12 * b2) / (s1 + n12 * s2) if first is None else first
        y2 = (b2 + n21 * y1) * d2
        y3 = (b3 + n31 * y1 + n32 * y2) * d3
        return y1 * self.x[0], y2 * self.x[1], y3 * self.x[2]

    def pinned(self, b: Triple, third: Any) -> Triple:
        """The same from the first two equations alone, given `third`, which is y_3/x_3."""
        n12, n13, n21, n23, _, _ = self.coupling
        s1, s2, _ = self.slack
        b1, b2, _ = (value / unknown for value, unknown in zip(b, self.x, strict=True))
        s1, b1, s2, b2 = s1 + n13, b1 + n13 * third, s2 + n23, b2 + n23 * third
        n12 = n12 / (s2 + n21)
        y1 = (b1 + n12 * b2) / (s1 + n12 * s2)
        y2 = (b2 + n21 * y1) / (s2 + n21)
        return y1 * self.x[0], y2 * self.x[1], third * self.x[2]

    def response(self, weight_s: Any, weight_a: Any) -> Triple:
        """Decrease of the solution per unit of a probe that raises c_s by weight_s and c_a by weight_a."""
        return self.solve(_combined(weight_s, self.source_s, weight_a, self.source_a))


def _combined(weight_s: Any, source_s: Triple, weight_a: Any, source_a: Triple) -> Any:
    return tuple(weight_s * s + weight_a * a for s, a in zip(source_s, source_a, strict=True))


def jacobian(x: Triple, state: State, P: Populations) -> Jacobian:
    """I - F' at the solution, where the excess x - F(x) is zero by definition."""
    E_s, F, G = x
    weight = P.weights * state.shrink**2
    i0, i1, i2 = (jnp.sum(weight * P.nodes**power, axis=0) for power in range(3))
    G_squared, resolvent_squared = G**2, state.image[2] ** 2
    gain = P.inverse_psi_p * resolvent_squared

    def source(D_signal: Any, D_constant: Any, A: Any) -> Triple:  # probe D += D_signal s + D_constant, psi_p/G += A
        mean, mean_s = D_signal * i1 + D_constant * i0, D_signal * i2 + D_constant * i1
        of_F = G_squared * P.noise * mean
        return G_squared * P.signal * mean_s + P.q * of_F, of_F, gain * (A + mean)

    source_s = source(P.signal, P.q * P.noise, P.beta_s)
    source_a = source(0.0, P.noise, P.beta_a)
    k_s = P.inverse_psi_n * state.own_s  # -dc_s/dE_s
    k_a = P.q * P.inverse_psi_n * state.own_a  # -dc_a/dF
    F_G = P.noise * i0 + P.beta_a
    E_G = P.signal * i1 + P.beta_psi + P.q * F_G
    coupling = (
        k_a * source_a[0] * F / E_s,
        E_G * G / E_s,
        k_s * source_s[1] * E_s / F,
        F_G * G / F,
        k_s * source_s[2] * E_s / G,
        k_a * source_a[2] * F / G,
    )
    euler = _combined(P.unit * state.own_s, source_s, P.unit * state.own_a, source_a)
    euler = (euler[0], euler[1], euler[2] + P.ridge * resolvent_squared)
    slack = tuple(row / unknown for row, unknown in zip(euler, x, strict=True))
    return Jacobian(x, source_s, source_a, coupling, slack)  # pyright: ignore[reportArgumentType]


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
    return tuple(jnp.where(pinned, a, b) for a, b in zip(held, free, strict=True))


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
    G = _root(P.ridge * k, P.ridge * P.unit + P.inverse_psi_p * beta - k, P.unit)
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
    G = _root(P.ridge * level, P.ridge * slope + P.inverse_psi_p - level, slope)
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
    factor = jnp.where(P.peak > 0, _root(count.penalised, -P.excess, (1 - P.excess) * count.unfitted), 1.0)

    def in_turns(_: Any, x: Triple) -> Triple:
        E_s, F, _ = evaluate(x, P).image  # the direction, which far from the solution Newton's method would not find
        now = _count((E_s, F, x[2]), P)
        more = _root(now.unlearned, -P.excess_over_d, (1 - P.excess_over_d) * now.unfitted)
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


def _counted(x: Triple, dF: Triple, matrix: Jacobian, P: Populations, dP: Populations) -> Triple:
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


def _root(a: Any, b: Any, c: Any) -> Any:
    """Positive root of a x^2 + b x = c, for a, c >= 0, without cancellation; infinite if there is none."""
    root = jnp.sqrt(b**2 + 4 * a * c)
    return jnp.where(b > 0, 2 * c / (b + root), (root - b) / (2 * a))


@jax.custom_jvp
def solve(P: Populations, limit: Any = MAX_STEPS) -> Solution:
    """Positive solution of x = F(x) in every cell; differentiable in every field of P to any order.

    Cells that have not converged after `limit` steps are left where they are: their residual tells.
    """

    def step(x: Triple, pinned: Any) -> Triple:
        def free(x: Triple) -> Triple:
            return newton(x, P)

        def at_peak(x: Triple) -> Triple:
            return rescaled(jax.lax.cond(jnp.any(pinned), lambda x: newton(x, P, pinned), free, x), P)

        return jax.lax.cond(jnp.any(close & now), at_peak, free, x)

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
    now = ~close | (jnp.asarray(limit) != FEW_STEPS)
    scaled = P.peak * (1 - P.redundant) > 0
    # What rounding leaves of a change for ever: more where features without a nonlinear part are nearly d.
    nearly_d = (P.beta_a <= 1e-9 * P.noise) & (jnp.abs(1 - P.inverse_psi_p) < 1e-5)
    lasting = jnp.where(nearly_d, 0.1, 1e-9)
    first = jax.lax.cond(jnp.any(close & now), lambda x: rescaled(x, P), lambda x: x, first)
    x, active, _, steps = jax.lax.while_loop(unfinished, body, (first, now, zero + jnp.inf, zero))
    return Solution(x[0], x[1], x[2], steps, ~active & now)


@solve.defjvp
def _solve_jvp(primals, tangents):
    (P, limit), (dP, _) = primals, tangents
    solution = solve(P, limit)
    x = solution[:3]
    state = evaluate(x, P)
    _, dF = jax.jvp(lambda parameters: evaluate(x, parameters).image, (P,), (dP,))
    matrix = jacobian(x, state, P)
    dx = tuple(
        jnp.where(P.peak > 0, a, b) for a, b in zip(_counted(x, dF, matrix, P, dP), matrix.solve(dF), strict=True)
    )
    flags = np.zeros(jnp.shape(solution.settled), jax.dtypes.float0)
    return solution, Solution(dx[0], dx[1], dx[2], jnp.zeros_like(solution.steps), flags)
