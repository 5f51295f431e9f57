"""Samples of any network by any sampler: `generate`."""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rfdsm import schedules, targets
from rfdsm._arguments import base_key, check_whole
from rfdsm._executables import jitted
from rfdsm._values import number
from rfdsm.sampling._samplers import Sampler, check_sampler

BATCH = 256
"""Samples a network is applied to at once."""


class NoiseLevel(NamedTuple):
    """What a network is told of the noise in its input y = a x + sqrt(h) z: numbers."""

    t: Any
    """Time of the schedule."""
    a: Any
    h: Any
    scale: Any
    """Of the input, for networks that want it rescaled (EDM)."""

    @property
    def root_h(self) -> Any:
        """Amplitude of the noise."""
        return self.h**0.5


def generate(
    network: Callable[[Any, NoiseLevel], Any],
    sampler: Sampler,
    start: Any,
    *,
    schedule: Any = "ou",
    target: Any = "noise",
    variance: Any = 1.0,
    key: Any = 0,
    batch: Any = BATCH,
    whole_batches: bool = False,
    path: bool = False,
) -> Float[Array | np.ndarray, "*steps samples d"]:
    """Samples that a network generates, from those at the sampler's first level.

    Args:
        network: f(y, level) -> prediction of the target, y and prediction of shape (d,), level a `NoiseLevel`; a JAX
            function or an Equinox module, vmapped and compiled once for all levels.
        sampler: from `rfdsm.sampling`, with the levels.
        start: samples at the first level, shape (samples, d); they are drawn from N(0, a^2 Sigma + h), or N(0, h).
        schedule, target: what the network was trained for, as in `rfdsm.Problem`. Target "score" is the score itself.
        variance: of the data per coordinate, for schedules and targets that depend on it.
        key: of the fresh noise of stochastic samplers, an integer or a JAX key. Sample i has noise of its own, whatever
            the batches.
        batch: samples in one call.
        whole_batches: the network takes batches, (batch, d) -> (batch, d), and is called as it is: NumPy, PyTorch, any
            library whose arrays NumPy reads.
        path: return samples at all levels, with a leading axis of K + 1.

    Returns:
        Samples at the last level, of the shape and dtype of `start`. A RuntimeWarning names the step from which on some
        are not finite.

    Raises:
        ValueError: start not of two dimensions or not finite, times that the schedule has not, or a network whose
            output has another shape.

    Examples:
        >>> import numpy as np
        >>> from rfdsm import sampling
        >>> def score(y, level):  # of N(0, 4), noised
        ...     return -y / (4 * level.a**2 + level.h)
        >>> sampler = sampling.ddim(sampling.geometric(6, 1e-3, 300))
        >>> start = np.random.default_rng(0).normal(size=(1000, 2))
        >>> samples = sampling.generate(score, sampler, start, target="score")
        >>> bool(abs(samples.std() / 2 - 1) < 0.03)
        True
    """
    check_sampler(sampler)
    y = _checked(start)
    (size, d), dtype = y.shape, y.dtype
    batch = min(check_whole("batch", batch, 1), size)
    variance = number("variance", variance, "> 0", lambda x: x > 0)
    rule = schedules.get(schedule)
    score = isinstance(target, str) and target == "score"
    learned = targets.linear(0.0, lambda level: -1 / level.root_h) if score else targets.get(target)
    steps = sampler.steps(rule, learned, variance)
    times = np.array(sampler.levels[:-1])
    levels = NoiseLevel(times, *rule.level(times, variance))
    base = base_key(key)

    count = -(-size // batch)
    y = jnp.pad(y, ((0, count * batch - size), (0, 0)), mode="edge").reshape(count, batch, d)
    predict = _by_batches(network) if whole_batches else _by_samples(network)
    states, finite = [y], True
    for k in range(sampler.size):
        level = jax.tree.map(lambda values, k=k: jnp.asarray(values[k], dtype), levels)
        step = [jnp.asarray(values[k], dtype) for values in steps]
        y = _noised(predict(y, level), y, jax.random.fold_in(base, k), *step)
        if finite and not np.all(np.isfinite(np.asarray(y).reshape(-1, d)[:size])):
            finite = False
            warnings.warn(
                f"samples are not finite from step {k + 1} of {sampler.size} on, t = {times[k]:g}",
                RuntimeWarning,
                stacklevel=2,
            )
        if path:
            states.append(y)
    whole = jnp.stack(states) if path else y
    return whole.reshape(*whole.shape[:-3], -1, d)[..., :size, :]


def _checked(start: Any) -> Array:
    y = jnp.asarray(start)
    if not jnp.issubdtype(y.dtype, jnp.floating):
        y = y.astype(float)
    if y.ndim != 2 or 0 in y.shape:
        raise ValueError(f"start must have shape (samples, d), got shape {y.shape}")
    if not np.all(np.isfinite(np.asarray(y))):
        raise ValueError("start must be finite throughout")
    return y


def _by_samples(network: Callable[..., Any]) -> Callable[[Array, NoiseLevel], Array]:
    @eqx.filter_jit
    def predict(network: Any, y: Array, level: NoiseLevel) -> Array:
        return jax.lax.map(jax.vmap(lambda one: _of_shape(network(one, level), one.shape)), y)

    return lambda y, level: predict(network, y, level)


def _by_batches(network: Callable[..., Any]) -> Callable[[Array, NoiseLevel], Array]:
    def predict(y: Array, level: NoiseLevel) -> Array:
        told = NoiseLevel(*(float(value) for value in level))
        return jnp.stack([_of_shape(np.asarray(network(np.asarray(part), told)), part.shape) for part in y])

    return predict


def _of_shape(prediction: Any, shape: tuple[int, ...]) -> Array:
    if np.shape(prediction) != shape:
        raise ValueError(f"network returned shape {np.shape(prediction)}, must be that of its input, {shape}")
    return jnp.asarray(prediction)


@jitted
def _noised(f: Array, y: Array, key: Array, A: Array, C: Array, spread: Array) -> Array:
    places = jnp.arange(y.shape[0] * y.shape[1])
    xi = jax.vmap(lambda i: jax.random.normal(jax.random.fold_in(key, i), y.shape[-1:], y.dtype))(places)
    return A * y + C * f.astype(y.dtype) + spread * xi.reshape(y.shape)
