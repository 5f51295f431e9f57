"""Minima of many smooth functions within boxes at once: projected BFGS with exact gradients.

All functions have the same few variables. Each has its own approximation of the inverse Hessian, its own step length
and its own set of bounds that hold it; one evaluation of the batch serves all that are still on their way.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Evaluate = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""(which functions, places (N, K)) -> values (N,), gradients (N, K)."""

MOST_STEPS = 200
MOST_IDLE = 5
"""Steps in a row without a visible fall of the value."""
STATIONARY = 1e-9
"""Largest component of the projected gradient, relative to the value, that ends the search."""
ACCEPTED = 1e-6
"""The same where rounding of the value allows no further progress."""
SUFFICIENT = 1e-4
LONGEST = 2.0
FIRST = 0.3
SHORTEST = 1e-9
"""Steps below which a search is given up: the value changes by their square."""
ROUNDING = 1e-15


class Minima(NamedTuple):
    """Where the searches ended, with value, gradient, and whether the projected gradient vanishes there."""

    place: np.ndarray
    value: np.ndarray
    gradient: np.ndarray
    converged: np.ndarray


def descend(evaluate: Evaluate, start: np.ndarray, low: np.ndarray, high: np.ndarray, pinned: np.ndarray) -> Minima:
    """Local minima from the given places (N, K) within low <= place <= high; pinned variables (N, K) stay.

    Places at which the value is not finite are never moved to.
    """
    place = np.where(pinned, start, np.clip(start, low, high))
    which = np.arange(len(place))
    value, gradient = evaluate(which, place)
    size = place.shape[1]
    unit = np.eye(size)
    inverse = np.tile(unit, (len(place), 1, 1))
    fresh = np.ones(len(place), bool)
    stuck = np.zeros(len(place), bool)
    idle = np.zeros(len(place), int)
    held = _held(place, gradient, low, high, pinned)
    for _ in range(MOST_STEPS):
        active = np.flatnonzero(~stuck & (_projected(gradient, held) > STATIONARY * np.abs(value)))
        if not active.size:
            break
        g = np.where(held[active], 0.0, gradient[active])
        direction = -np.einsum("nij,nj->ni", inverse[active], g)
        direction = np.where(held[active], 0.0, direction)
        uphill = np.sum(direction * g, axis=1) >= 0
        again = fresh[active] | uphill
        inverse[active[again]] = unit
        norm = np.maximum(np.max(np.abs(g), axis=1), 1e-300)[:, None]
        direction = np.where(again[:, None], -g / norm * FIRST, direction)
        longest = np.max(np.abs(direction), axis=1)[:, None]
        direction *= np.minimum(1, LONGEST / np.maximum(longest, 1e-300))

        new, at_new, slope_at_new, moved = _searched(evaluate, active, place, value, g, direction, low, high, held)
        # No progress along BFGS' direction: once more along the gradient, then that is it.
        stuck[active] = ~moved & again
        idle[active] = np.where(at_new < value[active] - ROUNDING * np.abs(value[active]), 0, idle[active] + 1)
        stuck |= idle > MOST_IDLE
        fresh[active] = ~moved
        done = active[moved]
        with np.errstate(invalid="ignore"):
            step = np.where(held[done], 0.0, new[moved] - place[done])
        change = np.where(held[done], 0.0, slope_at_new[moved] - gradient[done])
        scaled = again[moved]
        place[done], value[done], gradient[done] = new[moved], at_new[moved], slope_at_new[moved]
        inverse[done] = _updated(inverse[done], step, change, scaled)
        before = held[done]
        held[done] = _held(place[done], gradient[done], low[done], high[done], pinned[done])
        fresh[done] |= np.any(held[done] != before, axis=1)
    left = _projected(gradient, held)
    converged = np.isfinite(value) & (left <= ACCEPTED * np.abs(value))
    return Minima(place, value, gradient, converged)


def _held(place: Any, gradient: Any, low: Any, high: Any, pinned: Any) -> np.ndarray:
    """Variables that a bound keeps from going downhill, and the pinned ones."""
    return pinned | ((place <= low) & (gradient > 0)) | ((place >= high) & (gradient < 0))


def _projected(gradient: np.ndarray, held: np.ndarray) -> np.ndarray:
    return np.max(np.abs(np.where(held | np.isnan(gradient), 0.0, gradient)), axis=1, initial=0.0)


def _searched(
    evaluate: Evaluate,
    active: np.ndarray,
    place: np.ndarray,
    value: np.ndarray,
    g: np.ndarray,
    direction: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    held: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Backtracking along the projected path until the value falls enough; the last entry says where it did."""
    at, best = place[active], value[active].copy()
    new, slope = at.copy(), np.full(at.shape, np.nan)
    moved = np.zeros(active.size, bool)
    alpha = np.ones(active.size)
    todo = np.arange(active.size)
    while todo.size:
        trial = at[todo] + alpha[todo, None] * direction[todo]
        trial = np.where(held[active[todo]], at[todo], np.clip(trial, low[active[todo]], high[active[todo]]))
        found, turned = evaluate(active[todo], trial)
        with np.errstate(invalid="ignore"):  # variables pinned at -inf, the logarithm of no ridge, do not move
            step = np.where(held[active[todo]], 0.0, trial - at[todo])
        predicted = np.sum(g[todo] * step, axis=1)
        enough = np.isfinite(found) & (found <= value[active[todo]] + SUFFICIENT * predicted) & (predicted < 0)
        # Where rounding of the value hides whether it falls, the gradient tells.
        level = np.isfinite(found) & (found <= value[active[todo]] * (1 + ROUNDING))
        enough |= level & (_projected(turned, held[active[todo]]) < _projected(g[todo], held[active[todo]]) / 2)
        enough &= np.all(np.isfinite(turned) | held[active[todo]], axis=1)
        chosen = todo[enough]
        new[chosen], best[chosen], slope[chosen], moved[chosen] = trial[enough], found[enough], turned[enough], True
        rest = ~enough
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            curvature = found[rest] - value[active[todo[rest]]] - predicted[rest]
            shrink = -predicted[rest] / (2 * curvature)
        shrink = np.where(np.isfinite(shrink), np.clip(shrink, 0.1, 0.5), 0.1)
        todo = todo[rest]
        alpha[todo] *= shrink
        todo = todo[alpha[todo] * np.max(np.abs(direction[todo]), axis=1, initial=0.0) > SHORTEST]
    return new, best, slope, moved


def _updated(inverse: np.ndarray, step: np.ndarray, change: np.ndarray, scaled: np.ndarray) -> np.ndarray:
    """BFGS' update of the inverse Hessians where the curvature is positive; first scaled to it where they are new."""
    along = np.sum(step * change, axis=1)
    bent = np.sum(change**2, axis=1)
    good = along > 1e-14 * np.sqrt(np.sum(step**2, axis=1) * bent)
    safe = np.where(good, along, 1.0)
    scale = np.where(scaled & good, along / np.where(bent > 0, bent, 1.0), 1.0)
    inverse = inverse * scale[:, None, None]
    identity = np.eye(step.shape[1])
    left = identity - step[:, :, None] * change[:, None, :] / safe[:, None, None]
    updated = left @ inverse @ np.swapaxes(left, 1, 2) + step[:, :, None] * step[:, None, :] / safe[:, None, None]
    return np.where(good[:, None, None], updated, inverse)
