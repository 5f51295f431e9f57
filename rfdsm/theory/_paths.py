"""Many problems on their contours: what `flow` computes for one, compiled once and mapped over chunks of cells."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rfdsm._batches import in_chunks
from rfdsm._executables import jitted
from rfdsm._problem import Problem
from rfdsm._scope import jax_scope
from rfdsm.schedules import Level
from rfdsm.theory._contour import DIGITS, MORE_DIGITS, Contour, contour, size
from rfdsm.theory._edges import largest_eigenvalue_bound
from rfdsm.theory._flow import margin, path
from rfdsm.theory._populations import Populations, cells_of, populations
from rfdsm.theory._resolvent import PARAMETERS

CHUNK, ACCELERATOR_CHUNK = 16, 256
"""Problems per compiled call, and one call per core."""
EARLIEST = 10.0
"""A contour resolves all times from zero on; its last is never before this over the largest eigenvalue."""


class Paths(NamedTuple):
    """Cells of a problem and the contours they are solved on, NumPy arrays (cells,)."""

    parameters: dict[str, np.ndarray]
    ridge: np.ndarray
    margin: np.ndarray  # by `flow.margin`
    extent: np.ndarray  # bound on the eigenvalues of U
    initial: np.ndarray | None  # variance of the entries of sqrt(p) B at the start
    contour: Contour  # shared: the widest that any cell needs
    nodes: np.ndarray
    weights: np.ndarray


def paths(problem: Problem, variance: float, latest: Callable[[np.ndarray, np.ndarray], Any]) -> Paths:
    """Contours for times up to latest(extent, ridge) in each cell."""
    spectrum, cells = problem.spectrum, cells_of(problem)
    with jax_scope():
        P, _ = populations(*cells[:4], np.ones_like(cells.q), cells.moments, spectrum.nodes, spectrum.weights)
        names = (*PARAMETERS, *ASKED)
        arrays = {name: np.array(np.broadcast_to(np.asarray(getattr(P, name)), cells.q.shape)) for name in names}
    ridge = problem.broadcast("ridge")[0].ravel()
    extent = np.maximum(largest_eigenvalue_bound(arrays, spectrum.nodes), np.finfo(float).tiny)  # a constant activation
    last = np.maximum(latest(extent, ridge), EARLIEST / extent)
    margins = margin(ridge, last)
    ratio = float(np.max(1 + extent / margins))
    initial = variance * problem.target.amplitude(Level(*cells.asked[:3])) ** 2 if variance else None
    curve = contour(ratio, size(ratio, MORE_DIGITS if variance else DIGITS))
    return Paths(arrays, ridge, margins, extent, initial, curve, spectrum.nodes, spectrum.weights)


def mapped(function: Callable[..., Any], problems: Paths, shared: Any, own: Any = ()) -> Any:
    """function(path, shared, own) for every cell, as NumPy arrays (cells, ...).

    The function must be one object from call to call, or it is compiled anew. `own` has a leading axis of cells.
    """
    chunk = CHUNK if jax.default_backend() == "cpu" else ACCELERATOR_CHUNK
    arrays = (problems.parameters, problems.ridge, problems.margin, problems.extent, problems.initial, own)

    def run(cut: Any) -> Any:
        return _chunk(function, cut, problems.contour, problems.nodes, problems.weights, shared)

    return in_chunks(run, lambda cells: jax.tree.map(lambda x: x[cells], arrays), problems.ridge.size, chunk)


ASKED = ("alpha", "beta", "scale")
"""What of `Populations` the features do not know."""


@functools.partial(jitted, static_argnums=0)
def _chunk(function: Callable[..., Any], cells: Any, curve: Contour, nodes: Any, weights: Any, shared: Any) -> Any:
    def one(cell: Any) -> Any:
        parameters, ridge, margin, extent, initial, own = cell
        P = Populations(**parameters, unit=jnp.ones(()), ridge=jnp.ones(()), nodes=nodes, weights=weights)
        return function(path(P, ridge, margin, extent, initial, *curve), shared, own)

    return jax.vmap(one)(cells)
