"""At which levels a network is trained: one, or times drawn from a density, each with a weight in the loss."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rfdsm._values import number, one_line, shown
from rfdsm.schedules import Schedule


class Levels(eqx.Module):
    """Times t = transform(u), u uniform from 0 to 1, and weight(level) of their losses."""

    transform: Callable[[Any], Any] = eqx.field(static=True)
    weight: Callable[[Any], Any] | None = eqx.field(static=True)
    text: str = eqx.field(static=True)
    """As it stands in files."""
    ends: tuple[float, float] = eqx.field(static=True)

    def draw(self, u: Float[Array, " count"]) -> Float[Array, " count"]:
        """Times from uniform numbers."""
        return jnp.asarray(self.transform(u))

    def weights(self, level: Any) -> Any:
        """Of losses at these levels."""
        return jnp.ones_like(level.t) if self.weight is None else self.weight(level)

    def check(self, schedule: Schedule) -> None:
        """ValueError for times that a schedule has not."""
        if not np.all(schedule.holds(np.array(self.ends))):
            ends = " to ".join(shown(end) for end in dict.fromkeys(self.ends))
            raise ValueError(f"levels = {ends} must be {schedule.allowed} for the schedule {schedule}")


def at(t: Any) -> Levels:
    """One level."""
    time = number("level", t, "finite and > 0", lambda x: np.isfinite(x) & (x > 0))
    return _at(time)


@lru_cache(maxsize=64)
def _at(time: float) -> Levels:
    """One object for one time: what is compiled for it is found again."""
    return Levels(lambda u: jnp.full_like(u, time), None, f"t = {time:g}", (time, time))


def uniform(low: Any, high: Any, weight: Any = None) -> Levels:
    """Times uniform from `low` to `high`; weight(level) multiplies losses, level a `sampling.NoiseLevel`."""
    low, high = _ends(low, high)
    return _levels(lambda u: low + (high - low) * u, "uniform", low, high, weight)


def log_uniform(low: Any, high: Any, weight: Any = None) -> Levels:
    """Times whose logarithm is uniform from log `low` to log `high`."""
    low, high = _ends(low, high)
    ratio = high / low
    return _levels(lambda u: low * ratio**u, "log_uniform", low, high, weight)


def by_quantiles(transform: Any, ends: Any, weight: Any = None) -> Levels:
    """Any density, by its quantile function, a JAX function from (0, 1) to the times between both ends.

    Examples:
        >>> from rfdsm import networks
        >>> networks.levels.by_quantiles(lambda u: 0.01 + 0.98 * u**2, (0.01, 0.99)).ends
        (0.01, 0.99)
    """
    if not callable(transform):
        raise ValueError(f"transform = {one_line(transform)} must be a function of JAX arrays")
    low, high = _ends(*ends)
    return _levels(transform, f"quantiles {getattr(transform, '__name__', 'function')}", low, high, weight)


def _ends(low: Any, high: Any) -> tuple[float, float]:
    first = number("low", low, "finite and > 0", lambda x: np.isfinite(x) & (x > 0))
    return first, number("high", high, f"finite and > low = {shown(first)}", lambda x: np.isfinite(x) & (x > first))


def _levels(transform: Any, name: str, low: float, high: float, weight: Any) -> Levels:
    if weight is not None and not callable(weight):
        raise ValueError(f"weight = {one_line(weight)} must be a function of the level")
    weighted = "" if weight is None else f", weight {getattr(weight, '__name__', 'function')}"
    return Levels(transform, weight, f"{name} from {low:g} to {high:g}{weighted}", (low, high))
