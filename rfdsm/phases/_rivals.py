"""Which target suits a problem, and why."""

import numpy as np

from rfdsm._problem import Problem
from rfdsm.phases._optimal import optimal

ADVISED = ("noise", "data", "velocity")
"""Targets that are held against each other."""
NOTHING = 1e-20
"""Part of a target's variance that rounding may make of zero."""


def rivals(problem: Problem) -> dict[str, tuple[float, float]]:
    """Best first: least score error of each target by its ridge, and the share of the directions it has to learn."""
    found = optimal(problem, ("target", "ridge"), targets=ADVISED).targets
    several = {name: (float(one.minimum), directions(one.lines)) for name, one in found.items()}
    return dict(sorted(several.items(), key=lambda item: item[1][0]))


def directions(problem: Problem) -> float:
    """Share of the directions along which the best network differs from zero, 0 where it is zero: participation ratio.

    Along an eigenvector of variance s the target's best linear map explains (alpha a s + beta sqrt(h))^2/(a^2 s + h).
    """
    asked, law = problem.asked, problem.spectrum
    explained = (asked.alpha * asked.a * law.nodes + asked.beta * asked.root_h) ** 2 / (
        asked.a**2 * law.nodes + asked.h
    )
    explained = np.where(explained > NOTHING * asked.null(law.mean), explained, 0.0)
    total = float(np.sum(law.weights * explained))
    return total**2 / float(np.sum(law.weights * explained**2)) if total > 0 else 0.0
