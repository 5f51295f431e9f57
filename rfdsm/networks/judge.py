"""What samples of a network tell, each statistic beside that of a perfect generator and of one that copies: `judge`.

statistics   of one set of samples            alignment    between the law of the data and the training set's density
judge        of three sets                    nearer_to    the same as a sign, densities as smooth as the points allow
"""

from typing import Any, NamedTuple

import numpy as np

from rfdsm._arguments import check_whole
from rfdsm._samples import check_rows
from rfdsm._values import number
from rfdsm.sampling import metrics

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
    """Squared distance to the law of the data, see `alignment`."""
    to_training: float
    """To the kernel density of the training set, in the same unit."""
    position: float
    """Between both: 1 at the law, -1 at the training set."""


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
    rows, train, new = _rows(samples, training, fresh)
    half = len(new) // 2
    if half < new.shape[1] + 2:
        raise ValueError(f"fresh has {len(new)} rows, must have at least 2 (d + 2) = {2 * (new.shape[1] + 2)}")
    law, perfect = new[:half], new[half:]
    return Judged(*(statistics(x, train, law) for x in (rows, perfect, copies(train, len(perfect), seed=seed))))


def copies(training: Any, count: Any, *, seed: int = 0) -> np.ndarray:
    """What a generator returns that has memorised: training points with a little noise, shape (count, d).

    Args:
        training: shape (n, d).
        count: how many, drawn with replacement.
        seed: of the drawing and the noise.

    Examples:
        >>> from rfdsm.networks import judge
        >>> judge.copies([[0.0, 1.0], [2.0, 3.0]], 5).shape
        (5, 2)
    """
    train, rng = check_rows(training, "training"), np.random.default_rng(seed)
    spread = NOISE * float(np.sqrt(np.mean(np.var(train, axis=0))))
    drawn = train[rng.integers(0, len(train), check_whole("count", count, 1))]
    return drawn + spread * rng.normal(size=drawn.shape)


def statistics(samples: Any, training: Any, fresh: Any) -> Statistics:
    """Of one set of samples; all of `fresh` stand for the law of the data.

    Args:
        samples, training, fresh: shapes (N, d), (n, d), (M, d).

    Raises:
        ValueError: arrays that do not fit or are not finite.

    Examples:
        >>> import numpy as np
        >>> from rfdsm.networks import judge
        >>> x = np.random.default_rng(0).normal(size=(300, 3))
        >>> found = judge.statistics(judge.copies(x[:20], 100), x[:20], x[20:])
        >>> found.copied, found.sign, bool(abs(found.position + 1) < 0.3)
        (1.0, -1.0, True)
    """
    near, placed = metrics.memorised(samples, training, fresh), alignment(samples, training, fresh)
    sign = nearer_to(samples, training, fresh)
    return Statistics(near.fraction, float(near.nearest[1]), sign, placed.to_fresh, placed.to_training, placed.position)


class Alignment(NamedTuple):
    """Where the law of samples lies between that of the data and the kernel density of the training set."""

    to_fresh: float
    """Squared distance to the law of the data, without bias: 0 on average for a perfect generator."""
    to_training: float
    """To the training set's kernel density: 0 on average for a generator that copies."""
    apart: float
    """Of both from each other: what `to_training` is of a perfect generator, and `to_fresh` of one that copies."""
    position: float
    """(to_training - to_fresh)/apart: 1 at the law, -1 at the training set, 1 - 2 c where a share c are copies."""


def alignment(samples: Any, training: Any, fresh: Any, *, width: Any = None) -> Alignment:
    """Distances of generated samples to the law of the data and to the kernel density of the training set, in one unit.

    Distances are squared maximum mean discrepancies, which are squared distances of densities that are smoothed by
    normal kernels of `width`/sqrt(2), over that of a kernel. The training set is a density as it is; samples and fresh
    points stand for their laws. `position` > 0 is Delta > 0 of arXiv 2411.17807 with the law itself for the
    original data: a perfect generator has it with certainty, a copier never. Laws that are far from both (distances
    much larger than `apart`) have any position: it is their shadow on the line between the two.

    Args:
        samples: shape (N >= 2, d).
        training: the points trained on, (n >= 2, d).
        fresh: points of the data's law that were not trained on, (M >= 2, d); more than n, or `position` is uncertain.
        width: of the kernel; default half the median distance among fresh points.

    Raises:
        ValueError: arrays that do not fit or are not finite, a width that is not > 0.

    Examples:
        >>> import numpy as np
        >>> from rfdsm.networks import judge
        >>> x = np.random.default_rng(0).normal(size=(3000, 4))
        >>> placed = judge.alignment(x[:1000], x[1000:1050], x[1050:])
        >>> abs(placed.to_fresh) < 0.1 * placed.apart, bool(abs(placed.position - 1) < 0.3)
        (True, True)
    """
    g, t, f = _rows(samples, training, fresh)
    for name, points in (("training", t), ("fresh", f)):
        if points.shape[1] != g.shape[1]:
            raise ValueError(f"{name} has {points.shape[1]} columns, must be as many as samples, {g.shape[1]}")
    among = _squares(f, f)
    if width is None:
        scale = float(np.median(among[np.triu_indices(len(f), 1)])) / 4
    else:
        scale = number("width", width, "> 0", lambda w: w > 0) ** 2
    if not scale > 0:
        raise ValueError("fresh has a median distance of 0, must be > 0: give a width")
    gg, tt, gt, gf, tf = (_kernel(_squares(*x), scale) for x in ((g, g), (t, t), (g, t), (g, f), (t, f)))
    generated, law, density = _unbiased(gg), _unbiased(_kernel(among, scale)), float(tt.mean())
    apart = density + law - 2 * float(tf.mean())
    to_fresh = generated + law - 2 * float(gf.mean())
    to_training = generated + density - 2 * float(gt.mean())
    return Alignment(to_fresh, to_training, apart, (to_training - to_fresh) / apart if apart > 0 else np.nan)


def nearer_to(samples: Any, training: Any, fresh: Any) -> float:
    """Sign of Delta = |K_G - K_train|^2 - |K_G - K_fresh|^2: -1 where the samples are nearer to the training points.

    All K are densities of normal kernels of one width, sigma N^{-1/d}, on N training and as many fresh points: no
    set is smoother than another. A perfect generator has either sign, a copier -1. Samples need not be normal, as they
    are in `sampling.metrics.relative_distance`.

    Source: definition arXiv 2411.17807.
    """
    g, t, f = _rows(samples, training, fresh)
    count, d = min(len(t), len(f)), g.shape[1]
    t, f = t[:count], f[:count]
    width = float(np.sqrt(np.mean(np.var(fresh, axis=0)))) * count ** (-1 / d)
    tt, ff, gt, gf = (np.mean(np.exp(-_squares(*x) / (4 * width**2))) for x in ((t, t), (f, f), (g, t), (g, f)))
    return float(np.sign(tt - ff - 2 * (gt - gf)))


def discrepancy(samples: Any, points: Any, width: Any = None) -> float:
    """Squared maximum mean discrepancy with a normal kernel, unbiased: 0 on average for two samples of one law.

    Args:
        samples, points: shapes (N, d), (M, d).
        width: of the kernel; default the median distance among `points`.

    Source: Gretton et al. 2012, equation 3.
    """
    x, y = check_rows(samples, "samples"), check_rows(points, "points")
    inside, across, own = (_squares(a, b) for a, b in ((x, x), (x, y), (y, y)))
    if width is None:
        scale = float(np.median(own[np.triu_indices(len(y), 1)]))
    else:
        scale = number("width", width, "> 0", lambda w: w > 0) ** 2
    return _unbiased(_kernel(inside, scale)) + _unbiased(_kernel(own, scale)) - 2 * float(_kernel(across, scale).mean())


def _kernel(squares: np.ndarray, scale: float) -> np.ndarray:
    return np.exp(-squares / (2 * scale))


def _unbiased(kernel: np.ndarray) -> float:
    """Mean over pairs of different points."""
    count = len(kernel)
    return float((kernel.sum() - np.trace(kernel)) / (count * (count - 1)))


def _squares(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.maximum(np.sum(x**2, 1)[:, None] + np.sum(y**2, 1) - 2 * x @ y.T, 0.0)


def _rows(samples: Any, training: Any, fresh: Any) -> list[np.ndarray]:
    named = {"samples": samples, "training": training, "fresh": fresh}
    return [check_rows(x, name) for name, x in named.items()]
