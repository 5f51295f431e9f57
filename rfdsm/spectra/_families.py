"""Spectra that are given by formulas: equal eigenvalues, a few of them, power laws."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rfdsm._hints import Count, Number, Numbers
from rfdsm._values import is_traced, number, whole_number
from rfdsm.spectra._compression import relative_error
from rfdsm.spectra._spectrum import Spectrum, non_negative_vector

_PANEL_NODES = 32  # Gauss-Legendre nodes per panel of the reference rule of `power_law`
_MOST_NODES = 1000  # of `power_law`: one more costs as much as all before it
_LOG_RANGE_LIMIT = 600.0  # exp(600) is still far from overflow once multiplied by any sensible variance


def isotropic(variance: Number = 1.0) -> Spectrum:
    """Sigma = variance * identity, the setting of the papers.

    Raises ValueError unless variance is finite and > 0 (a traced one is not checked).
    """
    if is_traced(variance):
        return atoms([variance])
    variance = number("variance", variance, "finite and > 0", lambda v: v > 0)
    return Spectrum(np.array([variance]), np.ones(1), "isotropic" if variance == 1 else f"isotropic({variance:g})")


def atoms(values: Numbers, weights: Numbers | None = None) -> Spectrum:
    """Sigma with the given distinct eigenvalues.

    Args:
        values: eigenvalues, shape (S,), non-negative, not all zero; repeated values are merged.
        weights: fractions of the d directions, shape (S,), non-negative; scaled to sum 1. Default: all equal.

    Both may be traced by JAX (to differentiate a loss in the spectrum); they are then taken as they are.
    Raises ValueError for values or weights out of range.

    Examples:
        >>> from rfdsm import spectra
        >>> spectra.atoms([0.5, 1.5], weights=[0.75, 0.25]).mean
        0.75
    """
    if is_traced(values) or is_traced(weights):
        import jax.numpy as jnp

        nodes = jnp.asarray(values, dtype=float)
        fractions = jnp.ones_like(nodes) if weights is None else jnp.asarray(weights, dtype=float)
        return Spectrum(nodes, fractions / fractions.sum(), f"atoms({nodes.shape[0]})")
    nodes = non_negative_vector("values", values)
    fractions = np.ones(nodes.size) if weights is None else non_negative_vector("weights", weights)
    if fractions.shape != nodes.shape:
        raise ValueError(f"weights must be as many as values, got {fractions.size} weights for {nodes.size} values")
    if not fractions.max() > 0:
        raise ValueError("weights must include one > 0, got only zeros")
    fractions = fractions / fractions.max()  # first, so that the sum cannot overflow
    nodes, inverse = np.unique(nodes[fractions > 0], return_inverse=True)
    fractions = np.bincount(inverse, fractions[fractions > 0])
    if not nodes[-1] > 0:
        raise ValueError("values must include one > 0 with positive weight, got only zeros")
    return Spectrum(nodes, fractions / fractions.sum(), f"atoms({nodes.size})")


def power_law(exponent: Number, cutoff: Number, nodes: Count = 32, variance: Number = 1.0) -> Spectrum:
    """Power-law covariance: at quantile x (uniform on [cutoff, 1]) the eigenvalue is proportional to x^-exponent.

    The ratio of the largest to the smallest eigenvalue is cutoff^-exponent, the mean is `variance`. The rule is
    Gauss-Legendre in log x, in which resolvents are analytic in a strip, so its error falls geometrically with `nodes`;
    `error` is measured against a composite rule exact to rounding.

    Exponent, cutoff and variance may be traced by JAX (to differentiate a loss in them); they are then taken as they
    are, and `error` is NaN. With an exponent of 0 there are `nodes` equal eigenvalues then, and one otherwise.

    Raises ValueError unless exponent is finite and >= 0, cutoff is in (0, 1], nodes is from 2 to 1000, variance is
    finite and > 0, and exponent * log(1/cutoff) <= 600.

    Examples:
        >>> from rfdsm import spectra
        >>> spectrum = spectra.power_law(exponent=1.0, cutoff=0.01)
        >>> round(float(spectrum.nodes.max() / spectrum.nodes.min()))
        99
    """
    nodes = whole_number("nodes", nodes, 2, _MOST_NODES)
    exponent = exponent if is_traced(exponent) else number("exponent", exponent, "finite and >= 0", lambda v: v >= 0)
    cutoff = cutoff if is_traced(cutoff) else number("cutoff", cutoff, "in (0, 1]", lambda v: 0 < v <= 1)
    variance = variance if is_traced(variance) else number("variance", variance, "finite and > 0", lambda v: v > 0)
    if is_traced([exponent, cutoff, variance]):
        return _traced_power_law(exponent, cutoff, nodes, variance)
    length = -math.log(cutoff)
    if exponent * length > _LOG_RANGE_LIMIT:
        raise ValueError(f"exponent * log(1/cutoff) must be <= {_LOG_RANGE_LIMIT:g}, got {exponent * length:.6g}")
    label = f"power_law(exponent={exponent:g}, cutoff={cutoff:g})"
    if exponent * length == 0:
        return Spectrum(np.array([variance]), np.ones(1), label)

    def rule(edges: np.ndarray, order: int) -> tuple[np.ndarray, np.ndarray]:
        points, lengths = np.polynomial.legendre.leggauss(order)
        half = np.diff(edges)[:, None] / 2
        s = ((edges[:-1, None] + half) + half * points).ravel()  # s = log 1/x, dx = e^-s ds
        weights = (half * lengths).ravel() * np.exp(-s)
        weights /= weights.sum()
        eigenvalues = np.exp(exponent * (s - length))
        return eigenvalues * (variance / (weights @ eigenvalues)), weights

    short = rule(np.array([0.0, length]), nodes)
    panels = math.ceil(length * max(exponent, 1.0) / 4)
    reference = rule(np.linspace(0.0, length, panels + 1), _PANEL_NODES)
    return Spectrum(*short, label, relative_error(*short, *reference))


def _traced_power_law(exponent: Any, cutoff: Any, nodes: int, variance: Any) -> Spectrum:
    """The rule of `power_law` inside a JAX transformation, in float64, given in JAX's default float."""
    import jax.numpy as jnp

    from rfdsm._scope import jax_scope

    default = jnp.result_type(float)
    points, lengths = np.polynomial.legendre.leggauss(nodes)
    with jax_scope():
        exponent, cutoff, variance = (jnp.asarray(value, dtype=float) for value in (exponent, cutoff, variance))
        length = -jnp.log(cutoff)
        s = length / 2 * (1 + points)
        weights = lengths * jnp.exp(-s)
        weights = weights / weights.sum()
        eigenvalues = jnp.exp(exponent * (s - length))
        eigenvalues = eigenvalues * (variance / (weights @ eigenvalues))
        return Spectrum(eigenvalues.astype(default), weights.astype(default), "power_law", math.nan)
