"""Noise schedules and targets: what they say at a level, what they refuse, their notation, and that they are values."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rfdsm import Problem, predict, schedules, spectra, targets
from tests.tolerances import IDENTITY

T = np.array([0.1, 0.37, 0.8])
LEVELS = {
    "ou": (np.exp(-T), np.sqrt(1 - np.exp(-2 * T)), 1),
    "flow": (1 - T, T, 1),
    "variance_exploding": (1, T, 1),
    "edm:0.5": ((T**2 + 0.25) ** -0.5, T * (T**2 + 0.25) ** -0.5, (T**2 + 0.25) ** -0.5),
    "cosine": (np.cos(np.pi * T / 2), np.sin(np.pi * T / 2), 1),
}


@pytest.mark.parametrize("name", LEVELS)
def test_levels(name):
    level = schedules.get(name).level(T, 1.7)
    for found, expected in zip((level.a, level.root_h, level.scale), LEVELS[name], strict=True):
        np.testing.assert_allclose(found, np.broadcast_to(expected, 3), rtol=IDENTITY)


def test_beta_table():
    """Step k of the table is the product of 1 - beta up to it."""
    betas = np.linspace(1e-4, 0.02, 1000)
    level = schedules.beta_linear().level(np.array([1.0, 250.0, 1000.0]), 1.0)
    kept = np.array([np.prod(1 - betas[:k]) for k in (1, 250, 1000)])
    np.testing.assert_allclose(level.a**2, kept, rtol=1e-11)
    np.testing.assert_allclose(level.h, 1 - kept, rtol=1e-11)


def test_edm_scales_by_the_data():
    """Without a deviation of its own the schedule takes sqrt(tr Sigma/d): the input has variance one."""
    problem = Problem(1, 1, 1, 0.7, 0.1, spectrum=spectra.isotropic(3.0), schedule="edm", target="edm")
    level = problem.level
    np.testing.assert_allclose(3 * level.a**2 + level.h, 1, rtol=IDENTITY)
    assert predict(problem).null == pytest.approx(1, rel=IDENTITY)  # EDM's residual has variance one


COEFFICIENTS = {
    "noise": (0, -1),
    "data": (1, 0),
    "velocity": (-np.sqrt(0.4), 0.7),
    "flow": (-1, 1),
    "linear:0.5,-2": (0.5, -2),
}


@pytest.mark.parametrize("name", COEFFICIENTS)
def test_coefficients(name):
    level = schedules.Level(np.float64(0.7), np.float64(0.4), np.float64(1))
    np.testing.assert_allclose(targets.get(name).coefficients(level, 1.0), COEFFICIENTS[name], rtol=IDENTITY)


def test_edm_target_is_the_residual_of_the_denoiser():
    """c_skip y + c_out f = x at the residual's value, whatever x and z are; y without the input's scale."""
    sigma, std, x, z = 0.6, 0.5, 1.3, -0.4
    level = schedules.edm(std).level(np.float64(sigma), 1.0)
    alpha, beta = targets.edm(std).coefficients(level, 1.0)
    skip, out = std**2 / (sigma**2 + std**2), sigma * std / np.hypot(sigma, std)
    np.testing.assert_allclose(skip * (x + sigma * z) + out * (alpha * x + beta * z), x, rtol=IDENTITY)


@pytest.mark.parametrize("kind", [schedules, targets])
def test_notation(kind):
    for made in (kind.get(name) for name in kind.NAMES if name != "linear"):
        assert kind.get(str(made)) == made == pickle.loads(pickle.dumps(made))
        assert hash(kind.get(str(made))) == hash(made)
    assert kind.get("edm:0.5") == kind.edm(0.5) != kind.edm()
    assert str(kind.edm(0.5)) == "edm:0.5"


def test_functions():
    own = schedules.from_functions(lambda t: 1 - t, lambda t: t)
    found, expected = (predict(Problem(2, 3, 4, [0.2, 0.6], 0.1, schedule=s, target="flow")) for s in (own, "flow"))
    np.testing.assert_allclose(found.test, expected.test, rtol=IDENTITY)
    made = targets.linear(lambda level: -level.root_h, lambda level: level.a)
    found, expected = (predict(Problem(2, 3, 4, [0.2, 0.6], 0.1, target=t)) for t in (made, "velocity"))
    np.testing.assert_allclose(found.test, expected.test, rtol=IDENTITY)


@pytest.mark.slow
def test_parameters_are_differentiable():
    """Of schedule and target, and the time, by reverse mode inside jit, against differences."""

    def score(x):
        std, alpha, t = x
        return predict(
            Problem(2.0, 3.0, 4, t, 1e-2, schedule=schedules.edm(std), target=targets.linear(alpha, 1.0))
        ).score

    at, step = np.array([1.3, 0.4, 0.4]), 1e-5
    value, slopes = jax.jit(jax.value_and_grad(score))(jnp.asarray(at))
    np.testing.assert_allclose(value, score(at), rtol=1e-12)
    differences = [(score(at + change) - score(at - change)) / (2 * step) for change in step * np.eye(3)]
    np.testing.assert_allclose(slopes, differences, rtol=1e-6)


REFUSED = [
    (dict(schedule="flow", t=1.0), "t = 1 must be > 0 and < 1"),
    (dict(schedule="cosine", t=[0.5, 1.5]), "t = 1.5 must be > 0 and < 1"),
    (dict(schedule="beta_linear", t=0.5), "t = 0.5 must be >= 1 and <= 1000 (its steps)"),
    (dict(schedule="variance_exploding", t=np.inf), "t = inf must be finite and > 0"),
    (dict(schedule="variance_exploding", t=1e-9), "t = 1e-09 must be where h/a^2 is from 1e-15 to 1e30"),
    (dict(schedule="unknown"), "schedule = 'unknown' must be one of ou, flow, variance_exploding, edm"),
    (dict(schedule=3), "schedule = 3 must be one of"),
    (dict(schedule="flow:2"), "schedule = 'flow:2' has too many or too few numbers"),
    (dict(schedule="edm:-1"), "data_std = -1 must be one finite number > 0"),
    (dict(target="score"), "target = 'score' must be one of noise, data, velocity, flow, edm, linear"),
    (dict(target="linear:1,x"), "could not convert"),
    (dict(target=targets.linear(lambda level: level.a, lambda level: level.root_h)), "says nothing about the score"),
    (dict(target="linear:0,0"), "says nothing about the score"),
    (dict(target=targets.linear(lambda level: level.a / 0, 1.0)), "alpha must be finite at every level"),
    (dict(schedule=schedules.from_functions(lambda t: t - 2, lambda t: t)), "both functions are finite and positive"),
    (
        dict(schedule=schedules.from_functions(lambda t: t[0], lambda t: t), t=[0.1, 0.2]),
        "signal = .*must act elementwise",
    ),
]


@pytest.mark.filterwarnings("ignore:divide by zero")
@pytest.mark.parametrize("fields, message", REFUSED, ids=range(len(REFUSED)))
def test_refusals(fields, message):
    given = dict(psi_n=2, psi_p=3, m=4, t=0.3, ridge=0.1) | fields
    with pytest.raises(ValueError, match=message.replace("(", r"\(").replace(")", r"\)").replace("^", r"\^")):
        Problem(**given)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: schedules.edm(0), "data_std = 0 must be one finite number > 0"),
        (lambda: schedules.beta_linear(steps=1), "steps = 1 must be an integer >= 2"),
        (lambda: schedules.beta_linear(last=1.5), "last = 1.5 must be > 0 and < 1"),
        (lambda: schedules.from_functions(1.0, lambda t: t), "signal = 1.0 must be a function of t"),
        (lambda: targets.linear("a", 1), "alpha = 'a' must be"),
        (lambda: targets.linear(np.nan, 1), "alpha = nan must be one finite number"),
    ],
)
def test_makers_refuse(make, message):
    with pytest.raises(ValueError, match=message):
        make()
