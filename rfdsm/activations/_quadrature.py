"""Quadrature for Gaussian averages of functions that are smooth except at a few known points.

Gauss-Hermite rules converge slowly as soon as a function has a kink, a jump or structure much finer than one standard
deviation. The rule used here is a composite Gauss-Legendre rule whose panels shrink geometrically towards the declared
break points, so each panel sees an analytic function that varies on the scale of the panel.
"""

from collections.abc import Callable
from functools import cache, partial
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rfdsm._batches import filled

ORDER = 16  # nodes per panel
HALF_WIDTH = 9.0  # standard deviations kept on each side: the mass outside is 2e-19
_TINY = 1e-280  # floor of a variance, so that derivatives stay finite at zero variance
_COARSE = 3.0  # distance, in standard deviations, up to which panels grow geometrically
_BATCH = 8  # pairs of variances handled at once: bounds memory at a few megabytes per buffer
_BLOCK = 2**13  # points at which a compiled function is evaluated at once
Values = Array | np.ndarray


@cache
def legendre_rule(order: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights, each of shape (order,), of the Gauss-Legendre rule on [0, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(order)
    return (1.0 + nodes) / 2.0, weights / 2.0


@cache
def _panel_maps(panels: int, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Matrices taking panel edges to nodes and panel widths to weights (in XLA far faster than broadcasting)."""
    abscissae, weights = legendre_rule(order)
    identity = np.eye(panels + 1)
    to_nodes = np.kron(identity[:, :-1], 1.0 - abscissae) + np.kron(identity[:, 1:], abscissae)
    return to_nodes, np.kron(np.eye(panels), weights)


def _outwards(xp: ModuleType, near: Any, start: Any, half_width: float) -> Any:
    """Panel edges: those near a break point, then growing geometrically from `start`, then wide ones."""
    growing = start * (_COARSE / start) ** (np.arange(5) / 4)
    return xp.concatenate([near, growing, np.linspace(_COARSE, 2.0 * half_width, 4)[1:]])


def _unit_offsets(xp: ModuleType, deviation: Any, half_width: float) -> Any:
    """Panel edges (distances from a break point) for structure of unit scale under a Gaussian of this deviation."""
    return _outwards(xp, np.zeros(1), xp.minimum(1.0 / deviation, 1.0), half_width)


def _smeared_offsets(xp: ModuleType, blur: Any, deviation: Any, half_width: float) -> Any:
    """The same when a kink has been smeared by another Gaussian of deviation `blur`.

    The smeared kink has Gaussian tails, which geometric panels would miss: a few panels as wide as the blur come first.
    """
    unit = xp.minimum(xp.minimum(blur, 1.0) / deviation, _COARSE / 8.0)
    return _outwards(xp, unit * np.array([0.0, 1.5, 3.0, 5.0]), 8.0 * unit, half_width)


def gaussian_rule(
    centres: Float[Values, "*batch breaks"], offsets: Float[Values, " edges"], order: int, half_width: float
) -> tuple[Float[Values, "*batch nodes"], Float[Values, "*batch nodes"]]:
    """Nodes and weights for averages over a standard normal variable, with panels graded towards the centres.

    `centres` must be sorted; centres outside the range move to its ends. Every centre owns the cell up to half-way to
    its neighbours, and panels are cut at the cell's border (panels of zero width are harmless), which keeps shapes
    static without sorting edges. nodes = breaks * 2(edges - 1) * order. Computed by NumPy if the centres are its.
    """
    xp = np if isinstance(centres, np.ndarray) else jnp
    centres = xp.clip(centres, -half_width, half_width)
    middles = (centres[..., 1:] + centres[..., :-1]) / 2.0
    end = xp.full((*centres.shape[:-1], 1), half_width)
    lower, upper = xp.concatenate([-end, middles], axis=-1), xp.concatenate([middles, end], axis=-1)
    steps = xp.concatenate([-offsets[:0:-1], offsets])
    edges = xp.clip(centres[..., None] + steps, lower[..., None], upper[..., None])
    to_nodes, to_weights = _panel_maps(edges.shape[-1] - 1, order)
    flat = (*centres.shape[:-1], -1)
    nodes = (edges @ to_nodes).reshape(flat)
    weights = (xp.diff(edges) @ to_weights).reshape(flat)
    return nodes, weights * xp.exp(-(nodes**2) / 2.0) / np.sqrt(2.0 * np.pi)


def _pair(
    xp: ModuleType,
    function: Callable[[Any], Any],
    breakpoints: tuple[float, ...],
    symmetric: bool,
    order: int,
    half_width: float,
    pair: tuple[Any, Any],
) -> tuple[Any, Any, Any, Any]:
    """Moments at one pair of variances, computed by `xp`, which is jax.numpy or numpy."""
    shared, private = (xp.maximum(variance, _TINY) for variance in pair)
    total, outer, inner = xp.sqrt(shared + private), xp.sqrt(shared), xp.sqrt(private)
    breaks = xp.asarray(breakpoints, total.dtype)

    nodes, weights = gaussian_rule(breaks / total, _unit_offsets(xp, total, half_width), order, half_width)
    values = function(total * nodes)
    mean = weights @ values
    slope = weights @ (nodes * (values - mean)) / total
    square = weights @ values**2

    # Removing the affine part first makes the errors of mean and slope enter squared, and leaves nothing to cancel.
    offsets = _unit_offsets(xp, outer, half_width) if symmetric else _smeared_offsets(xp, inner, outer, half_width)
    nodes, weights = gaussian_rule(breaks / outer, offsets, order, half_width)
    if symmetric:
        nodes, weights = nodes[len(nodes) // 2 :], 2.0 * weights[len(weights) // 2 :]
    common = outer * nodes
    centres = (breaks[None] - common[:, None]) / inner
    inner_nodes, inner_weights = gaussian_rule(centres, _unit_offsets(xp, inner, half_width), order, half_width)
    points = common[:, None] + inner * inner_nodes
    residual = function(points) - mean - slope * points
    conditional = xp.sum(inner_weights * residual, axis=1)
    variance = xp.sum(inner_weights * (residual - conditional[:, None]) ** 2, axis=1)
    return slope, weights @ conditional**2, weights @ variance, square


def split_moments(
    function: Callable[[Array], Array],
    breakpoints: tuple[float, ...],
    symmetric: bool,
    shared: Float[Array, "*shape"],
    private: Float[Array, "*shape"],
    order: int = ORDER,
    half_width: float = HALF_WIDTH,
) -> tuple[Float[Array, "*shape"], ...]:
    """mu1, v0^2, beta_a and E f^2 of an elementwise function, by nested split rules.

    With f~ the function minus its best affine fit, s ~ N(0, shared) and r ~ N(0, private):
    v0^2 = E_s (E_r f~(s + r))^2 and beta_a = E_s Var_r f~(s + r); both are sums of squares, hence never negative.

    `breakpoints` are sorted. `symmetric` promises an analytic function, even or odd up to its affine part, with 0 as
    only break point: a pair then costs 3e4 function values, otherwise 1e5 with one break point.
    """
    # Reverse-mode derivatives recompute the function values of a pair instead of keeping those of all pairs.
    body = jax.checkpoint(partial(_pair, jnp, function, breakpoints, symmetric, order, half_width))
    # A remainder would be compiled separately: fill up the last batch instead.
    batch = max(1, min(_BATCH, shared.size))
    fill = jnp.ones(-shared.size % batch, shared.dtype)
    pairs = (jnp.concatenate([part.ravel(), fill]) for part in (shared, private))
    flat = jax.lax.map(body, tuple(pairs), batch_size=batch)
    return tuple(part[: shared.size].reshape(shared.shape) for part in flat)


def split_moments_of_few(
    function: Callable[[np.ndarray], Any],
    breakpoints: tuple[float, ...],
    symmetric: bool,
    shared: Float[np.ndarray, " pairs"],
    private: Float[np.ndarray, " pairs"],
) -> tuple[np.ndarray, ...]:
    """The same by NumPy, of a compiled function: 2 ms per pair, where compiling the rule takes half a second."""

    def values(points: np.ndarray) -> np.ndarray:
        count = -(-points.size // _BLOCK)
        blocks = filled(points.ravel(), count * _BLOCK).reshape(count, _BLOCK)
        return np.concatenate([np.asarray(function(block)) for block in blocks])[: points.size].reshape(points.shape)

    pairs = zip(shared, private, strict=True)
    with np.errstate(all="ignore"):  # as compiled code: what overflows is seen by the check of the rule
        found = [_pair(np, values, breakpoints, symmetric, ORDER, HALF_WIDTH, pair) for pair in pairs]
    return tuple(np.array(part) for part in zip(*found, strict=True))


class Arcs(NamedTuple):
    """Angles phi = arcsin(c / (G^2 + softness)) at covariance c = shared (start) and c = G^2 (end).

    The step from start to end, and the fall of the cosine along it, are computed from `private`, not by subtraction.
    """

    start: Array
    step: Array
    cos_start: Array
    cos_end: Array
    sin_end: Array
    fall: Array

    @staticmethod
    def between(shared: Array, private: Array, softness: float) -> "Arcs":
        """Angles at given variances; `softness` is what the activation adds to G^2."""
        total = shared + private
        radius = total + softness
        cos_start = jnp.sqrt((private + softness) * (radius + shared)) / radius
        # sqrt(0) would turn derivatives into NaN
        cos_end = jnp.sqrt(softness * (radius + total)) / radius if softness else jnp.zeros_like(total)
        rise = private / radius
        fall = rise * (total + shared) / radius / (cos_start + cos_end + 1e-300)
        step = 2.0 * jnp.arcsin(jnp.hypot(rise, fall) / 2.0)
        return Arcs(jnp.arctan2(shared / radius, cos_start), step, cos_start, cos_end, total / radius, fall)

    def integrate(self, integrand: Callable[[Array, Array], Array]) -> tuple[Array, Array]:
        """Integrals of integrand(phi, cos phi) over [0, start] and [start, end]; entire functions, so 16 nodes do."""
        nodes, weights = legendre_rule(16)
        nodes = nodes.reshape(*[1] * self.start.ndim, -1)
        low = self.start[..., None] * nodes
        high = self.start[..., None] + self.step[..., None] * nodes
        back = self.step[..., None] * (1.0 - nodes)
        cos_high = self.cos_end[..., None] * jnp.cos(back) + self.sin_end[..., None] * jnp.sin(back)
        return self.start * (integrand(low, jnp.cos(low)) @ weights), self.step * (integrand(high, cos_high) @ weights)


class PiecewiseChebyshev(NamedTuple):
    """Interpolant of several functions of one variable by Chebyshev series on panels of equal width.

    coefficients: shape (quantities, panels, degree + 1); the domain is [lower, upper].
    """

    lower: float
    upper: float
    coefficients: np.ndarray

    @staticmethod
    def nodes(lower: float, upper: float, panels: int, degree: int) -> np.ndarray:
        """Points at which the functions must be known, shape (panels, degree + 1)."""
        edges = np.linspace(lower, upper, panels + 1)
        local = np.polynomial.chebyshev.chebpts1(degree + 1)
        return (edges[1:, None] + edges[:-1, None]) / 2.0 + (upper - lower) / (2.0 * panels) * local

    @staticmethod
    def fit(lower: float, upper: float, values: np.ndarray) -> "PiecewiseChebyshev":
        """From `values` at the nodes, shape (quantities, panels, degree + 1)."""
        degree = values.shape[-1] - 1
        points = np.polynomial.chebyshev.chebpts1(degree + 1)
        matrix = np.polynomial.chebyshev.chebvander(points, degree) * (2.0 / (degree + 1))
        matrix[:, 0] /= 2.0
        return PiecewiseChebyshev(lower, upper, values @ matrix)

    def tails(self) -> np.ndarray:
        """Size of the last two coefficients, shape (quantities, panels): the interpolation error, up to a few units."""
        return np.abs(self.coefficients[..., -2:]).sum(-1)

    def __call__(self, points: Float[Array | np.ndarray, "..."]) -> Array:
        """Values at `points` (any shape, inside the domain), shape (quantities, *points.shape); traceable."""
        panels, terms = self.coefficients.shape[1:]
        position = (points - self.lower) * (panels / (self.upper - self.lower))
        panel = jnp.clip(jnp.asarray(position).astype(int), 0, panels - 1)
        local = 2.0 * (position - panel.astype(position.dtype)) - 1.0
        # The coefficients of a panel lie side by side, so that each point reads one stretch of memory.
        series = jnp.asarray(jnp.moveaxis(self.coefficients, 0, -1))[panel]
        previous = current = jnp.zeros(1)
        for term in range(terms - 1, 0, -1):  # Clenshaw
            previous, current = current, series[..., term, :] + 2.0 * local[..., None] * current - previous
        return jnp.moveaxis(series[..., 0, :] + local[..., None] * current - previous, -1, 0)


def padded(values: np.ndarray) -> np.ndarray:
    """A vector repeated at its end up to a power of two: few sizes, few compilations."""
    return filled(values, 2 ** (values.size - 1).bit_length())
