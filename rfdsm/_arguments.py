"""What callers hand over, checked at the door: fields of problems, whole numbers, keys.

Every refusal is one line that names the argument, its value and what is allowed.
"""

import functools
import warnings
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from rfdsm._arrays import numbers, without_missing
from rfdsm._scope import jax_scope
from rfdsm._values import is_traced, one_line, shown

R = TypeVar("R")
Range = tuple[str, Callable[[Any], Any]]
"""What is allowed, in words, and the test of it, elementwise."""


MOST = 2**31 - 1
"""Largest count taken: of trials, dimensions, samples, steps. Compiled loops count in 32 bits."""
GENERATOR = "threefry2x32"
"""Of keys made here: a seed means the same draws whatever the caller's default generator is."""


def keywords(*names: str, after: int) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Lets arguments that have become keywords still be given by position, behind `after` others, with a warning."""

    def decorate(function: Any) -> Any:
        @functools.wraps(function)
        def call(*args: Any, **more: Any) -> Any:
            named = dict(zip(names, args[after:], strict=False))
            if not named:
                return function(*args, **more)
            text = f"{function.__name__}: give {' and '.join(named)} by name, as in {next(iter(named))}=…"
            warnings.warn(f"{text}; by position they will be refused", FutureWarning, stacklevel=2)
            return function(*args[:after], *args[after + len(names) :], **named, **more)

        return call

    return decorate


def number_array(name: str, value: Any, allowed: str) -> np.ndarray:
    """A new float64 array of a concrete value, without negative zeros.

    Takes integers of any size, fractions, decimals and the short floats of machine learning. Raises ValueError for
    text, booleans, complex and ragged lists, traced values, masked or missing entries, and numbers beyond the range of
    float64.
    """
    if is_traced(value):
        raise ValueError(f"{name} is traced by jax.jit, grad or vmap: it must be a concrete number, {allowed}")
    try:
        array = numbers(value)
        if array.dtype.kind not in "iuf":
            raise TypeError
        array = without_missing(name, array)
        with np.errstate(over="ignore"):  # of extended precision
            converted = np.array(array, np.float64)
            converted += 0.0
        if array.dtype.kind == "f" and np.any(np.isinf(converted) & (array != converted)):
            raise TypeError from OverflowError()
        return converted
    except TypeError as error:
        what = "within the range of float64" if isinstance(error.__cause__, OverflowError) else NUMBERS
        raise ValueError(f"{name} = {one_line(value)} must be {what}, {allowed}") from None


NUMBERS = "a number or an array of numbers"


def field(name: str, value: Any, allowed_range: Range) -> Any:
    """A numeric field: a read-only float64 array, checked to be in range, if concrete; untouched if traced."""
    if is_traced(value):
        traced = jnp.asarray(value)
        return traced if jnp.issubdtype(traced.dtype, jnp.floating) else traced.astype(float)
    allowed, holds = allowed_range
    array = number_array(name, value, allowed)
    if array.size == 0:
        raise ValueError(f"{name} is empty, shape {array.shape}: must be a number or an array of numbers, {allowed}")
    bad = ~holds(array)
    if not is_traced(bad) and np.any(bad):  # a traced schedule's range is traced
        raise ValueError(f"{name} = {shown(array[bad].flat[0])} must be {allowed}{_rounded(array[bad].flat[0], holds)}")
    array.flags.writeable = False
    return array


def _rounded(number: float, holds: Callable[[Any], Any]) -> str:
    """What to do with 0.3/0.1, which is not 3."""
    if not np.isfinite(number):
        return ""
    whole = np.round(number)
    near = 0 < abs(number - whole) <= 1e-9 * abs(whole) and holds(whole)
    return f"; rounding errors? numpy.round makes it {whole:g}" if near else ""


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
        name: jnp.asarray(value) if is_traced(value) else number_array(name, value, ranges[name][0])
        for name, value in fields.items()
    }
    for name, value in values.items():
        if value.ndim > 1 or value.size == 0:
            raise ValueError(f"{name} has shape {value.shape}: a grid takes numbers or non-empty 1-D lists")
    lists = [name for name, value in values.items() if value.ndim == 1]
    for axis, name in enumerate(lists):
        values[name] = values[name].reshape(-1, *[1] * (len(lists) - 1 - axis))
    return values


def check_whole(name: str, value: Any, least: int) -> int:
    """The value as a Python integer. ValueError unless it is an integer from `least` to 2^31 - 1."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        near = isinstance(value, float | np.floating) and _rounded(float(value), lambda whole: whole >= least)
        raise ValueError(f"{name} = {one_line(value)} must be an integer >= {least}{near or ''}")
    if value > MOST:
        raise ValueError(f"{name} = {one_line(value)} must be an integer from {least} to {MOST}")
    return int(value)


def checked_variance(name: str, value: Any) -> float:
    """The variance as a float. Raises ValueError unless it is one finite number >= 0."""
    array = number_array(name, value, "a variance >= 0")
    if array.ndim or not (np.isfinite(array) and array >= 0):
        raise ValueError(f"{name} = {one_line(value)} must be one finite variance >= 0")
    return float(array)


def flow_times(times: Any) -> np.ndarray:
    """Training times as a vector, in the order given; a number is a vector of one. ValueError unless all are >= 0."""
    array = np.atleast_1d(number_array("times", times, ">= 0"))
    if array.ndim > 1 or array.size == 0:
        raise ValueError(f"times has shape {array.shape}: must be a number or a non-empty list, >= 0")
    if not np.all(array >= 0):
        raise ValueError(f"times = {shown(array[~(array >= 0)][0])} must be >= 0")
    return array


def base_key(key: Any) -> jax.Array:
    """A typed JAX key from an integer, a typed key or the raw words of an old-style key. ValueError for others."""
    if isinstance(key, int | np.integer) and not isinstance(key, bool):
        if not -(2**63) <= key < 2**63:
            raise ValueError(f"key = {one_line(key)} must be from -2^63 to 2^63 - 1")
        with jax_scope():  # in 32-bit mode different integers would silently give the same key
            return jax.random.key(int(key), impl=GENERATOR)
    if isinstance(key, jax.Array) and key.ndim == 0 and jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        return key
    if isinstance(key, jax.Array | np.ndarray) and key.dtype == np.uint32 and key.shape == (2,):
        return jax.random.wrap_key_data(jnp.asarray(key), impl=GENERATOR)
    raise ValueError(f"key = {one_line(key)} must be an integer or one JAX key")


def not_a_spectrum(value: Any) -> str:
    """What to say of a value that is given as a spectrum and is none."""
    if hasattr(value, "shape"):
        maker = "from_covariance" if len(value.shape) == 2 else "from_eigenvalues"
        return f"spectrum must be None or come from rfdsm.spectra, got an array of shape {value.shape}: spectra.{maker}"
    return f"spectrum = {one_line(value)} must be None or come from rfdsm.spectra (isotropic, atoms, …)"


def kind(value: Any) -> str:
    """The type of a value, with its module unless it is built in."""
    own = type(value)
    return own.__qualname__ if own.__module__ == "builtins" else f"{own.__module__}.{own.__qualname__}"
