"""Exact learning curves of gradient flow: theory's `training_curve` (docs/training)."""

import dataclasses
import functools
from typing import Any

import jax.numpy as jnp
import numpy as np

from rfdsm._arguments import checked_variance, flow_times
from rfdsm._executables import jitted
from rfdsm._hints import Number, Numbers
from rfdsm._problem import Problem, check_problem
from rfdsm._scope import jax_scope
from rfdsm.activations import Moments
from rfdsm.activations._quadrature import padded
from rfdsm.losses import Losses
from rfdsm.theory._equations import evaluate, jacobian
from rfdsm.theory._fixed_point import solve
from rfdsm.theory._flow import Path, curves
from rfdsm.theory._paths import mapped, paths
from rfdsm.theory._populations import Asked, cells_of, populations
from rfdsm.theory._predict import predict

FEW = 32
"""Times computed at least: few shapes, few compilations."""
NAMES = (*Losses.NAMES, "objective", *Losses.BOUNDS, "residual")
TOLERANCE = 1e-8
"""Largest estimated error, relative to the larger of 1 and the loss, at which a value counts as converged."""


def training_curve(problem: Problem, times: Numbers, *, initial: Number = 0.0) -> Losses:
    """Losses during gradient flow, in the proportional limit d, n, p -> infinity at fixed n/d, p/d and m.

    Gradient flow on J, from zero or from independent Gaussian output weights. All times of a problem share one contour
    integral; its number of nodes grows with the logarithm of the largest time, about 100 for times up to 1e8 over the
    largest eigenvalue. ridge = 0, p > nm and p = nm are ordinary cases.

    An activation with non-zero mean adds a direction that is learned in a time of order 1/d: a random start counts
    without it, also at time 0.

    Memory: results, 65 bytes per value, and 10 kB N^2 per core (15 from a random start), N the number of nodes.

    Args:
        problem: one problem or a grid of them, with finite psi_p.
        times: flow times theta >= 0 in any order, or one of them; inf is the minimiser. `rfdsm.units` converts from
            learning rates and steps.
        initial: variance of the entries of A at time 0.

    Returns:
        `Losses` of shape (*problem.shape, times), NumPy float64. `objective` is train plus penalty. `residual` is the
        estimated error, relative to the larger of 1 and the loss, the worst of the four losses; `converged` says
        whether it is below 1e-8, and where it is not, the losses are NaN.

    Raises:
        ValueError: times empty, negative or NaN, a negative initial variance, psi_p = inf, or a traced problem.

    Source: docs/training, equations 1-9; m = infinity asymptotics in arXiv 2505.17638.

    Examples:
        >>> import numpy as np
        >>> from rfdsm import Problem, training_curve
        >>> problem = Problem(psi_n=4, psi_p=16, m=np.inf, t=0.1, ridge=0)
        >>> training_curve(problem, times=[0, 1, 10, 100, np.inf]).test.round(4)
        array([1.    , 0.8628, 0.9567, 1.6821, 1.8439])
    """
    theta, variance = flow_times(times), checked_variance("initial", initial)
    check_flow(problem)
    finite = np.isfinite(theta)
    shape = (*problem.shape, theta.size)
    whole = {name: np.empty(shape) for name in NAMES} | {"converged": np.empty(shape, bool)}
    if np.any(finite):
        asked = padded(np.resize(theta[finite], max(np.sum(finite), FEW)))
        problems = paths(problem, variance, lambda *_: asked.max())
        result: Losses = mapped(losses_on, problems, asked, problems.ridge)
        for name, values in whole.items():
            values[..., finite] = getattr(result, name)[:, : np.sum(finite)].reshape(*problem.shape, -1)
    if not np.all(finite):
        last = minimiser(problem, variance)
        for name, values in whole.items():
            values[..., ~finite] = np.asarray(getattr(last, name))[..., None]
    return Losses(**whole)  # pyright: ignore[reportArgumentType]


def losses_on(path: Path, times: Any, ridge: Any) -> Losses:
    """Losses on a contour at finite times (T,), NaN where the error is too large."""
    found = curves(path, times)
    objective = found.train.value + ridge * found.penalty.value
    errors = [curve.error / jnp.maximum(jnp.abs(curve.value), 1) for curve in found[:4]]
    errors.append((found.train.error + ridge * found.penalty.error) / jnp.maximum(jnp.abs(objective), 1))
    residual = functools.reduce(jnp.maximum, errors)
    converged = path.found & (residual <= TOLERANCE)  # NaN is False

    nan = jnp.full_like(residual, jnp.nan)  # for losses without two-point functions

    def checked(values: Any) -> Any:
        return jnp.where(converged, values, jnp.nan)

    named: dict[str, Any] = {
        name: checked(getattr(found, name).value) if name in found._fields else nan for name in Losses.NAMES
    }
    return Losses(
        **named,
        objective=checked(objective),
        floor=jnp.broadcast_to(path.floor, times.shape),
        null=jnp.broadcast_to(path.null, times.shape),
        converged=converged,
        residual=residual,
    )


def minimiser(problem: Problem, variance: float = 0.0) -> Losses:
    """Losses at time infinity: those of `predict`, and at ridge = 0 what the draws do not see of the start."""
    result = predict(problem)
    if variance == 0 or np.all(problem.ridge > 0):
        return result
    variance = variance * problem.target.amplitude(problem.level) ** 2
    cells, spectrum = cells_of(problem), problem.spectrum
    ridge = problem.broadcast("ridge")[0].ravel()
    with jax_scope():
        found = _unseen_in_cells(*cells[:4], ridge, cells.moments, spectrum.nodes, spectrum.weights)
        population, fresh = (variance * np.asarray(values).reshape(problem.shape) for values in found)
    return dataclasses.replace(
        result,
        test=result.test + population,
        score=result.score + problem.asked.score_unit * population,
        empirical_test=result.empirical_test + fresh,
    )


@jitted
def _unseen_in_cells(
    per_n: Any, per_p: Any, q: Any, asked: Asked, ridge: Any, moments: Moments, nodes: Any, weights: Any
) -> tuple[Any, Any]:
    """lim (1/p) tr P_0 M P_0, P_0 on the null space of U at ridge = 0: M of the population, and of fresh noise."""
    P, _ = populations(per_n, per_p, q, asked, ridge * per_p, moments, nodes, weights)
    x = solve(P)[:3]
    state = evaluate(x, P)
    matrix = jacobian(x, state, P)
    memory = P.inverse_psi_n * state.shared * state.c_s
    # In the scaled equations at unit = 0, G is lambda (1/p) tr R: the mass of the null space.
    interpolating = (ridge == 0) & (P.unit == 0)
    population = matrix.response(1.0, 1 - P.q)[2] / per_p
    fresh = matrix.response((1 - memory) ** 2, 1 - P.q + 2 * P.q * memory)[2] / per_p
    return jnp.where(interpolating, population, 0), jnp.where(interpolating, fresh, 0)


def check_flow(problem: Problem) -> None:
    """Raises ValueError for problems without gradient flow."""
    check_problem(problem)
    if problem.traced:
        raise ValueError("problem is traced by jax.jit, grad or vmap: training curves take concrete numbers")
    if np.any(np.isinf(problem.psi_p)):
        raise ValueError("psi_p = inf must be finite: its eigenvalues, and with them the rates of learning, diverge")
