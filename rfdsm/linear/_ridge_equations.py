"""Order parameters of ridge regression on two Gaussian populations, and their response to probes.

The noisy points y are the features. Unknowns x = (e_s, f), e_a = q f (docs/linear, section 2):

    c_s = 1/(k + e_s)   c_a = (1 - q)/(k + q f)   R(s) = 1/(r + c_s (signal s + q noise) + c_a noise)
    f = noise <R>/psi   e_s = signal <s R>/psi + q f

with k r the penalty. The map is increasing and concave, so Newton's method from a point that it maps below itself
decreases to the solution. It is homogeneous in (x, k, 1/r), so Euler's identity gives the row sums of I - F' as
positive sums, and the 2 x 2 systems are solved without a subtraction.

Units make every quantity of order one. Lengths of x are measured in sqrt(tr Sigma / d), those of y in
sqrt(a^2 tr Sigma / d + eta), the deviation from which sampling starts: y = sqrt(signal) x + sqrt(noise) z with
signal + noise = 1.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rfdsm.linear._problem import FIELDS, Problem

MAX_STEPS = 100
TOLERANCE = 1e-12
"""Largest relative residual at which a cell counts as converged."""


class Populations(NamedTuple):
    """Parameters of one cell: scalars, arrays under vmap; the spectrum (nodes of mean 1, weights) is shared.

    The regression is described at a scale at which it stays finite as lambda -> 0: with c = 1/(stiffness + e) and
    R = 1/(ridge + ...), only the product stiffness * ridge is the penalty. Where the noisy points can be interpolated
    (n m < d) ridge = 1, elsewhere stiffness = 1.
    """

    psi: Any
    q: Any  # 1/m
    signal: Any
    noise: Any
    stiffness: Any
    ridge: Any
    nodes: Any
    weights: Any

    @property
    def symmetric(self) -> jax.Array:
        """Variance of the mean over a sample's draws along each eigendirection, shape (S,)."""
        return self.signal * self.nodes + self.q * self.noise

    def average(self, values: jax.Array) -> jax.Array:
        """Average of values (S,) over the spectrum of Sigma."""
        return jnp.sum(self.weights * values)


CELLWISE = Populations(0, 0, 0, 0, 0, 0, None, None)
"""`in_axes` of jax.vmap over a flat batch of cells that share a spectrum."""


class Solution(NamedTuple):
    """Order parameters with the solver's diagnosis; scalars, or arrays under vmap."""

    e_s: jax.Array
    f: jax.Array
    residual: jax.Array
    steps: jax.Array


class State(NamedTuple):
    """What the equations need at a point, evaluated once."""

    c_s: jax.Array
    c_a: jax.Array
    k_s: jax.Array  # -dc_s/de_s
    k_a: jax.Array  # -dc_a/de_a
    resolvent: jax.Array  # R, shape (S,)
    image: jax.Array  # F(x), shape (2,)


def evaluate(x: jax.Array, P: Populations) -> State:
    """c, R and F(x) at x = (e_s, f)."""
    e_s, f = x
    c_s, r_a = 1 / (P.stiffness + e_s), 1 / (P.stiffness + P.q * f)
    c_a = (1 - P.q) * r_a
    resolvent = 1 / (P.ridge + c_s * P.symmetric + c_a * P.noise)
    f_image = P.noise * P.average(resolvent) / P.psi
    e_image = P.signal * P.average(P.nodes * resolvent) / P.psi + P.q * f_image
    return State(c_s, c_a, c_s**2, (1 - P.q) * r_a**2, resolvent, jnp.stack([e_image, f_image]))


def probed(probe: jax.Array, state: State, P: Populations) -> jax.Array:
    """Decrease of F, shape (2,), per unit of a probe (S,) that adds to 1/R at fixed x."""
    weight = state.resolvent**2 * probe
    f = P.noise * P.average(weight) / P.psi
    return jnp.stack([P.signal * P.average(P.nodes * weight) / P.psi + P.q * f, f])


def sensitivity(probe: jax.Array, x: jax.Array, state: State, P: Populations) -> jax.Array:
    """Decrease of the solution (e_s, f) per unit of a probe (S,) that adds to 1/R, feedback included."""
    return _solve(probed(probe, state, P), x, state, P, jnp.zeros(2))


def response(probe: jax.Array, x: jax.Array, state: State, P: Populations) -> tuple[jax.Array, jax.Array]:
    """Increase of (c_s, c_a) per unit of a probe (S,) that adds to 1/R."""
    y = sensitivity(probe, x, state, P)
    return state.k_s * y[0], state.k_a * P.q * y[1]


def _solve(b: jax.Array, x: jax.Array, state: State, P: Populations, excess: jax.Array) -> jax.Array:
    """(I - F')^{-1} b in relative coordinates, by elimination that only adds; excess = x - F(x) >= 0."""
    column_s = state.k_s * probed(P.symmetric, state, P)
    column_f = P.q * state.k_a * probed(P.noise * jnp.ones_like(P.nodes), state, P)
    to_stiffness = probed(state.k_s * P.symmetric + state.k_a * P.noise, state, P) * P.stiffness
    to_ridge = probed(P.ridge * jnp.ones_like(P.nodes), state, P)
    slack = (to_stiffness + to_ridge + excess) / x
    coupling_s, coupling_f = column_f[0] * x[1] / x[0], column_s[1] * x[0] / x[1]
    b = b / x
    pivot = slack[1] + coupling_f
    y_s = (b[0] + coupling_s * b[1] / pivot) / (slack[0] + coupling_s * slack[1] / pivot)
    return jnp.stack([y_s, (b[1] + coupling_f * y_s) / pivot]) * x


def upper_bound(P: Populations) -> jax.Array:
    """A point that F maps below itself: the componentwise smallest of two.

    One replaces R by a bound, 1/r, or 1/(r + noise) for m = inf, where c_a = 1. The other serves r = 0 and n m > d: for
    large arguments F(t v) -> t v/(psi m) along the direction v = (ratio, 1) of (e_s, e_a) that solves
    <zeta/(zeta + ratio (1 - q))> = q, zeta = symmetric/noise, and so t = 1/(psi m - 1) is enough.
    """
    infinite = P.q == 0
    bound = 1 / (P.ridge + jnp.where(infinite, jnp.where(P.stiffness == 1, P.noise, 0.0), 0.0))
    f = P.noise * bound / P.psi
    simple = jnp.stack([P.signal * bound * P.average(P.nodes) / P.psi + P.q * f, f])

    q = jnp.where(infinite, 0.5, P.q)
    zeta = P.signal * P.nodes / P.noise + q

    def newton(_, logarithm):
        # in ln(ratio) the average falls from 1 to 0 like a mixture of logistic curves
        term = zeta / (zeta + jnp.exp(logarithm) * (1 - q))
        slope = P.average(term * (1 - term)) + 1e-300
        return logarithm + jnp.clip((P.average(term) - q) / slope, -2.0, 2.0)

    ratio = jnp.exp(jax.lax.fori_loop(0, 60, newton, jnp.log(P.average(zeta) / q)))
    margin = P.psi / jnp.where(infinite, 1.0, P.q) - 1
    size = jnp.where((margin > 0) & ~infinite & (P.stiffness == 1), 1 / jnp.where(margin > 0, margin, 1.0), jnp.inf)
    # at m = 1 that average is 1 whatever the ratio: only the symmetric population is left
    ratio = jnp.where(P.q == 1, 1 / P.average(1 / zeta), ratio)
    direction = jnp.stack([ratio, 1 / q]) * (1 + 1e-12)
    return jnp.minimum(simple, size * direction)


def solve(P: Populations) -> Solution:
    """The positive solution of x = F(x) for one cell; not at n m = d with a zero penalty, where there is none."""

    def unfinished(carry):
        _, change, previous, steps = carry
        rounding = (change < 1e-6) & (change > 0.9 * previous)  # decreases quadratically until only rounding is left
        return (change > 1e-15) & ~rounding & (steps < MAX_STEPS)

    def newton(carry):
        x, change, _, steps = carry
        state = evaluate(x, P)
        excess = x - state.image
        step = _solve(excess, x, state, P, jnp.maximum(excess, 0))
        return x - step, jnp.max(jnp.abs(step) / x), change, steps + 1

    start = upper_bound(P)
    infinite = jnp.array(jnp.inf)
    x, _, _, steps = jax.lax.while_loop(unfinished, newton, (start, infinite, infinite, jnp.array(0.0)))
    residual = jnp.max(jnp.abs(x - evaluate(x, P).image) / x)
    return Solution(x[0], x[1], residual, steps)


def flat_populations(problem: Problem) -> Populations:
    """All cells of a problem, each field a float64 NumPy vector; the nodes have mean 1."""
    psi, T, m, ridge, scale, variance = (
        np.broadcast_to(value, problem.shape).astype(float).ravel()
        for value in (*(getattr(problem, name) for name in FIELDS[:5]), problem.variance)
    )
    # ln of eta/(a^2 variance) = l (e^{2T} - 1)/variance, which itself may leave float64
    logarithm = np.log(scale) + 2 * T + np.log(-np.expm1(-2 * T)) - np.log(variance)
    signal, noise = _logistic(-logarithm), _logistic(logarithm)
    with np.errstate(over="ignore"):
        penalty = ridge * signal * np.exp(2 * T) / variance
    interpolates = psi * m < 1
    stiffness, floor = np.where(interpolates, penalty, 1.0), np.where(interpolates, 1.0, penalty)
    nodes = problem.spectrum.nodes / problem.spectrum.mean
    return Populations(psi, 1 / m, signal, noise, stiffness, floor, nodes, np.asarray(problem.spectrum.weights))


def singular(problem: Problem) -> np.ndarray:
    """Cells at the interpolation threshold of least squares, n m = d at ridge = 0, where |b1|^2 is infinite."""
    load = problem.psi * problem.m
    return np.broadcast_to((problem.ridge == 0) & (np.abs(load - 1) <= 4 * np.finfo(float).eps), problem.shape)


def _logistic(x: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0.0, -x))
