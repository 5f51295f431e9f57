"""docs/spectrum.md: its numbers, and the equations it adds to those of the theory page."""

from functools import cache

import numpy as np
from scipy.optimize import brentq

from rfdsm import activations
from rfdsm.theory import _edges as edges, spectrum
from tests.claims.ledger import Claim, check, ten

PAGE = "docs/spectrum.md"


CLAIMS = [
    Claim(PAGE, "down to a relative width of {}, and", lambda: ten(edges.NARROWEST)),
    Claim(PAGE, "once the points at relative distance {} on either side", lambda: ten(edges.ACCURACY)),
    Claim(PAGE, "the rounding of a double, {}, over", lambda: ten(10.0 ** round(np.log10(np.finfo(float).eps / 2)))),
    Claim(PAGE, "until each holds its mass to {} of its bulk's", lambda: ten(spectrum.PANEL_ERROR)),
]
SETTINGS = ("[Density of U at ψ_p = 64, ψ_n = 8, t = 0.01",)


def test_numbers():
    check(PAGE, CLAIMS, SETTINGS)


# --- equations -----------------------------------------------------------------------------------------------------

PSI_N, PSI_P, M, T = 2.0, 3.0, 4, 0.3
ATOMS = np.array([0.4, 1.6])


@cache
def populations() -> tuple[np.ndarray, float, float, float]:
    """D_s, D_a, beta_s, beta_a."""
    a_squared, h = np.exp(-2 * T), -np.expm1(-2 * T)
    mu1, beta_psi, beta_a = (float(value) for value in activations.get("tanh").moments(a_squared * ATOMS.mean(), h))
    D_a = mu1**2 * h
    return mu1**2 * a_squared * ATOMS + D_a / M, D_a, beta_psi + beta_a / M, beta_a


def on_the_curve(mu: float) -> tuple[float, float]:
    """kappa and z of the real solution of the first two equations of (4) at mu < 0, far above the support."""
    D_s, D_a, beta_s, beta_a = populations()
    y_s, y_a = 1 / mu, (1 - 1 / M) / mu
    for _ in range(500):
        w = y_s * D_s + y_a * D_a
        T_s, T_a = beta_s + np.mean(D_s / (1 + w)), beta_a + np.mean(D_a / (1 + w))
        y_s, y_a = 1 / (mu + T_s / PSI_N), (1 - 1 / M) / (mu + T_a / (M * PSI_N))
    kappa = y_s * T_s + y_a * T_a
    return float(kappa), float(-mu * (PSI_P - kappa))


def test_equation_7_is_where_z_turns():
    """From above the support z falls as mu rises, until it turns at the upper edge: there (7) vanishes."""

    def condition(mu: float) -> float:
        step = 1e-5 * mu
        slope = (on_the_curve(mu + step)[0] - on_the_curve(mu - step)[0]) / (2 * step)
        return PSI_P - on_the_curve(mu)[0] - mu * slope

    grid = -np.geomspace(30, 0.3, 60)
    turn = next(k for k, mu in enumerate(grid) if condition(mu) < 0)
    mu = brentq(condition, grid[turn - 1], grid[turn], xtol=1e-12)
    step = 1e-3
    around = np.array([on_the_curve(mu * factor)[1] for factor in (1 - step, 1, 1 + step)])
    assert around[1] < around[0] and around[1] < around[2]
    assert abs(around[2] - around[0]) < 1e-2 * (around[0] - 2 * around[1] + around[2]) / step


def test_free_energy():
    """Equation (5): its derivative by lambda is psi_p g, at the solution of the equations of the theory page."""
    D_s, D_a, beta_s, beta_a = populations()
    q = 1 / M

    def solved(ridge: float) -> tuple[float, float]:
        e_s = e_a = g = 1.0
        for _ in range(3000):
            c_s, c_a = 1 / (1 + e_s), (1 - q) / (1 + e_a)
            D = c_s * D_s + c_a * D_a
            w = PSI_P * g * D
            e_s = PSI_P * g * (np.mean(D_s / (1 + w)) + beta_s) / PSI_N
            e_a = q * PSI_P * g * (np.mean(D_a / (1 + w)) + beta_a) / PSI_N
            g = 1 / (ridge + c_s * beta_s + c_a * beta_a + np.mean(D / (1 + w)))
        c_s, w = 1 / (1 + e_s), PSI_P * g * (D_s / (1 + e_s) + (1 - q) * D_a / (1 + e_a))
        of_samples = PSI_N * (np.log(1 + e_s) - c_s * e_s) + PSI_N * (M - 1) * (np.log(1 + e_a) - e_a / (1 + e_a))
        return of_samples - PSI_P * np.log(g) + np.mean(np.log(1 + w)) - np.mean(w / (1 + w)), g

    step = 1e-4
    slope = (solved(0.3 + step)[0] - solved(0.3 - step)[0]) / (2 * step)
    np.testing.assert_allclose(slope, PSI_P * solved(0.3)[1], rtol=1e-6)
