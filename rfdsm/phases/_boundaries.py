"""Boundaries of regimes: where a signed field vanishes along one field of the problem, solved to rounding."""

import dataclasses
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float, Int

from rfdsm import datasets, schedules
from rfdsm._hints import Count, FieldLike
from rfdsm._problem import Problem, check_problem
from rfdsm.phases import _fields as fields, _roots as roots
from rfdsm.phases._best_target import candidates, rivalry
from rfdsm.phases._lines import CONTINUOUS, along_lines, check_times, checked_bounds, checked_name
from rfdsm.phases._optimal import optimal
from rfdsm.phases._response import NAMES, Family

BOUNDS = {"psi_n": (1e-3, 1e5), "psi_p": (1e-3, 1e5), "t": (1e-4, 10.0), "ridge": (1e-12, 1e3)}
"""Where roots are looked for unless bounds are given; those of t belong to the ou schedule, others have their span."""
PER_DECADE = 24
"""Points per decade of the grid on which roots are bracketed."""
TOLERANCE = 1e-10
"""Largest relative error of a root that counts as converged."""
BLOCK = 2**11
"""Lines handled together: bounds memory."""


@dataclasses.dataclass(frozen=True)
class Boundary:
    """Roots of a signed field on every line of a family, ascending, NaN beyond the last; arrays (*lines, roots)."""

    field: str
    along: str
    bounds: tuple[float, float]
    lines: Problem
    """One cell for each line; its value of `along` means nothing."""
    roots: Float[np.ndarray, "*lines roots"]
    """Values of `along` at which the field vanishes."""
    rising: Int[np.ndarray, "*lines roots"]
    """1 where the field becomes positive as `along` grows (the regime begins), -1 where it ends, 0 for no root."""
    slope: Float[np.ndarray, "*lines roots"]
    """Derivative of the field by log(along)."""
    residual: Float[np.ndarray, "*lines roots"]
    """Size of the field at the root."""
    solves: int
    """Fixed points solved."""

    @property
    def found(self) -> Bool[np.ndarray, "*lines"]:
        """Whether the field vanishes anywhere on the line."""
        return np.asarray(~np.all(np.isnan(self.roots), axis=-1))

    @property
    def error(self) -> Float[np.ndarray, "*lines roots"]:
        """Relative error of the root that its residual and one rounding error of the field leave."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray((self.residual + fields.EPS) / np.abs(self.slope))

    @property
    def converged(self) -> Bool[np.ndarray, "*lines roots"]:
        """Whether that is below 1e-10; False for no root."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.error <= TOLERANCE)

    def to_dataset(self) -> xr.Dataset:
        """As a labelled dataset over the lines and the roots, with the configuration in its attributes."""
        over = (*datasets.dims(self.lines), "root")
        name = f"{self.along}_at_boundary"
        label = f"{datasets.LONG_NAMES[self.along]} where {fields.LONG_NAMES.get(self.field, self.field)} vanishes"
        coords = datasets.coordinates(self.lines)
        coords.pop(self.along)
        configuration = {"field": self.field, "along": self.along, "bounds": list(self.bounds)}
        return xr.Dataset(
            {
                name: datasets.variable("", over, self.roots, label),
                "rising": datasets.variable("", over, self.rising, "1: the field becomes positive, -1: negative"),
                "slope": datasets.variable("", over, self.slope, f"derivative of the field by log {self.along}"),
                "residual": datasets.variable("", over, self.residual, "size of the field at the root"),
                "converged": datasets.variable("", over, self.converged, "relative error below 1e-10"),
            },
            coords=coords,
            attrs=datasets.provenance(self.lines, **configuration) | {"title": f"Boundary {self.field} = 0"},
        )


def boundary(
    problem: Problem, field: FieldLike, along: str = "psi_p", *, bounds: Any = None, per_decade: Count = PER_DECADE
) -> Boundary:
    """Where a signed field vanishes along one field of a problem, on every line that the other fields span.

    A geometric grid brackets the roots; where the field approaches zero from both ends of a cell, its turning point is
    sought by the exact derivative, so that close pairs of roots are found. Newton's method with exact derivatives,
    safeguarded by bisection, then takes all roots to rounding at once. A root is missed only if it has two turning
    points within one cell of the grid.

    Args:
        problem: one problem or a grid of them; its values of `along` are not used, nor an axis that only they span.
        field: "memorisation", "noise_fitting", "harmful" or "point_fitting" (docs/phases); or two targets, as in
            ("noise", "data"): where the second begins to have the smaller score error, each at its own best ridge
            (along "ridge": both at that ridge).
        along: "psi_p", "psi_n", "t" or "ridge".
        bounds: (low, high) of `along`, 0 < low < high; default: psi 1e-3 to 1e5, t 1e-4 to 10 (or the span of
            another schedule), ridge 1e-12 to 1e3.
        per_decade: grid points per factor of ten, an integer >= 2.

    Returns:
        `Boundary`. Lines on which the field does not vanish within the bounds have NaN, and a warning says how many.

    Raises:
        ValueError: unknown names, bounds out of range or crossing, a traced problem.

    Examples:
        >>> import numpy as np
        >>> from rfdsm import Problem, boundary
        >>> lines = Problem(psi_n=64, psi_p=1, m=np.inf, t=[0.3, 0.1, 0.01], ridge=1e-6)  # psi_p is searched
        >>> (boundary(lines, "memorisation", along="psi_p").roots[:, 0] / 64).round(3)  # p/n
        array([12.091,  2.749,  1.093])
    """
    pair = None
    if isinstance(field, list | tuple):
        if len(field) != 2:
            raise ValueError(f"field = {field!r} must be a name, or two targets")
        pair = candidates(field)
        field = " against ".join(map(str, pair))
    else:
        field = checked_name("field", field, fields.SIGNED)
    family, low, high, points = _prepared(problem, along, bounds, per_decade)
    if pair is None:
        fields_at = partial(_fields_at, family, (field,))
    else:
        fields_at = rivalry(family, pair, along, lambda cells: optimal(cells, "ridge", "score")["ridge"])
    (found,) = _searched(fields_at, 1, family, (low, high), points)
    result = _assembled(field, along, (low, high), family, found)
    missing = int(np.sum(~result.found))
    if missing:
        warnings.warn(
            f"{field} does not vanish for {along} from {np.exp(low):.3g} to {np.exp(high):.3g} on {missing} of "
            f"{result.found.size} lines: NaN there",
            RuntimeWarning,
            stacklevel=2,
        )
    return result


def boundaries(
    problem: Problem, along: str = "psi_p", *, bounds: Any = None, per_decade: Count = PER_DECADE
) -> dict[str, Boundary]:
    """`boundary` of every signed field, at once: in much less time than one after the other. `solves` is that of all.

    Lines on which one does not vanish have NaN, without a warning.
    """
    family, low, high, points = _prepared(problem, along, bounds, per_decade)
    names = fields.SIGNED
    found = _searched(partial(_fields_at, family, names), len(names), family, (low, high), points)
    return {name: _assembled(name, along, (low, high), family, parts) for name, parts in zip(names, found, strict=True)}


def _fields_at(family: Family, names: Sequence[str], line: np.ndarray, u: np.ndarray, exact: bool) -> Any:
    """Value, slope and rounding of each of these fields at one place of each of these lines."""
    values, slopes = family(line, u[:, None], exact)
    asked = family.lines.asked_at(family.fields(line, u[:, None])["t"])
    losses = fields.with_excess(dict(zip(NAMES, values, strict=True)), asked.score_unit)
    changes = dict(zip(NAMES, slopes[:, 0], strict=True))
    return [fields.expanded(name, losses, changes) for name in names]


def _searched(
    fields_at: Callable[..., Any], many: int, family: Family, ends: tuple[float, float], points: int
) -> list[list[roots.Roots]]:
    """Roots of so many fields, in parts of lines. All are sought together: calls cost more than what they compute."""
    found: list[list[roots.Roots]] = [[] for _ in range(many)]
    count = int(np.prod(family.lines.shape))
    block = BLOCK // many
    for start in range(0, count, block):
        size = min(block, count - start)

        def evaluate(line: np.ndarray, u: np.ndarray, exact: bool = False, start: int = start, size: int = size) -> Any:
            which, own = np.divmod(line, size)  # lines of the second field follow those of the first
            parts = zip(*fields_at(own + start, u, exact), strict=True)
            return tuple(np.choose(which, part) for part in parts)

        def everywhere(line: np.ndarray, u: np.ndarray, start: int = start) -> Any:
            once = line.size // many  # the grid is the same for all
            parts = zip(*fields_at(line[:once] + start, u[:once], False), strict=True)
            return tuple(np.concatenate(part) for part in parts)

        brackets = roots.bracket(evaluate, roots.sampled(everywhere, many * size, *ends, points))
        part = roots.solve(evaluate, lambda line, u, evaluate=evaluate: evaluate(line, u, True), brackets)
        which, own = np.divmod(part.line, size)
        for k, parts in enumerate(found):
            mine = which == k
            parts.append(roots.Roots(*(values[mine] for values in part._replace(line=own + start))))
    return found


def peak(problem: Problem, along: str = "psi_p", *, bounds: Any = None, per_decade: Count = PER_DECADE) -> Boundary:
    """Where `test` has its local maxima along a field: the crest of double descent. Arguments as for `boundary`.

    Without ridge that is p = nm, where test is infinite. `residual` is the height of the peak above the
    zero network, its derivative vanishes; lines without a peak have NaN.

    Examples:
        >>> from rfdsm import Problem, phases
        >>> phases.peak(Problem(psi_n=8, psi_p=1, m=4, t=0.1, ridge=1e-3)).roots.round(2)  # near m psi_n = 32
        array([33.])
    """
    family, low, high, points = _prepared(problem, along, bounds, per_decade)
    found = []
    count, test = int(np.prod(family.lines.shape)), NAMES.index("test")
    for start in range(0, count, BLOCK):
        size = min(BLOCK, count - start)

        def evaluate(line: np.ndarray, u: np.ndarray, start: int = start) -> Any:
            values, slopes = family(line + start, u[:, None])
            return values[test], slopes[test, 0], np.zeros(line.size)

        samples = roots.sampled(evaluate, size, low, high, points)
        line, left = np.nonzero((samples.slope[:, :-1] > 0) & (samples.slope[:, 1:] < 0))

        def falls(which: np.ndarray, x: np.ndarray, line: np.ndarray = line, evaluate: Any = evaluate) -> Any:
            value, slope, _ = evaluate(line[which], x)
            return value, -slope, np.isinf(value)

        ends = (-samples.slope[line, left], -samples.slope[line, left + 1])
        x, value, _ = roots.turning_points(falls, samples.place[left], samples.place[left + 1], *ends, 1e-13)
        zero, asked = np.zeros(x.size), problem.asked_at(family.fields(line + start, x[:, None])["t"])
        found.append(roots.Roots(line + start, x, zero, value - asked.null(problem.spectrum.mean), zero - 1))
    return _assembled("test_peak", along, (low, high), family, found)


def _prepared(problem: Problem, along: Any, bounds: Any, per_decade: Any) -> tuple[Family, float, float, int]:
    """The family of lines, and the grid in log(along)."""
    along = checked_name("along", along, CONTINUOUS)
    if isinstance(per_decade, bool) or not isinstance(per_decade, int | np.integer) or per_decade < 2:
        raise ValueError(f"per_decade = {per_decade!r} must be an integer >= 2")
    check_problem(problem)
    usual = BOUNDS | ({} if problem.schedule == schedules.ou() else {"t": problem.schedule.span})
    ends = usual[along] if bounds is None else bounds
    low, high = checked_bounds(along, ends, "finite, > 0 and ascending", lambda x: x > 0, np.isfinite)
    if along == "t":
        check_times(problem, (low, high))
    family = Family(along_lines(problem, (along,)), (along,))
    family.check_times((low, high) if along == "t" else family.lines.t)
    a, b = float(np.log(low)), float(np.log(high))
    return family, a, b, max(8, int(np.ceil((b - a) / np.log(10) * per_decade)) + 1)


def _assembled(field: str, along: str, ends: tuple[float, float], family: Family, found: list[Any]) -> Boundary:
    """Roots in rows, one row for each line."""
    shape = family.lines.shape
    count = int(np.prod(shape))
    line, place, slope, residual, rising = (np.concatenate(parts) for parts in zip(*found, strict=True))
    number = np.arange(line.size) - np.searchsorted(line, line)  # of the root on its line
    most = max(1, int(np.max(number, initial=-1)) + 1)

    def rows(values: np.ndarray, missing: Any) -> np.ndarray:
        table = np.full((count, most), missing)
        table[line, number] = values
        return table.reshape(*shape, most)

    return Boundary(
        field=field,
        along=along,
        bounds=(float(np.exp(ends[0])), float(np.exp(ends[1]))),
        lines=family.lines,
        roots=rows(np.exp(place), np.nan),
        rising=rows(rising, 0.0).astype(np.int8),
        slope=rows(slope, np.nan),
        residual=rows(residual, np.nan),
        solves=family.solves,
    )
