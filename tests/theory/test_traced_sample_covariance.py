"""Derivatives of generated laws by what their spectrum depends on: n/d, Sigma, schedules; and the quadrature itself."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rfdsm import Problem, generated_law, predict, sampling, schedules, spectra
from rfdsm.theory._sample_covariance import sample_spectrum
from rfdsm.theory._traced_sample_covariance import traced_sample_spectrum

SAMPLER = sampling.euler([2.0, 0.5, 0.05])


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


@jax.jit
@functools.partial(jax.value_and_grad, argnums=(0, 1, 2))
def traced(psi_n, s, w):
    found = traced_sample_spectrum(psi_n, s, w)
    return jnp.sum((found.weights + found.overlap(s)) * jnp.log(0.01 + found.nodes))


@pytest.mark.parametrize(
    "psi_n, s, w, accuracy",
    [
        (2.0, [0.4, 1.6], [0.5, 0.5], 1e-12),
        (0.5, [0.4, 1.6], [0.4, 0.6], 1e-10),
        # as many samples as dimensions, and as the rank
        pytest.param(1.0, [0.4, 1.6], [0.5, 0.5], 1e-5, marks=pytest.mark.slow),
        pytest.param(0.5, [0.0, 1.6, 3.0], [0.5, 0.3, 0.2], 1e-5, marks=pytest.mark.slow),
        pytest.param(30.0, np.linspace(0.1, 3, 12), np.full(12, 1 / 12), 1e-6, marks=pytest.mark.slow),
    ],
)
def test_the_same_quadrature_with_derivatives(psi_n, s, w, accuracy):
    s, w = np.array(s), np.array(w)

    def concrete(psi_n, s, w):
        found = sample_spectrum(psi_n, s, w)
        return (found.weights + found.overlap(s)) @ np.log(0.01 + found.nodes)

    found, slopes = traced(psi_n, s, w)
    np.testing.assert_allclose(found, concrete(psi_n, s, w), rtol=accuracy)
    step, last = 1e-4, 1e-4 * s[-1] * np.eye(s.size)[-1]
    along = (concrete(psi_n * (1 + step), s, w) - concrete(psi_n * (1 - step), s, w)) / (2 * step * psi_n)
    np.testing.assert_allclose(slopes[0], along, rtol=max(1e-5, 10 * accuracy))
    along = (concrete(psi_n, s + last, w) - concrete(psi_n, s - last, w)) / (2 * last[-1])
    np.testing.assert_allclose(slopes[1][-1], along, rtol=max(1e-5, 10 * accuracy))


def test_second_derivatives_know_how_the_edges_move():
    """At first order how u moves does not matter, as dz/du vanishes there; nor does it for integrals."""
    s, w = np.array([0.4, 1.6]), np.array([0.5, 0.5])

    def value(psi_n):
        nodes = traced_sample_spectrum(psi_n, s, w).nodes[:-1]
        return jnp.stack([jnp.min(nodes), jnp.max(nodes)])  # next to the edges

    first = jax.jit(jax.jacfwd(value))
    second = jax.jit(jax.jacfwd(jax.jacfwd(value)))(2.0)
    np.testing.assert_allclose(second, (first(2.001) - first(1.999)) / 0.002, rtol=1e-5)


def problem_of(v):
    kinds = {"spectrum": spectra.atoms(v[3:5], [0.4, 0.6]), "schedule": schedules.edm(v[5]), "target": "data"}
    return Problem(v[0], v[1], 4, 1.0, v[2], "relu", **kinds)


def kl(v):
    return generated_law(problem_of(v), SAMPLER).kl


def loss(v):
    return predict(problem_of(v)).test


def differences(of, place):
    return [(of(place + step) - of(place - step)) / (2 * step[k]) for k, step in enumerate(np.diag(1e-4 * place))]


PLACES = np.array([[3.0, 2.0, 0.05, 0.4, 1.6, 0.9], [0.5, 2.0, 0.05, 0.4, 1.6, 0.9]])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Explicitly requested dtype")  # of products that JAX transposes
@pytest.mark.parametrize("of", [kl, loss])
def test_derivatives_in_single_precision(of):
    """By sizes, ridge, spectrum and schedule, whose the start is, and values, under vmap. JAX transposes where the
    caller is, and calls back where nobody is, outside of the scope of double precision."""
    jax.config.update("jax_enable_x64", False)  # for the threads of callbacks
    try:
        with jax.enable_x64(False):
            values, slopes = jax.jit(jax.vmap(jax.value_and_grad(of)))(jnp.asarray(PLACES))
            assert values.dtype == slopes.dtype == np.float32
            np.testing.assert_allclose(values, [of(place) for place in PLACES], rtol=2e-7)  # to the last digit
            for found, place in zip(slopes, PLACES, strict=True):
                np.testing.assert_allclose(found, differences(of, place), rtol=1e-5)
    finally:
        jax.config.update("jax_enable_x64", True)


@pytest.mark.slow
@pytest.mark.parametrize("psi_n", [0.3, 3.0])
def test_moments_of_a_broad_spectrum(psi_n):
    """A quadrature of a power law: bulks, necks and bumps."""
    law = spectra.power_law(1.0, 1e-2)
    s, w = law.nodes, law.weights
    found = sample_spectrum(psi_n, s, w)
    np.testing.assert_allclose(found.weights @ found.nodes, w @ s, rtol=1e-10)
    np.testing.assert_allclose(found.weights @ found.nodes**2, w @ s**2 + (w @ s) ** 2 / psi_n, rtol=1e-9)
    np.testing.assert_allclose(found.overlap(s) @ found.nodes, w @ s**2, rtol=1e-10)
