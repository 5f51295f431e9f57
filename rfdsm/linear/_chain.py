"""Sampling in several denoising steps, one exact (m = inf) ridge denoiser per step (docs/linear, section 5).

All denoisers are functions of the sample covariance S, so they commute and every eigenvalue w of S evolves on its own:
with D(w) = a w/(a^2 w + eta + lambda) at time t, the step to t' < t takes y to

    a' D y + sqrt(eta' - v) (y - a D y)/sqrt(eta) + sqrt(v) z,   v = chi^2 eta' l (1 - e^{-2(t - t')})/eta,

chi = 0: the estimated noise is kept (DDIM); chi = 1: y' is drawn from its posterior given y and x = D y (DDPM).

The generated covariance is a function of S, and for isotropic data every statistic is a Marchenko-Pastur average.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from rfdsm import schedules
from rfdsm._arguments import check_whole
from rfdsm._arrays import check_finite, real_array
from rfdsm._executables import jitted
from rfdsm._hints import Count, Numbers, ScheduleLike
from rfdsm._scope import jax_scope
from rfdsm._values import one_line
from rfdsm.linear._generated import checked_smoothing
from rfdsm.linear._problem import Problem, check_problem
from rfdsm.losses import GeneratedLaw
from rfdsm.sampling import geometric, karras, uniform

EARLIEST = 1e-3
"""First and last time of the geometric schedule differ by this factor."""
PANELS, ORDER = 30, 16
FINEST = 1e-8  # width of the panel at the lower edge, where at n = d a logarithm has its singularity


def generated_spectrum(
    eigenvalues: Any, at: Any, noise_scale: Any, ridge: Any, start: Any, stochasticity: Any
) -> Float[jax.Array, "*cells nodes"]:
    """Variance of the generated law along each eigendirection of the sample covariance.

    Args:
        eigenvalues: of the sample covariance, shape (*cells, nodes).
        at: times, decreasing to 0, shape (*cells, times); one denoiser for each that is not 0.
        noise_scale, ridge: of the problem, shape cells.
        start: variance a^2 tr S/d + eta from which sampling starts, shape cells.
        stochasticity: 0 for the deterministic update, 1 for the ancestral one.
    """
    w, scale, penalty = eigenvalues, noise_scale[..., None], ridge[..., None]
    variance = start[..., None] + 0 * w

    def step(variance: jax.Array, interval: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        now, then = interval
        levels = [schedules.get("ou").level(time, 1.0) for time in (now, then, now - then)]
        a, a_next = (level.a for level in levels[:2])
        eta, eta_next, between = (scale * level.h for level in levels)  # `between` is added from `then` to `now`
        denoised = a * w / (a**2 * w + eta + penalty)
        removed = (eta + penalty) / (a**2 * w + eta + penalty)  # 1 - a D
        fresh = stochasticity**2 * eta_next * between / eta
        factor = a_next * denoised + jnp.sqrt(jnp.maximum(eta_next - fresh, 0.0) / eta) * removed
        return jnp.where(now > 0, factor**2 * variance + fresh, variance), None

    moments = jnp.moveaxis(jnp.asarray(at), -1, 0)[..., None]
    return jax.lax.scan(step, variance, (moments[:-1], moments[1:]))[0]


_generated_spectrum = jitted(generated_spectrum)


def chain(
    problem: Problem,
    steps: Numbers,
    *,
    schedule: ScheduleLike = "uniform",
    stochasticity: Numbers = 0.0,
    smoothing: Numbers = 0.0,
) -> GeneratedLaw:
    """The law generated in several steps from isotropic data with m = inf, in the limit d, n -> infinity.

    One step is `generated` at m = inf. The noising process is y_t = e^{-t} x + sqrt(l (1 - e^{-2t})) z with one noise
    scale l at all times, sampling starts at t = T from N(a x_mean, a^2 tr S/d + eta), and the denoiser of every
    time is fitted to the same n points with the same ridge.

    Args:
        problem: one problem or a grid of them, m = inf, identity covariance (times sigma^2).
        steps: number of denoising steps, an integer >= 1 or a list of them.
        schedule: times T s_k of the steps: "uniform", "quadratic" (s_k = (k/steps)^2), "geometric", or the fractions
            s_k themselves.
        stochasticity: 0, the deterministic update (DDIM), to 1, the ancestral one (DDPM): the standard deviation of
            the noise drawn in each step, relative to that of the exact posterior.
        smoothing: as in `generated`.

    Returns:
        `GeneratedLaw` of the shape of the problem, with a trailing axis of steps if `steps` is a list.

    Raises:
        ValueError: m finite, a structured covariance, or an argument out of range.

    Source: the question is that of arXiv 2411.17807; docs/linear, section 5.

    Examples:
        >>> import numpy as np
        >>> from rfdsm import linear
        >>> linear.chain(linear.Problem(psi=5.0, T=2.0, m=np.inf), steps=[1, 4, 16]).kl.round(4)
        array([0.1651, 0.032 , 0.0191])
    """
    counts = checked_steps(steps)
    check_exact(problem)
    if problem.spectrum.size != 1:
        raise ValueError(
            f"spectrum {problem.spectrum.label} must be isotropic in chain: the generated covariance does not commute "
            "with a structured one; use simulate_chain"
        )
    chi = checked_stochasticity(stochasticity)
    rho = checked_smoothing(smoothing, problem)
    shape = np.broadcast_shapes(problem.shape, rho.shape)
    names = ("psi", "T", "ridge", "noise_scale", "variance", "a", "eta")
    psi, T, ridge, scale, variance, a, eta = problem.broadcast(*names, shape=rho.shape)
    rho = np.broadcast_to(rho, shape)
    eigenvalues, weights = rule(psi)
    eigenvalues = variance[..., None] * eigenvalues
    start = a**2 * variance + eta
    laws = []
    padded = 2 ** (max(counts) - 1).bit_length()  # zeros at the end change nothing: few lengths are compiled
    for count in counts:
        at = times(schedule, count, T)
        at = np.concatenate([at, np.zeros((*shape, padded - count))], axis=-1)
        with jax_scope():
            spectrum = np.asarray(_generated_spectrum(eigenvalues, at, scale, ridge, start, chi))
        laws.append(_law(spectrum, weights, variance, rho, psi))
    values = {name: np.stack([law[name] for law in laws], axis=-1) for name in GeneratedLaw.NAMES}
    if isinstance(steps, int | np.integer):
        values = {name: np.asarray(value[..., 0]) for name, value in values.items()}
    converged = np.ones(np.shape(values["kl"]), dtype=bool)
    return GeneratedLaw(**values, converged=converged, residual=np.zeros(converged.shape))


def optimal_steps(
    problem: Problem,
    most: Count = 64,
    *,
    schedule: ScheduleLike = "uniform",
    stochasticity: Numbers = 0.0,
    smoothing: Numbers = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """The number of steps, from 1 to `most`, that brings the generated law closest to the target in KL.

    Returns (steps, KL(generated || target)/d there), both of the problem's shape. Where `steps` equals `most`, more
    may be better still; where the divergence is infinite for every number, steps = 1. Errors are those of `chain`.
    """
    (most,) = checked_steps(most)
    law = chain(problem, list(range(1, most + 1)), schedule=schedule, stochasticity=stochasticity, smoothing=smoothing)
    return np.asarray(np.argmin(law.kl, axis=-1) + 1), np.asarray(np.min(law.kl, axis=-1))


def check_exact(problem: Problem) -> None:
    """Raises ValueError unless m = inf throughout: only then are all denoisers functions of one matrix."""
    check_problem(problem)
    finite = np.isfinite(problem.m)
    if np.any(finite):
        first = np.asarray(problem.m)[finite].flat[0]
        raise ValueError(f"m = {first:g} must be inf for several steps: denoisers must commute")


def checked_stochasticity(value: Any) -> float:
    """A number from 0 to 1. Raises ValueError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 <= value <= 1:
        raise ValueError(f"stochasticity = {one_line(value)} must be a number from 0 (deterministic) to 1 (ancestral)")
    return float(value)


def _law(spectrum: np.ndarray, weights: np.ndarray, variance: np.ndarray, rho: np.ndarray, psi: np.ndarray) -> dict:
    """Statistics of two commuting covariances, the target a multiple of the identity."""

    def average(values: Any) -> Any:
        return np.sum(np.where(weights > 0, weights * values, 0.0), axis=-1)

    target = (variance + rho)[..., None]
    law = spectrum + rho[..., None]
    deficient = (rho == 0) & (psi <= 1)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        logdet, trace = average(np.log(law)), average(spectrum)
        kl = (average(law / target - 1) - average(np.log(law / target))) / 2
        reverse = (average(target / law - 1) + average(np.log(law / target))) / 2
        overlap = average(np.log((law + target) / 2)) / 2 - (logdet + np.log(target[..., 0])) / 4
    return {
        "kl": np.where(deficient, np.inf, kl),
        "reverse_kl": np.where(deficient, np.inf, reverse),
        "bhattacharyya": np.where(deficient, np.inf, overlap),
        "wasserstein": average((np.sqrt(law) - np.sqrt(target)) ** 2),
        "logdet": np.where(deficient, -np.inf, logdet),
        "trace": trace,
    }


def rule(
    psi: Float[np.ndarray, "*cells"],
) -> tuple[Float[np.ndarray, "*cells nodes"], Float[np.ndarray, "*cells nodes"]]:
    """Nodes and weights for averages of f over the eigenvalues of X^T X / n, X of n = psi d rows with unit variance.

    With w = psi * (eigenvalue) = 1 + psi + 2 sqrt(psi) cos(theta), the density is (2 psi/pi) sin(theta)^2/w in theta;
    Gauss-Legendre panels shrink geometrically towards the lower edge theta = pi. The last node is 0, with the weight
    max(0, 1 - psi) of the directions that the samples do not span. psi > 0, any shape; weights sum to 1.
    """
    psi = np.asarray(psi, dtype=np.float64)[..., None]
    points, lengths = np.polynomial.legendre.leggauss(ORDER)
    edges = np.append(0.0, np.geomspace(FINEST, np.pi, PANELS))
    half = np.diff(edges)[:, None] / 2
    away = (edges[:-1, None] + half + half * points).ravel()  # pi - theta
    widths = (half * lengths).ravel()
    root = np.sqrt(psi)
    w = (root - 1) ** 2 + 4 * root * np.sin(away / 2) ** 2
    weights = 2 * psi / np.pi * widths * np.sin(away) ** 2 / w
    unseen = np.maximum(0.0, 1 - psi)
    weights *= (1 - unseen) / weights.sum(axis=-1, keepdims=True)
    return np.concatenate([w / psi, np.zeros_like(psi)], axis=-1), np.concatenate([weights, unseen], axis=-1)


def times(schedule: Any, steps: int, T: Float[np.ndarray, "*cells"]) -> Float[np.ndarray, "*cells times"]:
    """Times from T down to 0, steps + 1 of them; the denoiser is applied at all but the last.

    Args:
        schedule: "uniform" in t; "quadratic", t = T (k/steps)^2; "geometric", from T to EARLIEST * T; or fractions of T
            at which to denoise, steps of them, decreasing from 1.
        steps: number of steps >= 1.
        T: final times of the cells.

    Raises ValueError for an unknown schedule or fractions that do not decrease from 1 to above 0.
    """
    if not isinstance(schedule, str):
        given = real_array("schedule", schedule).astype(np.float64)
        if given.ndim != 1 or given.size == 0:
            raise ValueError(f"schedule must be a name or a list of fractions of T, got shape {given.shape}")
        check_finite("schedule", given)
        if given[0] != 1 or given[-1] <= 0 or np.any(np.diff(given) >= 0):
            raise ValueError(f"schedule = {given.tolist()} must decrease strictly from 1 and stay above 0")
        if given.size != steps:
            raise ValueError(f"schedule has {given.size} fractions of T, must have one for each of {steps} steps")
        fractions = np.append(given, 0.0)
    elif schedule == "uniform":
        fractions = uniform(1, 0, steps)
    elif schedule == "quadratic":
        fractions = karras(1, 0, steps, rho=2)
    elif schedule == "geometric":
        fractions = np.append(geometric(1, EARLIEST, steps - 1) if steps > 1 else 1.0, 0.0)
    else:
        names = "uniform, quadratic, geometric"
        raise ValueError(f"schedule = {one_line(schedule)} must be one of {names}, or fractions of T")
    return fractions * np.asarray(T)[..., None]


def checked_steps(steps: Any) -> tuple[int, ...]:
    """Numbers of steps, from one or a list. Raises ValueError unless they are integers >= 1."""
    several = (isinstance(steps, Sequence) and not isinstance(steps, str | bytes)) or np.ndim(steps) == 1
    listed: list[Any] = list(steps) if several else [steps]
    for count in listed:
        check_whole("steps", count, 1)
    if not listed:
        raise ValueError("steps is empty, must be an integer >= 1 or a list of them")
    return tuple(int(count) for count in listed)
