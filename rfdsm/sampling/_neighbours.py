"""Distances of points to their nearest neighbours among others."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from rfdsm._executables import jitted

Array = jax.Array | np.ndarray

NEIGHBOUR_RATIO = 1 / 3
"""A generated point counts as copied when its nearest training point is nearer than this times the second nearest."""
BLOCK = 256
"""Points whose distances to all others are held at once."""


def nearest_two(
    points: Float[Array, "k d"], others: Float[Array, "n d"], mask: Float[Array, " n"] | None = None
) -> Float[Array, "k 2"]:
    """Distances of every point to its two nearest neighbours among the others (mask 1), d products at a time.

    The two are found by products, and measured by differences: those of copies are exact.
    """
    halves = jnp.sum(others**2, axis=1) / 2
    halves = halves if mask is None else jnp.where(mask > 0, halves, jnp.inf)
    _, place = jax.lax.top_k(points @ others.T - halves, 2)
    distance = jnp.sqrt(jnp.sum((points[:, None] - others[place]) ** 2, axis=2))
    distance = distance if mask is None else jnp.where(jnp.isfinite(halves[place]), distance, jnp.inf)
    return jnp.sort(distance, axis=1)


@partial(jitted, static_argnames="block")
def blockwise(points: Float[Array, "k d"], others: Float[Array, "n d"], block: int = BLOCK) -> Float[Array, "k 2"]:
    """The same for many points; memory block n numbers."""
    return jax.lax.map(lambda point: nearest_two(point[None], others)[0], points, batch_size=min(block, len(points)))


def copied(distances: Float[Array, "k 2"], ratio: Any = NEIGHBOUR_RATIO) -> Array:
    """Which points are nearer to one than `ratio` times the distance to the second, shape (k,)."""
    return distances[:, 0] < ratio * distances[:, 1]
