"""The spectra over which laws of samples are averaged, and the normal laws these are compared with."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rfdsm._arguments import number_array
from rfdsm._arrays import module_of
from rfdsm._problem import Problem
from rfdsm._values import is_traced, one_line
from rfdsm.theory._sample_covariance import SampleSpectrum, isotropic_spectrum, sample_spectrum
from rfdsm.theory._traced_sample_covariance import traced_sample_spectrum


class Target(NamedTuple):
    """A normal law N(0, T), T a function of Sigma, as its distances to N(0, Lambda(S)) need it."""

    inverse: Any
    """Weights of (1/d) tr T^-1 f(S), shape (N,)."""
    forward: Any
    """Weights of (1/d) tr T f(S)."""
    logdet: Any
    singular: Any
    variance: Any
    """If T is a multiple of the identity, else NaN."""


def spectra_of(psi_n: Any, chain: Problem, own: SampleSpectrum | None, targets: list[Any]) -> tuple[Any, ...]:
    """Nodes, weights and spare samples of every cell, and the two laws that generated ones are compared with."""
    law = chain.spectrum
    s, w = law.nodes, law.weights
    if is_traced((psi_n, s, w, *targets)):  # in the caller's precision
        psi_n, s, w, *targets = (jnp.asarray(value, float) for value in (psi_n, s, w, *targets))
    xp = module_of(s, w, *targets)
    isotropic = law.size == 1 or (not is_traced(s) and bool(np.all(s == s[0])))
    inverses = [xp.where(T > 0, 1 / xp.where(T > 0, T, 1), 0.0) for T in targets]
    functions = list(zip(inverses, targets, strict=True))
    if own is None and isotropic and (is_traced(psi_n) or np.all(np.isfinite(psi_n))):
        nodes, weights = isotropic_spectrum(psi_n)
        nodes, spare = s[0] * nodes, _positive(1 - 1 / psi_n)
        pairs = [(weights * inverse[0], weights * T[0]) for inverse, T in functions]
    elif own is None and is_traced((psi_n, s, w, *targets)):
        spare = _positive(1 - jnp.sum(jnp.where(s > 0, w, 0.0)) / psi_n)

        def cell(psi_n: Any) -> tuple[Any, ...]:
            found = traced_sample_spectrum(psi_n, s, w)
            return found.nodes, found.weights, [(found.overlap(inverse), found.overlap(T)) for inverse, T in functions]

        nodes, weights, pairs = jax.vmap(cell)(jnp.asarray(psi_n, float))
    else:
        if own is None:
            values, place = np.unique(np.asarray(psi_n), return_inverse=True)
            spectra, seen = [sample_spectrum(float(value), s, w) for value in values], np.sum(w[s > 0])
        else:
            spectra, place, seen = [own], np.zeros(psi_n.size, int), float(np.sum(own.weights[own.nodes > 0]))
        spare = _positive(1 - seen / psi_n)
        most = max(spectrum.nodes.size for spectrum in spectra)

        def padded(values: Any, fill: float = 0.0) -> Any:
            xp = module_of(*values)
            rows = [xp.pad(value, (0, most - value.size), constant_values=fill) for value in values]
            return xp.stack(rows)[place]

        nodes, weights = padded([x.nodes for x in spectra], law.mean), padded([x.weights for x in spectra])
        pairs = [tuple(padded([x.overlap(f) for x in spectra]) for f in pair) for pair in functions]
    laws = [Target(*pair, *_of(T, w, psi_n.size)) for pair, T in zip(pairs, targets, strict=True)]
    return nodes, weights, spare, *laws


def _of(T: Any, w: Any, size: int) -> tuple[Any, Any, Any]:
    """Log determinant, whether there is none, and the variance of an isotropic law."""
    xp = module_of(T, w)
    singular = xp.any(T <= 0)
    logdet = xp.where(singular, xp.nan, xp.sum(w * xp.log(xp.where(T > 0, T, 1.0))))
    variance = xp.where(xp.all(T[0] == T), T[0], xp.nan)
    return xp.full(size, logdet), xp.full(size, singular), xp.full(size, variance)


def _positive(share: Any) -> Any:
    return module_of(share).maximum(share, 0.0)


def given_spectrum(eigenvalues: Any) -> SampleSpectrum:
    """A sample covariance of the caller's own. ValueError unless all are finite and >= 0."""
    x = number_array("given", eigenvalues, "eigenvalues >= 0")
    if x.ndim != 1 or not x.size or not np.all(np.isfinite(x) & (x >= 0)):
        raise ValueError(f"given = {one_line(eigenvalues)} must be a list of finite eigenvalues >= 0")
    x = np.where(x > x.size * np.finfo(float).eps * x.max(), x, 0.0)  # zeros that rounding has moved
    weights = np.full(x.size, 1 / x.size)

    def overlap(values: Any) -> np.ndarray:
        xp = module_of(values)
        f = xp.asarray(values, float)
        return xp.where(xp.all(f == f[0]), weights * f[0], xp.nan)

    return SampleSpectrum(x, weights, overlap)
