"""Integrals of losses over the time of a schedule, and the bound on generation that follows (docs/generation)."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from rfdsm._arguments import number_array
from rfdsm._problem import Problem, check_problem
from rfdsm._scope import jax_scope
from rfdsm._values import one_line, shown
from rfdsm.losses import Losses
from rfdsm.sampling._chain import first_variance
from rfdsm.sampling._samplers import Sampler, ddim
from rfdsm.theory._predict import predict
from rfdsm.theory._sample_covariance import panel_rule

ORDER, PANELS, MOST_PANELS = 16, 4, 256
"""Gauss-Legendre panels in log t, doubled until the integral has settled."""
SETTLED = 1e-9
WEIGHTS: dict[str, Callable[[Any], Any]] = {
    "1": lambda level: np.ones_like(level.h),
    "1/h": lambda level: 1 / level.h,
    "h": lambda level: level.h,
    "h/a^2": lambda level: level.h / level.a**2,
}
"""Weights of a loss over time, functions of the level."""


class PathBound(NamedTuple):
    """Bound on KL(data at the last level || generated)/d, arrays of the problem's shape."""

    bound: Float[np.ndarray, "*grid"]
    integral: Float[np.ndarray, "*grid"]
    """Of g^2/2 times the score error over the time: what the networks cost."""
    initial: Float[np.ndarray, "*grid"]
    """KL(data at the first level || samples there)/d: what starting from noise costs."""
    error: Float[np.ndarray, "*grid"]
    """Of the quadrature, estimated."""
    first: float
    last: float
    """Times between which it is taken: the cut-off."""


class IntegratedLosses(NamedTuple):
    """Integrals of all losses over time with a weight, by name, each of the problem's shape, and their error."""

    values: dict[str, Float[np.ndarray, "*grid"]]
    error: Float[np.ndarray, "*grid"]


def path_bound(problem: Problem, levels: Any, *, start: Any = None) -> PathBound:
    """How far generated samples can be from the data, by Girsanov's theorem, for any networks of these score errors.

    KL(P_last || generated)/d <= int g^2/2 score dt + KL(P_first || N(0, start))/d for the reversed stochastic equation
    in continuous time, g^2 = dh/dt - 2 (dlog a/dt) h: 2 for the default schedule. It holds for one network of all
    times as for a family of them; equality would take that paths, not samples, are compared.

    Args:
        problem: one problem or a grid of them; t is not used.
        levels: the times of a sampler, descending, or the sampler: the first and the last are the limits.
        start: variance of the first samples; default: that of pure noise, as in `generated_law`.

    Raises:
        ValueError: times that the schedule has not, or not descending to above 0.

    Source: docs/generation, section 6.

    Examples:
        >>> from rfdsm import Problem, path_bound
        >>> bound = path_bound(Problem(psi_n=8, psi_p=[2, 32], m=8, t=1, ridge=0.03), [3, 0.1])
        >>> bool(bound.bound[0] > bound.bound[1] > 0)
        True
    """
    first, last = _limits(levels)
    law = problem.spectrum
    variance = first_variance(problem, levels if isinstance(levels, Sampler) else ddim([first, last]), start)
    if not variance > 0:
        raise ValueError(f"start = {variance:g} must be > 0: the bound starts from a density")

    def diffusion(t: np.ndarray) -> np.ndarray:
        with jax_scope():
            times = jnp.asarray(t)
            level, rates = jax.jvp(lambda t: problem.schedule.level(t, law.mean), (times,), (jnp.ones_like(times),))
            a, h, a_rate, h_rate, scale = (np.asarray(x) for x in (level.a, level.h, rates.a, rates.h, level.scale))
        return (h_rate - 2 * a_rate / a * h) / (2 * scale**2)

    integral, error = _integrated(problem, first, last, diffusion, ("score",))
    level = problem.schedule.level(np.float64(first), law.mean)
    ratio = (level.a**2 * law.nodes + level.h) / variance
    initial = float(np.sum(law.weights * (ratio - 1 - np.log(ratio)))) / 2
    score = integral["score"]
    return PathBound(score + initial, score, np.full(score.shape, initial), error, first, last)


def integrated_losses(problem: Problem, levels: Any, *, weight: Any = "1") -> IntegratedLosses:
    """Integrals of the losses over time: what one network for all times is trained and tested on.

    Args:
        problem: one problem or a grid of them; t is not used.
        levels: as in `path_bound`.
        weight: "1", "1/h", "h", "h/a^2" (times dt), or a function of times, NumPy array to array.

    Raises:
        ValueError: as `path_bound`; an unknown weight, or one that is not finite.

    Examples:
        >>> from rfdsm import Problem, integrated_losses
        >>> problem = Problem(psi_n=4, psi_p=2, m=4, t=1, ridge=0.03, target="data")
        >>> round(float(integrated_losses(problem, [2, 0.1], weight="1/h").values["test"]), 4)
        2.1554
    """
    first, last = _limits(levels)
    rule: Any = weight
    if isinstance(weight, str) and weight in WEIGHTS:
        of_level = WEIGHTS[weight]
        rule = lambda t: of_level(problem.schedule.level(t, problem.spectrum.mean))  # noqa: E731
    elif not callable(weight):
        raise ValueError(f"weight = {one_line(weight)} must be one of {', '.join(WEIGHTS)}, or a function of times")
    values, error = _integrated(problem, first, last, rule, Losses.NAMES)
    return IntegratedLosses(values, error)


def _limits(levels: Any) -> tuple[float, float]:
    times = np.asarray(levels.levels) if isinstance(levels, Sampler) else number_array("levels", levels, "times")
    if times.ndim != 1 or times.size < 2 or not (np.all(np.diff(times) < 0) and times[-1] >= 0):
        raise ValueError(f"levels = {one_line(levels)} must be two times or more, descending")
    if times[-1] == 0:
        raise ValueError("levels must end above 0: at time 0 the score of data is no density's (state a cut-off)")
    return float(times[0]), float(times[-1])


def _integrated(
    problem: Problem, first: float, last: float, weigh: Callable[[np.ndarray], Any], names: tuple[str, ...]
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Integrals of losses from last to first, and the largest change as panels were doubled for the last time."""
    check_problem(problem)
    shape = np.broadcast_shapes(*(np.shape(getattr(problem, name)) for name in ("psi_n", "psi_p", "m", "ridge")))
    before: dict[str, np.ndarray] | None = None
    panels = PANELS
    while True:
        log_t, lengths = panel_rule(np.linspace(np.log(last), np.log(first), panels + 1), ORDER)
        t = np.exp(log_t)
        weights = np.asarray(weigh(t), float) * t * lengths
        if weights.shape != t.shape or not np.all(np.isfinite(weights)):
            raise ValueError(f"weight must be one finite number for each time from {shown(last)} to {shown(first)}")
        losses = predict(problem.at(t=t.reshape(-1, *(1,) * len(shape))))
        now = {name: np.tensordot(weights, getattr(losses, name), 1) for name in names}
        if before is not None:
            error = np.asarray(np.max([np.abs(now[name] - before[name]) for name in names], axis=0))
            size = np.max([np.abs(now[name]) for name in names], axis=0)
            if panels >= MOST_PANELS or not np.any(error > SETTLED * size):
                return now, error
        before, panels = now, 2 * panels
