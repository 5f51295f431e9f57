"""What is no problem at all is refused at every door, in one line that names what came.

In a process of its own: within the test session, annotations are checked before the functions' own words are reached.
"""

import subprocess
import sys

import pytest

CODE = """
import numpy as np
import rfdsm
from rfdsm import Problem, linear, phases, sweeps

own = {"boundary": ("memorisation",), "training_curve": ([1.0],), "spectral_density": ([1.0],), "simulate": (10,),
       "compare": (10,), "simulate_training": ([1.0], 10)}
names = "predict simulate compare phase_diagram boundary optimal training_curve optimal_stopping spectral_density"
doors = [(name, getattr(rfdsm, name), own.get(name, ())) for name in (names + " simulate_training").split()]
doors += [("peak", phases.peak, ()), ("simulated_regimes", phases.simulated_regimes, (10,))]
one, other = Problem(2, 2, 1, 0.1, 0.1), linear.Problem(2.0, 1.0)
calls = [(name, door, rest, bad) for name, door, rest in doors for bad in (dict(psi_n=1), other, None)]
linear_doors = [("linear.predict", linear.predict, ()), ("linear.generated", linear.generated, ()),
                ("linear.chain", linear.chain, (4,)), ("linear.simulate", linear.simulate, (10,)),
                ("linear.compare", linear.compare, (10,)), ("linear.memorisation", linear.memorisation, (10,))]
calls += [(name, door, rest, bad) for name, door, rest in linear_doors for bad in (dict(psi=1), one)]
for name, door, rest, bad in calls:
    try:
        door(bad, *rest)
        print(name, "accepted", bad)
    except Exception as error:
        print(f"{name}|{type(error).__name__}|{error}")
for matrix in (np.eye(3), np.ones(3), [1, 2]):
    try:
        Problem(2, 2, 1, 0.1, 0.1, spectrum=matrix)
    except Exception as error:
        print(f"spectrum|{type(error).__name__}|{error}")
"""


@pytest.fixture(scope="module")
def answers():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True, timeout=600)
    return [line.split("|") for line in done.stdout.splitlines()]


def test_every_door_refuses_what_is_no_problem(answers):
    said = [answer for answer in answers if answer[0] != "spectrum"]
    assert len(said) == 12 * 3 + 6 * 2
    for name, kind, message in said:
        which = "rfdsm.linear.Problem" if name.startswith("linear.") else "rfdsm.Problem"
        assert kind == "ValueError" and message.startswith(f"problem must be a {which}, got "), (name, kind, message)


def test_arrays_are_no_spectra(answers):
    matrix, vector, listed = (message for name, _, message in answers if name == "spectrum")
    assert matrix.endswith("got an array of shape (3, 3): spectra.from_covariance")
    assert vector.endswith("got an array of shape (3,): spectra.from_eigenvalues")
    assert listed.startswith("spectrum = [1, 2] must be None or come from rfdsm.spectra")
