"""What is asked of the linear one-step denoiser: one problem, or a grid of them."""

from typing import Any, ClassVar

import equinox as eqx
import jax
import numpy as np
from jax.core import Tracer
from jaxtyping import Float

from rfdsm import _arguments as arguments, schedules, spectra
from rfdsm._grids import Grid
from rfdsm._hints import Numbers, SpectrumLike
from rfdsm._vocabulary import RANGES
from rfdsm.schedules import Level
from rfdsm.spectra import Spectrum

FIELDS = ("psi", "T", "m", "ridge", "noise_scale", "sigma")

Numeric = Float[jax.Array | np.ndarray, "..."]


class Problem(Grid):
    """A linear denoiser fitted to n = psi d points of N(mu, Sigma), each noised m times, and sampled in one step.

    y = a x + sqrt(eta) z with a = e^{-T}, eta = noise_scale (1 - a^2); the denoiser is the ridge regression of x on y
    with intercept. Numeric fields are scalars or arrays that broadcast against each other: a grid *is* a problem with
    array fields. The mean mu plays no part: the intercept removes it.

    Args:
        psi: samples per dimension n/d, finite and > 0.
        T: diffusion time, 0 < T <= 300.
        m: noise draws per sample, an integer >= 1 or inf (the expectation over the noise).
        ridge: penalty lambda >= 0 of (1/(d n m)) sum |x - b0 - b1 y|^2 + (lambda/d) |b1|^2; 0 means least squares, of
            minimum norm where they interpolate (n m < d).
        noise_scale: l > 0, stationary variance of the noising process; None means e^{-2T}.
        sigma: scale of the data, finite and > 0: Sigma = sigma^2 times the matrix of the given spectrum.
        spectrum: eigenvalue law (`rfdsm.spectra`); None means identity.

    Raises:
        ValueError: a field out of range (named, with its value and the allowed range), or shapes that do not broadcast.

    Source: arXiv 2411.17807; docs/linear, section 1.
    """

    FIELDS: ClassVar = FIELDS
    STRUCTURE: ClassVar = ("spectrum",)

    psi: Numeric
    T: Numeric
    m: Numeric
    ridge: Numeric
    noise_scale: Numeric
    sigma: Numeric
    spectrum: Spectrum = eqx.field(static=True)

    def __init__(
        self,
        psi: Numbers,
        T: Numbers,
        m: Numbers = 1,
        ridge: Numbers = 0.0,
        noise_scale: Numbers | None = None,
        sigma: Numbers = 1.0,
        spectrum: SpectrumLike | None = None,
    ) -> None:
        self.psi, self.T, self.m, self.ridge = (
            _concrete(name, value) for name, value in zip(FIELDS, (psi, T, m, ridge), strict=False)
        )
        self.noise_scale = _concrete("noise_scale", np.exp(-2 * self.T) if noise_scale is None else noise_scale)
        self.sigma = _concrete("sigma", sigma)
        if spectrum is not None and not isinstance(spectrum, Spectrum):
            raise ValueError(arguments.not_a_spectrum(spectrum))
        self.spectrum = spectra.isotropic() if spectrum is None else spectrum
        arguments.check_broadcast({name: getattr(self, name) for name in FIELDS})

    @classmethod
    def grid(
        cls,
        psi: Numbers,
        T: Numbers,
        m: Numbers = 1,
        ridge: Numbers = 0.0,
        noise_scale: Numbers | None = None,
        sigma: Numbers = 1.0,
        spectrum: SpectrumLike | None = None,
    ) -> "Problem":
        """The outer product of its fields: each list or 1-D array becomes an axis of its own, scalars add none.

        Axes come in the order psi, T, m, ridge, noise_scale, sigma; noise_scale None follows T. Raises ValueError for
        empty lists or fields of more than one dimension.
        """
        given = {"psi": psi, "T": T, "m": m, "ridge": ridge, "noise_scale": noise_scale, "sigma": sigma}
        if noise_scale is None:
            del given["noise_scale"]
        return cls(**arguments.outer(given, RANGES), spectrum=spectrum)

    @property
    def variance(self) -> np.ndarray:
        """tr Sigma / d, the variance of the data per coordinate."""
        return np.asarray(np.asarray(self.sigma) ** 2 * self.spectrum.mean)

    @property
    def a(self) -> np.ndarray:
        """Signal amplitude e^{-T}."""
        return np.asarray(self._level.a)

    @property
    def eta(self) -> np.ndarray:
        """Noise variance l (1 - e^{-2T})."""
        return np.asarray(self.noise_scale * self._level.h)

    @property
    def _level(self) -> Level:
        return schedules.get("ou").level(np.asarray(self.T), 1.0)


def check_problem(problem: Any) -> None:
    """Raises ValueError for anything but the linear denoiser's `Problem`."""
    if not isinstance(problem, Problem):
        raise ValueError(f"problem must be a rfdsm.linear.Problem, got {arguments.kind(problem)}")


def _concrete(name: str, value: Any) -> np.ndarray:
    """A numeric field within its range; unlike the main package's, it cannot be traced."""
    if isinstance(value, Tracer):
        raise ValueError(f"{name} must be a concrete number: build the problem outside jax.jit, grad and vmap")
    return arguments.field(name, value, RANGES[name])
