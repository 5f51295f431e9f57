"""The two Gaussian populations a problem reduces to (docs/theory, sections 2 and 3).

Rotating the m noisy copies of each sample gives one symmetric mode, which carries the signal, and m - 1 antisymmetric
modes, which carry only noise. Every population covariance is W D W^T / d + beta I, D diagonal in the basis of Sigma.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rfdsm._problem import Problem
from rfdsm.activations import Activation, Moments, tabulate
from rfdsm.schedules import Schedule
from rfdsm.targets import Asked

TABLE_FROM, TABLE_TOLERANCE = 256, 1e-11

VANISHING = 1e-60
"""Stands for ridge = 0 where the minimum-norm limit has no finite resolvent (redundant features)."""
NEGLIGIBLE = 1e-140
"""Added to the nonlinear variances, so that a constant activation, whose features vanish, divides no zero by zero."""
LINEAR = 1e-28
"""An activation whose nonlinear variance is below this fraction of L h is linear: its features have rank d at most."""
COINCIDENCE = 1e-13
"""Relative distance of p from nm below which rounding cannot tell which side a problem is on."""
NEARLY = 1e-13
"""Relative distance of p below d from which linear features count as redundant in that."""
SMALL = 1e-12
"""Ridge below which the count of freedoms decides between singular solutions of redundant features too."""
ROUNDING = 8e-16
"""What rounding of psi_n, psi_p, m, of their inverses and of the product may leave of that distance where p = nm."""


class Populations(NamedTuple):
    """Parameters of the fixed-point equations: scalars or arrays (...) of cells, with the spectrum on an axis in front.

    Names: L = mu1^2, q = 1/m, a and h of the schedule. D_psi(s) = signal * s and beta_psi belong to what the noise
    draws of one sample share, D_a = noise and beta_a to what they do not. unit * ridge = lambda/psi_p: only the product
    has a meaning; unit may vanish, ridge is positive (docs/theory, section 3).
    """

    inverse_psi_n: Any
    inverse_psi_p: Any
    q: Any
    unit: Any
    ridge: Any
    a_squared: Any
    h: Any
    L: Any
    beta_psi: Any
    beta_a: Any
    nodes: Any
    """Eigenvalues of Sigma, shape (S, 1, ..., 1): broadcasts against the cells."""
    weights: Any
    peak: Any = 0.0
    """1 next to p = nm, where the equations leave the scale of their solution to rounding; 0 elsewhere."""
    excess: Any = 0.0
    """There 1 - nm/p, without what rounding of the ratios leaves of zero."""
    redundant: Any = 0.0
    """1 if the peak is at nm = d <= p, of linear features."""
    excess_over_d: Any = 0.0
    """There 1 - nm/d."""
    square: Any = 0.0
    """1 for linear features at p = d < nm, where G alone has no scale but for rounding."""
    alpha: Any = 0.0
    """The network is to learn alpha x + beta z."""
    beta: Any = -1.0
    scale: Any = 1.0
    """Of the input: the score is taken at y/scale."""

    @property
    def a(self) -> jax.Array:
        """Amplitude of the signal."""
        return jnp.sqrt(self.a_squared)

    @property
    def root_h(self) -> jax.Array:
        """Amplitude of the noise."""
        return jnp.sqrt(self.h)

    @property
    def score_unit(self) -> jax.Array:
        """Score error per excess of `test` over its floor."""
        return (self.scale * self.a) ** 2 / (self.h * (self.alpha * self.root_h - self.beta * self.a) ** 2)

    @property
    def signal(self) -> Any:
        """L a^2, so that D_psi(s) = signal * s."""
        return self.L * self.a_squared

    @property
    def noise(self) -> Any:
        """D_a = L h."""
        return self.L * self.h

    @property
    def beta_s(self) -> jax.Array:
        """Nonlinear variance of the symmetric population, beta_psi + q beta_a."""
        return self.beta_psi + self.q * self.beta_a

    def like(self, values: jax.Array) -> "Populations":
        """The same parameters in the dtype of these values, such as complex order parameters."""
        return Populations(*(jnp.asarray(parameter, values.dtype) for parameter in self))

    def average(self, values: jax.Array) -> jax.Array:
        """Average of values (S, ...) over the spectrum of Sigma."""
        return jnp.sum(self.weights * values, axis=0)


def moments_at(activation: Activation, a: Any, h: Any, variance: Any) -> Moments:
    """Moments of the activation on pre-activations of signal variance a^2 tr(Sigma)/d and noise variance h."""
    return activation.moments(a**2 * variance, h)


def check_moments(activation: Activation, a: Any, h: Any, variance: float) -> None:
    """Warn if a user's activation needs breakpoints at any of these levels."""
    a, h = np.ravel(a), np.ravel(h)
    ends = [np.argmin(h), np.argmax(h), np.argmin(a), np.argmax(a)]  # where either variance is extreme, or their ratio
    activation.check(a[ends] ** 2 * variance, h[ends])


def moments_at_levels(
    activation: Activation, a: np.ndarray, h: np.ndarray, variance: float, schedule: Schedule
) -> Moments:
    """The same for vectors of concrete levels of a schedule, as NumPy arrays.

    Many levels go through a table, if the schedule knows a^2 from their ratio and the table is accurate enough.
    """
    if h.size > TABLE_FROM and schedule.signal_at(h[:1], variance) is not None:
        table = tabulate(activation, variance, schedule)
        if table.error <= TABLE_TOLERANCE:
            return table(np.asarray(h / a**2))
    return activation.moments_of(a**2 * variance, np.asarray(h))


class Cells(NamedTuple):
    """What `populations` takes besides the ridge, for the cells of a problem in a row, NumPy arrays (cells,)."""

    inverse_psi_n: np.ndarray
    inverse_psi_p: np.ndarray
    q: np.ndarray
    asked: Asked
    moments: Moments


def all_moments(problem: Problem) -> Moments:
    """Those of a problem, of the shape of t; of a concrete one, warns if a user's activation needs breakpoints."""
    a, h, variance = problem.asked.a, problem.asked.h, problem.spectrum.mean
    if problem.traced:
        return moments_at(problem.activation, a, h, variance)
    a, h = np.ravel(a), np.ravel(h)
    check_moments(problem.activation, a, h, variance)
    found = moments_at_levels(problem.activation, a, h, variance, problem.schedule)
    return Moments(*(np.reshape(value, np.shape(problem.t)) for value in found))


def cells_of(problem: Problem) -> Cells:
    """The cells of a concrete problem, flattened; warns if a user's activation needs breakpoints."""

    def flat(values: Any) -> np.ndarray:
        return np.broadcast_to(values, problem.shape).ravel()

    moments, asked = Moments(*map(flat, all_moments(problem))), Asked(*map(flat, problem.asked))
    return Cells(flat(1 / problem.psi_n), flat(1 / problem.psi_p), flat(1 / problem.m), asked, moments)


def rank(inverse_psi_p: Any, L: Any, linear: Any) -> jax.Array:
    """Inverse rank of the features, per dimension, as samples abound: 1/p, or 1/min(p, d) if they are linear."""
    redundant = jnp.where(L > 0, jnp.maximum(inverse_psi_p, 1), jnp.inf)
    return jnp.where(linear, redundant, inverse_psi_p)


def _excess(ratio: Any) -> jax.Array:
    """1 - ratio, zero where that is rounding; with its derivative there too."""
    excess = 1 - ratio
    return excess - jax.lax.stop_gradient(jnp.where(jnp.abs(excess) <= ROUNDING, excess, 0.0))


def populations(
    inverse_psi_n: Any, inverse_psi_p: Any, q: Any, asked: Asked, ridge: Any, moments: Moments, nodes: Any, weights: Any
) -> tuple[Populations, jax.Array]:
    """Collect the equations' parameters of cells of one shape; nodes and weights (S,).

    Args:
        asked: the level and the target.
        inverse_psi_n, inverse_psi_p, q: 1/psi_n, 1/psi_p and 1/m, all of which may vanish.
        ridge: lambda/psi_p.

    Returns:
        The parameters, and where the limit ridge -> 0 diverges: ridge = 0 with as many draws as features have rank.
    """
    a_squared, h = asked.a**2, asked.h
    L = moments.mu1**2
    linear = moments.beta_a <= LINEAR * L * h
    inverse_draws = q * inverse_psi_n  # d/(n m)
    inverse_rank = rank(inverse_psi_p, L, linear)
    interpolates = inverse_rank < inverse_draws
    coincide = jnp.abs(inverse_rank - inverse_draws) <= COINCIDENCE * inverse_draws
    singular = (ridge == 0) & coincide & (inverse_draws > 0)
    at_d = linear & (jnp.abs(inverse_psi_p - 1) <= COINCIDENCE)
    all_at_d = at_d & (jnp.abs(inverse_draws - 1) <= 3 * COINCIDENCE)  # where p and nm may lie on both sides of d
    coincide = coincide | (all_at_d & (ridge > 0))
    interpolates = interpolates & ~coincide

    def nonlinear(beta: Any) -> jax.Array:
        return jnp.where(linear, 0.0, beta) + NEGLIGIBLE

    # Any value: the losses are known. A sum, through which derivatives that are not there stay NaN.
    ridge = ridge + jnp.where(singular, 1.0, 0.0)
    one = jnp.ones_like(ridge)
    column = (-1, *[1] * jnp.ndim(ridge))
    balanced = coincide & (ridge > 0)
    root = jnp.sqrt(jnp.where(balanced, ridge, 1.0))
    redundant = linear & (inverse_psi_p <= 1 + NEARLY)
    peak = balanced & (~redundant | (ridge <= SMALL))
    draws = 1 / jnp.where(peak, inverse_draws, 1.0)
    least = ridge + jax.lax.stop_gradient(jnp.maximum(VANISHING - ridge, 0))
    parameters = Populations(
        inverse_psi_n,
        inverse_psi_p,
        q,
        jnp.where(balanced, root, jnp.where(interpolates, ridge, one)),
        jnp.where(balanced, root, jnp.where(interpolates, one, least)),
        a_squared,
        h,
        L,
        nonlinear(moments.v0_squared),
        nonlinear(moments.beta_a),
        jnp.reshape(nodes, column),
        jnp.reshape(weights, column),
        jnp.where(peak, 1.0, 0.0),
        jnp.where(peak & ~at_d, _excess(draws * inverse_psi_p), 0.0),
        jnp.where(peak & redundant, 1.0, 0.0),
        jnp.where(peak & redundant & ~at_d, _excess(draws), 0.0),
        jnp.where(at_d & ~interpolates & ~coincide & (L > 0), 1.0, 0.0),
        asked.alpha,
        asked.beta,
        asked.scale,
    )
    return parameters, singular
