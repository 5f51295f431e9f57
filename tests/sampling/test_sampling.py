"""Samplers with the best linear network, whose law is known: along an eigenvector s samples keep variance a^2 s + h."""

import numpy as np
import pytest

from rfdsm import sampling, schedules, targets
from tests.tolerances import IDENTITY

SAMPLERS = {
    "ddim": sampling.ddim,
    "half stochastic": lambda levels: sampling.ddim(levels, 0.5),
    "ddpm": sampling.ddpm,
    "euler": sampling.euler,
    "reverse_sde": sampling.reverse_sde,
}
ENDS = {
    "ou": (2.0, 0.1),
    "flow": (0.9, 0.1),
    "variance_exploding": (3.0, 0.1),
    "edm": (3.0, 0.1),
    "cosine": (0.9, 0.1),
    "beta_linear": (900.0, 10.0),
}


def steps_of(sampler, schedule="ou", target="noise"):
    return sampler.steps(schedules.get(schedule), targets.get(target))


def final(name, schedule, target, s, steps):
    """Variance at the last level over what it should be."""
    levels = sampling.geometric(*ENDS[schedule], steps)
    sampler = SAMPLERS[name](levels)
    asked = sampler.asked(schedules.get(schedule), targets.get(target))
    step = steps_of(sampler, schedule, target)
    variance = asked.a[0] ** 2 * s + asked.h[0]
    best = (asked.alpha * asked.a * s + asked.beta * asked.root_h) / (asked.a**2 * s + asked.h)
    for A, C, spread, slope in zip(step.A, step.C, step.spread, best, strict=True):
        variance = (A + C * slope) ** 2 * variance + spread**2
    end = schedules.get(schedule).level(np.float64(levels[-1]), 1.0)
    return variance / (end.a**2 * s + end.h)


@pytest.mark.parametrize("schedule", ENDS)
@pytest.mark.parametrize("name", SAMPLERS)
def test_many_steps_generate_the_data(name, schedule):
    """What K steps leave falls like 1/K or faster."""
    for s in (0.3, 2.0):
        few, many = (abs(final(name, schedule, "noise", s, steps) - 1) for steps in (400, 1600))
        assert many < 0.02 and many < 0.3 * few, (few, many)


def test_targets_take_the_same_steps():
    """With the same estimates of data and noise, samplers do not see what the network predicts."""
    for name in SAMPLERS:
        values = [final(name, "flow", target, 1.4, 30) for target in ("noise", "data", "flow", "linear:0.4,1.3")]
        np.testing.assert_allclose(values, values[0], rtol=1e-10)


def test_textbook_steps():
    """The reversed Ornstein-Uhlenbeck equation for a score, Euler's method for a flow, DDIM for a denoiser."""
    levels = np.array([1.0, 0.7, 0.2])
    gap = -np.diff(levels)
    found = steps_of(sampling.reverse_sde(levels))
    root_h = np.sqrt(-np.expm1(-2 * levels[:-1]))
    np.testing.assert_allclose(found.A, 1 + gap, rtol=IDENTITY)
    np.testing.assert_allclose(found.C, 2 * gap / root_h, rtol=IDENTITY)
    np.testing.assert_allclose(found.spread, np.sqrt(2 * gap), rtol=IDENTITY)
    found = steps_of(sampling.euler(levels[1:]), "flow", "flow")
    np.testing.assert_allclose((found.A[0], found.C[0], found.spread[0]), (1, -gap[1], 0), atol=1e-14)
    found = steps_of(sampling.ddim([0.7, 0.0]), target="data")
    np.testing.assert_allclose((found.A[0], found.C[0], found.spread[0]), (0, 1, 0), atol=1e-14)


def test_ancestral_steps_of_a_table():
    """Step k of a table of betas: fresh noise of variance beta_k (1 - abar_{k-1})/(1 - abar_k)."""
    betas = np.linspace(1e-4, 0.02, 1000)
    kept = np.cumprod(1 - betas)
    found = steps_of(sampling.ddpm([500.0, 499.0, 498.0]), "beta_linear")
    expected = [betas[k - 1] * (1 - kept[k - 2]) / (1 - kept[k - 1]) for k in (500, 499)]
    np.testing.assert_allclose(found.spread**2, expected, rtol=1e-9)


def test_levels():
    np.testing.assert_allclose(sampling.geometric(8, 1, 3), [8, 4, 2, 1])
    np.testing.assert_allclose(sampling.uniform(4, 1, 3), [4, 3, 2, 1])
    np.testing.assert_allclose(sampling.karras(9, 1, 2, rho=2), [9, 4, 1])
    np.testing.assert_array_equal(sampling.table(1000, 4), [1000, 750, 500, 251, 1])
