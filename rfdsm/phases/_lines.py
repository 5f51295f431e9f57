"""Families of problems in which some fields run freely: where they run, and what stays as it is."""

from typing import Any

import numpy as np

from rfdsm import datasets
from rfdsm._arrays import real_array
from rfdsm._problem import FIELDS, Problem, check_problem
from rfdsm._values import one_line

CONTINUOUS = ("psi_n", "psi_p", "t", "ridge")
"""Fields that may run along a line; m is an integer."""


def along_lines(problem: Problem, free: tuple[str, ...]) -> Problem:
    """The problem with scalars for the free fields, without the axes that only they span: one cell for each line.

    Raises ValueError for a traced problem.
    """
    check_problem(problem)
    if problem.traced:
        raise ValueError("problem is traced: call this outside jax.jit, grad and vmap")
    names = datasets.dims(problem)
    shape = problem.shape

    def varies(name: str, axis: int) -> bool:
        own = np.shape(getattr(problem, name))
        place = axis - (len(shape) - len(own))
        return place >= 0 and own[place] > 1

    def dropped(axis: int) -> bool:
        varying = {name for name in FIELDS if varies(name, axis)}
        return names[axis] in free or (bool(varying) and varying <= set(free))

    gone = [axis - len(shape) for axis in range(len(shape)) if dropped(axis)]  # from the right, as shapes broadcast
    kept = tuple(size for axis, size in enumerate(shape, -len(shape)) if axis not in gone)
    fields: dict[str, Any] = {}
    for name in FIELDS:
        values = np.asarray(getattr(problem, name))
        own = tuple(axis for axis in gone if -axis <= values.ndim)
        fields[name] = values.flat[0] if name in free else np.squeeze(values, own)
    lines = problem.at(**fields)
    # An axis of length one that no field carries any more.
    return lines if lines.shape == kept else lines.at(m=np.broadcast_to(lines.m, kept))


def replaced(lines: Problem, values: dict[str, np.ndarray]) -> Problem:
    """The family at definite values of its free fields: arrays of the lines' shape, or with further axes behind."""
    extra = max(np.ndim(value) for value in values.values()) - len(lines.shape)
    widened = (own.reshape((*lines.shape, *[1] * extra)) for own in lines.broadcast())
    return lines.at(**{name: values.get(name, own) for name, own in zip(FIELDS, widened, strict=True)})


def checked_name(role: str, name: Any, allowed: tuple[str, ...]) -> str:
    """`name`, if it is one of those allowed. Raises ValueError naming the parameter, its value and what is allowed."""
    if not isinstance(name, str) or name not in allowed:
        raise ValueError(f"{role} = {one_line(name)} must be one of {', '.join(allowed)}")
    return name


def check_times(problem: Problem, ends: tuple[float, float]) -> None:
    """Raises ValueError for a range of times that the problem's schedule has not."""
    problem.at(t=np.reshape(ends, (2, *[1] * len(problem.shape))))


def checked_bounds(name: str, bounds: Any, allowed: str, low_range: Any, high_range: Any) -> tuple[float, float]:
    """A pair low < high of numbers that meet their ranges. Raises ValueError with field, values and what is allowed."""
    try:
        low, high = (float(real_array(name, value)) for value in bounds)
    except (TypeError, ValueError):
        raise ValueError(f"bounds of {name} = {one_line(bounds)} must be two numbers, {allowed}") from None
    if not (low < high and low_range(low) and high_range(high)):
        raise ValueError(f"bounds of {name} = ({low:g}, {high:g}) must be {allowed}")
    return low, high
