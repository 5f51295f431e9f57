"""The random design of one trial: features W, training points x_i, noise z_ij, all drawn from one key.

Rows are keyed by their number and noise by that of the draw, j n + i for z_ij, never by a place in a chunk or on a
device, so results do not depend on how work is cut. Nothing but W is kept: points are drawn again whenever needed.
Variates are drawn in single precision whatever the precision of the simulation: one key means one network, in float32
as in float64 (their variance is 1 - 2e-6, as they end at 5.4 standard deviations).
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from rfdsm.activations import Activation
from rfdsm.targets import Asked

Carry = TypeVar("Carry")
DRAWS = "draws"
"""Name of the mesh axis over which the draws of one trial are spread."""


class Points(NamedTuple):
    """`size` points to be noised, Gaussian ones or rows of the data, and the key their noise is drawn from."""

    key: Key[Array, ""]
    rows_key: Key[Array, ""]
    size: Int[Array, ""]
    deviations: Float[Array, " d"]
    """Of the coordinates of Gaussian points."""
    data: Float[Array, "all_rows d"] | None
    order: Int[Array, " all_rows"] | None
    """Which row of the data comes first, second, ..."""

    def rows(self, index: Int[Array, " c"]) -> Float[Array, "c d"]:
        """The points of these numbers."""
        if self.data is None or self.order is None:
            return self.deviations * normals(self.rows_key, index, self.deviations)
        return self.data[self.order[index]]

    def noised(self, row: Int[Array, " c"], z_key: Key[Array, ""], number: Int[Array, " c"], asked: Asked) -> "Noised":
        """y = a x + sqrt(h) z for the points of these numbers and the normal vectors of those, and their targets."""
        if self.data is None:  # in one call, which compiles faster
            both = jnp.stack([self.rows_key, z_key])[jnp.repeat(jnp.arange(2), len(row))]
            x, z = jnp.split(normals(both, jnp.concatenate([row, number]), self.deviations), 2)
            x = self.deviations * x
        else:
            x, z = self.rows(row), normals(z_key, number, self.deviations)
        offset = -asked.beta * z if asked.alpha is None else -asked.alpha * x - asked.beta * z
        return Noised(asked.a * x + jnp.sqrt(asked.h) * z, offset, jnp.ones(len(row), bool))


class Design(NamedTuple):
    """One trial: a network's frozen features, the points it is trained on, and held-out rows of the data."""

    W: Float[Array, "p d"]
    training: Points
    held_out: Points


class Noised(NamedTuple):
    """A chunk of c noisy points y = a x_i + sqrt(h) z_ij; pairs beyond the last one are marked invalid."""

    y: Float[Array, "c d"]
    offset: Float[Array, "c d"]
    """Minus the target alpha x_i + beta z_ij: a network's error is B phi(y) + offset."""
    valid: Bool[Array, " c"]


def draw(
    key: Key[Array, ""],
    n: Int[Array, ""],
    p: int,
    eigenvalues: Float[Array, " d"],
    data: Float[Array, "rows d"] | None,
    W: Float[Array, "p d"] | None = None,
) -> Design:
    """Draw a trial with n training points and p features, or take the features that were drawn already.

    Without data, points are Gaussian with covariance diag(eigenvalues) (W and z are rotation invariant, so a diagonal
    covariance is the general case). With data, n rows are picked at random without replacement and all others are held
    out.
    """
    key_W, key_x, key_z = jax.random.split(key, 3)
    deviations = jnp.sqrt(eigenvalues)
    W = normals(key_W, jnp.arange(p), deviations) if W is None else W
    order = None if data is None else jax.random.permutation(jax.random.fold_in(key_x, 1), data.shape[0])
    training = Points(key_z, key_x, n, deviations, data, order)
    if data is None or order is None:
        return Design(W, training, training)
    return Design(W, training, training._replace(size=data.shape[0] - n, order=jnp.roll(order, -n)))


def normals(key: Key[Array, "..."], number: Int[Array, " c"], like: Float[Array, " d"]) -> Float[Array, "c d"]:
    """Standard normal vectors, of the length and dtype of `like`, by their numbers in the stream of a key (or of c)."""

    def one(key: Array, number: Array) -> Array:
        return jax.random.normal(jax.random.fold_in(key, number), like.shape, jnp.float32)

    return jax.vmap(one, in_axes=(0 if key.ndim else None, 0))(key, number).astype(like.dtype)


def noised(points: Points, pair: Int[Array, " c"], total: Int[Array, ""], asked: Asked) -> Noised:
    """The noisy points number `pair`, of `total` in all: all rows of the first draw, then all of the second, ..."""
    return points.noised(pair % points.size, points.key, pair, asked)._replace(valid=pair < total)


def stream(
    total: Int[Array, ""], chunk: int, shards: int, step: Callable[[Carry, Int[Array, " c"]], Carry], carry: Carry
) -> Carry:
    """Fold `step` over the numbers 0 ... total - 1, `chunk` of them at a time (and some beyond); memory stays the same.

    On several devices each folds its share, and the results are added up: `carry` must start at zero.
    """
    first = jax.lax.axis_index(DRAWS) if shards > 1 else 0

    def body(index: Array, carry: Carry) -> Carry:
        return step(carry, (index * shards + first) * chunk + jnp.arange(chunk, dtype=total.dtype))

    whole = chunk * shards
    carry = jax.lax.fori_loop(0, (total + whole - 1) // whole, body, carry)
    return jax.lax.psum(carry, DRAWS) if shards > 1 else carry


def features(W: Float[Array, "p d"], activation: Activation, y: Float[Array, "c d"]) -> Float[Array, "p c"]:
    """Phi with columns phi(y) = activation(W y / sqrt(d)), one for each row of y."""
    return activation(W @ y.T / W.shape[1] ** 0.5)
