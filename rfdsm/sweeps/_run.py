"""Sweeps: theory, simulation and their comparison over a grid, kept on disk as they grow."""

import contextlib
import sys
import warnings
from typing import Any

import jax
import xarray as xr

from rfdsm._hints import Count, Dimensions, DTypeName, KeyLike, Number, Numbers, Rows
from rfdsm.simulation._memory import memory_available
from rfdsm.sweeps._choose import check, made
from rfdsm.sweeps._configuration import Configuration, checked
from rfdsm.sweeps._layout import layout
from rfdsm.sweeps._progress import Counts, shown
from rfdsm.sweeps._result import dataset
from rfdsm.sweeps._state import Sweep
from rfdsm.sweeps.store import Failure, Store


def sweep(
    problem: Any,
    *,
    quantities: Any = ("comparison",),
    d: Dimensions | None = None,
    trials: Count = 8,
    key: KeyLike = 0,
    data: Rows | None = None,
    dtype: DTypeName = "float64",
    store: Any = None,
    executor: Any = None,
    memory_limit: int | None = None,
    retry_failed: bool = False,
    confirm: bool = False,
    progress: Any = True,
    times: Numbers | None = None,
    initial: Number = 0.0,
    smoothing: Numbers = 0.0,
    wasserstein: bool = True,
    sampler: Any = None,
    samples: Count = 1000,
    networks: str = "independent",
    start: Number | None = None,
) -> xr.Dataset:
    """Theory, simulation or their comparison over a grid of problems, in a store that survives any interruption.

    Called again with the same arguments and store, it computes what is missing and returns the same numbers, bit for
    bit, as if it had never been interrupted (given the same executor and as many cores: they decide on how sums are
    rounded). Several processes may work on one store at a time and divide the cells among themselves.

    Args:
        problem: a `Problem` or a `linear.Problem`, or a mapping of its fields to numbers and lists as for their `grid`.
            With data, its spectrum is replaced by that of the data's covariance.
        quantities: "theory", "simulation", "comparison" (which is both and what follows from them), "training"
            (learning curves at `times`: theory and, given d, simulations and what follows from both), or several.
        d: dimension to simulate in, or several; with data, the number of columns (may be left out).
        trials, key, data, dtype: see `simulate`.
        store: folder to keep finished cells in, made if it is not there; None: nothing is kept.
        executor: None: this process, on all its devices. "processes" or "processes:4": that many worker processes, each
            with its share of the cores. "dask": a Dask cluster on this machine; "tcp://…" or a Dask client: the user's.
        memory_limit: bytes per device to stay below; default: what is free, divided among the worker processes.
        retry_failed: try again what was given up in an earlier run.
        confirm: allow more than 10^7 simulated cells.
        progress: True: a bar on a terminal, else plain lines; a function that takes `Counts`; False: nothing.
        times, initial: of learning curves, see `training_curve`; the initial variance is one number.
        smoothing, wasserstein: of the linear denoiser, see `linear.simulate`.
        sampler: from `rfdsm.sampling`: what is swept are the samples that come out, as in `compare`; t may be left out.
        samples, networks, start: with a sampler, see `simulate_generation`.

    Returns:
        Dataset over loss, d, trial and the axes of the problem (named by the field that varies along each): `limit`,
        `floor`, `objective`, `converged`, `residual`, `steps` of theory; `simulation`, `mean`, `standard_error`, `n`,
        `p`, `simulated_objective`, `failed` of simulations; `theory` at the realised ratios, `z`, `relative_deviation`
        and extrapolations of comparisons (see `Comparison`). Learning curves have the same names with `training_`
        before them, and a last axis `time`. For the linear denoiser, and with a sampler, the first axis is
        `quantity`. Cells that failed
        three times are NaN, and `failure` has their messages. Attributes hold configuration, versions, seeds, device
        and wall times; only the last differ between runs.

    Raises:
        ValueError: bad arguments; what `simulate` refuses; no such executor, or it cannot be reached within 10 s.
        SweepError (a ValueError): the store belongs to another sweep, cannot be written, or the workers are gone.
        Interrupted (a KeyboardInterrupt): Ctrl-C or SIGTERM; its text says how to resume.

    Examples:
        >>> import numpy as np
        >>> from rfdsm import Problem, sweep
        >>> problem = Problem.grid(psi_n=2, psi_p=[2, 4, 8], m=np.inf, t=0.1, ridge=1e-2)
        >>> result = sweep(problem, quantities="theory", store="study", progress=False)  # kept in the folder study
        >>> result.limit.sel(loss="test").values.round(4)
        array([1.0144, 1.212 , 1.5503])
    """
    configuration = checked(
        problem, quantities, d, trials, key, data, dtype, confirm,
        times=times, initial=initial, smoothing=smoothing, wasserstein=wasserstein,
        generation=dict(sampler=sampler, samples=samples, networks=networks, start=start),
    )  # fmt: skip
    return _swept(configuration, store, executor, memory_limit, retry_failed, progress)


def resume(
    store: Any,
    *,
    problem: Any = None,
    executor: Any = None,
    memory_limit: int | None = None,
    retry_failed: bool = False,
    progress: Any = True,
) -> xr.Dataset:
    """Finish a sweep from its store alone, as `sweep` with the arguments it was started with.

    Args:
        problem: needed only where the activation is a function of the user's: the problem of that sweep.

    The other arguments, and what is returned and raised, are those of `sweep`.
    """
    found, configuration = Store.found(store, problem)
    return _swept(configuration, found.path, executor, memory_limit, retry_failed, progress)


def load(store: Any, *, problem: Any = None) -> xr.Dataset:
    """What a store holds so far, as `sweep` would return it; what is missing is NaN. Computes and changes nothing."""
    found, state = _collected(store, problem)
    return dataset(state.plan, state.results, state.failures).assign_attrs(sweep=found.configuration)


def status(store: Any) -> Counts:
    """How far a store's sweep is. The remaining time is that of one process, from the wall times of finished cells."""
    return _collected(store, count_only=True)[1].counts()


def failed(store: Any) -> list[tuple[str, Failure]]:
    """What a store's sweep has given up so far, with the messages, by the name of its file."""
    return sorted(_collected(store, count_only=True)[1].failures.items())


def _collected(store: Any, problem: Any = None, count_only: bool = False) -> tuple[Store, Sweep]:
    """What a store holds, to be read, not computed: laid out whatever memory there is, and without a word."""
    found, configuration = Store.found(store, problem, count_only)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        state = Sweep(layout(configuration, sys.maxsize), found)
    state.collect()
    return found, state


def _swept(
    configuration: Configuration, store: Any, executor: Any, memory_limit: int | None, retry_failed: bool, progress: Any
) -> xr.Dataset:
    workers = check(executor)
    if workers and memory_limit is None:
        memory_limit = memory_available(jax.local_devices()) // workers
    with shown(progress) as report:
        plan = layout(configuration, memory_limit)  # refusals first
        state = Sweep(plan, None if store is None else Store.opened(store, configuration), retry_failed)
        with state.interruptible(), state.at_work():
            state.collect()
            report(state.counts())
            state.compute_theory()
            if state.missing():
                with contextlib.closing(made(executor, configuration, memory_limit)) as executors:
                    state.compute_simulations(executors, report)
            report(state.counts())
        state.warn()
        return dataset(plan, state.results, state.failures)
