"""The law of generated samples in infinitely many steps: `generated_limit` (docs/generation, section 3).

Networks of neighbouring levels are independent, so that their fluctuations average out: P drops out, and what is left
of section 2 is an equation in the schedule's time for each eigenvalue x of S. From t downwards,

    -dLambda/dt = -2 (F + c (alpha - a m(x))/delta) Lambda + eta^2 g^2,     c = (1 + eta^2) g^2/(2 sqrt(h)),

F = dlog a/dt, g^2 = dh/dt - 2 F h; eta = 0 for the probability flow (ddim, euler), 1 for the reversed equation.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from rfdsm._executables import jitted
from rfdsm._hints import Number, Numbers
from rfdsm._problem import Problem
from rfdsm._scope import jax_scope
from rfdsm._values import number
from rfdsm.activations import Activation
from rfdsm.activations._kept import kept
from rfdsm.sampling import Sampler
from rfdsm.sampling._chain import first_variance
from rfdsm.targets import Asked
from rfdsm.theory._generated_equations import TOLERANCE, Level, Ratios, slopes
from rfdsm.theory._generated_overlap import bhattacharyya as overlap
from rfdsm.theory._generated_targets import given_spectrum
from rfdsm.theory._generation import distances, one_chain, order_parameters, question
from rfdsm.theory._populations import moments_at


class GeneratedLimit(NamedTuple):
    """As `GeneratedLaw`, after infinitely many steps; numbers, and arrays over the N nodes."""

    nodes: Float[np.ndarray, " N"]
    weights: Float[np.ndarray, " N"]
    variance: Float[np.ndarray, " N"]
    trace: float
    logdet: float
    kl: float
    reverse_kl: float
    kl_at_end: float
    reverse_kl_at_end: float
    bhattacharyya: float
    converged: bool


def generated_limit(
    problem: Problem,
    sampler: Sampler,
    *,
    start: Number | None = None,
    given: Numbers | None = None,
    rtol: Number = 1e-8,
) -> GeneratedLimit:
    """What `generated_law` tends to as the number of steps between the sampler's first and last level grows.

    Args:
        problem: one problem with ridge > 0.
        sampler: its rule and its first and last level matter; the last must be > 0.
        start, given: as in `generated_law`.
        rtol: relative tolerance of the integration.

    Raises:
        ValueError: as `generated_law`; a last level of 0.

    Source: docs/generation, section 3.

    Examples:
        >>> from rfdsm import Problem, generated_limit, sampling
        >>> problem = Problem(psi_n=4, psi_p=2, m=4, t=1, ridge=0.03, target="data")
        >>> limit = generated_limit(problem, sampling.ddim([2, 0.1]))
        >>> round(limit.kl, 3), limit.converged
        (0.048, True)
    """
    from scipy.integrate import solve_ivp  # loaded on use: importing the package stays cheap

    rtol = number("rtol", rtol, "from 1e-12 to 1e-2", lambda x: 1e-12 <= x <= 1e-2)
    high, low = sampler.levels[0], sampler.levels[-1]
    if not low > 0:
        raise ValueError("levels must end above 0 in the limit of infinitely many steps")
    chain = one_chain(problem, sampler)
    first = first_variance(problem, sampler, start)
    with jax_scope():
        asked = question(chain, sampler, first, None if given is None else given_spectrum(given))
        cell = jax.tree.map(lambda x: np.asarray(x)[0], asked)
        x, weights, ratios = cell.chain.nodes, cell.chain.weights, cell.chain.ratios
        slope = _rate(problem.activation, problem.schedule, problem.target)
        rest = (float(problem.ridge), ratios, x, weights, problem.spectrum.nodes, problem.spectrum.weights)
        worst = 0.0

        def backward(log_time: float, logarithm: np.ndarray) -> np.ndarray:
            nonlocal worst
            t = np.exp(-log_time)
            change, residual = slope(t, np.exp(logarithm), sampler.stochasticity, *rest)
            worst = max(worst, float(np.nan_to_num(residual, nan=np.inf)))
            return np.asarray(t * change / np.exp(logarithm))

        span = (-np.log(high), -np.log(low))
        found = solve_ivp(backward, span, np.full(x.size, np.log(first)), "LSODA", rtol=rtol, atol=rtol)
        variance = np.exp(found.y[:, -1])
        values = distances(variance, weights, {"": cell.data, "_at_end": cell.end})
    numbers = {name: float(value) for name, value in values.items()}
    rate, law = numbers.pop("isotropic_overlap"), problem.spectrum
    if given is None and law.size > 1:
        psi_n = np.array([float(problem.psi_n)])
        rate = float(overlap(psi_n, law.nodes, law.weights, x[None], weights[None], variance[None])[0])
    numbers["bhattacharyya"] = rate
    fine = bool(found.success and worst <= TOLERANCE and np.all(np.isfinite(variance)))
    return GeneratedLimit(x, weights, variance, **numbers, converged=fine)


@kept(maxsize=8)
def _rate(activation: Activation, schedule: Any, target: Any) -> Any:
    """-dLambda/dt at a time, jitted, and the residual of the network's equations."""

    def rate(t: Any, variance: Any, eta: Any, ridge: Any, r: Ratios, x: Any, weights: Any, s: Any, w: Any) -> Any:
        mean = jnp.sum(w * s)
        level, rates = jax.jvp(lambda t: schedule.level(t, mean), (jnp.asarray(t, float),), (1.0,))
        asked = Asked(*level, *target.coefficients(level, mean))
        moments = moments_at(activation, asked.a, asked.h, mean)
        ratios = (r.inverse_psi_n, 1 / r.psi_p, r.q)
        one = jax.tree.map(lambda value: jnp.asarray(value, float)[None], (*ratios, asked, moments, ridge / r.psi_p))
        start = jnp.stack([value[0] for value in order_parameters(*one, s, w)])
        network = Level(asked.a, asked.h, asked.alpha, asked.beta, ridge, *moments, A=1.0, C=0.0, spread=0.0)
        slope, residual = slopes(activation, network, start, r, x, weights, variance)
        F = rates.a / asked.a
        g_squared = rates.h - 2 * F * asked.h
        c = (1 + eta**2) * g_squared / (2 * asked.root_h)
        drift = F + c * (asked.alpha - asked.a * slope) / asked.delta
        return -2 * drift * variance + eta**2 * g_squared, residual

    return jitted(rate)
