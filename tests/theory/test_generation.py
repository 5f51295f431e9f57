"""The law of generated samples: reference values, limits, and networks of independent levels at finite size."""

import jax
import numpy as np
import pytest

from rfdsm import (
    Problem,
    activations,
    generated_law,
    generated_memorisation,
    optimal_levels,
    path_bound,
    predict,
    sampling,
    schedules,
    simulate_generation,
    spectra,
    targets,
)
from rfdsm._machine import lapack_threads
from rfdsm.linear._fitting import statistics
from rfdsm.theory import _generation
from rfdsm.theory._path import integrated_losses
from rfdsm.theory._sample_covariance import isotropic_spectrum, sample_spectrum
from rfdsm.theory.generation_limit import generated_limit
from tests.tolerances import REFERENCE

TIMES = np.geomspace(3.0, 0.05, 11)
# schedule, target, sampler, psi_n, psi_p, m, ridge, activation; mean variance, KL to the data's law and back
LAWS = [
    ("ou", "noise", sampling.ddim(TIMES), 2.796, 11.101, 2.0, 0.03, "tanh",
     (1.6691116813808076, 0.12922556568666682, 0.07421027395889646)),
    ("ou", "data", sampling.ddim(TIMES[::2]), 1.808, 8.133, 1.0, 0.01, "tanh",
     (1.0443524959366537, 0.12713168650412465, 0.21696249582709906)),
    ("ou", "velocity", sampling.ddim(TIMES), 3.607, 4.303, np.inf, 0.1, "erf",
     (0.8270953602490887, 0.05630274232283169, 0.09142564927445909)),
    ("flow", "flow", sampling.euler(np.linspace(0.98, 0.02, 11)), 0.922, 5.966, np.inf, 0.03, "sin",
     (0.5346893557851606, 0.6654388485303635, 11.239925100618052)),
]  # fmt: skip
AT = {
    "noise": ([0.16157463017912543, 2.494225035404302], [0.575923235030775, 3.4103780001572805]),
    "data": ([0.06569214913272181, 2.966500428765852], [0.15830131274170364, 2.8627756593298104]),
    "flow": ([0.0, 4.063844749116896], [0.00864003416101545, 2.6248080194739805]),
}
"""Eigenvalues of the sample covariance, and the variances there."""
QUICK = (), pytest.mark.slow


@pytest.fixture(autouse=True)
def one_size(monkeypatch):
    """Chains of up to 16 steps share executables, else they would be those of 8 and of 16."""
    monkeypatch.setattr(_generation, "STEPS", 16)


@pytest.mark.parametrize("row", [pytest.param(row, id=row[1], marks=QUICK[row[1] != "data"]) for row in LAWS])
def test_reference_values(row, monkeypatch):
    schedule, target, sampler, psi_n, psi_p, m, ridge, activation, expected = row
    problem = Problem(psi_n, psi_p, m, 0.5, ridge, activation, schedule=schedule, target=target)
    law = generated_law(problem, sampler, start=1.0)
    assert law.converged
    np.testing.assert_allclose((law.trace, law.kl, law.reverse_kl), expected, rtol=REFERENCE)
    if target in AT:
        x, variance = AT[target]
        np.testing.assert_allclose(law.variance_at(x), variance, rtol=REFERENCE)
        assert law.variance_at([]).shape == (0,)
    if target == "noise":  # any number of places, more than those of one executable
        expected = np.tile(law.variance_at(x), 20)
        monkeypatch.setattr(_generation, "PLACES", 32)
        np.testing.assert_array_equal(law.variance_at(x * 20), expected)


@pytest.mark.slow
def test_kernel_limit_is_a_ridge_map():
    """psi_p to infinity at fixed ridge per feature, m = infinity: samples go through an affine map of S alone."""
    per_feature, psi_n, law = 0.05, 2.0, spectra.atoms([1.6, 0.4])
    problem = Problem(psi_n, 1e9, np.inf, 0.5, per_feature * 1e9, "relu", law)
    times = TIMES[::2]
    sampler = sampling.ddim(times)
    found = generated_law(problem, sampler)
    steps, x = sampler.steps(problem.schedule, problem.target), found.nodes
    a, h = np.exp(-times[:-1]), -np.expm1(-2 * times[:-1])
    variance = np.full(x.size, a[0] ** 2 + h[0])
    for k in range(5):
        moments = activations.get("relu").moments(a[k] ** 2, h[k])
        L, v0_squared = float(moments.mu1) ** 2, float(moments.v0_squared)
        slope = -np.sqrt(h[k]) / (per_feature / L + h[k] + a[k] ** 2 * x / (1 + v0_squared / (per_feature * psi_n)))
        variance = (steps.A[k] + steps.C[k] * slope) ** 2 * variance
    np.testing.assert_allclose(found.variance, variance, rtol=1e-8)  # 5/psi_p


@pytest.mark.slow
def test_linear_networks_at_finite_size():
    """m = 1, linear features: in thirds of the spectrum to half a per cent at d = 40 already."""
    ratios = ratios_to_law(Problem(3.0, 2.0, 1, 0.5, 0.05, "linear", target="data"), 40, lambda u: u, 160)
    np.testing.assert_allclose(ratios, 1, atol=5e-3)


@pytest.mark.slow
def test_networks_of_independent_levels():
    """Real tanh networks, one for each of five levels, against the law, along the eigenvectors of S."""
    problem = Problem(3.0, 2.0, 2, 0.5, 0.05, "tanh", target="data")
    small, large = (ratios_to_law(problem, d, np.tanh, 3600 // d) for d in (40, 80))
    np.testing.assert_allclose(2 * large - small, 1, atol=0.03)


def ratios_to_law(problem, d, activation, trials):
    """Mean variances of samples in thirds of the spectrum of S, over those of the law."""
    sampler = sampling.ddim(np.geomspace(2.0, 0.1, 6))
    with lapack_threads(1):
        found = [networks(problem, sampler, d, activation, trial) for trial in range(trials)]
    eigenvalues, variance = (np.mean(values, axis=0) for values in zip(*found, strict=True))
    expected = generated_law(problem, sampler, given=eigenvalues).variance
    thirds = [slice(k * d // 3, (k + 1) * d // 3) for k in range(3)]
    return np.array([variance[part].mean() / expected[part].mean() for part in thirds])


def networks(problem, sampler, d, activation, seed, samples=400):
    """Eigenvalues of S, ascending, and variances of samples along its eigenvectors, of networks of NumPy's own."""
    rng = np.random.default_rng([seed, d])
    n, p, m = int(problem.psi_n * d), int(problem.psi_p * d), int(problem.m)
    X = rng.standard_normal((n, d))
    eigenvalues, vectors = np.linalg.eigh(X.T @ X / n)
    kind = problem.schedule, problem.target
    levels, steps = sampler.asked(*kind), sampler.steps(*kind)
    y = np.sqrt(levels.a[0] ** 2 + levels.h[0]) * rng.standard_normal((samples, d))
    for k in range(steps.A.size):
        W = rng.standard_normal((p, d))
        z, x = rng.standard_normal((n * m, d)), np.repeat(X, m, axis=0)
        phi = activation((levels.a[k] * x + levels.root_h[k] * z) @ W.T / np.sqrt(d))
        target = levels.alpha[k] * x + levels.beta[k] * z
        B = np.linalg.solve(phi.T @ phi / (n * m) + float(problem.ridge) * np.eye(p), phi.T @ target / (n * m))
        f = activation(y @ W.T / np.sqrt(d)) @ B
        y = steps.A[k] * y + steps.C[k] * f + steps.spread[k] * rng.standard_normal(y.shape)
    return eigenvalues, np.mean((y @ vectors) ** 2, axis=0)


@pytest.mark.slow
def test_infinitely_many_samples():
    """S is Sigma: the law of the limit psi_n = inf, and of very many samples."""
    law = spectra.atoms([2.0, 0.2], [0.3, 0.7])
    sampler = sampling.ddpm(TIMES[::2])
    many, infinite = (
        generated_law(Problem(psi_n, 3.0, 4, 0.5, 0.05, "tanh", law, target="data"), sampler) for psi_n in (1e8, np.inf)
    )
    for name in ("trace", "kl", "reverse_kl", "logdet"):
        np.testing.assert_allclose(getattr(many, name), getattr(infinite, name), rtol=1e-6)


@pytest.mark.parametrize("psi_n", [0.3, 0.7, 2.0, 50.0])
@pytest.mark.parametrize(
    "law", [([1.0], [1.0]), ([1.0, 3.0, 0.0], [0.3, 0.3, 0.4]), ([0.5, 1.0, 10.0], [0.4, 0.3, 0.3])]
)
def test_spectrum_of_the_sample_covariance(psi_n, law):
    """Moments of the law and its overlaps, by the formulas for traces of Wishart matrices."""
    s, w = map(np.array, law)
    found = sample_spectrum(psi_n, s, w)
    mean, square = w @ s, w @ s**2
    x = found.nodes
    np.testing.assert_allclose(found.weights.sum(), 1, rtol=1e-12)
    np.testing.assert_allclose(found.weights @ x, mean, rtol=1e-10)
    np.testing.assert_allclose(found.weights @ x**2, square + mean**2 / psi_n, rtol=1e-10)
    np.testing.assert_allclose(found.overlap(s) @ x, square, rtol=1e-10)
    np.testing.assert_allclose(found.overlap(s).sum(), mean, rtol=1e-10)
    third = w @ s**3 + mean * square / psi_n
    np.testing.assert_allclose(found.overlap(s) @ x**2, third, rtol=1e-10)


@pytest.mark.slow
def test_random_problems_are_solved():
    rng = np.random.default_rng(0)
    for k in range(24):
        psi_n, psi_p = 10 ** rng.uniform(-2, 3, 2)
        m = rng.choice([1, 2, 16, np.inf])
        activation = ("tanh", "relu", "linear")[k % 3]
        target = ("noise", "data", "velocity")[k // 3 % 3]
        problem = Problem(psi_n, psi_p, m, 0.5, 10 ** rng.uniform(-8, 1), activation, target=target)
        law = generated_law(problem, sampling.ddim(np.geomspace(3, 0.05, 8)))
        assert law.residual < 1e-10 and np.all(law.variance >= 0), (k, problem)


@pytest.mark.slow
def test_a_grid_is_its_cells():
    """Isotropic data in closed form and any data by roots; ridges of the levels; nodes of any number of bulks."""
    sampler = sampling.ddim(TIMES[::5])
    for spectrum in (None, spectra.atoms([0.2, 2.0])):
        fields = {"m": 2, "t": 0.5, "ridge": 0.05, "spectrum": spectrum, "target": "data"}
        grid = generated_law(Problem(psi_n=[[0.5], [20.0]], psi_p=[0.7, 3.0], **fields), sampler)
        assert grid.shape == (2, 2) and np.all(grid.converged)
        cell = generated_law(Problem(psi_n=20.0, psi_p=0.7, **fields), sampler)
        for name in ("kl", "reverse_kl", "trace", "bhattacharyya"):
            np.testing.assert_allclose(getattr(grid, name)[1, 0], getattr(cell, name), rtol=1e-9)
        np.testing.assert_allclose(grid.variance_at([0.5, 1.0])[1, 0], cell.variance_at([0.5, 1.0]), rtol=1e-10)
        own = generated_law(Problem(psi_n=20.0, psi_p=0.7, **fields), sampler, ridges=[0.05] * sampler.size)
        np.testing.assert_allclose(own.kl, cell.kl)


@pytest.mark.parametrize("psi_n", [0.3, 0.999, 1.0, 2.0, 1e4])
def test_one_bulk_in_closed_form(psi_n):
    x, w = isotropic_spectrum(psi_n)
    other = sample_spectrum(psi_n, [1.0], [1.0])
    for f in (np.ones_like, lambda x: x, lambda x: 1 / (0.01 + x), lambda x: np.log(1e-4 + x)):
        np.testing.assert_allclose(w @ f(x), other.weights @ f(other.nodes), rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_derivatives():
    """By psi_n, psi_p, the ridge of every level, start, schedule and target, against differences.

    Forwards: backwards they are those of the best ridges, and of data that are not isotropic.
    """
    sampler = sampling.euler([2.0, 0.5, 0.05])

    def kl(v):
        kinds = {"schedule": schedules.edm(v[3]), "target": targets.edm(v[4])}
        return generated_law(Problem(v[0], v[1], 4, 1.0, 1.0, "relu", **kinds), sampler, start=v[2], ridges=v[5:]).kl

    place = np.array([3.0, 2.0, 0.8, 0.9, 1.2, 0.1, 0.05])
    with jax.enable_x64(True):
        slope = np.asarray(jax.jit(jax.jacfwd(kl))(place))
    for k, step in enumerate(np.diag(1e-4 * place)):
        np.testing.assert_allclose(slope[k], (kl(place + step) - kl(place - step)) / (2 * step[k]), rtol=1e-5)


@pytest.mark.slow
def test_spectrum_of_the_generated_covariance():
    """Its mass and mean; its atom where samples are fewer than dimensions."""
    for psi_n in (0.5, 3.0):
        law = generated_law(Problem(psi_n, 2.0, 2, 0.5, 0.05, target="velocity"), sampling.ddim(TIMES[::3]))
        found = law.density(2000)
        order = np.argsort(found.variance)
        v, density = found.variance[order], found.density[order]
        np.testing.assert_allclose(np.trapezoid(density, v) + found.mass, 1, atol=2e-4)
        atom = found.mass * found.atom if found.mass else 0.0
        np.testing.assert_allclose(np.trapezoid(density * v, v) + atom, law.trace, rtol=1e-3)


def test_a_network_that_outputs_nothing_leaves_the_noise_its_amplitude():
    """In infinitely many steps, too: an estimate of the data that is zero, at an infinite ridge."""
    limit = generated_limit(Problem(4.0, 2.0, 4, 0.5, 1e9, target="data"), sampling.ddim([2.0, 0.1]))
    assert limit.converged
    np.testing.assert_allclose(limit.variance, np.expm1(-0.2) / np.expm1(-4), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("rule", [sampling.ddim, sampling.reverse_sde])
def test_many_steps_are_an_equation_in_time(rule, monkeypatch):
    """The law tends to the solution of the equation like 1/K."""
    monkeypatch.setattr(_generation, "STEPS", 128)  # one executable for both numbers of steps
    problem = Problem(4.0, 2.0, 4, 0.5, 0.05, target="velocity")
    limit = generated_limit(problem, rule([2.0, 0.1]))
    assert limit.converged
    few, many = (generated_law(problem, rule(sampling.geometric(2.0, 0.1, K))) for K in (64, 128))
    for name in ("trace", "kl", "reverse_kl", "bhattacharyya"):
        first, second, last = (float(getattr(law, name)) for law in (few, many, limit))
        np.testing.assert_allclose(2 * second - first, last, rtol=3e-3)
        assert abs(second - last) < 0.65 * abs(first - last)


@pytest.mark.slow
def test_integrals_over_time():
    """Against a sum of very many times; and the best score costs nothing but the start."""
    problem = Problem(4.0, [2.0, 30.0], 4, 0.5, 0.05)
    t = np.geomspace(0.1, 2.0, 4001)
    losses = predict(Problem(4.0, np.array([[2.0], [30.0]]), 4, t, 0.05))
    bound = path_bound(problem, [2.0, 0.1])
    np.testing.assert_allclose(bound.integral, np.trapezoid(losses.score, t), rtol=1e-5)
    np.testing.assert_allclose(bound.initial, 0, atol=1e-15)
    wide = path_bound(Problem(4.0, 2.0, 4, 0.5, 0.05, spectrum=spectra.isotropic(4.0)), [2.0, 0.1])
    ratio = 1 + 3 * np.exp(-4)
    np.testing.assert_allclose(wide.initial, (ratio - 1 - np.log(ratio)) / 2)
    h = -np.expm1(-2 * t)
    for weight, values in (("1/h", 1 / h), ("h", h), (lambda t: t**2, t**2)):
        found = integrated_losses(problem, [2.0, 0.1], weight=weight)
        np.testing.assert_allclose(found.values["test"], np.trapezoid(values * losses.test, t), rtol=1e-5)


@pytest.mark.slow
def test_best_ridges_beat_the_best_common_one(monkeypatch):
    """And no ridge of a level can be changed for the better."""
    monkeypatch.setattr(_generation, "STEPS", 8)  # compiled for the docstring's example, whose problem it is
    problem, sampler = Problem(2.0, 4.0, 2, 1.0, 0.03), sampling.ddim([3, 0.9, 0.3, 0.08])
    found = optimal_levels(problem, sampler)
    assert found.value < found.common - 1e-4
    for k in range(sampler.size):
        for factor in (0.9, 1.1):
            ridges = np.where(np.arange(sampler.size) == k, factor, 1.0) * found.ridges
            assert generated_law(problem, sampler, ridges=ridges).kl > found.value - 1e-9
    for factor in (0.9, 1.1):
        ridge = factor * found.ridge
        assert generated_law(problem.at(ridge=ridge), sampler).kl > found.common


@pytest.mark.slow
def test_linear_features_without_noise_of_their_own():
    """m = infinity leaves an unknown at exactly 0 beside very large ones: the limit of many draws all the same."""
    sampler = sampling.ddim(TIMES[::5])
    fields = {"t": 0.5, "ridge": 6e-7, "activation": "linear", "target": "data"}
    exact, many = (generated_law(Problem(30.0, 390.0, m, **fields), sampler) for m in (np.inf, 1e9))
    assert exact.converged
    np.testing.assert_allclose(exact.kl, many.kl, rtol=1e-6)


@pytest.mark.slow
def test_divergences_are_those_of_matrices():
    """For given eigenvalues: triangular factors of the covariance itself, a route of the linear denoiser's."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 30))
    x = np.linalg.eigvalsh(X.T @ X / 60)
    law = generated_law(Problem(2.0, 3.0, 2, 0.5, 0.05, target="data"), sampling.ddim(TIMES[::5]), given=x)
    with jax.enable_x64(True):
        exact = statistics(
            np.diag(np.sqrt(law.variance)), np.zeros(30), np.ones(30), 0.0, d=30, bare=True, singular=False,
            wasserstein=False,
        )  # fmt: skip
    for name in ("kl", "reverse_kl", "bhattacharyya", "logdet", "trace"):
        np.testing.assert_allclose(getattr(law, name), getattr(exact, name), rtol=1e-10)


@pytest.mark.slow
def test_divergences_mix_two_covariances(monkeypatch):
    """Sigma and Lambda(S) do not commute: traces of matrices of 1000 dimensions, whose deviations are of order 1/d."""
    d, psi_n, s = 1000, 2.0, np.array([0.4, 1.6])
    problem = Problem(psi_n, 2.0, 2, 0.5, 0.05, spectrum=spectra.atoms(s), target="data")
    law = generated_law(problem, sampling.ddim(TIMES[::5]))
    sigma = np.repeat(s, d // 2)
    X = np.random.default_rng(1).normal(size=(int(psi_n * d), d)) * np.sqrt(sigma)
    x, vectors = np.linalg.eigh(X.T @ X / len(X))
    monkeypatch.setattr(_generation, "BATCH", 1)  # one law at a time: nothing to fill up
    variance, squares = np.concatenate([law.variance_at(part) for part in np.split(x, 20)]), vectors**2
    end = np.exp(-2 * TIMES[-1]) * sigma - np.expm1(-2 * TIMES[-1])
    for target, forward, reverse in ((sigma, law.kl, law.reverse_kl), (end, law.kl_at_end, law.reverse_kl_at_end)):
        difference = np.mean(np.log(variance)) - np.mean(np.log(target))
        kl = (np.mean(variance * (squares.T @ (1 / target))) - 1 - difference) / 2
        np.testing.assert_allclose(forward, kl, rtol=5e-3)
        np.testing.assert_allclose(reverse, (np.mean((squares.T @ target) / variance) - 1 + difference) / 2, rtol=5e-3)


def test_the_law_memorises_where_samples_are_few():
    """Nearer to the training points in every trial, or in none."""
    problem = Problem([0.25, 64.0], 2.0, 4, 1.0, 0.03, target="data")
    found = generated_memorisation(problem, sampling.ddim(TIMES[::2]), 16, trials=8)
    np.testing.assert_array_equal(found.probability, [0, 1])


@pytest.mark.slow
def test_memorisation_of_the_law_is_that_of_networks():
    """P(nearer to fresh points) of theory's covariance, and of samples of real networks, between 0 and 1."""
    problem = Problem(1.0, 4.0, 2, 0.5, 0.05, target="velocity")
    sampler = sampling.ddim(TIMES[::3])
    law = generated_memorisation(problem, sampler, 16, trials=48)
    networks = simulate_generation(problem, sampler, 16, samples=1000, trials=24)
    assert 0.1 < law.probability < 0.9
    error = np.hypot(law.probability_error, networks.probability_error)
    assert abs(law.probability - networks.probability) < 3 * error


def ask(sampler, psi_n=2, ridge=0.1, schedule="ou", **options):
    return generated_law(Problem(psi_n, 3, 1, 0.5, ridge, schedule=schedule), sampler, **options)


@pytest.mark.parametrize(
    "asked, message",
    [
        (lambda: ask(sampling.ddim([1, 0.1]), ridge=0.0), "ridge = 0 must be > 0"),
        (lambda: ask(sampling.ddim([2, 1, 0.1]), ridges=[0.1, 0.0]), "ridge = 0 must be > 0"),
        (lambda: ask(sampling.ddim([2, 1, 0.1]), ridges=[0.1, 0.1, 0.1]), "ridges has shape"),
        (lambda: path_bound(Problem(2, 3, 1, 0.5, 0.1), [1.0, 0.0]), "levels must end above 0"),
        (lambda: optimal_levels(Problem(2, 3, 1, 0.5, 0.1), sampling.ddim([1, 0.1]), distance="l2"), "distance = 'l2'"),
        (lambda: ask(sampling.euler([1.5, 0.1]), schedule="flow"), "levels = 1.5 must be"),
        (lambda: ask(sampling.ddim([1, 0.1]), given=[-1.0]), "given = .* must be"),
        (lambda: ask(sampling.ddim([1, 0.1]), start=-1), "start = -1 must be"),
        (lambda: sampling.ddim([0.1, 1]), "strictly descending"),
        (lambda: sampling.ddim([1.0]), "one step at least"),
        (lambda: sampling.ddim([1, 0.1], eta=2), "eta must be a number, from 0 to 1"),
        (lambda: sampling.geometric(1, 2, 5), "last must be"),
    ],
)
def test_refusals(asked, message):
    with pytest.raises(ValueError, match=message):
        asked()
