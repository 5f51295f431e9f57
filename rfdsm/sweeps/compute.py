"""Computing units: what every executor runs, wherever it runs."""

import time
import warnings
from collections.abc import Generator
from contextlib import closing
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rfdsm.activations import Activation
from rfdsm.losses import Losses
from rfdsm.problem import FIELDS, Problem
from rfdsm.simulation.plan import Plan, plan
from rfdsm.simulation.simulate import simulated_groups
from rfdsm.spectra import Spectrum
from rfdsm.sweeps.configuration import Configuration, versions
from rfdsm.sweeps.errors import SweepError
from rfdsm.sweeps.layout import Unit
from rfdsm.theory.predict import predict

SIMULATED = (*Losses.NAMES, "objective")
"""Losses of a simulated unit, in the order in which they are stored."""
THEORY = (*Losses.NAMES, "objective", "floor", "converged", "residual", "steps")


class Result(NamedTuple):
    """A finished unit."""

    values: dict[str, np.ndarray]
    """`losses` (SIMULATED, trials, cells) of a simulation; one array for each name of THEORY."""
    seconds: float
    """Wall time, compilation included."""
    device: str


class Context(NamedTuple):
    """What all simulated units of a sweep share: sent to another process once."""

    activation: Activation
    spectrum: Spectrum
    trials: int
    key: tuple[list[int], str]
    """Words and kind."""
    data: np.ndarray | None
    dtype: str
    memory_limit: int | None
    versions: dict[str, str]


class Task(NamedTuple):
    """A simulated unit as it travels to another process, which plans it anew."""

    unit: str
    d: int
    fields: np.ndarray
    """Of a problem, shape (fields, cells)."""


def simulated(request: Plan, trials: int) -> Generator[Result, None, None]:
    """Results of the groups of a plan, each as soon as it is done."""
    start = time.perf_counter()
    # Closed here, not by the garbage collector, which would swallow a Ctrl-C that comes in between.
    with closing(simulated_groups(request, trials)) as groups:
        for _, losses in groups:
            values = np.stack([np.asarray(getattr(losses, name)) for name in SIMULATED])
            yield Result({"losses": values}, time.perf_counter() - start, device(request.devices))
            start = time.perf_counter()


def context(configuration: Configuration, memory_limit: int | None) -> Context:
    """What other processes need to know of a sweep."""
    c = configuration
    key = c.key_words, str(jax.random.key_impl(c.key))
    activation, spectrum = c.problem.activation, c.problem.spectrum
    return Context(activation, spectrum, c.trials, key, c.data, c.dtype, memory_limit, versions())


def task(problem: Problem, unit: Unit) -> Task:
    """A unit, to be sent to another process."""
    assert unit.group is not None
    fields = [np.broadcast_to(getattr(problem, name), problem.shape).ravel()[unit.group.cells] for name in FIELDS]
    return Task(unit.name, unit.d, np.stack(fields))


def run_task(task: Task, context: Context) -> Result:
    """The result of a task: bit for bit that of the unit it was made of, given as many cores."""
    start = time.perf_counter()
    if context.versions != versions():
        raise SweepError(f"a worker has {versions()}, must have the versions of the sweep, {context.versions}")
    words, kind = context.key
    key = jax.random.wrap_key_data(jnp.asarray(words, jnp.uint32), impl=kind)
    fields = dict(zip(FIELDS, task.fields, strict=True))
    problem = Problem(**fields, activation=context.activation, spectrum=context.spectrum)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # said when the sweep was planned
        request = plan(
            problem, task.d, trials=context.trials, key=key, data=context.data, dtype=context.dtype,
            devices=jax.local_devices(), memory_limit=context.memory_limit,
        )  # fmt: skip
    (result,) = simulated(request, context.trials)
    return result._replace(seconds=time.perf_counter() - start)


def theory(problem: Problem) -> Result:
    """Theory on the whole grid, as one batch."""
    start = time.perf_counter()
    losses = predict(problem)
    values = {name: np.asarray(getattr(losses, name)) for name in THEORY}
    return Result(values, time.perf_counter() - start, device(jax.local_devices()[:1]))


def device(devices: list[Any]) -> str:
    """In words."""
    first = devices[0]
    count = f"{len(devices)} x " if len(devices) > 1 else ""
    return f"{count}{first.platform} {first.device_kind}"
