"""Finite-size deviations of order 1/d, extrapolated to d = infinity."""

import dataclasses

import numpy as np
from jaxtyping import Float

ROUNDING = 1e-20
"""Losses this small are rounding: residuals of 1e-10 where the targets are of order one."""


@dataclasses.dataclass(frozen=True)
class Extrapolation:
    """Fit of deviation = intercept + slope/d over the dimensions, weighted by the standard errors.

    All arrays have shape (losses, *problem.shape). The intercept is the deviation of simulation from theory in the
    limit d -> infinity; `z` is the intercept over its standard error.
    """

    intercept: Float[np.ndarray, "..."]
    error: Float[np.ndarray, "..."]
    slope: Float[np.ndarray, "..."]
    slope_error: Float[np.ndarray, "..."]

    @property
    def z(self) -> Float[np.ndarray, "..."]:
        """Extrapolated deviation in standard errors."""
        return z_score(self.intercept, self.error)


def fit(x: np.ndarray, y: np.ndarray, error: np.ndarray) -> Extrapolation:
    """Weighted straight-line fit along axis 1; NaN where any point is."""
    with np.errstate(divide="ignore", invalid="ignore"):  # errors of exactly zero
        weight = 1 / error**2
        total = np.sum(weight, axis=1)
        centre = np.sum(weight * x, axis=1) / total
        spread = np.sum(weight * (x - centre[:, None]) ** 2, axis=1)
        slope = np.sum(weight * (x - centre[:, None]) * y, axis=1) / spread
        intercept = np.sum(weight * y, axis=1) / total - slope * centre
        return Extrapolation(intercept, np.sqrt(1 / total + centre**2 / spread), slope, np.sqrt(1 / spread))


def z_score(deviation: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Deviation in standard errors; NaN where both are rounding of a loss that vanishes, which tells nothing."""
    return relative(deviation, error)


def relative(deviation: np.ndarray, theory: np.ndarray) -> np.ndarray:
    """Deviation relative to theory; NaN where both are rounding of a loss that vanishes."""
    vanishes = (np.abs(deviation) <= ROUNDING) & (np.abs(theory) <= ROUNDING)
    return np.where(vanishes, np.nan, ratio(deviation, theory))


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Quotient with 0/0 = nan and no warnings."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(numerator / denominator)
