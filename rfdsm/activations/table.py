"""Moments at many diffusion times, by interpolation."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from rfdsm.activations.base import Activation, Moments
from rfdsm.activations.kept import kept
from rfdsm.activations.quadrature import PiecewiseChebyshev, padded
from rfdsm.scope import jax_scope

# The table covers noise levels h = 1 - exp(-2t) with |logit h| <= 20.25, that is 8e-10 <= t <= 10.1.
_LOGIT, _PANELS, _DEGREE = 20.25, 135, 9
_RANGE = np.log1p(np.exp([-20.249, 20.249])) / 2.0


@dataclass(frozen=True, eq=False)
class MomentTable:
    """Moments as a function of diffusion time at one data variance, by interpolation in logit(1 - exp(-2t)).

    mu1, v0^2/(1 - h)^2 and beta_a/h are analytic functions of that variable in a strip of half-width pi.
    `error` estimates the interpolation error from the last coefficients: of mu1 G relative to the deviation of f, of
    v0^2 relative to v^2, of beta_a relative to itself. Whoever needs less should use `activation.moments`.
    """

    activation: Activation
    variance: float
    interpolant: PiecewiseChebyshev
    error: float

    def __call__(self, t: ArrayLike) -> Moments:
        """Moments at diffusion times t > 0 (concrete, any shape), as NumPy arrays of that shape.

        Times outside the table (8e-10 to 10.1) go through `activation.moments`.
        """
        t = np.asarray(t, float)
        times = t.ravel()
        if not times.size:
            return Moments(t, t, t)
        inside = padded(np.clip(times, *_RANGE))
        with jax_scope():
            values = np.asarray(_interpolated(self.interpolant, inside))[:, : times.size]
        outside = inside[: times.size] != times
        if outside.any():
            values = values.copy()
            beyond = padded(times[outside])
            direct = _eager_moments(self.activation, self.variance * np.exp(-2.0 * beyond), -np.expm1(-2.0 * beyond))
            values[:, outside] = direct[:, : outside.sum()]
        return Moments(*values.reshape(3, *t.shape))


@jax.jit
def _interpolated(interpolant: PiecewiseChebyshev, t: jax.Array) -> jax.Array:
    mu1, v0_squared, beta_a = interpolant(jnp.log(jnp.expm1(2.0 * t)))
    v0_squared = jnp.maximum(v0_squared * jnp.exp(-4.0 * t), 0.0)
    return jnp.stack([mu1, v0_squared, jnp.maximum(beta_a * -jnp.expm1(-2.0 * t), 0.0)])


def _eager_moments(activation: Activation, shared: np.ndarray, private: np.ndarray) -> np.ndarray:
    with jax_scope():
        return np.stack([np.asarray(part) for part in activation.moments(shared, private)])


@kept(maxsize=32)
def tabulate(activation: Activation, variance: float | int) -> MomentTable:
    """A table for many diffusion times at one data variance sigma^2 = tr Sigma / d > 0 (shared = e^{-2t} sigma^2).

    Costs 1350 evaluations of the moments, then some 50 ns per time. The activation must be hashable.
    """
    logit = PiecewiseChebyshev.nodes(-_LOGIT, _LOGIT, _PANELS, _DEGREE)
    signal, noise = 1.0 / (1.0 + np.exp(logit)), 1.0 / (1.0 + np.exp(-logit))
    mu1, v0_squared, beta_a = _eager_moments(activation, variance * signal, noise)
    interpolant = PiecewiseChebyshev.fit(-_LOGIT, _LOGIT, np.stack([mu1, v0_squared / signal**2, beta_a / noise]))
    v_squared = v0_squared + beta_a
    power = mu1**2 * (variance * signal + noise) + v_squared
    slope = np.sqrt(power / (variance * signal + noise))  # mu1 of a linear function with the same power
    sizes = np.stack([slope, (v_squared + 1e-12 * power) / signal**2, (beta_a + 1e-12 * power) / noise]).min(-1)
    error = (interpolant.tails() / np.maximum(sizes, 1e-300)).max()
    return MomentTable(activation, float(variance), interpolant, float(error))
