"""How much memory a simulation needs, known before it starts."""

from typing import Any

import jax

from rfdsm._machine import available_memory

CHUNK = 2**22
"""Numbers a chunk of features may hold."""
LONG_CHUNK = 2**23
"""Numbers a chunk of Hermite coefficients may hold."""
LARGE = 2**36
"""Products of as many numbers, p^2 for each point and term, take longer than the compilation of code of their own."""
TERMS_OF_A_DRAW = 2
"""A noisy point takes as long as so many terms of a point: its features are made and multiplied by its target, too."""
WASTE = 1 / 16
"""Of the work, that is not worth other code."""


def large(p: int, terms: int, n: int) -> bool:
    """Whether code made for these numbers of features, Hermite terms and points pays."""
    return p**2 * terms * n >= LARGE


def feature_chunk(p: int, draws: int = 0) -> int:
    """Noisy points handled at once: enough to keep matrix products busy, at most `CHUNK` feature values."""
    return _without_rest(min(max(CHUNK // p, 64), 1024), draws, large(p, TERMS_OF_A_DRAW, draws))


def coefficient_chunk(p: int, terms: int, n: int) -> int:
    """Points whose Hermite coefficients are held at once."""
    return _without_rest(min(max(LONG_CHUNK // (p * (terms + 2)), 16), 256), n, large(p, terms, n))


def _without_rest(size: int, count: int, pays: bool) -> int:
    """One size for all counts, for grids over n to be compiled once; where it pays, one that leaves no rest."""
    chunks = -(-count // size)
    if not pays or chunks * size <= (1 + WASTE) * count:
        return size
    return min(size, 8 * -(-count // (8 * chunks)))


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
