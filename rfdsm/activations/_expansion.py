"""Hermite coefficients of an activation whose argument has a known mean: what its noise does to it, order by order.

For u = s + sigma g with g standard normal, f(u) = sum_r c_r He_r(g)/sqrt(r!), c_r = E[f(s + sigma g) He_r(g)]/sqrt(r!).
Two features that see correlated noise, correlation rho, have E[f f'] = sum_r c_r c'_r rho^r (Mehler), which is how
second moments of whole feature vectors are computed without drawing any noise.
"""

import math
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rfdsm.activations._quadrature import legendre_rule

BLOCK = 2**19
"""Function values held at once: few enough for the cache, where they are used three times."""
PANEL_ORDER = 12
REACH = 12.0
"""Deviations a panel rule keeps on each side: the mass outside is 4e-33, so the activation may grow like exp(3 |u|)."""


class Expansion(NamedTuple):
    """Of the activation at every mean: c_0 ... c_R, and its second moment (which sums all c_r^2, R to infinity)."""

    coefficients: Float[Array, "terms *shape"]  # noqa: F821
    second: Float[Array, "*shape"]


class HermiteRule(NamedTuple):
    """Gauss-Hermite nodes and weights for averages over a standard normal g."""

    nodes: Float[Array | np.ndarray, " nodes"]
    weights: Float[Array | np.ndarray, " nodes"]

    @property
    def size(self) -> int:
        """Number of nodes."""
        return len(self.nodes)


class PanelRule(NamedTuple):
    """Composite Gauss-Legendre rule, its panels cut at the activation's break points wherever the mean puts these."""

    edges: Float[Array | np.ndarray, " edges"]
    """Of panels for any mean, in deviations from it."""
    points: Float[Array | np.ndarray, " points"]
    """Break points of the activation."""
    offsets: Float[Array | np.ndarray, " offsets"]
    """Further edges on both sides of every break point, in units of the deviation, or of 1 if that is less."""
    nodes: Float[Array | np.ndarray, " nodes"]
    """On a panel [0, 1]."""
    weights: Float[Array | np.ndarray, " nodes"]

    @property
    def size(self) -> int:
        """Number of nodes in all."""
        return (len(self.edges) + len(self.points) * len(self.offsets) - 1) * len(self.nodes)

    def at(self, mean: Any, deviation: Any) -> tuple[Any, Any]:
        """Nodes x and weights for averages over a standard normal x, leading axis; NumPy or JAX as the mean."""
        xp = np if isinstance(mean, np.ndarray) else jnp
        reach, spare = self.edges[-1], (...,) + mean.ndim * (None,)
        offsets = xp.minimum(deviation, 1.0) * self.offsets[spare]
        around = (self.points[:, None][spare] - mean + offsets) / deviation
        around = xp.clip(around.reshape(-1, *mean.shape), -reach, reach)
        edges = xp.concatenate([xp.broadcast_to(self.edges[spare], (len(self.edges), *mean.shape)), around])
        edges = xp.sort(edges, axis=0)
        lengths = xp.diff(edges, axis=0)[:, None]
        x = edges[:-1, None] + lengths * self.nodes[spare]
        weights = xp.exp(-(x**2) / 2) / (2 * np.pi) ** 0.5 * lengths * self.weights[spare]
        return x.reshape(-1, *mean.shape), weights.reshape(-1, *mean.shape)


Rule = HermiteRule | PanelRule


@lru_cache
def hermite_rule(order: int) -> HermiteRule:
    """Gauss-Hermite rule of that many nodes, weights summing to 1."""
    from scipy.special import roots_hermitenorm  # loaded on use: importing the package stays cheap

    nodes, weights = roots_hermitenorm(order)
    return HermiteRule(nodes, weights / weights.sum())


def panel_rule(breakpoints: tuple[float, ...], largest: float, order: int = PANEL_ORDER) -> PanelRule:
    """Panels of at most one and a half deviations, graded towards break points, for deviations up to the largest.

    Structure of the activation of unit scale is resolved near its break points, however large the deviation.
    """
    count = math.ceil(2 * REACH / 1.5)
    doublings = 2.0 ** np.arange(1, math.ceil(math.log2(REACH * largest)) + 1) if largest > 1 else np.zeros(0)
    graded = np.concatenate([[1 / 64, 1 / 16, 1 / 4, 1.0], doublings])
    offsets = np.concatenate([-graded[::-1], np.zeros(1), graded])
    edges = np.linspace(-REACH, REACH, count + 1)
    return PanelRule(edges, np.array(breakpoints), offsets, *legendre_rule(order))


def hermite_functions(x: Any, start: Any, terms: int, reduce: Callable[[Any], Any] = lambda values: values) -> Any:
    """start * He_r(x)/sqrt(r!) for r < terms on a leading axis, NumPy or JAX; `reduce` is applied to every one of them.

    A factor `start` that decays keeps products of large and small finite.
    """

    def body(pair: Any, r: Any) -> Any:
        before, value = pair
        return (value, (x * value - r**0.5 * before) / (r + 1) ** 0.5), reduce(value)

    pair = (0.0 * start, start)
    if not isinstance(x, np.ndarray):  # a loop on the device: unrolled, long series take long to compile
        return jax.lax.scan(body, pair, jnp.arange(terms, dtype=start.dtype))[1]
    values = []
    for r in range(terms):
        pair, value = body(pair, r)
        values.append(value)
    return np.stack(values)


def expand_by_rule(f: Callable[[Array], Array], mean: Array, deviation: Array, terms: int, rule: Rule) -> Expansion:
    """Expansion of any function, by the rule; `mean` and `deviation` of shapes (rows, columns) and (rows, 1).

    Rows are handled in blocks, so that memory beyond the result is a few times `BLOCK` numbers.
    """
    rows, columns = mean.shape
    deviation = jnp.broadcast_to(deviation, (rows, 1))
    rule = jax.tree.map(lambda part: jnp.asarray(part, mean.dtype), rule)
    size = max(1, min(rows, BLOCK // (columns * rule.size)))
    basis: Any = hermite_functions(rule.nodes, rule.weights, terms) if isinstance(rule, HermiteRule) else None

    def averages(mean: Array, deviation: Array) -> tuple[Any, Any]:
        if isinstance(rule, PanelRule):
            x, weights = rule.at(mean, deviation)
            values = f(mean + deviation * x)
            coefficients = hermite_functions(x, weights * values, terms, partial(jnp.sum, axis=0))
            return coefficients, jnp.sum(weights * values**2, axis=0)
        values = f(mean + deviation * rule.nodes[:, None, None]).reshape(rule.size, -1)
        return (basis @ values).reshape(terms, *mean.shape), (rule.weights @ values**2).reshape(mean.shape)

    def block(index: Array, result: Expansion) -> Expansion:
        first = jnp.minimum(index * size, rows - size)  # the last block overlaps the one before
        parts = (jax.lax.dynamic_slice_in_dim(part, first, size) for part in (mean, deviation))
        coefficients, second = averages(*parts)
        return Expansion(
            jax.lax.dynamic_update_slice_in_dim(result.coefficients, coefficients, first, axis=1),
            jax.lax.dynamic_update_slice_in_dim(result.second, second, first, axis=0),
        )

    start = Expansion(jnp.zeros((terms, rows, columns), mean.dtype), jnp.zeros_like(mean))
    return jax.lax.fori_loop(0, -(-rows // size), block, start)


def step_expansion(
    mean: Float[Array, "rows columns"], deviation: Float[Array, "rows 1"], terms: int, softness: float
) -> Float[Array, "terms rows columns"]:
    """Coefficients of erf(u/sqrt(2 softness)), or of sign(u) at softness 0: derivatives of the smeared step."""
    width = jnp.sqrt(deviation**2 + softness)
    c, ratio = mean / width, deviation / width
    density = 2 * jnp.exp(-(c**2) / 2) / (2 * np.pi) ** 0.5 * jnp.ones_like(c)
    r = jnp.arange(1, terms, dtype=c.dtype)[:, None, None]
    derivatives = ratio**r / r**0.5 * hermite_functions(-c, density, terms - 1)
    first = jax.scipy.special.erf(c / 2**0.5) * jnp.ones_like(density)
    return jnp.concatenate([first[None], derivatives])


def ramp_expansion(
    mean: Float[Array, "rows columns"], deviation: Float[Array, "rows 1"], terms: int
) -> Float[Array, "terms rows columns"]:
    """Coefficients of max(u, 0)."""
    c = mean / deviation
    density = jnp.exp(-(c**2) / 2) / (2 * np.pi) ** 0.5
    below = jax.scipy.special.ndtr(c)
    r = jnp.arange(2, max(terms, 3), dtype=c.dtype)[:, None, None]
    derivatives = hermite_functions(-c, deviation * density, max(terms - 2, 1)) / (r * (r - 1)) ** 0.5
    first = jnp.stack([mean * below + deviation * density, deviation * below])
    return jnp.concatenate([first, derivatives])[:terms]
