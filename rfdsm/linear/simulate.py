"""Finite-d simulation of the linear denoiser: `simulate`, the twin of theory's `predict` and `generated`."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from rfdsm.linear.chain import check_exact, checked_stochasticity, generated_spectrum
from rfdsm.linear.divergences import statistics
from rfdsm.linear.fitting import Fitted, Sample, draw, fit
from rfdsm.linear.generated import GeneratedLaw, checked_smoothing
from rfdsm.linear.losses import DenoisingLosses
from rfdsm.linear.plan import Cell, Plan, padded_size, plan
from rfdsm.linear.problem import Problem
from rfdsm.linear.schedules import checked_steps, times
from rfdsm.scope import jax_scope
from rfdsm.values import one_line

Progress = Callable[[int, int], Any]


class Simulation(eqx.Module):
    """Denoisers fitted at finite d: arrays of shape (trials, *problem.shape), exact given the training sample."""

    losses: DenoisingLosses
    generated: GeneratedLaw
    mean_error: Float[jax.Array | np.ndarray, "..."]
    """|mu_G - mu|^2 / d, the squared error of the generated mean per coordinate, O(1/d)."""


def _losses(fitted: Fitted, sample: Sample, target: Any, a: Any, eta: Any, ridge: Any) -> DenoisingLosses:
    """Losses by the exact second moments of fresh points and fresh noise."""
    d = target.shape[0]
    b1 = fitted.b1
    norm = jnp.sum(b1**2)
    everything = a**2 * target + eta
    lacking = b1 - jnp.diag(a * target / everything)
    excess = (jnp.sum(lacking**2 * everything) + jnp.sum(fitted.offset**2)) / d
    floor = jnp.mean(target * eta / everything)
    lost = sample.rows - a * sample.rows @ b1.T
    shift = jnp.sum((sample.mean - fitted.mean) ** 2)
    return DenoisingLosses(
        train=fitted.train,
        empirical_test=(jnp.sum(lost**2) / sample.n + shift + eta * norm) / d,
        test=floor + excess,
        excess=excess,
        floor=floor,
        objective=fitted.train + ridge * norm / d,
    )


class _Settings(NamedTuple):
    """What a compiled trial depends on besides array shapes."""

    padded: int
    kind: str
    dual_m: int
    kept: tuple[int, ...]
    bare: bool
    singular: bool
    wasserstein: bool
    batch: int


def _settings(cell: Cell, request: Plan, wasserstein: bool) -> _Settings:
    bare = cell.smoothing == 0
    kept = np.flatnonzero(request.deviations > 0) if bare else np.arange(request.d)
    # the intercept costs one sample: the covariance has rank n - 1
    return _Settings(
        padded=padded_size(cell.n),
        kind=cell.kind,
        dual_m=cell.m if cell.kind == "dual" else 0,
        kept=tuple(kept.tolist()),
        bare=bare,
        singular=bare and cell.n <= kept.size,
        wasserstein=bool(wasserstein),
        batch=request.batch,
    )


def _compare_laws(root: Any, mean: Any, target: Any, rho: Any, settings: _Settings) -> GeneratedLaw:
    kept, d = np.asarray(settings.kept), target.shape[0]
    root = root if kept.size == d else root[kept]
    return statistics(
        root, mean[kept], target[kept], rho,
        d=d, bare=settings.bare, singular=settings.singular, wasserstein=settings.wasserstein,
    )  # fmt: skip


def _map(trial: Any, keys: Any, batch: int) -> Any:
    """Trials `batch` at a time. One at a time is no vmap of one, which would batch every matrix product."""
    return jax.lax.map(trial, keys) if batch == 1 else jax.lax.map(trial, keys, batch_size=batch)


@partial(jax.jit, static_argnames="settings")
def _trials(keys: Any, deviations: Any, numbers: Any, n: Any, m: Any, settings: _Settings) -> Simulation:
    a, eta, ridge, sigma, rho = numbers
    deviations = sigma * deviations
    target = deviations**2

    def trial(key: Any) -> Simulation:
        for_points, for_noise = jax.random.split(key)
        sample = draw(for_points, n, settings.padded, deviations)
        draws = settings.dual_m if settings.kind == "dual" else m
        fitted = fit(sample, for_noise, settings.kind, draws, a, eta, ridge)
        law = _compare_laws(jnp.sqrt(fitted.spread) * fitted.b1, fitted.mean, target, rho, settings)
        losses = _losses(fitted, sample, target, a, eta, ridge)
        return Simulation(losses, law, jnp.mean(fitted.mean**2))

    return _map(trial, keys, settings.batch)


def simulate(
    problem: Problem,
    d: Any,
    trials: Any = 1,
    key: Any = 0,
    *,
    smoothing: Any = 0.0,
    wasserstein: bool = True,
    progress: Progress | None = None,
) -> Simulation:
    """Fit the denoiser to n = round(psi d) points and compare the law it generates with the target, exactly.

    Ridge regression with intercept; sampling starts from N(a x_mean, a^2 tr S/d + eta) with the sample's own
    mean and covariance S. Nothing is estimated by drawing again: losses and divergences are those of the fitted
    denoiser. Means count, unlike in theory, at O(1/d). Compiled once per (n, m); memory is `memory_estimate`
    per trial that runs at the same time. Float64 whatever JAX's global precision.

    Args:
        problem: one problem or a grid of them.
        d: dimension.
        trials: independent repetitions; trial k draws everything from fold_in(key, k), whatever the batching.
        key: integer of at most 64 bits, or one JAX key.
        smoothing: as in `generated`.
        wasserstein: whether to compute that distance, which takes d x d eigenvalues, several times the cost of all
            else; NaN otherwise.
        progress: called with (cells done, cells in all) after every cell.

    Returns:
        `Simulation` of arrays of shape (trials, *shape), shape that of problem and smoothing broadcast.

    Raises:
        ValueError: bad arguments, n < 2, or not enough memory.

    Source: docs/linear, section 6.
    """
    rho = checked_smoothing(smoothing, problem)
    shape = np.broadcast_shapes(problem.shape, rho.shape)
    request = plan(problem, d, trials, key, rho, shape)

    def run(cell: Cell, request: Plan) -> Simulation:
        numbers = jnp.asarray([cell.a, cell.eta, cell.ridge, cell.sigma, cell.smoothing])
        settings = _settings(cell, request, wasserstein)
        return _trials(request.keys, request.deviations, numbers, jnp.asarray(cell.n), jnp.asarray(cell.m), settings)

    return _over_cells(run, request, shape, progress)


def _over_cells(run: Any, request: Plan, shape: tuple[int, ...], progress: Progress | None) -> Any:
    results = []
    with jax_scope():
        for done, cell in enumerate(request.cells, start=1):
            results.append(jax.tree.map(np.asarray, run(cell, request)))
            if progress is not None:
                progress(done, len(request.cells))
    return jax.tree.map(lambda *parts: np.stack(parts, axis=1).reshape(len(request.keys), *shape), *results)


@partial(jax.jit, static_argnames="settings")
def _chain_trials(keys: Any, deviations: Any, numbers: Any, at: Any, n: Any, settings: _Settings) -> GeneratedLaw:
    a, eta, ridge, sigma, rho, scale, chi = numbers
    deviations = sigma * deviations

    def trial(key: Any) -> GeneratedLaw:
        sample = draw(jax.random.split(key)[0], n, settings.padded, deviations)
        values, vectors = jnp.linalg.eigh(sample.rows.T @ sample.rows / n)
        spread = a**2 * jnp.sum(values) * n / ((n - 1) * values.size) + eta
        spectrum = generated_spectrum(jnp.maximum(values, 0.0), at, scale, ridge, spread, chi)
        return _compare_laws(vectors * jnp.sqrt(spectrum), sample.mean, deviations**2, rho, settings)

    return _map(trial, keys, settings.batch)


def simulate_chain(
    problem: Problem,
    steps: Any,
    d: Any,
    trials: Any = 1,
    key: Any = 0,
    *,
    schedule: Any = "uniform",
    stochasticity: Any = 0.0,
    smoothing: Any = 0.0,
    wasserstein: bool = True,
) -> GeneratedLaw:
    """Several denoising steps at finite d, for any covariance; the twin of `chain`, with the arguments of `simulate`.

    `steps` is one number. Returns `GeneratedLaw` of shape (trials, *shape). Raises ValueError as `chain`, `simulate`.
    """
    check_exact(problem)
    if not isinstance(steps, int | np.integer):
        raise ValueError(f"steps = {one_line(steps)} must be one integer >= 1 in simulate_chain")
    (count,), chi = checked_steps(steps), checked_stochasticity(stochasticity)
    rho = checked_smoothing(smoothing, problem)
    shape = np.broadcast_shapes(problem.shape, rho.shape)
    request = plan(problem, d, trials, key, rho, shape)
    scales, lasts = (np.broadcast_to(getattr(problem, name), shape).ravel() for name in ("noise_scale", "T"))
    at = iter(times(schedule, count, lasts))
    scale = iter(scales)

    def run(cell: Cell, request: Plan) -> GeneratedLaw:
        numbers = jnp.asarray([cell.a, cell.eta, cell.ridge, cell.sigma, cell.smoothing, next(scale), chi])
        settings = _settings(cell, request, wasserstein)
        return _chain_trials(
            request.keys, request.deviations, numbers, jnp.asarray(next(at)), jnp.asarray(cell.n), settings
        )

    return _over_cells(run, request, shape, None)
