"""The two Gaussian populations of noisy points, in units that make every quantity of order one.

Lengths of x are measured in sqrt(tr Sigma / d), those of y in sqrt(a^2 tr Sigma / d + eta), the deviation from which
sampling starts. Then y = sqrt(signal) x + sqrt(noise) z with signal + noise = 1 (docs/linear, section 2).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rfdsm.linear._problem import FIELDS, Problem


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
