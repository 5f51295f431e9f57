"""The random design of one trial: features W, training points x_i, noise z_ij, all drawn from one key.

Rows are keyed by their number and noise by that of the draw, j n + i for z_ij, never by a place in a chunk or on a
device, so results do not depend on how work is cut. Nothing but W is kept: points are drawn again whenever needed.
Variates are drawn in single precision whatever the precision of the simulation: one key means one network, in float32
as in float64 (their variance is 1 - 2e-6, as they end at 5.4 standard deviations).
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from rfdsm import _laws as laws
from rfdsm.activations import Activation
from rfdsm.targets import Asked

Carry = TypeVar("Carry")
FRESH = 4
"""Folded into a trial's key for points that stand for the law."""
DRAWS = "draws"
"""Name of the mesh axis over which the draws of one trial are spread."""


class Normal(NamedTuple):
    """N(0, diag(eigenvalues)), and in a trial `size` points of it, drawn from `rows_key`, their noise from `key`.

    W and z are rotation invariant, so a diagonal covariance is the general case.
    """

    eigenvalues: Float[Any, " d"]
    key: Any = None
    rows_key: Any = None
    size: Any = None
    deviations: Any = None

    def drawn(self, key: Key[Array, ""], n: Int[Array, ""]) -> tuple["Normal", "Normal"]:
        """Of a trial of this key n training points, and others that stand for the law."""
        _, key_x, key_z = jax.random.split(key, 3)
        training = Normal(self.eigenvalues, key_z, key_x, n, jnp.sqrt(self.eigenvalues))
        return training, training._replace(rows_key=jax.random.fold_in(jax.random.fold_in(key, FRESH), 0))

    def rows(self, index: Int[Array, " c"]) -> Float[Array, "c d"]:
        """The points of these numbers."""
        return self.deviations * normals(self.rows_key, index, self.deviations)

    def noised(self, row: Int[Array, " c"], z_key: Key[Array, ""], number: Int[Array, " c"], asked: Asked) -> "Noised":
        """y = a x + sqrt(h) z for the points of these numbers and the normal vectors of those, and their targets."""
        both = jnp.stack([self.rows_key, z_key])[jnp.repeat(jnp.arange(2), len(row))]
        x, z = jnp.split(normals(both, jnp.concatenate([row, number]), self.deviations), 2)  # at once compiles faster
        return Noised.of(self.deviations * x, z, asked)

    def average(self, population: Callable[[Array], Any], over: Callable[[Any], Any], held_out: Any) -> Any:
        """Of fresh points, by one of two ways to take it: over a population of these eigenvalues, or over points."""
        return population(self.eigenvalues)

    def floor(self, asked: Asked) -> Any:
        """Loss of the true score."""
        return jnp.mean(asked.floor(self.eigenvalues))


class Table(NamedTuple):
    """Rows of data, and in a trial the first `size` in some order. Methods are those of `Normal`."""

    data: Float[Any, "all_rows d"]
    key: Any = None
    size: Any = None
    order: Any = None
    """Which row comes first, second, ..."""

    def drawn(self, key: Key[Array, ""], n: Int[Array, ""]) -> tuple["Table", "Table"]:
        """All rows but the training points are held out."""
        _, key_x, key_z = jax.random.split(key, 3)
        order = jax.random.permutation(jax.random.fold_in(key_x, 1), len(self.data))
        return Table(self.data, key_z, n, order), Table(self.data, key_z, len(self.data) - n, jnp.roll(order, -n))

    def rows(self, index: Int[Array, " c"]) -> Float[Array, "c d"]:
        """See `Normal`."""
        return self.data[self.order[index]]

    def noised(self, row: Int[Array, " c"], z_key: Key[Array, ""], number: Int[Array, " c"], asked: Asked) -> "Noised":
        """See `Normal`."""
        return Noised.of(self.rows(row), normals(z_key, number, self.data), asked)

    def average(self, population: Callable[[Array], Any], over: Callable[[Any], Any], held_out: Any) -> Any:
        """See `Normal`."""
        return over(held_out)

    def floor(self, asked: Asked) -> Any:
        """See `Normal`: unknown."""
        return jnp.nan


Points = Normal | Table
OF_LAW: dict[type[laws.Law], Callable[[Any, int, str], Points]] = {
    laws.Gaussian: lambda law, d, dtype: Normal(np.asarray(law.eigenvalues(d), float)),
    laws.Rows: lambda law, d, dtype: Table(np.asarray(law.rows, dtype)),
}
"""What compiled code draws from, given the dimension and the precision of features."""


class Design(NamedTuple):
    """One trial: a network's frozen features, the points it is trained on, and others."""

    W: Float[Array, "p d"]
    training: Points
    held_out: Points


class Noised(NamedTuple):
    """A chunk of c noisy points y = a x_i + sqrt(h) z_ij; pairs beyond the last one are marked invalid."""

    y: Float[Array, "c d"]
    offset: Float[Array, "c d"]
    """Minus the target alpha x_i + beta z_ij: a network's error is B phi(y) + offset."""
    valid: Bool[Array, " c"]

    @staticmethod
    def of(x: Float[Array, "c d"], z: Float[Array, "c d"], asked: Asked) -> "Noised":
        """Points and noise, all valid."""
        offset = -asked.beta * z if asked.alpha is None else -asked.alpha * x - asked.beta * z
        return Noised(asked.a * x + jnp.sqrt(asked.h) * z, offset, jnp.ones(len(x), bool))


def draw(key: Key[Array, ""], n: Int[Array, ""], p: int, law: Points, W: Float[Array, "p d"] | None = None) -> Design:
    """Draw a trial with n training points and p features, or take the features that were drawn already."""
    W = normals(jax.random.split(key, 3)[0], jnp.arange(p), law[0]) if W is None else W
    return Design(W, *law.drawn(key, n))


def normals(key: Key[Array, "..."], number: Int[Array, " c"], like: Float[Any, "*rows d"]) -> Float[Array, "c d"]:
    """Standard normal vectors, like those given, by their numbers in the stream of a key (or of c)."""

    def one(key: Array, number: Array) -> Array:
        return jax.random.normal(jax.random.fold_in(key, number), like.shape[-1:], jnp.float32)

    drawn = jax.vmap(one, in_axes=(0 if key.ndim else None, 0))(key, number)
    # Compiled together with what follows, one in thousands would be rounded otherwise, in some releases of XLA.
    return jax.lax.optimization_barrier(drawn).astype(like.dtype)


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
