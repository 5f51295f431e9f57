"""log det(Sigma + Lambda(S)) per dimension, S a sample covariance: the Bhattacharyya rate (docs/generation, section 4).

Sigma and Lambda(S) do not commute, and no trace of the two gives the determinant. But Lambda is smooth on the support
of S, so that few poles describe it to rounding, Lambda(x) = c + b x + sum_j r_j/(x - p_j), and

    Sigma + Lambda(S)  is the Schur complement of  D + A S,   D = [[Sigma + c, v^T], [v, P]],   A = diag(b, -1, ... -1),

v_j = sqrt(r_j), P = diag(p). What is linear in S has the deterministic equivalent

    (1/d) log|det(D + A S)| = <log|det M(s)|> + psi_n (log|det(1 + g A)| - tr g K)
    M(s) = D(s) + s K,     K = A (1 + g A)^{-1},     g = <s M(s)^{-1}>/psi_n,

stationary in the matrices g and K, whose size is the number of poles and one.
"""

import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from rfdsm._machine import cores

TOLERANCES = 10.0 ** np.arange(-11, -5)
"""Relative errors of the poles' description, tried in this order: too small a one puts poles among rounding errors."""
FITTED = 1e-6
"""Largest relative error at which it is believed."""
SPACINGS = 1e-3, 1e-5, 1e-7
"""Least relative distance of the eigenvalues at which it is made: small ones where bulks are narrow."""
MOST_POLES = 20
SETTLED, MAX_STEPS = 1e-12, 2000


def log_determinants(psi_n: Any, s: Any, w: Any, nodes: Any, weights: Any, variance: Any) -> np.ndarray:
    """(1/d) log det(Sigma + Lambda(S)) of cells: psi_n (cells,), Sigma's spectrum s, w, arrays (cells, N) over S.

    A cell takes some 20 ms. NaN where a cell is not solved, or has NaN.
    """
    kept = w > 0

    def one(cell: int) -> float:
        return _log_determinant(float(psi_n[cell]), s[kept], w[kept], nodes[cell], weights[cell], variance[cell])

    with ThreadPoolExecutor(cores()) as pool:
        return np.array(list(pool.map(one, range(len(psi_n)))))


def bhattacharyya(psi_n: Any, s: Any, w: Any, nodes: Any, weights: Any, variance: Any) -> np.ndarray:
    """-(1/d) log of the overlap of square roots of the densities of N(0, Sigma) and N(0, Lambda(S)), of cells as above.

    inf where Sigma has null directions: one of the two has no density.
    """
    if np.any(s[w > 0] <= 0):
        return np.where(np.all(np.isfinite(variance), axis=-1), np.inf, np.nan)
    logdet = np.sum(np.where(weights > 0, weights * np.log(np.where(weights > 0, variance, 1)), 0), axis=-1)
    total = log_determinants(psi_n, s, w, nodes, weights, variance) - np.log(2)
    return total / 2 - (logdet + np.sum(w * np.log(np.where(w > 0, s, 1)))) / 4


def _log_determinant(psi_n: float, s: Any, w: Any, x: Any, weights: Any, variance: Any) -> float:
    seen = weights > 0
    x, weights, variance = x[seen], weights[seen], variance[seen]
    if not (np.all(np.isfinite(variance)) and np.all(variance > 0)):
        return np.nan
    if np.isinf(psi_n):  # S is Sigma
        return float(weights @ np.log(x + variance))
    found = poles(x, variance)
    if found is None:
        return np.nan
    constant, slope, p, r = found
    size = p.size + 1
    identity, below = np.eye(size), slice(1, None)
    D = np.zeros((s.size, size, size), complex)
    D[:, 0, 0] = s + constant
    D[:, 0, below] = D[:, below, 0] = np.sqrt(r.astype(complex))
    D[:, below, below] = np.diag(p)
    A = np.diag(np.append(slope, -np.ones(p.size))).astype(complex)

    g, K, settled = np.zeros((size, size), complex), A, False
    for _ in range(MAX_STEPS):
        new = np.einsum("s,sij->ij", w * s, np.linalg.inv(D + s[:, None, None] * K)) / psi_n
        settled = bool(np.max(np.abs(new - g)) <= SETTLED * np.max(np.abs(new)))
        g, K = new, A @ np.linalg.inv(identity + new @ A)
        if settled:
            break
    if not settled:
        return np.nan
    whole = w @ np.linalg.slogdet(D + s[:, None, None] * K)[1]
    whole += psi_n * (np.linalg.slogdet(identity + g @ A)[1] - np.trace(g @ K).real)
    return float(whole - weights @ np.sum(np.log(np.abs(x[:, None] - p)), axis=1))


def poles(x: Any, values: Any) -> tuple[float, float, np.ndarray, np.ndarray] | None:
    """c, b, p, r of values = c + b x + sum r/(x - p), no pole among the x; None if none are as near as FITTED."""
    from scipy.interpolate import AAA  # loaded on use: importing the package stays cheap

    order = np.argsort(x)
    x, values = x[order], values[order]
    bounded = values / (x + x[-1])  # what grows like x has its pole at infinity
    for spacing, tolerance in itertools.product(SPACINGS, TOLERANCES):
        apart = _apart(x, spacing)
        p = AAA(x[apart], bounded[apart], rtol=tolerance, max_terms=MOST_POLES, clean_up=False).poles()
        real = np.abs(p.imag) < 1e-9 * np.abs(p)
        if np.any(real & (p.real >= x[0]) & (p.real <= x[-1])):
            continue
        # Residues by least squares of relative errors at all x
        terms = np.concatenate([np.ones((x.size, 1)), x[:, None], 1 / (x[:, None] - p)], axis=1) / values[:, None]
        scale = np.max(np.abs(terms), axis=0)
        found = np.linalg.lstsq(terms / scale, np.ones(x.size, complex), rcond=None)[0] / scale
        if np.max(np.abs(terms @ found - 1)) < FITTED:
            return float(found[0].real), float(found[1].real), p, found[2:]
    return None


def _apart(x: Any, spacing: float) -> list[int]:
    """Places in an ascending list at which neighbours differ: next to edges nodes lie closer than their values."""
    chosen = [0]
    for k in range(1, x.size):
        if x[k] - x[chosen[-1]] > spacing * (x[k] + spacing * x[-1]):
            chosen.append(k)
    return chosen
