"""Schedules and targets in sweeps: stored as text, resumed from it, told apart, and in the files."""

import json

import numpy as np
import pytest

from rfdsm import Problem, predict, schedules, sweeps, targets
from rfdsm.datasets import provenance
from rfdsm.sweeps import SweepError, _models as models
from tests.sweeps.tiny import CUBIC, sweep

PROBLEM = Problem.grid([1.0, 2.0], 4.0, np.inf, 0.4, 1e-2, CUBIC, schedule="edm:0.7", target="flow")


def test_stored_and_resumed(tmp_path):
    whole = sweep(tmp_path / "store", problem=PROBLEM)
    assert sweeps.resume(tmp_path / "store", progress=False).equals(whole)
    np.testing.assert_allclose(np.ravel(whole["limit"].sel(loss="test")), predict(PROBLEM).test, rtol=1e-12)
    with pytest.raises(SweepError, match="target"):
        sweep(tmp_path / "store", problem=Problem.grid([1.0, 2.0], 4.0, np.inf, 0.4, 1e-2, CUBIC, schedule="edm:0.7"))


def test_text_of_functions_is_their_values():
    """Such a problem is resumed by whoever has the functions; others are told."""
    own = Problem(1, 1, 1, [0.2, 0.4], 0.1, schedule=schedules.from_functions(lambda t: 1 - t, lambda t: t))
    other = Problem(1, 1, 1, [0.2, 0.4], 0.1, schedule=schedules.from_functions(lambda t: 1 - t**2, lambda t: t))
    text, changed = (models.text(models.model_of(problem), problem) for problem in (own, other))
    assert json.dumps(text) != json.dumps(changed)
    assert models.read(text, own)[1] == own
    with pytest.raises(models.ActivationError):
        models.read(text)


def test_provenance_makes_the_problem_again():
    for problem in (
        Problem(1, 2, 3, 0.4, 0.1, schedule="edm:0.7", target="linear:1,0.5"),
        Problem(1, 2, 3, 500.0, 0.1, schedule="beta_linear", target=targets.velocity()),
        Problem(1, 2, 3, 0.4, 0.1),
    ):
        (_, found) = models.provenance(json.loads(provenance(problem)["configuration"]))
        assert (found.schedule, found.target) == (problem.schedule, problem.target)
        np.testing.assert_array_equal(predict(found).test, predict(problem).test)
