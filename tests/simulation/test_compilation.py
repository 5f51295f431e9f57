"""How simulations are compiled changes nothing about their numbers."""

import jax
import numpy as np
import pytest

from rfdsm import Problem, activations, simulate
from rfdsm.simulation import trial


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"xla_no_release_knows_this": True}], ids=["none", "unknown"])
def test_options_of_the_compiler(options, monkeypatch):
    def losses(coefficient):
        # Another activation, so that nothing compiled before is found.
        kind = activations.polynomial([0.1, 1.0, coefficient, 0.1])
        return simulate(Problem(3.0, [2.0, 8.0], 2, 0.2, 1e-2, kind), 16, trials=2)

    expected = losses(0.3)
    monkeypatch.setattr(trial, "CPU_OPTIONS", options)
    monkeypatch.setattr(trial, "executable", trial.executable.__wrapped__)
    found = losses(0.3)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(np.asarray(one, float), np.asarray(other, float), rtol=1e-12)
