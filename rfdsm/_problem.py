"""What is asked: one denoising score-matching problem, or a grid of them."""

import copy
from collections.abc import Sequence
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Float

from rfdsm import _arguments as arguments, activations, schedules, spectra, targets
from rfdsm._grids import Grid
from rfdsm._hints import ActivationLike, Numbers, ScheduleLike, SpectrumLike, TargetLike
from rfdsm._vocabulary import RANGES
from rfdsm.activations import Activation
from rfdsm.schedules import Level, Schedule
from rfdsm.spectra import Spectrum
from rfdsm.targets import Asked, Target, asked

Numeric = Float[jax.Array | np.ndarray, "..."]
FIELDS = ("psi_n", "psi_p", "m", "t", "ridge")
PARAMETRISATION = {"schedule": "ou", "target": "noise"}
"""What the network sees and what it learns, by default."""
STRUCTURE = ("activation", "spectrum", "schedule", "target")


class Problem(Grid):
    """Random-feature denoising score matching at n = psi_n d samples, p = psi_p d features, m noise draws per sample.

    Numeric fields are scalars or arrays that broadcast against each other: a grid *is* a problem with array fields.
    As a pytree its leaves are the five numeric fields; what else it holds is structure.

    Args:
        psi_n: samples per dimension n/d, > 0; inf is the population limit of `predict`.
        psi_p: features per dimension p/d, > 0; inf is the kernel limit of `predict` at fixed ridge.
        m: noise draws per sample, an integer >= 1 or inf (the expectation over the noise).
        t: time of the schedule; of the default "ou" diffusion time, > 0 (signal e^{-t}, noise variance 1 - e^{-2t}).
        ridge: penalty lambda >= 0 of the objective J(B) = (1/(d n m)) sum |B phi - target|^2 + (lambda/d) |B|^2.
        activation: name, `rfdsm.activations` object, or any JAX callable acting elementwise.
        spectrum: eigenvalue law of the data covariance (`rfdsm.spectra`); None means identity covariance.
        schedule: name or `rfdsm.schedules` object: signal and noise at time t.
        target: name or `rfdsm.targets` object: what the network learns, alpha x + beta z.

    Raises:
        ValueError: a field out of range (named, with its value and the allowed range), or shapes that do not broadcast.

    Source: arXiv 2502.00336, section 2; docs/theory, section 1.

    Examples:
        >>> from rfdsm import Problem
        >>> Problem(psi_n=8, psi_p=[1, 2, 4], m=4, t=0.1, ridge=1e-3).shape
        (3,)
        >>> Problem.grid(psi_n=[2, 8], psi_p=[1, 2, 4], m=4, t=0.1, ridge=1e-3).shape
        (2, 3)
        >>> Problem(psi_n=8, psi_p=1, m=0.5, t=0.1, ridge=1e-3)
        Traceback (most recent call last):
        ValueError: m = 0.5 must be an integer >= 1 or inf
    """

    FIELDS: ClassVar = FIELDS
    STRUCTURE: ClassVar = STRUCTURE

    psi_n: Numeric
    psi_p: Numeric
    m: Numeric
    t: Numeric
    ridge: Numeric
    activation: Activation = eqx.field(static=True)
    spectrum: Spectrum = eqx.field(static=True)
    schedule: Schedule = eqx.field(static=True)
    target: Target = eqx.field(static=True)

    def __init__(
        self,
        psi_n: Numbers,
        psi_p: Numbers,
        m: Numbers,
        t: Numbers,
        ridge: Numbers,
        activation: ActivationLike = "tanh",
        spectrum: SpectrumLike | None = None,
        schedule: ScheduleLike = "ou",
        target: TargetLike = "noise",
    ) -> None:
        self.schedule, self.target = schedules.get(schedule), targets.get(target)
        ranges = _ranges(self.schedule)
        reach = _REACH | {"t": self.schedule.reach}
        for name, value in zip(FIELDS, (psi_n, psi_p, m, t, ridge), strict=True):
            checked = arguments.field(name, value, ranges[name])
            setattr(self, name, arguments.field(name, checked, reach[name]))
        if spectrum is not None and not isinstance(spectrum, Spectrum):
            raise ValueError(arguments.not_a_spectrum(spectrum))
        self.activation = activations.get(activation)
        self.spectrum = spectra.isotropic() if spectrum is None else spectrum
        arguments.check_broadcast({name: getattr(self, name) for name in FIELDS})
        targets.check(self.target, self.level, self.spectrum.mean)
        if not self.traced and np.any(np.isinf(self.psi_n) & np.isinf(self.psi_p)):
            raise ValueError("psi_n = inf and psi_p = inf must not meet: the limit depends on their ratio")

    @classmethod
    def grid(
        cls,
        psi_n: Numbers,
        psi_p: Numbers,
        m: Numbers,
        t: Numbers,
        ridge: Numbers,
        activation: ActivationLike = "tanh",
        spectrum: SpectrumLike | None = None,
        schedule: ScheduleLike = "ou",
        target: TargetLike = "noise",
    ) -> "Problem":
        """The outer product of its fields: each list or 1-D array becomes an axis of its own, scalars add none.

        Axes come in the order psi_n, psi_p, m, t, ridge. Raises ValueError for empty lists or fields of more than
        one dimension.
        """
        fields: dict[str, Any] = dict(zip(FIELDS, (psi_n, psi_p, m, t, ridge), strict=True))
        laid_out = arguments.outer(fields, _ranges(schedules.get(schedule)))
        return cls(**laid_out, activation=activation, spectrum=spectrum, schedule=schedule, target=target)

    @property
    def traced(self) -> bool:
        """Whether any parameter is being traced by a JAX transformation."""
        return any(isinstance(leaf, Tracer) for leaf in self.parameters)

    @property
    def parameters(self) -> Sequence[Any]:
        """Everything a loss can be differentiated by: fields, spectrum, parameters of activation, schedule, target."""
        own = [getattr(self, name) for name in FIELDS]
        others = [x for part in (self.activation, self.schedule, self.target) for x in vars(part).values()]
        return [*own, self.spectrum.nodes, self.spectrum.weights, *others]

    @property
    def level(self) -> Level:
        """Amplitude of the signal, variance of the noise and scale of the input, of the shape of t."""
        return self.schedule.level(self.t, self.spectrum.mean)

    @property
    def asked(self) -> Asked:
        """The level, and the coefficients of the target alpha x + beta z there; of the shape of t."""
        return self.asked_at(self.t)

    def asked_at(self, t: Numbers) -> Asked:
        """The same at other times."""
        return asked(self.schedule, self.target, t, self.spectrum.mean)


def _ranges(schedule: Schedule) -> dict[str, arguments.Range]:
    return RANGES | {"t": (schedule.allowed, schedule.holds)}


def check_problem(problem: Any) -> None:
    """Raises ValueError for anything but a `Problem`: a mapping of fields, or the linear denoiser's own."""
    if not isinstance(problem, Problem):
        raise ValueError(f"problem must be a rfdsm.Problem, got {arguments.kind(problem)}")


def in_double(problem: Problem) -> Problem:
    """With all that is traced in double precision: within `jax_scope`, where single precision would mix with it."""
    if not problem.traced:
        return problem

    def exact(x: Any) -> Any:
        return x.astype(float) if isinstance(x, Tracer) and jnp.issubdtype(x.dtype, jnp.floating) else x

    def part(whole: Any) -> Any:
        new = copy.copy(whole)
        for name, x in vars(whole).items():
            object.__setattr__(new, name, exact(x))
        return new

    parts = {name: part(getattr(problem, name)) for name in ("activation", "spectrum", "schedule", "target")}
    return problem.at(**{name: exact(getattr(problem, name)) for name in FIELDS}, **parts)


_REACH: dict[str, arguments.Range] = {
    "psi_n": ("from 1e-30 to 1e30, or inf (the population limit)", lambda x: _within(x, 1e-30, 1e30) | np.isinf(x)),
    "psi_p": ("from 1e-30 to 1e30, or inf (the kernel limit)", lambda x: _within(x, 1e-30, 1e30) | np.isinf(x)),
    "m": ("from 1 to 1e15, or inf", lambda x: (x <= 1e15) | np.isinf(x)),
    "ridge": ("0, or from 1e-100 to 1e100", lambda x: _within(x, 1e-100, 1e100) | (x == 0)),
}
"""Within their ranges, what double precision carries to the losses; of t the schedule knows."""


def _within(x: Any, low: float, high: float) -> Any:
    return (x >= low) & (x <= high)
