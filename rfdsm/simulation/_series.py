"""How many Hermite terms the exact moments of a simulation need, from the law of the correlations between features."""

import math
import warnings
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from rfdsm.activations import Activation
from rfdsm.activations._rules import TERMS, Choice, choose
from rfdsm.schedules import Level

TOLERANCE = {"float64": 1e-9, "float32": 1e-6}
"""Bound on the relative error that the remainder makes in the losses; it really makes some hundred times less."""


def conditional_choice(activation: Activation, d: int, p: int, level: Level, mean_square: float, dtype: str) -> Choice:
    """For moments given the points, of which |x_i|^2/d has this mean."""
    most = math.sqrt(level.h * _quantile(1 - 1e-3 / p, float(d)))
    return choose(activation, level.a * math.sqrt(mean_square), most, sizes(float(d), p), TOLERANCE[dtype])


def population_choice(activation: Activation, p: int, level: Level, eigenvalues: Float[np.ndarray, " d"]) -> Choice:
    """For moments over the population; eigenvalues of Sigma."""
    variance, effective = effective_dimension(level.a**2 * eigenvalues + level.h)
    most = math.sqrt(variance * _quantile(1 - 1e-3 / p, effective))
    return choose(activation, 0.0, most, sizes(effective, p), TOLERANCE["float64"])


def effective_dimension(variances: Float[np.ndarray, " d"]) -> tuple[float, float]:
    """Mean and (sum)^2/(sum of squares): a weighted sum of squares of normals has the spread of one of that many."""
    return float(np.mean(variances)), float(np.sum(variances) ** 2 / np.sum(variances**2))


def _quantile(q: float, degrees: float) -> float:
    """Of the mean of that many squared standard normals."""
    from scipy.special import gammaincinv  # loaded on use: importing the package stays cheap

    return float(2 * gammaincinv(degrees / 2, q) / degrees)


@lru_cache
def sizes(d: float, p: int) -> tuple[float, ...]:
    """Norms of the p x p matrices of rho^r off the diagonal, for r = 0, 1, ..., rho the cosine of random directions.

    Even powers have a mean, which makes a norm of p E rho^r. Odd ones are of random sign: a norm of
    2 (p E rho^2r)^(1/2), doubled for safety. E|rho|^r = Gamma((r + 1)/2) Gamma(d/2)/(Gamma(1/2) Gamma((r + d)/2)).
    """
    from scipy.special import gammaln

    r = np.arange(TERMS[-1] + 2)

    def moment(power: np.ndarray) -> np.ndarray:
        half = power / 2
        return np.exp(gammaln(half + 0.5) - gammaln(0.5) + gammaln(d / 2) - gammaln(half + d / 2))

    coherent = p * moment(r)
    return tuple(np.where(r % 2, np.minimum(coherent, 4 * np.sqrt(p * moment(2 * r))), coherent).tolist())


def warn_if_inexact(choices: list[Choice], activation: Activation, d: int, dtype: str) -> None:
    """A RuntimeWarning where even the longest series is not exact: kinked activations in very few dimensions."""
    error = max(choice.error for choice in choices)
    if error > 10 * TOLERANCE[dtype]:
        warnings.warn(
            f"test errors of activation {activation.name!r} at d = {d} are exact to {error:.1g} only, relative: "
            "features in so few dimensions are nearly parallel; take a larger d",
            RuntimeWarning,
            stacklevel=4,
        )
