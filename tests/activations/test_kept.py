"""Compiled code of users' activations is bounded: of those used last it is kept, of others nothing stays."""

import gc
import weakref

import numpy as np
import pytest

from rfdsm import Problem, phase_diagram, predict, simulate, simulate_training
from rfdsm.activations import _kept as kept


class Bounded:
    """A stand-in for activations: all that is asked of them is to be hashable."""


def test_results_are_kept_per_activation_and_released_with_it():
    made = []

    @kept.kept(maxsize=2)
    def compute(activation, number):
        made.append(number)
        return number

    first = Bounded()
    assert [compute(first, number) for number in (1, 1, 2, 1, 3, 2)] == [1, 1, 2, 1, 3, 2]
    assert made == [1, 2, 3, 2]  # two of each
    alive = weakref.ref(first)
    for _ in range(kept.ACTIVATIONS):
        compute(Bounded(), 1)
    assert len(made) == 4 + kept.ACTIVATIONS
    compute(first, 2)
    assert len(made) == 5 + kept.ACTIVATIONS  # forgotten meanwhile
    del first
    for _ in range(kept.ACTIVATIONS):
        compute(Bounded(), 1)
    gc.collect()
    assert alive() is None


@pytest.mark.slow
def test_compiled_code_goes_with_the_activation():
    """No cache, ours or JAX's, holds on to a lambda once others have been used: whatever it was used for."""

    def use(slope):
        function = lambda u: u + slope * u**3  # noqa: E731
        problem = Problem(psi_n=2.0, psi_p=2.0, m=2, t=0.1, ridge=1e-2, activation=function)
        predict(problem)
        predict(problem.at(t=np.linspace(0.1, 1, 300)))
        simulate(problem, 6)
        simulate_training(problem, [1.0], 6)
        phase_diagram(problem)
        return weakref.ref(function)

    alive = use(1.1)
    assert alive() is not None
    for _ in range(kept.ACTIVATIONS):
        kept._shelf(Bounded())
    gc.collect()
    assert alive() is None
