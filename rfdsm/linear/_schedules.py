"""Times at which a denoiser is applied when sampling takes several steps."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from rfdsm._arguments import check_whole
from rfdsm._arrays import check_finite, real_array
from rfdsm._values import one_line
from rfdsm.sampling import geometric, karras, uniform

EARLIEST = 1e-3
"""First and last time of the geometric schedule differ by this factor."""


def times(schedule: Any, steps: int, T: Float[np.ndarray, "*cells"]) -> Float[np.ndarray, "*cells times"]:
    """Times from T down to 0, steps + 1 of them; the denoiser is applied at all but the last.

    Args:
        schedule: "uniform" in t; "quadratic", t = T (k/steps)^2; "geometric", from T to EARLIEST * T; or fractions of T
            at which to denoise, steps of them, decreasing from 1.
        steps: number of steps >= 1.
        T: final times of the cells.

    Raises ValueError for an unknown schedule or fractions that do not decrease from 1 to above 0.
    """
    if not isinstance(schedule, str):
        given = checked_fractions(schedule)
        if given.size != steps:
            raise ValueError(f"schedule has {given.size} fractions of T, must have one for each of {steps} steps")
        fractions = np.append(given, 0.0)
    elif schedule == "uniform":
        fractions = uniform(1, 0, steps)
    elif schedule == "quadratic":
        fractions = karras(1, 0, steps, rho=2)
    elif schedule == "geometric":
        fractions = np.append(geometric(1, EARLIEST, steps - 1) if steps > 1 else 1.0, 0.0)
    else:
        names = "uniform, quadratic, geometric"
        raise ValueError(f"schedule = {one_line(schedule)} must be one of {names}, or fractions of T")
    return fractions * np.asarray(T)[..., None]


def checked_fractions(schedule: Any) -> np.ndarray:
    """Fractions of T as a vector. Raises ValueError unless they decrease strictly from 1 and stay above 0."""
    fractions = real_array("schedule", schedule).astype(np.float64)
    if fractions.ndim != 1 or fractions.size == 0:
        raise ValueError(f"schedule must be a name or a list of fractions of T, got shape {fractions.shape}")
    check_finite("schedule", fractions)
    if fractions[0] != 1 or fractions[-1] <= 0 or np.any(np.diff(fractions) >= 0):
        raise ValueError(f"schedule = {fractions.tolist()} must decrease strictly from 1 and stay above 0")
    return fractions


def checked_steps(steps: Any) -> tuple[int, ...]:
    """Numbers of steps, from one or a list. Raises ValueError unless they are integers >= 1."""
    several = (isinstance(steps, Sequence) and not isinstance(steps, str | bytes)) or np.ndim(steps) == 1
    listed: list[Any] = list(steps) if several else [steps]
    for count in listed:
        check_whole("steps", count, 1)
    if not listed:
        raise ValueError("steps is empty, must be an integer >= 1 or a list of them")
    return tuple(int(count) for count in listed)
