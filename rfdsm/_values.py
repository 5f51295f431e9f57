"""How values are told apart and shown in messages; needs no JAX."""

import math
import operator
import sys
from collections.abc import Callable
from typing import Any

import numpy as np


def is_traced(value: Any) -> bool:
    """Whether a JAX transformation is tracing the value, or any in a list."""
    jax = sys.modules.get("jax")  # without JAX loaded nothing can be traced
    if jax is None:
        return False
    if isinstance(value, list | tuple):
        return any(is_traced(entry) for entry in value)
    return isinstance(value, jax.core.Tracer)


def one_line(value: Any) -> str:
    """Its representation, on one line of bearable length."""
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # Python refuses to write integers of more than 4300 digits
        text = f"a {type(value).__name__} of too many digits to show"
    return text if len(text) <= 100 else f"{text[:80]} ..."


def shown(value: Any) -> str:
    """A number in as few digits as tell it from all others."""
    number = float(value)
    short = f"{number:g}"
    return short if float(short) == number else repr(number)


def number(name: str, value: Any, allowed: str, is_allowed: Callable[[float], bool]) -> float:
    """A finite number that is allowed. ValueError otherwise."""
    try:
        no_number = isinstance(value, str | bytes | bool) or np.ma.is_masked(value)
        found = math.nan if no_number or np.asarray(value).dtype.kind in "bc" else float(value)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not (math.isfinite(found) and is_allowed(found)):
        raise ValueError(f"{name} must be a number, {allowed}, got {one_line(value)}")
    return found


def whole_number(name: str, value: Any, least: int, most: int) -> int:
    """An integer within its range. ValueError otherwise."""
    try:
        found = operator.index(value)
    except TypeError:
        found = None
    if found is None or isinstance(value, (bool, np.bool_)) or found < least:
        raise ValueError(f"{name} must be an integer >= {least}, got {one_line(value)}")
    if found > most:
        raise ValueError(f"{name} must be an integer from {least} to {most}, got {one_line(value)}")
    return found
