"""The network that minimises the training objective, for one ridge: from moments, or from samples if those are fewer.

J(B) = offset_squared + (2 tr(B V) + tr(B (U + ridge) B^T))/d. The primal system has p unknowns per output,
the dual system, B = T^T (K + ridge)^{-1} Phi^T/(n m), K = Phi^T Phi/(n m) and targets T, as many as there are draws.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from rfdsm.simulation._moments import Moments, Samples
from rfdsm.simulation._strips import Strips, gram, lower, solve


class Solution(NamedTuple):
    """A network B phi(y), and its training loss without the penalty."""

    B: Float[Array, "d p"]
    train: Float[Array, ""]


def ridge_minimiser(moments: Moments, ridge: Float[Array, ""]) -> Solution:
    """B = -V^T (U + ridge)^{-1} by Cholesky; NaN if that fails."""
    U, V, offset_squared = moments
    B = -solve(U, ridge, V).T
    return Solution(B, offset_squared + (jnp.sum(B.T * V) - ridge * jnp.sum(B**2)) / V.shape[1])


def dual_ridge_minimiser(samples: Samples, ridge: Float[Array, ""]) -> Solution:
    """The same from samples. Residuals are ridge times the dual variables: no loss is too small to be exact."""
    phi, offset = samples
    dual = solve(gram(phi), ridge, offset)
    return Solution(-dual.T @ phi, ridge**2 * jnp.sum(dual**2) / offset.shape[1])


def minimum_norm_minimiser(
    moments: Moments, residual_moment: Callable[[Float[Array, "d p"]], Float[Array, "p d"]]
) -> Solution:
    """B = -V^T U^+, the limit ridge -> 0: of all networks with the least training loss the one of least |B|.

    For features of any rank. Eigenvalues of U below p times machine precision, relative to the largest, count as zero:
    this is the error bound of the eigensolver, some hundred times what rounding really leaves of a zero, and well below
    what isolates the smallest true eigenvalues (1e-9 in extreme cases).

    U has the square of the condition number of the features, and so a solution from U and V alone would miss the
    training targets by rounding times that square. One step of refinement with residuals of the features themselves
    (corrected semi-normal equations) removes this.

    Args:
        residual_moment: V + U B^T of a network B, computed without cancellation.

    Source: A. Bjorck, Stability analysis of the method of seminormal equations, Linear Algebra Appl. 88/89 (1987).
    """
    inverse, V = _pseudo_inverse(moments.U), moments.V
    B = -inverse(V).T
    B = B - inverse(residual_moment(B)).T
    return Solution(B, moments.loss(B))


def dual_minimum_norm_minimiser(samples: Samples) -> Solution:
    """The same from samples; eigenvalues of K = Phi^T Phi/(n m) are cut at as many units of rounding as K has rows."""
    phi, offset = samples
    inverse = _pseudo_inverse(gram(phi))
    dual = inverse(offset)
    dual = dual + inverse(offset - phi @ (phi.T @ dual))
    B = -dual.T @ phi
    return Solution(B, jnp.sum((offset + phi @ B.T) ** 2) / offset.shape[1])


def _pseudo_inverse(matrix: Strips) -> Callable[[Array], Array]:
    eigenvalues, vectors = eigendecomposition(matrix)
    kept = eigenvalues > rank_tolerance(eigenvalues)
    inverse = jnp.where(kept, 1 / jnp.where(kept, eigenvalues, 1), 0)
    return lambda right: vectors @ (inverse[:, None] * (vectors.T @ right))


def eigendecomposition(matrix: Strips) -> tuple[Float[Array, " k"], Float[Array, "k k"]]:
    """Eigenvalues in ascending order, and eigenvectors as columns."""
    return jnp.linalg.eigh(lower(matrix), UPLO="L", symmetrize_input=False)


def rank_tolerance(eigenvalues: Float[Array, " k"]) -> Float[Array, ""]:
    """Below this an eigenvalue, of k in ascending order, counts as zero."""
    return len(eigenvalues) * jnp.finfo(eigenvalues.dtype).eps * eigenvalues[-1]
