"""What a time-conditioned network is told of its level: the logarithm of the noise-to-signal ratio as a few waves."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

SLOWEST, FASTEST = 0.1, 4.0
"""Frequencies in log sqrt(h)/a: over the six decades that schedules span, and down to a quarter."""


def embedding(level: Any, size: int) -> Float[Array, " size"]:
    """sin and cos of log(sqrt(h)/a) at frequencies in equal ratios; `size` is even."""
    place = jnp.log(level.h) / 2 - jnp.log(level.a)
    waves = jnp.geomspace(SLOWEST, FASTEST, size // 2, dtype=place.dtype) * place
    return jnp.concatenate([jnp.sin(waves), jnp.cos(waves)])
