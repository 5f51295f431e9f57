"""The linear denoiser at finite d: samples, the regression, the law it generates, and how far that is from the target.

Divergences between normal laws come by triangular factors: no determinant is ever formed.

Source: docs/linear, section 6.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from rfdsm import _laws as laws
from rfdsm._samples import covariance_frame
from rfdsm.losses import GeneratedLaw

Array = jax.Array | np.ndarray


class Fitted(NamedTuple):
    """A denoiser x = b0 + b1 y and the normal law N(mean, spread b1 b1^T) it generates in one step."""

    b1: Float[Array, "d d"]
    offset: Float[Array, " d"]
    """b0 + b1 a mu - mu: the error of the denoised population mean."""
    mean: Float[Array, " d"]
    """Mean of the generated law, relative to mu."""
    spread: Float[Array, ""]
    """Variance a^2 tr S/d + eta of the noisy point that sampling starts from."""
    train: Float[Array, ""]
    """Training loss per coordinate, without the penalty."""


class Sample(NamedTuple):
    """Training points relative to mu, their mean removed, and that mean; rows from the n-th on are zero."""

    rows: Float[Array, "N d"]
    mean: Float[Array, " d"]
    n: Any
    mask: Float[Array, " N"]


def normal_rows(key: Any, rows: int, d: int) -> Float[Array, "rows d"]:
    """Standard normal rows, row i from fold_in(key, i): a longer array begins with the shorter one."""
    return jax.vmap(lambda i: jax.random.normal(jax.random.fold_in(key, i), (d,)))(jnp.arange(rows))


class Normal(NamedTuple):
    """The law N(0, diag(deviations^2)) that points are drawn from."""

    deviations: Float[Array, " d"]

    def points(self, key: Any, count: int) -> Float[Array, "count d"]:
        """So many points."""
        return normal_rows(key, count, self.deviations.shape[0]) * self.deviations

    def tested(self, key: Any, fitted: Fitted, n: Any, a: Any, eta: Any, floor: Any, excess: Any) -> tuple[Any, Any]:
        """Loss on fresh points of one that was fitted to n, and its excess, of which is given what the law says."""
        return floor + excess, excess


class Table(NamedTuple):
    """Rows about their mean, and the deviations along the eigenvectors of their covariance, the axes of both."""

    deviations: Float[Array, " d"]
    rows: Float[Array, "rows d"]

    def points(self, key: Any, count: int) -> Float[Array, "count d"]:
        """See `Normal`: different rows, and again from the first when there are no more."""
        return self.rows[jnp.resize(self._order(key), (count,))]

    def tested(self, key: Any, fitted: Fitted, n: Any, a: Any, eta: Any, floor: Any, excess: Any) -> tuple[Any, Any]:
        """See `Normal`: on all rows but the n of this key. The best denoiser of real data is unknown."""
        rows, outside = self.rows[self._order(key)], jnp.arange(len(self.rows), dtype=jnp.result_type(n)) >= n
        missed = jnp.sum((rows - a * rows @ fitted.b1.T - fitted.offset) ** 2, axis=1)
        test = (jnp.mean(missed, where=outside) + eta * jnp.sum(fitted.b1**2)) / rows.shape[1]
        return test, jnp.full_like(test, jnp.nan)

    def _order(self, key: Any) -> Array:
        return jax.random.permutation(key, len(self.rows))


OF_LAW: dict[type[laws.Law], Callable[[Any, int], Normal | Table]] = {
    laws.Gaussian: lambda law, d: Normal(np.sqrt(law.eigenvalues(d))),
    laws.Rows: lambda law, d: Table(*covariance_frame(law.rows)),
}
"""What compiled code draws from."""


def draw(key: Any, n: Any, padded: int, law: Normal | Table) -> Sample:
    """n points, centred, in an array of `padded` rows, so that few sizes are compiled."""
    mask = (jnp.arange(padded, dtype=jnp.result_type(n)) < n).astype(law.deviations.dtype)
    rows = law.points(key, padded) * mask[:, None]
    mean = jnp.sum(rows, axis=0) / n
    return Sample((rows - mean) * mask[:, None], mean, n, mask)


def fit(sample: Sample, key: Any, kind: str, m: Any, a: Any, eta: Any, ridge: Any) -> Fitted:
    """Ridge regression with intercept on m noisy draws of every point.

    Which system is solved, always by Cholesky, is `kind`: "exact" for m = inf, the expectation over the noise; "primal"
    (d x d) where n m > d, with draws generated one after the other, so that neither memory nor compilation depends on
    m; "dual" (n m x n m, m a Python integer) otherwise, the solution of minimum norm if ridge = 0.
    """
    rows, n = sample.rows, sample.n
    d = rows.shape[1]
    spread = a**2 * jnp.sum(rows**2) / ((n - 1) * d) + eta
    if kind == "exact":
        gram = rows.T @ rows / n
        b1 = _solve(a**2 * gram + (eta + ridge) * jnp.eye(d), a * gram).T
        noise_mean = jnp.zeros(d)
        lost = rows - a * rows @ b1.T
        train = (jnp.sum(lost**2) / n + eta * jnp.sum(b1**2)) / d
    elif kind == "dual":
        b1, noise_mean, train = _dual(sample, key, m, a, eta, ridge)
    else:
        b1, noise_mean, train = _primal(sample, key, m, a, eta, ridge)
    # the mean of y is a x_mean + sqrt(eta) noise_mean, so b0 = x_mean - b1 (a x_mean + sqrt(eta) noise_mean)
    pushed = b1 @ (jnp.sqrt(eta) * noise_mean)
    offset = sample.mean - a * b1 @ sample.mean - pushed
    return Fitted(b1, offset, sample.mean - pushed, spread, train)


def _noise(key: Any, draw_index: Any, sample: Sample) -> Array:
    return normal_rows(jax.random.fold_in(key, draw_index), *sample.rows.shape) * sample.mask[:, None]


def _primal(sample: Sample, key: Any, m: Any, a: Any, eta: Any, ridge: Any) -> tuple[Array, Array, Array]:
    rows = sample.rows
    total = sample.n * jnp.asarray(m, rows.dtype)
    d = rows.shape[1]

    def add(j, carry):
        return carry + jnp.sum(_noise(key, j, sample), axis=0)

    noise_mean = jax.lax.fori_loop(0, m, add, jnp.zeros(d)) / total

    def points(j):
        return a * rows + jnp.sqrt(eta) * (_noise(key, j, sample) - noise_mean * sample.mask[:, None])

    def accumulate(j, carry):
        gram, cross = carry
        y = points(j)
        return gram + y.T @ y / total, cross + y.T @ rows / total

    gram, cross = jax.lax.fori_loop(0, m, accumulate, (jnp.zeros((d, d)), jnp.zeros((d, d))))
    b1 = _solve(gram + ridge * jnp.eye(d), cross).T

    def residual(j, carry):
        return carry + jnp.sum((rows - points(j) @ b1.T) ** 2)

    return b1, noise_mean, jax.lax.fori_loop(0, m, residual, jnp.zeros(())) / (total * d)


def _dual(sample: Sample, key: Any, m: int, a: Any, eta: Any, ridge: Any) -> tuple[Array, Array, Array]:
    total = sample.n * m
    d = sample.rows.shape[1]
    mask = jnp.tile(sample.mask, m)
    noise = jnp.concatenate([_noise(key, j, sample) for j in range(m)])
    noise_mean = jnp.sum(noise, axis=0) / total
    targets = jnp.tile(sample.rows, (m, 1))
    y = a * targets + jnp.sqrt(eta) * (noise - noise_mean * mask[:, None])
    kernel = y @ y.T / total
    # centred points leave the direction of ones in the kernel's null space, where the targets vanish too: fill it
    filled = kernel + jnp.trace(kernel) / total**2 * mask[:, None] * mask
    weights = _solve(filled + ridge * jnp.eye(mask.size) + jnp.diag(1 - mask), targets)
    # targets - y b1^T = ridge * weights, without the subtraction
    return weights.T @ y / total, noise_mean, jnp.sum((ridge * weights) ** 2) / (total * d)


def _solve(matrix: Array, right: Array) -> Array:
    return jax.scipy.linalg.cho_solve((jnp.linalg.cholesky(matrix), True), right)


def log_determinant(factor: Float[Array, "k k"]) -> Float[Array, ""]:
    """log det of a matrix from its lower Cholesky factor."""
    return 2 * jnp.sum(jnp.log(jnp.diagonal(factor)))


def statistics(
    root: Float[Array, "k d"],
    mean: Float[Array, " k"],
    target: Float[Array, " k"],
    smoothing: Any,
    *,
    d: int,
    bare: bool,
    singular: bool,
    wasserstein: bool,
) -> GeneratedLaw:
    """Per dimension, N(mean, root root^T) against N(0, diag(target)), both smoothed by N(0, smoothing).

    Args:
        root: any square root of the covariance, restricted to the k directions in which the data vary.
        d: dimension the sums are divided by.
        bare: whether there is no smoothing: the root itself is then factorised, not the covariance, whose condition
            number is the square.
        singular: whether a bare covariance has no inverse; what needs one is then inf.
        wasserstein: whether to compute that distance, the one value that needs eigenvalues; NaN otherwise.
    """
    k = target.shape[0]
    eye = jnp.eye(k, dtype=target.dtype)
    scale = target if bare else target + smoothing
    covariance = root @ root.T
    law = covariance if bare else covariance + smoothing * eye
    both = jnp.concatenate([jnp.diag(jnp.sqrt(scale)), mean[:, None]], axis=1)
    distance = jnp.full((), jnp.nan, target.dtype)
    if wasserstein:
        deviation = jnp.sqrt(scale)
        values = jnp.linalg.eigvalsh(deviation[:, None] * law * deviation)
        distance = jnp.sum(mean**2) + jnp.sum(scale) + jnp.trace(law) - 2 * jnp.sum(jnp.sqrt(jnp.maximum(values, 0.0)))
    infinite = jnp.full((), jnp.inf, target.dtype)
    kl = reverse = overlap = infinite
    logdet = -infinite
    if not singular:
        if bare:
            upper = jnp.linalg.qr(root.T, mode="r")  # covariance = upper^T upper
            logdet = 2 * jnp.sum(jnp.log(jnp.abs(jnp.diagonal(upper))))
            pulled = jax.scipy.linalg.solve_triangular(upper, both, trans=1)
        else:
            factor = jnp.linalg.cholesky(law)
            logdet = log_determinant(factor)
            pulled = jax.scipy.linalg.solve_triangular(factor, both, lower=True)
        middle = jnp.linalg.cholesky((law + jnp.diag(scale)) / 2)
        across = jax.scipy.linalg.solve_triangular(middle, mean[:, None], lower=True)
        log_target = jnp.sum(jnp.log(scale))
        kl = (jnp.sum(jnp.diagonal(law) / scale) + jnp.sum(mean**2 / scale) - k - logdet + log_target) / 2
        reverse = (jnp.sum(pulled**2) - k + logdet - log_target) / 2
        overlap = jnp.sum(across**2) / 8 + log_determinant(middle) / 2 - (logdet + log_target) / 4
        if k < d:  # directions in which neither law varies
            logdet = -infinite if bare else logdet + (d - k) * jnp.log(smoothing)
    values = (kl, reverse, overlap, distance, logdet, jnp.trace(covariance))
    return GeneratedLaw(**{name: value / d for name, value in zip(GeneratedLaw.NAMES, values, strict=True)})
