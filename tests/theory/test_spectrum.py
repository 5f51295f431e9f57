"""Spectrum of the feature matrix: exact cases, other routes to the same numbers, and eigenvalues of real networks."""

import jax.numpy as jnp
import numpy as np
import pytest

from rfdsm import Problem, plots, spectra, spectral_density
from rfdsm.theory import _resolvent as resolvent
from rfdsm.theory._fixed_point import solve
from rfdsm.theory._populations import cells_of, populations
from tests.tolerances import QUADRATURE, ROUTES

INFINITY = np.inf
SEPARATED = Problem.grid(8.0, 64.0, [1, 4, 16, INFINITY], 0.01, 0.0)
"""The setting of arXiv 2505.17638's figure: bulks far apart, over five decades."""
THREE_ATOMS = spectra.atoms([0.0, 1.0, 5.0], [0.3, 0.4, 0.3])


@pytest.fixture(autouse=True)
def one_size(monkeypatch):
    monkeypatch.setattr(resolvent, "CHUNK", resolvent.SMALL_CHUNK)  # one executable for each number of atoms


def random_problems(count, spectrum=None, seed=3):
    rng = np.random.default_rng(seed)
    psi_n, psi_p = 10 ** rng.uniform(-1.5, 1.5, (2, count))
    m = rng.choice([1, 2, 10, 100, INFINITY], count)
    return Problem(psi_n, psi_p, m, 10 ** rng.uniform(-2.5, 0.5, count), 0.0, "tanh", spectrum)


def parameters(problem):
    """(L, beta_psi, beta_a, a^2, h, psi_n, psi_p, q) in the problem's shape."""
    t = np.broadcast_to(problem.t, problem.shape)
    moments = cells_of(problem).moments
    mu1, beta_psi, beta_a = (np.asarray(x).reshape(problem.shape) for x in moments)
    fields = [np.broadcast_to(x, problem.shape) for x in (problem.psi_n, problem.psi_p, 1 / problem.m)]
    return mu1**2, beta_psi, beta_a, np.exp(-2 * t), -np.expm1(-2 * t), *fields


def trace_moments(problem):
    """lim tr U/p and tr U^2/p in closed form, from moments of Gaussian matrices (docs/spectrum, section 5)."""
    L, beta_psi, beta_a, a_squared, h, psi_n, psi_p, q = parameters(problem)
    s1, s2 = (problem.spectrum.weights @ problem.spectrum.nodes**k for k in (1, 2))
    t_a = L * h + beta_a
    t_s = L * a_squared * s1 + beta_psi + q * t_a
    mean, square = L * (a_squared * s1 + h), L**2 * (a_squared**2 * s2 + 2 * a_squared * h * s1 + h**2)
    second = (beta_psi + beta_a + mean) ** 2 + psi_p * square + psi_p / psi_n * (t_s**2 + q * (1 - q) * t_a**2)
    return t_s + (1 - q) * t_a, second


def resolvent_by_iteration(problem, z):
    """q(z) of the problems at complex z by damped iteration of docs/theory, equations (4)-(8)."""
    L, beta_psi, beta_a, a_squared, h, psi_n, psi_p, q = parameters(problem)
    s = problem.spectrum.nodes.reshape(-1, *[1] * len(problem.shape))
    average = lambda x: np.tensordot(problem.spectrum.weights, x, 1)  # noqa: E731
    D_a, D_s = L * h, L * a_squared * s + q * L * h
    e_s, f, g = 0 * z, 0 * z, -1 / z
    for _ in range(4000):
        c_s, c_a = 1 / (1 + e_s), (1 - q) / (1 + q * f)
        D = c_s * D_s + c_a * D_a
        A = -z + c_s * (beta_psi + q * beta_a) + c_a * beta_a
        new_g = 1 / (A + average(D / (1 + psi_p * g * D)))
        tau = psi_p * g / (1 + psi_p * g * D)
        new_e = (average(tau * D_s) + (beta_psi + q * beta_a) * psi_p * g) / psi_n
        new_f = (average(tau * D_a) + beta_a * psi_p * g) / psi_n
        e_s, f, g = (e_s + new_e) / 2, (f + new_f) / 2, (g + new_g) / 2
    return g


@pytest.mark.parametrize("problem", [SEPARATED, random_problems(30), random_problems(30, THREE_ATOMS)])
def test_mass_traces_and_published_equations(problem):
    """Density, atoms and edges together: their sums, and off the axis plain iteration of docs/theory's equations."""
    result = spectral_density(problem, [1.0])
    first, second = trace_moments(problem)
    np.testing.assert_allclose(result.mass, 1, atol=3e-8)
    np.testing.assert_allclose(result.masses.sum(axis=-1) + result.atoms.masses.sum(axis=-1), 1, atol=1e-12)
    np.testing.assert_allclose(result.moment(1), first, rtol=1e-7)
    np.testing.assert_allclose(result.moment(2), second, rtol=1e-7)
    z = first * (0.3 + 0.5j)
    index, u, weights = result.rule()
    terms = weights / (u - z.ravel()[index])
    found = np.bincount(index, terms.real) + 1j * np.bincount(index, terms.imag)
    np.testing.assert_allclose(found, resolvent_by_iteration(problem, z).ravel(), rtol=3e-8)


def test_many_small_bulks():
    """The nodes of a power law, as bulks of their own down to masses of 1e-7."""
    problem = Problem(2.0, 64.0, 4, 0.1, 0.0, "relu", spectra.power_law(1.0, 1e-3))
    result = spectral_density(problem, [1.0])
    assert np.sum(result.masses > 0) == 21
    first, second = trace_moments(problem)
    np.testing.assert_allclose([result.mass, result.moment(1) / first, result.moment(2) / second], 1, rtol=1e-7)


def test_negative_axis_is_the_solver_of_the_losses():
    """q(-lambda) = g, with the order parameters that `predict` uses."""
    problem, ridge = SEPARATED, 1e-3
    cells = cells_of(problem)
    P, _ = populations(*cells[:4], ridge * cells.inverse_psi_p, cells.moments, jnp.ones(1), jnp.ones(1))
    found = spectral_density(problem, [1.0]).integrate(lambda u: 1 / (u + ridge))
    np.testing.assert_allclose(found, np.reshape(solve(P).G / P.unit, problem.shape) / problem.psi_p, rtol=1e-7)


def test_features_without_a_linear_part_are_marchenko_pastur():
    """abs: at m = inf a shifted Marchenko-Pastur law, at m = 1 one of the whole variance."""
    problem = Problem.grid([0.5, 2.0, 8.0], [1.0, 4.0], [1, INFINITY], 0.2, 0.0, "abs")
    _, beta_psi, beta_a, _, _, psi_n, psi_p, q = parameters(problem)
    scale, shift = beta_psi + q * beta_a, np.where(q == 0, beta_a, 0)
    root = np.sqrt(psi_p / psi_n)
    low, high = shift + scale * (1 - root) ** 2, shift + scale * (1 + root) ** 2
    u = shift[..., None] + (low - shift)[..., None] + (high - low)[..., None] * np.array([-0.01, 0.1, 0.5, 0.9, 1.01])
    result = spectral_density(problem, u)
    np.testing.assert_allclose(result.edges[..., 0, 0], low, rtol=ROUTES)
    np.testing.assert_allclose(result.edges[..., 0, 1], high, rtol=ROUTES)
    density = np.sqrt(np.maximum((u - low[..., None]) * (high[..., None] - u), 0))
    density /= 2 * np.pi * (psi_p / psi_n * scale)[..., None] * (u - shift[..., None])
    np.testing.assert_allclose(result.density, density, rtol=ROUTES)
    assert np.all(result.density[..., [0, -1]] == 0)
    atom = np.maximum(1 - psi_n / psi_p, 0)
    np.testing.assert_allclose(result.atoms.masses.sum(axis=-1), atom, atol=1e-14)
    np.testing.assert_allclose(result.atoms.locations[..., 0], np.where(atom > 0, shift, np.nan), rtol=ROUTES)


@pytest.mark.parametrize(("psi_n", "psi_p", "t"), [(8.0, 64.0, 0.01), (2.0, 0.5, 0.3), (0.3, 3.0, 1.0)])
def test_edges_at_one_draw_are_critical_values_of_a_rational_function(psi_n, psi_p, t):
    """At m = 1, psi_n z y = -(psi_p - kappa)(psi_n - kappa), kappa = beta y + D y/(1 + D y): roots of a polynomial."""
    problem = Problem(psi_n, psi_p, 1, t, 0.0)
    L, beta_psi, beta_a, a_squared, h, *_ = (float(x) for x in parameters(problem))
    beta, D = beta_psi + beta_a, L * (a_squared + h)
    one, y = np.polynomial.Polynomial([1.0, D]), np.polynomial.Polynomial([0.0, 1.0])
    kappa = beta * y * one + D * y  # over one
    top, bottom = -(psi_p * one - kappa) * (psi_n * one - kappa), psi_n * y * one**2
    critical = (top.deriv() * bottom - top * bottom.deriv()).roots()
    critical = critical[(np.abs(critical.imag) < 1e-7 * np.abs(critical)) & (np.abs(one(critical)) > 1e-6)].real
    values = top(critical) / bottom(critical)
    edges = spectral_density(problem, [1.0]).edges
    edges = edges[np.isfinite(edges)]
    assert edges.size >= 2
    for edge in edges:
        assert np.min(np.abs(values / edge - 1)) < ROUTES


def test_density_vanishes_as_a_square_root_at_every_edge():
    """Its square is linear with the same slope at 1e-8 and 1e-7 from the edge: an edge off by 1e-10 would show."""
    problem = SEPARATED
    edges = spectral_density(problem, [1.0]).edges
    assert np.sum(np.isfinite(edges)) == 2 * (2 + 3 + 4 + 3)
    inwards = np.array([1.0, -1.0])
    u = edges[..., None] * (1 + inwards[:, None] * np.array([-1e-9, 1e-8, 1e-7]))
    bulk = np.isfinite(u[..., 0])
    result = spectral_density(Problem.grid(8.0, 64.0, [1, 4, 16, INFINITY], 0.01, 0.0), np.nan_to_num(u.reshape(4, -1)))
    density = result.density.reshape(u.shape)[bulk]
    assert np.all(density[:, 0] == 0)
    np.testing.assert_allclose(density[:, 2] ** 2 / density[:, 1] ** 2, 10, rtol=0.02)


def test_no_jumps_over_five_decades():
    """Differences of the closed-form count equal the integral of the density everywhere, and nothing is negative."""
    u = np.geomspace(1e-4, 60, 60_001)
    result = spectral_density(SEPARATED, u)
    assert result.converged.all()
    assert result.density.min() == 0
    assert np.all(np.diff(result.cumulative) >= -1e-14)
    middle = (result.density[..., 1:] + result.density[..., :-1]) / 2 * np.diff(u)
    away = np.abs(np.log(u[:-1] / SEPARATED_ATOM)) > 1e-3
    np.testing.assert_allclose(np.diff(result.cumulative)[..., away], middle[..., away], atol=3e-6)
    # The density between neighbours within a bulk changes by little, but for the square roots at the edges.
    inside = (result.density[..., 1:] > 0) & (result.density[..., :-1] > 0)
    peak = result.density.max(axis=-1, keepdims=True)
    assert np.max(np.abs(np.diff(result.density) / peak)[inside]) < 0.08


SEPARATED_ATOM = float(parameters(Problem(8.0, 64.0, INFINITY, 0.01, 0.0))[2])


def test_hard_edges():
    """As many draws as features: the density reaches zero as u^(-1/2), and there is no atom."""
    problem = Problem.grid([2.0], [2.0, 8.0], [1, 4], 0.1, 0.0)
    result = spectral_density(problem, [0.0, 1e-12, 1e-10])
    hard = np.array([[True, False], [False, True]])[None]  # p = nm
    np.testing.assert_array_equal(result.edges[..., 0, 0] == 0, hard)
    np.testing.assert_array_equal(np.isinf(result.density[..., 0]), hard)
    ratio = result.density[hard][:, 1] / result.density[hard][:, 2]
    np.testing.assert_allclose(ratio, 10, rtol=1e-6)
    np.testing.assert_allclose(result.mass, 1, atol=1e-8)


def feature_matrix(d, psi_n, psi_p, m, t, seed, activation=np.tanh, deviations=1.0):
    """U of a real network on Gaussian data with the given standard deviations."""
    rng = np.random.default_rng(seed)
    n, p = round(psi_n * d), round(psi_p * d)
    W, x = rng.standard_normal((p, d)), deviations * rng.standard_normal((n, d))
    U = np.zeros((p, p))
    for _ in range(m):
        y = np.exp(-t) * x + np.sqrt(-np.expm1(-2 * t)) * rng.standard_normal((n, d))
        phi = activation(W @ y.T / np.sqrt(d))
        U += phi @ phi.T
    return U / (n * m)


@pytest.mark.parametrize("psi_n", [0.5, 2.0])
@pytest.mark.parametrize("psi_p", [0.6, 2.0, 4.0])
def test_atoms_of_linear_features_count_null_directions(psi_n, psi_p):
    d, deviations = 40, np.sqrt(np.repeat([0.0, 1.0, 5.0], [12, 16, 12]))
    for m in (1, 2):
        result = spectral_density(Problem(psi_n, psi_p, m, 0.1, 0.0, "linear", THREE_ATOMS), [1.0])
        values = np.linalg.eigvalsh(feature_matrix(d, psi_n, psi_p, m, 0.1, 0, lambda x: x, deviations))
        assert result.atoms.masses.sum() == pytest.approx(np.mean(values < 1e-9), abs=1e-12)
        assert result.atoms.locations.size == 0 or result.atoms.locations[0] == 0


def test_atom_of_infinitely_many_draws():
    """The Gaussian model's U at m = inf has exactly p - n - d eigenvalues beta_a."""
    problem = Problem(0.5, 2.5, INFINITY, 0.1, 0.0, "tanh", THREE_ATOMS)
    L, beta_psi, beta_a, a_squared, h, *_ = (float(x) for x in parameters(problem))
    d, n, p = 40, 20, 100
    rng = np.random.default_rng(0)
    W, X = rng.standard_normal((p, d)), rng.standard_normal((d, n))
    X *= np.sqrt(np.repeat([0.0, 1.0, 5.0], [12, 16, 12]))[:, None]
    phi = np.sqrt(L * a_squared / d) * W @ X + np.sqrt(beta_psi) * rng.standard_normal((p, n))
    values = np.linalg.eigvalsh(phi @ phi.T / n + L * h / d * W @ W.T + beta_a * np.eye(p))
    result = spectral_density(problem, [beta_a / 2, beta_a, 1.0])
    assert result.atoms.locations[0] == pytest.approx(beta_a, rel=1e-14)
    assert result.atoms.masses[0] == pytest.approx(np.mean(np.abs(values / beta_a - 1) < 1e-9), abs=1e-12)
    assert result.cumulative[0] == 0 and result.cumulative[1] == pytest.approx(0.4, abs=1e-12)


@pytest.mark.parametrize("m", [1, 4])
def test_masses_of_separated_bulks_are_eigenvalue_counts_of_real_networks(m):
    """p = 64 d: bulks hold whole numbers of eigenvalues, to the one or two that finite size moves across a gap."""
    d = 16
    values = np.linalg.eigvalsh(feature_matrix(d, 8.0, 64.0, m, 0.01, 0))
    result = spectral_density(Problem(8.0, 64.0, m, 0.01, 0.0), [1.0])
    between = np.sqrt(result.edges[:-1, 1] * result.edges[1:, 0])
    cuts = np.concatenate([[result.edges[0, 0] / 4], between, [np.inf]])
    counts, _ = np.histogram(values, cuts)
    np.testing.assert_allclose(counts, result.masses * values.size, atol=2)


def distances(d, m, seeds):
    """Of real networks: largest distance of the two cumulative distributions, and both traces' relative errors."""
    problem = Problem(0.5, 1.2, m, 0.1, 0.0)
    first, second = (float(x) for x in trace_moments(problem))
    found = []
    for seed in seeds:
        values = np.linalg.eigvalsh(feature_matrix(d, 0.5, 1.2, m, 0.1, seed))
        cumulative = spectral_density(problem, np.maximum(values, 1e-9)).cumulative
        steps = np.arange(values.size + 1) / values.size
        seen = values > 1e-9  # the atom is not spread by finite size
        gap = max(np.abs(cumulative - steps[1:])[seen].max(), np.abs(cumulative - steps[:-1])[seen].max())
        found.append([gap, abs(values.mean() / first - 1), abs((values**2).mean() / second - 1)])
    return np.mean(found, axis=0)


@pytest.mark.parametrize(("m", "constant"), [(1, 4.0), (4, 4.5), (16, 7.0)])
def test_real_networks_approach_the_limit_as_one_over_d(m, constant):
    """tanh at d = 1000: eigenvalue counts are off by a few eigenvalues whatever d is, the traces by a few per d."""
    small, large = distances(250, m, range(3)), distances(1000, m, [0])
    for d, (gap, first, second) in ((250, small), (1000, large)):
        assert d * gap < constant
        assert d * first < 4
        assert d * second < 14
    assert large[0] < small[0] / 2


def test_places_broadcast_against_the_problem():
    problem = Problem.grid([1.0, 2.0], 3.0, [1, 4, INFINITY], 0.1, 1e-3)
    u = np.linspace(0.01, 3, 7)
    result = spectral_density(problem, u)
    assert result.density.shape == (2, 3, 7)
    assert result.edges.shape[:2] == result.masses.shape[:2] == result.atoms.masses.shape[:2] == (2, 3)
    alone = spectral_density(Problem(2.0, 3.0, 4, 0.1, 5.0), u)  # another ridge: it does not enter
    np.testing.assert_allclose(result.density[1, 1], alone.density, rtol=1e-12)
    own = spectral_density(problem, np.broadcast_to(u, (2, 1, 7)))
    np.testing.assert_array_equal(own.density, result.density)
    assert spectral_density(Problem(2.0, 3.0, 4, 0.1, 5.0), u[2]).density.shape == ()
    assert np.all(spectral_density(problem, [-1.0, -1e-9]).density == 0)


@pytest.mark.parametrize("u", [np.nan, [1.0, np.inf], "one", [True], 1j])
def test_places_must_be_finite_numbers(u):
    with pytest.raises(ValueError, match=r"u = .* finite"):
        spectral_density(Problem(2.0, 3.0, 4, 0.1, 0.0), u)


def test_impossible_requests_are_refused():
    with pytest.raises(ValueError, match="psi_n = inf must be finite"):
        spectral_density(Problem(INFINITY, 3.0, 4, 0.1, 0.0), 1.0)
    with pytest.raises(ValueError, match="psi_p = inf must be finite"):
        spectral_density(Problem([1.0, 2.0], INFINITY, 4, 0.1, 0.0), 1.0)
    with pytest.raises(ValueError, match="u has shape"):
        spectral_density(Problem([1.0, 2.0], 3.0, 4, 0.1, 0.0), np.ones((3, 4)))


def test_a_constant_activation_leaves_nothing_but_zeros():
    result = spectral_density(Problem(2.0, 3.0, 4, 0.1, 0.0, lambda x: 0 * x), [0.5])
    assert result.density[0] == 0
    assert result.atoms.locations.tolist() == [0]
    assert result.mass == pytest.approx(1, abs=QUADRATURE)


def test_picture_shows_density_atoms_and_eigenvalues_on_both_scales():
    u = np.geomspace(1e-3, 10, 50)
    problem = Problem(0.5, 2.0, 1, 0.1, 0.0)
    result = spectral_density(problem, u)
    values = np.linalg.eigvalsh(feature_matrix(40, 0.5, 2.0, 1, 0.1, 0))
    atoms = zip(result.atoms.locations, result.atoms.masses, strict=True)
    axes = plots.spectrum(u, result.density, atoms, values, label="theory")
    assert [axis.get_xscale() for axis in axes] == [axis.get_yscale() for axis in axes] == ["linear", "log"]
    for axis in axes:
        line = axis.lines[0]
        np.testing.assert_array_equal(line.get_xdata(), u)
        np.testing.assert_array_equal(np.nan_to_num(line.get_ydata()), result.density)
        heights, edges, _ = axis.patches[0].get_data()
        assert np.sum(heights * np.diff(edges)) == pytest.approx(np.mean((values > edges[0]) & (values <= edges[-1])))
    assert [len(axis.texts) for axis in axes] == [1, 0]  # zero is not on a logarithmic axis
    assert [len(axis.texts) for axis in plots.spectrum(u, result.density, zip([0.5], [0.2], strict=True))] == [1, 1]
    assert plots.spectrum(u, result.density, axes=axes)[0] is axes[0]
    assert axes[0].lines[-1].get_color() != axes[0].lines[0].get_color()
    with pytest.raises(ValueError, match="density has shape"):
        plots.spectrum(u, result.density[1:])
    with pytest.raises(ValueError, match="axes: 1 given"):
        plots.spectrum(u, result.density, axes=axes[0])
