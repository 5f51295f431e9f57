"""The losses along one field, and at the point asked about: arrays of one size, whatever is asked.

Equal sizes mean that moving a slider compiles nothing.
"""

from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float

from rfdsm import datasets
from rfdsm.explorer._state import Number, State, spans
from rfdsm.losses import Losses
from rfdsm.phases import _fields as fields
from rfdsm.phases._regimes import REGIMES, labels
from rfdsm.theory._predict import predict, predict_in_chunks

POINTS = 400
"""Of every curve."""
CELLS = 3 * (POINTS + 1)
"""That a moving slider solves for: the curves of three numbers of draws, and the point."""
NAMES = Losses.NAMES


class Curves(NamedTuple):
    """What the panels of the losses show. Values that are not finite are NaN: a picture has no place for them."""

    state: State
    x: Float[np.ndarray, " points"]
    draws: tuple[float, float, float]
    """Of the three curves, ascending: one, infinitely many, and the state's own between them."""
    own: int
    """Which of them is the state's."""
    values: dict[str, Float[np.ndarray, "3 points"]]
    floor: Float[np.ndarray, " points"]
    at: float
    """The state's value of the abscissa."""
    point: dict[str, float]
    """Losses and bounds there, as `predict` has them, inf included."""
    regime: str
    harmful: bool
    lines: dict[str, float]
    """Where p = n and p = nm on this abscissa."""


def draws_shown(m: Number) -> tuple[Number, Number, Number]:
    """One draw, infinitely many, and m between them, or 4 if m is one of the two."""
    return 1.0, m if 1 < m < np.inf else 4.0, np.inf


def abscissa(state: State) -> np.ndarray:
    """The values that curves are drawn at."""
    low, high = spans(state)[state.abscissa]
    return np.geomspace(low, high, POINTS)


def curves(state: State) -> Curves:
    """All curves of a state and the numbers at its point, in one batch."""
    x, draws = abscissa(state), draws_shown(state.m)
    own = draws.index(state.m)
    at = float(getattr(state, state.abscissa))
    places = np.append(x, at)
    problem = state.problem(**{state.abscissa: places, "m": np.array(draws)[:, None]})
    losses = predict_in_chunks(problem, CELLS)
    values = {name: _finite(np.asarray(getattr(losses, name))[:, :-1]) for name in NAMES}
    here = {name: float(np.asarray(getattr(losses, name))[own, -1]) for name in (*NAMES, *Losses.BOUNDS)}
    regime, harmful = regime_of(state, here)
    floor = np.asarray(losses.floor)[own, :-1]
    return Curves(state, x, draws, own, values, floor, at, here, regime, harmful, lines(state))


def regime_of(state: State, losses: dict[str, float]) -> tuple[str, bool]:
    """Name of the regime at these losses, and whether a network that outputs zero were better."""
    named = fields.with_excess(losses, state.problem().asked.score_unit)
    signed = fields.signed(named)
    code = int(labels(signed))
    return (REGIMES[code] if code >= 0 else "unknown"), bool(signed["harmful"] > 0)


def lines(state: State) -> dict[str, float]:
    """Where p = n and p = nm on the abscissa; NaN where it has no such place."""
    if state.abscissa == "psi_p":
        return {"p_n": state.psi_n, "p_nm": float(_finite(np.array(state.m * state.psi_n)))}
    if state.abscissa == "psi_n":
        return {"p_n": state.psi_p, "p_nm": state.psi_p / state.m if np.isfinite(state.m) else np.nan}
    return {"p_n": np.nan, "p_nm": np.nan}


def dataset(state: State) -> xr.Dataset:
    """The curves as a labelled dataset over the draws and the abscissa, ascending."""
    draws = np.array(draws_shown(state.m))
    problem = state.problem(**{state.abscissa: abscissa(state), "m": draws[:, None]})
    return datasets.predictions(problem, predict(problem))


def _finite(values: Any) -> np.ndarray:
    return np.where(np.isfinite(values), values, np.nan)
