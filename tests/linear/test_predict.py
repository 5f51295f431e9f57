"""Losses of the linear denoiser: identities, limits, an independent solution to many digits."""

import mpmath as mp
import numpy as np
import pytest

from rfdsm import linear, spectra
from rfdsm.linear._chain import rule
from tests.tolerances import IDENTITY, ROUTES

ATOMS = ([0.3, 0.9, 2.0], [0.5, 0.25, 0.25])
CASES = [
    (0.6, 1, 0.05, 0.7, 0.5),
    (0.4, 3, 0.01, 1.0, 0.2),
    (1.5, np.inf, 0.1, 0.4, 1.0),
    (0.25, 4, 1e-4, 0.8, 1.0),
]


def oracle(psi, m, ridge, T, scale, values, weights, digits=40):
    """Losses as numerical derivatives of the optimal objective, order parameters by plain root finding."""
    with mp.workdps(digits):
        a2 = mp.exp(-2 * mp.mpf(T))
        eta = mp.mpf(scale) * (1 - a2)
        q = mp.mpf(0) if np.isinf(m) else 1 / mp.mpf(m)
        psi, ridge = mp.mpf(psi), mp.mpf(ridge)
        s = [mp.mpf(v) for v in values]
        w = [mp.mpf(v) for v in weights]

        def objective(ridge, test=0):
            """min J + test * (test loss)."""

            def resolvent(e_s, e_a):
                c_s, c_a = 1 / (1 + e_s), (1 - q) / (1 + e_a)
                R = [1 / (ridge + c_s * (a2 * v + q * eta) + c_a * eta + test * (a2 * v + eta)) for v in s]
                return c_s, c_a, R

            def image(e_s, e_a):
                _, _, R = resolvent(e_s, e_a)
                new_s = sum(u * (a2 * v + q * eta) * r for u, v, r in zip(w, s, R, strict=True)) / psi
                return [new_s - e_s, q * sum(u * eta * r for u, r in zip(w, R, strict=True)) / psi - e_a]

            start = [mp.mpf(1), q]
            for _ in range(300):
                step = image(*start)
                start = [start[0] + step[0], start[1] + step[1]]
            if q == 0:
                e_s, e_a = mp.findroot(lambda e: image(e, mp.mpf(0))[0], start[0]), mp.mpf(0)
            else:
                e_s, e_a = mp.findroot(lambda x, y: image(x, y), start)
            c_s, _, R = resolvent(e_s, e_a)
            sigma2 = sum(u * v for u, v in zip(w, s, strict=True))
            explained = sum(u * a2 * (c_s + test) ** 2 * v**2 * r for u, v, r in zip(w, s, R, strict=True))
            return (c_s + test) * sigma2 - explained

        def derivative(f, step):
            return (f(-2 * step) - 8 * f(-step) + 8 * f(step) - f(2 * step)) / (12 * step)

        h = mp.mpf(10) ** -8
        best = objective(ridge)
        train = best - derivative(lambda u: objective(ridge * mp.exp(u)), h)
        return {"objective": best, "train": train, "test": derivative(lambda u: objective(ridge, test=u), h * ridge)}


def fresh_noise_oracle(psi, m, ridge, T, scale, values, weights, digits=30):
    """Loss on the training points with fresh noise: response of the optimal objective to itself, added with weight e.

    A sample is then seen twice, through the mean of its draws and without noise: 2 x 2 weights (G^{-1} + E)^{-1},
    G = diag(1, e).
    """
    with mp.workdps(digits):
        a2 = mp.exp(-2 * mp.mpf(T))
        eta = mp.mpf(scale) * (1 - a2)
        q = mp.mpf(0) if np.isinf(m) else 1 / mp.mpf(m)
        pairs = [(mp.mpf(v), mp.mpf(u)) for v, u in zip(values, weights, strict=True)]

        def objective(e):
            noisy, clean, e_a = mp.mpf(1), mp.mpf(1), q
            change = mp.inf
            while change > mp.mpf(10) ** -26:
                # (1 + G E)^{-1} G, E = [[noisy, clean], [clean, clean]]
                determinant = (1 + noisy) * (1 + e * clean) - e * clean**2
                first = (1 + e * clean) / determinant
                second = (-2 * e * clean + e * (1 + noisy)) / determinant
                on_noise = q * first + (1 - q) / (1 + e_a) + e
                R = [1 / (mp.mpf(ridge) + (first + second) * a2 * v + on_noise * eta) for v, _ in pairs]
                clean = sum(u * a2 * v * r for (v, u), r in zip(pairs, R, strict=True)) / psi
                e_a = q * sum(u * eta * r for (_, u), r in zip(pairs, R, strict=True)) / psi
                change, noisy = abs((clean + e_a) / noisy - 1), clean + e_a
            seen = first + second
            # min over b of seen v (1 - a b)^2 + (on_noise eta + ridge) b^2
            return sum(u * seen * v * (mp.mpf(ridge) + on_noise * eta) * r for (v, u), r in zip(pairs, R, strict=True))

        h = mp.mpf(10) ** -8 * ridge
        return (objective(-2 * h) - 8 * objective(-h) + 8 * objective(h) - objective(2 * h)) / (12 * h)


@pytest.mark.parametrize("case", CASES)
def test_losses_are_derivatives_of_the_optimal_objective(case):
    psi, m, ridge, T, scale = case
    losses = linear.predict(linear.Problem(psi, T, m, ridge, scale, spectrum=spectra.atoms(*ATOMS)))
    assert losses.converged
    for name, value in oracle(psi, m, ridge, T, scale, *ATOMS).items():
        np.testing.assert_allclose(getattr(losses, name), float(value), rtol=ROUTES)
    np.testing.assert_allclose(losses.empirical_test, float(fresh_noise_oracle(*case, *ATOMS)), rtol=ROUTES)


def test_least_squares_of_one_draw_is_classical():
    """m = 1, ridge = 0, n > d: noise of variance sigma^2 (1 - rho) fitted on Gaussian y."""
    psi, T = np.array([1.01, 1.5, 3.0, 40.0]), 0.7
    problem = linear.Problem(psi, T, noise_scale=0.3, sigma=1.7)
    losses = linear.predict(problem)
    a2, eta, s2 = np.exp(-2 * T), problem.eta, 1.7**2
    conditional = s2 * eta / (a2 * s2 + eta)  # variance of x given y
    np.testing.assert_allclose(losses.test, conditional * psi / (psi - 1), rtol=IDENTITY)
    np.testing.assert_allclose(losses.train, conditional * (psi - 1) / psi, rtol=IDENTITY)
    np.testing.assert_allclose(losses.floor, conditional, rtol=IDENTITY)


def test_minimum_norm_side_is_classical():
    """m = 1, ridge = 0, n < d, isotropic: a fraction psi of the signal is projected, the noise is amplified."""
    psi, T = np.array([0.01, 0.3, 0.8, 0.99]), 0.4
    problem = linear.Problem(psi, T, noise_scale=1.0)
    losses = linear.predict(problem)
    a2, eta = np.exp(-2 * T), problem.eta
    total = a2 + eta
    conditional = eta / total
    # b1 = c P + sqrt(conditional) Z Y^+: bias of the unseen directions, variance conditional psi/(1 - psi)
    expected = conditional + (1 - psi) * a2 / total + conditional * psi / (1 - psi)
    np.testing.assert_allclose(losses.test, expected, rtol=IDENTITY)
    np.testing.assert_array_equal(losses.train, 0)


def test_exact_noise_is_a_function_of_the_sample_covariance():
    """m = inf, isotropic: Marchenko-Pastur averages, by quadrature in the plain variable."""
    psi, T, ridge, scale = 2.5, 0.6, 0.05, 0.7
    problem = linear.Problem(psi, T, np.inf, ridge, scale)
    losses = linear.predict(problem)
    a, eta = np.exp(-T), float(problem.eta)
    angle = (np.arange(4000) + 0.5) * np.pi / 4000
    w = 1 + psi + 2 * np.sqrt(psi) * np.cos(angle)
    weights = 2 * psi / 4000 * np.sin(angle) ** 2 / w
    b = a * (w / psi) / (a**2 * w / psi + eta + ridge)
    np.testing.assert_allclose(losses.test, weights @ ((1 - a * b) ** 2 + eta * b**2), rtol=ROUTES)
    np.testing.assert_allclose(losses.train, weights @ (w / psi * (1 - a * b) ** 2 + eta * b**2), rtol=ROUTES)
    np.testing.assert_allclose(losses.empirical_test, losses.train, rtol=IDENTITY)
    everywhere = linear.Problem(np.geomspace(0.1, 10, 7), 0.5, np.inf, 0.02, spectrum=spectra.atoms(*ATOMS))
    both = linear.predict(everywhere)
    np.testing.assert_allclose(both.empirical_test, both.train, rtol=IDENTITY)


def test_many_samples_reach_the_best_denoiser_and_ridge_its_bias():
    spectrum = spectra.atoms(*ATOMS)
    losses = linear.predict(linear.Problem(1e9, 0.5, np.array([1, 3, np.inf]), 0.0, 0.4, spectrum=spectrum))
    np.testing.assert_allclose(losses.test, losses.floor, rtol=1e-8)
    ridge, a, eta = 0.2, np.exp(-0.5), 0.4 * -np.expm1(-1.0)
    s, w = spectrum.nodes, spectrum.weights
    b = a * s / (a**2 * s + eta + ridge)
    biased = linear.predict(linear.Problem(1e10, 0.5, 1, ridge, 0.4, spectrum=spectrum))
    np.testing.assert_allclose(biased.test, w @ (s * (1 - a * b) ** 2 + eta * b**2), rtol=1e-8)


def test_ridge_limits():
    psi, m = np.array([0.1, 0.4, 2.0]), np.array([[1], [2], [8], [np.inf]])
    zero = linear.predict(linear.Problem(psi, 0.5, m, 0.0))
    small = linear.predict(linear.Problem(psi, 0.5, m, 1e-11))
    for name in ("test", "empirical_test", "excess"):
        np.testing.assert_allclose(getattr(small, name), getattr(zero, name), rtol=1e-8)
    interpolates = np.broadcast_to(psi * m < 1, zero.shape)
    np.testing.assert_array_equal(zero.train == 0, interpolates)
    large = linear.predict(linear.Problem(psi, 0.5, m, 1e12, sigma=2.0))
    for name in ("train", "empirical_test", "test"):
        np.testing.assert_allclose(getattr(large, name), 4.0, rtol=1e-10)


def test_interpolation_threshold_is_infinite_by_rule():
    losses = linear.predict(linear.Problem(np.array([1.0, 1 / 3, 0.25, 1.0]), 1.0, np.array([1, 3, 4, 2])))
    np.testing.assert_array_equal(losses.train[:3], 0)
    for name in ("test", "empirical_test", "excess"):
        np.testing.assert_array_equal(getattr(losses, name)[:3], np.inf)
    assert np.isfinite(losses.test[3])
    assert np.all(np.isfinite(losses.floor))


def test_early_times_and_weak_noise_with_their_rates():
    """One draw: the variance of least squares, 2 T psi/(psi - 1). Weak noise: their mean counts."""
    psi, T = np.array([1.5, 3.0]), 1e-4
    early = linear.predict(linear.Problem(psi, T, 1, 0.0, 1.0))
    np.testing.assert_allclose((early.test * (psi - 1) / (2 * T * psi) - 1) / T, -1, rtol=1e-3)
    m = np.array([1, 4])
    gaps = [
        weak.excess / weak.floor - 1 / (2 * m)
        for weak in (linear.predict(linear.Problem(3.0, 0.5, m, 0.0, scale)) for scale in (1e-5, 1e-6))
    ]
    assert np.all(np.abs(gaps[0]) < 2e-5)
    np.testing.assert_allclose(gaps[0][1] / gaps[1][1], 10, rtol=1e-3)  # at m = 1 there is no correction


def test_late_times_fit_noise():
    """All is noise: the test loss is that of the mean plus the variance of a regression on m n rows of noise."""
    psi, ridge, scale, m = np.array([0.3, 0.8, 3.0]), 0.1, 0.7, 2
    u, weights = rule(psi * m)
    variance = scale / (psi * m) * np.sum(weights * scale * u / (scale * u + ridge) ** 2, axis=1)
    gaps = [linear.predict(linear.Problem(psi, T, m, ridge, scale)).test - 1 - variance for T in (6.0, 7.0, 30.0)]
    np.testing.assert_allclose(gaps[0] / gaps[1], np.exp(2.0), rtol=1e-3)
    np.testing.assert_allclose(gaps[2], 0, atol=ROUTES)


def test_units():
    """Data, noise and penalty on another scale: only the unit of the losses changes."""
    base = linear.predict(linear.Problem(0.7, 0.6, 3, 0.05, 0.4, 1.0, spectra.atoms(*ATOMS)))
    scaled = linear.predict(linear.Problem(0.7, 0.6, 3, 0.05 * 9, 0.4 * 9, 3.0, spectra.atoms(*ATOMS)))
    wide = linear.predict(linear.Problem(0.7, 0.6, 3, 0.45, 3.6, 1.0, spectra.atoms(9 * np.array(ATOMS[0]), ATOMS[1])))
    for name in (*base.NAMES, "floor", "objective"):
        np.testing.assert_allclose(getattr(scaled, name), 9 * getattr(base, name), rtol=IDENTITY)
        np.testing.assert_allclose(getattr(wide, name), 9 * getattr(base, name), rtol=IDENTITY)


@pytest.mark.parametrize("spectrum", [None, spectra.atoms([0.0, 1e-4, 1.0, 50.0]), spectra.power_law(1.5, 1e-3)])
def test_the_solver_does_not_fail(spectrum):
    rng = np.random.default_rng(3)
    count = 2048
    m = rng.choice([1, 2, 16, 1000, np.inf], count)
    near = np.where(np.isinf(m), 1.0, m) ** -1 * (1 + rng.choice([-1, 1], count) * 10 ** rng.uniform(-12, -2, count))
    psi = np.where(rng.random(count) < 0.3, near, 10 ** rng.uniform(-3, 3, count))
    ridge = np.where(rng.random(count) < 0.4, 0.0, 10 ** rng.uniform(-12, 3, count))
    problem = linear.Problem(
        psi, 10 ** rng.uniform(-4, 2, count), m, ridge, 10 ** rng.uniform(-4, 2, count), 1, spectrum
    )
    losses = linear.predict(problem, throw=True)
    assert np.max(losses.residual) < IDENTITY
    assert np.all(losses.excess >= 0) and np.all(losses.train >= 0)
    assert np.median(losses.steps) <= 12
