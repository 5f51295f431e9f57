"""The generated law: reference values, special cases solved differently, limits and infinities."""

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.integrate
import scipy.optimize

from rfdsm import linear, spectra
from rfdsm.linear._chain import rule
from tests.tolerances import IDENTITY, QUADRATURE, REFERENCE, ROUTES

REFERENCES = json.loads((Path(__file__).parents[1] / "reference_values.json").read_text(encoding="utf-8"))
NOISE = np.exp(-4.0)  # noise scale of the published program, T = 2


def average(psi, function, unseen=0.0):
    """Average over w of Z^T Z/d, Z of n x d, by adaptive quadrature in the angle; `unseen` is the value at w = 0."""

    def integrand(angle):
        w = 1 + psi + 2 * np.sqrt(psi) * np.cos(angle)
        return 2 * psi / np.pi * np.sin(angle) ** 2 / w * function(w)

    value = scipy.integrate.quad(integrand, 0, np.pi, epsabs=1e-13, epsrel=1e-13, limit=400)[0]
    return value + (max(0.0, 1 - psi) * unseen if psi < 1 else 0.0)


def one_draw_logdet(psi, T, scale, rho):
    """(1/d) log det(rho + Sigma_G) for m = 1, ridge = 0: a rectangular Gaussian matrix with a variance profile."""
    a2 = np.exp(-2 * T)
    eta = scale * (1 - a2)
    total = a2 + eta
    signal, noise, dark = a2 / total, eta / total, max(0.0, 1 - psi)

    def image(x):
        one, other = x
        first = average(psi, lambda w: 1 / (rho * (1 + other) + signal / (1 + one * noise / w)))
        second = average(psi, lambda w: (noise / w) / (rho * (1 + one * noise / w) + signal / (1 + other)))
        return np.array([first + dark / (rho * (1 + other)), second])

    solution = scipy.optimize.root(lambda x: image(np.exp(x)) / np.exp(x) - 1, np.zeros(2), tol=1e-13)
    one, other = np.exp(solution.x)
    spread = average(psi, lambda w: np.log(1 + other + signal / (rho * (1 + one * noise / w))))
    spread += average(psi, lambda w: np.log(1 + one * noise / w))
    return np.log(rho) + spread + dark * np.log(1 + other) - rho * one * other


@pytest.mark.parametrize("case", REFERENCES["linear_denoiser"], ids=lambda case: f"{case['psi_n']}-{case['rho']}")
def test_reference_values(case):
    law = linear.generated(linear.Problem(case["psi_n"], case["T"], noise_scale=case["noise_scale"]), case["rho"])
    np.testing.assert_allclose(law.logdet, case["logdet_rate"], rtol=0, atol=REFERENCE)


@pytest.mark.parametrize(("psi", "rho"), [(0.3, 0.5), (1.2, 0.3), (4.0, 0.01)])
def test_one_draw_by_the_matrix_with_a_variance_profile(psi, rho):
    law = linear.generated(linear.Problem(psi, 1.0, noise_scale=0.5), rho)
    np.testing.assert_allclose(law.logdet, one_draw_logdet(psi, 1.0, 0.5, rho), atol=QUADRATURE)


def test_published_setting():
    psi = [1.25, 1.5, 2, 3, 5, 10, 30]
    law = linear.generated(linear.Problem(psi, 2.0, noise_scale=NOISE))
    expected = [0.9680, 0.5495, 0.3420, 0.2181, 0.1562, 0.1218, 0.1028]
    np.testing.assert_allclose(law.kl, expected, atol=5.1e-5)
    np.testing.assert_allclose(law.bhattacharyya[[0, 2, 4]], [0.1849, 0.1202, 0.0551], atol=5.1e-5)
    np.testing.assert_allclose(linear.generated(linear.Problem(1e12, 2.0)).kl, 0.0943, atol=5.1e-5)


def test_kl_of_least_squares_is_elementary():
    """m = 1, ridge = 0: above n/d = 1 + eta/(a^2 sigma^2), log det Sigma_G does not depend on n at all."""
    T, scale, sigma = 0.5, 0.3, 1.4
    problem = linear.Problem(np.array([1.3, 1.8, 4.0, 50.0]), T, noise_scale=scale, sigma=sigma)
    r = np.exp(-2 * T) * sigma**2 / (np.exp(-2 * T) * sigma**2 + problem.eta)
    assert problem.psi[0] > 1 / r
    expected = (r - 1 - np.log(r)) / 2 + (1 - r) / (2 * (problem.psi - 1))
    np.testing.assert_allclose(linear.generated(problem).kl, expected, rtol=IDENTITY)


@pytest.mark.parametrize(("m", "ridge"), [(1, 0.3), (3, 0.0), (5, 0.1)])
@pytest.mark.parametrize("psi", [1.1, 6.0])
def test_several_draws_by_the_determinant_of_a_shifted_gaussian_matrix(psi, m, ridge):
    """log |det b1| from b1 = (r S_s^{1/2} + sqrt(v) G) S_s^{1/2} (S_s + S_a + ridge)^{-1}, G independent of S_s."""
    T, scale = 0.8, 0.9
    a2 = np.exp(-2 * T)
    eta = scale * (1 - a2)
    one = m * a2 + eta
    r, v, k = m * np.sqrt(a2) / one, eta * m / one / (psi * m), one / (psi * m)

    def gap(u):
        return average(psi, lambda w: 1 / (r**2 * k * w + u)) - 1 / v

    u = scipy.optimize.brentq(gap, 1e-14, 10, xtol=1e-15, rtol=1e-14) if gap(1e-14) > 0 else 0.0
    root = average(psi, lambda w: np.log(r**2 * k * w + u)) - u / v + average(psi, lambda w: np.log(k * w))

    def image(x):
        e_s, e_a = x
        R = 1 / (ridge + (a2 + eta / m) / (1 + e_s) + (1 - 1 / m) * eta / (1 + e_a))
        return np.array([(a2 + eta / m) * R / psi, eta * R / (m * psi)])

    order = np.zeros(2)
    for _ in range(5000):
        order = image(order)
    e_s, e_a = order
    regression = np.log(ridge + (a2 + eta / m) / (1 + e_s) + (1 - 1 / m) * eta / (1 + e_a))
    regression += psi * (np.log1p(e_s) - e_s / (1 + e_s)) + psi * (m - 1) * (np.log1p(e_a) - e_a / (1 + e_a))
    law = linear.generated(linear.Problem(psi, T, m, ridge, scale))
    np.testing.assert_allclose(law.logdet, np.log(a2 + eta) + root - 2 * regression, atol=2 * QUADRATURE)


@pytest.mark.parametrize("chi", [0.0, 1.0])
@pytest.mark.parametrize(("psi", "rho"), [(0.4, 0.2), (0.4, 0.0), (1.3, 0.0)])
def test_exact_noise_by_marchenko_pastur_averages(psi, rho, chi):
    """A chain of one step, whatever its update, is the one-step law."""
    T, ridge, scale, sigma = 0.6, 0.1, 0.7, 1.3
    problem = linear.Problem(psi, T, np.inf, ridge, scale, sigma)
    one_step, law = linear.chain(problem, 1, stochasticity=chi, smoothing=rho), linear.generated(problem, rho)
    for name in law.NAMES:
        np.testing.assert_allclose(getattr(law, name), getattr(one_step, name), rtol=ROUTES, atol=ROUTES, err_msg=name)


def test_quadrature_rule():
    psi = np.array([0.2, 0.999, 1.0, 1.5, 30.0])
    nodes, weights = rule(psi)
    np.testing.assert_allclose(np.sum(weights, axis=-1), 1, rtol=IDENTITY)
    np.testing.assert_allclose(np.sum(weights * nodes, axis=-1), 1, rtol=ROUTES)
    np.testing.assert_allclose(np.sum(weights * nodes**2, axis=-1), 1 + 1 / psi, rtol=ROUTES)
    above = psi >= 1
    logs = np.sum(weights * np.log(np.where(nodes > 0, nodes, 1.0)), axis=-1)[above]
    expected = [-1.0, *(-1 - (p - 1) * np.log1p(-1 / p) for p in (1.5, 30.0))]
    np.testing.assert_allclose(logs, expected, atol=QUADRATURE)


def test_trace_is_that_of_the_regression():
    """tr b1 b1^T of least squares, known in closed form on both sides of n = d."""
    T, psi = 0.7, np.array([0.2, 0.7, 1.5, 8.0])
    problem = linear.Problem(psi, T, noise_scale=0.6)
    r = np.exp(-2 * T) / (np.exp(-2 * T) + problem.eta)
    seen = np.minimum(psi, 1)
    expected = r * seen + (1 - r) * seen / np.abs(psi - 1)
    np.testing.assert_allclose(linear.generated(problem, 0.1).trace, expected, rtol=IDENTITY)


def test_derivative_of_the_log_determinant_is_the_resolvent():
    """KL, reverse KL and log det share no formula: d logdet/d rho = tr (rho + Sigma_G)^{-1}, from reverse_kl."""
    problem = linear.Problem(np.array([0.5, 2.0]), 0.8, np.array([[1], [3]]), 0.05, 0.5)
    rho, step = 0.3, 1e-4
    low, mid, high = (linear.generated(problem, rho + shift) for shift in (-step, 0.0, step))
    slope = (high.logdet - low.logdet) / (2 * step)
    resolvent = (2 * mid.reverse_kl + 1 - mid.logdet + np.log(1 + rho)) / (1 + rho)
    np.testing.assert_allclose(slope, resolvent, rtol=1e-6)


def test_wasserstein_of_commuting_limits():
    spectrum = spectra.atoms([0.2, 1.0, 3.0], [0.5, 0.3, 0.2])
    law = linear.generated(linear.Problem(1e11, 0.5, 2, 0.1, 0.5, 1.2, spectrum))
    s = 1.44 * spectrum.nodes
    a2, eta = np.exp(-1.0), 0.5 * -np.expm1(-1.0)
    variance = (a2 * (s @ spectrum.weights) + eta) * a2 * s**2 / (a2 * s + eta + 0.1) ** 2
    w = spectrum.weights
    np.testing.assert_allclose(law.wasserstein, w @ (np.sqrt(s) - np.sqrt(variance)) ** 2, rtol=1e-8)
    np.testing.assert_allclose(law.kl, w @ (variance / s - 1 - np.log(variance / s)) / 2, rtol=1e-8)
    np.testing.assert_allclose(law.reverse_kl, w @ (s / variance - 1 + np.log(variance / s)) / 2, rtol=1e-8)
    overlap = w @ (np.log((s + variance) / 2) / 2 - np.log(s * variance) / 4)
    np.testing.assert_allclose(law.bhattacharyya, overlap, rtol=1e-8)


def test_early_times_and_weak_noise_with_their_rates():
    """KL = u/(2 (psi - 1)) (1 + u ((psi - 1)/2 - 1) + ...), u = eta/a^2 = l (e^{2T} - 1) -> 0."""
    psi = np.array([1.5, 4.0])
    for T, scale in ((5e-5, 1.0), (1.0, 1e-5)):
        u = scale * np.expm1(2 * T)
        law = linear.generated(linear.Problem(psi, T, noise_scale=scale))
        np.testing.assert_allclose((2 * (psi - 1) * law.kl / u - 1) / u, (psi - 1) / 2 - 1, rtol=1e-3)


def test_late_times():
    """By default signal and noise keep their balance. At a fixed noise scale the features are noise, b1 a normal matrix
    times a function of them."""
    late = linear.generated(linear.Problem(4.0, 30.0))
    np.testing.assert_allclose(late.kl, (0.5 - 1 + np.log(2)) / 2 + 0.25 / 3, rtol=IDENTITY)
    psi, ridge, scale = np.array([1.5, 4.0]), 0.1, 0.7
    loud = linear.generated(linear.Problem(psi, 30.0, 1, ridge, scale))
    u, weights = rule(psi)
    u, weights = scale * u[:, :-1], weights[:, :-1]
    shrunk = u / (u + ridge) ** 2
    np.testing.assert_allclose(loud.trace, scale / psi * np.sum(weights * shrunk, axis=1), rtol=ROUTES)
    expected = np.log(scale / psi) - 1 + np.sum(weights * np.log(shrunk), axis=1)
    np.testing.assert_allclose(loud.logdet, expected, atol=QUADRATURE)


def test_infinite_values_are_infinite():
    law = linear.generated(linear.Problem(np.array([0.3, 1.0, 1.5, 3.0]), 2.0))
    np.testing.assert_array_equal(np.isinf(law.kl), [True, True, False, False])
    np.testing.assert_array_equal(np.isinf(law.bhattacharyya), [True, True, False, False])
    np.testing.assert_array_equal(law.logdet[:2], -np.inf)
    np.testing.assert_array_equal(np.isinf(law.reverse_kl), [True, True, True, False])  # 1.5 < 1 + eta/a^2
    np.testing.assert_array_equal(np.isinf(law.trace), [False, True, False, False])
    np.testing.assert_array_equal(np.isinf(law.wasserstein), [False, True, False, False])
    smooth = linear.generated(linear.Problem(np.array([0.3, 1.0, 1.5, 3.0]), 2.0), 0.1)
    np.testing.assert_array_equal(np.isinf(smooth.kl), [False, True, False, False])
    assert np.all(np.isfinite(smooth.logdet)) and np.all(np.isfinite(smooth.reverse_kl))
    assert not any(np.any(np.isnan(getattr(each, name))) for each in (law, smooth) for name in law.NAMES)


def test_reverse_kl_diverges_at_the_hard_edge():
    """n/d = 1 + eta/(m a^2): the smallest eigenvalues of Sigma_G reach zero from there down."""
    T, m, scale = 0.5, 2, 0.8
    edge = 1 + scale * np.expm1(2 * T) / m
    law = linear.generated(linear.Problem(edge * np.array([0.999, 1.01, 1.001, 1.0001]), T, m, 0.2, scale))
    assert np.isinf(law.reverse_kl[0])
    growth = law.reverse_kl[1:]
    np.testing.assert_allclose(growth[2] / growth[1], 10, rtol=0.05)


def test_the_singular_cell_continues_its_neighbours():
    """A cusp in n/d at n = d, |n/d - 1| up to a logarithm: both sides meet there."""
    law = linear.generated(linear.Problem(np.array([1 - 1e-8, 1.0, 1 + 1e-8]), 1.0), 0.2)
    for name in ("logdet", "bhattacharyya", "reverse_kl"):
        values = getattr(law, name)
        np.testing.assert_allclose(values[[0, 2]], values[1], rtol=1e-6)


def test_directions_without_variance_are_left_out():
    """Half of the directions empty: the other half is a problem of its own with noise added to its features."""
    law = linear.generated(
        linear.Problem(np.array([0.4, 0.8]), 0.7, 2, 0.1, 0.5, 1.0, spectra.atoms([0.0, 1.5, 2.5], [2, 1, 1]))
    )
    np.testing.assert_array_equal(np.isinf(law.kl), [True, False])
    np.testing.assert_array_equal(law.logdet, -np.inf)
    assert np.all(np.isfinite(law.wasserstein))


def test_units_and_broadcasting():
    problem = linear.Problem(np.array([0.5, 2.0]), 0.7, 2, 0.1, 0.5)
    law = linear.generated(problem, np.array([[0.1], [0.4]]))
    scaled = linear.generated(linear.Problem(np.array([0.5, 2.0]), 0.7, 2, 0.4, 2.0, 2.0), np.array([[0.4], [1.6]]))
    assert law.shape == (2, 2)
    for name in ("kl", "reverse_kl", "bhattacharyya"):
        np.testing.assert_allclose(getattr(scaled, name), getattr(law, name), rtol=ROUTES)
    for name in ("wasserstein", "trace"):
        np.testing.assert_allclose(getattr(scaled, name), 4 * getattr(law, name), rtol=ROUTES)
    np.testing.assert_allclose(scaled.logdet, law.logdet + np.log(4), rtol=ROUTES)
    np.testing.assert_allclose(law.hellinger(100), 1 - np.exp(-100 * law.bhattacharyya), rtol=IDENTITY)


def test_bad_smoothing():
    for smoothing in (-0.1, np.nan, "much", [0.1, 0.2, 0.3]):
        with pytest.raises(ValueError, match="smoothing"):
            linear.generated(linear.Problem(np.array([0.5, 2.0]), 1.0), smoothing)


@pytest.mark.parametrize("spectrum", [None, spectra.atoms([0.05, 1.0, 4.0])])
def test_the_solver_does_not_fail(spectrum):
    rng = np.random.default_rng(5)
    count = 256
    m = rng.choice([1, 2, 16, np.inf], count)
    ridge = np.where(rng.random(count) < 0.5, 0.0, 10 ** rng.uniform(-8, 2, count))
    psi, T, scale = (10 ** rng.uniform(-2, high, count) for high in (2, 1, 1))
    problem = linear.Problem(psi, T, m, ridge, scale, 1, spectrum)
    law = linear.generated(problem, rng.choice([0.0, 1e-6, 1e-3, 0.1, 1.0], count))
    assert np.all(law.converged)
    for name in ("kl", "reverse_kl", "bhattacharyya", "wasserstein"):
        values = getattr(law, name)
        assert not np.any(np.isnan(values)) and np.min(values) > -1e-9, name
