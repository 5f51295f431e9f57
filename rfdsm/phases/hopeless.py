"""Whether any network is worth training at all."""

import numpy as np

from rfdsm.phases.wording import nothing_gained, nothing_linear
from rfdsm.problem import Problem
from rfdsm.theory.populations import moments_at_times

LEAST_GAIN = 1e-3
"""Nothing is recommended if the best network gains less than that part of what the true score does."""
LEAST_LINEAR = 1e-12
"""Share of the linear part in an activation's variance that counts as none: rounding of mu_1, squared."""


def hopeless_because(problem: Problem, test: float, floor: float, widest: int) -> str | None:
    """In words why no network is worth training, if none is."""
    t, variance = np.asarray(problem.t, float).reshape(1), problem.spectrum.mean
    (mu1,), (v0_squared,), (beta_a,) = moments_at_times(problem.activation, t, variance)
    a_squared = float(np.exp(-2 * t[0]))
    linear = mu1**2 * (a_squared * variance + 1 - a_squared)
    if linear <= LEAST_LINEAR * (linear + v0_squared + beta_a):
        return nothing_linear(problem.activation.name)
    if 1 - test <= LEAST_GAIN * (1 - floor):
        return nothing_gained(test, floor, widest, linear / (linear + v0_squared + beta_a))
    return None
