"""Roots and turning points of many functions of one variable at once.

A function is asked for at places of several lines together: `evaluate(line, place)` takes vectors and returns value,
slope, and the size below which rounding hides the value's sign (vectors, too). Unsolved places have value NaN.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Evaluate = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]

MOST_STEPS = 120
TURNING_WIDTH = 1e-9
"""A turning point is known well enough to tell whether the function reaches zero: its height errs by the square."""
LEAST_STEPS, CLEARLY = 3, 0.25
"""A search for a turning point near zero ends when, after some steps, tangents meet above that part of the value."""
SETTLED = 1e-9
"""A Newton step that small squares to rounding."""
SHIFT = 0.381966


class Brackets(NamedTuple):
    """Stretches of lines with values of opposite signs at their ends, one entry each."""

    line: np.ndarray
    low: np.ndarray
    high: np.ndarray
    at_low: np.ndarray
    at_high: np.ndarray


class Roots(NamedTuple):
    """Roots in order of line and place."""

    line: np.ndarray
    place: np.ndarray
    slope: np.ndarray
    residual: np.ndarray
    rising: np.ndarray


class Samples(NamedTuple):
    """Functions on a grid shared by all lines: places (G,), the others (lines, G)."""

    place: np.ndarray
    value: np.ndarray
    slope: np.ndarray
    rounding: np.ndarray


def sampled(evaluate: Evaluate, lines: int, low: float, high: float, points: int) -> Samples:
    """Values on a uniform grid whose inner points avoid the round numbers at which problems may be singular."""
    inner = low + (high - low) * (np.arange(1, points - 1) - SHIFT) / (points - 2)
    place = np.concatenate([[low], inner, [high]])
    parts = evaluate(np.repeat(np.arange(lines), points), np.tile(place, lines))
    return Samples(place, *(part.reshape(lines, points) for part in parts))


def bracket(evaluate: Evaluate, samples: Samples) -> Brackets:
    """Sign changes between grid points, and between a grid point and a turning point on the other side of zero.

    Two roots within one cell are seen by the slopes: the function approaches zero from either end.
    """
    place, value, slope, _ = samples
    unknown = np.isnan(value)
    clear = ~unknown & (np.abs(value) > samples.rounding)
    lines, points = value.shape
    column = np.arange(points)
    last = np.maximum.accumulate(np.where(clear, column, -1), axis=1)[:, :-1]  # nearest clear point to the left
    gaps = np.cumsum(unknown, axis=1)
    row = np.arange(lines)[:, None]
    joined = clear[:, 1:] & (last >= 0) & (gaps[:, 1:] == gaps[row, np.maximum(last, 0)])
    changes = joined & ((value[:, 1:] > 0) != (value[row, np.maximum(last, 0)] > 0))
    line, right = np.nonzero(changes)
    left, right = last[line, right], right + 1
    seen = Brackets(line, place[left], place[right], value[line, left], value[line, right])

    side = np.sign(value)
    falls, rises = (side * slope < 0)[:, :-1], (side * slope > 0)[:, 1:]
    hidden = clear[:, :-1] & clear[:, 1:] & (side[:, :-1] == side[:, 1:]) & falls & rises
    line, left = np.nonzero(hidden)
    towards = side[line, left]

    def slopes(which: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        v, s, _ = evaluate(line[which], x)
        return v, s * towards[which], v * towards[which] < 0

    ends = (place[left], place[left + 1], slope[line, left] * towards, slope[line, left + 1] * towards)
    heights = (np.abs(value[line, left]), np.abs(value[line, left + 1]))
    x, v, crossed = turning_points(slopes, *ends, TURNING_WIDTH, heights)
    before = Brackets(line, place[left], x, value[line, left], v)
    behind = Brackets(line, x, place[left + 1], v, value[line, left + 1])
    pairs = [Brackets(*(part[crossed] for part in half)) for half in (before, behind)]
    whole = Brackets(*(np.concatenate(parts) for parts in zip(seen, *pairs, strict=True)))
    order = np.lexsort((whole.low, whole.line))
    return Brackets(*(part[order] for part in whole))


def turning_points(
    slopes: Evaluate,
    low: np.ndarray,
    high: np.ndarray,
    at_low: np.ndarray,
    at_high: np.ndarray,
    width: float,
    heights: tuple[np.ndarray, np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where a slope, negative at the low and positive at the high end, changes sign.

    `slopes(which, place)` returns value, slope and whether to stop there. Secant steps with Illinois' weights, every
    third a bisection: the slope may jump. Given the values' sizes at the ends, only turning points near zero are
    sought: the search ends where the tangents of a bracket, above which a convex function stays, meet clearly above 0.

    Returns places, values, and where it was told to stop.
    """
    low, high, at_low, at_high = (np.array(part, float) for part in (low, high, at_low, at_high))
    bottom, top = (np.array(part, float) for part in heights or (low, high))
    true_low, true_high = at_low.copy(), at_high.copy()  # Illinois' weights change the others
    x, value, stopped = (low + high) / 2, np.full(low.shape, np.nan), np.zeros(low.shape, bool)
    last = np.zeros(low.shape)
    active = np.arange(low.size)
    for step in range(MOST_STEPS):
        if not active.size:
            break
        a, b, at_a, at_b = low[active], high[active], at_low[active], at_high[active]
        middle = (a + b) / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            secant = (a * at_b - b * at_a) / (at_b - at_a)
        inside = np.isfinite(secant) & (step % 3 != 2)
        # Not closer to an end than the width asked for: the next point then closes the bracket from the other side.
        x[active] = np.where(inside, np.clip(secant, a + width / 2, b - width / 2), middle)
        value[active], slope, stopped[active] = slopes(active, x[active])
        right = slope > 0
        left = slope < 0  # neither: the turning point itself, or a singular place
        low[active] = np.where(left, x[active], a)
        high[active] = np.where(right, x[active], b)
        at_low[active] = np.where(left, slope, np.where(right & (last[active] > 0), at_a / 2, at_a))
        at_high[active] = np.where(right, slope, np.where(left & (last[active] < 0), at_b / 2, at_b))
        last[active] = np.where(right, 1.0, -1.0)
        small = high[active] - low[active] <= width
        if heights is not None:
            size = np.abs(value[active])
            bottom[active], top[active] = np.where(left, size, bottom[active]), np.where(right, size, top[active])
            true_low[active] = np.where(left, slope, true_low[active])
            true_high[active] = np.where(right, slope, true_high[active])
            gap, s_low, s_high = high[active] - low[active], true_low[active], true_high[active]
            meet = (bottom[active] * s_high - top[active] * s_low + s_low * s_high * gap) / (s_high - s_low)
            small |= (step >= LEAST_STEPS) & (meet > CLEARLY * np.minimum(bottom[active], top[active]))
        active = active[~(stopped[active] | small | (~left & ~right))]
    return x, value, stopped


def solve(evaluate: Evaluate, polish: Evaluate, brackets: Brackets) -> Roots:
    """The root in every bracket: Newton's method, which gives way to bisection where it leaves the bracket or is slow.

    `polish` is evaluated once, at the end, for the last correction and the residual. A sign change without a root, as
    at a pole, is left out.
    """
    line, low, high, at_low, at_high = brackets
    low, high = low.copy(), high.copy()
    upwards = at_high > 0
    with np.errstate(invalid="ignore"):
        start = low + (high - low) * at_low / (at_low - at_high)
    x = np.where(np.isfinite(start), start, (low + high) / 2)
    before = high - low
    active = np.arange(line.size)
    for _ in range(MOST_STEPS):
        if not active.size:
            break
        value, slope, _ = evaluate(line[active], x[active])
        above = (value > 0) == upwards[active]
        high[active] = np.where(above, x[active], high[active])
        low[active] = np.where(above, low[active], x[active])
        with np.errstate(divide="ignore", invalid="ignore"):
            step = -value / slope
        new, middle = x[active] + step, (low[active] + high[active]) / 2
        good = (new >= low[active]) & (new <= high[active]) & (np.abs(step) <= before[active] / 2)
        new = np.where(good, new, middle)
        change = np.abs(new - x[active])
        before[active] = np.where(good, np.abs(step), high[active] - low[active])
        x[active] = new
        spacing = 4 * np.spacing(np.maximum(np.abs(new), 1))
        active = active[~((good & (change <= SETTLED)) | (high[active] - low[active] <= spacing))]
    value, slope, _ = polish(line, x)
    with np.errstate(divide="ignore", invalid="ignore"):
        step = -value / slope
    x = x + np.where(np.abs(step) <= 1e3 * SETTLED, step, 0.0)
    real = np.abs(value) < np.maximum(np.abs(at_low), np.abs(at_high))
    found = Roots(line, x, slope, np.abs(value), np.where(upwards, 1, -1))
    return Roots(*(part[real] for part in found))
