"""The spectrum of the data covariance Sigma as a short list of nodes and weights.

Every formula of the theory sees Sigma only through averages <f> = (1/d) tr f(Sigma), with f of resolvent type such as
1/(1 + x lambda). A `Spectrum` replaces the average by a weighted sum over few nodes: exactly where Sigma has few
distinct eigenvalues, otherwise by a quadrature rule whose measured error is kept in `error`.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from rfdsm import population_spectrum
from rfdsm.arrays import check_finite, real_array
from rfdsm.compression import EPS, compress, relative_error, thin
from rfdsm.samples import centre
from rfdsm.values import is_traced, number, whole_number

__all__ = ["Spectrum", "atoms", "from_covariance", "from_data", "from_eigenvalues", "isotropic", "power_law"]

_PANEL_NODES = 32  # Gauss-Legendre nodes per panel of the reference rule of `power_law`
_SINGLE_ROUNDING = 8 * float(np.finfo(np.float32).eps)
"""Asymmetry and negative eigenvalues of covariances computed in single precision, relative to the largest: up to 1.03
rounding units were seen for d = 2 to 1000."""
_MOST_NODES = 1000  # of `power_law`: one more costs as much as all before it
_MOST = 2**31 - 1
_LOG_RANGE_LIMIT = 600.0  # exp(600) is still far from overflow once multiplied by any sensible variance


@dataclass(frozen=True, eq=False, repr=False)
class Spectrum:
    """Eigenvalue distribution of Sigma: `weights[k]` is the fraction of the d directions that have variance `nodes[k]`.

    Attributes:
        nodes: variances, shape (S,), non-negative, not all zero (zero: directions in which the data do not vary).
        weights: fractions, shape (S,), non-negative, sum 1.
        label: short text for tables and file attributes; plays no part in equality.
        error: largest relative error of <1/(1 + x lambda)> and <lambda/(1 + x lambda)> over x > 0 made by using these
            nodes instead of the full spectrum; 0 where nothing was approximated. The mean is always exact. Estimates
            from rows: see `from_data`.

    Concrete nodes and weights are stored as read-only float64 NumPy arrays; two spectra with equal nodes and weights
    are equal and hash alike, so a spectrum can be static structure of a jitted function. Nodes or weights that JAX is
    tracing are kept as they are, unchecked, and such a spectrum equals only itself.

    Raises ValueError for arrays that are not of equal length, finite and non-negative, or weights that do not sum to 1.
    """

    nodes: Float[Any, " nodes"]
    weights: Float[Any, " weights"]  # of the same length: __post_init__ says so in words
    label: str = "spectrum"
    error: float = 0.0

    def __post_init__(self) -> None:
        if is_traced(self.nodes) or is_traced(self.weights):
            return
        nodes, weights = _non_negative_vector("nodes", self.nodes), _non_negative_vector("weights", self.weights)
        if nodes.shape != weights.shape:
            raise ValueError(f"weights must be as many as nodes, got {weights.size} weights for {nodes.size} nodes")
        if abs(weights.sum() - 1) > 1e-9:
            raise ValueError(f"weights must sum to 1, got {weights.sum():.12g}")
        if not np.any(nodes[weights > 0] > 0):
            raise ValueError("nodes must include one > 0 with positive weight, got a spectrum that is zero everywhere")
        for name, array in (("nodes", nodes), ("weights", weights)):
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    @property
    def mean(self) -> Any:
        """sigma^2 = tr Sigma / d, the variance per coordinate: a float, or a traced scalar."""
        mean = (self.weights * self.nodes).sum()
        return float(mean) if self._is_concrete else mean

    @property
    def size(self) -> int:
        """Number of nodes S."""
        return int(self.nodes.shape[0])

    @property
    def _is_concrete(self) -> bool:
        return isinstance(self.nodes, np.ndarray) and isinstance(self.weights, np.ndarray)

    def realise(self, d: Any) -> tuple[Float[np.ndarray, " d"], Spectrum]:
        """Eigenvalues of a d x d covariance that follows this spectrum as closely as whole multiplicities allow.

        Multiplicities are d * weights rounded by largest remainder; ties go to the larger eigenvalue. A quadrature
        spectrum is treated like any other: the simulated covariance then has the quadrature nodes as its eigenvalues,
        and the theory a simulation is compared with must use the returned spectrum, whose weights are the
        multiplicities over d (nodes that received none are dropped).

        Returns (eigenvalues, shape (d,), ascending; realised spectrum, error 0).
        Raises ValueError if d < 1, if d is so small that only zero eigenvalues would be left, or if the spectrum is
        traced.
        """
        d = whole_number("d", d, 1, _MOST)
        if not self._is_concrete:
            raise ValueError("realise needs concrete nodes and weights, got a spectrum that JAX is tracing")
        order = np.argsort(self.nodes, kind="stable")
        nodes, expected = self.nodes[order], self.weights[order] / self.weights.sum() * d
        counts = np.floor(expected + 1e-9).astype(np.int64)  # 2.9999999999 is a rounded 3
        # Rounded remainders, so that equal weights tie whatever the last bit of the division says.
        remainders = np.round(expected - counts, 9)
        by_need = np.lexsort((-nodes, -remainders))
        counts[by_need[: d - int(counts.sum())]] += 1
        kept = counts > 0
        if not np.any(nodes[kept] > 0):
            raise ValueError(f"d must be large enough to hold a non-zero eigenvalue of {self.label}, got d = {d}")
        return np.repeat(nodes, counts), Spectrum(nodes[kept], counts[kept] / d, f"{self.label} at d={d}")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Spectrum) or not (self._is_concrete and other._is_concrete):
            return self is other
        return np.array_equal(self.nodes, other.nodes) and np.array_equal(self.weights, other.weights)

    def __hash__(self) -> int:
        return hash((self.nodes.tobytes(), self.weights.tobytes())) if self._is_concrete else id(self)

    def __reduce__(self) -> tuple[Any, ...]:
        # Through the constructor: arrays restored by default pickling would be writeable again.
        return Spectrum, (self.nodes, self.weights, self.label, self.error)

    def __repr__(self) -> str:
        mean = f"{self.mean:.6g}" if self._is_concrete else "traced"
        return f"Spectrum({self.label}: size={self.size}, mean={mean}, error={self.error:.1g})"


def isotropic(variance: Any = 1.0) -> Spectrum:
    """Sigma = variance * identity, the setting of the papers.

    Raises ValueError unless variance is finite and > 0 (a traced one is not checked).
    """
    if is_traced(variance):
        return atoms([variance])
    variance = number("variance", variance, "finite and > 0", lambda v: v > 0)
    return Spectrum(np.array([variance]), np.ones(1), "isotropic" if variance == 1 else f"isotropic({variance:g})")


def atoms(values: Any, weights: Any = None) -> Spectrum:
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
    nodes = _non_negative_vector("values", values)
    fractions = np.ones(nodes.size) if weights is None else _non_negative_vector("weights", weights)
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


def power_law(exponent: Any, cutoff: Any, nodes: Any = 32, variance: Any = 1.0) -> Spectrum:
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
    ranges: dict[str, tuple[Any, str, Callable[[float], bool]]] = {
        "exponent": (exponent, "finite and >= 0", lambda v: v >= 0),
        "cutoff": (cutoff, "in (0, 1]", lambda v: 0 < v <= 1),
        "variance": (variance, "finite and > 0", lambda v: v > 0),
    }
    exponent, cutoff, variance = (
        value if is_traced(value) else number(name, value, allowed, holds)
        for name, (value, allowed, holds) in ranges.items()
    )
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

    from rfdsm.scope import jax_scope

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


def from_eigenvalues(values: Any, nodes: Any = 40) -> Spectrum:
    """Spectrum of a covariance given by all its d eigenvalues, compressed to at most `nodes` nodes.

    Up to `nodes` distinct eigenvalues are kept exactly. More are replaced by the Gauss quadrature of their distribution
    in log lambda: resolvents are analytic there in a strip of half-width pi, so the error falls geometrically with
    `nodes`, the slower the more decades the eigenvalues span (40 nodes: rounding level for 6 decades, 1e-8 for 12).
    Eigenvalues not above d * eps * (largest), eps the rounding unit of the input's dtype, cannot be told from rounding
    errors and count as 0; so do negative ones down to -sqrt(eps) * (largest). Beyond that, down to -1e-6 * (largest),
    they are what single precision leaves: a warning says so, and positive ones of that size count as 0 as well. `atoms`
    keeps every value.

    Args:
        values: shape (d,), in any order.
        nodes: most nodes to use, >= 2, a node at 0 included.

    Raises ValueError for values that are not finite, clearly negative or all zero, and for nodes < 2.
    """
    values = real_array("values", values)
    nodes = whole_number("nodes", nodes, 2, _MOST)
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"values must be a non-empty one-dimensional array, got shape {values.shape}")
    check_finite("values", values)
    unit = _unit(values)
    return _of_eigenvalues(values.astype(np.float64), nodes, f"eigenvalues(d={values.size})", "values", unit)


def from_covariance(covariance: Any, nodes: Any = 40) -> Spectrum:
    """Spectrum of a covariance matrix, shape (d, d), compressed as by `from_eigenvalues`.

    Raises ValueError unless the matrix is square, finite, symmetric and positive semi-definite (both up to sqrt(eps) of
    its largest entry or eigenvalue; up to 1e-6 with a warning, as what single precision leaves) and not zero, and
    nodes >= 2.
    """
    matrix = real_array("covariance", covariance)
    nodes = whole_number("nodes", nodes, 2, _MOST)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.size == 0:
        raise ValueError(f"covariance must be a square matrix, got shape {matrix.shape}")
    check_finite("covariance", matrix)
    unit = _unit(matrix)
    matrix = matrix.astype(np.float64)
    asymmetry, largest = np.abs(matrix - matrix.T), np.abs(matrix).max()
    row, column = (int(k) + 1 for k in np.unravel_index(int(asymmetry.argmax()), matrix.shape))
    found = (
        f"{matrix[row - 1, column - 1]:.6g} in row {row}, column {column} "
        f"but {matrix[column - 1, row - 1]:.6g} in row {column}, column {row} (counted from 1)"
    )
    if asymmetry.max() > max(math.sqrt(unit), _SINGLE_ROUNDING) * largest:
        raise ValueError(f"covariance must be symmetric, got {found}")
    skew = found if asymmetry.max() > math.sqrt(unit) * largest else ""
    eigenvalues = np.linalg.eigvalsh((matrix + matrix.T) / 2)
    label = f"covariance(d={eigenvalues.size})"
    return _of_eigenvalues(eigenvalues, nodes, label, "eigenvalues of covariance", unit, skew)


def from_data(rows: Any, nodes: Any = 40, sample: Any = False) -> Spectrum:
    """Spectrum of the population that samples come from, shape (N, d), estimated from their covariance.

    Unless N is many times d, the eigenvalues of a sample covariance are spread far wider than the population's; this
    spread is taken out again (`rfdsm.population_spectrum`: El Karoui 2008). The mean is removed, the mean eigenvalue is
    that of the covariance with divisor N - 1, and directions in which no row varies stay at 0 where rows and
    dimensions tell so. For N >> d it is the sample's spectrum. `error` is twice the standard error of <1/(1 + x
    lambda)>, a number between 0 and 1, at the x where it is largest; it is found by repeating the estimate on parts
    of the rows, and on Gaussian rows where they are few. The rows count as independent: copies of rows make the sample
    look larger than it is, and a warning says how many there are.

    Args:
        nodes: most nodes to use, >= 2, a node at 0 included.
        sample: the spectrum of the sample covariance itself, divisor N, compressed as by `from_eigenvalues`.

    Raises ValueError for samples that are not a finite real array of at least two rows, or all the same; nodes < 2.

    Examples:
        >>> import numpy as np
        >>> from rfdsm import spectra
        >>> rows = np.random.default_rng(0).standard_normal((60, 100))  # eigenvalues of the covariance: 0 to 5
        >>> inverse = lambda spectrum: float(spectrum.weights @ (1 / (1 + spectrum.nodes)))
        >>> round(inverse(spectra.from_data(rows)), 1), round(inverse(spectra.from_data(rows, sample=True)), 1)
        (0.5, 0.7)
    """
    nodes = whole_number("nodes", nodes, 2, _MOST)
    centred = centre(rows)
    count, d = centred.shape
    label = f"data(rows={count}, d={d})"
    if sample:
        gram = centred.T @ centred if d <= count else centred @ centred.T
        eigenvalues = np.zeros(d)
        eigenvalues[d - gram.shape[0] :] = np.linalg.eigvalsh(gram) / count
        return _compressed(eigenvalues, nodes, label, "eigenvalues of data", max(count, d) * EPS, math.sqrt(EPS))
    law, error = population_spectrum.from_rows(centred)
    points, weights, thinned = thin(*law, nodes, float(law.weights @ law.nodes))
    return Spectrum(points, weights, f"population of {label}", error + thinned)


def _of_eigenvalues(values: np.ndarray, nodes: int, label: str, name: str, unit: float, skew: str = "") -> Spectrum:
    """Compressed, up to the rounding unit of what they were computed from, which may have been single precision.

    `skew`: an asymmetry, in words, that only single precision explains.
    """
    noise, negative = values.size * unit, max(math.sqrt(unit), _SINGLE_ROUNDING)
    lowest, largest = float(values.min()), float(values.max())
    if skew or -negative * largest <= lowest < -math.sqrt(unit) * largest:
        noise = max(noise, _SINGLE_ROUNDING)
        warnings.warn(
            f"{name} are those of single precision, by rounding: {skew or f'the lowest is {lowest:.6g}'}; those up to "
            f"{noise * largest:.3g} (the largest is {largest:.6g}) count as 0",
            stacklevel=3,
        )
    return _compressed(values, nodes, label, name, noise, negative)


def _compressed(values: np.ndarray, nodes: int, label: str, name: str, noise: float, negative: float) -> Spectrum:
    points, weights, error = compress(values, nodes, name, noise, negative)
    return Spectrum(points, weights, label, error)


def _unit(array: np.ndarray) -> float:
    return max(float(np.finfo(array.dtype).eps), EPS) if array.dtype.kind == "f" else EPS


def _non_negative_vector(name: str, values: Any) -> np.ndarray:
    array = real_array(name, values)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{name} must be a non-empty one-dimensional array, got shape {array.shape}")
    check_finite(name, array)
    with np.errstate(over="ignore"):
        array = array.astype(np.float64)
    check_finite(name, array)  # extended precision reaches further
    if array.min() < 0:
        raise ValueError(f"{name} must be >= 0, got {array.min():.6g}")
    return array + 0.0  # a copy, without negative zeros
