"""The population's spectrum from few rows: the Marchenko-Pastur equation, which is linear in it, inverted.

The eigenvalues of a sample covariance are spread wider than those of the population unless the rows are many times the
dimension. With gamma = d/rows and v(z) the Stieltjes transform of the rows' Gram matrix, the population's spectrum H
obeys z + 1/v(z) = gamma <s/(1 + s v(z))>_H at every z off the positive axis. Weights on a fine grid of s are fitted to
that at many z by non-negative least squares (El Karoui, Annals of Statistics 36, 2757, 2008).

How far the estimate errs is told by repeating it: on three quarters of the rows, drawn without replacement (a
bootstrap would draw rows twice, and pairs of equal rows look like fewer rows), and, where rows or columns are few, on
Gaussian rows drawn from the estimate. Of s rows out of n the estimate deviates from that of all by ((n - s)/s)^(1/2)
standard errors, or more, as the inversion is harder; so its scatter errs on the safe side. What no part can show,
because none sees the small eigenvalues, the Gaussian rows do. And of all that sets the
estimate apart from the sample's own spectrum, one row's share is never taken for known: two rows tell the mean alone.
"""

import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from rfdsm._machine import lapack_threads
from rfdsm.spectra._compression import EPS, thin

ANGLES = (1.0, 0.5, 0.25)
"""The equation is fitted on rays at these angles, in units of pi: the narrower, the finer what they resolve."""
HEAVY = 1e3
"""Weight of the two exact equations, total mass and mean, beside those of the rays."""
LARGEST_EXCESS = 0.1
"""The correction for finite sizes goes no further, relative: near a hard edge at 0 it is no expansion any more."""
SMALLEST = 1e-4
"""Where the rows cannot tell how small eigenvalues are: smallest positive one of the grid, over the mean."""
REPEATS = 12
"""Repetitions of each kind that the error is taken from."""
ALIKE = 32
"""Nodes of laws that go through theory one after another."""
FEW = 200
"""Up to so many degrees of freedom or columns Gaussian rows are drawn as well."""


class RepeatedRowsWarning(UserWarning):
    """Some rows of the data are exact copies of others."""


class Law(NamedTuple):
    """A spectrum: nodes and weights, ascending."""

    nodes: Float[np.ndarray, " nodes"]
    weights: Float[np.ndarray, " nodes"]


class Sample(NamedTuple):
    """What the estimate is made of."""

    eigenvalues: Float[np.ndarray, " rank"]
    """Positive ones of the covariance, its divisor the degrees of freedom."""
    freedom: int
    """Degrees of freedom: rows less one, for the mean."""
    d: int
    """Columns."""
    rank: int
    """Directions in which the population may vary."""


class Estimate(NamedTuple):
    """The spectrum and its repetitions."""

    law: Law
    own: Law
    """The sample's own spectrum."""
    freedom: int
    parts: list[Law]
    """From random parts of the rows."""
    scale: float
    """Standard errors of the estimate in one deviation of a part's."""
    gaussian: list[Law]
    """From Gaussian rows drawn from `drawn`."""
    drawn: Law
    """The estimate as d eigenvalues can have it."""

    @property
    def uncertainty(self) -> float:
        """Twice the standard error of <1/(1 + x lambda)> at the x where it is largest."""
        x = np.logspace(-2, 3, 21)[:, None] / (self.law.weights @ self.law.nodes)
        return 2 * float(self.error(lambda law: (law.weights / (1 + x * law.nodes)).sum(axis=1)).max())

    def error(self, value: Callable[[Law], np.ndarray]) -> np.ndarray:
        """Standard error of anything that follows from the spectrum: the largest of the three (see the module)."""
        here = value(self.law)
        found = [np.abs(value(self.own) - here) / self.freedom]
        if self.parts:
            found.append(self.scale * np.sqrt(np.mean([(value(law) - here) ** 2 for law in self.parts], axis=0)))
        if self.gaussian:
            centre = value(self.drawn)
            found.append(np.sqrt(np.mean([(value(law) - centre) ** 2 for law in self.gaussian], axis=0)))
        return np.max(found, axis=0)


@lapack_threads()
def sample(centred: Float[np.ndarray, "rows d"], rank: int = 0) -> Sample:
    """Eigenvalues of rows whose mean was removed.

    The rank is found from the rows unless given: columns that never vary do not count, and where fewer directions vary
    than rows could show, the population has no more.
    """
    count, d = centred.shape
    gram = centred.T @ centred if d <= count else centred @ centred.T
    eigenvalues = np.linalg.eigvalsh(gram) / (count - 1)
    eigenvalues = eigenvalues[eigenvalues > max(count, d) * EPS * eigenvalues[-1]][-(count - 1) :]
    if not rank:
        varying = int(np.sum(np.ptp(centred, axis=0) > 0))
        rank = eigenvalues.size if eigenvalues.size < count - 1 else max(varying, eigenvalues.size)
    return Sample(eigenvalues, count - 1, d, rank)


def estimate(of: Sample) -> Law:
    """The population's spectrum; its mean is the sample's, tr/d with the degrees of freedom as the divisor."""
    eigenvalues, freedom, d, rank = of
    mean = eigenvalues.sum() / rank
    largest, smallest = float(eigenvalues[-1]), float(min(eigenvalues[0], mean))
    if rank == 1:
        nodes, weights = np.array([mean]), np.ones(1)
    else:
        hidden = eigenvalues.size < rank or eigenvalues.size == freedom  # eigenvalues that the rows may not show
        lowest = min(0.3 * smallest, mean * (SMALLEST if hidden else 1))
        grid = _geometric(lowest, largest * (1 + 2 * (2 / freedom) ** 0.5), 30)
        # Where the rows are many the equation is solved by the sample's own eigenvalues.
        own = eigenvalues[:: -(-eigenvalues.size // 60)]
        grid = np.unique(np.concatenate([np.zeros(int(hidden)), grid, own, [mean]]))
        radii = _geometric(0.03 * min(smallest, mean * SMALLEST if hidden else smallest), 10 * max(largest, mean), 10)
        nodes, weights = _fitted(eigenvalues, rank / freedom, freedom, radii, grid, mean)
    nodes = nodes * (mean / (weights @ nodes))
    if rank < d:
        nodes, weights = np.append(0.0, nodes), np.append(1 - rank / d, weights * (rank / d))
        if nodes[1] == 0:
            nodes, weights = nodes[1:], np.append(weights[0] + weights[1], weights[2:])
    return Law(nodes, weights)


def estimated(centred: Float[np.ndarray, "rows d"]) -> Estimate:
    """The estimate and its repetitions, always the same for the same rows."""
    whole = sample(centred)
    law = estimate(whole)
    rng = np.random.default_rng(0)
    count = len(centred)
    size = max(2, 3 * count // 4)
    parts: list[Law] = []
    while size < count and len(parts) < REPEATS:
        part = centred[rng.permutation(count)[:size]]
        part = part - part.mean(axis=0)
        # Rows that are all the same say nothing; there are others, or the part would be the whole.
        if np.abs(part).max() > count * EPS * np.abs(centred).max():
            parts.append(estimate(sample(part, whole.rank)))
    values = quantiles(law, centred.shape[1])
    gaussian: list[Law] = []
    if not parts or min(whole.freedom, whole.rank) <= FEW:
        gaussian = [estimate(sample(gaussian_rows(values, count, rng), whole.rank)) for _ in range(REPEATS)]
    own = np.append(np.zeros(values.size - whole.eigenvalues.size), whole.eigenvalues)
    scale = (size / max(count - size, 1)) ** 0.5
    return Estimate(law, _of_equal(own), whole.freedom, parts, scale, gaussian, _of_equal(values))


def warn_if_repeated(rows: Float[np.ndarray, "rows d"]) -> None:
    """A RepeatedRowsWarning says how many rows are copies of others."""
    if copies := repeated(rows):
        warnings.warn(
            f"data repeats rows: {copies} of {len(rows)} are copies of others and count as independent samples; if "
            "they are not, drop them: numpy.unique(rows, axis=0)",
            RepeatedRowsWarning,
            stacklevel=1,  # one place, whoever calls: said once
        )


def repeated(rows: Float[np.ndarray, "rows d"]) -> int:
    """How many rows are exact copies of an earlier one."""
    return len(rows) - len({row.tobytes() for row in np.ascontiguousarray(rows + 0.0)})  # -0.0 is 0.0


def alike(law: Law) -> Law:
    """The same law on exactly `ALIKE` nodes: functions compiled for one serve all."""
    points, weights, _ = thin(law.nodes, law.weights, ALIKE, float(law.weights @ law.nodes))
    copies = np.full(points.size, ALIKE // points.size) + (np.arange(points.size) < ALIKE % points.size)
    return Law(np.repeat(points, copies), np.repeat(weights / copies, copies))


def quantiles(law: Law, d: int) -> Float[np.ndarray, " d"]:
    """d eigenvalues at the quantiles of a law, and of its mean."""
    places = np.searchsorted(np.cumsum(law.weights), (np.arange(d) + 0.5) / d * law.weights.sum())
    values = law.nodes[np.minimum(places, law.nodes.size - 1)]
    return values * (law.weights @ law.nodes / values.mean())


def gaussian_rows(values: Float[np.ndarray, " d"], count: int, rng: np.random.Generator) -> Float[np.ndarray, "rows d"]:
    """Gaussian rows of that covariance, less their mean."""
    rows = rng.standard_normal((count, values.size)) * np.sqrt(values)
    return rows - rows.mean(axis=0)


def _of_equal(values: np.ndarray) -> Law:
    nodes, counts = np.unique(values, return_counts=True)
    return Law(nodes, counts / values.size)


def _geometric(low: float, high: float, per_decade: int) -> np.ndarray:
    return np.geomspace(low, high, int(np.ceil(per_decade * np.log10(high / low))) + 2)


def _fitted(
    eigenvalues: np.ndarray, gamma: float, freedom: int, radii: np.ndarray, grid: np.ndarray, mean: float
) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights that fit the equation at radii * exp(i angle), each divided by its left-hand side."""
    from scipy.optimize import nnls  # loaded on use: importing the package stays cheap

    z = np.concatenate([radii * (-1 if angle == 1 else np.exp(1j * np.pi * angle)) for angle in ANGLES])
    distance = 1 / (eigenvalues - z[:, None])
    # z + 1/v without its cancellation: v = -(1 - q)/z.
    q = distance @ eigenvalues / freedom
    v, left = -(1 - q) / z, -z * q / (1 - q)
    # For Gaussian rows v exceeds its limit by (v''/(2 v') - v'/v)/rows on average (Bai and Silverstein 2004), the
    # left-hand side by that times -1/v' more than the right.
    unseen = freedom - eigenvalues.size
    first, half_second = (((distance**k).sum(axis=1) + unseen * (-1 / z) ** k) / freedom for k in (2, 3))
    excess = (half_second / first - first / v) / (freedom * first * left)
    excess /= np.maximum(1, np.abs(excess) / LARGEST_EXCESS)
    parts = gamma * grid / (1 + grid * v[:, None]) / left[:, None]
    exact = [np.full(grid.size, HEAVY), HEAVY * grid / mean]
    target = np.concatenate([1 + excess.real, excess.imag, [HEAVY, HEAVY]])
    weights, _ = nnls(np.vstack([parts.real, parts.imag, *exact]), target, maxiter=100 * grid.size)
    kept = weights > 0
    return grid[kept], weights[kept] / weights.sum()
