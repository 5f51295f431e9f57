"""Activations without closed form: their Gaussian moments by quadrature, with a check that it has converged."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike
from jaxtyping import Array

from rfdsm._executables import jitted
from rfdsm._scope import jax_scope
from rfdsm.activations._base import Activation, Moments
from rfdsm.activations._kept import kept
from rfdsm.activations._quadrature import HALF_WIDTH, ORDER, split_moments, split_moments_of_few

FEW = 4
"""Pairs of variances up to which nothing but the function itself is compiled."""


class QuadratureWarning(UserWarning):
    """The moments of a user's activation have not converged: two orders of the quadrature disagree."""


@dataclass(frozen=True)
class Quadrature(Activation):
    """An activation without closed form: moments by the split rule of `rfdsm.activations.quadrature`.

    `certified` marks the registry's own: analytic, even or odd up to an affine part, and of tested accuracy.
    """

    function: Callable[..., Any]
    breakpoints: tuple[float, ...] = (0.0,)
    certified: bool = False

    def _evaluate(self, u: Array) -> Array:
        return jnp.asarray(self.function(u)).astype(u.dtype)

    def _moments(self, shared: Array, private: Array) -> Moments:
        return Moments(*self._split(shared, private)[:3])

    def moments_of(self, shared: np.ndarray, private: np.ndarray) -> Moments:
        if not 0 < shared.size <= FEW:
            return super().moments_of(shared, private)
        function = _compiled_function(self)
        with jax_scope():
            found = split_moments_of_few(function, self.breakpoints, self.certified, shared, private)
        return Moments(*found[:3])

    def _split(self, shared: Array, private: Array, order: int = ORDER, half_width: float = HALF_WIDTH) -> Any:
        return split_moments(self, self.breakpoints, self.certified, shared, private, order, half_width)

    def quadrature_error(self, shared: ArrayLike, private: ArrayLike) -> Array:
        dtype = jnp.result_type(float)
        shared, private = jnp.broadcast_arrays(jnp.asarray(shared, dtype), jnp.asarray(private, dtype))
        mu1, v0_squared, beta_a, _ = _compiled_split(self, ORDER, HALF_WIDTH)(shared, private)
        # Odd and even orders, and a wider range: kinks, jumps and fast growth all show.
        finer = _compiled_split(self, ORDER + 5, HALF_WIDTH + 2.0)(shared, private)
        linear = (shared + private) * jnp.abs(mu1**2 - finer[0] ** 2) / (finer[3] + 1e-300)
        # Rounding, and bends many standard deviations away, leave traces in the moments of (nearly) linear functions.
        scale = finer[1] + finer[2] + 1e-12 * finer[3] + 1e-300
        return jnp.maximum((jnp.abs(v0_squared - finer[1]) + jnp.abs(beta_a - finer[2])) / scale, linear)

    def check(self, shared: ArrayLike, private: ArrayLike) -> None:
        """Emit a QuadratureWarning if two orders of the rule disagree by more than 1e-8 of v^2 (or are not finite).

        Of many pairs of variances only the most demanding are tried: the extremes of G^2, private and their ratio.
        """
        if self.certified or isinstance(shared, Tracer) or isinstance(private, Tracer):
            return
        pair = np.broadcast_arrays(np.asarray(shared, float), np.asarray(private, float))
        shared, private = (part.ravel() for part in pair)
        if not shared.size:
            return
        total = shared + private
        features = (total, private, private / total)
        worst = np.array([pick(feature) for feature in features for pick in (np.argmin, np.argmax)])
        with jax_scope():
            error = float(np.max(np.asarray(self.quadrature_error(shared[worst], private[worst]))))
        if not error <= 1e-8:
            warnings.warn(
                f"activation {self.name!r}: the quadrature of its Gaussian moments has not converged (two orders "
                f"disagree by {error:.1e} of v^2); declare its kinks, jumps or regions of rapid variation: "
                "activations.custom(fn, breakpoints=[...])",
                QuadratureWarning,
                stacklevel=2,
            )


@kept(maxsize=1)
def _compiled_function(activation: Quadrature) -> Callable[[Any], Array]:
    return jitted(lambda u: activation(u))


@kept(maxsize=2)
def _compiled_split(activation: Quadrature, order: int, half_width: float) -> Callable[[Array, Array], Any]:
    return jitted(lambda shared, private: activation._split(shared, private, order, half_width))
