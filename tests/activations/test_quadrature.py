"""The split Gaussian rule, the arc integrals and the piecewise interpolant."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import ndtr

from rfdsm.activations._quadrature import (
    HALF_WIDTH,
    ORDER,
    Arcs,
    PiecewiseChebyshev,
    gaussian_rule,
    legendre_rule,
    split_moments,
)

OFFSETS = jnp.array([0.0, 0.5, 1.5, 3.0, 6.0, 9.0, 12.0, 15.0, 18.0])


@pytest.mark.parametrize("order", [3, 16])
def test_legendre_rule_is_exact_up_to_its_degree(order):
    nodes, weights = legendre_rule(order)
    for degree in range(2 * order):
        assert np.isclose(weights @ nodes**degree, 1 / (degree + 1), rtol=1e-13)
    assert not np.isclose(weights @ nodes ** (2 * order), 1 / (2 * order + 1), rtol=1e-13) or order > 8


@pytest.mark.slow
@pytest.mark.parametrize("centres", [[0.0], [-1.7], [40.0], [-30.0, 0.3, 0.9], [-50.0, -40.0, 60.0]])
def test_gaussian_moments_wherever_the_centres_lie(centres):
    nodes, weights = gaussian_rule(jnp.array(centres), OFFSETS, ORDER, HALF_WIDTH)
    assert nodes.shape == weights.shape == (len(centres) * 16 * ORDER,)
    assert np.all(weights >= 0)
    for power, wanted in enumerate([1.0, 0.0, 1.0, 0.0, 3.0, 0.0, 15.0]):
        assert np.isclose(weights @ nodes**power, wanted, rtol=1e-13, atol=1e-13)


def test_jumps_at_centres_are_exact():
    centres = jnp.array([-0.4, 1.1])
    nodes, weights = gaussian_rule(centres, OFFSETS, ORDER, HALF_WIDTH)
    for centre in centres:
        assert np.isclose(weights @ np.where(nodes > centre, 1.0, 0.0), ndtr(-centre), rtol=1e-13)
    assert not np.isclose(weights @ np.where(nodes > 0.2, 1.0, 0.0), ndtr(-0.2), rtol=1e-8)


@pytest.mark.slow
def test_square_by_hand():
    """f = u^2 + u: mu1 = 1, v0^2 = 2 shared^2, beta_a = 2 (G^4 - shared^2); any shape, also an empty one."""
    shared, private = np.array([[0.5, 2.0, 1e-8], [1.0, 0.3, 4.0]]), np.array([[0.1, 1e-6, 1.0], [2.0, 0.7, 1e-3]])
    moments = jax.jit(lambda *at: split_moments(lambda u: u**2 + u, (0.0,), True, *at))
    found = moments(shared, private)
    total = shared + private
    wanted = (np.ones((2, 3)), 2 * shared**2, 2 * private * (total + shared), 3 * total**2 + total)
    for part, exact in zip(found, wanted, strict=True):
        assert np.allclose(part, exact, rtol=1e-11)
    assert moments(np.zeros((0, 3)), np.zeros((0, 3)))[0].shape == (0, 3)


@pytest.mark.slow
@pytest.mark.parametrize("softness", [0.0, 0.5, 1.0])
def test_arcs(softness):
    shared = np.array([0.0, 1e-9, 0.5, 1.0, 1.0])
    private = np.array([1.0, 2.0, 0.5, 1e-3, 1e-12])
    arcs = Arcs.between(jnp.asarray(shared), jnp.asarray(private), softness)
    radius = shared + private + softness
    end = np.arcsin((shared + private) / radius)
    assert np.allclose(arcs.start, np.arcsin(shared / radius), rtol=1e-7)
    assert np.allclose(arcs.start + arcs.step, end, rtol=1e-12)
    assert np.allclose(arcs.fall, arcs.cos_start - arcs.cos_end, rtol=1e-10, atol=1e-15)
    low, high = arcs.integrate(lambda angle, cosine: cosine)
    assert np.allclose(low, shared / radius, rtol=1e-14)
    assert np.allclose(high, private / radius, rtol=1e-13)


@pytest.mark.slow
def test_piecewise_chebyshev():
    functions = (np.exp, lambda x: 1 / (1 + x**2))
    nodes = PiecewiseChebyshev.nodes(-2.0, 3.0, 10, 15)
    interpolant = PiecewiseChebyshev.fit(-2.0, 3.0, np.stack([f(nodes) for f in functions]))
    x = np.linspace(-2.0, 3.0, 1001).reshape(7, 143)
    values = interpolant(x)
    assert values.shape == (2, 7, 143)
    for value, function in zip(values, functions, strict=True):
        assert np.allclose(value, function(x), rtol=1e-12)
    assert interpolant.tails().shape == (2, 10) and interpolant.tails().max() < 1e-11


def test_piecewise_chebyshev_sees_what_it_cannot_follow():
    nodes = PiecewiseChebyshev.nodes(-1.0, 1.0, 4, 15)
    interpolant = PiecewiseChebyshev.fit(-1.0, 1.0, np.abs(nodes - 0.1)[None])
    assert np.count_nonzero(interpolant.tails() > 1e-6) == 1
