"""Few quadrature nodes in place of thousands of eigenvalues, with a measured error.

Integrands of resolvent type, 1/(1 + x lambda), are analytic in log(lambda) in a strip of half-width pi, so the Gauss
rule of the eigenvalues' distribution in log(lambda) converges geometrically, over any number of decades.
"""

import math

import numpy as np

from rfdsm.spectra._spectrum import Spectrum

EPS = float(np.finfo(np.float64).eps)


def compress(values: np.ndarray, nodes: int, label: str, name: str, noise: float, negative: float) -> Spectrum:
    """At most `nodes` nodes and weights for `values`, and their error; eigenvalues up to noise * largest count as 0.

    Raises ValueError, naming the values `name`, if one is below -negative * largest or all are zero.
    """
    largest, smallest = float(values.max()), float(values.min())
    if smallest < 0 and smallest < -negative * largest:
        raise ValueError(f"{name} must be >= 0, got {smallest:.6g} (the largest is {largest:.6g})")
    if not largest > 0:
        raise ValueError(f"{name} must include one > 0, got only zeros")
    mean = largest * float(np.mean(np.maximum(values, 0) / largest))
    # A matrix read from rounded numbers has negative eigenvalues of the size of that rounding; positive ones of the
    # same size are noise as well.
    positive = np.sort(values[values > max(noise * largest, -smallest)])
    starts = np.flatnonzero(np.diff(positive, prepend=-1.0) > 8 * EPS * positive)
    full_nodes = positive[starts]
    full_weights = np.diff(starts, append=positive.size) / values.size
    if positive.size < values.size:
        full_nodes = np.append(0.0, full_nodes)
        full_weights = np.append(1 - positive.size / values.size, full_weights)
    points, weights, error = thin(full_nodes, full_weights, nodes, mean)
    return Spectrum(points, weights, label, error)


def thin(
    full_nodes: np.ndarray, full_weights: np.ndarray, nodes: int, mean: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """At most `nodes` nodes and weights in place of more, ascending; a node at 0 is kept. Also the error.

    The mean is made the one given.
    """
    if exact := full_nodes.size <= nodes:
        points, weights = full_nodes.copy(), full_weights.copy()
    else:
        zeros = int(full_nodes[0] == 0)
        largest = full_nodes[-1]
        logarithms, weights = _gauss_rule(np.log(full_nodes[zeros:] / largest), full_weights[zeros:], nodes - zeros)
        points = np.append(full_nodes[:zeros], largest * np.exp(logarithms))
        weights = np.append(full_weights[:zeros], weights)
    weights /= weights.sum()
    points *= mean / (weights @ points)
    return points, weights, 0.0 if exact else relative_error(points, weights, full_nodes, full_weights)


def _gauss_rule(points: np.ndarray, weights: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The Gauss quadrature, `count` nodes, of the measure sum_k weights[k] delta(points[k]) on more points than that.

    Lanczos process on diag(points) from sqrt(weights), with full reorthogonalisation: nodes are Ritz values, weights
    the squared first components of their vectors (Golub and Welsch).
    """
    middle, half = (points.max() + points.min()) / 2, (points.max() - points.min()) / 2
    scaled = (points - middle) / half
    basis = np.zeros((count, points.size))
    diagonal, off_diagonal = np.zeros(count), np.zeros(count)
    basis[0] = np.sqrt(weights / weights.sum())
    used = count
    for k in range(count):
        vector = scaled * basis[k]
        diagonal[k] = basis[k] @ vector
        for _ in range(2):  # twice is enough (Kahan, Parlett)
            vector -= basis[: k + 1].T @ (basis[: k + 1] @ vector)
        off_diagonal[k] = np.linalg.norm(vector)
        if off_diagonal[k] < 1e-14:  # the measure has no more than k + 1 distinguishable points
            used = k + 1
            break
        if k + 1 < count:
            basis[k + 1] = vector / off_diagonal[k]
    couplings = off_diagonal[: used - 1]
    ritz, vectors = np.linalg.eigh(np.diag(diagonal[:used]) + np.diag(couplings, 1) + np.diag(couplings, -1))
    return middle + half * np.clip(ritz, -1, 1), weights.sum() * vectors[0] ** 2


def relative_error(nodes: np.ndarray, weights: np.ndarray, full_nodes: np.ndarray, full_weights: np.ndarray) -> float:
    """Largest relative error of <1/(1 + x lambda)>, <lambda/(1 + x lambda)> and <lambda> on a logarithmic grid of x.

    The grid, eight x a decade, goes from 1e-4/largest to 1e4/(smallest positive node).
    """
    largest = full_nodes.max()
    decades = math.log10(largest / full_nodes[full_nodes > 0].min()) + 8
    grid = np.logspace(-4, decades - 4, math.ceil(8 * decades))

    def averages(points: np.ndarray, fractions: np.ndarray) -> np.ndarray:
        points = points / largest
        table = []
        for x in grid:  # one x at a time: the full spectrum may have 1e5 points
            resolvent = fractions / (1 + x * points)
            table.append((resolvent.sum(), resolvent @ points))
        return np.append(np.ravel(table), fractions @ points)

    full = averages(full_nodes, full_weights)
    return float(np.max(np.abs(averages(nodes, weights) / full - 1)))
