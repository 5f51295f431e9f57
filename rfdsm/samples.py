"""Real samples in memory: checking them, and putting them on the scale the theory works in."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float

from rfdsm.values import is_traced

__all__ = ["centre", "check_finite", "check_rows", "real_array", "standardise"]

_SIZE_LIMIT = 1e145  # squares beyond this leave float64


def standardise(rows: Any) -> Float[np.ndarray, "rows d"]:
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


def check_rows(rows: Any, name: str = "data") -> Float[np.ndarray, "rows d"]:
    """Samples as a float64 array, shape (rows, d); no copy if they are one already.

    Raises ValueError unless `rows` is a real two-dimensional array with at least two rows and one column, all finite.
    """
    samples = real_array(name, rows)
    if samples.ndim != 2:
        raise ValueError(f"{name} must be two-dimensional (one row per sample), got shape {samples.shape}")
    if samples.shape[0] < 2 or samples.shape[1] < 1:
        raise ValueError(f"{name} must have at least 2 rows and 1 column, got shape {samples.shape}")
    check_finite(name, samples)
    return np.asarray(samples, dtype=np.float64)


def real_array(name: str, values: Any) -> np.ndarray:
    """`values` as an array of its own real dtype. ValueError for ragged nesting, text, complex, objects or tracers."""
    if is_traced(values):
        raise ValueError(
            f"{name} is traced by jax.jit, grad or vmap: it must be concrete numbers (to differentiate by a spectrum, "
            "spectra.atoms takes traced eigenvalues, such as those of jax.numpy.linalg.eigvalsh)"
        )
    try:
        array = np.asarray(values)
    except (ValueError, TypeError):
        raise ValueError(f"{name} must be a regular array of real numbers, got rows NumPy cannot stack") from None
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} must hold real numbers, got dtype {array.dtype}")
    return array


def check_finite(name: str, array: np.ndarray) -> None:
    """Raises ValueError if entries of a vector or matrix are NaN or infinite, with their number and the first place."""
    finite = np.isfinite(array)
    count = array.size - int(finite.sum())
    if count == 0:
        return
    first = np.unravel_index(int(np.argmin(finite)), array.shape)
    axes = ("row", "column") if array.ndim == 2 else ("entry",)
    place = ", ".join(f"{axis} {int(k) + 1}" for axis, k in zip(axes, first, strict=True))
    raise ValueError(f"{name} must be finite, got {count} NaN or infinite, the first in {place} (counted from 1)")
