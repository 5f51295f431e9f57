"""Which target suits a problem, and why, and whether any network is worth training at all."""

import numpy as np

from rfdsm._problem import Problem
from rfdsm.phases._optimal import optimal
from rfdsm.phases._wording import nothing_gained, nothing_linear
from rfdsm.theory._populations import moments_at_levels

ADVISED = ("noise", "data", "velocity")
"""Targets that are held against each other."""
NOTHING = 1e-20
"""Part of a target's variance that rounding may make of zero."""
LEAST_GAIN = 1e-3
"""Nothing is recommended if the best network gains less than that part of what the true score does."""
LEAST_LINEAR = 1e-12
"""Share of the linear part in an activation's variance that counts as none: rounding of mu_1, squared."""


def rivals(problem: Problem) -> dict[str, tuple[float, float]]:
    """Best first: least score error of each target by its ridge, and the share of the directions it has to learn."""
    found = optimal(problem, ("target", "ridge"), targets=ADVISED).targets
    several = {name: (float(one.minimum), directions(one.lines)) for name, one in found.items()}
    return dict(sorted(several.items(), key=lambda item: item[1][0]))


def directions(problem: Problem) -> float:
    """Share of the directions along which the best network differs from zero, 0 where it is zero: participation ratio.

    Along an eigenvector of variance s the target's best linear map explains (alpha a s + beta sqrt(h))^2/(a^2 s + h).
    """
    asked, law, s = problem.asked, problem.spectrum, problem.spectrum.nodes
    explained = (asked.alpha * asked.a * s + asked.beta * asked.root_h) ** 2 / (asked.a**2 * s + asked.h)
    explained = np.where(explained > NOTHING * asked.null(law.mean), explained, 0.0)
    total = float(np.sum(law.weights * explained))
    return total**2 / float(np.sum(law.weights * explained**2)) if total > 0 else 0.0


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
