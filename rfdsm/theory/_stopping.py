"""When to stop: the best training time, the two time scales, and the best ridge to compare with (docs/training)."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from rfdsm._arguments import checked_variance, number_array
from rfdsm._hints import Number
from rfdsm._printing import Printed
from rfdsm._problem import FIELDS, Problem
from rfdsm._values import one_line
from rfdsm.theory._flow import Curves, Path, Slopes, curves, slopes
from rfdsm.theory._paths import mapped, paths
from rfdsm.theory._predict import predict
from rfdsm.theory._training import TOLERANCE, check_flow, minimiser

LOSSES = ("test", "score", "empirical_test")
FIRST, LAST = 1e-2, 1e10
"""Times searched begin and end at these over the largest eigenvalue of U, and end where ridge * time is PASSED."""
PASSED = 45.0
GRID = 192
"""Times on which minima and crossings are looked for: 16 a decade, at ridge = 0."""
MINIMA = 3
"""How many minima along a curve are refined, from the first on."""
FLAT = 1e-9
"""A curve that changes by less than this fraction of its value per e-fold of time is flat: its slope is rounding."""
SOON = 1e-6
"""Where a crossing before the first time is looked for, relative to it."""
BISECTIONS = 45
RIDGES = np.concatenate([[0.0], np.geomspace(1e-12, 1e4, 129)])
"""Ridges among which the best is bracketed, times psi_p."""
GOLDEN = (np.sqrt(5) - 1) / 2


class Stopping(Printed):
    """Early stopping of gradient flow: arrays of the problem's shape. Times are flow times theta."""

    time: Float[np.ndarray, "..."]
    """Where the loss is least; inf if it never rises again, or less than to its value at infinite time."""
    loss: Float[np.ndarray, "..."]
    """Loss at that time."""
    final: Float[np.ndarray, "..."]
    """Loss at infinite time."""
    generalisation_time: Float[np.ndarray, "..."]
    """tau_gen: when the loss has come within 5 % of the way from its start to its first minimum."""
    below_floor_time: Float[np.ndarray, "..."]
    """When empirical_test first falls below floor: from then on training points are denoised better than the true score
    would. inf if never. It marks the beginning of overfitting, soon after tau_gen."""
    memorisation_time: Float[np.ndarray, "..."]
    """tau_mem: when empirical_test first falls below min(floor, test - floor), too: from then on the learned score is
    nearer to the empirical score, which reproduces training points, than to the true one. inf if never."""
    ridge: Float[np.ndarray, "..."]
    """Ridge of least loss at infinite time, to compare with."""
    ridge_loss: Float[np.ndarray, "..."]
    """Loss at that ridge and infinite time."""
    converged: Bool[np.ndarray, "..."]
    """Whether all curves and fixed points behind it have; where not, values are NaN."""


def optimal_stopping(
    problem: Problem, minimise: str = "test", *, initial: Number = 0.0, tolerance: Number = 0.05
) -> Stopping:
    """Training time of gradient flow at which a loss is least, and the times at which it generalises and memorises.

    Minima and crossings are bracketed on 192 times from 0.01 over the largest eigenvalue of U to 45/ridge, but not
    beyond 1e10 over that eigenvalue, and refined to rounding by the exact curve and its exact derivative.

    Args:
        problem: one problem or a grid of them, with finite psi_p. Its ridge acts during training too.
        minimise: "test", "score" (least at the same time) or "empirical_test".
        initial: variance of the entries of A at time 0.
        tolerance: tau_gen is when loss <= minimum + tolerance (loss at time 0 - minimum), for the first minimum; a
            number between 0 and 1.

    Raises:
        ValueError: another loss, a tolerance out of range, and as `training_curve`.

    Source: docs/training, section 5; the two time scales are those of arXiv 2505.17638.

    Examples:
        >>> import numpy as np
        >>> from rfdsm import Problem, optimal_stopping
        >>> best = optimal_stopping(Problem(psi_n=4, psi_p=16, m=np.inf, t=0.1, ridge=0))
        >>> print(f"stop at {best.time:.2f}: {best.loss:.4f}; never: {best.final:.4f}; ridge: {best.ridge_loss:.4f}")
        stop at 0.32: 0.8325; never: 1.8439; ridge: 0.8363
    """
    if minimise not in LOSSES:
        raise ValueError(f"minimise = {one_line(minimise)} must be one of {', '.join(LOSSES)}")
    variance, share = checked_variance("initial", initial), number_array("tolerance", tolerance, "between 0 and 1")
    if share.ndim or not 0 < share < 1:
        raise ValueError(f"tolerance = {one_line(tolerance)} must be one number between 0 and 1")
    check_flow(problem)
    problems = paths(problem, variance, _latest)
    last = minimiser(problem, variance)
    final = np.asarray(getattr(last, minimise)).ravel()
    span = np.stack([FIRST / problems.extent, _latest(problems.extent, problems.ridge)], axis=1)
    shared = (share, np.array(LOSSES.index(minimise)))
    time, loss, crossings, settled = mapped(_search, problems, shared, (span, final))
    ridge, ridge_loss = optimal_ridge(problem, minimise)
    converged = settled & np.asarray(last.converged).ravel()
    values = [np.where(converged, x, np.nan).reshape(problem.shape) for x in (time, loss, final, *crossings.T)]
    return Stopping(*values, ridge, ridge_loss, converged.reshape(problem.shape))  # pyright: ignore[reportCallIssue]


def _latest(extent: np.ndarray, ridge: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.minimum(LAST / extent, PASSED / ridge)


def _search(path: Path, shared: Any, own: Any) -> tuple[Any, Any, Any, Any]:
    """Best time, its loss, the three crossings in their order in `Stopping`, and whether they converged.

    Of one problem; shared = (share, index of the loss), own = ((first, last time), loss at infinity).
    """
    (share, which), ((first, last), final) = shared, own

    def chosen(losses: Curves | Slopes) -> Any:
        return jax.tree.map(lambda *values: jnp.stack(values)[which], *(getattr(losses, name) for name in LOSSES))

    times = first * (last / first) ** jnp.linspace(0, 1, GRID)
    on_grid = curves(path, times)
    values, slope = chosen(on_grid), chosen(slopes(path, times))

    low, high = _minima(times, times * slope / jnp.maximum(jnp.abs(values.value), 1))
    found = jnp.isfinite(low)
    safe_low, safe_high = jnp.where(found, low, first), jnp.where(found, high, last)
    at = _bisect(lambda x: chosen(slopes(path, x)), safe_low, safe_high)
    at_minima = chosen(curves(path, jnp.append(at, 0.0))).value
    least, start = jnp.where(found, at_minima[:-1], jnp.inf), at_minima[-1]
    best = jnp.argmin(least)
    early = least[best] < final * (1 - FLAT * jnp.sign(final))
    time, loss = jnp.where(early, at[best], jnp.inf), jnp.where(early, least[best], final)

    goal = jnp.where(found[0], least[0], final)
    goal = goal + share * (start - goal)

    def margins(at: Curves) -> Any:
        """What is positive once it has generalised, fallen below the floor, memorised; (3, times)."""
        memory, floor = at.empirical_test.value, path.floor
        nearer = jnp.minimum(floor, at.test.value - floor)
        return jnp.stack([goal - chosen(at).value, floor - memory, nearer - memory])

    passed = margins(on_grid) > 0
    index = jnp.argmax(passed, axis=1)
    place = jnp.maximum(index, 1)
    before = jnp.where(index == 0, SOON * first, times[place - 1])
    crossing = _bisect(lambda x: jnp.diagonal(margins(curves(path, x))), before, times[place])
    crossing = jnp.where(jnp.any(passed, axis=1), crossing, jnp.inf)
    errors = (curve.error / jnp.maximum(jnp.abs(curve.value), 1) for curve in (values, on_grid.empirical_test))
    error = jnp.max(functools.reduce(jnp.maximum, errors))
    return time, loss, crossing, path.found & (error <= TOLERANCE)


def _minima(times: Any, slope: Any) -> tuple[Any, Any]:
    """Brackets (MINIMA,) of the first minima: the last time of clear descent and the next of clear ascent; or NaN."""
    sign = jnp.where(jnp.abs(slope) > FLAT, jnp.sign(slope), 0).astype(int)
    index = jnp.arange(times.size)
    previous = jax.lax.cummax(jnp.where(sign != 0, index, -1))  # last clear one, up to here
    before = jnp.concatenate([jnp.full(1, -1), previous[:-1]])
    turns = (sign > 0) & (before >= 0) & (sign[before] < 0)
    chosen = jnp.nonzero(turns, size=MINIMA, fill_value=-1)[0]
    found = chosen >= 0
    return jnp.where(found, times[before[chosen]], jnp.nan), jnp.where(found, times[chosen], jnp.nan)


def _bisect(function: Any, low: Any, high: Any) -> Any:
    """Where function, elementwise, turns from negative to positive between low and high, by bisection of log."""

    def halve(_: Any, bracket: Any) -> Any:
        low, high = bracket
        middle = jnp.sqrt(low * high)
        up = function(middle) > 0
        return jnp.where(up, low, middle), jnp.where(up, middle, high)

    low, high = jax.lax.fori_loop(0, BISECTIONS, halve, (low, high))
    return jnp.sqrt(low * high)


def optimal_ridge(problem: Problem, minimise: str) -> tuple[np.ndarray, np.ndarray]:
    """Ridge >= 0 of least loss at infinite time, and that loss, of the problem's shape; its own ridge is ignored.

    The best of a grid is refined by golden sections between its neighbours, all problems at once.
    """
    fields = {name: own.ravel() for name, own in zip(FIELDS, problem.broadcast(), strict=True)}

    def losses(ridge: np.ndarray) -> np.ndarray:
        batch = problem.at(**(fields | {"ridge": ridge}))
        return np.asarray(getattr(predict(batch), minimise))

    grid = RIDGES[:, None] * fields["psi_p"]
    values = losses(grid)
    best = np.argmin(np.where(np.isnan(values), np.inf, values), axis=0)
    low, high = (grid[np.clip(best + step, 1, len(grid) - 1), np.arange(best.size)] for step in (-1, 1))
    log_low, log_high = np.log(low), np.log(high)
    for _ in range(40):
        width = GOLDEN * (log_high - log_low)
        left, right = log_high - width, log_low + width
        right_is_less = losses(np.exp(right)) < losses(np.exp(left))
        log_low, log_high = np.where(right_is_less, left, log_low), np.where(right_is_less, log_high, right)
    inner = np.exp((log_low + log_high) / 2)
    least, on_grid = losses(inner), np.min(values, axis=0)
    ridge = np.where(least < on_grid, inner, grid[best, np.arange(best.size)])
    return ridge.reshape(problem.shape), np.minimum(least, on_grid).reshape(problem.shape)
