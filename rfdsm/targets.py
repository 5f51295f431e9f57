"""What the network learns: a target alpha x + beta z, linear in the data x and the noise z of y = a x + sqrt(h) z.

    noise       (0, -1)                                        whose network is the score times sqrt(h)
    data        (1, 0)                                         the denoised point
    velocity    (-sqrt(h), a)
    flow        (-1, 1)                                        the velocity of the linear interpolation
    edm         ((1 - c_skip)/c_out, -c_skip t/c_out)          t = sqrt(h)/a, c_skip = s^2/(t^2 + s^2),
                                                               c_out = t s/sqrt(t^2 + s^2), s = data_std
    linear      any two numbers, or functions of the level

Every target says the same about the score as long as delta = alpha sqrt(h) - beta a does not vanish. A new one is one
class with `coefficients` (docs/how_to/schedule).

Source: docs/targets; arXiv 2006.11239 (noise), 2202.00512 (velocity), 2209.03003 (flow), 2206.00364 (edm).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from rfdsm._arguments import number_array
from rfdsm._arrays import module_of
from rfdsm._named import Named, find
from rfdsm._values import is_traced
from rfdsm.schedules import Level, Schedule, positive

__all__ = ["Asked", "Target", "asked", "data", "edm", "flow", "get", "linear", "noise", "velocity"]

DISTINCT = 1e-12
"""Least |alpha sqrt(h) - beta a|, relative to its two terms, at which a target says anything about the score."""


@dataclass(frozen=True)
class Target(Named, ABC):
    """Coefficients of the target at a level. Hashable when its parameters are concrete numbers."""

    long_name: ClassVar[str]

    @abstractmethod
    def coefficients(self, level: Level, variance: Any) -> tuple[Any, Any]:
        """(alpha, beta) at the level, of its shape; `variance` is tr(Sigma)/d of the data."""

    def amplitude(self, level: Level) -> Any:
        """Factor between A phi/sqrt(p), the output layer in its own units, and what is compared with the target."""
        return module_of(*level).ones_like(level.a)


@dataclass(frozen=True)
class _Noise(Target):
    name = "noise"
    long_name = "noise"

    def coefficients(self, level: Level, variance: Any) -> tuple[Any, Any]:
        xp = module_of(*level)
        return xp.zeros_like(level.a), -xp.ones_like(level.a)

    def amplitude(self, level: Level) -> Any:
        return level.root_h


@dataclass(frozen=True)
class _Data(Target):
    name = "data"
    long_name = "data"

    def coefficients(self, level: Level, variance: Any) -> tuple[Any, Any]:
        xp = module_of(*level)
        return xp.ones_like(level.a), xp.zeros_like(level.a)


@dataclass(frozen=True)
class _Velocity(Target):
    name = "velocity"
    long_name = "velocity"

    def coefficients(self, level: Level, variance: Any) -> tuple[Any, Any]:
        return -level.root_h, level.a


@dataclass(frozen=True)
class _Flow(Target):
    name = "flow"
    long_name = "flow velocity"

    def coefficients(self, level: Level, variance: Any) -> tuple[Any, Any]:
        xp = module_of(*level)
        return -xp.ones_like(level.a), xp.ones_like(level.a)


@dataclass(frozen=True)
class _Edm(Target):
    data_std: Any = None
    name = "edm"
    long_name = "EDM residual"

    def coefficients(self, level: Level, variance: Any) -> tuple[Any, Any]:
        std = variance**0.5 if self.data_std is None else self.data_std
        t = level.root_h / level.a
        root = (t**2 + std**2) ** 0.5
        return t / (std * root), -std / root


@dataclass(frozen=True)
class _Linear(Target):
    alpha: Any
    beta: Any
    name = "linear"
    long_name = "alpha x + beta z"

    def coefficients(self, level: Level, variance: Any) -> tuple[Any, Any]:
        xp = module_of(*level, self.alpha, self.beta)
        values = (value(level) if callable(value) else value for value in (self.alpha, self.beta))
        alpha, beta = (value * xp.ones_like(level.a) for value in values)
        return alpha, beta


class Asked(NamedTuple):
    """What the network sees, y = a x + sqrt(h) z, and learns, alpha x + beta z: numbers or arrays of one shape."""

    a: Any
    h: Any
    scale: Any
    """Of the input: the score is taken at y/scale."""
    alpha: Any
    beta: Any

    @property
    def root_h(self) -> Any:
        """Amplitude of the noise."""
        return self.h**0.5

    @property
    def delta(self) -> Any:
        """alpha sqrt(h) - beta a: what the target says of the score."""
        return self.alpha * self.root_h - self.beta * self.a

    @property
    def score_unit(self) -> Any:
        """Score error per excess of `test` over its floor."""
        return (self.scale * self.a) ** 2 / (self.h * self.delta**2)

    def floor(self, s: Any) -> Any:
        """Loss of the best network along an eigenvector of Sigma."""
        return self.delta**2 * s / (self.a**2 * s + self.h)

    def null(self, variance: Any) -> Any:
        """Loss of a network that outputs zero; `variance` is tr(Sigma)/d."""
        return self.alpha**2 * variance + self.beta**2


def asked(schedule: Schedule, target: Target, t: Any, variance: Any) -> Asked:
    """What a schedule and a target say at times t, of their shape; `variance` is tr(Sigma)/d."""
    level = schedule.level(t, variance)
    return Asked(*level, *target.coefficients(level, variance))


def noise() -> Target:
    """-z: the network is the score times sqrt(h)."""
    return _Noise()


def data() -> Target:
    """x: the network denoises."""
    return _Data()


def velocity() -> Target:
    """a z - sqrt(h) x: the velocity of variance preserving diffusion in its angle."""
    return _Velocity()


def flow() -> Target:
    """z - x: the velocity of the linear interpolation."""
    return _Flow()


def edm(data_std: Any = None) -> Target:
    """The residual of EDM's preconditioned denoiser; data_std None means that of the problem, sqrt(tr Sigma/d)."""
    return _Edm(positive("data_std", data_std))


def linear(alpha: Any, beta: Any) -> Target:
    """alpha x + beta z with numbers, or functions of the level (`Level` with .a, .h, .root_h) written in JAX."""
    return _Linear(*(_coefficient(name, value) for name, value in (("alpha", alpha), ("beta", beta))))


def _coefficient(name: str, value: Any) -> Any:
    if callable(value) or is_traced(value):
        return value
    number = number_array(name, value, "finite, or a function of the level")
    if number.ndim or not np.isfinite(number):
        raise ValueError(f"{name} = {value!r} must be one finite number, or a function of the level")
    return float(number)


_MAKERS = (noise, data, velocity, flow, edm, linear)
_NAMED: dict[str, Callable[..., Target]] = {maker.__name__: maker for maker in _MAKERS}
NAMES = tuple(_NAMED)


def get(target: Any) -> Target:
    """The target of this name, as in `linear:1,0.5`, or the object itself. Raises ValueError for others."""
    return find(Target, "target", target, _NAMED)


def check(target: Target, level: Level, variance: Any) -> None:
    """Raises ValueError where the target is not finite or says nothing about the score; nothing on traced values."""
    alpha, beta = target.coefficients(level, variance)
    if any(is_traced(value) for value in (alpha, beta, *level)):
        return
    for name, value in (("alpha", alpha), ("beta", beta)):
        if np.shape(value) != np.shape(level.a) or not np.all(np.isfinite(value)):
            raise ValueError(f"target = {target}: {name} must be finite at every level, one number each, got {value!r}")
    delta, size = alpha * level.root_h - beta * level.a, np.abs(alpha) * level.root_h + np.abs(beta) * level.a
    silent = np.abs(delta) <= DISTINCT * size
    if np.any(silent):
        where = f"a = {np.ravel(level.a)[np.argmax(silent)]:g}, sqrt(h) = {np.ravel(level.root_h)[np.argmax(silent)]:g}"
        raise ValueError(
            f"target = {target} must have alpha sqrt(h) different from beta a, got equal at {where}: "
            "it says nothing about the score"
        )
