"""What callers hand over, checked at the door: fields of problems, whole numbers, keys.

Every refusal is one line that names the argument, its value and what is allowed.
"""

import functools
import warnings
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

P, R = ParamSpec("P"), TypeVar("R")
Range = tuple[str, Callable[[Any], Any]]
"""What is allowed, in words, and the test of it, elementwise."""


def keywords(*names: str, after: int) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Lets arguments that have become keywords still be given by position, behind `after` others, with a warning."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def call(*args: Any, **more: Any) -> R:
            named = dict(zip(names, args[after:], strict=False))
            if not named:
                return function(*args, **more)
            text = f"{function.__name__}: give {' and '.join(named)} by name, as in {next(iter(named))}=…"
            warnings.warn(f"{text}; by position they will be refused", FutureWarning, stacklevel=2)
            return function(*args[:after], *args[after + len(names) :], **named, **more)

        return call

    return decorate


def number_array(name: str, value: Any, allowed: str) -> np.ndarray:
    """A new float64 array of a concrete value. Raises ValueError for text, booleans, complex and ragged lists."""
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "iuf":
            raise TypeError
        return array.astype(np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} = {value!r} must be a number or an array of numbers, {allowed}") from None


def field(name: str, value: Any, allowed_range: Range) -> Any:
    """A numeric field: a read-only float64 array, checked to be in range, if concrete; untouched if traced."""
    if isinstance(value, Tracer):
        return value if jnp.issubdtype(value.dtype, jnp.floating) else value.astype(float)
    allowed, holds = allowed_range
    array = number_array(name, value, allowed)
    if array.size == 0:
        raise ValueError(f"{name} is empty, shape {array.shape}: must be a number or an array of numbers, {allowed}")
    bad = ~holds(array)
    if np.any(bad):
        raise ValueError(f"{name} = {array[bad].flat[0]:g} must be {allowed}")
    array.flags.writeable = False
    return array


def check_broadcast(fields: Mapping[str, Any]) -> None:
    """Raises ValueError, with the shapes, unless the fields broadcast against each other."""
    shapes = {name: np.shape(value) for name, value in fields.items()}
    try:
        np.broadcast_shapes(*shapes.values())
    except ValueError:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items() if shape)
        raise ValueError(f"fields do not broadcast against each other: {listed}") from None


def outer(fields: Mapping[str, Any], ranges: Mapping[str, Range]) -> dict[str, Any]:
    """The same fields with every 1-D array on an axis of its own, in their order; scalars add none.

    Raises ValueError for empty lists or fields of more than one dimension.
    """
    values: dict[str, Any] = {
        name: value if isinstance(value, Tracer) else number_array(name, value, ranges[name][0])
        for name, value in fields.items()
    }
    for name, value in values.items():
        if value.ndim > 1 or value.size == 0:
            raise ValueError(f"{name} has shape {value.shape}: a grid takes numbers or non-empty 1-D lists")
    lists = [name for name, value in values.items() if value.ndim == 1]
    for axis, name in enumerate(lists):
        values[name] = values[name].reshape(-1, *[1] * (len(lists) - 1 - axis))
    return values


def freeze(state: Mapping[str, Any]) -> Mapping[str, Any]:
    """Make the NumPy arrays of an object's state read-only: copies and unpickled problems are immutable too."""
    for value in state.values():
        if isinstance(value, np.ndarray):
            value.flags.writeable = False
    return state


def check_whole(name: str, value: Any, least: int) -> None:
    """Raises ValueError unless value is an integer, at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{name} = {value!r} must be an integer >= {least}")


def flow_times(times: Any) -> np.ndarray:
    """Training times as a vector, in the order given; a number is a vector of one. ValueError unless all are >= 0."""
    array = np.atleast_1d(number_array("times", times, ">= 0"))
    if array.ndim > 1 or array.size == 0:
        raise ValueError(f"times has shape {array.shape}: must be a number or a non-empty list, >= 0")
    if not np.all(array >= 0):
        raise ValueError(f"times = {array[~(array >= 0)][0]:g} must be >= 0")
    return array


def base_key(key: Any) -> jax.Array:
    """A typed JAX key from an integer, a typed key or the raw words of an old-style key. ValueError for others."""
    if isinstance(key, int | np.integer) and not isinstance(key, bool):
        if not -(2**63) <= key < 2**63:
            raise ValueError(f"key = {key} must be from -2^63 to 2^63 - 1")
        with jax.enable_x64(True):  # in 32-bit mode different integers would silently give the same key
            return jax.random.key(int(key))
    if isinstance(key, jax.Array) and key.ndim == 0 and jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        return key
    if isinstance(key, jax.Array | np.ndarray) and key.dtype == np.uint32 and key.shape == (2,):
        return jax.random.wrap_key_data(jnp.asarray(key))
    raise ValueError(f"key = {key!r} must be an integer or one JAX key")


def not_a_spectrum(value: Any) -> str:
    """What to say of a value that is given as a spectrum and is none."""
    if hasattr(value, "shape"):
        maker = "from_covariance" if len(value.shape) == 2 else "from_eigenvalues"
        return f"spectrum must be None or come from rfdsm.spectra, got an array of shape {value.shape}: spectra.{maker}"
    return f"spectrum = {value!r} must be None or come from rfdsm.spectra (isotropic, atoms, …)"


def kind(value: Any) -> str:
    """The type of a value, with its module unless it is built in."""
    own = type(value)
    return own.__qualname__ if own.__module__ == "builtins" else f"{own.__module__}.{own.__qualname__}"
