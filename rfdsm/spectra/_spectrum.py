"""What a spectrum is: nodes, weights, and how it is realised in d dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from rfdsm._arrays import check_finite, real_array
from rfdsm._values import is_traced, whole_number

MOST = 2**31 - 1
"""Largest dimension, and number of nodes."""


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
        nodes, weights = non_negative_vector("nodes", self.nodes), non_negative_vector("weights", self.weights)
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
        if self._is_concrete:
            return float((self.weights * self.nodes).sum())
        return jnp.sum(jnp.asarray(self.weights, float) * jnp.asarray(self.nodes, float))

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
        d = whole_number("d", d, 1, MOST)
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


def non_negative_vector(name: str, values: Any) -> np.ndarray:
    """A new float64 vector of variances or weights. ValueError for anything else."""
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
