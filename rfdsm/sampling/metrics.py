"""What samples look like, beside the training points and fresh ones: metrics of arrays, whoever generated them.

fit_gaussian        mean, covariance, divergences to a normal law, without the bias of a finite number of samples
memorised           how near samples come to training points, beside the same for as many fresh points
relative_distance   whether the law of samples is nearer to the training points or to fresh ones, in one unit
"""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from rfdsm._arguments import number_array
from rfdsm._printing import Printed
from rfdsm._samples import check_rows
from rfdsm._scope import jax_scope
from rfdsm._values import number, one_line
from rfdsm.sampling import _overlaps as overlaps

QUANTILES = (0.05, 0.5, 0.95)


class GaussianFit(Printed):
    """A normal law fitted to samples, and its divergences to a normal law N(0, Sigma), per dimension.

    Divergences are unbiased if samples are normal: the mean of a Wishart matrix' inverse and of its log determinant are
    known. They are NaN for too few samples: KL(generated || target) takes d + 1 of them, the reverse d + 3.
    """

    mean: Float[np.ndarray, " d"]
    covariance: Float[np.ndarray, "d d"]
    trace: float
    """Of the covariance, per dimension."""
    logdet: float
    kl: float
    """KL(generated || target)/d."""
    reverse_kl: float
    """KL(target || generated)/d."""


class Memorised(Printed):
    """How near samples come to training points, and how near fresh points do: a perfect generator equals the latter."""

    fraction: float
    """Of samples nearer to one training point than `ratio` times the distance to the second nearest."""
    fraction_null: float
    """Of fresh points."""
    fraction_error: float
    """Standard error of the difference of both."""
    nearest: Float[np.ndarray, " quantiles"]
    """Quantiles of the distance to the nearest training point over sqrt(d)."""
    nearest_null: Float[np.ndarray, " quantiles"]
    """Of fresh points."""
    quantiles: tuple[float, ...] = eqx.field(static=True, default=QUANTILES)


class RelativeDistance(Printed):
    """Delta = |G - K_train|^2 - |G - K_fresh|^2, G the law of samples, K densities of kernels on the points.

    Both kernel densities have width sigma N^{-1/d}, N their own number of points: the one unit in which sets of
    different sizes can be compared.
    """

    sign: float
    """+1: the law is nearer to fresh points than to the training set; -1: it memorises."""
    log_distance: float
    """log |Delta| + (d/2) log(4 pi sigma^2)."""


def fit_gaussian(samples: Any, target: Any = None) -> GaussianFit:
    """The normal law of samples, against N(0, target).

    Args:
        samples: shape (samples, d).
        target: covariance, shape (d, d), or the variances of independent coordinates, (d,), or one number; None: 1.

    Raises:
        ValueError: samples that are no finite array of two rows or more; a target that is no covariance.
    """
    rows = check_rows(samples, "samples")
    N, d = rows.shape
    inverse, log_target, root = _target(target, d)
    mean = rows.mean(axis=0)
    centred = rows - mean
    nu = N - 1
    covariance = centred.T @ centred / nu
    quadratic = (1 - 1 / N) * np.sum(inverse * covariance) + mean @ inverse @ mean  # the mean has errors of its own
    kl = reverse = logdet = np.nan
    sign, found = np.linalg.slogdet(covariance)
    if nu >= d and sign > 0:
        from scipy.special import digamma  # loaded on use: importing the package stays cheap

        bias = np.sum(digamma((nu + 1 - np.arange(1, d + 1)) / 2)) + d * np.log(2 / nu)
        logdet = float(found - bias) / d
        kl = (float(quadratic + log_target) / d - 1 - logdet) / 2
    if nu > d + 1 and sign > 0:
        both = np.column_stack([root, mean])
        quotient = (nu - d - 1) / nu * np.sum(both * np.linalg.solve(covariance, both)) - d / N
        reverse = (float(quotient - log_target) / d - 1 + logdet) / 2
    return GaussianFit(mean, covariance, float(np.trace(covariance)) / d, logdet, kl, reverse)


def memorised(
    samples: Any, training: Any, fresh: Any, *, ratio: Any = overlaps.NEIGHBOUR_RATIO, quantiles: Any = QUANTILES
) -> Memorised:
    """Distances of samples to their nearest training points, beside those of fresh points of the data's law.

    Args:
        samples: shape (samples, d).
        training: the points trained on, shape (n >= 2, d).
        fresh: points of the same law that were not trained on, as many as there are samples, or about.
        ratio: a sample counts as copied if its nearest training point is nearer than this times the second nearest.
        quantiles: which of the nearest distance to give.

    Raises:
        ValueError: arrays that do not fit or are not finite, a ratio or quantiles that are not from 0 to 1.
    """
    rows, train, new = _three(samples, training, fresh)
    ratio = number("ratio", ratio, "from 0 to 1", lambda x: 0 <= x <= 1)
    places = np.atleast_1d(number_array("quantiles", quantiles, "from 0 to 1"))
    if places.ndim > 1 or not np.all((places >= 0) & (places <= 1)):
        raise ValueError(f"quantiles = {one_line(quantiles)} must be numbers from 0 to 1")
    with jax_scope():
        found = [np.asarray(overlaps.blockwise(points, train)) for points in (rows, new)]
    fractions = [float(np.mean(overlaps.copied(distances, ratio))) for distances in found]
    variance = sum(f * (1 - f) / len(distances) for f, distances in zip(fractions, found, strict=True))
    first = [np.quantile(distances[:, 0], places) / np.sqrt(rows.shape[1]) for distances in found]
    values: Any = (*fractions, float(np.sqrt(variance)), *first, tuple(places.tolist()))
    return Memorised(*values)


def relative_distance(samples: Any, training: Any, fresh: Any, *, sigma: Any = None) -> RelativeDistance:
    """Whether the law of samples is nearer to the training points or to fresh ones.

    Args:
        samples: shape (samples, d), more than d of them: a normal law is fitted to them. Or a pair (mean, covariance).
        training: the points trained on, shape (n >= 2, d).
        fresh: many points of the data's law, shape (N >= 2, d).
        sigma: width of the kernels; None: deviation of the fresh points per coordinate.

    Raises:
        ValueError: arrays that do not fit, or too few samples to fit a law.

    Source: definition arXiv 2411.17807; docs/linear, section 7.
    """
    if isinstance(samples, tuple):
        mean, covariance = (number_array("samples", part, "a mean and a covariance") for part in samples)
        if mean.ndim != 1 or covariance.shape != (mean.size, mean.size):
            raise ValueError(
                f"samples = (mean, covariance) must have shapes (d,), (d, d), got {mean.shape}, {covariance.shape}"
            )
        _, train, new = _three(mean * np.ones((2, 1)), training, fresh)
    else:
        rows, train, new = _three(samples, training, fresh)
        least = rows.shape[1] + 2
        if len(rows) < least:
            raise ValueError(f"samples has {len(rows)} rows, must have at least d + 2 = {least} to fit a law")
        mean, covariance = rows.mean(axis=0), np.cov(rows.T).reshape(rows.shape[1], -1)
    if sigma is None:
        width = float(np.sqrt(np.mean(np.var(new, axis=0))))
    else:
        width = number("sigma", sigma, "> 0", lambda x: x > 0)

    def pairs(points: Any) -> Any:
        return overlaps.log_pair_sum(points, width**2 * len(points) ** (-2 / len(mean)))

    with jax_scope():
        train, new = jnp.asarray(train), jnp.asarray(new)
        mask, others = jnp.ones(len(train)), overlaps.Fresh(new, pairs(new))
        found = overlaps.relative_distance(train, mask, pairs(train), others, mean, covariance, width)
        return RelativeDistance(*map(float, found))


def _three(samples: Any, training: Any, fresh: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows, train, new = (
        check_rows(values, name) for name, values in (("samples", samples), ("training", training), ("fresh", fresh))
    )
    for name, values in (("training", train), ("fresh", new)):
        if values.shape[1] != rows.shape[1]:
            raise ValueError(f"{name} has {values.shape[1]} columns, must be as many as samples, {rows.shape[1]}")
    return rows, train, new


def _target(target: Any, d: int) -> tuple[np.ndarray, float, np.ndarray]:
    """Inverse covariance, log determinant, and a square root of the covariance."""
    given = np.ones(()) if target is None else number_array("target", target, "a covariance")
    matrix = np.diag(np.broadcast_to(given, d)) if given.ndim == 0 or given.shape == (d,) else given
    if matrix.shape != (d, d):
        raise ValueError(f"target must be a covariance of shape ({d}, {d}) or ({d},), got shape {given.shape}")
    if not np.allclose(matrix, matrix.T, rtol=1e-6, atol=1e-12 * np.abs(matrix).max()):
        raise ValueError("target must be symmetric")
    try:
        root = np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        raise ValueError(
            "target must be positive definite: divergences to a law without a density are infinite"
        ) from None
    return np.linalg.inv(matrix), float(2 * np.sum(np.log(np.diag(root)))), root
