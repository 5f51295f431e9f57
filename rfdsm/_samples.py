"""Real samples in memory: checking them, and putting them on the scale the theory works in."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float

from rfdsm._arrays import check_finite, real_array
from rfdsm._hints import Rows
from rfdsm._machine import lapack_threads

_SIZE_LIMIT = 1e145  # squares beyond this leave float64


def standardise(rows: Rows) -> Float[np.ndarray, "rows d"]:
    """Samples with every column centred and all entries divided by one number, so that tr(covariance)/d = 1.

    One number, not one per column: the shape of the spectrum is kept, only its scale is removed. The covariance is the
    mean over rows (divisor: number of rows).
    Raises ValueError for samples that `check_rows` rejects or that are all the same.
    """
    centred = centre(rows)
    return centred / math.sqrt(np.mean(centred**2))


def centre(rows: Any) -> Float[np.ndarray, "rows d"]:
    """Samples minus their mean, shape (rows, d), a new array.

    Raises ValueError for samples that `check_rows` rejects, that are all the same, or whose squares leave float64.
    """
    samples = check_rows(rows)
    if np.all(samples == samples[0]):
        raise ValueError("data must vary from row to row, got rows that are all the same")
    largest = float(np.abs(samples).max())
    if largest > _SIZE_LIMIT:
        raise ValueError(f"data must have entries of at most {_SIZE_LIMIT:g} in size, got {largest:.3g}")
    centred = samples - samples.mean(axis=0)
    spread = float(np.abs(centred).max())
    if spread < 1 / _SIZE_LIMIT:
        raise ValueError(f"data must vary by at least {1 / _SIZE_LIMIT:g}, got {spread:.3g}")
    return centred


@lapack_threads()
def covariance_frame(rows: Any) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, "rows d"]]:
    """Deviations along the eigenvectors of the covariance, ascending, and the samples minus their mean in that frame.

    Raises ValueError as `centre`.
    """
    centred = centre(rows)
    eigenvalues, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    rounding = max(centred.shape) * np.finfo(float).eps * eigenvalues[-1]
    return np.sqrt(np.where(eigenvalues > rounding, eigenvalues, 0.0)), centred @ vectors


def check_rows(rows: Any, name: str = "data") -> Float[np.ndarray, "rows d"]:
    """Samples as a float64 array, shape (rows, d); no copy if they are one already.

    `rows`: an array, or what holds one: nested lists, a data frame or tensor of numbers.
    Raises ValueError unless it is real and two-dimensional with at least two rows and one column, all finite and none
    masked or missing.
    """
    samples = real_array(name, rows)
    if samples.ndim != 2:
        raise ValueError(f"{name} must be two-dimensional (one row per sample), got shape {samples.shape}")
    if samples.shape[0] < 2 or samples.shape[1] < 1:
        raise ValueError(f"{name} must have at least 2 rows and 1 column, got shape {samples.shape}")
    check_finite(name, samples)
    return np.asarray(samples, dtype=np.float64)
