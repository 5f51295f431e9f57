"""Noise schedules: how much signal and how much noise the network sees at a time t.

At a *level* (a, h, c) the network sees y = a x + sqrt(h) z, and the score is that of y/c: c = 1 unless the schedule
rescales the input of the network. A schedule maps its time to levels, says which times it has, and names them.

    ou                   a = e^{-t}, h = 1 - e^{-2t}                      0 < t < inf
    flow                 a = 1 - t, sqrt(h) = t                           0 < t < 1
    variance_exploding   a = 1, sqrt(h) = t                               0 < t < inf
    edm                  the same times c = (t^2 + data_std^2)^{-1/2}     0 < t < inf
    cosine               a = cos(pi t/2), sqrt(h) = sin(pi t/2)           0 < t < 1
    beta_linear          a^2 = prod (1 - beta_i), i up to t               1 <= t <= steps
    from_functions       any

A new one is one class with `level`, `allowed` and `holds` (docs/how_to/schedule).

Source: docs/targets; arXiv 2011.13456 (ou, variance exploding), 2209.03003 (flow), 2206.00364 (edm),
2102.09672 (cosine), 2006.11239 (beta_linear).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
import numpy as np

from rfdsm._arguments import Range, check_whole, number_array
from rfdsm._arrays import module_of
from rfdsm._named import Named, find
from rfdsm._scope import jax_scope
from rfdsm._values import is_traced, one_line

__all__ = [
    "Level",
    "Schedule",
    "beta_linear",
    "cosine",
    "edm",
    "flow",
    "from_functions",
    "get",
    "ou",
    "variance_exploding",
]


class Level(NamedTuple):
    """Amplitude of the signal, variance of the noise, and scale of the input; arrays of one shape."""

    a: Any
    h: Any
    scale: Any

    @property
    def root_h(self) -> Any:
        """Amplitude of the noise."""
        return self.h**0.5


@dataclass(frozen=True)
class Schedule(Named, ABC):
    """A map from times to levels. Hashable when its parameters are concrete numbers."""

    symbol: ClassVar[str] = "t"
    long_name: ClassVar[str] = "diffusion time"
    preserves_variance: ClassVar[bool] = False
    """Whether a^2 + h = 1 and c = 1."""
    end_variance: ClassVar[float | None] = 1.0
    """Of the noise where no signal is left; None where both last for ever."""
    allowed: ClassVar[str] = "finite and > 0"
    """The range of t in words."""
    span: ClassVar[tuple[float, float]] = (1e-3, 1e2)
    """The times that searches look at unless they are told where."""

    @abstractmethod
    def level(self, t: Any, variance: Any) -> Level:
        """The level at times t, of their shape; NumPy arrays unless something is traced.

        `variance` is tr(Sigma)/d of the data, which some schedules scale by.
        """

    def signal_at(self, ratio: Any, variance: Any) -> Any:
        """a^2 at concrete noise-to-signal ratios h/a^2, for tables of moments; None if it is not known."""
        return 1 / (1 + ratio) if self.preserves_variance else None

    def holds(self, t: Any) -> Any:
        """Whether times, concrete, are in the range; elementwise."""
        return np.isfinite(t) & (t > 0)

    @property
    def reach(self) -> Range:
        """Within the range of t, what double precision carries to the losses."""
        return "where h/a^2 is from 1e-15 to 1e30", lambda t: _carried(self.level(t, 1.0))


def _carried(level: Level) -> Any:
    with np.errstate(over="ignore", divide="ignore"):
        ratio = level.h / level.a**2
    return (ratio >= 1e-15) & (ratio <= 1e30)


@dataclass(frozen=True)
class _OrnsteinUhlenbeck(Schedule):
    name = "ou"
    preserves_variance = True
    span = (1e-3, 5.0)

    @property
    def reach(self) -> Range:
        return "from 1e-15 to 300", lambda t: (t >= 1e-15) & (t <= 300)

    def level(self, t: Any, variance: Any) -> Level:
        xp = module_of(t)
        return Level(xp.exp(-t), -xp.expm1(-2 * t), xp.ones_like(t))


@dataclass(frozen=True)
class _Flow(Schedule):
    name = "flow"
    span = (1e-3, 1 - 1e-3)
    long_name = "time of the linear interpolation"
    allowed = "> 0 and < 1"

    def level(self, t: Any, variance: Any) -> Level:
        return Level(1 - t, t**2, module_of(t).ones_like(t))

    def signal_at(self, ratio: Any, variance: Any) -> Any:
        return (1 + ratio**0.5) ** -2

    def holds(self, t: Any) -> Any:
        return (t > 0) & (t < 1)


@dataclass(frozen=True)
class _VarianceExploding(Schedule):
    name = "variance_exploding"
    end_variance = None
    long_name = "noise level"

    def level(self, t: Any, variance: Any) -> Level:
        one = module_of(t).ones_like(t)
        return Level(one, t**2, one)

    def signal_at(self, ratio: Any, variance: Any) -> Any:
        return np.ones_like(ratio)


@dataclass(frozen=True)
class _Edm(Schedule):
    data_std: Any = None
    name = "edm"
    end_variance = None
    long_name = "noise level"

    def level(self, t: Any, variance: Any) -> Level:
        scale = (t**2 + (variance if self.data_std is None else self.data_std**2)) ** -0.5
        return Level(scale, (scale * t) ** 2, scale)

    def signal_at(self, ratio: Any, variance: Any) -> Any:
        return 1 / (ratio + (variance if self.data_std is None else self.data_std**2))


@dataclass(frozen=True)
class _Cosine(Schedule):
    name = "cosine"
    span = (1e-3, 1 - 1e-3)
    preserves_variance = True
    long_name = "fraction of the diffusion"
    allowed = "> 0 and < 1"

    def level(self, t: Any, variance: Any) -> Level:
        xp = module_of(t)
        return Level(xp.cos(np.pi / 2 * t), xp.sin(np.pi / 2 * t) ** 2, xp.ones_like(t))

    def holds(self, t: Any) -> Any:
        return (t > 0) & (t < 1)


@dataclass(frozen=True)
class _BetaLinear(Schedule):
    first: float = 1e-4
    last: float = 0.02
    steps: int = 1000
    name = "beta_linear"
    preserves_variance = True
    long_name = "step of the table"

    @property
    def allowed(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The range of t in words."""
        return f">= 1 and <= {self.steps} (its steps)"

    @property
    def span(self) -> tuple[float, float]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """All its steps."""
        return 1.0, float(self.steps)

    def level(self, t: Any, variance: Any) -> Level:
        xp = module_of(t)
        betas = np.linspace(self.first, self.last, self.steps)
        logarithm = np.cumsum(np.log1p(-betas))  # of a^2; between the steps it is interpolated
        value = xp.interp(t, np.arange(1.0, self.steps + 1), logarithm)
        return Level(xp.exp(value / 2), -xp.expm1(value), xp.ones_like(t))

    def holds(self, t: Any) -> Any:
        return (t >= 1) & (t <= self.steps)


@dataclass(frozen=True)
class _FromFunctions(Schedule):
    signal: Callable[[Any], Any]
    noise: Callable[[Any], Any]
    name = "from_functions"
    end_variance = None
    span = (1e-3, 1 - 1e-3)
    allowed = "where both functions are finite and positive"

    def level(self, t: Any, variance: Any) -> Level:
        with jax_scope():
            a, root = (jnp.asarray(function(jnp.asarray(t, float))) for function in (self.signal, self.noise))
        one = jnp.ones_like(a * root)
        found = Level(a * one, root**2 * one, one)
        return found if any(is_traced(value) for value in found) else Level(*(np.asarray(value) for value in found))

    def holds(self, t: Any) -> Any:
        """Also refuses functions that do not act on each element by itself."""
        (a, h, _), turned = self.level(t, None), self.level(np.flip(t), None)
        for name, value, other in (("signal", a, turned.a), ("noise", h, turned.h)):
            if np.shape(value) != np.shape(t) or not np.array_equal(np.flip(other), value, equal_nan=True):
                raise ValueError(f"{name} = {one_line(getattr(self, name))} must act elementwise on t")
        return np.isfinite(a) & (a > 0) & np.isfinite(h) & (h > 0)


def ou() -> Schedule:
    """Ornstein-Uhlenbeck, a = e^{-t}, h = 1 - e^{-2t}: variance preserving diffusion in its own time."""
    return _OrnsteinUhlenbeck()


def flow() -> Schedule:
    """Linear interpolation from data (t = 0) to noise (t = 1): flow matching, rectified flows."""
    return _Flow()


def variance_exploding() -> Schedule:
    """y = x + t z: t is the noise level."""
    return _VarianceExploding()


def edm(data_std: Any = None) -> Schedule:
    """y = c (x + t z), c = (t^2 + data_std^2)^{-1/2}; data_std None means that of the problem, sqrt(tr Sigma/d)."""
    return _Edm(positive("data_std", data_std))


def cosine() -> Schedule:
    """a = cos(pi t/2), h = sin^2(pi t/2): the cosine schedule without its offset."""
    return _Cosine()


def beta_linear(first: float = 1e-4, last: float = 0.02, steps: int = 1000) -> Schedule:
    """A table of `steps` variances beta from `first` to `last`; t counts its steps, log a^2 is linear in between."""
    check_whole("steps", steps, 2)
    values = [float(number_array(name, value, "> 0 and < 1")) for name, value in (("first", first), ("last", last))]
    for name, value in zip(("first", "last"), values, strict=True):
        if not 0 < value < 1:
            raise ValueError(f"{name} = {value!r} must be > 0 and < 1")
    return _BetaLinear(values[0], values[1], int(steps))


def from_functions(signal: Any, noise: Any) -> Schedule:
    """Amplitudes a(t) and sqrt(h)(t) by JAX callables that act elementwise. Compiled code is kept per function."""
    for name, function in (("signal", signal), ("noise", noise)):
        if not callable(function):
            raise ValueError(f"{name} = {function!r} must be a function of t")
    return _FromFunctions(signal, noise)


_MAKERS = (ou, flow, variance_exploding, edm, cosine, beta_linear)
_NAMED: dict[str, Callable[..., Schedule]] = {maker.__name__: maker for maker in _MAKERS}
NAMES = tuple(_NAMED)


def get(schedule: Any) -> Schedule:
    """The schedule of this name, as in `edm:0.5`, or the object itself. Raises ValueError for others."""
    return find(Schedule, "schedule", schedule, _NAMED)


def positive(name: str, value: Any) -> Any:
    """None, a traced number or a float > 0."""
    if value is None or is_traced(value):
        return value
    number = number_array(name, value, "finite and > 0")
    if number.ndim or not (np.isfinite(number) and number > 0):
        raise ValueError(f"{name} = {value!r} must be one finite number > 0")
    return float(number)
