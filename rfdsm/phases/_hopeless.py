"""Whether any network is worth training at all."""

import numpy as np

from rfdsm._problem import Problem
from rfdsm.phases._wording import nothing_gained, nothing_linear
from rfdsm.theory._populations import moments_at_levels

LEAST_GAIN = 1e-3
"""Nothing is recommended if the best network gains less than that part of what the true score does."""
LEAST_LINEAR = 1e-12
"""Share of the linear part in an activation's variance that counts as none: rounding of mu_1, squared."""


def hopeless_because(problem: Problem, test: float, floor: float, null: float, widest: int) -> str | None:
    """In words why no network is worth training, if none is."""
    asked, variance = problem.asked, problem.spectrum.mean
    a, h = (np.reshape(value, 1) for value in (asked.a, asked.h))
    (mu1,), (v0_squared,), (beta_a,) = moments_at_levels(problem.activation, a, h, variance, problem.schedule)
    linear = mu1**2 * float(a[0] ** 2 * variance + h[0])
    if linear <= LEAST_LINEAR * (linear + v0_squared + beta_a):
        return nothing_linear(problem.activation.name)
    if null - test <= LEAST_GAIN * (null - floor):
        return nothing_gained(test, floor, null, widest, linear / (linear + v0_squared + beta_a))
    return None
