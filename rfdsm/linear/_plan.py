"""What a simulation of the linear denoiser is going to do: sizes, keys and every check, before anything is computed."""

from typing import Any, NamedTuple

import jax
import numpy as np

from rfdsm import _laws as laws
from rfdsm._arguments import base_key, check_whole
from rfdsm._hints import Number
from rfdsm.linear._fitting import OF_LAW, Normal, Table
from rfdsm.linear._problem import Problem
from rfdsm.simulation._devices import checked as checked_devices
from rfdsm.simulation._memory import memory_available
from rfdsm.simulation._plan import checked_limit

FEWEST_ROWS = 128
"""Smaller arrays would be computed no faster than others are compiled."""


class Cell(NamedTuple):
    """One cell of the grid: what a compilation depends on, and numbers that it does not."""

    cells: np.ndarray
    """Its place in the raveled grid, shape (1,)."""
    n: int
    kind: str
    m: int  # 0 stands for inf
    a: float
    eta: float
    ridge: float
    sigma: float
    smoothing: float

    @property
    def code(self) -> tuple[int, str, int]:
        """What its fit is compiled for: rows of the array of points, `kind`, and the draws if that is "dual"."""
        return padded_size(self.n), self.kind, self.m if self.kind == "dual" else 0

    @property
    def numbers(self) -> np.ndarray:
        """What compiled code takes of it, besides n and m."""
        return np.array([self.a, self.eta, self.ridge, self.sigma, self.smoothing])


class Plan(NamedTuple):
    """A checked request."""

    d: int
    key: jax.Array
    trials: int
    law: Normal | Table
    """Of the points over sigma, along the eigenvectors of its covariance, whose variances ascend."""
    devices: list[Any]
    groups: list[Cell]
    n: np.ndarray
    batch: int
    """Trials that fit into memory together."""
    p: None = None
    """The denoiser has no features."""


def plan(
    problem: Problem,
    d: Any,
    smoothing: np.ndarray,
    *,
    trials: Any,
    key: Any,
    data: Any = None,
    devices: Any = None,
    memory_limit: Number | None = None,
    dtype: Any = "float64",
) -> Plan:
    """Check a request and lay out its cells in order. Raises ValueError as `simulate` says."""
    trials = check_whole("trials", trials, 1)
    if np.dtype(dtype) != np.float64:
        raise ValueError(f"dtype = {dtype!r} must be 'float64' for the linear denoiser")
    base, devices = base_key(key), checked_devices(devices)
    law = laws.of(data, problem.spectrum)
    d = law.dimension(d)
    shape = np.broadcast_shapes(problem.shape, smoothing.shape)
    psi = np.broadcast_to(problem.psi, shape).ravel()
    n = np.round(psi * d)
    if np.any(n < 2):
        smallest = float(np.min(psi))
        raise ValueError(
            f"n = round(psi d) = {np.min(n):.0f} must be >= 2: psi = {smallest:g} needs a d >= {1.5 / smallest:.0f}"
        )
    law.check_count(n, "psi")
    names = ("m", "a", "eta", "ridge", "sigma")
    m, a, eta, ridge, sigma = (own.ravel() for own in problem.broadcast(*names, shape=shape))
    numbers = zip(a, eta, ridge, sigma, np.broadcast_to(smoothing, shape).ravel(), strict=True)
    sizes = [(int(points), 0 if np.isinf(draws) else int(draws)) for points, draws in zip(n, m, strict=True)]
    cells = [
        Cell(np.array([k]), points, _kind(points, draws, d), draws, *map(float, own))
        for k, ((points, draws), own) in enumerate(zip(sizes, numbers, strict=True))
    ]
    need = max(memory_estimate(cell.n, d) for cell in cells) + 8 * law.size * d
    available = check_memory(need, f"d = {d} with n = {max(cell.n for cell in cells)}", devices, memory_limit)
    # On a CPU one trial already keeps all cores busy, and batched loops can exhaust XLA's pool of threads.
    batch = 1 if devices[0].platform == "cpu" else int(np.clip(available // 4 // need, 1, trials))
    check_memory(64 * trials * psi.size, f"trials = {trials}", devices)
    whole = np.reshape(n.astype(np.int64), shape)
    return Plan(d, base, trials, OF_LAW[type(law)](law, d), devices, cells, whole, batch)


def _kind(n: int, m: int, d: int) -> str:
    return "exact" if m == 0 else "dual" if n * m <= d else "primal"


def realised(problem: Problem, d: int, data: Any = None) -> Problem:
    """The problem a simulation in d dimensions really solves: n = round(psi d), Sigma of size d, or that of data."""
    return laws.of(data, problem.spectrum).realised(problem.at(psi=np.round(problem.psi * d) / d), d)


def padded_size(n: int) -> int:
    """Rows of the array that holds n points: 128, or the next power of two, so that few sizes are compiled."""
    return max(FEWEST_ROWS, 2 ** (n - 1).bit_length())


def memory_estimate(n: int, d: int) -> int:
    """Bytes that bound the peak of one trial of `simulate`: 6 arrays of points and 10 of d x d float64 numbers.

    Whatever m is: draws are streamed. n: points, d: dimension.
    """
    return 8 * (6 * padded_size(n) * d + 10 * d * d)


def check_memory(need: int, request: str, devices: list[Any], limit: Any = None) -> int:
    """Bytes available. Raises ValueError if what is requested needs more."""
    available = memory_available(devices) if limit is None else checked_limit(limit)
    if need > available:
        raise ValueError(
            f"{request} needs {need / 1e9:.3g} GB of memory, must be at most the {available / 1e9:.3g} GB available"
        )
    return available
