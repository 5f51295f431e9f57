"""What may be asked: shapes, ranges, and the words in which bad input is refused."""

import numpy as np
import pytest

from rfdsm import linear, spectra
from tests.tolerances import IDENTITY


def test_defaults_and_derived_quantities():
    problem = linear.Problem(2.0, np.array([0.5, 2.0]), sigma=3.0)
    assert problem.shape == (2,)
    np.testing.assert_array_equal(problem.m, 1)
    np.testing.assert_array_equal(problem.ridge, 0)
    np.testing.assert_allclose(problem.noise_scale, np.exp([-1.0, -4.0]), rtol=IDENTITY)
    np.testing.assert_allclose(problem.a, np.exp([-0.5, -2.0]), rtol=IDENTITY)
    np.testing.assert_allclose(problem.eta, np.exp([-1.0, -4.0]) * (1 - np.exp([-1.0, -4.0])), rtol=IDENTITY)
    np.testing.assert_allclose(problem.variance, 9.0)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("psi", 0.0, "psi = 0 must be finite and > 0"),
        ("T", 0.0, "T = 0 must be > 0"),
        ("T", 1e3, "at most 300"),
        ("m", 0, "m = 0 must be an integer >= 1 or inf"),
        ("ridge", -1e-9, "ridge = -1e-09 must be finite and >= 0"),
        ("m", [], "m is empty"),
        ("spectrum", "flat", "spectrum"),
    ],
)
def test_bad_fields_are_named(name, value, text):
    with pytest.raises(ValueError, match=text):
        linear.Problem(**{"psi": 2.0, "T": 1.0} | {name: value})


def test_shapes_must_broadcast():
    with pytest.raises(ValueError, match=r"psi \(2,\), T \(3,\)"):
        linear.Problem([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="1-D"):
        linear.Problem.grid([[1.0]], 1.0)


def test_bad_requests_are_refused():
    problem = linear.Problem(2.0, 1.0)
    exact = linear.Problem(2.0, 1.0, np.inf)
    for d, text in ((0, "d = 0 must be an integer >= 1"), (1, r"n = round\(psi d\) = 0 must be"), (10**7, "GB of mem")):
        with pytest.raises(ValueError, match=text):
            linear.simulate(linear.Problem(0.3, 1.0), d)
    with pytest.raises(ValueError, match="trials = 1"):
        linear.compare(problem, 10, trials=1)
    with pytest.raises(ValueError, match="different ones"):
        linear.compare(problem, [10, 10])
    with pytest.raises(ValueError, match="m = 1 must be inf"):
        linear.chain(problem, 2)
    with pytest.raises(ValueError, match="must be isotropic in chain"):
        linear.chain(linear.Problem(2.0, 1.0, np.inf, spectrum=spectra.atoms([1.0, 2.0])), 2)
    for steps in (0, 1.5, True, []):
        with pytest.raises(ValueError, match="steps"):
            linear.chain(exact, steps)
    for chi in (-0.1, 1.1, "half"):
        with pytest.raises(ValueError, match="stochasticity"):
            linear.chain(exact, 2, stochasticity=chi)
    for schedule in ("fast", [0.5, 1.0], [1.0, 0.5, 0.1], [1.0, 0.0]):
        with pytest.raises(ValueError, match="schedule"):
            linear.chain(exact, 2, schedule=schedule)
    with pytest.raises(ValueError, match="must be isotropic"):
        linear.memorisation(linear.Problem(2.0, 1.0, spectrum=spectra.atoms([1.0, 2.0])), 10)
    for name, value in (("fresh", 1), ("generated", 0), ("dtype", "float16")):
        with pytest.raises(ValueError, match=name):
            linear.memorisation(problem, 10, trials=2, **{name: value})
