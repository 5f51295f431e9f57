"""Small simulations of the point asked about: what the theory's curves are held against."""

import dataclasses
import threading
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from rfdsm._statistics import standard_error
from rfdsm.explorer._state import State
from rfdsm.losses import Losses
from rfdsm.simulation._simulate import simulate

TRIALS = 8
WIDEST = 4096
"""Most points or features: beyond, one trial would keep the machine busy for minutes."""
MOST = 64
"""Points that a page keeps: the oldest go first."""


class Simulated(NamedTuple):
    """Mean and standard error over trials of every loss, with keys 0 … trials - 1."""

    state: State
    n: int
    p: int
    mean: dict[str, float]
    error: dict[str, float]


class Cancelled(Exception):
    """Nobody waits for the simulation any more."""


def check_size(state: State) -> None:
    """Raises ValueError, in words, for networks too large for a simulation on the side."""
    for name, letter in (("psi_n", "n"), ("psi_p", "p")):
        count = round(getattr(state, name) * state.d)
        if count > WIDEST:
            largest = WIDEST / state.d
            raise ValueError(
                f"{letter} = {count} at d = {state.d} must be at most {WIDEST} to simulate here: "
                f"{letter}/d up to {largest:g}, or the command"
            )
        if count < 2:
            raise ValueError(f"{letter} = {count} at d = {state.d} must be at least 2 to simulate: raise {letter}/d")


def simulated(
    state: State, progress: Callable[[int, int], None], cancelled: threading.Event, trials: int = TRIALS
) -> Simulated:
    """Trial after trial: progress is told, and the work can be stopped. Raises Cancelled, and as `check_size`."""
    check_size(state)
    problem, runs = state.problem(), []
    for trial in range(trials):
        if cancelled.is_set():
            raise Cancelled
        progress(trial, trials)
        runs.append(simulate(problem, int(state.d), trials=1, key=trial))
    if cancelled.is_set():
        raise Cancelled
    progress(trials, trials)
    values = {name: np.array([float(np.asarray(getattr(run, name))[0]) for run in runs]) for name in Losses.NAMES}
    return Simulated(
        state,
        round(state.psi_n * state.d),
        round(state.psi_p * state.d),
        {name: float(value.mean()) for name, value in values.items()},
        {name: float(standard_error(value)) for name, value in values.items()},
    )


def belongs(point: Simulated, state: State, draws: tuple[float, ...]) -> bool:
    """Whether a simulated point lies on a curve that the state shows: it differs in the abscissa and m at most."""
    same = dataclasses.replace(
        point.state, m=state.m, view=state.view, d=state.d, abscissa=state.abscissa,
        **{state.abscissa: getattr(state, state.abscissa)},
    )  # fmt: skip
    return same == state and point.state.m in draws
