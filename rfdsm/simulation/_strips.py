"""Symmetric matrices as horizontal strips of their lower triangle: little more than half the work and the memory.

A strip holds whole rows up to the last column of its diagonal block, so entries above the diagonal appear in that block
only.

Linear systems are solved by Cholesky factors in strips. Most of the work of large matrices is products of blocks here,
which all cores share; LAPACK, by itself, is given half of them at most (rfdsm._machine).
"""

import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.lax.linalg import triangular_solve
from jaxtyping import Array, Float

STRIPS = 5
"""3/5 of the whole square: with more, products of few rows take longer than they save."""
SMALLEST, LARGEST = 128, 800
"""Rows a strip is worth having for, and more than are worth having in one while there are less than `MOST` strips."""
MOST = 8
LARGE = 1024
"""Rows from which blocks pay in a factorisation: they take longer to compile."""

Strips = list[Array]


def bounds(size: int) -> list[tuple[int, int]]:
    """(first row, row after the last) of every strip; the latter is its number of columns, too."""
    count = max(1, min(size // SMALLEST, max(STRIPS, min(MOST, size // LARGEST))))
    return list(itertools.pairwise(size * k // count for k in range(count + 1)))


def zeros(size: int) -> Strips:
    """Of the zero matrix, in double precision."""
    return [jnp.zeros((high - low, high)) for low, high in bounds(size)]


def add(totals: Sequence[Array], parts: Sequence[Array]) -> list[Array]:
    """Sums of two sequences of arrays, in the precision of the first."""
    return [total + part.astype(total.dtype) for total, part in zip(totals, parts, strict=True)]


def gram(rows: Float[Array, "size k"]) -> Strips:
    """Of rows @ rows^T. Rows times rows: XLA multiplies columns by columns at half the speed on a CPU."""
    return [rows[low:high] @ rows[:high].T for low, high in bounds(len(rows))]


def with_diagonal(strips: Strips, diagonal: Float[Array, " size"]) -> Strips:
    """The same matrix with another diagonal."""
    return [
        jnp.where(jnp.arange(low, high)[:, None] == jnp.arange(high)[None], diagonal[low:high, None], strip)
        for strip, (low, high) in zip(strips, bounds(len(diagonal)), strict=True)
    ]


def diagonal(strips: Strips) -> Float[Array, " size"]:
    """The diagonal."""
    return jnp.concatenate([jnp.diagonal(strip[:, -len(strip) :]) for strip in strips])


def lower(strips: Strips, shift: Float[Array, ""] | float = 0.0) -> Float[Array, "size size"]:
    """The matrix plus shift times the identity; above the diagonal blocks there are zeros."""
    size = strips[-1].shape[1]
    whole = jnp.zeros((size, size), strips[-1].dtype)
    for strip, (low, high) in zip(strips, bounds(size), strict=True):
        whole = whole.at[low:high, :high].set(strip)
    return whole + jnp.diag(jnp.full(size, shift, whole.dtype))


def leading(strips: Strips, size: int) -> Strips:
    """The leading block of that size: a network's first features are a narrower network."""
    whole = strips[-1].shape[1]
    if size == whole:
        return strips
    block = jnp.zeros((size, size), strips[-1].dtype)
    for strip, (low, high) in zip(strips, bounds(whole), strict=True):
        if low < size:
            block = block.at[low : min(high, size), : min(high, size)].set(strip[: size - low, :size])
    return [_symmetric(block[low:high, :high], low) for low, high in bounds(size)]


def _symmetric(strip: Array, low: int) -> Array:
    """With its diagonal block mirrored: the strips it was cut from end elsewhere."""
    corner = strip[:, low:]
    return jnp.concatenate([strip[:, :low], jnp.tril(corner) + jnp.tril(corner, -1).T], axis=1)


def product(rows: Float[Array, "k size"], strips: Strips) -> Float[Array, "k size"]:
    """rows @ matrix."""
    parts: list[Array] = []
    for index, (low, high) in enumerate(bounds(rows.shape[1])):
        below = (strip[:, low:high] for strip in strips[index + 1 :])
        columns = jnp.concatenate([strips[index].T, *below])
        parts.append((after(parts[-1][0, 0], rows) if parts else rows) @ columns)
    return jnp.concatenate(parts, axis=1)


def quadratic(matrices: Sequence[Strips], rows: Float[Array, "size k"]) -> list[Array]:
    """tr(rows^T matrix rows) of every matrix."""
    totals = [jnp.zeros((), rows.dtype)] * len(matrices)
    for *strips, (low, high) in zip(*matrices, bounds(len(rows)), strict=True):
        rows = after(totals[0], rows)
        weight = mirrored(low, high) * (rows[low:high] @ rows[:high].T)
        totals = [total + jnp.sum(strip * weight) for total, strip in zip(totals, strips, strict=True)]
    return totals


def mirrored(low: int, high: int) -> Array:
    """How often an entry of a strip occurs in the matrix, by column: left of the diagonal block there are two."""
    return jnp.where(jnp.arange(high)[None] < low, 2.0, 1.0)


def after(value: Float[Array, ""], array: Array) -> Array:
    """The array, which now cannot be used before the value is there: without it, XLA holds all strips at once."""
    return array + jnp.where(jnp.isfinite(value), 0 * value, 0).astype(array.dtype)


def solve(matrix: Strips, shift: Float[Array, ""], right: Float[Array, "size k"]) -> Float[Array, "size k"]:
    """(matrix + shift)^{-1} right; NaN if the factorisation fails."""
    if len(right) < LARGE:
        whole = jax.lax.linalg.cholesky(lower(matrix, shift), symmetrize_input=False)
        return jax.scipy.linalg.cho_solve((whole, True), right)
    factor, rows = factorised(matrix, shift), bounds(len(right))
    forward: list[Array] = []
    for strip, (low, high) in zip(factor, rows, strict=True):
        block = right[low:high]
        if forward:
            block = block - strip[:, :low] @ jnp.concatenate(forward)
        forward.append(triangular_solve(strip[:, low:], block, left_side=True, lower=True))
    rest, solution = jnp.concatenate(forward), []
    for strip, (low, _) in zip(factor[::-1], rows[::-1], strict=True):
        block = triangular_solve(strip[:, low:], rest[low:], left_side=True, lower=True, transpose_a=True)
        solution.append(block)
        rest = rest[:low] - strip[:, :low].T @ block
    return jnp.concatenate(solution[::-1])


def factorised(matrix: Strips, shift: Float[Array, ""] | float) -> Strips:
    """L of L L^T = matrix + shift, in strips of the same rows; zero above the diagonal."""
    rows, factor = bounds(matrix[-1].shape[1]), []
    for strip, (low, high) in zip(matrix, rows, strict=True):
        done = strip[:, :0]
        for above, (first, last) in zip(factor, rows, strict=False):
            block = strip[:, first:last]
            if first:
                block = block - done @ above[:, :first].T
            block = triangular_solve(above[:, first:], block, left_side=False, lower=True, transpose_a=True)
            done = jnp.concatenate([done, block], axis=1)
        corner = strip[:, low:] + shift * jnp.eye(high - low, dtype=strip.dtype)
        if low:
            corner = corner - done @ done.T
        factor.append(jnp.concatenate([done, jax.lax.linalg.cholesky(corner, symmetrize_input=False)], axis=1))
    return factor
