"""What a chain of networks is asked: the problem at every level of a sampler, and where samples start."""

from typing import Any

import numpy as np

from rfdsm._arguments import checked_variance, field
from rfdsm._problem import Problem, check_problem
from rfdsm._values import is_traced
from rfdsm._vocabulary import RANGES
from rfdsm.sampling._samplers import Sampler, check_sampler


def at_levels(problem: Problem, sampler: Any, ridges: Any = None) -> Problem:
    """The problem at every level that has a network, of shape (K, *problem.shape); its own t is not used.

    `ridges`: one for each level, shape (K,), or (K, *problem.shape), in place of the problem's.

    Raises:
        ValueError: times that the schedule has not, ridge = 0, or ridges of another shape.
    """
    check_problem(problem)
    check_sampler(sampler)
    shape = np.broadcast_shapes(*(np.shape(getattr(problem, name)) for name in ("psi_n", "psi_p", "m", "ridge")))
    levels = (sampler.size, *(1,) * len(shape))
    ridge = problem.ridge if ridges is None else field("ridges", ridges, RANGES["ridge"])
    if ridges is not None:
        if ridge.shape not in ((sampler.size,), (sampler.size, *shape)):
            raise ValueError(f"ridges has shape {ridge.shape}, must be {(sampler.size, *shape)}: one for each level")
        ridge = ridge.reshape(levels) if ridge.ndim == 1 else ridge
    if not is_traced(ridge) and np.any(ridge == 0):
        raise ValueError("ridge = 0 must be > 0: without a penalty networks of different levels have no common law")
    sampler.asked(problem.schedule, problem.target, problem.spectrum.mean)  # names the levels, where they are refused
    return problem.at(t=np.array(sampler.levels[:-1]).reshape(levels), ridge=ridge)


def first_variance(problem: Problem, sampler: Sampler, start: Any = None) -> Any:
    """Variance of the first samples: that of pure noise, unless another one is given."""
    if start is not None:
        return start if is_traced(start) else checked_variance("start", start)
    if problem.schedule.end_variance is not None:
        return problem.schedule.end_variance
    h = problem.schedule.level(np.float64(sampler.levels[0]), problem.spectrum.mean).h
    return h if is_traced(h) else float(h)
