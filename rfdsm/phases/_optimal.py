"""The best ridge, width, time, … of every problem of a family: exact gradients through the fixed point."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
import xarray as xr
from jaxtyping import Bool, Float

from rfdsm import datasets
from rfdsm._problem import Problem, check_problem
from rfdsm._values import one_line
from rfdsm.losses import Losses
from rfdsm.phases._best_target import by_target
from rfdsm.phases._descent import Minima, descend
from rfdsm.phases._lines import along_lines, check_times, checked_bounds, checked_name, replaced
from rfdsm.phases._response import NAMES, Family
from rfdsm.theory._predict import predict

BOUNDS = {"psi_n": (1e-2, 1e3), "psi_p": (1e-2, 1e3), "m": (1.0, np.inf), "t": (1e-3, 5.0), "ridge": (0.0, 1e5)}
"""Where optima are looked for unless bounds are given."""
_POSITIVE: tuple[str, Any, Any] = ("ascending, > 0 and finite", lambda x: x > 0, np.isfinite)
_WHOLE = "ascending, integers >= 1 (the upper may be inf)"
_ENDS: dict[str, tuple[str, Any, Any]] = {
    "m": (_WHOLE, lambda x: x >= 1 and x == np.round(x), lambda x: np.isinf(x) or x == np.round(x)),
    "ridge": ("ascending, >= 0 and finite", lambda x: x >= 0, np.isfinite),
}
"""What bounds may be, in words, and tests of the lower and the upper one; of other fields `_POSITIVE`."""
SMALLEST_RIDGE = 1e-12
"""Bounds of the ridge that start at 0 are searched from here, and 0 itself is tried besides."""
DRAWS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128, 512, 4096)
"""Numbers of noise draws that the coarse grid holds, those within the bounds."""
POINTS = {1: 49, 2: 17, 3: 9, 4: 7, 5: 5}
"""Points of the coarse grid in each direction, by the number of fields."""
STARTS = 4
"""Local minima of the coarse grid from which the descent starts, the lowest ones of each line."""
CELLS = 2**18
"""Cells of the coarse grid handled together: bounds memory."""
AT_BOUND = 1e-9


@dataclasses.dataclass(frozen=True)
class Optimum:
    """The best values of some fields on every line of a family; arrays of the lines' shape."""

    over: tuple[str, ...]
    minimise: str
    bounds: dict[str, tuple[float, float]]
    lines: Problem
    """One cell for each line; its values of the optimised fields mean nothing."""
    values: dict[str, Any]
    """The best value of each field, an array; names of targets."""
    minimum: Float[np.ndarray, "*lines"]
    """The loss there."""
    at_bound: dict[str, Any]
    """Whether a value lies at its lower (-1) or upper (1) bound, or inside (0)."""
    gradient: dict[str, Float[np.ndarray, "*lines"]]
    """Derivative of the loss by the logarithm of each field (for m: by 1/m): 0 unless at a bound or an integer."""
    converged: Bool[np.ndarray, "*lines"]
    """Whether the gradient vanishes in all continuous directions that no bound blocks."""
    losses: Losses
    """All losses at the optimum."""
    solves: int
    """Fixed points solved, each with the gradient in all directions."""
    targets: dict[str, "Optimum"] = dataclasses.field(default_factory=dict)
    """Where the target was chosen: the optimum of each."""

    def __getitem__(self, name: str) -> Any:
        """The best value of a field."""
        return self.values[name]

    @property
    def problem(self) -> Problem:
        """The family at its optimum. Raises ValueError where the target was chosen: a problem has one."""
        if self.targets:
            raise ValueError("problems of different targets are several: see targets[NAME].problem")
        return replaced(self.lines, self.values)

    def to_dataset(self) -> xr.Dataset:
        """As a labelled dataset over the lines."""
        over = datasets.dims(self.lines)
        coords = {name: value for name, value in datasets.coordinates(self.lines).items() if name not in self.over}
        variables: dict[str, Any] = {}
        for name, one in self.targets.items():
            label = f"least score error of the {name} target"
            variables[f"score_{name}"] = datasets.variable("", over, one.minimum, label)
        for name in self.over:
            if name == "target":
                variables["best_target"] = (over, self.values[name], {"long_name": "target of least score error"})
                continue
            variables[f"best_{name}"] = datasets.variable("", over, self.values[name], f"best {name}")
            label = "-1: at the lower bound, 1: at the upper, 0: inside"
            variables[f"at_bound_{name}"] = datasets.variable("", over, self.at_bound[name], label)
            label = f"derivative of {self.minimise} by {'1/m' if name == 'm' else f'log {name}'}"
            variables[f"gradient_{name}"] = datasets.variable("", over, self.gradient[name], label)
        for name in (*Losses.NAMES, *Losses.BOUNDS):
            variables[name] = datasets.variable(name, over, getattr(self.losses, name))
        variables["converged"] = datasets.variable("", over, self.converged, "gradient vanishes inside the bounds")
        configuration = {"over": list(self.over), "minimise": self.minimise, "bounds": self.bounds}
        attrs = datasets.provenance(self.lines, **configuration)
        return xr.Dataset(variables, coords=coords, attrs=attrs | {"title": f"Optima of {self.minimise}"})


class _Candidates(NamedTuple):
    """Places to start from or ended at: line (N,), place (N, K), pinned (N, K)."""

    line: np.ndarray
    place: np.ndarray
    pinned: np.ndarray

    def at(self, column: int, values: np.ndarray) -> "_Candidates":
        """The same, one variable pinned at these values."""
        place, pinned = self.place.copy(), self.pinned.copy()
        place[:, column], pinned[:, column] = values, True
        return _Candidates(self.line, place, pinned)


def optimal(
    problem: Problem, over: Any = ("ridge",), minimise: Any = None, *, bounds: Any = None, targets: Any = None
) -> Optimum:
    """The values of one or several fields that minimise a loss, on every line that the other fields span.

    The losses have several minima, so a coarse grid within the bounds gives the starts (its lowest local minima); from
    there a batched BFGS method with exact gradients through the fixed point descends in the logarithms of the
    fields. m is real on the way (theory takes any 1/m), then the integers on both sides of the optimum are tried, and
    so is each start's own. Where the ridge may be 0, the limit ridge = 0 is tried besides.

    Args:
        problem: one problem or a grid of them; its values of the optimised fields are not used.
        over: names of fields among "ridge", "psi_p", "psi_n", "t", "m", or one name; "target" besides, or alone,
            chooses the target, too.
        minimise: "test" (the default), "score", "empirical_test" or "train"; of targets only "score" can be compared.
        bounds: mapping from field to (low, high), in place of ridge (0, 1e5), psi_n and psi_p (1e-2, 1e3), t (1e-3, 5)
            (of another schedule its span), m (1, inf).
        targets: names or objects to choose among, with "target"; default noise, data, velocity, flow and edm.

    Returns:
        `Optimum`; where a loss only improves towards a bound the optimum lies there, and `at_bound` says so.

    Raises:
        ValueError: unknown, repeated or no names, bounds out of range or crossing, a traced problem.

    Examples:
        >>> from rfdsm import Problem, optimal
        >>> best = optimal(Problem(psi_n=8, psi_p=16, m=[1, 4], t=0.1, ridge=0), over="ridge")
        >>> best["ridge"].round(4), best.minimum.round(4)
        (array([3.1479, 1.3978]), array([0.8895, 0.8469]))
    """
    check_problem(problem)
    if over == "target" or (isinstance(over, list | tuple) and "target" in over):
        return _best_target(problem, over, minimise, bounds, targets)
    if targets is not None:
        raise ValueError(f"targets = {one_line(targets)} needs over = 'target'")
    minimise = "test" if minimise is None else minimise
    names, limits = _checked(over, bounds, problem)
    loss = NAMES.index(checked_name("minimise", minimise, Losses.NAMES))
    lines = along_lines(problem, names)
    family = Family(lines, names)
    family.check_times(limits["t"] if "t" in names else lines.t)
    low, high = (np.array([_coordinate(name, limits[name][end]) for name in names]) for end in (0, 1))
    low, high = np.minimum(low, high), np.maximum(low, high)  # 1/m falls as m grows
    count = int(np.prod(lines.shape))
    axes = [_axis(name, limits[name], a, b, len(names)) for name, a, b in zip(names, low, high, strict=True)]
    block = max(1, CELLS // int(np.prod([axis.size for axis in axes])))
    starts = [_starts(family, loss, axes, range(s, min(s + block, count))) for s in range(0, count, block)]
    candidates = _joined(*starts)

    def descended(some: _Candidates) -> tuple[_Candidates, Any]:
        def evaluate(which: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            values, slopes = family(some.line[which], places)
            return values[loss], slopes[loss].T

        lowest, highest = (np.broadcast_to(bound, some.place.shape) for bound in (low, high))
        found = descend(evaluate, some.place, lowest, highest, some.pinned)
        return _Candidates(some.line, found.place, some.pinned), found

    if "m" in names:
        column = names.index("m")
        relaxed, _ = descended(candidates)
        with np.errstate(divide="ignore"):
            draws = 1 / relaxed.place[:, column]
        near = (np.floor(draws), np.ceil(draws), np.full(draws.shape, limits["m"][1]))
        whole = [relaxed.at(column, 1 / np.clip(values, *limits["m"])) for values in near]
        candidates = _joined(candidates.at(column, candidates.place[:, column]), *whole)
    ended, found = descended(candidates)
    if "ridge" in names and limits["ridge"][0] == 0:
        without, best = descended(ended.at(names.index("ridge"), np.full(ended.line.size, -np.inf)))
        ended, found = _joined(without, ended), _joined(best, found)
    order = np.lexsort((np.nan_to_num(found.value, nan=np.inf), ended.line))
    first = order[np.searchsorted(ended.line[order], np.arange(count))]
    return _optimum(names, minimise, limits, family, Minima(*(part[first] for part in found)))


def _joined(*parts: Any) -> Any:
    """Named tuples of arrays, one behind the other."""
    return jax.tree.map(lambda *values: np.concatenate(values), *parts)


def _best_target(problem: Problem, over: Any, minimise: Any, bounds: Any, targets: Any) -> Optimum:
    """The target of least score error, each with its own best values of the other fields."""
    if minimise not in (None, "score"):
        raise ValueError(f"minimise = {one_line(minimise)} must be 'score': losses of targets have different units")
    rest = () if isinstance(over, str) else tuple(name for name in over if name != "target")
    found = {
        name: optimal(own, rest, "score", bounds=bounds) if rest else _as_it_is(own)
        for name, own in by_target(problem, targets).items()
    }
    several = list(found.values())
    best = np.argmin([np.nan_to_num(one.minimum, nan=np.inf) for one in several], axis=0)

    def chosen(field: str) -> Any:
        def best_of(*values: Any) -> np.ndarray:
            stacked = np.stack([np.broadcast_to(value, best.shape) for value in values])
            return np.asarray(np.take_along_axis(stacked, best[None], axis=0)[0])

        return jax.tree.map(best_of, *(getattr(one, field) for one in several))

    return dataclasses.replace(
        several[0],
        over=("target", *rest),
        values={"target": np.asarray(np.array(list(found))[best])} | chosen("values"),
        **{field: chosen(field) for field in ("minimum", "at_bound", "gradient", "converged", "losses")},
        solves=sum(one.solves for one in several),
        targets=found,
    )


def _as_it_is(problem: Problem) -> Optimum:
    losses = predict(problem)
    minimum, converged = np.asarray(losses.score), np.asarray(losses.converged)
    return Optimum((), "score", {}, problem, {}, minimum, {}, {}, converged, losses, minimum.size)


def _checked(over: Any, bounds: Any, problem: Problem) -> tuple[tuple[str, ...], dict[str, tuple[float, float]]]:
    names = (over,) if isinstance(over, str) else tuple(over) if isinstance(over, list | tuple) else (over,)
    allowed = tuple(BOUNDS)
    if not names:
        raise ValueError(f"over = {over!r} is empty: must name some of {', '.join(allowed)}")
    for name in names:
        checked_name("over", name, allowed)
    if len(set(names)) < len(names):
        raise ValueError(f"over = {one_line(over)} must name no field twice")
    if bounds is not None and not isinstance(bounds, Mapping):
        raise ValueError(f"bounds = {one_line(bounds)} must map fields to pairs, as in {{'ridge': (1e-6, 1)}}")
    for name in bounds or {}:
        if name not in names:
            raise ValueError(f"bounds of {name!r}: must be of a field that is optimised, one of {', '.join(names)}")
    usual = BOUNDS | {"t": problem.schedule.span}
    limits = {}
    for name in names:
        limits[name] = checked_bounds(name, (bounds or {}).get(name, usual[name]), *_ENDS.get(name, _POSITIVE))
    if "t" in limits:
        check_times(problem, limits["t"])
    return names, limits


def _coordinate(name: str, value: float) -> float:
    if name == "m":
        return 1 / value
    return float(np.log(max(value, SMALLEST_RIDGE) if name == "ridge" else value))


def _axis(name: str, limits: tuple[float, float], low: float, high: float, dimensions: int) -> np.ndarray:
    """Points of the coarse grid in one coordinate."""
    if name == "m":
        inside = [draws for draws in DRAWS if limits[0] < draws < limits[1]]
        return 1 / np.array([limits[1], *reversed(inside), limits[0]], float)
    return np.linspace(low, high, POINTS[dimensions])


def _starts(family: Family, loss: int, axes: list[np.ndarray], lines: range) -> _Candidates:
    """The lowest local minima of each line's coarse grid."""
    mesh = np.stack([part.ravel() for part in np.meshgrid(*axes, indexing="ij")], axis=1)
    line = np.repeat(np.arange(lines.start, lines.stop), len(mesh))
    values, _ = family(line, np.tile(mesh, (len(lines), 1)))
    grid = np.nan_to_num(values[loss], nan=np.inf, posinf=np.inf).reshape(len(lines), *(axis.size for axis in axes))
    lowest = np.isfinite(grid)
    for axis in range(1, grid.ndim):
        padding = [(1, 1) if k == axis else (0, 0) for k in range(grid.ndim)]
        wide = np.pad(grid, padding, constant_values=np.inf)
        for shift in (0, 2):
            lowest &= grid <= np.take(wide, np.arange(shift, shift + grid.shape[axis]), axis=axis)
    ranked = np.where(lowest, grid, np.inf).reshape(len(lines), -1)
    chosen = np.argsort(ranked, axis=1, kind="stable")[:, :STARTS]
    real = np.isfinite(np.take_along_axis(ranked, chosen, axis=1))
    real[:, 0] = True  # every line has a candidate, even one on which nothing is finite
    row, place = np.nonzero(real)
    places = mesh[chosen[row, place]]
    return _Candidates(row + lines.start, places, np.zeros(places.shape, bool))


def _optimum(names: tuple[str, ...], minimise: str, limits: dict[str, Any], family: Family, best: Minima) -> Optimum:
    shape = family.lines.shape
    values, at_bound = {}, {}
    for k, name in enumerate(names):
        with np.errstate(divide="ignore"):
            value = 1 / best.place[:, k] if name == "m" else np.exp(best.place[:, k])
        value = np.round(value) if name == "m" else np.clip(value, *limits[name])
        low, high = limits[name]
        floor = max(low, SMALLEST_RIDGE) if name == "ridge" else low
        side = (value >= high * (1 - AT_BOUND)).astype(np.int8) - (value <= floor * (1 + AT_BOUND)).astype(np.int8)
        values[name], at_bound[name] = value.reshape(shape), side.reshape(shape)
    losses = predict(replaced(family.lines, values))
    return Optimum(
        over=names,
        minimise=minimise,
        bounds=limits,
        lines=family.lines,
        values=values,
        minimum=np.asarray(getattr(losses, minimise)),
        at_bound=at_bound,
        gradient={name: best.gradient[:, k].reshape(shape) for k, name in enumerate(names)},
        converged=best.converged.reshape(shape),
        losses=losses,
        solves=family.solves,
    )
