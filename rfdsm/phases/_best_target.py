"""Which target is right: targets are held against each other by their score errors, each with a ridge of its own.

Losses of different targets are in different units; the score error is not, at one level. Source: docs/targets.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from rfdsm import targets
from rfdsm._problem import FIELDS, Problem
from rfdsm.phases._fields import EPS
from rfdsm.phases._response import NAMES, Family
from rfdsm.targets import Target

COMPARED = ("noise", "data", "velocity", "flow", "edm")
"""Chosen among, unless others are given."""
SCORE = NAMES.index("score")


def candidates(given: Any) -> list[Target]:
    """Targets from names or objects. Raises ValueError for fewer than two, or the same one twice."""
    found = [targets.get(target) for target in (COMPARED if given is None else given)]
    if len(set(found)) < max(2, len(found)):
        raise ValueError(f"targets = {', '.join(map(str, found))} must be two or more different ones")
    return found


def by_target(problem: Problem, given: Any) -> dict[str, Problem]:
    """The problem with each of the targets."""
    return {str(target): problem.at(target=target) for target in candidates(given)}


def rivalry(
    family: Family, pair: list[Target], along: str, best_ridge: Callable[[Problem], np.ndarray]
) -> Callable[..., Any]:
    """log(score of the first/score of the second), its derivative by log(along), and its rounding: one field of many.

    Both have the best ridge of every place, unless it is what runs. It needs no derivative: there the score is least.
    """

    def scores(target: Target, line: np.ndarray, u: np.ndarray, exact: bool) -> tuple[np.ndarray, np.ndarray]:
        if not line.size:
            return np.empty(0), np.empty(0)
        values = family.fields(line, u[:, None])
        cells = family.lines.at(target=target, **{name: values[name] for name in FIELDS})
        if along != "ridge":
            cells = cells.at(ridge=best_ridge(cells))
        own = Family(cells, (along,))
        found, slopes = own(np.arange(line.size), u[:, None], exact)
        family.solves += own.solves
        return found[SCORE], slopes[SCORE, 0]

    def evaluate(line: np.ndarray, u: np.ndarray, exact: bool) -> Any:
        (first, rise), (second, other) = (scores(target, line, u, exact) for target in pair)
        with np.errstate(divide="ignore", invalid="ignore"):  # infinite, or zero where nothing has to be learned
            return [(np.log(first / second), rise / first - other / second, np.full(line.size, 8 * EPS))]

    return evaluate
