"""Points against points, in any dimension: nearest neighbours, and overlaps of Gaussian densities in logarithms.

Source: docs/linear, section 7.

In d dimensions a density is far below or above the range of floating point numbers, its logarithm is not; sums over
points are log-sum-exp throughout, over blocks of pairs where there are many.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from rfdsm._executables import jitted

Array = jax.Array | np.ndarray

NEIGHBOUR_RATIO = 1 / 3
"""A generated point counts as copied when its nearest training point is nearer than this times the second nearest."""
POINTS = 256
"""Points whose distances to all others are held at once."""
BLOCK = 512
"""Pairs are handled BLOCK x BLOCK at a time, which stays in a core's cache, whatever the number of points."""


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
def blockwise(points: Float[Array, "k d"], others: Float[Array, "n d"], block: int = POINTS) -> Float[Array, "k 2"]:
    """The same for many points; memory block n numbers."""
    return jax.lax.map(lambda point: nearest_two(point[None], others)[0], points, batch_size=min(block, len(points)))


def copied(distances: Float[Array, "k 2"], ratio: Any = NEIGHBOUR_RATIO) -> Array:
    """Which points are nearer to one than `ratio` times the distance to the second, shape (k,)."""
    return distances[:, 0] < ratio * distances[:, 1]


@partial(jitted, static_argnames="block")
def log_pair_sum(points: Float[Array, "N d"], variance: Any, block: int = BLOCK) -> Float[Array, ""]:
    """log of sum over unordered pairs i < j of exp(-|x_i - x_j|^2/(4 variance)); -inf for a single point.

    Memory block^2 + N d numbers. Exponents are formed from products within a block, relative to the mean of all points,
    in the points' own precision; the sums of blocks are added up in the same.
    """
    N, d = points.shape
    block = min(block, N)
    count = -(-N // block)
    missing = count * block - N
    scaled = (points - jnp.mean(points, axis=0)) / jnp.sqrt(2 * jnp.asarray(variance, points.dtype))
    halves = jnp.sum(scaled**2, axis=1) / 2
    blocks = jnp.pad(scaled, ((0, missing), (0, 0))).reshape(count, block, d)
    # points that only fill the last block are infinitely far away
    halves = jnp.pad(halves, (0, missing), constant_values=jnp.inf).reshape(count, block)

    def exponents(i: Any, j: Any) -> Array:
        return blocks[i] @ blocks[j].T - halves[i][:, None] - halves[j]

    def across(total: Array, pair: tuple[Array, Array]) -> tuple[Array, None]:
        return jnp.logaddexp(total, _log_sum(exponents(*pair))), None

    def within(total: Array, i: Array) -> tuple[Array, None]:
        return jnp.logaddexp(total, _log_sum(jnp.where(above, exponents(i, i), -jnp.inf))), None

    above = jnp.triu(jnp.ones((block, block), bool), 1)
    rows, columns = (jnp.asarray(index) for index in np.triu_indices(count, 1))
    total = jax.lax.scan(across, jnp.array(-jnp.inf, points.dtype), (rows, columns))[0]
    return jax.lax.scan(within, total, jnp.arange(count))[0]


def _log_sum(exponents: Float[Array, "rows columns"]) -> Float[Array, ""]:
    """log of the sum of exponentials; by columns first, which compiles to vector instructions."""
    top = jnp.max(jnp.max(exponents, axis=0))
    shift = jnp.where(jnp.isfinite(top), top, 0.0)
    return shift + jnp.log(jnp.sum(jnp.ones(exponents.shape[0], exponents.dtype) @ jnp.exp(exponents - shift)))


def log_mean_density(
    points: Float[Array, "N d"], mask: Float[Array, " N"], mean: Float[Array, " d"], covariance: Float[Array, "d d"]
) -> Float[Array, ""]:
    """log of the mean over points (mask 1) of (2 pi)^{d/2} times the density of N(mean, covariance)."""
    factor = jnp.linalg.cholesky(covariance)
    inverse = jax.scipy.linalg.solve_triangular(factor, jnp.eye(mean.size), lower=True)
    # many points in single precision move the exponents by 1e-5; their sum is taken in the precision of the law
    white = (points - mean.astype(points.dtype)) @ inverse.T.astype(points.dtype)
    exponents = jnp.where(mask > 0, -jnp.sum(white**2, axis=1).astype(factor.dtype) / 2, -jnp.inf)
    log_root = jnp.sum(jnp.log(jnp.diagonal(factor)))
    return jax.nn.logsumexp(exponents) - jnp.log(jnp.sum(mask)) - log_root


class Fresh(NamedTuple):
    """A fresh set relative to mu, and the log of its pairwise sum."""

    rows: Float[Array, "N d"]
    log_pairs: Float[Array, ""]


@jitted
def relative_distance(
    train: Float[Array, "n d"],
    mask: Float[Array, " n"],
    train_pairs: Any,
    fresh: Fresh,
    mean: Any,
    covariance: Any,
    sigma: Any,
) -> tuple[Array, Array]:
    """Sign of Delta and log |Delta| in units of (4 pi sigma^2)^{-d/2}.

    Delta = |G - K_train|^2 - |G - K_fresh|^2, squared L2 norms of densities, G the generated law and K_N the mean of N
    Gaussian kernels of width sigma N^{-1/d} on the points. |G|^2 cancels, and so do the overlaps of kernels with
    themselves, which are the same for every N by the choice of width. What remains is a difference of positive terms,

        pairs_train + 2 <G, K_fresh>  -  pairs_fresh - 2 <G, K_train>.
    """
    d = train.shape[1]
    unit = d / 2 * jnp.log(2.0) + d * jnp.log(sigma)  # from (2 pi)^{-d/2} to (4 pi sigma^2)^{-d/2}

    def overlap(points: Array, mask: Array) -> Array:
        width = sigma * jnp.sum(mask) ** (-1 / d)
        return jnp.log(2.0) + unit + log_mean_density(points, mask, mean, covariance + width**2 * jnp.eye(d))

    def pairs(log_sum: Array, count: Any) -> Array:
        # (2/N^2) sum_{i<j} (4 pi width^2)^{-d/2} exp(...), width^{-d} = N sigma^{-d}
        return jnp.log(2.0) - jnp.log(count) + log_sum

    total = fresh.rows.shape[0]
    plus = jnp.logaddexp(pairs(train_pairs, jnp.sum(mask)), overlap(fresh.rows, jnp.ones(total)))
    minus = jnp.logaddexp(pairs(fresh.log_pairs, total), overlap(train, mask))
    # log |e^plus - e^minus|
    return jnp.sign(plus - minus), jnp.maximum(plus, minus) + jnp.log(-jnp.expm1(-jnp.abs(plus - minus)))
