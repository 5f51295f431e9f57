"""Standard errors over trials."""

from typing import Any

import numpy as np


def standard_error(values: Any, axis: int = 0) -> np.ndarray:
    """Of the mean over an axis, from the spread; NaN of one value. Infinite values give NaN."""
    values = np.asarray(values, float)
    count = values.shape[axis]
    if count == 1:
        return np.full_like(values.mean(axis), np.nan)
    with np.errstate(invalid="ignore"):
        return np.asarray(values.std(axis, ddof=1) / count**0.5)


def fraction_error(holds: Any) -> np.ndarray:
    """Of the fraction k/N of trials (leading axis) in which something holds: the root mean square by which the true
    fraction, Beta(k + 1, N - k + 1) if all were as likely before, differs from it. That of 24 of 24 is 0.05, not 0."""
    holds = np.asarray(holds)
    count, seen = len(holds), np.mean(holds, axis=0)
    expected = (count * seen + 1) / (count + 2)
    return np.asarray(np.sqrt(expected * (1 - expected) / (count + 3) + (expected - seen) ** 2))
