"""The limiting spectrum of a sample covariance X^T X/n for any spectrum of Sigma, with its overlaps.

With u = x (1 + mu) the resolvent at z = x + i0 is <u/(z (s - u))>, and u is the complex root of

    u - z' + sum_k b_k^2/(u - s_k) = 0,     b_k^2 = w_k s_k^2/psi_n,     z' = z - <s>/psi_n,

an eigenvalue of a matrix with an arrow's shape: inside the support there is exactly one complex pair. Edges are where
dz/du = 0 on the real line. Averages (1/d) tr f(Sigma) delta(x - X^T X/n) weigh u/(z (s - u)) by f(s).

Source: Marchenko and Pastur 1967; Silverstein and Choi 1995 (edges); Ledoit and Peche 2011 (overlaps).
"""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy.optimize
from jaxtyping import Complex, Float

from rfdsm._arrays import module_of

ORDER, PANELS, FINEST = 16, 20, 1e-7
"""Of the quadrature: Gauss-Legendre panels in the angle along a bulk, finer and finer towards edges and necks."""
MANY_PARTS, MANY_PANELS = 10, 6
"""More bulks and necks than that are narrow ones, and have that many panels each; at first, see `ACCURACY`."""
ACCURACY, MOST_NODES = 1e-10, 20_000
"""Relative error of tr S and tr Sigma S, known exactly, down to which panels are doubled, and where that ends."""
ISOTROPIC_ORDER, ISOTROPIC_PANELS = 12, 14
"""Of one bulk, whose density is known in closed form."""
NECK = 2.0
"""Where bulks all but part, dz/du comes that near to 0 in units of psi_n."""
SAME = 1e-12
"""Relative distance of eigenvalues of Sigma that count as one."""


class Bulks(NamedTuple):
    """Where the eigenvalues of the sample covariance lie."""

    psi_n: float
    atoms: Float[np.ndarray, " S"]
    """Eigenvalues > 0 of Sigma, ascending, each once."""
    mass: Float[np.ndarray, " S"]
    critical: Float[np.ndarray, "bulks 2"]
    """u at the edges."""
    edges: Float[np.ndarray, "bulks 2"]
    necks: list[float]
    """Where bulks all but part."""

    @property
    def rank(self) -> float:
        """Of the sample covariance, per dimension."""
        return float(min(self.psi_n, self.mass.sum()))

    @property
    def parts(self) -> int:
        """Number of bulks and necks."""
        return len(self.edges) + len(self.necks)

    def each(self) -> list[tuple[float, float, list[float]]]:
        """Edges of every bulk, and the necks within."""
        return [(low, high, [x for x in self.necks if low < x < high]) for low, high in self.edges.tolist()]

    def roots(self, x: Float[np.ndarray, " places"]) -> Complex[np.ndarray, " places"]:
        """u at places x + i0 in the bulks, imaginary part > 0."""
        psi_n, s, w = self.psi_n, self.atoms, self.mass
        b = np.sqrt(w / psi_n) * s
        arrow = np.zeros((x.size, s.size + 1, s.size + 1))
        arrow[:, 0, 0] = x - np.sum(w * s) / psi_n
        arrow[:, 0, 1:], arrow[:, 1:, 0] = -b, b
        arrow[:, np.arange(1, s.size + 1), np.arange(1, s.size + 1)] = s
        found = np.linalg.eigvals(arrow)
        u = found[np.arange(x.size), np.argmax(found.imag, axis=1)]
        if psi_n == np.sum(w):  # the lower edge is 0, and u there like a root of x
            u = np.where(x < 1e-8 * s[0], 1j * np.sqrt(x * psi_n / np.sum(w / s)), u)
        return _polished(_polished(u, x, psi_n, s, w), x, psi_n, s, w)


def bulks(psi_n: float, s: np.ndarray, w: np.ndarray) -> Bulks:
    """Of samples of n = psi_n d rows, psi_n finite, whose covariance has these eigenvalues and weights."""
    atoms, mass = _merged(s[s > 0], w[s > 0])
    return Bulks(psi_n, atoms, mass, *_edges(psi_n, atoms, mass))


class SampleSpectrum(NamedTuple):
    """Quadrature over the eigenvalues of the sample covariance; the last node is 0, with the mass that lies there."""

    nodes: Float[np.ndarray, " N"]
    weights: Float[np.ndarray, " N"]
    overlap: Callable[[Any], Float[np.ndarray, " N"]]
    """Weights of (1/d) tr f(Sigma) g(sample covariance), from the values of f at the eigenvalues of Sigma."""


def sample_spectrum(psi_n: float, nodes: Any, weights: Any) -> SampleSpectrum:
    """For samples of n = psi_n d rows whose covariance has these eigenvalues and weights, some of them positive."""
    s, w = np.asarray(nodes, float), np.asarray(weights, float) / np.sum(weights)
    if np.isinf(psi_n):
        order = np.argsort(-s)
        return SampleSpectrum(s[order], w[order], lambda f: (w * f)[order])
    found = bulks(psi_n, s, w)
    panels = PANELS if found.parts <= MANY_PARTS else MANY_PANELS
    while True:
        x, weights, overlap = _quadrature(found, s, w, panels)
        first, second = weights @ x / (w @ s) - 1, overlap(s) @ x / (w @ s**2) - 1
        if max(abs(first), abs(second)) < ACCURACY or x.size > MOST_NODES:
            return SampleSpectrum(x, weights, overlap)
        panels *= 2


def _quadrature(found: Bulks, s: np.ndarray, w: np.ndarray, panels: int) -> tuple[Any, Any, Any]:
    """Nodes, their weights, and those of other functions of Sigma."""
    rules = [
        (low + (high - low) * fraction, (high - low) * length)
        for low, high, cuts in found.each()
        for fraction, length in [rule(low, high, cuts, ORDER, panels)]
    ]
    x, length = (np.concatenate(parts) for parts in zip(*rules, strict=True))
    u = found.roots(x)

    def overlap(values: Any) -> np.ndarray:
        f = np.broadcast_to(np.asarray(values, float), s.shape)
        inside = np.imag(u[:, None] / (x[:, None] * (s - u[:, None]))) @ (w * f) / np.pi * length
        return np.append(inside, max(float(np.sum(w * f)) - inside.sum(), 0.0))

    weights = overlap(np.ones_like(s))
    weights[:-1] *= found.rank / weights[:-1].sum()
    weights[-1] = 1 - found.rank
    return np.append(x, 0.0), weights, overlap


def isotropic_spectrum(psi_n: Any) -> tuple[Any, Any]:
    """Nodes and weights for Sigma = 1 and finite psi_n, (*psi_n.shape, N), of which JAX can take derivatives.

    With x = low + (high - low) sin^2(theta/2) the density's root is (high - low) sin(theta)/2. The last node is 0.
    """
    xp = module_of(psi_n)
    psi_n = xp.asarray(psi_n)[..., None]
    ratio = psi_n**-0.5
    low, width = (1 - ratio) ** 2, 4 * ratio
    theta, lengths = angular_rule((0.0, np.pi), ISOTROPIC_ORDER, ISOTROPIC_PANELS)
    x = low + width * np.sin(theta / 2) ** 2
    weights = psi_n * width**2 * np.sin(theta) ** 2 * lengths / (8 * np.pi * x)
    rank = xp.minimum(psi_n, 1.0)
    weights = weights * (rank / xp.sum(weights, axis=-1, keepdims=True))
    return xp.concatenate([x, xp.zeros_like(rank)], -1), xp.concatenate([weights, 1 - rank], -1)


def sample_density(psi_n: float, nodes: Any, weights: Any, points: int) -> tuple[Any, Any, Any, float]:
    """Places in every bulk, the density there, all edges, and the rank of S per dimension."""
    s, w = np.asarray(nodes, float), np.asarray(weights, float) / np.sum(weights)
    found = bulks(psi_n, s, w)
    edges = found.edges
    theta = (np.arange(points) + 0.5) * np.pi / points
    x = (edges[:, :1] + np.diff(edges, axis=1) * np.sin(theta / 2) ** 2).ravel()
    u = found.roots(x)
    density = np.imag(u[:, None] / (x[:, None] * (s - u[:, None]))) @ w / np.pi
    return x, density, edges, found.rank


def rule(low: float, high: float, necks: list[float], order: int, panels: int) -> tuple[np.ndarray, np.ndarray]:
    """Places and lengths along a bulk in units of its own, sin^2(theta/2): the density vanishes like a root."""
    angles = (0.0, *(2 * np.arcsin(np.sqrt((x - low) / (high - low))) for x in necks), np.pi)
    theta, lengths = angular_rule(angles, order, panels)
    return np.sin(theta / 2) ** 2, lengths * np.sin(theta) / 2


def angular_rule(angles: tuple[float, ...], order: int, panels: int) -> tuple[np.ndarray, np.ndarray]:
    """Angles and their lengths, in panels that are finer and finer towards all the angles given."""
    grade = np.append(0.0, np.geomspace(FINEST, 1.0, panels))
    cuts = [np.zeros(1)]
    for a, b in itertools.pairwise(angles):
        half = (b - a) / 2
        cuts += [a + half * grade[1:], b - half * grade[::-1][1:]]
    return panel_rule(np.concatenate(cuts), order)


def panel_rule(edges: np.ndarray, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of Gauss-Legendre rules of this order on panels with these edges."""
    points, weights = np.polynomial.legendre.leggauss(order)
    half = np.diff(edges)[:, None] / 2
    return (edges[:-1, None] + half * (1 + points)).ravel(), (half * weights).ravel()


def _merged(s: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(s)
    s, w = s[order], w[order]
    group = np.concatenate([[0], np.cumsum(np.diff(s) > SAME * s[1:])])
    mass = np.bincount(group, w)
    return np.bincount(group, w * s) / mass, mass


def _polished(u: np.ndarray, x: np.ndarray, psi_n: float, s: np.ndarray, w: np.ndarray) -> np.ndarray:
    """One step of Newton's method on z = u (1 - <1>/psi_n) + <u^2/(u - s)>/psi_n, the equation without cancellation
    where u is small: next to an edge at 0 eigenvalues know half of the digits."""
    constant = 1 - np.sum(w) / psi_n

    def excess(u: np.ndarray) -> np.ndarray:
        return u * constant + (u[:, None] ** 2 / (u[:, None] - s)) @ w / psi_n - x

    with np.errstate(all="ignore"):  # a step that leads nowhere is not taken
        before = excess(u)
        slope = constant + ((u[:, None] ** 2 - 2 * u[:, None] * s) / (u[:, None] - s) ** 2) @ w / psi_n
        new = u - before / slope
        better = (np.abs(excess(new)) < np.abs(before)) & (new.imag > 0)
    return np.where(better, new, u)


def _edges(psi_n: float, s: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[float]]:
    """Ends of the bulks, by the real u at which sum w s^2/(u - s)^2 = psi_n, and where bulks all but part."""

    def level(u: float) -> float:
        return float(np.sum(w * s**2 / (u - s) ** 2)) - psi_n

    def place(u: float) -> float:
        return float(u + np.sum(w * s * u / (u - s)) / psi_n)

    reach = np.sqrt(np.sum(w) / psi_n)
    critical = [_bracketed(level, s[0] * (1 - 1e-14), s[0] - 2 * s[-1] * (1 + reach) / min(1, np.sqrt(psi_n)), -1)]
    necks = []
    for low, high in itertools.pairwise(s):
        inner = float(scipy.optimize.fminbound(level, low, high, xtol=1e-12 * (high - low)))  # pyright: ignore[reportArgumentType]
        if level(inner) < 0:
            critical += [_bracketed(level, low, inner, 1), _bracketed(level, high, inner, -1)]
        elif level(inner) < NECK * psi_n:
            necks.append(place(inner))
    critical.append(_bracketed(level, s[-1], s[-1] * (2 + 2 * reach), 1))
    places = np.array([place(u) for u in critical])
    if psi_n == np.sum(w):  # the lower edge is 0
        critical[0] = places[0] = 0.0
    return np.reshape(critical, (-1, 2)), np.maximum(places.reshape(-1, 2), 0.0), necks


def _bracketed(level: Callable[[float], float], pole: float, far: float, side: int) -> float:
    """Root between a pole, where the level is infinite, and a place where it is negative."""
    near = pole + side * 1e-9 * abs(far - pole)
    while level(near) <= 0:
        near = pole + (near - pole) / 10
    found: Any = scipy.optimize.brentq(level, near, far, xtol=1e-300, rtol=np.float64(8.9e-16))
    return float(found)
