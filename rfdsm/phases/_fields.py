"""The signed fields that divide parameter space into regimes, from losses or from their derivatives.

    memorisation   = min(floor, test - floor) - empirical_test
    point_fitting  = floor - empirical_test      the training points are denoised better than the true score can
    noise_fitting  = floor - train               the draws of the noise are
    harmful        = test - null                 worse than a network that outputs zero

All are positive inside, smooth but for the kink of the minimum, and change sign where a regime begins. In units of
`Asked.score_unit`, empirical_test is the squared distance of the learned score from the empirical one, that of the
training points; test - floor that of the learned score from the true one; floor that of the true score from the
empirical one. So a network memorises where its score is nearer to the empirical score than to the true one, and nearer
than the true one.
"""

from typing import Any

import numpy as np

from rfdsm._problem import Problem
from rfdsm.losses import Losses

NAMES = (*Losses.NAMES, *Losses.BOUNDS)
"""Losses that fields are made of."""
EPS = float(np.finfo(np.float64).eps)
NEARER = "min(floor, test - floor)"
"""What empirical_test is measured against for memorisation."""
_SIDES = {
    "memorisation": (NEARER, "empirical_test"),
    "noise_fitting": ("floor", "train"),
    "harmful": ("test", "null"),
    "point_fitting": ("floor", "empirical_test"),
}
"""Each field is the first minus the second."""
SIGNED = tuple(_SIDES)
"""Names of the signed fields."""
LONG_NAMES = {field: " - ".join(sides) for field, sides in _SIDES.items()} | {
    "memorisation_index": "1 - empirical_test/floor",
    "generalisation_index": "(null - test)/(null - floor)",
}


def of(losses: Losses, problem: Problem) -> dict[str, Any]:
    """Losses of a problem, by name, with `excess`."""
    return with_excess({name: getattr(losses, name) for name in NAMES}, problem.asked.score_unit)


def with_excess(losses: dict[str, Any], score_unit: Any) -> dict[str, Any]:
    """Losses by name with `excess` = test - floor, without cancellation where the score error is known."""
    losses = {name: np.asarray(value, np.float64) for name, value in losses.items()}
    difference = np.subtract(losses["test"], losses["floor"])
    exact = losses["score"] / score_unit
    return losses | {"excess": np.where(np.isnan(losses["score"]), difference, exact)}


def _sides(field: str, losses: dict[str, Any]) -> tuple[Any, Any]:
    first, second = _SIDES[field]
    return np.minimum(losses["floor"], losses["excess"]) if first == NEARER else losses[first], losses[second]


def value(field: str, losses: dict[str, Any]) -> np.ndarray:
    """A signed field of losses that went through `with_excess`."""
    first, second = _sides(field, losses)
    with np.errstate(invalid="ignore"):  # inf - inf at p = nm without ridge
        return np.asarray(first - second)


def signed(losses: dict[str, Any]) -> dict[str, np.ndarray]:
    """All of them."""
    return {field: value(field, losses) for field in SIGNED}


def expanded(field: str, losses: dict[str, Any], slopes: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`value`, its derivative from those of the losses, and the size below which rounding hides its sign."""
    first, second = _SIDES[field]
    if first == NEARER:
        excess = losses["excess"] < losses["floor"]
        slopes = slopes | {NEARER: np.where(excess, slopes["test"] - slopes["floor"], slopes["floor"])}
    size = np.add(*_sides(field, losses))
    return value(field, losses), np.asarray(slopes[first] - slopes[second]), np.asarray(8 * EPS * size)


def indices(losses: dict[str, Any]) -> dict[str, np.ndarray]:
    """Continuous measures: 1 where memorised perfectly, and 1 where as good as the true score, 0 where as the floor
    or as a network that outputs zero."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "memorisation_index": np.asarray(1 - losses["empirical_test"] / losses["floor"]),
            "generalisation_index": np.asarray((losses["null"] - losses["test"]) / (losses["null"] - losses["floor"])),
        }
