"""The regression of the linear denoiser is that of the kernel limit without nonlinearity: two solvers, one equation."""

import jax
import jax.numpy as jnp
import numpy as np

from rfdsm import linear, spectra
from rfdsm.linear import _ridge_equations as ridge_equations
from rfdsm.linear._problem import FIELDS
from rfdsm.linear._ridge_equations import flat_populations
from rfdsm.theory._reduced_equations import Kernel


def test_order_parameters_and_responses_are_those_of_the_kernel_limit():
    rng = np.random.default_rng(0)
    psi, m = rng.uniform(0.2, 4, 30), rng.choice([1, 2, 5, np.inf], 30)
    problem = linear.Problem(psi, rng.uniform(0.1, 2, 30), m, 10 ** rng.uniform(-4, 0, 30), 0.7, 1.3)
    problem = linear.Problem(*(getattr(problem, name) for name in FIELDS), spectra.atoms([0.3, 1.7]))
    P = flat_populations(problem)
    assert {*(P.stiffness < 1)} == {True, False}  # interpolating, and not

    def average(values):
        return np.sum(P.weights * values)

    @jax.jit
    def solved(cell, probes):
        found = ridge_equations.solve(cell)
        x = jnp.stack([found.e_s, found.f])
        state = ridge_equations.evaluate(x, cell)
        return x, [ridge_equations.response(probe, x, state, cell) for probe in probes]

    several = ((1.0, 0.0), (0.3, 2.0))
    for k in range(psi.size):
        cell = P._replace(**{name: getattr(P, name)[k] for name in P._fields[:6]})
        kernel = Kernel(
            cell.psi, cell.q, cell.stiffness, cell.ridge, cell.signal * cell.nodes, cell.noise, 0.0, 0.0, average
        )
        expected = kernel.solve()
        x, responses = solved(cell, [weights[0] * expected.D_s + weights[1] * cell.noise for weights in several])
        np.testing.assert_allclose(x, expected.x, rtol=1e-11)
        for weights, (kappa_s, kappa_a) in zip(several, responses, strict=True):
            of_c_s, of_c_t = expected.response(kernel, *weights)
            np.testing.assert_allclose(kappa_s, of_c_s, rtol=1e-9)
            np.testing.assert_allclose(cell.q * kappa_s + kappa_a, of_c_t, rtol=1e-9)
