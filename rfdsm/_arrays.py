"""Arrays in whatever callers keep them (lists, masked arrays, data frames, tensors) as NumPy arrays of numbers.

One function converts, so that every door takes the same and loses nothing: entries that are masked or missing are
refused by name and place, not read as the numbers that happen to lie beneath.
"""

import hashlib
import math
import sys
from typing import Any

import numpy as np

from rfdsm._values import is_traced

_REAL = "biuf"
_NUMBERLIKE = (np.bool_, np.integer, np.floating)


def module_of(*values: Any) -> Any:
    """The module to compute these with: that of JAX if anything is traced, else NumPy."""
    return sys.modules["jax"].numpy if any(is_traced(value) for value in values) else np


def real_array(name: str, values: Any) -> np.ndarray:
    """`values` as an array of its own real dtype; objects that are numbers become float64.

    Raises ValueError for ragged nesting, text, complex and other objects, for masked or missing entries, and tracers.
    """
    if is_traced(values):
        raise ValueError(
            f"{name} is traced by jax.jit, grad or vmap: it must be concrete numbers (to differentiate by a spectrum, "
            "spectra.atoms takes traced eigenvalues, such as those of jax.numpy.linalg.eigvalsh)"
        )
    try:
        array = numbers(values)
    except TypeError as error:
        raise ValueError(f"{name} must {error}") from None
    return without_missing(name, array)


def numbers(values: Any) -> np.ndarray:
    """`values` as a real array, a masked one if entries are masked or missing (None, pandas.NA).

    Raises TypeError, whose text completes "NAME must ...", for what holds no real numbers.
    """
    array, mask = _unpacked(values)
    kind = array.dtype.kind
    if kind == "V" and array.dtype.names is None and array.dtype.type is not np.void:  # bfloat16 and its like
        array = array.astype(np.float32)
    elif kind == "O":
        array, missing = _from_objects(array)
        mask = mask | missing
    elif kind not in _REAL:
        raise TypeError(f"hold real numbers, got dtype {array.dtype}")
    return np.ma.MaskedArray(array, np.broadcast_to(mask, array.shape)) if np.any(mask) else array


def without_missing(name: str, array: np.ndarray) -> np.ndarray:
    """The array itself. Raises ValueError if it has masked entries, with their number and the first place."""
    mask = np.ma.getmaskarray(array)
    if isinstance(array, np.ma.MaskedArray) and mask.any():
        where = f", the first in {place(mask)} (counted from 1)" if mask.ndim else ""
        raise ValueError(f"{name} must have no masked or missing entries, got {int(mask.sum())}{where}")
    return np.asarray(array)


def check_finite(name: str, array: np.ndarray) -> None:
    """Raises ValueError if entries of a vector or matrix are NaN or infinite, with their number and the first place."""
    finite = np.isfinite(array)
    count = array.size - int(finite.sum())
    if count:
        raise ValueError(
            f"{name} must be finite, got {count} NaN or infinite, the first in {place(~finite)} (counted from 1)"
        )


def digest(array: np.ndarray) -> str:
    """SHA-256 of an array's dtype, shape and values."""
    described = f"{array.dtype.str} {array.shape} ".encode()
    return hashlib.sha256(described + np.ascontiguousarray(array).tobytes()).hexdigest()


def place(chosen: np.ndarray) -> str:
    """The first entry that is true, in words, counted from 1."""
    index = [int(k) + 1 for k in np.unravel_index(int(np.argmax(chosen)), chosen.shape)]
    if len(index) == 1:
        return f"entry {index[0]}"
    return f"row {index[0]}, column {index[1]}" if len(index) == 2 else f"entry {tuple(index)}"


def _unpacked(values: Any) -> tuple[np.ndarray, Any]:
    """The array and its mask. NumPy itself drops the masks, also those of arrays within lists."""
    if hasattr(values, "toarray"):
        raise TypeError("be a dense array, got a sparse one: give its toarray()")
    try:
        if _holds_masked(values):
            data, mask = _split(values)
            return np.asarray(data), np.asarray(mask)
        if isinstance(values, list | tuple):  # NumPy does not stack the short floats of other libraries
            values = [np.asarray(entry) if hasattr(entry, "__array__") else entry for entry in values]
        return np.asarray(values), np.False_
    except MemoryError:
        raise
    except Exception as error:  # arrays of other libraries fail in their own ways, for example on another device
        if isinstance(values, list | tuple) and isinstance(error, ValueError):
            raise TypeError("be a regular array of real numbers, got rows NumPy cannot stack") from None
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise TypeError(f"be an array of real numbers, got {type(values).__name__}: {reason}") from None


def _holds_masked(values: Any) -> bool:
    if isinstance(values, list | tuple):
        return any(_holds_masked(entry) for entry in values if isinstance(entry, np.ma.MaskedArray | list | tuple))
    return isinstance(values, np.ma.MaskedArray)


def _split(values: Any) -> tuple[Any, Any]:
    """Data and masks, nested as the values are."""
    if isinstance(values, list | tuple):
        pairs = [_split(entry) for entry in values]
        return [data for data, _ in pairs], [mask for _, mask in pairs]
    if isinstance(values, np.ma.MaskedArray):
        mask = np.ma.getmaskarray(values)
        return values.data, mask if mask.dtype == bool else np.False_  # of records, which are refused
    return values, np.zeros(np.shape(values), bool)


def _from_objects(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Objects as float64, and which of them are missing."""
    if array.ndim == 0 and array[()] is None:
        raise TypeError("hold real numbers, got dtype object (None)")
    pandas = sys.modules.get("pandas")  # without it loaded nothing can hold its markers
    markers = (None, np.ma.masked) if pandas is None else (None, np.ma.masked, pandas.NA, pandas.NaT)
    values, missing = np.zeros(array.size), np.zeros(array.size, bool)
    for k, entry in enumerate(array.flat):
        if any(entry is marker for marker in markers):
            missing[k] = True
            continue
        try:
            values[k] = _number(entry)
        except (TypeError, ValueError, OverflowError) as error:
            at = np.arange(array.size).reshape(array.shape) == k
            where = f" in {place(at)} (counted from 1)" if array.ndim else ""
            what, cure = _described(entry)
            raise TypeError(f"hold real numbers, got dtype object with {what}{where}: {cure}") from error
    return values.reshape(array.shape), missing.reshape(array.shape)


def _number(entry: Any) -> float:
    """Anything that calls itself a number; text that reads like one does not."""
    scalar = isinstance(entry, np.generic)
    if isinstance(entry, str | bytes) or getattr(entry, "ndim", 0) or (scalar and not isinstance(entry, _NUMBERLIKE)):
        raise TypeError
    number = float(entry)
    if math.isinf(number) and entry != number:  # decimals do not say so themselves
        raise OverflowError
    return number


def _described(entry: Any) -> tuple[str, str]:
    """What an object is, and what to do about it."""
    if getattr(entry, "ndim", 0) or isinstance(entry, list | tuple):
        return "an array", "numpy.stack joins arrays of equal length"
    if isinstance(entry, int):
        return "an integer", "beyond the range of float64"
    what = f"the text {entry[:30]!r}" if isinstance(entry, str | bytes) else f"a {type(entry).__name__}"
    return what, "convert it to a number, or leave it out"
