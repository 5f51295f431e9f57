"""Every ridge and every training time from one eigendecomposition.

In the eigenbasis of U (or of K = Phi^T Phi/(n m), where draws are fewer than features) all networks on the way have the
form B = -(f o X)^T F + (e o Y)^T F: X are the training moments and Y the initial network in that basis, f and e one
number per eigenvalue u. Ridge minimisers have f = 1/(u + ridge); gradient flow for a time theta has
e = exp(-(u + ridge) theta) and f = (1 - e)/(u + ridge). Losses are then quadratic forms in f and e.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from rfdsm.simulation._minimiser import eigendecomposition, rank_tolerance
from rfdsm.simulation._moments import Moments, Samples
from rfdsm.simulation._strips import after, bounds, gram, mirrored, product


class Eigenpath(NamedTuple):
    """What all networks of one training set have in common; k eigenvalues."""

    eigenvalues: Float[Array, " k"]
    features: Float[Array, "k p"]
    """F: the basis, as rows."""
    squares: Float[Array, " k"]
    """|F_i|^2."""
    target: Float[Array, "k d"]
    """X."""
    initial: Float[Array, "k d"] | None
    """Y; None for a network that starts from zero."""
    amplitude: Float[Array, " k"]
    """Training loss, per coordinate, that each eigenvector can remove; zero for those that rounding may have made."""
    weak: Float[Array, " k"]
    """|X_i|^2/d of those."""
    rest: Float[Array, ""]
    """Training loss that is left when all of `amplitude` is removed."""


class Filters(NamedTuple):
    """f, e and 1 - u f for a set of K networks."""

    f: Float[Array, "K k"]
    e: Float[Array, "K k"]
    unfitted: Float[Array, "K k"]


def eigenpath(moments: Moments, initial: Float[Array, "d p"] | None = None) -> Eigenpath:
    """From the training moments."""
    U, V, offset_squared = moments
    d = V.shape[1]
    eigenvalues, vectors = eigendecomposition(U)
    kept = eigenvalues > rank_tolerance(eigenvalues)
    target = vectors.T @ V
    square = jnp.sum(target**2, axis=1) / d
    amplitude = jnp.where(kept, square, 0) / jnp.where(kept, eigenvalues, 1)
    rest = jnp.maximum(offset_squared - jnp.sum(amplitude), 0)
    start = None if initial is None else vectors.T @ initial.T
    squares, weak = jnp.ones_like(eigenvalues), jnp.where(kept, 0, square)
    return Eigenpath(jnp.maximum(eigenvalues, 0), vectors.T, squares, target, start, amplitude, weak, rest)


def dual_eigenpath(samples: Samples) -> Eigenpath:
    """From the samples, fewer than the features; for networks that start from zero."""
    phi, offset = samples
    eigenvalues, vectors = eigendecomposition(gram(phi))
    eigenvalues = jnp.maximum(eigenvalues, 0)
    target = vectors.T @ offset
    amplitude = jnp.sum(target**2, axis=1) / offset.shape[1]
    none = jnp.zeros_like(amplitude)
    return Eigenpath(eigenvalues, vectors.T @ phi, eigenvalues, target, None, amplitude, none, none[0])


def ridge_filters(path: Eigenpath, ridges: Float[Array, " K"]) -> Filters:
    """Of the minimisers for positive ridges."""
    shifted = path.eigenvalues + ridges[:, None]
    return Filters(1 / shifted, jnp.zeros_like(shifted), ridges[:, None] / shifted)


def flow_filters(path: Eigenpath, ridge: Float[Array, ""], times: Float[Array, " K"]) -> Filters:
    """Of gradient flow at the given times; time inf is the minimiser, at ridge 0 the nearest to the start.

    Without a ridge nothing moves along eigenvectors whose eigenvalue may be one that rounding made of a zero.
    """
    moving = (ridge > 0) | (path.eigenvalues > rank_tolerance(path.eigenvalues))
    rate = jnp.where(moving, path.eigenvalues, 0) + ridge
    exponent = jnp.where(moving, rate, 1) * times[:, None]
    e = jnp.where(moving, jnp.exp(-exponent), 1)
    safe = jnp.where(moving, rate, 1)
    f = jnp.where(moving, -jnp.expm1(-exponent) / safe, 0)
    return Filters(f, e, jnp.where(moving, (ridge + path.eigenvalues * e) / safe, 1))


def train(path: Eigenpath, filters: Filters) -> Float[Array, " K"]:
    """Training losses, a sum of squares: no digits are lost where it is small."""
    f, e, unfitted = filters
    losses = jnp.maximum(path.rest - (f * (1 + unfitted)) @ path.weak, 0) + unfitted**2 @ path.amplitude
    if path.initial is not None:
        d = path.target.shape[1]
        cross, square = jnp.sum(path.target * path.initial, axis=1) / d, jnp.sum(path.initial**2, axis=1) / d
        losses = losses + 2 * (unfitted * e) @ cross + e**2 @ (path.eigenvalues * square)
    return losses


def norm(path: Eigenpath, filters: Filters) -> Float[Array, " K"]:
    """|B|^2/d."""
    f, e, _ = filters
    d = path.target.shape[1]
    weights = path.squares / d
    total = f**2 @ (weights * jnp.sum(path.target**2, axis=1))
    if path.initial is not None:
        total = total - 2 * (f * e) @ (weights * jnp.sum(path.target * path.initial, axis=1))
        total = total + e**2 @ (weights * jnp.sum(path.initial**2, axis=1))
    return total


def losses(path: Eigenpath, filters: Filters, moments: Moments) -> Float[Array, " K"]:
    """Denoising losses over other moments: offset_squared + (2 tr(B V) + tr(B U B^T))/d.

    One triple product of matrices serves all networks; U F^T is formed once and its product with F by strips.
    """
    d = path.target.shape[1]
    linear = path.features @ moments.V
    parts = [(-filters.f, path.target)]
    if path.initial is not None:
        parts.append((filters.e, path.initial))
    total = jnp.zeros(len(filters.f), linear.dtype)
    for weight, rows in parts:
        total = total + 2 * weight @ jnp.sum(linear * rows, axis=1)
    features, image = path.features, product(path.features, moments.U)
    for low, high in bounds(len(path.eigenvalues)):
        features = after(total[0], features)
        strip = (features[low:high] @ image[:high].T) * mirrored(low, high)
        for left, left_rows in parts:
            for right, right_rows in parts:
                block = strip * (left_rows[low:high] @ right_rows[:high].T)
                total = total + jnp.sum((left[:, low:high] @ block) * right[:, :high], axis=1)
    return moments.offset_squared + total / d
