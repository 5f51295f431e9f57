"""Losses of a network at some moment of its training, under the names that theory has for them."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from rfdsm.networks._laws import Gaussian
from rfdsm.networks._pairs import Pairs, Question, drawn, fresh, frozen
from rfdsm.sampling import NoiseLevel

CHUNK = 512
"""Pairs that a network is applied to at a time."""


class Sets(NamedTuple):
    """Pairs to measure on, the same whenever a loss is recorded: in one list, for the network to be compiled once."""

    pairs: Pairs
    kind: Int[Array, " count"]
    """0, 1, 2: the first three of `Losses.NAMES`; 3: padding."""


def sets(question: Question, most: int, dtype: Any, key: Any, points: Any, test: Any) -> Sets:
    """`most` pairs of each kind: frozen ones (all, if there are no more), training points with fresh noise, fresh
    points. `points` are those that batches are drawn from (`Points`), `test` rows or a law."""
    data = points.rows
    seeds = [jax.random.fold_in(key, k) for k in range(5)]
    x = drawn(data, seeds[1], most, dtype) if isinstance(data, Gaussian) else data[jnp.arange(most) % len(data)]
    again, there = fresh(question, seeds[2], x), jnp.full(most, True)
    trained = again
    if points.pairs is not None and not isinstance(data, Gaussian):
        some = jax.random.randint(seeds[3], (most,), 0, points.pairs)
        number = jnp.where(points.pairs <= most, jnp.arange(most), some)
        own = jnp.minimum(number, points.pairs - 1)
        there = (number < points.pairs) | (points.pairs == 0)

        def of_frozen() -> Pairs:
            return frozen(question, key_of_draws(key), data, own, points.draws)

        trained = jax.lax.cond(points.pairs > 0, of_frozen, lambda: again)
    y = drawn(test, seeds[4], most, dtype) if isinstance(test, Gaussian) else test[jnp.arange(most) % len(test)]
    parts = [trained, again, fresh(question, jax.random.fold_in(key, 5), y)]
    kinds = [jnp.where(there, 0, 3), jnp.full(most, 1), jnp.full(most, 2)]
    more = -sum(len(part.y) for part in parts) % CHUNK
    padding = jax.tree.map(lambda x: jnp.repeat(x[:1], more, axis=0), trained)
    whole = jax.tree.map(lambda *x: jnp.concatenate(x), *parts, padding)
    return Sets(whole, jnp.concatenate([*kinds, jnp.full(more, 3)]))


def key_of_draws(key: Any) -> Any:
    """Of the frozen noise."""
    return jax.random.fold_in(key, 7)


def errors(network: Any, pairs: Pairs) -> Float[Array, "count d"]:
    """Prediction minus target."""
    return jax.vmap(network)(pairs.y, pairs.level) - pairs.wanted


def loss(network: Any, pairs: Pairs) -> Float[Array, ""]:
    """Weighted mean square per coordinate."""
    return jnp.mean(pairs.weight * jnp.mean(errors(network, pairs) ** 2, axis=1))


def measured(network: Any, of: Sets, law: Gaussian | None) -> Float[Array, " names"]:
    """The losses of `Losses.NAMES`; `law` is that of fresh points where it is known."""

    def part(some: Sets) -> Any:
        pairs = some.pairs
        off = errors(network, pairs)
        values = pairs.weight * jnp.mean(off**2, axis=1)
        scores = jnp.full_like(values, jnp.nan)
        if law is not None:
            wrong = jax.vmap(_score_error, (0, 0, 0, None))(off + pairs.wanted, pairs.y, pairs.asked, law)
            scores = jnp.mean(wrong**2, axis=1)
        own = [jnp.sum(jnp.where(some.kind == k, values, 0.0)) for k in range(3)]
        return jnp.stack([*own, jnp.sum(jnp.where(some.kind == 2, scores, 0.0))])

    chunks = jax.tree.map(lambda x: x.reshape(-1, CHUNK, *x.shape[1:]), of)
    count = jnp.stack([jnp.sum(of.kind == k) for k in (0, 1, 2, 2)])
    return jnp.sum(jax.lax.map(part, chunks), axis=0) / count


def _score_error(f: Any, y: Any, asked: Any, law: Gaussian) -> Float[Array, " d"]:
    score = asked.scale * (asked.a * f - asked.alpha * y) / (asked.delta * asked.root_h)
    return score - asked.scale * law.score(y, asked.a, asked.h)


def bounds(of: Sets, law: Gaussian | None) -> tuple[float, float]:
    """Weighted loss of the best network (NaN without a law) and of one that outputs zero, on the pairs of the test."""
    tested = np.asarray(of.kind) == 2
    pairs = of.pairs
    asked, weight, wanted = jax.tree.map(lambda x: np.asarray(x)[tested], (pairs.asked, pairs.weight, pairs.wanted))
    if law is None:
        return np.nan, float(np.mean(weight * np.mean(wanted.astype(float) ** 2, axis=1)))
    floors = np.mean([asked.floor(s) for s in np.asarray(law.eigenvalues)], axis=0)
    return float(np.mean(weight * floors)), float(np.mean(weight * asked.null(law.variance)))


def level_of(question: Question, t: Any) -> NoiseLevel:
    """The level at a time, as networks are told it."""
    a, h, scale = question.schedule.level(t, question.variance)
    return NoiseLevel(t, a, h, scale)
