"""Samplers: from noise to data in K steps, each an affine function of the sample, the network's output and fresh noise.

A step from level (a, h) to level (a', h') takes y to

    A y + C f(y) + spread xi,     xi standard normal,

f the network's prediction of its target alpha x + beta z. With the estimates x' = (sqrt(h) f - beta y)/delta and
z' = (alpha y - a f)/delta of data and noise, delta = alpha sqrt(h) - beta a,

    ddim          a' x' + sqrt(h' - spread^2) z',   spread^2 = eta^2 h' (h - (a/a')^2 h')/h      (ddpm: eta = 1)
    euler         y - (t - t')(da/dt x' + dsqrt(h)/dt z')                     the probability flow, or that of a flow
    reverse_sde   y - (t - t')(F y + g^2 z'/sqrt(h)),   spread^2 = g^2 (t - t')   F = dlog a/dt, g^2 = dh/dt - 2 F h

The same for theory and simulation, for every schedule and target. Sources: arXiv 2010.02502 (ddim), 2006.11239 (ddpm),
2011.13456 (reverse_sde), 2209.03003 and 2206.00364 (euler).
"""

import contextlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from rfdsm._arguments import field, number_array
from rfdsm._arrays import module_of
from rfdsm._hints import Count, Number, Numbers
from rfdsm._scope import jax_scope
from rfdsm._values import is_traced, number, one_line, shown, whole_number
from rfdsm.schedules import Schedule
from rfdsm.targets import Asked, Target, asked, check


class Steps(NamedTuple):
    """Coefficients of all K steps, arrays (K,)."""

    A: Float[np.ndarray, " K"]
    C: Float[np.ndarray, " K"]
    spread: Float[np.ndarray, " K"]


@dataclass(frozen=True)
class Sampler(ABC):
    """A rule, and the times it visits: K + 1 of them, descending; a network at each but the last."""

    levels: tuple[float, ...]

    name: ClassVar[str]

    def __str__(self) -> str:
        """As `get` reads it; the levels are said apart."""
        return self.name

    @property
    def stochasticity(self) -> float:
        """What is left of a sampler in infinitely many steps: 0 the probability flow, 1 the reversed equation."""
        return 0.0

    @property
    def size(self) -> int:
        """Number of steps K."""
        return len(self.levels) - 1

    def asked(self, schedule: Schedule, target: Target, variance: Any = 1.0) -> Asked:
        """What the networks at the K first levels see and learn, arrays (K,); `variance` is tr(Sigma)/d of the data.

        ValueError for times that the schedule has not, and targets that say nothing about the score there.
        """
        times = field("levels", np.array(self.levels[:-1]), (schedule.allowed, schedule.holds))
        check(target, schedule.level(times, variance), variance)
        return asked(schedule, target, times, variance)

    def steps(self, schedule: Schedule, target: Target, variance: Any = 1.0) -> Steps:
        """Coefficients. The last time may be 0, at which there are data only. ValueError as `asked`."""
        times = np.array(self.levels)
        found = self.asked(schedule, target, variance)
        traced = is_traced((variance, list(vars(schedule).values())))
        with jax_scope(), contextlib.nullcontext() if traced else jax.ensure_compile_time_eval():
            t = jnp.asarray(times)
            level, rates = jax.jvp(lambda t: schedule.level(t, variance), (t,), (jnp.ones_like(t),))
            values = (level.a, level.h, rates.a, rates.h)
            a, h, a_rate, h_rate = values if traced else map(np.asarray, values)
        kept, data, noise, spread = self._moves(times, a, h, a_rate[:-1], h_rate[:-1])
        A = kept + (noise * found.alpha - data * found.beta) / found.delta
        return Steps(A, (data * found.root_h - noise * found.a) / found.delta, spread)

    def last_level(self, schedule: Schedule, variance: Any = 1.0) -> tuple[Any, Any]:
        """(a, h) at the end."""
        level = schedule.level(np.float64(self.levels[-1]), variance)
        return (level.a, level.h) if is_traced(tuple(level)) else (float(level.a), float(level.h))

    @abstractmethod
    def _moves(self, t: Any, a: Any, h: Any, a_rate: Any, h_rate: Any) -> tuple[Any, Any, Any, Any]:
        """What a step takes of y, x', z' and fresh noise; t, a, h of shape (K + 1,), rates (K,)."""


@dataclass(frozen=True)
class _Ddim(Sampler):
    eta: float = 0.0
    name = "ddim"

    def __str__(self) -> str:
        return f"{self.name}:{self.eta!r}" if self.eta else self.name

    @property
    def stochasticity(self) -> float:
        return self.eta

    def _moves(self, t: Any, a: Any, h: Any, a_rate: Any, h_rate: Any) -> tuple[Any, Any, Any, Any]:
        xp = module_of(a, h)
        between = xp.maximum(h[:-1] - (a[:-1] / a[1:]) ** 2 * h[1:], 0.0)
        if self.eta == 0:  # no root of 0, whose slope is infinite
            return 0.0, a[1:], xp.sqrt(h[1:]), xp.zeros_like(between)
        fresh = self.eta**2 * h[1:] * between / h[:-1]
        return 0.0, a[1:], xp.sqrt(xp.maximum(h[1:] - fresh, 0.0)), xp.sqrt(fresh)


class _Euler(Sampler):
    name = "euler"

    def _moves(self, t: Any, a: Any, h: Any, a_rate: Any, h_rate: Any) -> tuple[Any, Any, Any, Any]:
        step = t[:-1] - t[1:]
        return 1.0, -step * a_rate, -step * h_rate / (2 * h[:-1] ** 0.5), np.zeros_like(step)


class _ReverseSde(Sampler):
    name = "reverse_sde"

    @property
    def stochasticity(self) -> float:
        return 1.0

    def _moves(self, t: Any, a: Any, h: Any, a_rate: Any, h_rate: Any) -> tuple[Any, Any, Any, Any]:
        step, drift = t[:-1] - t[1:], a_rate / a[:-1]
        diffusion = h_rate - 2 * drift * h[:-1]
        return 1 - step * drift, 0.0, -step * diffusion / h[:-1] ** 0.5, (step * diffusion) ** 0.5


def ddim(levels: Numbers, eta: Number = 0.0) -> Sampler:
    """Denoise, and add the estimated noise back; eta from 0 to 1 replaces a part of it by fresh noise."""
    return _Ddim(_checked(levels), number("eta", eta, "from 0 to 1", lambda x: 0 <= x <= 1))


def ddpm(levels: Numbers) -> Sampler:
    """Ancestral sampling: `ddim` with eta = 1."""
    return ddim(levels, 1.0)


def euler(levels: Numbers) -> Sampler:
    """Euler's method for the probability flow in the schedule's time: flow matching, EDM's deterministic sampler."""
    return _Euler(_checked(levels))


def reverse_sde(levels: Numbers) -> Sampler:
    """Euler's method for the reversed stochastic equation in the schedule's time."""
    return _ReverseSde(_checked(levels))


NAMES = ("ddim", "ddpm", "euler", "reverse_sde")


def get(name: Any, levels: Any) -> Sampler:
    """A sampler by its name, one of `NAMES` or ddim:ETA. Raises ValueError for another."""
    kind, colon, eta = name.partition(":") if isinstance(name, str) else ("", "", "")
    if kind not in NAMES or (colon and kind != "ddim"):
        raise ValueError(f"sampler = {one_line(name)} must be one of {', '.join(NAMES)}, or ddim:ETA")
    if not colon:
        return {"ddim": ddim, "ddpm": ddpm, "euler": euler, "reverse_sde": reverse_sde}[kind](levels)
    try:
        return ddim(levels, float(eta))
    except ValueError as error:
        if str(error).startswith(("eta", "levels")):
            raise
        raise ValueError(f"sampler = {one_line(name)} must have a number from 0 to 1 behind the colon") from None


def check_sampler(sampler: Any) -> None:
    """Raises ValueError for anything but a sampler."""
    if not isinstance(sampler, Sampler):
        raise ValueError(f"sampler = {one_line(sampler)} must be a sampler of rfdsm.sampling, such as ddim(levels)")


def _checked(levels: Any) -> tuple[float, ...]:
    times = number_array("levels", levels, "times, descending")
    if times.ndim != 1 or times.size < 2:
        raise ValueError(f"levels = {one_line(levels)} must be a list of two times or more, one step at least")
    if not (np.all(np.isfinite(times)) and np.all(np.diff(times) < 0) and times[-1] >= 0):
        raise ValueError(f"levels = {one_line(times.tolist())} must be finite, >= 0 and strictly descending")
    return tuple(times.tolist())


def geometric(first: Number, last: Number, steps: Numbers) -> Float[np.ndarray, " levels"]:
    """steps + 1 times from first down to last > 0 in equal ratios."""
    high, low, count = _ends(first, last, steps)
    return np.geomspace(high, low, count + 1)


def uniform(first: Number, last: Number, steps: Numbers) -> Float[np.ndarray, " levels"]:
    """steps + 1 times from first down to last >= 0 in equal distances."""
    high, low, count = _ends(first, last, steps, zero=True)
    return np.linspace(high, low, count + 1)


def karras(first: Number, last: Number, steps: Numbers, rho: Number = 7.0) -> Float[np.ndarray, " levels"]:
    """steps + 1 times from first down to last >= 0 whose rho-th roots have equal distances (arXiv 2206.00364)."""
    high, low, count = _ends(first, last, steps, zero=True)
    power = number("rho", rho, "> 0", lambda x: x > 0)
    return np.linspace(high ** (1 / power), low ** (1 / power), count + 1) ** power


def _ends(first: Any, last: Any, steps: Any, zero: bool = False) -> tuple[float, float, int]:
    high = number("first", first, "> 0", lambda x: x > 0)
    least = ">= 0" if zero else "> 0"
    low = number("last", last, f"{least} and < first = {shown(high)}", lambda x: 0 < x < high or (zero and x == 0))
    return high, low, whole_number("steps", steps, 1, 10**6)


def table(size: Count, steps: Numbers) -> Float[np.ndarray, " levels"]:
    """steps + 1 whole times from `size` down to 1, as evenly as they come, as in a table of betas (`beta_linear`)."""
    count = whole_number("steps", steps, 1, 10**6)
    largest = whole_number("size", size, count + 1, 10**9)
    return np.round(np.linspace(largest, 1, count + 1))
