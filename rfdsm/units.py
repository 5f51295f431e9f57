"""Training time in the units of its users (docs/training, section 1).

theta is the time of dB/dtheta = -(B(U + ridge) + V^T), B = sqrt(h/p) A: its eigenvalues are those of U + ridge. Only
the noise target has the factor h, for whose networks A phi/sqrt(p) is the score; others have B = A/sqrt(p). All
functions are elementwise; arguments broadcast. ValueError unless they are numbers > 0 (times and steps: >= 0).
"""

from typing import Any

import numpy as np

from rfdsm import _arguments as arguments, schedules, targets
from rfdsm._hints import Numbers, ScheduleLike, TargetLike


def flow_time(
    learning_rate: Numbers,
    steps: Numbers,
    t: Numbers,
    p: Numbers,
    d: Any,
    *,
    per_coordinate: bool = True,
    schedule: ScheduleLike = "ou",
    target: TargetLike = "noise",
    variance: Numbers = 1.0,
) -> Any:
    """theta after `steps` small steps of plain gradient descent on A, 2 h learning_rate steps/(p d).

    For descent on J as this package writes it, (1/(d n m)) sum |sqrt(h/p) A phi + z|^2 + penalty. `per_coordinate` is
    False where the loss and its penalty are written without the 1/d: theta is then larger by the factor d. The same for
    optax.sgd(learning_rate); its momentum mu multiplies theta by 1/(1 - mu). Adaptive optimisers have no theta.
    `variance` is tr(Sigma)/d of the data, by which the EDM schedule scales its input.

    Source: docs/training, equation 2.

    Examples:
        >>> from rfdsm import units
        >>> theta = units.flow_time(learning_rate=1.0, steps=10_000, t=0.1, p=6400, d=100)
        >>> float(theta.round(5)), float(units.flow_steps(theta, 1.0, t=0.1, p=6400, d=100).round())
        (0.00566, 10000.0)
    """
    return _per_step(learning_rate, t, p, d, per_coordinate, schedule, target, variance) * _number("steps", steps)


def flow_steps(
    theta: Numbers,
    learning_rate: Numbers,
    t: Numbers,
    p: Numbers,
    d: Any,
    *,
    per_coordinate: bool = True,
    schedule: ScheduleLike = "ou",
    target: TargetLike = "noise",
    variance: Numbers = 1.0,
) -> Any:
    """Number of steps, a float, after which `flow_time` is theta."""
    return _number("theta", theta) / _per_step(learning_rate, t, p, d, per_coordinate, schedule, target, variance)


def flow_time_from_tau(tau: Numbers, t: Numbers, psi_p: Numbers) -> Any:
    """theta = 2 h tau/psi_p of the time tau = learning_rate * steps/d^2 in arXiv 2505.17638 (loss per coordinate)."""
    return 2 * _noise(t) * _number("tau", tau) / _number("psi_p", psi_p)


def tau_from_flow_time(theta: Numbers, t: Numbers, psi_p: Numbers) -> Any:
    """tau = psi_p theta/(2 h), the inverse of `flow_time_from_tau`."""
    return _number("theta", theta) * _number("psi_p", psi_p) / (2 * _noise(t))


def _noise(t: Any) -> Any:
    return schedules.get("ou").level(_number("t", t), 1.0).h


def _per_step(
    learning_rate: Any, t: Any, p: Any, d: Any, per_coordinate: bool, schedule: Any, target: Any, variance: Any
) -> Any:
    scale = _number("p", p) * (_number("d", d) if per_coordinate else 1.0)
    level = schedules.get(schedule).level(_number("t", t), _number("variance", variance))
    return 2 * targets.get(target).amplitude(level) ** 2 * _number("learning_rate", learning_rate) / scale


_MAY_BE_ZERO = ("steps", "theta", "tau")


def _number(name: str, value: Any) -> np.ndarray:
    """A concrete argument in its range."""
    allowed = ">= 0" if name in _MAY_BE_ZERO else "> 0"
    number = arguments.number_array(name, value, allowed)
    return arguments.field(name, number, (allowed, (lambda x: x >= 0) if name in _MAY_BE_ZERO else (lambda x: x > 0)))
