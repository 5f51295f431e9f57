"""docs/limits.md: it quotes no results but formulas, which are held against the code here."""

import numpy as np
import pytest

from rfdsm import Problem, activations, predict, spectra
from rfdsm.theory import limits
from rfdsm.theory._reduced_equations import one_population
from tests.claims.ledger import Claim, unclaimed
from tests.tolerances import IDENTITY, ROUTES

PAGE = "docs/limits.md"
CLAIMS: list[Claim] = []
SETTINGS = ()


def test_every_number_is_claimed():
    assert unclaimed(PAGE, CLAIMS, SETTINGS) == []


def average(values):
    return np.mean(values, axis=0)


D, BETA = np.array([0.3, 2.0]), 0.4


@pytest.mark.parametrize("samples, features, ridge", [(2.0, 3.0, 0.1), (5.0, 0.7, 1e-3), (np.inf, 0.7, 0.02)])
def test_one_population(samples, features, ridge):
    """Equations (1), and (2) as differences: the responses of c and -g to a probe that raises c in D and beta."""

    def solved(probe: float) -> tuple[float, float]:
        c, g, before = 1.0, 1.0, (0.0, 0.0)
        for _ in range(20_000):
            if (c, g) == before:
                break
            before = c, g
            w = features * g * (c + probe) * D
            g = (1 / (ridge + (c + probe) * BETA + average((c + probe) * D / (1 + w))) + g) / 2
            e = (features * g * average(D / (1 + w)) + BETA * features * g) / samples
            c = 1 / (1 + e)
        return c, g

    (c, g), one = solved(0.0), one_population(samples, features, ridge, D[:, None], np.array([BETA]), average)
    y = c * features * g
    k = BETA * y + average(y * D / (1 + y * D))
    np.testing.assert_allclose(
        [(1 - k / samples) * (features - k), 1 - k / samples, features - k],
        [ridge * y, c, ridge * g * features],
        rtol=1e-9,
    )
    np.testing.assert_allclose([one.x[0], one.c[0]], [1 / y, c], rtol=1e-9)
    x, u = 1 / y, features - k
    k1, k2 = BETA * y + average(x * D / (x + D) ** 2), average(D**2 / (x + D) ** 2)
    delta = c * k * (u + k1) + (1 - c) * k1 * u
    kappa, of_g = (1 - c) * (k1 * k + k2 * u) / delta, g / c * k1 * k / delta
    np.testing.assert_allclose([one.kappa[0], one.feature[0]], [kappa, k1 * k / delta], rtol=1e-9, atol=1e-12)
    step = 1e-4
    (c_up, g_up), (c_down, g_down) = solved(step), solved(-step)
    np.testing.assert_allclose(
        [c_up - c_down, g_down - g_up], 2 * step * np.array([kappa, of_g]), rtol=1e-5, atol=1e-11
    )


SPECTRUM = spectra.atoms([0.3, 4.0])


def parameters(problem: Problem) -> tuple[np.ndarray, float, float, float, float, float]:
    """s, a^2, h, L, v_0^2 and beta_a."""
    a_squared, h = float(np.exp(-2 * problem.t)), float(-np.expm1(-2 * problem.t))
    mu1, v0_squared, beta_a = activations.get("erf").moments(a_squared * SPECTRUM.mean, h)
    return SPECTRUM.nodes, a_squared, h, float(mu1) ** 2, float(v0_squared), float(beta_a)


@pytest.mark.parametrize("ridge", [0.0, 0.02])
def test_infinite_draws(ridge):
    """Equations (4) and (5), and what is said of them without ridge."""
    problem = Problem(1.0, 1.7, np.inf, 0.3, ridge, "erf", SPECTRUM)
    s, a_squared, h, _, v0_squared, beta_a = parameters(problem)
    B, r = beta_a + ridge, 1.7
    rho = np.roots([v0_squared, B + v0_squared * (r - 1), -B]).max()
    b = 1 / (rho * a_squared * s + h)
    own = h * a_squared * average(s * b**2)
    kappa = rho * (1 - rho) * (v0_squared + beta_a) / (B + v0_squared * rho**2)
    P = rho * (beta_a + rho * ridge + rho**2 * v0_squared) / (B + v0_squared * rho**2)
    found = limits.infinite_draws(problem)
    left = average((rho * a_squared * s * b) ** 2)
    np.testing.assert_allclose([found.train, found.test], [left + P * own, left + (1 + kappa) * own], rtol=ROUTES)
    bias = average((1 - rho) ** 2 * a_squared**2 * s**2 * b**2 / (a_squared * s + h))
    np.testing.assert_allclose(found.score, bias + kappa * own / h, rtol=ROUTES)
    if ridge == 0:
        np.testing.assert_allclose([P, found.train, found.objective], [rho, *2 * [average(rho * a_squared * s * b)]])
    np.testing.assert_allclose(limits.fitted_fraction(problem), v0_squared * r * rho / (B + v0_squared * rho))


def test_infinitely_many_samples():
    """Equation (2a), at x of (1)."""
    problem = Problem(np.inf, 1.7, 3, 0.3, 0.02, "erf", SPECTRUM)
    s, a_squared, h, L, v0_squared, beta_a = parameters(problem)
    D, beta = L * (a_squared * s + h), v0_squared + beta_a
    x = float(one_population(np.inf, 1.7, 0.02, D[:, None], np.array([beta]), average).x[0])
    k1, k = beta / x + average(x * D / (x + D) ** 2), beta / x + average(D / (x + D))
    r, u = x / (x + D), 1.7 - k
    score = average(r**2 / (a_squared * s + h)) + L * average(x / (x + D) ** 2) * k1 / (u + k1)
    np.testing.assert_allclose(limits.population(problem).score, score, rtol=ROUTES)
    np.testing.assert_allclose(predict(problem).score, score, rtol=ROUTES)


def test_memorised_score():
    """Equation (3a)."""
    problem = Problem(2.0, np.inf, np.inf, 0.3, 0.02, "erf", SPECTRUM)
    s, a_squared, h, *_ = parameters(problem)
    found = limits.kernel(problem)
    np.testing.assert_allclose(found.test, a_squared * average(s) / h, rtol=IDENTITY)
    score = average((a_squared * s) ** 2 / (h**2 * (a_squared * s + h)))
    np.testing.assert_allclose(found.score, score, rtol=IDENTITY)


@pytest.mark.parametrize("m", [3, np.inf])
def test_small_times(m):
    """Equation (6)."""
    t, ridge = 1e-5, 0.02
    problem = Problem(2.0, 1.3, m, t, ridge, "erf", SPECTRUM)
    s, a_squared, h, *_ = parameters(problem)
    mu1, v0_squared, _ = (float(value) for value in activations.get("erf").moments(SPECTRUM.mean, 0.0))
    L, q = mu1**2, 1 / m
    one = one_population(2.0, 1.3, ridge, (L * s)[:, None], np.array([v0_squared]), average)
    x, c, kappa, share = (float(value[0]) for value in (one.x, one.c, one.kappa, one.feature))  # k_1 k/Delta
    r = x / (x + L * s)
    b = L * (q + (1 - q) / c) / (x + L * s)
    bias = average((r - L * s * (1 - q) * (1 - c) / (c * (x + L * s))) ** 2 / (a_squared * s + h))
    rest = kappa * average(s * b**2) + L * (q + (1 - q) / c) ** 2 * average(x / (x + L * s) ** 2) * share
    found = limits.small_time(problem)
    np.testing.assert_allclose(found.score, q * kappa / h + bias + rest, rtol=1e-3)
    np.testing.assert_allclose(found.train, 1 - q + q * c**2 * (1 + kappa), rtol=1e-3)
    np.testing.assert_allclose(found.test, 1 + q * kappa, rtol=1e-3)
    np.testing.assert_allclose(found.empirical_test, 1 + q * (1 - c) ** 2 + q * c**2 * kappa, rtol=1e-3)
    np.testing.assert_allclose(found.objective, q * c + 1 - q, rtol=1e-3)


def test_late_times():
    """Equation (7)."""
    mu1, _, beta_a = (float(value) for value in activations.get("erf").moments(0.0, 1.0))
    L = mu1**2
    one = one_population(6.0, 1.3, 0.02, np.array([[L]]), np.array([beta_a]), average)
    x, c, kappa, share = (float(value[0]) for value in (one.x, one.c, one.kappa, one.feature))
    r = x / (x + L)
    found = limits.late_time(Problem(2.0, 1.3, 3, 1.0, 0.02, "erf", SPECTRUM))
    test = (1 + kappa) * r**2 + L * x / (x + L) ** 2 * share
    np.testing.assert_allclose([found.test, found.train, found.objective], [test, c**2 * test, c * r], rtol=ROUTES)
