"""How much memory a simulation needs, known before it starts."""

from typing import Any

import jax

from rfdsm.machine import available_memory

CHUNK = 2**22
"""Numbers a chunk of features may hold."""
LONG_CHUNK = 2**23
"""Numbers a chunk of Hermite coefficients may hold."""


LARGE = 2**32
"""Products of as many numbers, p^2 for each point, take longer than the compilation of code of their own."""
WASTE = 1 / 16
"""Of the work, that is not worth other code."""


def feature_chunk(p: int, draws: int | None = None) -> int:
    """Noisy points handled at once: enough to keep matrix products busy, at most `CHUNK` feature values."""
    return _even(min(max(CHUNK // p, 64), 1024), draws, p)


def coefficient_chunk(p: int, terms: int, n: int | None = None) -> int:
    """Points whose Hermite coefficients are held at once."""
    return _even(min(max(LONG_CHUNK // (p * (terms + 2)), 16), 256), n, p)


def large(p: int, count: int) -> bool:
    """Whether code made for these numbers of features and of points pays."""
    return p**2 * count >= LARGE


def _even(largest: int, count: int | None, p: int) -> int:
    """One size for all counts, for grids over n and m to be compiled once; where it pays, chunks without a rest."""
    if count is None or not large(p, count):
        return largest
    chunks = -(-count // largest)
    if chunks * largest <= (1 + WASTE) * count:
        return largest
    return min(largest, 8 * -(-count // (8 * chunks)))


def chunk_numbers(p: int, d: int, terms: int) -> int:
    """Numbers in the larger of the two kinds of chunks, with the noise and points they are made of."""
    draws = feature_chunk(p) * (p + 3 * d)
    points = min(max(LONG_CHUNK // (p * (terms + 2)), 16), 1024)  # with what else is alive at that moment
    coefficients = points * ((terms + 2) * p + 2 * d)
    return max(draws, coefficients)


def memory_estimate(
    p: int, d: int, *, terms: int = 16, rows: int = 0, itemsize: int = 8, eigenvectors: bool = False
) -> int:
    """Bytes that bound the peak of one trial with p features in d dimensions, on each device: whatever n and m are.

    1.5 (2 p^2 + 3 p d) float64 numbers: three matrices p x p (moments, factor or eigenvectors, workspace), W, V, B and
    a product of their size. 1.5 chunk + rows d numbers of `itemsize` bytes, 4 in single precision: a chunk of draws or
    of `terms` Hermite coefficients, and real data of so many rows. An eigendecomposition, for several ridges,
    ridge = 0 and gradient flow, needs `eigenvectors`: 3 p^2 more float64 numbers, LAPACK's workspace and a product.
    Trials in a batch need as many times more.
    """
    squares = 6 if eigenvectors else 3
    chunk = 3 * chunk_numbers(p, d, terms) // 2 + rows * d
    return 8 * (squares * p**2 + (9 * p * d) // 2) + itemsize * chunk


def memory_available(devices: list[Any]) -> int:
    """Bytes free on the first of them that is this process's own: as JAX reports it, else what the machine has."""
    here = [device for device in devices if device.process_index == jax.process_index()] or jax.local_devices()
    statistics = here[0].memory_stats()
    if statistics and "bytes_limit" in statistics:
        return statistics["bytes_limit"] - statistics.get("bytes_in_use", 0)
    # Devices that are cores of one machine share its memory.
    return available_memory() // len(here)
