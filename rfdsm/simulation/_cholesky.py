"""Linear systems of a symmetric matrix in strips, by Cholesky factors in strips.

Most of the work of large matrices is products of blocks here, which all cores share; LAPACK, by itself, is given half
of them at most (rfdsm._machine). Blocks are those of the strips.
"""

import jax
import jax.numpy as jnp
from jax.lax.linalg import triangular_solve
from jaxtyping import Array, Float

from rfdsm.simulation._strips import Strips, bounds, lower

LARGE = 1024
"""Rows from which blocks pay: they take longer to compile."""


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
