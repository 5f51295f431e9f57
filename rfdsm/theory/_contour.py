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
from typing import NamedTuple

import numpy as np

DIGITS, MORE_DIGITS = 26.0, 32.0
"""Natural logarithm of what the trapezoidal rule reduces errors by; more for integrands that decay slowly."""
SHIFTS = 2 * np.arange(6) + 1
"""Of the factors of the product, in units of P; the next is 1 to rounding, whatever P >= 1 is."""


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
        (-1) ** j * (np.log1p(np.exp(-2 * (x + a))) - np.log1p(np.exp(2 * (x - a)))) for j, a in enumerate(SHIFTS * P)
    )
    return sum(terms, start=x)


def _slope(x: np.ndarray, P: float) -> np.ndarray:
    """d log z/dx."""
    terms = (
        (-1) ** j * -2 * (1 / (1 + np.exp(2 * (x + a))) + 1 / (1 + np.exp(-2 * (x - a))))
        for j, a in enumerate(SHIFTS * P)
    )
    return sum(terms, start=np.ones_like(x))
