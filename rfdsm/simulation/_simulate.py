"""Finite-d simulation of the real nonlinear network: `simulate`, the twin of theory's `predict`."""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Key

from rfdsm._executables import jitted
from rfdsm._hints import Count, Devices, DTypeName, KeyLike, Number, Rows
from rfdsm._machine import lapack_threads
from rfdsm._problem import Problem
from rfdsm._scope import jax_scope
from rfdsm.activations import Activation
from rfdsm.activations._kept import kept
from rfdsm.losses import Losses
from rfdsm.simulation import _eigenpath as eigenpath, _minimiser as minimiser
from rfdsm.simulation._devices import mesh, spread
from rfdsm.simulation._eigenpath import Eigenpath, Filters
from rfdsm.simulation._minimiser import Solution
from rfdsm.simulation._moments import Moments, Samples, losses_over, residual_moment, training_samples
from rfdsm.simulation._plan import Group, Plan, Settings, plan
from rfdsm.simulation._stages import Tick, staged
from rfdsm.simulation._strips import product
from rfdsm.simulation._trial import Cell, Trial, gathered, reported, run_groups, seeds

Progress = Callable[[int, int], Any]


class Networks(NamedTuple):
    """Those of one trial and all its ridges, shape (K,)."""

    path: Eigenpath | None
    filters: Filters | None
    """The first of them, on this path."""
    solutions: list[Solution]
    """The others."""
    train: Any
    penalty: Any

    def over(self, averages: Sequence[Moments]) -> list[Array]:
        """Losses over each of several averages."""
        of_solutions = [losses_over(solution.B, averages) for solution in self.solutions]
        return [
            self.joined(partial(eigenpath.losses, moments=moments), [values[k] for values in of_solutions])
            for k, moments in enumerate(averages)
        ]

    def joined(self, on_path: Callable[..., Array], of_solutions: Sequence[Array]) -> Array:
        """A number of each."""
        first = [] if self.path is None else [on_path(self.path, self.filters)]
        return jnp.concatenate([*first, *(value[None] for value in of_solutions)])


def trained_on(trial: Trial) -> Moments | Samples:
    """What the networks of a trial are fitted to."""
    dual = trial.settings.dual
    return training_samples(trial.law, trial.design.training, trial.cell.m, dual) if dual else trial.training()


def fitted(trial: Trial, train_on: Any) -> Networks:
    """The minimisers for all ridges of the trial's cell."""
    settings, cell = trial.settings, trial.cell
    dual, d = settings.dual, trial.law.W.shape[1]
    positive = cell.ridges[:-1] if settings.zero else cell.ridges
    path = filters = None
    solutions: list[Solution] = []
    if settings.path:
        path = eigenpath.dual_eigenpath(train_on) if dual else eigenpath.eigenpath(train_on)
        filters = eigenpath.ridge_filters(path, positive)
    elif len(positive):
        solutions.append((minimiser.dual_ridge_minimiser if dual else minimiser.ridge_minimiser)(train_on, positive[0]))
    if settings.zero:
        solutions.append(_minimum_norm(trial, train_on))

    networks = Networks(path, filters, solutions, None, None)
    train = networks.joined(eigenpath.train, [solution.train for solution in solutions])
    penalty = cell.ridges * networks.joined(eigenpath.norm, [jnp.sum(solution.B**2) / d for solution in solutions])
    return networks._replace(train=train, penalty=penalty)


def _trial(key: Key[Array, ""], cell: Cell, settings: Settings, shards: int) -> Losses:
    """Losses of one trial for all its ridges, shape (K,)."""
    trial = Trial.drawn(key, cell, settings, shards)
    networks = fitted(trial, trained_on(trial))
    return trial.measured(networks.train, networks.penalty, lambda moments: networks.over([moments])[0])


def _minimum_norm(trial: Trial, train_on: Any) -> Solution:
    if trial.settings.dual:
        return minimiser.dual_minimum_norm_minimiser(train_on)
    if trial.settings.infinite:
        return minimiser.minimum_norm_minimiser(train_on, lambda B: train_on.V + product(B, train_on.U).T)
    residuals = partial(residual_moment, trial.law, trial.design.training, trial.cell.m)
    return minimiser.minimum_norm_minimiser(train_on, residuals)


@kept(maxsize=64)
def _compiled(
    activation: Activation, settings: Settings, mesh: Mesh, generator: str
) -> Callable[[np.ndarray, Cell], Losses]:
    """All trials of a group: batched, or one after the other. The activation is that of the settings."""
    shards = mesh.devices.shape[1]

    def trials(words: Array, cell: Cell) -> Losses:
        def one(word: Array) -> Losses:
            return _trial(jax.random.wrap_key_data(word, impl=generator), cell, settings, shards)

        return jax.vmap(one)(words) if settings.together else jax.lax.map(one, words)

    return jitted(spread(trials, mesh))


def simulate(
    problem: Problem,
    d: Count | None = None,
    *,
    trials: Count = 1,
    key: KeyLike = 0,
    data: Rows | None = None,
    dtype: DTypeName = "float64",
    devices: Devices | None = None,
    memory_limit: Number | None = None,
    progress: Progress | None = None,
) -> Losses:
    """Losses of real random-feature networks of n = round(psi_n d) points, p = round(psi_p d) features.

    Nothing is estimated: given the features and the training draws, `empirical_test` is the expectation over fresh
    noise, `test` and `score` the expectation over fresh points, too, and m = inf trains on the expectation (series in
    the correlations of features, exact to 1e-10; docs/simulation). With data, `test` is the mean over held-out rows.
    All ridges of a cell share one factorisation: Cholesky for one, an eigendecomposition for several, of which nothing
    is cut. For no more draws
    than features (nm <= p) the dual system is solved. Memory per trial is `rfdsm.simulation.memory_estimate`, whatever
    n and m are.

    ridge = 0 is solved for the minimum-norm solution: interpolation where p > nm, least squares where p < nm.
    Eigenvalues below (number of them) * 2.2e-16, relative to the largest, count as zero. At p = nm it is what the draws
    give, finite but wildly scattered.

    Args:
        problem: one problem or a grid of them, with finite psi_n and psi_p.
        d: dimension; with data, the number of its columns (may be left out).
        trials: independent repetitions; trial k draws everything from fold_in(key, k), whatever the batching.
        key: integer of at most 64 bits, or one JAX key.
        data: real samples, shape (rows, d), in place of Gaussian ones; used as they are (see `rfdsm.data.standardise`).
            Each trial trains on n rows and tests on all others; the score error is NaN, as the true score is unknown.
        dtype: "float64" or "float32": single precision for features and their products over many draws where that is
            enough for losses within 1e-4 of float64, relative (docs/simulation, section 6); only for ridge > 0.
        devices: JAX devices to spread the work over; None: all there are, those of other processes included.
        memory_limit: bytes per device to stay below; default: what the first has free.
        progress: called with (cells done, cells in all); of cells that are done together, trials count in part.

    Returns:
        `Losses` of shape (trials, *problem.shape), NumPy arrays of the dtype asked for; `run` says n, p and seeds.

    Raises:
        ValueError: bad arguments, d too small, infinite psi_n or psi_p, more rows asked for than there are,
            ridge = 0 in float32, or not enough memory.

    Source: docs/theory, sections 1 and 6; docs/simulation.

    Examples:
        >>> import numpy as np
        >>> from rfdsm import Problem, simulate
        >>> losses = simulate(Problem(psi_n=2, psi_p=4, m=np.inf, t=0.1, ridge=1e-2), d=20, trials=4, key=0)
        >>> losses.test.shape, int(losses.run.n), int(losses.run.p)
        ((4,), 40, 80)
    """
    request = plan(
        problem, d, trials=trials, key=key, data=data, dtype=dtype, devices=devices, memory_limit=memory_limit
    )
    return simulated(request, progress)


def simulated(request: Plan, progress: Progress | None = None) -> Losses:
    """What `simulate` returns, of its plan."""
    told, total = 0, request.n.size

    def tell(done: int, total: int) -> None:
        nonlocal told
        if progress is not None and done > told:
            told = done
            progress(done, total)

    groups = simulated_groups(request, share=True, tick=lambda cells: tell(min(int(cells), total - 1), total))
    return reported(gathered(groups, request, tell), request, stacklevel=4)


def simulated_groups(
    request: Plan, share: bool = False, tick: Tick | None = None
) -> Generator[tuple[Group, Losses], None, None]:
    """The groups of a plan, each with its losses (NumPy arrays, shape (trials, K)) as soon as it is done.

    With `share` groups have draws and moments in common and are done together, which may decide on their last digits.
    """
    several = mesh(request.devices, request.trials).size > 1
    if several or any(group.settings.together for group in request.groups):
        return group_by_group(request, _compiled)
    return _one_by_one(staged(request, fitted, trained_on, share, tick))


def group_by_group(
    request: Plan, compile_for: Callable[..., Any], *rest: Any
) -> Generator[tuple[Group, Losses], None, None]:
    """What `compile_for(activation, settings, mesh, generator)` makes of (words, cell, *rest), for each group."""
    words, layout = seeds(request.key, request.trials), mesh(request.devices, request.trials)
    compiled = partial(compile_for, mesh=layout, generator=request.generator)
    return _one_by_one(run_groups(request, compiled, layout.size == 1, words, *rest))


def _one_by_one(groups: Generator[tuple[Group, Losses], None, None]) -> Generator[tuple[Group, Losses], None, None]:
    with closing(groups):
        while True:
            with jax_scope(), lapack_threads():  # not while the caller is at work
                item = next(groups, None)
            if item is None:
                return
            yield item
