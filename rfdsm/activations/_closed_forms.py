"""Activations whose Gaussian moments are known in closed form.

The formulas are arranged as integrals or sums of positive terms, so that neither v0^2 nor beta_a suffers from
cancellation however close the correlation shared / G^2 is to 0 or to 1.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax.scipy.special import erf
from jaxtyping import Array

from rfdsm.activations._base import Activation, Moments
from rfdsm.activations._expansion import Expansion, Rule, ramp_expansion, step_expansion
from rfdsm.activations._quadrature import Arcs


def _versine(angle: Array, cosine: Array) -> Array:
    return 2.0 * jnp.sin(angle / 2.0) ** 2


def _ramp(angle: Array, cosine: Array) -> Array:
    return angle * cosine


@dataclass(frozen=True)
class Linear(Activation):
    """f(u) = u."""

    needs_rule: ClassVar[bool] = False

    def _evaluate(self, u: Array) -> Array:
        return u

    def _moments(self, shared: Array, private: Array) -> Moments:
        return Moments(jnp.ones_like(shared), jnp.zeros_like(shared), jnp.zeros_like(shared))

    def expand(self, mean: Array, deviation: Array, terms: int, rule: Rule | None) -> Expansion:
        first = deviation * jnp.ones_like(mean)
        rest = [jnp.zeros_like(mean)] * (terms - 2)
        return Expansion(jnp.stack([mean, first, *rest][:terms]), mean**2 + deviation**2)

    def kernel(self, first: Array, second: Array, covariance: Array) -> Array:
        return covariance


@dataclass(frozen=True)
class Sign(Activation):
    """f(u) = sign u: Cov(f, f') = (2/pi) arcsin(correlation)."""

    needs_rule: ClassVar[bool] = False

    def _evaluate(self, u: Array) -> Array:
        return jnp.sign(u)

    def _moments(self, shared: Array, private: Array) -> Moments:
        low, high = Arcs.between(shared, private, 0.0).integrate(_versine)
        return Moments(math.sqrt(2.0 / math.pi) / jnp.sqrt(shared + private), 2.0 / math.pi * low, 2.0 / math.pi * high)

    def expand(self, mean: Array, deviation: Array, terms: int, rule: Rule | None) -> Expansion:
        return Expansion(step_expansion(mean, deviation, terms, 0.0), jnp.ones_like(mean))

    def kernel(self, first: Array, second: Array, covariance: Array) -> Array:
        return 2.0 / math.pi * jnp.arcsin(jnp.clip(covariance / (first * second), -1.0, 1.0))


@dataclass(frozen=True)
class Erf(Activation):
    """f(u) = erf u: Cov(f, f') = (2/pi) arcsin(2 shared / (1 + 2 G^2)) (Williams 1997)."""

    def _evaluate(self, u: Array) -> Array:
        return erf(u)

    def _moments(self, shared: Array, private: Array) -> Moments:
        low, high = Arcs.between(shared, private, 0.5).integrate(_versine)
        slope = 2.0 / jnp.sqrt(math.pi * (1.0 + 2.0 * (shared + private)))
        return Moments(slope, 2.0 / math.pi * low, 2.0 / math.pi * high)

    def expand(self, mean: Array, deviation: Array, terms: int, rule: Rule | None) -> Expansion:
        second = super().expand(mean, deviation, 1, rule).second
        return Expansion(step_expansion(mean, deviation, terms, 0.5), second)

    def kernel(self, first: Array, second: Array, covariance: Array) -> Array:
        scale = jnp.sqrt(1.0 + 2.0 * first**2) * jnp.sqrt(1.0 + 2.0 * second**2)
        return 2.0 / math.pi * jnp.arcsin(2.0 * covariance / scale)


@dataclass(frozen=True)
class Rectifier(Activation):
    """f(u) = u for u >= 0 and slope * u below: a linear part plus (1 - slope)/2 |u| (arc-cosine kernel of order 1)."""

    needs_rule: ClassVar[bool] = False
    slope: Any  # a float, or a JAX scalar while tracing

    def _evaluate(self, u: Array) -> Array:
        return jnp.where(u >= 0, u, jnp.asarray(self.slope, u.dtype) * u)

    def _moments(self, shared: Array, private: Array) -> Moments:
        low, high = Arcs.between(shared, private, 0.0).integrate(_ramp)
        bend = ((1.0 - self.slope) / 2.0) ** 2 * (2.0 / math.pi) * (shared + private)
        return Moments((1.0 + self.slope) / 2.0 * jnp.ones_like(shared), bend * low, bend * high)

    def expand(self, mean: Array, deviation: Array, terms: int, rule: Rule | None) -> Expansion:
        slope = jnp.asarray(self.slope, mean.dtype)
        coefficients = (1.0 - slope) * ramp_expansion(mean, deviation, terms)
        coefficients = coefficients.at[0].add(slope * mean)
        if terms > 1:
            coefficients = coefficients.at[1].add(slope * deviation)
        c = mean / deviation
        density = jnp.exp(-(c**2) / 2.0) / math.sqrt(2.0 * math.pi)
        square = mean**2 + deviation**2
        above = square * jax.scipy.special.ndtr(c) + mean * deviation * density  # E max(u, 0)^2
        return Expansion(coefficients, slope**2 * square + (1.0 - slope**2) * above)

    def kernel(self, first: Array, second: Array, covariance: Array) -> Array:
        scale = first * second
        rho = jnp.clip(covariance / scale, -1.0, 1.0)
        magnitudes = 2.0 / math.pi * (covariance * jnp.arcsin(rho) + scale * jnp.sqrt((1.0 - rho) * (1.0 + rho)))
        slope = jnp.asarray(self.slope, covariance.dtype)
        return ((1.0 + slope) / 2.0) ** 2 * covariance + ((1.0 - slope) / 2.0) ** 2 * magnitudes


@dataclass(frozen=True)
class Gelu(Activation):
    """f(u) = u Phi(u), Phi the normal distribution function (the exact form, not the tanh approximation).

    f is u/2 plus an even function e, and v0^2 integrates E[e'(u) e'(u')] over the covariance c from 0 to shared.
    With alpha = 1 + G^2 and c = alpha sin(phi),
    2 pi E[e' e'] dc = (alpha phi cos(phi) + 2 sin(phi) + sin(phi) / (alpha cos^2(phi))) dphi.
    """

    def _evaluate(self, u: Array) -> Array:
        return jax.nn.gelu(u, approximate=False)

    def _moments(self, shared: Array, private: Array) -> Moments:
        arcs = Arcs.between(shared, private, 1.0)
        alpha = 1.0 + shared + private
        low, high = (alpha * part for part in arcs.integrate(_ramp))
        low += _versine(arcs.start, arcs.cos_start) * (2.0 + 1.0 / (alpha * arcs.cos_start))
        high += arcs.fall * (2.0 + 1.0 / (alpha * arcs.cos_start * arcs.cos_end))
        return Moments(jnp.full_like(shared, 0.5), low / (2.0 * math.pi), high / (2.0 * math.pi))


def _sinh_excess(x: Array) -> Array:
    """sinh(x) - x for 0 <= x <= 10, without cancellation at small x."""
    small = jnp.minimum(x, 2.0)
    series = jnp.ones_like(x)
    for k in range(24, 2, -2):
        series = 1.0 + series * small**2 / (k * (k + 1.0))
    return jnp.where(x < 2.0, small**3 / 6.0 * series, jnp.sinh(x) - x)


@dataclass(frozen=True)
class Sine(Activation):
    """f(u) = sin u: E f f' = exp(-G^2) sinh(shared)."""

    needs_rule: ClassVar[bool] = False

    def _evaluate(self, u: Array) -> Array:
        return jnp.sin(u)

    def _moments(self, shared: Array, private: Array) -> Moments:
        total = shared + private
        decay = jnp.exp(-total)
        v0_squared = jnp.where(
            shared < 2.0,
            decay * _sinh_excess(jnp.minimum(shared, 2.0)),
            (jnp.exp(-private) - jnp.exp(-total - shared)) / 2.0 - shared * decay,
        )
        # exp(-G^2) (sinh G^2 - sinh(shared) - private): as a sum of positive terms, or, where sinh would overflow,
        # in decaying exponentials (the subtracted term is then negligible).
        middle = shared + private / 2.0
        half = jnp.minimum(private, 20.0) / 2.0
        bounded = jnp.minimum(middle, 20.0)
        positive = 4.0 * jnp.sinh(bounded / 2.0) ** 2 * jnp.sinh(half) + 2.0 * _sinh_excess(half)
        decaying = (1.0 + jnp.exp(-2.0 * middle)) * -jnp.expm1(-private) / 2.0 - private * decay
        return Moments(jnp.exp(-total / 2.0), v0_squared, jnp.where(total < 20.0, decay * positive, decaying))

    def expand(self, mean: Array, deviation: Array, terms: int, rule: Rule | None) -> Expansion:
        decay = jnp.exp(-(deviation**2) / 2.0)
        waves = jnp.sin(mean), jnp.cos(mean), -jnp.sin(mean), -jnp.cos(mean)
        coefficients, factor = [], decay  # which comes first: powers of large deviations would overflow without it
        for r in range(terms):
            coefficients.append(factor * waves[r % 4])
            factor = factor * deviation / (r + 1) ** 0.5
        second = -jnp.expm1(-2.0 * deviation**2) / 2.0 + (decay**2 * jnp.sin(mean)) ** 2
        return Expansion(jnp.stack(coefficients), second)

    def kernel(self, first: Array, second: Array, covariance: Array) -> Array:
        total = (first**2 + second**2) / 2.0
        return (jnp.exp(covariance - total) - jnp.exp(-covariance - total)) / 2.0


@dataclass(frozen=True)
class Series(Activation):
    """A polynomial, or a sum of probabilists' Hermite polynomials He_k, by coefficients of increasing degree.

    He_n(G g) and (G g)^n are both sums over i of G^{n-2i} He_{n-2i}(g), with factors (G^2 - 1)^i and G^{2i}. The sums
    over k of k! d_k^2 shared^k and of k! d_k^2 (G^{2k} - shared^k) then have no negative term.
    """

    coefficients: tuple
    hermite: bool

    def _evaluate(self, u: Array) -> Array:
        above = current = jnp.zeros_like(u)
        for k in reversed(range(len(self.coefficients))):  # Clenshaw for Hermite sums, Horner for polynomials
            step = u * current - (k + 1) * above if self.hermite else u * current
            above, current = current, step + jnp.asarray(self.coefficients[k], u.dtype)
        return current

    def _scaled_hermite(self, k: int, total: Array) -> Array:
        """d_k: the coefficient of He_k(g) in f(G g), divided by G^k."""
        base = total - 1.0 if self.hermite else total
        coefficient = jnp.zeros_like(total)
        for n in range(k, len(self.coefficients), 2):
            i = (n - k) // 2
            factor = math.factorial(n) // (2**i * math.factorial(i) * math.factorial(k))
            coefficient += self.coefficients[n] * float(factor) * base**i
        return coefficient

    def _moments(self, shared: Array, private: Array) -> Moments:
        total = shared + private
        v0_squared = beta_a = jnp.zeros_like(shared)
        power, difference = shared, private  # shared^k and G^{2k} - shared^k
        for k in range(2, len(self.coefficients)):
            power, difference = power * shared, difference * total + power * private
            weight = float(math.factorial(k)) * self._scaled_hermite(k, total) ** 2
            v0_squared, beta_a = v0_squared + weight * power, beta_a + weight * difference
        return Moments(self._scaled_hermite(1, total), v0_squared, beta_a)

    @property
    def degree(self) -> int:
        """Of the polynomial: quadrature rules of more nodes are exact."""
        return len(self.coefficients) - 1

    def expand(self, mean: Array, deviation: Array, terms: int, rule: Rule | None) -> Expansion:
        used = min(terms, len(self.coefficients))  # the coefficients beyond are zero
        coefficients, second = super().expand(mean, deviation, used, rule)
        return Expansion(jnp.pad(coefficients, ((0, terms - used), (0, 0), (0, 0))), second)
