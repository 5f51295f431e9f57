"""Activations by name, by parameters, or from a user's function."""

import math
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from rfdsm._arrays import real_array
from rfdsm._scope import jax_scope
from rfdsm._values import one_line
from rfdsm.activations._base import Activation
from rfdsm.activations._closed_forms import Erf, Gelu, Linear, Rectifier, Series, Sign, Sine
from rfdsm.activations._numerical import Quadrature

MAX_DEGREE = 100  # of polynomials and Hermite sums: keeps factorials inside the range of doubles
NAMES = ("tanh", "erf", "relu", "leaky_relu", "abs", "sign", "sin", "softplus", "gelu", "silu", "linear")


def _concrete(name: str, value: Any) -> Any:
    if isinstance(value, Tracer):
        return value
    if isinstance(value, str | bytes | bool) or np.asarray(value).dtype.kind in "bc":
        raise TypeError
    return float(real_array(name, value))


def _coefficients(kind: str, coefficients: Iterable) -> tuple:
    try:
        values = tuple(_concrete(kind, value) for value in coefficients)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{kind} coefficients must be a sequence of numbers, got {one_line(coefficients)}") from error
    if not 1 <= len(values) <= MAX_DEGREE + 1:
        raise ValueError(f"{kind} coefficients must number 1 to {MAX_DEGREE + 1}, got {len(values)}")
    if not all(isinstance(value, Tracer) or math.isfinite(value) for value in values):
        raise ValueError(f"{kind} coefficients must be finite, got {values}")
    return values


def leaky_relu(slope: Any = 0.01) -> Activation:
    """u for u >= 0, slope * u below. `slope`: a number or a JAX scalar (differentiable). ValueError if not finite."""
    try:
        number = _concrete("leaky_relu slope", slope)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if isinstance(number, Tracer):
        return Rectifier("leaky_relu", number)
    if not math.isfinite(number):
        raise ValueError(f"leaky_relu slope must be a finite number, got {one_line(slope)}")
    return Rectifier(f"leaky_relu({number:g})", number)


def polynomial(coefficients: Iterable) -> Activation:
    """sum_k coefficients[k] u^k. ValueError unless there are 1 to 101 finite coefficients."""
    return Series("polynomial", _coefficients("polynomial", coefficients), hermite=False)


def hermite(coefficients: Iterable) -> Activation:
    """sum_k coefficients[k] He_k(u), He_k probabilists'. ValueError unless there are 1 to 101 finite coefficients."""
    return Series("hermite", _coefficients("hermite", coefficients), hermite=True)


def _try(function: Callable, name: str) -> None:
    """ValueError unless the function maps JAX arrays elementwise to finite reals of the same shape."""
    for shape in ((7,), (2, 3)):
        try:
            traced = jax.eval_shape(lambda u: function(u), jax.ShapeDtypeStruct(shape, jnp.float32))
        except Exception as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ValueError(
                f"activation {name!r} must be written with jax.numpy for arrays of any shape: {reason}"
            ) from error
        became = getattr(traced, "shape", type(traced).__name__)
        if became != shape:
            raise ValueError(f"activation {name!r} must keep the shape of its input: {shape} became {became}")
        if jnp.issubdtype(traced.dtype, jnp.complexfloating):
            raise ValueError(f"activation {name!r} must return real numbers, got {traced.dtype}")
    points = jnp.asarray(np.linspace(-3.0, 3.0, 7), jnp.float32)
    whole = function(points)
    if isinstance(whole, Tracer):
        return
    if not np.all(np.isfinite(whole)):
        raise ValueError(
            f"activation {name!r} must return finite values on the real line, got {np.asarray(whole)} on -3..3"
        )
    if not np.allclose(whole, np.concatenate([function(points[:2]), function(points[2:])]), rtol=1e-4, atol=1e-6):
        raise ValueError(
            f"activation {name!r} must act on each element by itself; its values depend on the other elements"
        )


def custom(function: Any, name: str | None = None, breakpoints: Any = ()) -> Activation:
    """An activation from any elementwise function written with jax.numpy, array to array of the same shape.

    `breakpoints`: a sequence of the points where it has a kink or a jump, or varies on a scale much below one; without
    any, 0 is taken. Each adds about 300 nodes per dimension to the two-dimensional rule.
    Raises ValueError for a function that is not JAX, not elementwise, not shape-preserving, not real or not finite.
    """
    if not callable(function):
        raise ValueError(f"activation must be callable, got {one_line(function)}")
    label = name or getattr(function, "__name__", type(function).__name__).replace("<lambda>", "custom")
    try:
        points = tuple(sorted({_concrete(label, point) for point in breakpoints}))
        if not all(map(math.isfinite, points)):
            raise ValueError("not finite")
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"activation {label!r}: breakpoints must be finite numbers, got {one_line(breakpoints)}"
        ) from error
    with jax_scope():
        _try(function, label)
    try:
        hash(function)
    except TypeError:  # callable objects holding arrays: fall back on identity
        function = partial(function)
    return Quadrature(label, function, points or (0.0,))


# Plain functions, for JAX's own cannot be pickled and problems travel between processes.
def _tanh(u: Array) -> Array:
    return jnp.tanh(u)


def _softplus(u: Array) -> Array:
    return jax.nn.softplus(u)


def _silu(u: Array) -> Array:
    return jax.nn.silu(u)


@lru_cache(maxsize=1)
def _registry() -> dict[str, Activation]:
    entries = (
        Quadrature("tanh", _tanh, certified=True),
        Erf("erf"),
        Rectifier("relu", 0.0),
        leaky_relu(),
        Rectifier("abs", -1.0),
        Sign("sign"),
        Sine("sin"),
        Quadrature("softplus", _softplus, certified=True),
        Gelu("gelu"),
        Quadrature("silu", _silu, certified=True),
        Linear("linear"),
    )
    return dict(zip(NAMES, entries, strict=True))


def get(activation: Any) -> Activation:
    """The activation of that name, the Activation itself, or `custom(activation)` of a callable.

    Raises ValueError for an unknown name and for anything else.
    """
    if isinstance(activation, Activation):
        return activation
    if isinstance(activation, str):
        if activation not in NAMES:
            raise ValueError(
                f"activation must be one of {', '.join(NAMES)}, or a JAX callable; got {one_line(activation)}"
            )
        return _registry()[activation]
    if callable(activation):
        return custom(activation)
    raise ValueError(f"activation must be a name ({', '.join(NAMES)}) or a JAX callable; got {one_line(activation)}")
