"""Computing units: what every executor runs, wherever it runs."""

import time
import warnings
from collections.abc import Generator
from contextlib import closing
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rfdsm._laws import Law
from rfdsm.model import Model
from rfdsm.sweeps._configuration import Configuration, versions
from rfdsm.sweeps._errors import SweepError
from rfdsm.sweeps._layout import Unit


class Result(NamedTuple):
    """A finished unit."""

    values: dict[str, np.ndarray]
    """`losses` (simulated, trials, cells, ...) of a simulation; of theory one array for each name that is predicted."""
    seconds: float
    """Wall time, compilation included."""
    device: str


class Context(NamedTuple):
    """What all simulated units of a sweep share: sent to another process once."""

    models: dict[str, Model]
    """By the prefix of their part."""
    structure: Any
    """A problem of one cell, for all that is no number."""
    trials: int
    key: tuple[list[int], str]
    """Words and kind."""
    law: Law
    dtype: str
    memory_limit: int | None
    versions: dict[str, str]


class Task(NamedTuple):
    """A simulated unit as it travels to another process, which plans it anew."""

    unit: str
    part: str
    d: int
    fields: np.ndarray
    """Of the model, shape (fields, cells)."""


def simulated(model: Model, plan: Any) -> Generator[Result, None, None]:
    """Results of the groups of a plan, each as soon as it is done."""
    start = time.perf_counter()
    # Closed here, not by the garbage collector, which would swallow a Ctrl-C that comes in between.
    with closing(model.groups(plan)) as groups:
        for _, values in groups:
            yield Result({"losses": values}, time.perf_counter() - start, device(plan.devices))
            start = time.perf_counter()


def context(configuration: Configuration, memory_limit: int | None) -> Context:
    """What other processes need to know of a sweep."""
    c = configuration
    key = c.key_words, str(jax.random.key_impl(c.key))
    models = {part.prefix: part.model for part in c.parts}
    one = {name: np.asarray(getattr(c.problem, name)).flat[0] for name in c.model.fields}
    return Context(models, c.problem.at(**one), c.trials, key, c.law, c.dtype, memory_limit, versions())


def task(configuration: Configuration, unit: Unit) -> Task:
    """A unit, to be sent to another process."""
    assert unit.group is not None
    model, problem = configuration.part(unit.part).model, configuration.problem
    shape = model.shape(problem)
    fields = [np.broadcast_to(values, shape).ravel()[unit.group.cells] for values in model.asked(problem).values()]
    return Task(unit.name, unit.part, unit.d, np.stack(fields))


def run_task(task: Task, context: Context) -> Result:
    """The result of a task: bit for bit that of the unit it was made of, given as many cores."""
    start = time.perf_counter()
    if context.versions != versions():
        raise SweepError(f"a worker has {versions()}, must have the versions of the sweep, {context.versions}")
    words, kind = context.key
    key = jax.random.wrap_key_data(jnp.asarray(words, jnp.uint32), impl=kind)
    whole = context.models[task.part]
    fields = dict(zip(whole.asked(context.structure), task.fields, strict=True))
    model, problem = whole.at(fields, context.structure)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # said when the sweep was planned
        plan = model.plan(
            problem, task.d, trials=context.trials, key=key, data=context.law, dtype=context.dtype,
            devices=jax.local_devices(), memory_limit=context.memory_limit,
        )  # fmt: skip
    (result,) = simulated(model, plan)
    return result._replace(seconds=time.perf_counter() - start)


def theory(model: Model, problem: Any) -> Result:
    """Theory on the whole grid, as one batch."""
    start = time.perf_counter()
    return Result(model.predict(problem), time.perf_counter() - start, device(jax.local_devices()[:1]))


def device(devices: list[Any]) -> str:
    """In words."""
    first = devices[0]
    count = f"{len(devices)} x " if len(devices) > 1 else ""
    return f"{count}{first.platform} {first.device_kind}"
