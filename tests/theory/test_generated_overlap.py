"""Determinants of Sigma + Lambda(S): closed forms, matrices of finite size, and the rate of the two laws' overlap."""

import jax
import numpy as np
import pytest

from rfdsm import Problem, generated_law, optimal_levels, sampling, spectra
from rfdsm.theory import _generation
from rfdsm.theory._generated_overlap import log_determinants
from rfdsm.theory._sample_covariance import sample_spectrum
from rfdsm.theory.generation_limit import generated_limit

FUNCTIONS = {
    "tends to a constant": lambda x: np.exp(-x) + 0.2,
    "grows": lambda x: 0.3 + x**2 / (1 + x),
    "linear": lambda x: 0.01 + 0.5 * x,
    "steep": lambda x: 1e-4 + x / (1e-2 + x),
}
SAMPLER = sampling.ddim(sampling.geometric(3, 0.05, 10))


def one(psi_n, s, w, function):
    found = sample_spectrum(psi_n, s, w)
    value = function(found.nodes)
    arguments = np.array([psi_n]), np.array(s), np.array(w), found.nodes[None], found.weights[None], value[None]
    return log_determinants(*arguments)[0], found


@pytest.mark.parametrize("psi_n", [0.4, 1.0, 3.0, 100.0])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_isotropic_data_commute(psi_n, name):
    function = FUNCTIONS[name]
    value, law = one(psi_n, [1.0], [1.0], function)
    np.testing.assert_allclose(value, law.weights @ np.log(1 + function(law.nodes)), rtol=1e-9)


@pytest.mark.parametrize("psi_n", [0.4, 3.0])
def test_multiples_of_the_sample_covariance(psi_n):
    """log det(Sigma + k S) = log det Sigma + log det(1 + k W), W of isotropic data."""
    s, w, k = [0.3, 2.0, 5.0], [0.5, 0.4, 0.1], 0.7
    white = sample_spectrum(psi_n, [1.0], [1.0])
    value, _ = one(psi_n, s, w, lambda x: k * x + 1e-12)
    np.testing.assert_allclose(value, w @ np.log(s) + white.weights @ np.log(1 + k * white.nodes), rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(
    "psi_n, s, w, fields",
    [
        (2.0, [0.4, 1.6], [0.5, 0.5], {"psi_p": 2.0, "m": 2, "ridge": 0.05, "target": "data"}),
        (0.5, [0.1, 3.0], [0.75, 0.25], {"psi_p": 4.0, "m": 1, "ridge": 0.01, "target": "noise"}),
    ],
)
def test_matrices(psi_n, s, w, fields, monkeypatch):
    """Sigma, and Lambda of sample covariances of Sigma: the determinant is that of the mean to 1/d^2.

    Half of either Chernoff bound: 0 < rate < half the smaller divergence.
    """
    law = generated_law(Problem(psi_n, t=0.5, spectrum=spectra.atoms(s, w), **fields), SAMPLER)
    assert 0 < law.bhattacharyya < min(law.kl, law.reverse_kl) / 2
    monkeypatch.setattr(_generation, "BATCH", 1)  # one law at a time: nothing to fill up
    d, rng, found = 60, np.random.default_rng(0), []
    sigma = np.repeat(s, np.round(np.array(w) * d).astype(int))
    for _ in range(60):
        X = rng.standard_normal((int(psi_n * d), d)) * np.sqrt(sigma)
        x, vectors = np.linalg.eigh(X.T @ X / len(X))
        variance = law.variance_at(np.maximum(x, 0))
        middle = np.linalg.slogdet(((vectors * variance) @ vectors.T + np.diag(sigma)) / 2)[1]
        found.append((middle / 2 - np.sum(np.log(variance)) / 4 - np.sum(np.log(sigma)) / 4) / d)
    error = np.std(found) / np.sqrt(len(found))
    assert error < 5e-3 * law.bhattacharyya
    np.testing.assert_allclose(np.mean(found), law.bhattacharyya, atol=4 * error + 1 / d**2)


@pytest.mark.slow
def test_infinitely_many_samples_commute():
    s, w = np.array([0.4, 1.6]), np.array([0.5, 0.5])
    problem = Problem([1e7, np.inf], 2.0, 4, 0.5, 0.05, spectrum=spectra.atoms(s, w), target="velocity")
    law = generated_law(problem, SAMPLER)
    variance = law.variance_at(s)[1]
    exact = w @ (np.log((variance + s) / 2) / 2 - np.log(variance * s) / 4)
    np.testing.assert_allclose(law.bhattacharyya, exact, rtol=1e-5)


@pytest.mark.slow
def test_many_steps_tend_to_that_of_the_equation_in_time(monkeypatch):
    monkeypatch.setattr(_generation, "STEPS", 80)  # one executable for both numbers of steps
    cell = Problem(2.0, 2.0, 2, 0.5, 0.05, spectrum=spectra.atoms([0.4, 1.6]), target="data")
    limit, steps = generated_limit(cell, sampling.ddim([3, 0.05])), []
    for K in (40, 80):
        steps.append(generated_law(cell, sampling.ddim(sampling.geometric(3, 0.05, K))).bhattacharyya)
    np.testing.assert_allclose(2 * steps[1] - steps[0], limit.bhattacharyya, rtol=0.02)


@pytest.mark.slow
def test_where_there_is_none():
    singular = Problem(2.0, 2.0, 2, 0.5, 0.05, spectrum=spectra.atoms([0.0, 0.4, 2.6]), target="data")
    found = generated_law(singular, SAMPLER)
    assert np.all(np.isposinf([found.bhattacharyya, found.kl, found.reverse_kl]))
    law, fields = spectra.atoms([0.4, 1.6]), {"m": 2, "t": 0.5, "ridge": 0.05, "target": "data"}
    problem = Problem(2.0, 2.0, spectrum=law, **fields)
    assert np.isnan(generated_law(problem, SAMPLER, given=np.linspace(0.1, 2.0, 1281)).bhattacharyya)
    with pytest.raises(ValueError, match="gradient for isotropic data only"):
        optimal_levels(problem, SAMPLER, distance="bhattacharyya")


@pytest.mark.slow
def test_traced_laws_have_none_of_structured_data():
    law, fields = spectra.atoms([0.4, 1.6]), {"m": 2, "t": 0.5, "ridge": 0.05, "target": "data"}
    with pytest.raises(ValueError, match="concrete laws"), jax.enable_x64(True):
        jax.eval_shape(lambda p: generated_law(Problem(2.0, p, spectrum=law, **fields), SAMPLER).bhattacharyya, 2.0)
