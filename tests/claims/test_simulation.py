"""docs/simulation.md: its numbers."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from rfdsm import activations, schedules
from rfdsm.activations._rules import RULE_ACCURACY, SINGLE_ACCURACY
from rfdsm.simulation import memory_estimate
from rfdsm.simulation._memory import chunk_numbers
from rfdsm.simulation._plan import LEAST_SINGLE_LOSS, LEAST_SINGLE_RIDGE, MANY_DRAWS
from rfdsm.simulation._series import TOLERANCE, conditional_choice
from tests.claims.ledger import Claim, check, power, ten

PAGE = "docs/simulation.md"


def tails() -> tuple[float, str]:
    """Largest variate that jax.random.normal can draw in single precision, and the variance beyond it."""
    end = math.sqrt(2) * float(jax.scipy.special.erfinv(jnp.nextafter(jnp.float32(1), jnp.float32(0))))
    density = math.exp(-(end**2) / 2) / math.sqrt(2 * math.pi)
    return end, power(2 * end * density + math.erfc(end / math.sqrt(2)), 0)


def factor() -> float:
    """Of the memory formula: bytes = 8 * factor * (2 p^2 + 3 p d + chunk), and 3 p^2 numbers more with eigenvectors."""
    p, d = 600, 400
    eigenvectors = memory_estimate(p, d, eigenvectors=True) - memory_estimate(p, d)
    assert eigenvectors == 8 * 3 * p**2
    found = memory_estimate(p, d) / 8 / (2 * p**2 + 3 * p * d + chunk_numbers(p, d, 16))
    assert abs(found - 1.5) < 1e-6
    return found


def single() -> tuple[float, float]:
    """Terms in single precision, and all."""
    level = schedules.get("ou").level(np.float64(0.1), 1.0)
    choice = conditional_choice(activations.get("tanh"), 400, 2400, level, 1.0, "float64")
    return choice.fewest - choice.double, choice.fewest


CLAIMS = [
    Claim(PAGE, "they end at {:.1f} standard deviations, which lowers their variance by {}", tails),
    Claim(PAGE, "this is below {} of the energy of all non-linear terms", lambda: ten(TOLERANCE["float64"])),
    Claim(PAGE, "single precision leaves no more than {}", lambda: power(SINGLE_ACCURACY, 0)),
    Claim(PAGE, "{:.0f} of {:.0f} terms of tanh at d = 400, p = 2400, t = 0.1", single),
    Claim(PAGE, "where those are not exact to {}", lambda: ten(RULE_ACCURACY)),
    Claim(PAGE, "(their number)·{} of the largest", lambda: power(np.finfo(float).eps)),
    Claim(PAGE, "{:.1f} (2p² + 3pd + chunk) numbers", factor),
    Claim(PAGE, "at d = 2000, p = 6000 the formula says {:.1f} GB", lambda: memory_estimate(6000, 2000) / 1e9),
    Claim(PAGE, "at least {:.0f} times as many as the features", lambda: MANY_DRAWS),
    Claim(PAGE, "the ridge is below {} E ϱ²", lambda: ten(LEAST_SINGLE_RIDGE)),
    Claim(PAGE, "the loss of the true score below {}", lambda: ten(LEAST_SINGLE_LOSS)),
]
SETTINGS = (
    "losses then change by less than 10⁻¹⁰, relative, when terms are added (tests/simulation/test_exact.py)",
    "losses stay the same to 10⁻¹², relative (the same test)",
    "to 10⁻¹⁰ (tests/simulation/test_devices.py,",
    "within 10⁻⁴ of float64, relative, ",
)
"""Tolerances of the tests that they name."""


def test_numbers():
    check(PAGE, CLAIMS, SETTINGS)
