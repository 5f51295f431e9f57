"""Averages over the Marchenko-Pastur law: the eigenvalues of a sample covariance of isotropic data."""

import numpy as np
from jaxtyping import Float

PANELS, ORDER = 30, 16
FINEST = 1e-8  # width of the panel at the lower edge, where at n = d a logarithm has its singularity


def rule(
    psi: Float[np.ndarray, "*cells"],
) -> tuple[Float[np.ndarray, "*cells nodes"], Float[np.ndarray, "*cells nodes"]]:
    """Nodes and weights for averages of f over the eigenvalues of X^T X / n, X of n = psi d rows with unit variance.

    With w = psi * (eigenvalue) = 1 + psi + 2 sqrt(psi) cos(theta), the density is (2 psi/pi) sin(theta)^2/w in theta;
    Gauss-Legendre panels shrink geometrically towards the lower edge theta = pi. The last node is 0, with the weight
    max(0, 1 - psi) of the directions that the samples do not span. psi > 0, any shape; weights sum to 1.
    """
    psi = np.asarray(psi, dtype=np.float64)[..., None]
    points, lengths = np.polynomial.legendre.leggauss(ORDER)
    edges = np.append(0.0, np.geomspace(FINEST, np.pi, PANELS))
    half = np.diff(edges)[:, None] / 2
    away = (edges[:-1, None] + half + half * points).ravel()  # pi - theta
    widths = (half * lengths).ravel()
    root = np.sqrt(psi)
    w = (root - 1) ** 2 + 4 * root * np.sin(away / 2) ** 2
    weights = 2 * psi / np.pi * widths * np.sin(away) ** 2 / w
    unseen = np.maximum(0.0, 1 - psi)
    weights *= (1 - unseen) / weights.sum(axis=-1, keepdims=True)
    return np.concatenate([w / psi, np.zeros_like(psi)], axis=-1), np.concatenate([weights, unseen], axis=-1)
