"""Finite-d simulation of the linear denoiser: `simulate`, the twin of theory's `predict` and `generated`."""

import dataclasses
from collections.abc import Callable, Generator
from functools import lru_cache
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float

from rfdsm._arguments import keywords
from rfdsm._executables import jitted
from rfdsm._hints import Count, Devices, KeyLike, Number, Numbers, Rows, ScheduleLike
from rfdsm._machine import lapack_threads
from rfdsm._scope import jax_scope
from rfdsm._values import one_line
from rfdsm.linear._chain import check_exact, checked_steps, checked_stochasticity, generated_spectrum, times
from rfdsm.linear._fitting import Fitted, Sample, draw, fit, statistics
from rfdsm.linear._generated import checked_smoothing
from rfdsm.linear._plan import Cell, Plan, plan
from rfdsm.linear._problem import Problem
from rfdsm.losses import DenoisingLosses, GeneratedLaw, Run
from rfdsm.model import Progress
from rfdsm.simulation._devices import mesh, spread
from rfdsm.simulation._trial import gathered, seeds


class Simulation(eqx.Module):
    """Denoisers fitted at finite d: arrays of shape (trials, *problem.shape), exact given the training sample."""

    losses: DenoisingLosses
    generated: GeneratedLaw
    mean_error: Float[jax.Array | np.ndarray, "..."]
    """|mu_G - mu|^2 / d, the squared error of the generated mean per coordinate, O(1/d)."""
    run: Run | None = None
    """Sizes and seeds."""


def _losses(key: Any, law: Any, fitted: Fitted, sample: Sample, a: Any, eta: Any, ridge: Any) -> DenoisingLosses:
    """Losses by the exact second moments of fresh noise, and of fresh points or over the rows that are held out."""
    target = law.deviations**2
    d = target.shape[0]
    b1 = fitted.b1
    norm = jnp.sum(b1**2)
    everything = a**2 * target + eta
    lacking = b1 - jnp.diag(a * target / everything)
    excess = (jnp.sum(lacking**2 * everything) + jnp.sum(fitted.offset**2)) / d
    floor = jnp.mean(target * eta / everything)
    lost = sample.rows - a * sample.rows @ b1.T
    shift = jnp.sum((sample.mean - fitted.mean) ** 2)
    test, excess = law.tested(key, fitted, sample.n, a, eta, floor, excess)
    return DenoisingLosses(
        train=fitted.train,
        empirical_test=(jnp.sum(lost**2) / sample.n + shift + eta * norm) / d,
        test=test,
        excess=excess,
        floor=floor,
        objective=fitted.train + ridge * norm / d,
    )


class Settings(NamedTuple):
    """What a compiled trial depends on besides array shapes."""

    padded: int
    kind: str
    dual_m: int
    kept: tuple[int, ...]
    bare: bool
    singular: bool
    wasserstein: bool
    batch: int


def settings(cell: Cell, request: Plan, wasserstein: bool) -> Settings:
    """Those of a cell."""
    bare = cell.smoothing == 0
    kept = np.flatnonzero(request.law.deviations > 0) if bare else np.arange(request.d)
    # the intercept costs one sample: the covariance has rank n - 1
    singular = bare and cell.n <= kept.size
    return Settings(*cell.code, tuple(kept.tolist()), bare, singular, bool(wasserstein), request.batch)


def _compare_laws(root: Any, mean: Any, target: Any, rho: Any, settings: Settings) -> GeneratedLaw:
    kept, d = np.asarray(settings.kept), target.shape[0]
    root = root if kept.size == d else root[kept]
    return statistics(
        root, mean[kept], target[kept], rho,
        d=d, bare=settings.bare, singular=settings.singular, wasserstein=settings.wasserstein,
    )  # fmt: skip


def _trial(key: Any, law: Any, numbers: Any, n: Any, m: Any, settings: Settings) -> Simulation:
    a, eta, ridge, sigma, rho = numbers
    law = jax.tree.map(lambda x: sigma * x, law)
    for_points, for_noise = jax.random.split(key)
    sample = draw(for_points, n, settings.padded, law)
    draws = settings.dual_m if settings.kind == "dual" else m
    fitted = fit(sample, for_noise, settings.kind, draws, a, eta, ridge)
    root = jnp.sqrt(fitted.spread) * fitted.b1
    generated = _compare_laws(root, fitted.mean, law.deviations**2, rho, settings)
    losses = _losses(for_points, law, fitted, sample, a, eta, ridge)
    return Simulation(losses, generated, jnp.mean(fitted.mean**2))


@lru_cache(maxsize=64)
def _compiled(trial: Callable[..., Any], settings: Settings, mesh: Mesh, generator: str) -> Callable[..., Any]:
    """All trials of a cell. One at a time is no vmap of one, which would batch every matrix product."""
    batch = None if settings.batch == 1 else settings.batch

    def trials(words: Any, *rest: Any) -> Any:
        def one(word: Any) -> Any:
            return trial(jax.random.wrap_key_data(word, impl=generator), *rest, settings)

        return jax.lax.map(one, words, batch_size=batch)

    return jitted(spread(trials, mesh))


def _cell_by_cell(
    trial: Callable[..., Any], request: Plan, wasserstein: bool, arguments: Callable[[Cell], tuple[Any, ...]]
) -> Generator[tuple[Cell, Any], None, None]:
    """Each cell with what the trial makes of its arguments, arrays of shape (trials, 1), as soon as it is done."""
    words, layout = seeds(request.key, request.trials), mesh(request.devices, request.trials)
    for cell in request.groups:
        with jax_scope(), lapack_threads():
            run = _compiled(trial, settings(cell, request, wasserstein), layout, str(jax.random.key_impl(request.key)))
            found = run(words, request.law, *map(jnp.asarray, arguments(cell)))
            result = jax.tree.map(lambda x: np.asarray(x)[:, None], found)
        yield cell, result


def simulated_groups(request: Plan, wasserstein: bool) -> Generator[tuple[Cell, Simulation], None, None]:
    """The cells of a plan, each with its results, arrays of shape (trials, 1), as soon as it is done."""
    return _cell_by_cell(_trial, request, wasserstein, lambda cell: (cell.numbers, cell.n, cell.m))


@keywords("trials", "key", after=2)
def simulate(
    problem: Problem,
    d: Count | None = None,
    *,
    trials: Count = 1,
    key: KeyLike = 0,
    smoothing: Numbers = 0.0,
    wasserstein: bool = True,
    data: Rows | None = None,
    devices: Devices | None = None,
    memory_limit: Number | None = None,
    progress: Progress | None = None,
) -> Simulation:
    """Fit the denoiser to n = round(psi d) points and compare the law it generates with the target, exactly.

    Ridge regression with intercept; sampling starts from N(a x_mean, a^2 tr S/d + eta) with the sample's own
    mean and covariance S. Nothing is estimated by drawing again: losses and divergences are those of the fitted
    denoiser. Means count, unlike in theory, at O(1/d). Compiled once per (n, m); memory is `memory_estimate`
    per trial that runs at the same time. Float64 whatever JAX's global precision.

    Args:
        problem: one problem or a grid of them.
        d: dimension; with data, the number of its columns (may be left out).
        trials: independent repetitions; trial k draws everything from fold_in(key, k), whatever the batching.
        key: integer of at most 64 bits, or one JAX key.
        smoothing: as in `generated`.
        wasserstein: whether to compute that distance, which takes d x d eigenvalues, several times the cost of all
            else; NaN otherwise.
        data: real samples, shape (rows, d), in place of Gaussian ones. Each trial is fitted to n rows and tested on all
            others; the target is the Gaussian law with mean and covariance of all rows (times sigma^2), and `excess`
            is NaN, as the best denoiser is unknown.
        devices: JAX devices to spread the trials over; None: all there are.
        memory_limit: bytes to stay below; default: what is free.
        progress: called with (cells done, cells in all) after every cell.

    Returns:
        `Simulation` of arrays of shape (trials, *shape), shape that of problem and smoothing broadcast.

    Raises:
        ValueError: bad arguments, n < 2, or not enough memory.

    Source: docs/linear, section 6.
    """
    rho = checked_smoothing(smoothing, problem)
    request = plan(problem, d, rho, trials=trials, key=key, data=data, devices=devices, memory_limit=memory_limit)

    result = gathered(simulated_groups(request, wasserstein), request, progress)
    return dataclasses.replace(result, run=Run(request.n, None, request.d, seeds(request.key, request.trials)))


def _chain_trial(key: Any, law: Any, numbers: Any, at: Any, n: Any, settings: Settings) -> GeneratedLaw:
    a, eta, ridge, sigma, rho, scale, chi = numbers
    law = jax.tree.map(lambda x: sigma * x, law)
    sample = draw(jax.random.split(key)[0], n, settings.padded, law)
    values, vectors = jnp.linalg.eigh(sample.rows.T @ sample.rows / n)
    spread = a**2 * jnp.sum(values) * n / ((n - 1) * values.size) + eta
    spectrum = generated_spectrum(jnp.maximum(values, 0.0), at, scale, ridge, spread, chi)
    return _compare_laws(vectors * jnp.sqrt(spectrum), sample.mean, law.deviations**2, rho, settings)


@keywords("trials", "key", after=3)
def simulate_chain(
    problem: Problem,
    steps: Numbers,
    d: Count,
    *,
    trials: Count = 1,
    key: KeyLike = 0,
    schedule: ScheduleLike = "uniform",
    stochasticity: Numbers = 0.0,
    smoothing: Numbers = 0.0,
    wasserstein: bool = True,
    devices: Devices | None = None,
) -> GeneratedLaw:
    """Several denoising steps at finite d, for any covariance; the twin of `chain`, with the arguments of `simulate`.

    `steps` is one number. Returns `GeneratedLaw` of shape (trials, *shape). Raises ValueError as `chain`, `simulate`.
    """
    check_exact(problem)
    if not isinstance(steps, int | np.integer):
        raise ValueError(f"steps = {one_line(steps)} must be one integer >= 1 in simulate_chain")
    (count,), chi = checked_steps(steps), checked_stochasticity(stochasticity)
    rho = checked_smoothing(smoothing, problem)
    request = plan(problem, d, rho, trials=trials, key=key, devices=devices)
    scales, lasts = (own.ravel() for own in problem.broadcast("noise_scale", "T", shape=request.n.shape))
    at = times(schedule, count, lasts)

    def arguments(cell: Cell) -> tuple[Any, ...]:
        place = cell.cells[0]
        return np.array([*cell.numbers, scales[place], chi]), at[place], cell.n

    cells = _cell_by_cell(_chain_trial, request, wasserstein, arguments)
    return gathered(cells, request, None)
