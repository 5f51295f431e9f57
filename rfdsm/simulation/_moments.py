"""Second moments of the features on the training draws: all the ridge problem needs, whatever n and m are."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rfdsm.activations import Activation
from rfdsm.simulation._design import Points, features, noised, stream
from rfdsm.simulation._strips import Strips, add, bounds, quadratic, zeros
from rfdsm.targets import Asked


class Moments(NamedTuple):
    """Averages over noisy points y = a x + sqrt(h) z of target T = alpha x + beta z, whose offset is -T.

    U = E phi phi^T in strips, V = -E phi T^T, and E |T|^2/d; over the training draws, over fresh noise of given points,
    or over the population.
    """

    U: Strips
    V: Float[Array, "p d"]
    offset_squared: Float[Array, ""]

    def loss(self, B: Float[Array, "d p"]) -> Float[Array, ""]:
        """That of a network."""
        return losses_over(B, [self])[0]


def losses_over(B: Float[Array, "d p"], averages: Sequence[Moments]) -> list[Array]:
    """Losses E |B phi - T|^2/d = offset_squared + (2 tr(B V) + tr(B U B^T))/d of a network over several averages."""
    rows = B.T
    squares = quadratic([moments.U for moments in averages], rows)
    return [
        moments.offset_squared + (2 * jnp.sum(rows * moments.V) + square) / len(B)
        for moments, square in zip(averages, squares, strict=True)
    ]


class Samples(NamedTuple):
    """The training draws themselves, one row each and zero beyond the last: Phi^T and -T, divided by sqrt(n m)."""

    features: Float[Array, "N p"]
    offset: Float[Array, "N d"]


class Law(NamedTuple):
    """What, with the points, fixes the law of the noisy features."""

    W: Float[Array, "p d"]
    activation: Activation
    asked: Asked
    """Numbers; alpha is None for a target without signal."""
    chunk: int
    shards: int
    """Devices that share the draws of one trial."""

    def in_precision(self, dtype: str) -> "Law":
        """The same law, with features of this precision."""
        asked = jax.tree.map(lambda x: jnp.asarray(x, dtype), self.asked)
        return self._replace(W=self.W.astype(dtype), asked=asked)


def training_moments(law: Law, points: Points, draws: Int[Array, ""], products: str = "float64") -> Moments:
    """Moments over `draws` noisy copies of every point, accumulated `chunk` of them at a time.

    Products over a chunk are formed in the precision `products`, sums over chunks in float64.
    """
    W, activation, asked, chunk, shards = law
    p, d = W.shape
    total = points.size * draws
    rows = bounds(p)

    def step(carry: tuple[Strips, Array, Array], pair: Array) -> tuple[Strips, Array, Array]:
        strips, V, square = carry
        part = noised(points, pair, total, asked)
        phi = jnp.where(part.valid, features(W, activation, part.y), 0).astype(products)
        offset = jnp.where(part.valid[:, None], part.offset, 0).astype(products)
        parts = [phi[low:high] @ phi[:high].T for low, high in rows]
        V, square = add((V, square), (phi @ offset, jnp.sum(offset**2)))
        return add(strips, parts), V, square

    zero = zeros(p), jnp.zeros((p, d)), jnp.zeros(())
    strips, V, square = stream(total, chunk, shards, step, zero)
    count = total.astype(V.dtype)
    return Moments([strip / count for strip in strips], V / count, square / (count * d))


def training_samples(law: Law, points: Points, draws: Int[Array, ""], size: int) -> Samples:
    """The draws, `size` >= n m rows; for fewer draws than features, where they are smaller than their moments."""
    W, activation, asked, chunk, _ = law
    total = points.size * draws
    chunk = min(chunk, size)

    def block(first: Array) -> Samples:
        part = noised(points, first + jnp.arange(chunk, dtype=first.dtype), total, asked)
        scale = jnp.where(part.valid[:, None], 1 / jnp.sqrt(total.astype(float)), 0)
        phi, offset = (x.astype(float) for x in (features(W, activation, part.y), part.offset))
        return Samples(scale * phi.T, scale * offset)

    blocks = jax.lax.map(block, jnp.arange(0, size, chunk, dtype=total.dtype))
    return Samples(*(part.reshape(-1, part.shape[-1])[:size] for part in blocks))


def residual_moment(law: Law, points: Points, draws: Int[Array, ""], B: Float[Array, "d p"]) -> Float[Array, "p d"]:
    """Phi (B Phi - T)^T/(n m): V + U B^T from the residuals, which loses no digits where those are small."""
    W, activation, asked, chunk, shards = law
    total = points.size * draws

    def step(carry: Array, pair: Array) -> Array:
        part = noised(points, pair, total, asked)
        phi = jnp.where(part.valid, features(W, activation, part.y), 0)
        return carry + phi @ (part.offset + (B @ phi).T)

    return stream(total, chunk, shards, step, jnp.zeros_like(W)) / total.astype(W.dtype)
