"""What a network is trained and tested on: noisy points y = a x + sqrt(h) z with their targets, made when needed.

Frozen draws are no array: pair (i, j) has the noise and the level of its own key, the same in every step.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rfdsm.networks._laws import Gaussian
from rfdsm.networks.levels import Levels
from rfdsm.sampling import NoiseLevel
from rfdsm.schedules import Schedule
from rfdsm.targets import Asked, Target, asked


class Question(NamedTuple):
    """What is learned: how points are noised, and what of."""

    schedule: Schedule
    target: Target
    levels: Levels
    variance: float
    """Of the data per coordinate."""


class Pairs(NamedTuple):
    """Noisy points with all that a loss takes."""

    y: Float[Array, "count d"]
    wanted: Float[Array, "count d"]
    level: NoiseLevel
    asked: Asked
    weight: Float[Array, " count"]


def noised(question: Question, x: Float[Array, "count d"], z: Float[Array, "count d"], t: Any) -> Pairs:
    """Pairs of given points, noise and times."""
    found = asked(question.schedule, question.target, t, question.variance)
    # constants of a schedule need not follow the shape of t
    found = Asked(*(jnp.broadcast_to(jnp.asarray(value, x.dtype), t.shape) for value in found))
    level = NoiseLevel(t, found.a, found.h, found.scale)
    y = found.a[:, None] * x + found.root_h[:, None] * z
    wanted = found.alpha[:, None] * x + found.beta[:, None] * z
    return Pairs(y, wanted, level, found, question.levels.weights(level).astype(x.dtype))


def frozen(
    question: Question, key: Any, rows: Float[Array, "n d"], number: Int[Array, " count"], draws: Any = None
) -> Pairs:
    """Pairs of these numbers: number j n + i is draw j of row i. `draws` are frozen normal vectors (n, m, d)."""
    n, d = rows.shape
    row = number % n
    own = jax.vmap(lambda k: jax.random.fold_in(key, k))(number)
    x = rows[row]
    z = _normal(own, d, x.dtype) if draws is None else draws[row, number // n]
    return noised(question, x, z, _times(question, own, x.dtype))


def fresh(question: Question, key: Any, x: Float[Array, "count d"]) -> Pairs:
    """Pairs with noise and levels that no other key has."""
    own = jax.random.split(key, len(x))
    return noised(question, x, _normal(own, x.shape[1], x.dtype), _times(question, own, x.dtype))


def drawn(data: Any, key: Any, count: int, dtype: Any) -> Float[Array, "count d"]:
    """Points of a law, or rows with replacement."""
    if isinstance(data, Gaussian):
        return data.draw(key, count, dtype)
    return data[jax.random.randint(key, (count,), 0, len(data))]


def _normal(keys: Any, d: int, dtype: Any) -> Float[Array, "count d"]:
    return jax.vmap(lambda key: jax.random.normal(key, (d,), dtype))(keys)


def _times(question: Question, keys: Any, dtype: Any) -> Float[Array, " count"]:
    u = jax.vmap(lambda key: jax.random.uniform(jax.random.fold_in(key, 1), (), dtype))(keys)
    return question.levels.draw(u).astype(dtype)
