"""What a network of any linear target alpha x + beta z loses: reference values, two routes, and the quadratic form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rfdsm import activations
from rfdsm.targets import Asked
from rfdsm.theory._fixed_point import solve
from rfdsm.theory._populations import populations
from rfdsm.theory._predict import losses_at
from rfdsm.theory._two_point import fresh_noise_probe, one_point, population_probe, two_point
from tests.tolerances import REFERENCE, ROUTES

NAMES = ("train", "empirical_test", "test", "score", "objective", "floor")
SPREAD = ([2.65, 1.96, 2.54], [0.5, 0.3, 0.2])
VALUES = [
    # psi_n, psi_p, m, ridge, activation, spectrum, (a, h, scale, alpha, beta), the losses in the order of NAMES
    (6.26, 0.504, np.inf, 0.05011872336272722, "softplus", ([1.0], [1.0]), (0.818, 0.033124, 1.0, -1.0, 1.0),
     (1.7230977454881935, 1.7230977454881942, 1.7948642194097966, 7.491705337828278, 1.7743993259924187,
      1.4239983595538896)),
    (0.962, 2.35, 3.0, 0.005011872336272725, "relu", ([1.0], [1.0]),
     (0.7535197878597173, 0.4322079293038467, 1.0, -0.6574252271580752, 0.7535197878597173),
     (0.15995324992308224, 1.8066682533534482, 2.8234498998055346, 2.3954683017706104, 0.21316755417173297, 1.0)),
    (4.715, 0.907, 1.0, 0.00019952623149688788, "erf", ([1.0], [1.0]),
     (0.6676726427706594, 0.5542132420956437, 0.6676726427706594, 0.744454996689285, -0.6676726427706594),
     (0.8076361548303821, 1.1552937326403108, 1.2373321387730256, 0.08510086644825658, 0.807913247593534, 1.0)),
]  # fmt: skip


def cell(psi_n, psi_p, m, ridge, activation, spectrum, asked):
    """Its equations, in scaled form; every spectrum has three nodes, for one compilation."""
    if len(spectrum[0]) == 1:
        spectrum = [spectrum[0][0]] * 3, SPREAD[1]
    a, h, *_ = asked
    nodes, weights = map(jnp.array, spectrum)
    moments = activations.get(activation).moments(a**2 * (weights @ nodes), h)
    scalars = (1 / psi_n, 1 / psi_p, 1 / m, Asked(*asked), ridge / psi_p, moments)
    P, _ = populations(*jax.tree.map(jnp.float64, scalars), nodes, weights)
    return P


@jax.jit
def solved(P):
    """Solution and losses."""
    x = solve(P)
    return x, losses_at(x, P)


@jax.jit
def from_two_points(x, P):
    """Test and empirical test loss of the ridge minimiser by their definition, and the objective."""
    c_s, c_a = 1 / (P.unit + x.E_s * P.inverse_psi_n), (1 - P.q) / (P.unit + P.q * x.F * P.inverse_psi_n)
    # The two-point equations are those at unit = 1, with the spectrum on an axis in front of the nodes.
    Q = P._replace(nodes=P.nodes[:, None], weights=P.weights[:, None], unit=1.0)
    one = one_point(tuple(jnp.atleast_1d(y) for y in (x.G * c_s, x.G * c_a, P.unit / x.G)), Q)
    population, fresh = two_point(one, one, Q, (population_probe(Q), fresh_noise_probe(one, one, Q)))
    known, known_s = one.known
    variance = P.average(P.nodes)
    to_test = P.L * (P.alpha * P.a * known_s + P.beta * P.root_h * known)
    to_fresh = to_test + one.memory * P.alpha * (P.alpha * variance - P.L * P.a * known_s)
    null = P.alpha**2 * variance + P.beta**2
    parts = null - 2 * to_test + population.transfer[0], null - 2 * to_fresh + fresh.transfer[0], null - one.explained
    return [part[0] for part in parts]


@pytest.mark.parametrize("row", VALUES, ids=["flow", "velocity", "edm"])
def test_reference_values(row):
    P = cell(*row[:-1])
    found = [float(getattr(solved(P)[1], name)) for name in NAMES]
    np.testing.assert_allclose(found, row[-1], rtol=REFERENCE)


TARGETS = [(0.0, -1.0), (1.0, 0.0), (-0.4, 0.9), (0.7, 0.7), (-1.3, 1.1)]


def test_linear_response_and_two_point_functions_agree():
    """The loss of the ridge minimiser, from the envelope theorem and from its definition."""
    for target in TARGETS:
        P = cell(0.8, 1.7, 3.0, 0.02, "tanh", SPREAD, (0.7, 0.4, 1.0, *target))
        x, losses = solved(P)
        found = from_two_points(x, P)
        np.testing.assert_allclose(found, [losses.test, losses.empirical_test, losses.objective], rtol=ROUTES)


def test_losses_are_quadratic_in_the_target():
    """Three targets determine all."""

    def of(target):
        P = cell(0.8, 1.7, 3.0, 0.02, "relu", SPREAD, (0.7, 0.4, 1.0, *target))
        losses = solved(P)[1]
        return np.array([float(getattr(losses, name)) for name in NAMES if name != "score"])

    x, z, both = of((1.0, 0.0)), of((0.0, 1.0)), of((1.0, 1.0))
    for alpha, beta in TARGETS:
        expected = alpha**2 * x + beta**2 * z + alpha * beta * (both - x - z)
        np.testing.assert_allclose(of((alpha, beta)), expected, rtol=1e-11)
