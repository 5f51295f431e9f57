"""The phase diagram around the point asked about: regimes of a grid of fixed size, and their boundaries."""

import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float, Int8

from rfdsm.explorer.state import SPANS, State
from rfdsm.phases.boundaries import boundary, peak
from rfdsm.phases.fields import SIGNED
from rfdsm.phases.regimes import phase_diagram
from rfdsm.problem import Problem

CELLS = 100
"""Of each axis."""
LINES = 50
"""On which boundaries are solved for, in either direction."""
FIELDS = (*SIGNED, "test_peak")
"""Of the boundaries."""
PER_DECADE = 12
"""Grid on which they are bracketed: half as fine as usual, for a picture that is wanted at once."""
THREADS = 4
"""Boundaries solved for side by side: each waits for small pieces of work most of the time."""
ROOTS = 4
"""Of a boundary on one line, at most: what is beyond is left out."""


class Diagram(NamedTuple):
    """Regimes over psi_n (rows) and psi_p (columns)."""

    key: tuple[Any, ...]
    """What it depends on: see `key`."""
    t: float
    regime: Int8[np.ndarray, "rows columns"]
    """Codes as of `phase_diagram`."""
    harmful: Int8[np.ndarray, "rows columns"]


class Boundaries(NamedTuple):
    """Each boundary along both axes, as some of it runs along either. Roots: NaN where there is none."""

    key: tuple[Any, ...]
    psi_n: Float[np.ndarray, " lines"]
    psi_p: Float[np.ndarray, " lines"]
    along_psi_p: dict[str, Float[np.ndarray, "lines roots"]]
    """psi_p for every psi_n."""
    along_psi_n: dict[str, Float[np.ndarray, "lines roots"]]
    """psi_n for every psi_p."""


def key(state: State) -> tuple[Any, ...]:
    """What the diagram depends on: all but the place in it, and what is not of the problem."""
    return state.m, state.t, state.ridge, state.activation, state.spectrum, state.schedule, state.target


def axes(count: int = CELLS) -> tuple[np.ndarray, np.ndarray]:
    """So many values of psi_n and of psi_p, from end to end."""
    psi_n, psi_p = (np.geomspace(*SPANS[name], count) for name in ("psi_n", "psi_p"))
    return psi_n, psi_p


def dataset(state: State, boundaries: bool = True) -> xr.Dataset:
    """The diagram as `phase_diagram` has it."""
    psi_n, psi_p = axes()
    problem = state.problem(psi_n=psi_n[:, None], psi_p=psi_p)
    return phase_diagram(problem, "psi_p" if boundaries else None)


def diagram(state: State) -> Diagram:
    """Regimes of the whole grid."""
    found = dataset(state, boundaries=False)
    return Diagram(
        key(state), state.t, found["regime"].to_numpy().astype(np.int8), found["is_harmful"].to_numpy().astype(np.int8)
    )


def boundaries(state: State) -> Boundaries:
    """Where regimes begin, and the crest of the test loss."""
    psi_n, psi_p = axes(LINES)
    lines = {"psi_p": state.problem(psi_n=psi_n, psi_p=1.0), "psi_n": state.problem(psi_n=1.0, psi_p=psi_p)}
    with warnings.catch_warnings(), ThreadPoolExecutor(THREADS) as pool:
        warnings.simplefilter("ignore", RuntimeWarning)  # lines without a boundary: NaN says it
        asked = {
            along: {field: pool.submit(_roots, own, field, along) for field in FIELDS} for along, own in lines.items()
        }
        found = {along: {field: roots.result() for field, roots in own.items()} for along, own in asked.items()}
    return Boundaries(key(state), psi_n, psi_p, found["psi_p"], found["psi_n"])


def _roots(lines: Problem, field: str, along: str) -> np.ndarray:
    asked: dict[str, Any] = {"bounds": SPANS[along], "per_decade": PER_DECADE}
    found = peak(lines, along, **asked) if field == "test_peak" else boundary(lines, field, along, **asked)
    return _padded(found.roots)


def _padded(roots: np.ndarray) -> np.ndarray:
    kept = roots[:, :ROOTS]
    return np.pad(kept, ((0, 0), (0, ROOTS - kept.shape[1])), constant_values=np.nan)
