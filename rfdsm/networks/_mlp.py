"""A perceptron that knows the level: `mlp`."""

import itertools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rfdsm._arguments import base_key, check_whole

EMBEDDING = 32
"""Numbers by which a network is told its level."""
SLOWEST, FASTEST = 0.1, 4.0
"""Frequencies in log sqrt(h)/a: over the six decades that schedules span, and down to a quarter."""


def embedding(level: Any, dtype: Any) -> Float[Array, " size"]:
    """What a network is told: sin and cos of the log noise-to-signal ratio, at frequencies in equal ratios."""
    place = jnp.log(level.h) / 2 - jnp.log(level.a)
    waves = jnp.geomspace(SLOWEST, FASTEST, EMBEDDING // 2, dtype=place.dtype) * place
    return jnp.concatenate([jnp.sin(waves), jnp.cos(waves)]).astype(dtype)


class MLP(eqx.Module):
    """d -> width -> ... -> width -> d with silu, each hidden layer shifted by what the level says."""

    layers: list[eqx.nn.Linear]
    shifts: list[eqx.nn.Linear]
    activation: Callable[[Any], Any] = eqx.field(static=True)

    def __call__(self, y: Float[Array, " d"], level: Any) -> Float[Array, " d"]:
        told = embedding(level, y.dtype)
        x = y / jnp.sqrt(level.a**2 + level.h).astype(y.dtype)  # of order one at every level of data of order one
        for layer, shift in zip(self.layers[:-1], self.shifts, strict=True):
            x = self.activation(layer(x) + shift(told))
        return self.layers[-1](x)


def mlp(d: Any, width: Any, depth: Any = 2, key: Any = 0, *, activation: Any = jax.nn.silu) -> MLP:
    """A perceptron R^d -> R^d with `depth` hidden layers of `width` units and a time embedding.

    Args:
        d, width, depth: whole numbers >= 1.
        key: integer or JAX key, of the initial weights.
        activation: a JAX function of arrays.

    Examples:
        >>> from rfdsm import networks
        >>> network = networks.mlp(d=16, width=64, depth=2, key=0)
        >>> networks.parameters(network)
        10512
    """
    d, width, depth = (check_whole(name, x, 1) for name, x in (("d", d), ("width", width), ("depth", depth)))
    if not callable(activation):
        raise ValueError(f"activation = {activation!r} must be a function, such as jax.nn.silu")
    keys = jax.random.split(base_key(key), 2 * depth + 1)
    sizes = [d, *[width] * depth, d]
    layers = [eqx.nn.Linear(a, b, key=keys[i]) for i, (a, b) in enumerate(itertools.pairwise(sizes))]
    shifts = [eqx.nn.Linear(EMBEDDING, width, key=keys[depth + 1 + i]) for i in range(depth)]
    return MLP(layers, shifts, activation)
