"""Functions of the feature matrix by contour integrals (docs/training, section 2).

For g analytic on and within a closed curve around the spectrum, g(U) = -(1/(2 pi i)) (integral of g(z) (U - z)^-1 dz).
Filters of gradient flow are entire, but grow like exp(-(z + lambda) theta) to the left; what limits the accuracy is how
far the curve keeps from the spectrum on one side and from the half plane Re(z + lambda) < -1/theta_max on the other.
The best curve is the middle line of the annulus between the two. Its conformal map from a strip, 4P-periodic, is

    z(x) = e^x prod_j [(1 + e^{-2(x + a_j)})/(1 + e^{2(x - a_j)})]^{(-1)^j},    a_j = (2j + 1) P,

which takes Im x = pi/2 to the imaginary axis and Im x = 0 to an interval [m, M] with M/m > e^{2P}/4; the trapezoidal
rule with N nodes on the upper half of Im x = pi/4 errs by exp(-pi^2 N/(4P)). (Hale, Higham and Trefethen's method, SIAM
J. Numer. Anal. 46, 2505, 2008, for a half plane instead of a slit one.)
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rfdsm.theory.fixed_point import solve
from rfdsm.theory.populations import Populations
from rfdsm.theory.resolvent import CLOSE, SETTLED, Triple, change, evaluate, newton

DIGITS, MORE_DIGITS = 26.0, 32.0
"""Natural logarithm of what the trapezoidal rule reduces errors by; more for integrands that decay slowly."""
IMAGES = 6
"""Factors of the product; the next is 1 to rounding, whatever P >= 1 is."""
STEP = 1 / 3
"""Fraction of the way from -|z| to z that is tried at once."""
MAX_STEPS = 200
STALLED = 1e-8
"""Largest relative change that can be rounding, where the equations are close to singular."""
ROUNDING = 1e-12
"""Relative imaginary part of the wrong sign forgiven, for nodes next to the negative real axis."""


class Contour(NamedTuple):
    """Nodes in the upper half plane around an interval that ends at 1, the half plane to avoid being Re z < 0.

    Then g(U) = 2 Re sum_k weights_k g(z_k) (U - z_k)^-1 for g real on the real axis.
    """

    nodes: np.ndarray
    weights: np.ndarray


def size(ratio: float, digits: float = DIGITS) -> int:
    """Number of nodes for spectra with M/m <= ratio: a multiple of 24, so that few shapes are compiled."""
    return 24 * int(np.ceil(4 * _half_period(ratio) * digits / np.pi**2 / 24))


@functools.lru_cache(maxsize=64)
def contour(ratio: float, count: int) -> Contour:
    """The curve for spectra within [1/ratio, 1], by `count` nodes."""
    P = _half_period(ratio)
    step = 2 * P / count
    x = -P + (np.arange(count) + 0.5) * step + 0.25j * np.pi
    z = np.exp(_logarithm(x, P) - np.real(_logarithm(np.array([P + 0j]), P)))
    weights = step * z * _slope(x, P) / (2j * np.pi)
    for array in (z, weights):
        array.flags.writeable = False
    return Contour(z, weights)


def _half_period(ratio: float) -> float:
    return max(float(np.log(2 * np.sqrt(ratio))), 1.0)


def _logarithm(x: np.ndarray, P: float) -> np.ndarray:
    terms = (
        (-1) ** j * (np.log1p(np.exp(-2 * (x + a))) - np.log1p(np.exp(2 * (x - a))))
        for j, a in enumerate((2 * np.arange(IMAGES) + 1) * P)
    )
    return sum(terms, start=x)


def _slope(x: np.ndarray, P: float) -> np.ndarray:
    """d log z/dx."""
    terms = (
        (-1) ** j * -2 * (1 / (1 + np.exp(2 * (x + a))) + 1 / (1 + np.exp(-2 * (x - a))))
        for j, a in enumerate((2 * np.arange(IMAGES) + 1) * P)
    )
    return sum(terms, start=np.ones_like(x))


def order_parameters(z: Any, P: Populations) -> tuple[Triple, Any]:
    """The physical (y_s, y_a, mu) of `resolvent` at z in the upper half plane, and whether it was found.

    z and the cells of P have one shape. From the positive solution at -|z|, z turns on its circle to where it belongs;
    a step that leaves the half planes of the physical branch, or does not converge, is halved.
    """
    radius, turn = jnp.abs(z), jnp.angle(z) - jnp.pi
    start = solve(P._replace(unit=jnp.ones_like(radius), ridge=radius * P.inverse_psi_p))
    r_s, r_a = (1 / (1 + P.inverse_psi_n * value) for value in (start.E_s, P.q * start.F))
    first = tuple(value.astype(complex) for value in (start.G * r_s, (1 - P.q) * start.G * r_a, 1 / start.G))

    def body(carry: Any) -> Any:
        y, safe, reached, aim, tries, done, steps, before = carry
        last = aim >= 1
        new = newton(y, evaluate(y, jnp.where(last, z, radius * jnp.exp(1j * (jnp.pi + aim * turn))), P))
        moved = change(new, y)
        inside = functools.reduce(
            jnp.logical_and,
            (sign * jnp.imag(value) >= -ROUNDING * jnp.abs(value) for sign, value in zip((1, 1, -1), new, strict=True)),
        )
        # Close to z = 0 at p = nm rounding moves y by more than SETTLED: then the changes cease to shrink.
        settled = (moved < 10 * SETTLED) | ((moved < STALLED) & (moved > before / 2))
        success = inside & jnp.where(last, settled, moved < CLOSE)
        failure = ~success & (~inside | (tries > jnp.where(last, 20, 6)))  # a NaN is not inside
        safe = tuple(jnp.where(success, a, b) for a, b in zip(new, safe, strict=True))
        reached = jnp.where(success, aim, reached)
        aim = jnp.where(failure, (reached + aim) / 2, jnp.where(success, jnp.minimum(aim + STEP + 1e-3, 1), aim))
        following = (
            tuple(jnp.where(failure, a, b) for a, b in zip(safe, new, strict=True)),
            safe,
            reached,
            aim,
            jnp.where(success | failure, 0, tries + 1),
            success & last,
            steps + 1,
            moved,
        )
        return jax.tree.map(lambda a, b: jnp.where(done, a, b), carry, following)

    def unfinished(carry: Any) -> Any:
        return jnp.any(~carry[5] & (carry[6] < MAX_STEPS))

    zero = jnp.zeros_like(radius)
    carry = (first, first, zero, zero + STEP, zero, zero != 0, zero, zero)
    y, _, _, _, _, done, _, _ = jax.lax.while_loop(unfinished, body, carry)
    return y, done
