"""The phase diagram around the point asked about: regimes of a grid of fixed size, and their boundaries."""

from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float, Int8

from rfdsm.explorer.state import SPANS, State
from rfdsm.phases.regimes import phase_diagram

CELLS = 100
"""Of each axis."""
FIELDS = ("memorisation", "noise_fitting", "point_fitting", "harmful", "test_peak")
"""Of the boundaries."""
ROOTS = 4
"""Of a boundary on one line, at most: what is beyond is left out."""


class Diagram(NamedTuple):
    """Regimes over psi_n (rows) and psi_p (columns)."""

    key: tuple[Any, ...]
    """What it depends on: see `key`."""
    psi_n: Float[np.ndarray, " rows"]
    psi_p: Float[np.ndarray, " columns"]
    regime: Int8[np.ndarray, "rows columns"]
    """Codes as of `phase_diagram`."""
    harmful: Int8[np.ndarray, "rows columns"]
    boundaries: dict[str, Float[np.ndarray, "rows roots"]]
    """psi_p at each boundary for every psi_n, NaN where there is none; empty while not asked for."""


def key(state: State) -> tuple[Any, ...]:
    """What the diagram depends on: all but the place in it, and what is not of the problem."""
    return state.m, state.t, state.ridge, state.activation, state.spectrum, state.schedule, state.target


def axes() -> tuple[np.ndarray, np.ndarray]:
    """psi_n and psi_p of the grid."""
    psi_n, psi_p = (np.geomspace(*SPANS[name], CELLS) for name in ("psi_n", "psi_p"))
    return psi_n, psi_p


def dataset(state: State, boundaries: bool = True) -> xr.Dataset:
    """The diagram as `phase_diagram` has it."""
    psi_n, psi_p = axes()
    problem = state.problem(psi_n=psi_n[:, None], psi_p=psi_p)
    return phase_diagram(problem, "psi_p" if boundaries else None)


def diagram(state: State, boundaries: bool = False) -> Diagram:
    """Regimes of the whole grid, and with `boundaries` where they begin."""
    found = dataset(state, boundaries)
    psi_n, psi_p = axes()
    roots = {name: _padded(found[f"psi_p_at_{name}"].to_numpy()) for name in FIELDS} if boundaries else {}
    return Diagram(
        key(state),
        psi_n,
        psi_p,
        found["regime"].to_numpy().astype(np.int8),
        found["is_harmful"].to_numpy().astype(np.int8),
        roots,
    )


def _padded(roots: np.ndarray) -> np.ndarray:
    kept = roots[:, :ROOTS]
    return np.pad(kept, ((0, 0), (0, ROOTS - kept.shape[1])), constant_values=np.nan)
