"""Moments at many levels of one schedule, by interpolation."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from rfdsm._executables import jitted
from rfdsm._scope import jax_scope
from rfdsm.activations._base import Activation, Moments
from rfdsm.activations._kept import kept
from rfdsm.activations._quadrature import PiecewiseChebyshev, padded

# The table covers noise levels h = 1 - a^2 with |logit h| <= 20.25: from 8e-10 to 10.1 in Ornstein-Uhlenbeck time.
_LOGIT, _PANELS, _DEGREE = 20.25, 135, 9
_RANGE = np.exp([-20.249, 20.249])


@dataclass(frozen=True, eq=False)
class MomentTable:
    """Moments as a function of a schedule's noise-to-signal ratio h/a^2 at one data variance, interpolated in its log.

    mu1, v0^2 and beta_a, these over the squared share of the signal and the share of the noise, are analytic functions
    of that variable, where a^2 + h = 1 in a strip of half-width pi.
    `error` estimates the interpolation error from the last coefficients: of mu1 G relative to the deviation of f, of
    v0^2 relative to v^2, of beta_a relative to itself. Whoever needs less should use `activation.moments`.
    """

    activation: Activation
    variance: float
    schedule: Any
    """Anything with `signal_at`, such as those of `rfdsm.schedules`."""
    interpolant: PiecewiseChebyshev
    error: float

    def covers(self, ratio: np.ndarray) -> bool:
        """Whether all ratios are within the table."""
        return bool(_RANGE[0] <= np.min(ratio) and np.max(ratio) <= _RANGE[1])

    def __call__(self, ratio: ArrayLike) -> Moments:
        """Moments at ratios h/a^2 > 0 (concrete, any shape), as NumPy arrays of that shape.

        Ratios outside the table go through `activation.moments`.
        """
        ratio = np.asarray(ratio, float)
        ratios = ratio.ravel()
        if not ratios.size:
            return Moments(ratio, ratio, ratio)
        inside = padded(np.clip(ratios, *_RANGE))
        with jax_scope():
            values = np.asarray(_tabulated(self.interpolant, inside))[:, : ratios.size]
        outside = inside[: ratios.size] != ratios
        if outside.any():
            values = values.copy()
            direct = _along(self.schedule, self.activation, self.variance, padded(ratios[outside]))
            values[:, outside] = direct[:, : outside.sum()]
        return Moments(*values.reshape(3, *ratio.shape))


def interpolated(interpolant: PiecewiseChebyshev, ratio: jax.Array) -> Moments:
    """Moments from the interpolant of a table, within its range; differentiable."""
    mu1, v0_squared, beta_a = interpolant(jnp.log(ratio))
    signal, noise = 1 / (1 + ratio), ratio / (1 + ratio)
    return Moments(mu1, jnp.maximum(v0_squared * signal**2, 0.0), jnp.maximum(beta_a * noise, 0.0))


@jitted
def _tabulated(interpolant: PiecewiseChebyshev, ratio: jax.Array) -> jax.Array:
    return jnp.stack(interpolated(interpolant, ratio))


def _along(schedule: Any, activation: Activation, variance: float, ratio: np.ndarray) -> np.ndarray:
    """Moments at the schedule's levels of these ratios."""
    signal = schedule.signal_at(ratio, variance)
    with jax_scope():
        return np.stack([np.asarray(part) for part in activation.moments(variance * signal, ratio * signal)])


@kept(maxsize=32)
def tabulate(activation: Activation, variance: float | int, schedule: Any) -> MomentTable:
    """A table for many levels of a schedule, which knows a^2 from h/a^2, at one data variance tr Sigma / d > 0.

    Costs 1350 evaluations of the moments, then some 50 ns per level. The activation must be hashable.
    """
    logit = PiecewiseChebyshev.nodes(-_LOGIT, _LOGIT, _PANELS, _DEGREE)
    signal, noise = 1.0 / (1.0 + np.exp(logit)), 1.0 / (1.0 + np.exp(-logit))
    ratio = np.exp(logit)
    mu1, v0_squared, beta_a = _along(schedule, activation, float(variance), ratio)
    total = (variance + ratio) * schedule.signal_at(ratio, variance)
    interpolant = PiecewiseChebyshev.fit(-_LOGIT, _LOGIT, np.stack([mu1, v0_squared / signal**2, beta_a / noise]))
    v_squared = v0_squared + beta_a
    power = mu1**2 * total + v_squared
    slope = np.sqrt(power / total)  # mu1 of a linear function with the same power
    sizes = np.stack([slope, (v_squared + 1e-12 * power) / signal**2, (beta_a + 1e-12 * power) / noise]).min(-1)
    error = (interpolant.tails() / np.maximum(sizes, 1e-300)).max()
    return MomentTable(activation, float(variance), schedule, interpolant, float(error))
