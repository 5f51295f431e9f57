"""What samples of a network tell, each statistic beside that of a perfect generator and of one that copies: `judge`."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from rfdsm.samples import check_rows
from rfdsm.sampling import metrics
from rfdsm.scope import jax_scope
from rfdsm.values import number

NOISE = 0.05
"""Deviation of copies from training points, in units of that of the data."""


class Statistics(NamedTuple):
    """Of one set of samples."""

    copied: float
    """Share nearer to one training point than 1/3 of the distance to the second."""
    nearest: float
    """Median distance to the nearest training point over sqrt(d)."""
    sign: float
    """Of the relative distance: +1 nearer to fresh points, -1 to the training set; see `nearer_to`."""
    to_fresh: float
    """Squared discrepancy to fresh points, see `discrepancy`."""
    to_training: float
    """The same to the training points."""


class Judged(NamedTuple):
    """Three sets of samples by the same measures."""

    generated: Statistics
    perfect: Statistics
    """Fresh points, which nothing else uses."""
    copier: Statistics
    """Training points with a little noise."""


def judge(samples: Any, training: Any, fresh: Any, *, seed: int = 0) -> Judged:
    """Samples by every metric, beside the null and the alternative in the same units.

    Args:
        samples: shape (N, d).
        training: the points trained on, (n, d).
        fresh: points of the same law that were not trained on: half of them stand for the law, the others for a perfect
            generator.
        seed: of the copies.

    Raises:
        ValueError: arrays that do not fit or are not finite, fewer than 2 (d + 2) fresh points.

    Examples:
        >>> import numpy as np
        >>> from rfdsm.networks import judge
        >>> x = np.random.default_rng(0).normal(size=(300, 3))
        >>> judged = judge.judge(x[:50], x[50:100], x[100:])
        >>> judged.copier.copied > 0.8 > judged.generated.copied, judged.copier.sign
        (True, -1.0)
    """
    rows, train, new = (
        check_rows(x, name) for x, name in ((samples, "samples"), (training, "training"), (fresh, "fresh"))
    )
    half = len(new) // 2
    if half < new.shape[1] + 2:
        raise ValueError(f"fresh has {len(new)} rows, must have at least 2 (d + 2) = {2 * (new.shape[1] + 2)}")
    law, perfect = new[:half], new[half:]
    rng = np.random.default_rng(seed)
    spread = NOISE * float(np.sqrt(np.mean(np.var(train, axis=0))))
    copies = train[rng.integers(0, len(train), len(perfect))]
    copies = copies + spread * rng.normal(size=copies.shape)
    return Judged(*(_statistics(x, train, law) for x in (rows, perfect, copies)))


def _statistics(samples: np.ndarray, training: np.ndarray, law: np.ndarray) -> Statistics:
    near = metrics.memorised(samples, training, law)
    return Statistics(
        near.fraction,
        float(near.nearest[1]),
        nearer_to(samples, training, law),
        discrepancy(samples, law),
        discrepancy(samples, training),
    )


def nearer_to(samples: Any, training: Any, fresh: Any) -> float:
    """Sign of Delta = |K_G - K_train|^2 - |K_G - K_fresh|^2: -1 where the samples are nearer to the training points.

    All K are densities of normal kernels of one width, sigma N^{-1/d}, on N training and as many fresh points: no
    set is smoother than another. A perfect generator has either sign, a copier -1. Samples need not be normal, as they
    are in `sampling.metrics.relative_distance`.

    Source: definition arXiv 2411.17807.
    """
    g, t, f = (check_rows(x, n) for x, n in ((samples, "samples"), (training, "training"), (fresh, "fresh")))
    count, d = min(len(t), len(f)), g.shape[1]
    t, f = t[:count], f[:count]
    width = float(np.sqrt(np.mean(np.var(fresh, axis=0)))) * count ** (-1 / d)
    with jax_scope():
        overlaps = [
            np.mean(np.exp(-np.asarray(_squares(*pair)) / (4 * width**2))) for pair in ((t, t), (f, f), (g, t), (g, f))
        ]
    return float(np.sign(overlaps[0] - overlaps[1] - 2 * (overlaps[2] - overlaps[3])))


def discrepancy(samples: Any, points: Any, width: Any = None) -> float:
    """Squared maximum mean discrepancy with a normal kernel, unbiased: 0 on average for two samples of one law.

    Args:
        samples, points: shapes (N, d), (M, d).
        width: of the kernel; default the median distance among `points`.

    Source: Gretton et al. 2012, equation 3.
    """
    x, y = check_rows(samples, "samples"), check_rows(points, "points")
    with jax_scope():
        inside, across, own = (np.asarray(_squares(a, b)) for a, b in ((x, x), (x, y), (y, y)))
    scale = (
        float(np.median(own[np.triu_indices(len(y), 1)]))
        if width is None
        else number("width", width, "> 0", lambda w: w > 0) ** 2
    )

    def kernel(squares: np.ndarray) -> np.ndarray:
        return np.exp(-squares / (2 * scale))

    def unbiased(squares: np.ndarray) -> float:
        count = len(squares)
        return float((kernel(squares).sum() - count) / (count * (count - 1)))

    return unbiased(inside) + unbiased(own) - 2 * float(kernel(across).mean())


def _squares(x: np.ndarray, y: np.ndarray) -> Any:
    a, b = jnp.asarray(x), jnp.asarray(y)
    return jnp.maximum(jnp.sum(a**2, 1)[:, None] + jnp.sum(b**2, 1)[None] - 2 * a @ b.T, 0.0)
