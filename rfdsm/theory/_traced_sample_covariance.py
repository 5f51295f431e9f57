"""The limiting spectrum of a sample covariance as JAX differentiates it: by n/d and by Sigma's spectrum.

Where quadrature nodes lie is found by NumPy (`sample_covariance`), in a callback whose arrays have one shape whatever
the number of bulks. All that depends on psi_n, s and w is then written as functions of them,

    edges     z(u*), dz/du = 0 at u*
    nodes     low + (high - low) f, fractions f fixed
    u         root of z(u) = node

with z(u) = u (1 - <1>/psi_n) + <u^2/(u - s)>/psi_n, whose roots have derivatives by the implicit function theorem.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rfdsm._batches import filled
from rfdsm.theory._sample_covariance import bulks, rule

LEAST, EACH = 1280, 256
"""Nodes of the quadrature, shared by all bulks and necks: as many, or so many for each eigenvalue of Sigma."""
ORDER = 16
APART = 1e-6
"""Where samples are as many as the rank of Sigma, to this accuracy, derivatives by n/d are taken beside that place:
there the mass of the null directions has a kink, which cancels against the density next to it."""


class TracedSpectrum(NamedTuple):
    """Quadrature over the eigenvalues of the sample covariance, shape (N,), the last one 0; see `overlap`."""

    nodes: Any
    weights: Any
    inside: Any
    """What a unit of weight in Sigma's spectrum has at every node but the last, (N - 1, S)."""
    of: Any
    """Weights of Sigma's spectrum, (S,)."""

    def overlap(self, values: Any) -> Any:
        """Weights of (1/d) tr f(Sigma) g(sample covariance), from the values of f at the eigenvalues of Sigma."""
        found = jnp.sum(self.inside * (self.of * values), axis=1)
        return jnp.append(found, jnp.maximum(jnp.sum(self.of * values) - jnp.sum(found), 0.0))


def traced_sample_spectrum(psi_n: Any, s: Any, w: Any) -> TracedSpectrum:
    """For samples of n = psi_n d rows, psi_n finite; numbers and vectors (S,), some or all of them traced."""
    s, w, psi_n = (jnp.asarray(value, float) for value in (s, w, psi_n))
    rank = jnp.sum(jnp.where(s > 0, w, 0.0))
    psi_n = jnp.where(jnp.abs(psi_n - rank) < APART * rank, psi_n + 2 * APART * rank, psi_n)
    size = max(LEAST, EACH * s.size)
    fixed = (jax.lax.stop_gradient(value) for value in (psi_n, s, w))
    # As words: where the callback runs, nobody may have asked for double precision.
    words = jax.ShapeDtypeStruct((6, size, 2), jnp.uint32)
    laid_out = jax.pure_callback(partial(_layout, size), words, *fixed, vmap_method="sequential")
    low, high, fraction, length, real, imaginary = jax.lax.bitcast_convert_type(laid_out, float)
    parameters = psi_n, s, w
    ends = [_place(_root(_slope, guess, parameters), parameters) for guess in (low, high)]
    below = jnp.maximum(ends[0], 0.0)
    x = below + (ends[1] - below) * fraction
    a, b = (part[:, None] for part in _complex_root(real, imaginary, (*parameters, x)))
    resolvent = b * s / ((s - a) ** 2 + b**2) / (np.pi * x[:, None])  # Im u / (s - u)
    inside = resolvent * ((ends[1] - below) * length)[:, None]
    rank = jnp.minimum(psi_n, rank)
    weights = jnp.sum(inside * w, axis=1)
    weights = weights * (rank / jnp.sum(weights))
    return TracedSpectrum(jnp.append(x, 0.0), jnp.append(weights, 1 - rank), inside, w)


def _place(u: Any, parameters: Any) -> Any:
    """z(u)."""
    psi_n, s, w = parameters
    u_s = u[:, None]
    return u * (1 - jnp.sum(w) / psi_n) + jnp.sum(w * u_s**2 / (u_s - s), axis=1) / psi_n


def _slope(u: Any, parameters: Any) -> Any:
    """dz/du."""
    psi_n, s, w = parameters
    u_s = u[:, None]
    return 1 - jnp.sum(w) / psi_n + jnp.sum(w * (u_s**2 - 2 * u_s * s) / (u_s - s) ** 2, axis=1) / psi_n


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _root(function: Any, root: Any, parameters: Any) -> Any:
    """The root of function(u, parameters) for each entry of `root`, which is one; it knows how roots move."""
    return root


@_root.defjvp
def _(function: Any, primals: Any, tangents: Any) -> tuple[Any, Any]:
    guess, parameters = primals
    root = _root(function, guess, parameters)
    _, moved = jax.jvp(lambda p: function(root, p), (parameters,), (tangents[1],))
    _, slope = jax.jvp(lambda u: function(u, parameters), (root,), (jnp.ones_like(root),))
    return root, -moved / slope


def _excess(a: Any, b: Any, parameters: Any) -> tuple[Any, Any]:
    """z(u) - x at u = a + i b, in two parts.

    Derivatives are transposed outside of the scope of double precision, where JAX makes no complex numbers of these.
    """
    psi_n, s, w, x = parameters
    real, both, apart = (a**2 - b**2)[:, None], (2 * a * b)[:, None], a[:, None] - s
    w_s = w / (apart**2 + b[:, None] ** 2) / psi_n
    free = 1 - jnp.sum(w) / psi_n
    quotient = real * apart + both * b[:, None], both * apart - real * b[:, None]  # of u^2 / (u - s), over |u - s|^2
    return a * free + jnp.sum(w_s * quotient[0], axis=1) - x, b * free + jnp.sum(w_s * quotient[1], axis=1)


@jax.custom_jvp
def _complex_root(a: Any, b: Any, parameters: Any) -> tuple[Any, Any]:
    """`_root` of `_excess`, which is analytic in a + i b."""
    return a, b


@_complex_root.defjvp
def _(primals: Any, tangents: Any) -> tuple[Any, Any]:
    a, b = _complex_root(*primals)
    parameters = primals[2]
    _, (real, imaginary) = jax.jvp(lambda p: _excess(a, b, p), (parameters,), (tangents[2],))
    _, (slope, turn) = jax.jvp(lambda a: _excess(a, b, parameters), (a,), (jnp.ones_like(a),))
    size = slope**2 + turn**2
    return (a, b), (-(real * slope + imaginary * turn) / size, -(imaginary * slope - real * turn) / size)


def _layout(size: int, psi_n: Any, s: Any, w: Any) -> np.ndarray:
    """Of each node, in words: u at its bulk's edges, its fraction of the bulk and the length there, u in two parts."""
    psi_n, s, w = float(psi_n), np.asarray(s, float), np.asarray(w, float)
    if not (0 < psi_n < np.inf and np.all(np.isfinite(s)) and np.all(np.isfinite(w)) and np.any(w * s > 0)):
        return np.full((6, size, 1), np.nan).view(np.uint32)  # whose results are not converged
    found = bulks(psi_n, s, w)
    panels = size // (2 * ORDER * found.parts)
    columns = []
    for (u_low, u_high), (low, high, cuts) in zip(found.critical, found.each(), strict=True):
        fraction, length = rule(low, high, cuts, ORDER, panels)
        u: Any = found.roots(low + (high - low) * fraction)
        columns.append((np.full(u.size, u_low), np.full(u.size, u_high), fraction, length, u.real, u.imag))
    joined = np.stack([filled(np.concatenate(values), size) for values in zip(*columns, strict=True)])
    joined[3, sum(column[0].size for column in columns) :] = 0.0  # nodes without a weight
    return joined[..., None].view(np.uint32)
