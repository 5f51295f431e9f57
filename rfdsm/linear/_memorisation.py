"""Memorisation of training points by the generated law: relative distance and its rivals (docs/linear, section 7)."""

import dataclasses
import itertools
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from rfdsm._arguments import check_whole, keywords
from rfdsm._executables import jitted
from rfdsm._hints import Count, DTypeName, KeyLike
from rfdsm._machine import available_memory, cores, lapack_threads
from rfdsm._scope import jax_scope
from rfdsm._statistics import fraction_error
from rfdsm._values import one_line
from rfdsm.linear._fitting import Fitted, Normal, Sample, draw, fit, normal_rows, statistics
from rfdsm.linear._plan import check_memory, memory_estimate, plan
from rfdsm.linear._problem import Problem, check_problem
from rfdsm.model import Progress
from rfdsm.sampling._overlaps import Fresh, copied, log_pair_sum, nearest_two, relative_distance
from rfdsm.simulation._trial import seeds

Values = Float[jax.Array | np.ndarray, "*grid"]


class Memorisation(eqx.Module):
    """Measures of memorisation, arrays of shape (trials, *problem.shape)."""

    sign: Values
    """Sign of Delta: +1 where the generated law is farther from the training set than from the fresh set."""
    log_distance: Values
    """log |Delta| + (d/2) log(4 pi sigma^2): in units that do not depend on N."""
    hellinger: Values
    """Squared Hellinger distance between generated law and target, 1 - exp(-d * bhattacharyya)."""
    bhattacharyya: Values
    """Its rate per dimension, -(1/d) log of the overlap, means included."""
    copied: Values
    """Fraction of generated points nearer to one training point than 1/3 of the distance to the second nearest."""
    nearest: Values
    """Mean distance of generated points to the nearest training point over that to the nearest of n fresh points."""

    @property
    def probability(self) -> np.ndarray:
        """P(Delta > 0) over trials: 1 where the law generalises, near 1/2 or below where it does not."""
        return np.asarray(np.mean(np.asarray(self.sign) > 0, axis=0))

    @property
    def probability_error(self) -> np.ndarray:
        """Standard error of `probability`."""
        return fraction_error(self.sign > 0)


class _Settings(NamedTuple):
    """What the compiled code depends on, the same for all cells."""

    fresh: int
    d: int
    dtype: str
    generated: int
    transposed: bool


class _Group(NamedTuple):
    """Cells that share compiled code, by their place in the grid."""

    padded: int
    kind: str
    dual_m: int
    places: tuple[int, ...]


def _cell(key: Any, fresh: Fresh, sigma: Any, settings: _Settings, group: _Group, numbers: Any) -> Memorisation:
    a, eta, ridge, n, m = numbers
    padded, d = group.padded, fresh.rows.shape[1]
    for_points, for_noise, for_new, for_rivals = jax.random.split(key, 4)
    sample: Sample = draw(for_points, n, padded, Normal(sigma * jnp.ones(d)))
    draws = group.dual_m if group.kind == "dual" else m.astype(int)
    fitted: Fitted = fit(sample, for_noise, group.kind, draws, a, eta, ridge)
    train = (sample.rows + sample.mean) * sample.mask[:, None]
    root = jnp.sqrt(fitted.spread) * fitted.b1
    variance = sigma**2 * n ** (-2 / d)
    squares = jnp.sum(train**2, axis=1)
    # pairs among the few training points, all at once
    distance = squares[:, None] + squares - 2 * train @ train.T
    order = jnp.arange(padded, dtype=n.dtype)
    counted = (order[:, None] < order) & (order < n)
    train_pairs = jax.nn.logsumexp(jnp.where(counted, -jnp.maximum(distance, 0.0) / (4 * variance), -jnp.inf))
    covariance = root.T @ root if settings.transposed else root @ root.T
    sign, log_distance = relative_distance(train, sample.mask, train_pairs, fresh, fitted.mean, covariance, sigma)
    # The rate of the overlap; where n <= d the determinant is zero up to rounding, and set to inf by the caller.
    target, how = sigma**2 * jnp.ones(d), dict(bare=True, singular=False, wasserstein=False)
    law = jnp.asarray(statistics(root, fitted.mean, target, 0.0, d=d, **how).bhattacharyya)
    new = fitted.mean + normal_rows(for_new, settings.generated, d) @ root.T
    near = nearest_two(new, train, sample.mask)
    rivals = sigma * normal_rows(for_rivals, padded, d)
    rival = nearest_two(new, rivals, sample.mask)[:, 0]
    nearest = jnp.mean(near[:, 0]) / jnp.mean(rival)
    return Memorisation(sign, log_distance, -jnp.expm1(-d * law), law, jnp.mean(copied(near)), nearest)


@keywords("trials", "key", after=2)
def memorisation(
    problem: Problem,
    d: Count,
    *,
    trials: Count = 300,
    key: KeyLike = 0,
    fresh: Count = 10_000,
    generated: Any = 256,
    dtype: DTypeName = "float32",
    transposed: bool = False,
    progress: Progress | None = None,
) -> Memorisation:
    """Measures of memorisation of simulated one-step denoisers on isotropic data.

    In trial k all cells share one fresh set. Its pairs are streamed in blocks, so that `fresh` may
    be 10^5; memory 8 (fresh d + 10 d^2) bytes and a little. Densities enter by their logarithms only.

    Args:
        problem: one problem or a grid of them with identity covariance (times sigma^2).
        d: dimension; n = round(psi d) >= 2.
        trials, key: as in `simulate`.
        fresh: size N >= 2 of the fresh set that stands for the target.
        generated: points drawn from the generated law for the two nearest-neighbour measures, >= 1.
        dtype: precision of distances to and within the fresh set, "float32" (exponents to about 1e-5) or "float64";
            everything else is float64.
        transposed: take b1^T b1 for b1 b1^T in the relative distance, as the program published with the paper does;
            the spectrum is the same, the directions are not.
        progress: called with (trials done, trials in all).

    Returns:
        `Memorisation`, arrays of shape (trials, *problem.shape).

    Raises:
        ValueError: structured covariance, or an argument out of range.

    Source: definition of the relative distance arXiv 2411.17807; docs/linear, section 7.
    """
    check_problem(problem)
    if problem.spectrum.size != 1:
        raise ValueError(f"spectrum {problem.spectrum.label} must be isotropic in memorisation: kernels are round")
    fresh, generated = check_whole("fresh", fresh, 2), check_whole("generated", generated, 1)
    if dtype not in ("float32", "float64"):
        raise ValueError(f"dtype = {one_line(dtype)} must be 'float32' or 'float64'")
    request = plan(problem, d, np.zeros(()), trials=trials, key=key)
    scale = float(request.law.deviations[0])
    cells = [cell._replace(sigma=cell.sigma * scale) for cell in request.groups]
    if len({cell.sigma for cell in cells}) > 1:
        raise ValueError("sigma must be one number in memorisation: cells share a fresh set")
    groups = tuple(
        _Group(*code, tuple(k for k, cell in enumerate(cells) if cell.code == code))
        for code in sorted({cell.code for cell in cells})
    )
    settings = _Settings(fresh, request.d, np.dtype(dtype).name, generated, bool(transposed))
    words, generator = seeds(request.key, request.trials), str(jax.random.key_impl(request.key))
    need = memory_estimate(max(cell.n for cell in cells), request.d)
    need += 5 * np.dtype(dtype).itemsize * fresh * request.d
    check_memory(need, f"d = {request.d} with a fresh set of {fresh} points", request.devices)
    numbers = np.array([[cell.a, cell.eta, cell.ridge, cell.n, cell.m] for cell in cells])

    def run(word: np.ndarray) -> Memorisation:
        # The first is one of the thread. Small matrices, a trial on every core: more threads of LAPACK would
        # only get into each other's way.
        with jax_scope(), lapack_threads(1):
            key = jax.random.wrap_key_data(jnp.asarray(word), impl=generator)
            return jax.tree.map(np.asarray, _trial(key, numbers, cells[0].sigma, settings, groups))

    parts = []
    first = run(words[0])  # compiles
    # on a CPU a trial keeps one core busy
    workers = cores() if jax.default_backend() == "cpu" else 1
    workers = int(np.clip(available_memory() // need, 1, workers))
    with ThreadPoolExecutor(workers) as pool:
        try:
            for part in itertools.chain([first], pool.map(run, words[1:])):
                parts.append(part)
                if progress is not None:
                    progress(len(parts), request.trials)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # an interrupt does not wait for the trials to come
            raise
    shape = (request.trials, *problem.shape)
    measured = jax.tree.map(lambda *pieces: np.stack(pieces).reshape(shape), *parts)
    singular = np.broadcast_to(request.n <= request.d, shape)
    hellinger = np.where(singular, 1.0, measured.hellinger)
    rate = np.where(singular, np.inf, measured.bhattacharyya)
    return dataclasses.replace(measured, hellinger=hellinger, bhattacharyya=rate)


@partial(jitted, static_argnames=("settings", "groups"))
def _trial(key: Any, numbers: Any, sigma: Any, settings: _Settings, groups: tuple[_Group, ...]) -> Memorisation:
    """One repeat of all cells, which share a fresh set: every value has one entry per cell."""
    for_fresh, for_cells = jax.random.split(key)
    # the same points in both precisions
    rows = (sigma * jax.random.normal(for_fresh, (settings.fresh, settings.d), jnp.float32)).astype(settings.dtype)
    log_pairs = log_pair_sum(rows, sigma**2 * settings.fresh ** (-2 / settings.d))
    new = Fresh(rows, log_pairs.astype(numbers.dtype))

    def of_group(group: _Group) -> Memorisation:
        run = partial(_cell, for_cells, new, sigma, settings, group)
        return jax.lax.map(run, tuple(numbers[np.asarray(group.places)].T))

    order = np.argsort(np.concatenate([group.places for group in groups]))
    return jax.tree.map(lambda *values: jnp.concatenate(values)[order], *map(of_group, groups))
