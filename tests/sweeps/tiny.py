"""The small sweep of the tests: 40 units of one cell each, two compilations, half a second of work."""

import numpy as np
import scipy.stats  # noqa: F401  loaded by the first simulation, and here by what tests fork from

from rfdsm import Problem, activations
from rfdsm.sweeps import _run as run

CUBIC = activations.polynomial([0.1, 1.0, 0.3, 0.1])
"""In a few dimensions the exact moments of other activations take hundreds of terms, and minutes to compile."""
PROBLEM = Problem.grid(np.linspace(1.0, 5.0, 20), [4.0, 6.0], np.inf, 0.1, 1e-2, CUBIC)
OPTIONS = dict(d=16, trials=4, key=3)


def sweep(store, **options):
    """The sweep, or a variation of it."""
    return run.sweep(options.pop("problem", PROBLEM), store=store, **(OPTIONS | dict(progress=False) | options))
