"""Samples of real networks against the law they must follow, and what a fitted network is."""

import dataclasses
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from rfdsm import Problem, compare, fit, generated_law, path_bound, sampling, simulate, simulate_generation, spectra
from rfdsm.simulation._generation import _along
from tests.sweeps.tiny import CUBIC

SAMPLER = sampling.ddim(sampling.geometric(2, 0.1, 4))


@pytest.fixture
def no_pairs(monkeypatch):
    """Without distances of samples to points, most of the work of a trial, where nothing of them is asked."""
    nothing, three = np.nan, np.full(3, np.nan)
    near = SimpleNamespace(fraction=nothing, fraction_null=nothing, nearest=three, nearest_null=three)
    monkeypatch.setattr(sampling.metrics, "memorised", lambda *_: near)
    monkeypatch.setattr(sampling.metrics, "relative_distance", lambda *_, **__: SimpleNamespace(sign=nothing))


@pytest.mark.slow
def test_a_fitted_network_is_that_of_simulate():
    """Its losses on very many fresh points are those that `simulate` knows exactly."""
    problem = Problem(2.0, 3.0, 2, 0.3, 0.02, target="velocity", activation="erf")
    network, exact = fit(problem, 20, key=4), simulate(problem, 20, key=4)
    rng = np.random.default_rng(0)
    asked = network.asked
    x, z = rng.normal(size=(2, 200_000, 20))
    y = asked.a * x + asked.root_h * z
    with jax.enable_x64(True):
        error = np.asarray(network.predict(y)) - asked.alpha * x - asked.beta * z
        score = np.asarray(network.score(y)) + y / (asked.a**2 + asked.h)
    spread = np.std(np.mean(error**2, axis=1)) / np.sqrt(len(x))
    assert abs(np.mean(error**2) - exact.test[0]) < 4 * spread
    spread = np.std(np.mean(score**2, axis=1)) / np.sqrt(len(x))
    assert abs(np.mean(score**2) - exact.score[0]) < 4 * spread


@pytest.mark.slow
def test_what_does_not_depend_on_what():
    """Trials by their keys; the samples of a trial, not their statistics, on how many there are."""
    problem = Problem(2.0, 1.0, 2, 0.3, 0.05, CUBIC, target="data")
    both = simulate_generation(problem, SAMPLER, 12, samples=40, trials=2, key=3, keep_samples=True)
    one = simulate_generation(problem, SAMPLER, 12, samples=20, key=3, keep_samples=True)
    np.testing.assert_allclose(one.samples[0], both.samples[0, :20], rtol=1e-10)
    np.testing.assert_allclose(both.path[:, -1], both.variances)
    covariance = np.cov(both.samples[1].T)
    np.testing.assert_allclose(both.covariance[1], covariance, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(both.trace[1], np.trace(covariance) / 12)
    shared = simulate_generation(problem, SAMPLER, 12, samples=20, key=3, networks="shared")
    assert not np.allclose(shared.variances, one.variances)
    np.testing.assert_allclose(shared.eigenvalues, one.eigenvalues)
    assert one.groups(3)[1].shape == (1, 3)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"ridge": 0.0}, "ridge = 0 must be > 0"),
        ({"psi_n": [2.0, 3.0]}, "must be one problem"),
        ({"samples": 1}, "samples = 1 must be an integer >= 2"),
        ({"networks": "same"}, "networks = 'same' must be one of independent, shared"),
        ({"memory_limit": 1e4}, "memory"),
        ({"start": -1.0}, "start = -1.0 must be"),
        ({"ridges": [0.1, 0.2]}, r"ridges has shape \(2,\), must be \(4,\)"),
        ({"psi_n": 0.1}, "at least 2"),
    ],
)
def test_refusals(changes, message):
    fields = {"psi_n": 2.0, "psi_p": 1.0, "m": 2, "t": 0.3, "ridge": 0.05}
    fields |= {name: value for name, value in changes.items() if name in fields}
    options = {"samples": 20} | {name: value for name, value in changes.items() if name not in fields}
    with pytest.raises(ValueError, match=message):
        simulate_generation(Problem(**fields), SAMPLER, 12, **options)


@pytest.mark.slow
def test_linear_networks_follow_the_recursion_of_their_matrices():
    """Given networks with linear features, each step takes the covariance C to T C T', T = A + C_step B W/sqrt(d)."""
    d, levels = 12, np.array([2.0, 0.8, 0.3, 0.1])
    problem = Problem(3.0, 2.0, 2, 1.0, 0.05, "linear", target="data")
    sampler = sampling.ddim(levels)
    networks = [fit(dataclasses.replace(problem, t=t), d, key=4) for t in levels[:-1]]
    steps = sampler.steps(problem.schedule, problem.target)
    covariance = 1.3 * np.eye(d)
    for network, A, C in zip(networks, steps.A, steps.C, strict=True):
        T = A * np.eye(d) + C * np.asarray(network.B) @ np.asarray(network.W) / np.sqrt(d)
        covariance = T @ covariance @ T.T

    def network(y, level):
        which = int(np.argmin(np.abs(levels[:-1] - level.t)))
        return np.asarray(networks[which].predict(y))

    start = np.sqrt(1.3 * d) * np.eye(d)  # its second moment is 1.3
    found = np.asarray(sampling.generate(network, sampler, start, target="data", whole_batches=True))
    np.testing.assert_allclose(found.T @ found / d, covariance, rtol=1e-10, atol=1e-10 * np.abs(covariance).max())


@pytest.mark.slow
def test_simulated_steps_of_linear_networks_are_matrices(no_pairs):
    """The third level takes all samples of the second through one matrix, and their covariance with it."""
    problem, levels = Problem(3.0, 2.0, 2, 1.0, 0.05, "linear", target="data"), [2.0, 0.8, 0.3]
    asked = dict(samples=60, key=2, keep_samples=True)
    before, after = (simulate_generation(problem, sampling.ddim(levels[:k]), 10, **asked).samples[0] for k in (2, 3))
    T = np.linalg.lstsq(before, after, rcond=None)[0]
    np.testing.assert_allclose(after, before @ T, rtol=0, atol=1e-10 * np.abs(after).max())
    np.testing.assert_allclose(np.cov(after.T), T.T @ np.cov(before.T) @ T, rtol=0, atol=1e-10)
    assert np.abs(T - T[0, 0] * np.eye(10)).max() > 1e-3


def test_divergences_along_eigenvectors_have_no_bias():
    """Of variances estimated from ten samples, against those of the variances themselves."""
    rng = np.random.default_rng(0)
    d, nu = 5, 9
    vectors = np.linalg.qr(rng.normal(size=(d, d)))[0]
    true, target = np.array([0.3, 0.7, 1.0, 1.5, 3.0]), np.array([0.5, 1.0, 1.0, 2.0, 1.5])
    law = vectors * true @ vectors.T
    difference = np.mean(np.log(true)) - np.mean(np.log(target))
    exact = {
        "logdet_along": np.mean(np.log(true)),
        "kl_along": (np.trace(law / target[:, None]) / d - 1 - difference) / 2,
        "reverse_kl_along": (np.trace(np.linalg.inv(law) * target) / d - 1 + difference) / 2,
    }
    draws = [_along(true * rng.chisquare(nu, d) / nu, vectors, target, nu) for _ in range(8000)]
    for name, value in exact.items():
        found = np.array([draw[name] for draw in draws])
        assert abs(found.mean() - value) < 4 * found.std() / np.sqrt(len(found)), name


CASES = {  # of one activation: the law of as many given eigenvalues is compiled once
    "flow, m = inf, two eigenvalues": (
        Problem(1.5, 3.0, np.inf, 0.5, 0.1, "relu", spectra.atoms([0.5, 1.5]), schedule="flow", target="flow"),
        sampling.ddpm(sampling.geometric(0.9, 0.1, 5)),
    ),
    "noise, m = 1": (
        Problem(4.0, 1.0, 1, 0.5, 0.1, "relu", target="noise"),
        sampling.reverse_sde(sampling.uniform(2.0, 0.1, 5)),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_independent_networks_follow_the_law(name, no_pairs):
    """Deviations fall like 1/d: what is left at d = infinity, from d = 40 and 80, is within errors."""
    problem, sampler = CASES[name]
    means, errors = [], []
    for d, trials in ((40, 24), (80, 12)):
        found = simulate_generation(problem, sampler, d, samples=800, trials=trials, key=d)
        ratios = []
        for k in range(trials):
            law = generated_law(problem, sampler, given=found.eigenvalues[k])
            thirds = [np.mean(part) for part in np.array_split(law.variance, 3)]
            ratios.append(found.groups(3)[1][k] / thirds)
        ratios = np.array(ratios)
        means.append(ratios.mean(axis=0))
        errors.append(ratios.std(axis=0, ddof=1) / np.sqrt(trials))
    extrapolated = 2 * means[1] - means[0]
    error = np.hypot(2 * errors[1], errors[0])
    # what is left of 1/d^2
    assert np.all(np.abs(extrapolated - 1) < 3.5 * error + 0.25 * np.abs(means[1] - 1)), (extrapolated, error, means)
    assert np.all(error < 0.04)


@pytest.mark.slow
def test_the_bound_is_above_what_is_measured(no_pairs):
    """KL(data || generated) of many small steps of the reversed equation: isotropic data are alike at every level."""
    problem = Problem(4.0, 2.0, 4, 1, 0.05, "relu")
    levels = sampling.geometric(3, 0.1, 60)
    found = simulate_generation(problem, sampling.reverse_sde(levels), 40, samples=1000, trials=2)
    assert 0.05 < np.mean(found.reverse_kl) < path_bound(problem, levels).bound


@pytest.mark.slow
def test_compare_holds_samples_against_the_law(no_pairs):
    """Extrapolated in 1/d, for a grid of cells; given networks are farther from the data than their mean, in every
    dimension: what they leave between eigenvectors does not vanish, and the law is that of their mean."""
    problem, d = Problem(3.0, 1.0, 2, 0.5, [0.05, 0.1], CUBIC, target="data"), np.array([24, 48])
    found = compare(problem, d, trials=12, sampler=SAMPLER, samples=1000)
    assert found.names[:3] == ("variance_lowest", "variance_middle", "variance_highest")
    assert np.sqrt(np.mean(found.extrapolation.z**2)) < 2.5
    assert np.all(np.abs(found.relative_deviation[:3]) < 0.1)
    dataset = found.to_dataset()
    assert dataset.sizes["quantity"] == 7 and "levels" in dataset.attrs["configuration"]
    assert "variance middle" in found.table().columns[3].header
    kl = found.names.index("kl")
    for k, size in enumerate(d):
        samples = simulate_generation(problem.at(ridge=0.05), SAMPLER, int(size), samples=1000, trials=3)
        assert np.mean(samples.kl) > 1.1 * found.limits[kl, 0]
        np.testing.assert_allclose(samples.kl_along, found.simulation[kl, k, :3, 0])
        assert abs(found.relative_deviation[kl, k, 0]) < 0.3 * 30 / size
