"""How values are told apart and shown in messages; needs no JAX."""

import sys
from typing import Any


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
