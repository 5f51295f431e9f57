"""docs/linear.md: its numbers, and its closed formulas."""

import numpy as np
import pytest

from rfdsm import linear
from rfdsm.linear._generated import NEAR
from tests.claims.ledger import Claim, check, power, ten, ten_above

PAGE = "docs/linear.md"


def signal_share(T: float, scale: float) -> float:
    """r = a^2/(a^2 + eta) at sigma = 1."""
    problem = linear.Problem(2.0, T, noise_scale=scale)
    return float(problem.a**2 / (problem.a**2 + problem.eta))


def falls_everywhere() -> float:
    """r at the paper's setting, where KL falls from n = d on."""
    law = linear.generated(linear.Problem(1 + np.geomspace(1e-3, 1e2, 200), 2.0))
    assert np.all(np.diff(law.kl) < 0)
    return signal_share(2.0, np.exp(-4.0))


def strong_noise() -> tuple[float, ...]:
    """KL at its minimum and at the maximum beyond, with their n/d, and 1/r."""
    psi = np.geomspace(1.5, 9.0, 200)
    kl = np.asarray(linear.generated(linear.Problem(psi, 2.0, noise_scale=0.1)).kl)
    low = int(np.argmax(np.diff(kl) > 0))
    high = low + int(np.argmax(kl[low:]))
    assert np.all(np.diff(kl[high:]) < 0)
    return kl[low], psi[low], kl[high], psi[high], 1 / signal_share(2.0, 0.1)


def trapezoidal_rule() -> str:
    """Wasserstein distances by it at m = infinity, against Marchenko-Pastur averages; a bound on the relative error."""
    problem = linear.Problem(np.array([1.5, 3.0, 8.0]), 1.2, np.inf, 0.02)
    exact = linear.chain(problem, 1, smoothing=0.3).wasserstein
    return ten_above(np.max(np.abs(linear.generated(problem, 0.3).wasserstein / exact - 1)))


SCHEDULES = ("uniform", "quadratic", "geometric")


def eight_steps() -> tuple[float, ...]:
    problem = linear.Problem(4.0, 2.0, np.inf)
    return tuple(float(linear.chain(problem, 8, schedule=name).kl) for name in SCHEDULES)


def best(problem: linear.Problem, smoothing: float = 0.0) -> tuple[float, ...]:
    """Best numbers of steps, then the divergences there, in the schedules."""
    found = [linear.optimal_steps(problem, 16, schedule=name, smoothing=smoothing) for name in SCHEDULES]
    return tuple(float(value[k]) for k in range(2) for value in found)


def invisible() -> str:
    """Mean overlap of a kernel with the others of a fresh set of 1e4 points at d = 100, over that with itself."""
    N, d = 1e4, 100
    return power(N * (1 + N ** (2 / d)) ** (-d / 2), 0)


def plateaus():
    """KL/d of N(0, S) at n/d = 4, which 4096 steps come close to if noise erases the data; and at the default noise."""
    psi = 4.0
    samples = (1 - (psi - 1) * np.log(psi / (psi - 1))) / 2
    forgetful, default = (
        [linear.chain(linear.Problem(psi, T, np.inf, 0.0, scale), 4096, stochasticity=chi).kl for chi in (1.0, 0.0)]
        for T, scale in ((4.0, 1.0), (2.0, None))
    )
    assert np.all(np.abs(np.array(forgetful) - samples) < 0.0015)
    return samples, *default


CLAIMS = [
    Claim(
        PAGE,
        "for every χ: {:.4f} at n/d = 4. The default noise scale is too weak for that, sampling starts from a round "
        "law, and the plateau is lower: at T = 2, n/d = 4 it is {:.4f} for χ = 1, and {:.4f} for χ = 0",
        plateaus,
    ),
    Claim(PAGE, "at smoothing = 0 the value is that at Ω = {} times the size", lambda: ten(NEAR)),
    Claim(PAGE, "leaves less than {}", trapezoidal_rule),
    Claim(PAGE, "At the paper's setting, r = {:.3f}, KL falls", falls_everywhere),
    Claim(PAGE, "l = 0.1: from {:.3f} at n/d = {:.1f} to {:.3f} at {:.1f}, with 1/r = {:.1f})", strong_noise),
    Claim(
        PAGE,
        "(for example {:.0f} at T = 1, λ = 0.3, n ≫ d)",
        lambda: linear.optimal_steps(linear.Problem(1e6, 1.0, np.inf, 0.3), 16)[0],
    ),
    Claim(PAGE, "eight steps leave {:.4f}, {:.4f}, {:.4f};", eight_steps),
    Claim(
        PAGE,
        "λ = 0.3, T = 1, n/d = 4 the best are {:.0f}, {:.0f}, {:.0f} steps with {:.3f}, {:.3f}, {:.3f}",
        lambda: best(linear.Problem(4.0, 1.0, np.inf, 0.3)),
    ),
    Claim(
        PAGE,
        "at n/d = 0.8, the best are {:.0f}, {:.0f}, {:.0f} steps with {:.4f}, {:.4f}, {:.4f}",
        lambda: best(linear.Problem(0.8, 4.0, np.inf, 0.0, 1.0), 1.0),
    ),
    Claim(PAGE, "which are {} of them on average", invisible),
]
SETTINGS = (
    "(T = 2, l = 0.1: ",
    "number of steps: ridge 0, ridge 0.3, and n < d smoothed",
    "up to N = 10⁵ and more",
    "A fresh set of N = 10⁵ points",
    "has N = 10⁴ fresh points",
    "l = e^{-4}, N = 10⁴",
    "at d = 30, n/d = 0.25, some thirty times fewer at 0.5, none elsewhere",
)


@pytest.mark.slow
def test_numbers():
    check(PAGE, CLAIMS, SETTINGS)


@pytest.mark.slow
def test_closed_formulas():
    """Equation (5) beyond n/d = 1/r, and (6): reverse KL is finite beyond it and only there."""
    psi = np.array([2.5, 6.0, 40.0])
    r = signal_share(2.0, np.exp(-4.0))
    expected = (r - 1 - np.log(r)) / 2 + (1 - r) / (2 * (psi - 1))
    np.testing.assert_allclose(linear.generated(linear.Problem(psi, 2.0)).kl, expected, rtol=1e-8)
    assert np.all(psi > 1 / r)
    for m in (1, 3):
        problem = linear.Problem(2.0, 2.0, m, 0.05)
        threshold = float(1 + problem.eta / (m * problem.a**2))
        law = linear.generated(linear.Problem(threshold * np.array([0.98, 1.02]), 2.0, m, 0.05))
        assert law.reverse_kl[0] > 1e3 * law.reverse_kl[1]


@pytest.mark.parametrize("chi", [0.0, 0.7])
def test_one_update_of_a_chain(chi):
    """Equation (7), for a variance y'."""
    T, scale, ridge = 1.2, 0.6, 0.1
    problem = linear.Problem(1e9, T, np.inf, ridge, scale)
    a, eta = (float(value) for value in (problem.a, problem.eta))
    b = np.exp(-T / 2)
    eta_next = scale * (1 - b**2)
    D = a / (a**2 + eta + ridge)  # w = 1
    v = chi**2 * eta_next / eta * scale * (1 - np.exp(-T))
    variance = (b * D + np.sqrt((eta_next - v) / eta) * (1 - a * D)) ** 2 * (a**2 + eta) + v
    # the last step, to t' = 0, returns the denoised mean
    D = b / (b**2 + eta_next + ridge)
    law = linear.chain(problem, 2, stochasticity=chi)
    np.testing.assert_allclose(law.trace, D**2 * variance, rtol=1e-4)
