"""The phase diagram around the point asked about: regimes of a grid of fixed size, and their boundaries."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float, Int8

from rfdsm._problem import Problem
from rfdsm.explorer._state import SPANS, State
from rfdsm.phases._boundaries import boundaries as solved, peak
from rfdsm.phases._fields import SIGNED
from rfdsm.phases._regimes import phase_diagram

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
    with ThreadPoolExecutor(THREADS) as pool:
        asked = [pool.submit(_roots, lines[along], along) for along in ("psi_p", "psi_n")]
        crests = [pool.submit(peak, lines[along], along, **_search(along)) for along in ("psi_p", "psi_n")]
        found = [
            each.result() | {"test_peak": _padded(crest.result().roots)}
            for each, crest in zip(asked, crests, strict=True)
        ]
    return Boundaries(key(state), psi_n, psi_p, *found)


def _search(along: str) -> dict[str, Any]:
    return {"bounds": SPANS[along], "per_decade": PER_DECADE}


def _roots(lines: Problem, along: str) -> dict[str, np.ndarray]:
    return {name: _padded(found.roots) for name, found in solved(lines, along, **_search(along)).items()}


def _padded(roots: np.ndarray) -> np.ndarray:
    kept = roots[:, :ROOTS]
    return np.pad(kept, ((0, 0), (0, ROOTS - kept.shape[1])), constant_values=np.nan)
