"""Times at which samplers apply their networks, by rule: K + 1 of them, descending."""

from typing import Any

import numpy as np
from jaxtyping import Float

from rfdsm._hints import Count, Number, Numbers
from rfdsm._values import number, shown, whole_number


def geometric(first: Number, last: Number, steps: Numbers) -> Float[np.ndarray, " levels"]:
    """steps + 1 times from first down to last > 0 in equal ratios."""
    high, low, count = _ends(first, last, steps)
    return np.geomspace(high, low, count + 1)


def uniform(first: Number, last: Number, steps: Numbers) -> Float[np.ndarray, " levels"]:
    """steps + 1 times from first down to last >= 0 in equal distances."""
    high, low, count = _ends(first, last, steps, zero=True)
    return np.linspace(high, low, count + 1)


def karras(first: Number, last: Number, steps: Numbers, rho: Number = 7.0) -> Float[np.ndarray, " levels"]:
    """steps + 1 times from first down to last >= 0 whose rho-th roots have equal distances (arXiv 2206.00364)."""
    high, low, count = _ends(first, last, steps, zero=True)
    power = number("rho", rho, "> 0", lambda x: x > 0)
    return np.linspace(high ** (1 / power), low ** (1 / power), count + 1) ** power


def _ends(first: Any, last: Any, steps: Any, zero: bool = False) -> tuple[float, float, int]:
    high = number("first", first, "> 0", lambda x: x > 0)
    least = ">= 0" if zero else "> 0"
    low = number("last", last, f"{least} and < first = {shown(high)}", lambda x: 0 < x < high or (zero and x == 0))
    return high, low, whole_number("steps", steps, 1, 10**6)


def table(size: Count, steps: Numbers) -> Float[np.ndarray, " levels"]:
    """steps + 1 whole times from `size` down to 1, as evenly as they come, as in a table of betas (`beta_linear`)."""
    count = whole_number("steps", steps, 1, 10**6)
    largest = whole_number("size", size, count + 1, 10**9)
    return np.round(np.linspace(largest, 1, count + 1))
