"""Laws whose points can be drawn for ever and whose score is known: `gaussian`, `gaussian_images`."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rfdsm._arguments import check_whole, number_array
from rfdsm._values import number, one_line
from rfdsm.spectra import Spectrum


class Gaussian(eqx.Module):
    """N(mean, V diag(eigenvalues) V^T); V is the identity, or the waves of images."""

    mean: Float[Array | np.ndarray, " d"]
    eigenvalues: Float[Array | np.ndarray, " d"]
    vectors: Float[Array | np.ndarray, "d d"] | None = None

    @property
    def d(self) -> int:
        """Dimension."""
        return self.eigenvalues.shape[0]

    @property
    def variance(self) -> float:
        """Mean square of a coordinate, its mean included."""
        return float(np.mean(self.eigenvalues) + np.mean(np.square(self.mean)))

    def draw(self, key: Any, count: int, dtype: Any = None) -> Float[Array, "count d"]:
        """Independent points."""
        normal = jax.random.normal(key, (count, self.d), dtype or jnp.zeros(()).dtype)
        x = normal * jnp.sqrt(jnp.asarray(self.eigenvalues, normal.dtype))
        if self.vectors is not None:
            x = x @ jnp.asarray(self.vectors, normal.dtype).T
        return x + jnp.asarray(self.mean, normal.dtype)

    def score(self, y: Float[Array, "*batch d"], a: Any, h: Any) -> Float[Array, "*batch d"]:
        """grad log of the density of a x + sqrt(h) z at y."""
        off = y - a * jnp.asarray(self.mean, y.dtype)
        inside = off if self.vectors is None else off @ jnp.asarray(self.vectors, y.dtype)
        inside = -inside / (a**2 * jnp.asarray(self.eigenvalues, y.dtype) + h)
        return inside if self.vectors is None else inside @ jnp.asarray(self.vectors, y.dtype).T


def gaussian(d: Any, spectrum: Any = None) -> Gaussian:
    """A centred normal law whose covariance is diagonal and has this spectrum (default: 1).

    Examples:
        >>> from rfdsm import networks, spectra
        >>> networks.gaussian(4, spectra.atoms([0.5, 1.5], [0.5, 0.5])).eigenvalues
        array([0.5, 0.5, 1.5, 1.5])
    """
    d = check_whole("d", d, 1)
    if spectrum is not None and not isinstance(spectrum, Spectrum):
        raise ValueError(f"spectrum = {one_line(spectrum)} must be one of rfdsm.spectra")
    values = np.ones(d) if spectrum is None else np.asarray(spectrum.realise(d)[0])
    return Gaussian(np.zeros(d), values)


def gaussian_images(shape: Any, *, exponent: Any = 0.0, mean: Any = 0.0, std: Any = 1.0) -> Gaussian:
    """Stationary normal images, as rows of H W numbers: variances of waves fall like |k|^-exponent (0: white noise).

    Args:
        shape: (H, W).
        exponent: >= 0; natural images have some 2.
        mean, std: of every pixel.

    Examples:
        >>> import jax
        >>> from rfdsm import networks
        >>> networks.gaussian_images((8, 8), exponent=2).draw(jax.random.key(0), 3).shape
        (3, 64)
    """
    sizes = tuple(shape) if isinstance(shape, tuple | list) else ()
    if len(sizes) != 2:
        raise ValueError(f"shape = {one_line(shape)} must be (H, W)")
    H, W = (check_whole("shape", size, 1) for size in sizes)
    power = number("exponent", exponent, ">= 0", lambda x: x >= 0)
    level = float(number_array("mean", mean, "a number"))
    spread = number("std", std, "> 0", lambda x: x > 0)
    frequencies = np.hypot(np.fft.fftfreq(H)[:, None] * H, np.fft.fftfreq(W)[None] * W)
    variances = np.maximum(frequencies, 1.0) ** -power
    # the covariance is circulant: the real and imaginary parts of waves are its eigenvectors
    circulant = np.real(np.fft.ifft2(variances))
    rows, columns = (axis.ravel() for axis in np.meshgrid(np.arange(H), np.arange(W), indexing="ij"))
    covariance = circulant[(rows[:, None] - rows) % H, (columns[:, None] - columns) % W]
    covariance *= spread**2 / covariance[0, 0]
    values, vectors = np.linalg.eigh(covariance)
    return Gaussian(np.full(H * W, level), np.maximum(values, 0.0), vectors)
