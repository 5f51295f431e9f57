"""What a simulation of the linear denoiser is going to do: sizes, keys and every check, before anything is computed."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import psutil

from rfdsm.arguments import base_key, check_whole
from rfdsm.linear.problem import Problem
from rfdsm.scope import jax_scope

FEWEST_ROWS = 128
"""Smaller arrays would be computed no faster than others are compiled."""


class Cell(NamedTuple):
    """One cell of the grid: what a compilation depends on, and numbers that it does not."""

    n: int
    kind: str
    m: int  # 0 stands for inf
    a: float
    eta: float
    ridge: float
    sigma: float
    smoothing: float


class Plan(NamedTuple):
    """A checked request; `deviations` has the square roots of the eigenvalues of Sigma / sigma^2, ascending."""

    d: int
    keys: jax.Array
    deviations: np.ndarray
    cells: list[Cell]
    batch: int
    """Trials that fit into memory together."""


def plan(problem: Problem, d: Any, trials: Any, key: Any, smoothing: np.ndarray, shape: tuple[int, ...]) -> Plan:
    """Check a request and lay out its cells in order. Raises ValueError as `simulate` says."""
    d, trials = check_whole("d", d, 1), check_whole("trials", trials, 1)
    psi = np.broadcast_to(problem.psi, shape).ravel()
    n = np.round(psi * d)
    if np.any(n < 2):
        smallest = float(np.min(psi))
        raise ValueError(
            f"n = round(psi d) = {np.min(n):.0f} must be >= 2: psi = {smallest:g} needs a d >= {1.5 / smallest:.0f}"
        )
    names = ("m", "a", "eta", "ridge", "sigma")
    m, a, eta, ridge, sigma = (np.broadcast_to(getattr(problem, name), shape).ravel() for name in names)
    rho = np.broadcast_to(smoothing, shape).ravel()
    sizes = [0 if np.isinf(value) else int(value) for value in m]
    cells = [
        Cell(
            int(n[k]),
            _kind(int(n[k]), sizes[k], d),
            sizes[k],
            float(a[k]),
            float(eta[k]),
            float(ridge[k]),
            float(sigma[k]),
            float(rho[k]),
        )
        for k in range(psi.size)
    ]
    need = max(memory_estimate(cell.n, d) for cell in cells)
    available = check_memory(need, f"d = {d} with n = {max(cell.n for cell in cells)}")
    # On a CPU one trial already keeps all cores busy, and batched loops can exhaust XLA's pool of threads.
    batch = 1 if jax.default_backend() == "cpu" else int(np.clip(available // 4 // need, 1, trials))
    check_memory(64 * trials * psi.size, f"trials = {trials}")
    base = base_key(key)
    with jax_scope():
        keys = jax.vmap(lambda k: jax.random.fold_in(base, k))(jnp.arange(trials))
    return Plan(d, keys, np.sqrt(problem.spectrum.realise(d)[0]), cells, batch)


def _kind(n: int, m: int, d: int) -> str:
    return "exact" if m == 0 else "dual" if n * m <= d else "primal"


def realised(problem: Problem, d: int) -> Problem:
    """The problem a simulation in d dimensions really solves: n = round(psi d), Sigma of size d."""
    return Problem(
        np.round(problem.psi * d) / d,
        problem.T,
        problem.m,
        problem.ridge,
        problem.noise_scale,
        problem.sigma,
        problem.spectrum.realise(d)[1],
    )


def padded_size(n: int) -> int:
    """Rows of the array that holds n points: 128, or the next power of two, so that few sizes are compiled."""
    return max(FEWEST_ROWS, 2 ** (n - 1).bit_length())


def memory_estimate(n: int, d: int) -> int:
    """Bytes that bound the peak of one trial: 6 arrays of points and 10 of d x d float64 numbers, whatever m is."""
    return 8 * (6 * padded_size(n) * d + 10 * d * d)


def check_memory(need: int, request: str) -> int:
    """Bytes available. Raises ValueError if what is requested needs more."""
    available = int(psutil.virtual_memory().available)
    if need > available:
        raise ValueError(
            f"{request} needs {need / 1e9:.3g} GB of memory, must be at most the {available / 1e9:.3g} GB available"
        )
    return available
