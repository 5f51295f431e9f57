"""Theory of the linear denoiser: exact losses in the limit of large n and d (docs/linear, section 2).

The optimal objective is min over b(s) of c_s L_s + c_a noise <b^2> + r <b^2>, with L_s the loss of b on the mean over a
sample's draws. A loss is its response to that loss added to the objective, directly and through c_s and c_a:

    loss = (k + kappa_s) <s (1 - b')^2> + (k' + kappa_t) noise <b^2>,   kappa_t = q kappa_s + kappa_a

with b' = sqrt(signal) b the retained part of the signal. All terms are positive: no loss cancels, however small.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rfdsm._batches import in_chunks
from rfdsm._executables import jitted
from rfdsm._scope import jax_scope
from rfdsm.linear import _ridge_equations as ridge
from rfdsm.linear._problem import Problem, check_problem
from rfdsm.linear._ridge_equations import CELLWISE, Populations, flat_populations, singular
from rfdsm.losses import DenoisingLosses, rows_of

SIZES = (16, 256)
"""Numbers of cells solved together: few, as compiling takes longer than computing; the last bounds memory."""


class Denoiser(NamedTuple):
    """The fitted denoiser of one cell, ready for averages over the data."""

    x: jax.Array
    state: ridge.State
    b: jax.Array
    """Mean of b1 along each eigendirection, shape (S,)."""
    kept: jax.Array
    """1 - sqrt(signal) b, the part of the signal that is lost."""
    solution: ridge.Solution


def fit(P: Populations) -> Denoiser:
    """Solve one cell."""
    solution = ridge.solve(P)
    x = jnp.stack([solution.e_s, solution.f])
    state = ridge.evaluate(x, P)
    lost = (P.ridge + (P.q * state.c_s + state.c_a) * P.noise) * state.resolvent
    return Denoiser(x, state, state.c_s * jnp.sqrt(P.signal) * P.nodes * state.resolvent, lost, solution)


def losses(P: Populations) -> DenoisingLosses:
    """Losses of one cell in units of tr Sigma / d; scalars in, scalars out."""
    x, state, b, lost, solution = fit(P)
    e_s, e_a = x[0], P.q * x[1]
    signal_term = P.average(P.nodes * lost**2)
    noise_term = P.noise * P.average(b**2)
    everything = P.signal * P.nodes + P.noise

    def combine(on_signal, on_noise, probe):
        kappa_s, kappa_a = ridge.response(probe, x, state, P)
        return (on_signal + kappa_s) * signal_term + (on_noise + P.q * kappa_s + kappa_a) * noise_term

    # what fresh data add to the loss of the mean denoiser b, and what b lacks
    fluctuation = combine(0.0, 0.0, everything)
    best = jnp.sqrt(P.signal) * P.nodes / everything
    excess = fluctuation + P.average(everything * (b - best) ** 2)
    floor = P.average(P.nodes * P.noise / everything)

    memory, forgotten = (e_s - e_a) / (P.stiffness + e_s), (P.stiffness + e_a) / (P.stiffness + e_s)
    on_noise = 1 + P.q * memory**2
    again = combine(forgotten**2, on_noise, forgotten**2 * P.signal * P.nodes + on_noise * P.noise)

    own = P.q * state.k_s + state.k_a
    scale = P.stiffness**2  # c = stiffness * c_s in the units of the objective
    train = scale * combine(state.k_s, own, state.k_s * P.symmetric + state.k_a * P.noise)
    objective = P.stiffness * state.c_s * P.average(P.nodes * lost)
    return DenoisingLosses(
        train=train,
        empirical_test=again,
        test=floor + excess,
        excess=excess,
        floor=floor,
        objective=objective,
        converged=(solution.residual <= ridge.TOLERANCE) & (jnp.min(x) >= 0),
        residual=solution.residual,
        steps=solution.steps,
    )


def second_moment(P: Populations, weight: jax.Array) -> jax.Array:
    """(1/d) tr W b1 b1^T of one cell, W a function of Sigma given by its values (S,): mean map and fluctuation."""
    x, state, b, lost, _ = fit(P)
    kappa_s, kappa_a = ridge.response(jnp.ones_like(P.nodes), x, state, P)
    noise_term = P.noise * P.average(weight * b**2)
    fluctuation = kappa_s * P.average(weight * P.nodes * lost**2) + (P.q * kappa_s + kappa_a) * noise_term
    return P.average(weight * b**2) + fluctuation


@jitted
def _all(P: Populations) -> DenoisingLosses:
    return jax.vmap(losses, in_axes=(CELLWISE,))(P)


def in_batches(
    function: Any, problem: Problem, P: Populations, *others: np.ndarray, sizes: tuple[int, ...] = SIZES
) -> Any:
    """A jitted function of flat cells, evaluated in batches; results as NumPy arrays of the problem's shape.

    `others` are further arrays whose first axis runs over the cells. Batches are filled up by repetition to one of the
    sizes, in ascending order, of which the last is used as long as there are enough cells.
    """
    cells = P.psi.size
    size = next((size for size in sizes if size >= cells), sizes[-1])

    def run(chosen: Any) -> Any:
        own, rest = chosen
        return function(Populations(*own, nodes=P.nodes, weights=P.weights), *rest)

    found = in_chunks(run, lambda index: jax.tree.map(lambda x: x[index], (list(P[:6]), others)), cells, size)
    return jax.tree.map(lambda x: x.reshape(problem.shape + x.shape[1:]), found)


def predict(problem: Problem, *, throw: bool = False) -> DenoisingLosses:
    """Losses of the linear denoiser in the limit d, n -> infinity at fixed n/d and m.

    Any m, ridge >= 0 (0: least squares, of minimum norm for n m < d) and covariance. At n m = d with ridge = 0 the
    training loss is 0 and the losses on fresh noise are inf. Computed in float64 whatever JAX's global precision.

    Args:
        problem: one problem or a grid of them.
        throw: raise if a cell has not converged.

    Returns:
        `DenoisingLosses` of shape `problem.shape`, NumPy float64, in the units of sigma^2. A cell that fails has
        converged = False and NaN losses; its neighbours are unaffected.

    Raises:
        RuntimeError: throw is set and a cell has not converged.

    Source: arXiv 2411.17807 for the model; the asymptotics are derived in docs/linear, section 2.

    Examples:
        >>> from rfdsm import linear
        >>> linear.predict(linear.Problem(psi=[2, 10], T=1.0)).test.round(4)
        array([0.9274, 0.5152])
    """
    check_problem(problem)
    infinite = singular(problem)
    P = flat_populations(problem)
    # any regular problem stands in for the singular ones, whose values are known
    P = P._replace(
        stiffness=np.where(infinite.ravel(), 1.0, P.stiffness), ridge=np.where(infinite.ravel(), 1.0, P.ridge)
    )
    with jax_scope(), np.errstate(over="ignore"):
        result = in_batches(_all, problem, P)
    if throw and not np.all(result.converged):
        worst = np.max(np.nan_to_num(result.residual, nan=np.inf))
        raise RuntimeError(
            f"{np.sum(~result.converged)} of {result.converged.size} cells did not converge "
            f"(worst residual {worst:.1e})"
        )
    # Back to the units of the data, with the values that are known by rule.
    singular_values = {name: row.singular for name, row in rows_of(DenoisingLosses).items()} | {"objective": 0.0}
    values = {
        name: np.where(infinite, limit, np.where(result.converged, getattr(result, name) * problem.variance, np.nan))
        for name, limit in singular_values.items()
    }
    return dataclasses.replace(result, floor=np.asarray(problem.variance * result.floor), **values)
