"""What is no problem at all is refused at every door, in one line that names what came.

In a process of its own: within the test session, annotations are checked before the functions' own words are reached.
"""

import subprocess
import sys
from decimal import Decimal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rfdsm import (
    Problem,
    activations,
    compare,
    linear,
    optimal_stopping,
    phases,
    simulate,
    simulate_training,
    spectra,
    spectral_density,
    training_curve,
    units,
)

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


@pytest.mark.slow
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


HUGE = 10**30
NO_NUMBERS = [True, np.True_, 1j, "1", b"1", "x", 10**400, 10**5000, np.nan, -1, None, {}, {1}, object(), [1, [2, 3]]]
NO_NUMBERS += [[1, None], Decimal("NaN"), Decimal("1e400"), np.datetime64("2020"), int, len, np.array(["a"]), [[]]]
NO_COUNTS = [*NO_NUMBERS, 0, 2.5, 3.0, np.inf, HUGE, np.array([2]), jnp.bfloat16(2)]


def doors():
    """(name, call of one value, whether it takes counts): every numeric argument that has no default of None."""
    one, line, exact = Problem(2, 3, 2, 0.1, 0.1), linear.Problem(2.0, 1.0), linear.Problem(2.0, 1.0, np.inf)
    good, line_good = dict(psi_n=2, psi_p=3, m=2, t=0.1, ridge=0.1), dict(psi=2, T=1)
    for name in good:
        yield name, lambda v, n=name: Problem(**{**good, n: v}), False
        yield name, lambda v, n=name: Problem.grid(**{**good, n: v}), False
    for name in ("psi", "T", "m", "ridge", "sigma"):
        yield name, lambda v, n=name: linear.Problem(**{**line_good, n: v}), False
    for name in ("exponent", "cutoff", "variance"):
        yield name, lambda v, n=name: spectra.power_law(**{"exponent": 1.0, "cutoff": 0.1, n: v}), False
    yield "nodes", lambda v: spectra.power_law(1.0, 0.1, v), True
    yield "variance", spectra.isotropic, False
    yield "nodes", lambda v: spectra.from_eigenvalues([1.0, 2.0], v), True
    yield "d", one.spectrum.realise, True
    yield "slope", activations.leaky_relu, False
    yield "d", lambda v: simulate(one, v), True
    yield "trials", lambda v: simulate(one, 4, trials=v), True
    yield "d", lambda v: simulate_training(one, [1.0], v), True
    yield "times", lambda v: simulate_training(one, v, 4), False
    yield "initial", lambda v: simulate_training(one, [1.0], 4, initial=v), False
    yield "d", lambda v: compare(one, [v]), True
    yield "trials", lambda v: compare(one, 4, trials=v), True
    yield "times", lambda v: training_curve(one, v), False
    yield "initial", lambda v: training_curve(one, [1.0], initial=v), False
    yield "initial", lambda v: optimal_stopping(one, initial=v), False
    yield "tolerance", lambda v: optimal_stopping(one, tolerance=v), False
    yield "n", lambda v: phases.advise(n=v, d=10), True
    yield "t", lambda v: phases.advise(n=100, d=10, t=v), False
    yield "d", lambda v: linear.simulate(line, v, trials=2), True
    yield "trials", lambda v: linear.simulate(line, 4, trials=v), True
    yield "fresh", lambda v: linear.memorisation(line, 4, trials=2, fresh=v), True
    yield "steps", lambda v: linear.chain(exact, v), True
    yield "stochasticity", lambda v: linear.chain(exact, 2, stochasticity=v), False
    yield "smoothing", lambda v: linear.generated(line, v), False
    yield "learning_rate", lambda v: units.flow_time(v, 1, 0.1, 4, 2), False
    yield "steps", lambda v: units.flow_time(1.0, v, 0.1, 4, 2), False
    yield "theta", lambda v: units.tau_from_flow_time(v, 0.1, 3), False


def test_what_is_no_number_is_refused_at_every_door_in_one_line():
    for name, door, counts in doors():
        for value in NO_COUNTS if counts else NO_NUMBERS:
            if (name, type(value)) in {("slope", int), ("steps", np.ndarray)}:  # -1; a list of steps
                continue
            try:
                door(value)
            except ValueError as error:
                message = str(error)
                assert name in message and "\n" not in message and len(message) < 400, (name, value, message)
            else:
                raise AssertionError(f"{name} took {type(value)}")


def test_requests_too_large_are_refused_before_they_are_begun():
    one, many = Problem(0.5, 0.5, 2, 0.1, 0.1), 2**31 - 1
    for call, said in (
        (lambda: simulate(one, many), "GB of memory"),
        (lambda: simulate(one, 4, trials=many, memory_limit=10**9), "GB of results"),
        (lambda: simulate_training(one, np.ones(1000), 4, trials=10**8), "at 1000 times have 5.6e+03 GB of results"),
        (lambda: simulate(Problem(10**20, 3, 2, 0.1, 0.1), 4), "n = round(psi_n d) = 4e+20 must be at most"),
        (lambda: simulate(Problem(2, 10**20, 2, 0.1, 0.1), 4), "p = round(psi_p d) = 4e+20 must be at most"),
        (lambda: simulate(one, 4, memory_limit="1 GB"), "memory_limit = '1 GB' must be a number"),
        (lambda: linear.simulate(linear.Problem(2.0, 1.0), many, trials=2), "GB of memory"),
    ):
        with pytest.raises(ValueError) as caught:
            call()
        assert said in str(caught.value) and "\n" not in str(caught.value)


def test_tracing_is_said_where_it_cannot_be():
    for name, call in (
        ("covariance", lambda x: spectra.from_covariance(x * jnp.eye(2)).mean),
        ("values", lambda x: spectra.from_eigenvalues(jnp.stack([x, x])).mean),
        ("times", lambda x: training_curve(Problem(2, 3, 2, 0.1, 0.1), x).test),
        ("u", lambda x: spectral_density(Problem(2, 3, 2, 0.1, 0.1), [x]).density),
    ):
        for transform in (jax.grad, jax.jit):
            with pytest.raises(ValueError, match=f"^{name} is traced by jax.jit, grad or vmap: it must be"):
                transform(call)(1.0)
