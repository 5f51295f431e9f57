"""What an activation is: an elementwise function together with its Gaussian moments."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array

from rfdsm._executables import jitted
from rfdsm._scope import jax_scope
from rfdsm.activations._expansion import Expansion, Rule, expand_by_rule
from rfdsm.activations._kept import kept
from rfdsm.activations._quadrature import padded


class Moments(NamedTuple):
    """The three numbers of Gaussian equivalence; all fields have the broadcast shape of the variances asked for."""

    mu1: Array | np.ndarray
    v0_squared: Array | np.ndarray
    beta_a: Array | np.ndarray

    @property
    def v_squared(self) -> Array | np.ndarray:
        """Variance of the activation beyond its linear part, v0_squared + beta_a."""
        return self.v0_squared + self.beta_a


@dataclass(frozen=True)
class Activation(ABC):
    """An elementwise function together with its Gaussian moments. Hashable when its parameters are concrete numbers."""

    name: str
    needs_rule: ClassVar[bool] = True
    """Whether `expand` integrates numerically."""

    def __deepcopy__(self, memo: dict) -> "Activation":
        """Immutable, so its own copy; functions compiled by JAX could not be copied."""
        return self

    def __call__(self, u: ArrayLike) -> Array:
        """f(u), elementwise: same shape, same floating dtype."""
        u = jnp.asarray(u)
        return self._evaluate(u if jnp.issubdtype(u.dtype, jnp.floating) else u.astype(jnp.result_type(float)))

    def moments(self, shared: ArrayLike, private: ArrayLike) -> Moments:
        """mu1, v0^2 and beta_a for non-negative variances of any broadcastable shapes (theory, section 2).

        Traceable and differentiable in both variances (and in the activation's parameters) where both are positive.
        Computes in JAX's default float: enable x64 to get the accuracy this module is written for.
        """
        dtype = jnp.result_type(float)
        shared, private = jnp.broadcast_arrays(jnp.asarray(shared, dtype), jnp.asarray(private, dtype))
        try:
            hash(self)
        except TypeError:  # a parameter is being traced
            return self._moments(shared, private)
        return _compiled_moments(self)(shared, private)

    def moments_of(self, shared: np.ndarray, private: np.ndarray) -> Moments:
        """The same of concrete variances, vectors of one length: NumPy arrays in float64, few executables."""
        with jax_scope():
            found = _compiled_moments(self)(jnp.asarray(padded(shared)), jnp.asarray(padded(private)))
        return Moments(*(np.asarray(part)[: shared.size] for part in found))

    def quadrature_error(self, shared: ArrayLike, private: ArrayLike) -> Array:
        """Disagreement of two orders of quadrature, relative to v^2; zero for closed forms. Shape as for `moments`."""
        return jnp.zeros(jnp.broadcast_shapes(jnp.shape(shared), jnp.shape(private)))

    def check(self, shared: ArrayLike, private: ArrayLike) -> None:
        """Emit a QuadratureWarning if the moments have not converged. Does nothing on traced values."""
        del shared, private  # closed forms are exact

    def expand(self, mean: Array, deviation: Array, terms: int, rule: Rule | None) -> Expansion:
        """Hermite coefficients c_0 ... c_{terms-1} and the second moment of f(mean + deviation g), g standard normal.

        Shapes: mean (rows, columns), deviation (rows, 1), positive. `rule` is one of `rfdsm.activations.rules`, None
        where `needs_rule` is False. Traceable, in the dtype of the mean.
        """
        assert rule is not None
        return expand_by_rule(self, mean, deviation, terms, rule)

    def kernel(self, first: Array, second: Array, covariance: Array) -> Array | None:
        """E f(u) f(u') for centred normal u, u' of these deviations and this covariance; None without closed form."""
        return None

    @abstractmethod
    def _evaluate(self, u: Array) -> Array: ...

    @abstractmethod
    def _moments(self, shared: Array, private: Array) -> Moments: ...


@kept(maxsize=1)
def _compiled_moments(activation: Activation) -> Callable[[Array, Array], Moments]:
    return jitted(lambda shared, private: activation._moments(shared, private))
