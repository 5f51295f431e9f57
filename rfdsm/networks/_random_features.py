"""The random-feature network of the theory as one that is trained: `random_features`."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rfdsm import activations
from rfdsm._arguments import base_key, check_whole
from rfdsm.activations import Activation
from rfdsm.simulation._design import features


class RandomFeatureNetwork(eqx.Module):
    """f(y) = s A phi(W y/sqrt(d))/sqrt(p): W stays as drawn, A is trained, s is a fixed scale."""

    W: Float[Array, "p d"]
    A: Float[Array, "d p"]
    activation: Activation = eqx.field(static=True)
    scale: float = eqx.field(static=True, default=1.0)
    """Of the output weights: s = sqrt(h) makes A what docs/theory, equation 1, calls so."""

    def __call__(self, y: Float[Array, " d"], level: Any = None) -> Float[Array, " d"]:
        phi = features(self.W, self.activation, y[None])[:, 0]
        return (self.scale / self.W.shape[0] ** 0.5) * (self.A @ phi)

    def trainable(self) -> "RandomFeatureNetwork":
        """Which of its arrays are trained."""
        nothing = jax.tree.map(lambda _: False, self)
        return eqx.tree_at(lambda network: network.A, nothing, replace=True)


def random_features(
    d: Any, p: Any, key: Any = 0, *, activation: Any = "tanh", scale: Any = 1.0, dtype: Any = None
) -> RandomFeatureNetwork:
    """p random features in d dimensions with output weights 0, for one level: it is not told which.

    Args:
        d, p: whole numbers >= 1.
        key: integer or JAX key, of the features.
        activation: as in `rfdsm.Problem`.
        scale: fixed factor of the output.
        dtype: of the weights; default JAX's.

    Examples:
        >>> from rfdsm import networks
        >>> networks.random_features(d=10, p=30).W.shape
        (30, 10)
    """
    d, p = check_whole("d", d, 1), check_whole("p", p, 1)
    W = jax.random.normal(base_key(key), (p, d), dtype or jnp.zeros(()).dtype)
    return RandomFeatureNetwork(W, jnp.zeros((d, p), W.dtype), activations.get(activation), float(scale))
