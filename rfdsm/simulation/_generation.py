"""Samples of real random-feature networks, one for every level: `simulate_generation`, the twin of `generated_law`."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rfdsm._arguments import check_whole
from rfdsm._executables import jitted
from rfdsm._hints import Count, KeyLike, Number, Numbers, Rows
from rfdsm._machine import lapack_threads
from rfdsm._printing import Printed
from rfdsm._problem import Problem
from rfdsm._scope import jax_scope
from rfdsm._statistics import fraction_error
from rfdsm._values import one_line
from rfdsm.activations import Activation
from rfdsm.activations._kept import kept
from rfdsm.losses import Run
from rfdsm.sampling import Sampler, metrics
from rfdsm.sampling._chain import at_levels, first_variance
from rfdsm.simulation._design import Design, features, normals
from rfdsm.simulation._memory import memory_estimate
from rfdsm.simulation._network import output_weights
from rfdsm.simulation._plan import Group, Plan, Settings, plan, realised
from rfdsm.simulation._simulate import Progress
from rfdsm.simulation._trial import Cell, Trial, executable, seeds, signature

NETWORKS = ("independent", "shared")
FRESH = 4096
"""Points that stand for the data's law in the relative distance."""
_STREAMS = {"sampling": 3, "W": 5, "z": 6}
"""Keys of a trial beside those of its design."""


class SimulatedGeneration(Printed):
    """What networks of finite size generate; arrays with a leading axis of trials."""

    eigenvalues: Float[np.ndarray, "trials d"]
    """Of the sample covariance S = X^T X/n, ascending."""
    variances: Float[np.ndarray, "trials d"]
    """Of the samples along its eigenvectors."""
    path: Float[np.ndarray, "trials steps d"]
    """The same after every step."""
    covariance: Float[np.ndarray, "trials d d"]
    """Of the samples, in the coordinates of the data."""
    mean_squared: Float[np.ndarray, " trials"]
    """|mean of samples|^2/d, without what a finite number of samples adds."""
    trace: Float[np.ndarray, " trials"]
    """Of the covariance, per dimension."""
    logdet: Float[np.ndarray, " trials"]
    kl: Float[np.ndarray, " trials"]
    """KL(generated || data)/d of the normal law fitted to the samples, without the bias of their number; NaN for real
    data, whose law is not known."""
    reverse_kl: Float[np.ndarray, " trials"]
    """KL(data || generated)/d, likewise."""
    logdet_along: Float[np.ndarray, " trials"]
    """(1/d) log det of the covariance averaged over networks: `variances` along the eigenvectors of S, nothing else."""
    kl_along: Float[np.ndarray, " trials"]
    """KL(generated || data)/d of that law, which is what `generated_law` says: given networks leave correlations among
    eigenvectors, small but so many that `kl` stays larger in any dimension."""
    reverse_kl_along: Float[np.ndarray, " trials"]
    copied: Float[np.ndarray, " trials"]
    """Fraction of samples nearer to one training point than 1/3 of the distance to the second."""
    copied_null: Float[np.ndarray, " trials"]
    """The same fraction of fresh points."""
    nearest: Float[np.ndarray, "trials 3"]
    """Distance to the nearest training point over sqrt(d): its quantiles 0.05, 0.5, 0.95."""
    nearest_null: Float[np.ndarray, "trials 3"]
    """Of fresh points."""
    sign: Float[np.ndarray, " trials"]
    """Of the relative distance: +1 where the law of samples is nearer to fresh points than to the training set."""
    run: Run
    samples: Float[np.ndarray, "trials samples d"] | None = None

    @property
    def probability(self) -> float:
        """P(Delta > 0) over trials."""
        return float(np.mean(self.sign > 0))

    @property
    def probability_error(self) -> float:
        """Standard error of `probability`."""
        return float(fraction_error(self.sign > 0))

    def groups(self, count: Any = 3) -> tuple[np.ndarray, np.ndarray]:
        """Mean eigenvalue and mean variance in `count` groups of neighbouring eigenvectors, both (trials, count)."""
        count = check_whole("count", count, 1)
        if count > self.eigenvalues.shape[1]:
            raise ValueError(f"count = {count} must be at most d = {self.eigenvalues.shape[1]}")
        parts = [np.array_split(values, count, axis=1) for values in (self.eigenvalues, self.variances)]
        x, variance = (np.stack([part.mean(axis=1) for part in found], axis=1) for found in parts)
        return x, variance


def simulate_generation(
    problem: Problem,
    sampler: Sampler,
    d: Count | None = None,
    *,
    samples: Count = 1000,
    trials: Count = 1,
    networks: str = "independent",
    key: KeyLike = 0,
    data: Rows | None = None,
    start: Number | None = None,
    ridges: Numbers | None = None,
    keep_samples: bool = False,
    memory_limit: Number | None = None,
    progress: Progress | None = None,
) -> SimulatedGeneration:
    """Samples of real random-feature networks, one for each level of a sampler, all trained on the same points.

    Every network is the exact minimiser of its training objective (`simulate`), with noise draws of its own; samples
    are carried through in batches. Memory: `memory_estimate` of one network, and 8 (6 samples d + 3 n d) bytes.

    Args:
        problem: one problem with ridge > 0; its t is not used.
        sampler: from `rfdsm.sampling`, with the levels.
        d: dimension; with data, the number of its columns (may be left out).
        samples: samples of each trial, >= 2; divergences take more than d + 2.
        trials: independent repetitions; trial k draws everything from fold_in(key, k).
        networks: "independent": features W of its own for every level, as in `generated_law`; "shared": the same W for
            all, as one network trained for all levels has. Noise draws are independent in both.
        key: integer or JAX key.
        data: real samples, shape (rows, d), in place of Gaussian ones; n are trained on, the others are fresh points.
        start: variance of the samples at the first level, as in `generated_law`.
        ridges: one for each level, in place of the problem's.
        keep_samples: return them.
        memory_limit: bytes to stay below; default: what is free.
        progress: called with (steps done, steps in all).

    Raises:
        ValueError: as `simulate` and `generated_law`; samples < 2, or more memory needed than there is.

    Source: docs/generation, section 5.

    Examples:
        >>> from rfdsm import Problem, sampling, simulate_generation
        >>> sampler = sampling.ddim(sampling.geometric(2, 0.1, steps=5))
        >>> problem = Problem(psi_n=3, psi_p=2, m=2, t=1, ridge=0.05, target="data")
        >>> found = simulate_generation(problem, sampler, d=20, samples=200, trials=2)
        >>> found.variances.shape, found.path.shape
        ((2, 20), (2, 5, 20))
    """
    if networks not in NETWORKS:
        raise ValueError(f"networks = {one_line(networks)} must be one of {', '.join(NETWORKS)}")
    size = check_whole("samples", samples, 2)
    request = dict(trials=trials, key=key, data=data, ridges=ridges, memory_limit=memory_limit)
    planned = check_request(problem, sampler, d, size, **request)
    return generated(problem, sampler, *planned, size, networks, start, keep_samples, progress)


def check_request(
    problem: Problem, sampler: Sampler, d: Any, samples: int, *, ridges: Any = None, **request: Any
) -> tuple[Plan, Settings]:
    """The plan of all levels of a request, and settings that serve each of them. Raises ValueError as its door."""
    chain = at_levels(problem, sampler, ridges)
    if chain.shape != (sampler.size,):
        raise ValueError(f"problem has shape {chain.shape[1:]}, must be one problem")
    planned = plan(chain, d, **{"dtype": "float64", "devices": None} | request)
    n = planned.groups[0].n
    if n < 2:
        raise ValueError("psi_n d = 1 training point must be at least 2: a sample covariance takes them")
    levels = [group.settings for group in planned.groups]
    # Settings that serve all levels, for these to share their code.
    terms = max(s.conditional_terms for s in levels) if levels[0].infinite else 0
    settings = levels[0]._replace(conditional_terms=terms, double_terms=None, population_terms=0)
    p, d, numbers = settings.p, planned.d, 6 * samples + 3 * n + 2 * FRESH
    need = memory_estimate(p, d, terms=max(terms, 2)) + 8 * d * numbers
    if need > planned.available:
        raise ValueError(
            f"samples = {samples} in d = {d} with n = {n} and p = {p} need {need / 1e9:.3g} GB of memory, "
            f"must be at most the {planned.available / 1e9:.3g} GB available"
        )
    return planned, settings


def generated(
    problem: Problem,
    sampler: Sampler,
    request: Plan,
    settings: Settings,
    size: int,
    networks: str,
    start: Any,
    keep_samples: bool = False,
    progress: Progress | None = None,
) -> SimulatedGeneration:
    """What `simulate_generation` returns, of what `check_request` gave."""
    first = np.asarray(first_variance(problem, sampler, start))
    cells = [_cell(request, group, settings) for group in request.groups]
    variance = realised(problem, request.d, request.law).spectrum.mean
    steps = sampler.steps(problem.schedule, problem.target, variance)
    words, n = seeds(request.key, request.trials), request.groups[0].n
    many = request.law.fresh(n, max(size, FRESH))
    function = _stepped(settings.activation, settings, request.generator)
    own, found = np.asarray(networks == "independent"), []
    for word in words:
        with jax_scope(), lapack_threads():
            points = _points(word, cells[0], first, n, size, many, request.generator)
            y, path = points.start, []
            for k, cell in enumerate(cells):
                A, C, spread = (np.asarray(float(x[k])) for x in steps)
                step = _Step(A, C, spread, np.int32(k), own)
                arguments = (word, cell, step, y, points.vectors)
                run = executable(settings.activation, function, *signature(arguments))
                y, along = jax.block_until_ready(run(*arguments))
                path.append(np.asarray(along))
                if progress is not None:
                    progress(len(found) * sampler.size + k + 1, request.trials * sampler.size)
            found.append(_measured(np.asarray(y), points, np.stack(path), request, keep_samples))
    stacked = {name: np.stack([part[name] for part in found]) for name in found[0]}
    return SimulatedGeneration(**stacked, run=Run(np.asarray(request.n[0]), np.asarray(request.p[0]), request.d, words))


class _Points(NamedTuple):
    """Of one trial."""

    training: Float[Array, "n d"]
    fresh: Float[Array, "many d"]
    eigenvalues: Float[Array, " d"]
    """Of S."""
    vectors: Float[Array, "d d"]
    start: Float[Array, "samples d"]


class _Step(NamedTuple):
    """Numbers of one step."""

    A: Any
    C: Any
    spread: Any
    number: Any
    own: Any
    """Whether its network has features of its own."""


def _cell(request: Plan, group: Group, settings: Settings) -> Cell:
    """Arguments of a level's network; it needs no rule but that of the series it is trained on for m = inf."""
    group = group._replace(settings=settings, population_rule=None)
    return Cell.of(request, group if settings.infinite else group._replace(conditional_rule=None))


def _stream(word: Array, generator: str, name: str, number: Any = 0) -> Any:
    key = jax.random.fold_in(jax.random.wrap_key_data(word, impl=generator), _STREAMS[name])
    return jax.random.fold_in(key, number)


@partial(jitted, static_argnames=("n", "size", "many", "generator"))
def _points(word: Array, cell: Cell, first: Array, n: int, size: int, many: int, generator: str) -> _Points:
    drawn = cell.law.drawn(jax.random.wrap_key_data(word, impl=generator), jnp.asarray(n))
    training, fresh = (points.rows(jnp.arange(count)) for points, count in zip(drawn, (n, many), strict=True))
    start = jnp.sqrt(first) * normals(_stream(word, generator, "sampling"), jnp.arange(size), training)
    values, vectors = jnp.linalg.eigh(training.T @ training / n)
    return _Points(training, fresh, values, vectors, start)


@kept(maxsize=32)
def _stepped(activation: Activation, settings: Settings, generator: str) -> Callable[..., Any]:
    """One step as a function of arrays. The activation is that of the settings."""

    def network(word: Array, cell: Cell, step: _Step) -> Trial:
        shared = jax.random.split(jax.random.wrap_key_data(word, impl=generator), 3)[0]
        keys = [jax.random.key_data(key) for key in (_stream(word, generator, "W", step.number), shared)]
        key = jax.random.wrap_key_data(jnp.where(step.own, *keys), impl=generator)
        W = normals(key, jnp.arange(settings.p), cell.law[0])
        trial = Trial.drawn(jax.random.wrap_key_data(word, impl=generator), cell, settings, 1, W)
        points = trial.design.training._replace(key=_stream(word, generator, "z", step.number))
        return trial._replace(design=Design(W, points, trial.design.held_out))

    def stepped(word: Array, cell: Cell, step: _Step, y: Array, vectors: Array) -> tuple[Array, Array]:
        trial = network(word, cell, step)
        B = output_weights(trial)

        def predict(part: Array) -> Array:
            return (B @ features(trial.law.W, settings.activation, part[None]))[:, 0]

        f = jax.lax.map(predict, y, batch_size=min(settings.chunk, len(y)))
        key = _stream(word, generator, "sampling", 1 + step.number)
        xi = normals(key, jnp.arange(len(y)), y[0])
        y = step.A * y + step.C * f + step.spread * xi
        return y, jnp.var(y @ vectors, axis=0, ddof=1)

    return stepped


def _measured(y: np.ndarray, points: _Points, path: np.ndarray, request: Plan, keep: bool) -> dict[str, Any]:
    """What is reported of one trial."""
    size, d = y.shape
    training, fresh = np.asarray(points.training), np.asarray(points.fresh)
    target = request.law.eigenvalues(d)
    variance, singular = np.mean(target), np.any(target <= 0)
    numbers = "mean_squared trace logdet kl reverse_kl logdet_along kl_along reverse_kl_along copied copied_null sign"
    values: dict[str, Any] = dict.fromkeys(numbers.split(), np.nan)
    values |= {"nearest": np.full(3, np.nan), "nearest_null": np.full(3, np.nan), "covariance": np.full((d, d), np.nan)}
    if np.all(np.isfinite(y)):
        fit = metrics.fit_gaussian(y, np.where(singular, 1.0, target))
        values |= {name: getattr(fit, name) for name in ("covariance", "trace", "logdet")}
        values["mean_squared"] = float(fit.mean @ fit.mean) / d - fit.trace / size
        values |= _along(path[-1], np.asarray(points.vectors), target, size - 1)
        values |= {name: np.inf if singular else getattr(fit, name) for name in ("kl", "reverse_kl")}
        if not request.law.known:
            variance = np.mean(np.var(fresh, axis=0))
            values |= dict.fromkeys(("kl", "reverse_kl", "kl_along", "reverse_kl_along"), np.nan)
        near = metrics.memorised(y, training, fresh[:size])
        values |= {"copied": near.fraction, "copied_null": near.fraction_null}
        values |= {"nearest": near.nearest, "nearest_null": near.nearest_null}
        if size > d + 1:
            law = fit.mean, fit.covariance
            values["sign"] = metrics.relative_distance(law, training, fresh, sigma=np.sqrt(variance)).sign
    values |= {"eigenvalues": points.eigenvalues, "variances": path[-1], "path": path}
    values |= {"samples": y} if keep else {}
    return {name: np.asarray(value) for name, value in values.items()}


def _along(variance: np.ndarray, vectors: np.ndarray, target: np.ndarray, nu: int) -> dict[str, float]:
    """Of the normal law with these variances, estimated with nu degrees of freedom, along the vectors."""
    from scipy.special import digamma  # loaded on use: importing the package stays cheap

    logdet = float(np.mean(np.log(variance)) - digamma(nu / 2) + np.log(nu / 2))
    if np.any(target <= 0):
        return {"logdet_along": logdet, "kl_along": np.inf, "reverse_kl_along": np.inf}
    difference = logdet - float(np.mean(np.log(target)))
    forward = np.mean(variance * np.sum(vectors**2 / target[:, None], axis=0))
    reverse = np.nan
    if nu > 2:
        reverse = (nu - 2) / nu * np.mean(np.sum(vectors**2 * target[:, None], axis=0) / variance)
    values = {"kl_along": forward - 1 - difference, "reverse_kl_along": reverse - 1 + difference}
    return {"logdet_along": logdet} | {name: float(value) / 2 for name, value in values.items()}
