"""Divergences between two normal laws at finite d, by triangular factors: no determinant is ever formed."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from rfdsm.losses import GeneratedLaw

Array = jax.Array | np.ndarray


def log_determinant(factor: Float[Array, "k k"]) -> Float[Array, ""]:
    """log det of a matrix from its lower Cholesky factor."""
    return 2 * jnp.sum(jnp.log(jnp.diagonal(factor)))


def statistics(
    root: Float[Array, "k d"],
    mean: Float[Array, " k"],
    target: Float[Array, " k"],
    smoothing: Any,
    *,
    d: int,
    bare: bool,
    singular: bool,
    wasserstein: bool,
) -> GeneratedLaw:
    """Per dimension, N(mean, root root^T) against N(0, diag(target)), both smoothed by N(0, smoothing).

    Args:
        root: any square root of the covariance, restricted to the k directions in which the data vary.
        d: dimension the sums are divided by.
        bare: whether there is no smoothing: the root itself is then factorised, not the covariance, whose condition
            number is the square.
        singular: whether a bare covariance has no inverse; what needs one is then inf.
        wasserstein: whether to compute that distance, the one value that needs eigenvalues; NaN otherwise.
    """
    k = target.shape[0]
    eye = jnp.eye(k, dtype=target.dtype)
    scale = target if bare else target + smoothing
    covariance = root @ root.T
    law = covariance if bare else covariance + smoothing * eye
    both = jnp.concatenate([jnp.diag(jnp.sqrt(scale)), mean[:, None]], axis=1)
    distance = jnp.full((), jnp.nan, target.dtype)
    if wasserstein:
        deviation = jnp.sqrt(scale)
        values = jnp.linalg.eigvalsh(deviation[:, None] * law * deviation)
        distance = jnp.sum(mean**2) + jnp.sum(scale) + jnp.trace(law) - 2 * jnp.sum(jnp.sqrt(jnp.maximum(values, 0.0)))
    infinite = jnp.full((), jnp.inf, target.dtype)
    kl = reverse = overlap = infinite
    logdet = -infinite
    if not singular:
        if bare:
            upper = jnp.linalg.qr(root.T, mode="r")  # covariance = upper^T upper
            logdet = 2 * jnp.sum(jnp.log(jnp.abs(jnp.diagonal(upper))))
            pulled = jax.scipy.linalg.solve_triangular(upper, both, trans=1)
        else:
            factor = jnp.linalg.cholesky(law)
            logdet = log_determinant(factor)
            pulled = jax.scipy.linalg.solve_triangular(factor, both, lower=True)
        middle = jnp.linalg.cholesky((law + jnp.diag(scale)) / 2)
        across = jax.scipy.linalg.solve_triangular(middle, mean[:, None], lower=True)
        log_target = jnp.sum(jnp.log(scale))
        kl = (jnp.sum(jnp.diagonal(law) / scale) + jnp.sum(mean**2 / scale) - k - logdet + log_target) / 2
        reverse = (jnp.sum(pulled**2) - k + logdet - log_target) / 2
        overlap = jnp.sum(across**2) / 8 + log_determinant(middle) / 2 - (logdet + log_target) / 4
        if k < d:  # directions in which neither law varies
            logdet = -infinite if bare else logdet + (d - k) * jnp.log(smoothing)
    values = (kl, reverse, overlap, distance, logdet, jnp.trace(covariance))
    return GeneratedLaw(**{name: value / d for name, value in zip(GeneratedLaw.NAMES, values, strict=True)})
