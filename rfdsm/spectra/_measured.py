"""Spectra that are measured: from eigenvalues, a covariance matrix, or samples."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from rfdsm._arrays import check_finite, real_array
from rfdsm._hints import Count, Numbers, Rows
from rfdsm._machine import lapack_threads
from rfdsm._samples import centre
from rfdsm._values import whole_number
from rfdsm.spectra import _population as population
from rfdsm.spectra._compression import EPS, compress, thin
from rfdsm.spectra._spectrum import MOST, Spectrum

_SINGLE_ROUNDING = 8 * float(np.finfo(np.float32).eps)
"""Asymmetry and negative eigenvalues of covariances computed in single precision, relative to the largest: up to 1.03
rounding units were seen for d = 2 to 1000."""


def from_eigenvalues(values: Numbers, nodes: Count = 40) -> Spectrum:
    """Spectrum of a covariance given by all its d eigenvalues, compressed to at most `nodes` nodes.

    Up to `nodes` distinct eigenvalues are kept exactly. More are replaced by the Gauss quadrature of their distribution
    in log lambda: resolvents are analytic there in a strip of half-width pi, so the error falls geometrically with
    `nodes`, the slower the more decades the eigenvalues span (40 nodes: rounding level for 6 decades, 1e-8 for 12).
    Eigenvalues not above d * eps * (largest), eps the rounding unit of the input's dtype, cannot be told from rounding
    errors and count as 0; so do negative ones down to -sqrt(eps) * (largest). Beyond that, down to -1e-6 * (largest),
    they are what single precision leaves: a warning says so, and positive ones of that size count as 0 as well. `atoms`
    keeps every value.

    Args:
        values: shape (d,), in any order.
        nodes: most nodes to use, >= 2, a node at 0 included.

    Raises ValueError for values that are not finite, clearly negative or all zero, and for nodes < 2.
    """
    values = real_array("values", values)
    nodes = whole_number("nodes", nodes, 2, MOST)
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"values must be a non-empty one-dimensional array, got shape {values.shape}")
    check_finite("values", values)
    unit = _unit(values)
    return _of_eigenvalues(values.astype(np.float64), nodes, f"eigenvalues(d={values.size})", "values", unit)


def from_covariance(covariance: Numbers, nodes: Count = 40) -> Spectrum:
    """Spectrum of a covariance matrix, shape (d, d), compressed as by `from_eigenvalues`.

    Raises ValueError unless the matrix is square, finite, symmetric and positive semi-definite (both up to sqrt(eps) of
    its largest entry or eigenvalue; up to 1e-6 with a warning, as what single precision leaves) and not zero, and
    nodes >= 2.
    """
    matrix = real_array("covariance", covariance)
    nodes = whole_number("nodes", nodes, 2, MOST)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.size == 0:
        raise ValueError(f"covariance must be a square matrix, got shape {matrix.shape}")
    check_finite("covariance", matrix)
    unit = _unit(matrix)
    matrix = matrix.astype(np.float64)
    asymmetry, largest = np.abs(matrix - matrix.T), np.abs(matrix).max()
    row, column = (int(k) + 1 for k in np.unravel_index(int(asymmetry.argmax()), matrix.shape))
    found = (
        f"{matrix[row - 1, column - 1]:.6g} in row {row}, column {column} "
        f"but {matrix[column - 1, row - 1]:.6g} in row {column}, column {row} (counted from 1)"
    )
    if asymmetry.max() > max(math.sqrt(unit), _SINGLE_ROUNDING) * largest:
        raise ValueError(f"covariance must be symmetric, got {found}")
    skew = found if asymmetry.max() > math.sqrt(unit) * largest else ""
    with lapack_threads():
        eigenvalues = np.linalg.eigvalsh((matrix + matrix.T) / 2)
    label = f"covariance(d={eigenvalues.size})"
    return _of_eigenvalues(eigenvalues, nodes, label, "eigenvalues of covariance", unit, skew)


def from_data(rows: Rows, nodes: Count = 40, sample: Any = False) -> Spectrum:
    """Spectrum of the population that samples come from, shape (N, d), estimated from their covariance.

    Unless N is many times d, the eigenvalues of a sample covariance are spread far wider than the population's; this
    spread is taken out again (`rfdsm.spectra.population`: El Karoui 2008). The mean is removed, the mean eigenvalue is
    that of the covariance with divisor N - 1, and directions in which no row varies stay at 0 where rows and
    dimensions tell so. For N >> d it is the sample's spectrum. `error` is twice the standard error of <1/(1 + x
    lambda)>, a number between 0 and 1, at the x where it is largest; it is found by repeating the estimate on parts
    of the rows, and on Gaussian rows where they are few. The rows count as independent: copies of rows make the sample
    look larger than it is, and a warning says how many there are.

    Args:
        nodes: most nodes to use, >= 2, a node at 0 included.
        sample: the spectrum of the sample covariance itself, divisor N, compressed as by `from_eigenvalues`.

    Raises ValueError for samples that are not a finite real array of at least two rows, or all the same; nodes < 2.

    Examples:
        >>> import numpy as np
        >>> from rfdsm import spectra
        >>> rows = np.random.default_rng(0).standard_normal((60, 100))  # eigenvalues of the covariance: 0 to 5
        >>> inverse = lambda spectrum: float(spectrum.weights @ (1 / (1 + spectrum.nodes)))
        >>> round(inverse(spectra.from_data(rows)), 1), round(inverse(spectra.from_data(rows, sample=True)), 1)
        (0.5, 0.7)
    """
    nodes = whole_number("nodes", nodes, 2, MOST)
    centred = centre(rows)
    count, d = centred.shape
    label = f"data(rows={count}, d={d})"
    if sample:
        gram = centred.T @ centred if d <= count else centred @ centred.T
        eigenvalues = np.zeros(d)
        with lapack_threads():
            eigenvalues[d - gram.shape[0] :] = np.linalg.eigvalsh(gram) / count
        return compress(eigenvalues, nodes, label, "eigenvalues of data", max(count, d) * EPS, math.sqrt(EPS))
    population.warn_if_repeated(centred)
    return from_estimate(population.estimated(centred), count, d, nodes)


def from_estimate(found: population.Estimate, rows: int, d: int, nodes: int = 40) -> Spectrum:
    """That of `from_data`, from what was estimated from so many rows in d dimensions."""
    law = found.law
    points, weights, thinned = thin(*law, nodes, float(law.weights @ law.nodes))
    return Spectrum(points, weights, f"population of data(rows={rows}, d={d})", found.uncertainty + thinned)


def _of_eigenvalues(values: np.ndarray, nodes: int, label: str, name: str, unit: float, skew: str = "") -> Spectrum:
    """Compressed, up to the rounding unit of what they were computed from, which may have been single precision.

    `skew`: an asymmetry, in words, that only single precision explains.
    """
    noise, negative = values.size * unit, max(math.sqrt(unit), _SINGLE_ROUNDING)
    lowest, largest = float(values.min()), float(values.max())
    if skew or -negative * largest <= lowest < -math.sqrt(unit) * largest:
        noise = max(noise, _SINGLE_ROUNDING)
        warnings.warn(
            f"{name} are those of single precision, by rounding: {skew or f'the lowest is {lowest:.6g}'}; those up to "
            f"{noise * largest:.3g} (the largest is {largest:.6g}) count as 0",
            stacklevel=3,
        )
    return compress(values, nodes, label, name, noise, negative)


def _unit(array: np.ndarray) -> float:
    return max(float(np.finfo(array.dtype).eps), EPS) if array.dtype.kind == "f" else EPS
