"""From finished units to one labelled dataset, and from that back to what can be drawn."""

import json
import warnings
from collections.abc import Mapping

import numpy as np
import xarray as xr

from rfdsm import datasets
from rfdsm._comparison import Comparison
from rfdsm._scope import jax_scope
from rfdsm.losses import Run
from rfdsm.simulation._trial import seeds
from rfdsm.sweeps._compute import Result
from rfdsm.sweeps._configuration import Configuration, Part
from rfdsm.sweeps._layout import Layout
from rfdsm.sweeps.store import Failure

LISTED = 10_000
"""Most units whose wall times are listed one by one."""
_OF_SIMULATION = ("simulation", "mean", "standard_error", "n", "p", "simulated_objective", "failed", "failure")
_COMMON = ("floor", "n", "p")
"""What all parts of a sweep share."""


def dataset(layout: Layout, results: Mapping[str, Result], failures: Mapping[str, Failure]) -> xr.Dataset:
    """What `sweep` returns; units that are in neither mapping are NaN, like those that failed."""
    c = layout.configuration
    whole, *others = (_of_part(layout, part, results, failures) for part in c.parts)
    if c.parts[0].prefix:
        whole, others = xr.Dataset(attrs=whole.attrs), [whole]
    for part, other in zip(c.parts[-len(others) :], others, strict=False):
        for name, values in other.data_vars.items():
            if name not in _COMMON:
                whole[f"{part.prefix}_{name}"] = values
            elif name not in whole:  # the floor does not depend on time
                whole[name] = values.isel(time=0, missing_dims="ignore").drop_vars("time", errors="ignore")
    seconds = {name: result.seconds for name, result in results.items()}
    time = {"total": sum(seconds.values())} | ({"units": seconds} if len(seconds) <= LISTED else {})
    devices = sorted({result.device for result in results.values()})
    title = f"Sweep: {c.model.title}"
    return whole.assign_attrs(
        sweep=c.text(), device=", ".join(devices), dtype=c.dtype, wall_time=json.dumps(time), title=title
    )


def _of_part(layout: Layout, part: Part, results: Mapping[str, Result], failures: Mapping[str, Failure]) -> xr.Dataset:
    c, model = layout.configuration, part.model
    limit = _theory(layout, part, results, "theory")
    rest = [name for name in model.predicted if name not in model.quantities]
    whole = _compared(layout, part, results, limit) if part.simulation else _of_theory(c, part, limit)
    if part.theory:
        own = datasets.theory(c.problem, {name: limit[name] for name in rest}, model)
        whole = whole.assign({name: own[name].variable for name in rest})
    if part.simulation:
        if "objective" in model.simulated:  # of what is trained
            over = ("d", "trial", *datasets.dims(c.problem, model), *model.trailing)
            objective = model.simulated.index("objective")
            values = np.stack([_simulated(layout, part, d, results)[objective] for d in c.dimensions])
            whole["simulated_objective"] = datasets.variable("", over, values, "training objective of each trial")
        _add_failures(whole, layout, part, failures)
    kept = {"limit", *rest} if part.theory else set()
    kept |= {*_OF_SIMULATION} if part.simulation else set()
    if part.comparison:
        kept |= {str(name) for name in whole.data_vars}
    return whole[[name for name in whole.data_vars if name in kept]]


def _of_theory(c: Configuration, part: Part, limit: dict[str, np.ndarray]) -> xr.Dataset:
    """Theory alone, labelled as in `Comparison.to_dataset`."""
    model = part.model
    over = (model.axis, *datasets.dims(c.problem, model), *model.trailing)
    values = [limit[name] for name in model.quantities]
    coords = datasets.coordinates(c.problem, model) | {model.axis: list(model.quantities)}
    attrs = datasets.provenance(c.problem, model, quantities=list(c.quantities))
    return xr.Dataset({"limit": datasets.variable("", over, values, "theory")}, coords=coords, attrs=attrs)


def _compared(layout: Layout, part: Part, results: Mapping[str, Result], limit: dict[str, np.ndarray]) -> xr.Dataset:
    """Everything that `compare` says of the same simulations."""
    c, model = layout.configuration, part.model
    names = model.names(c.law)
    at = [_theory(layout, part, results, f"theory-d{d}") for d in c.dimensions]
    with jax_scope():
        words = seeds(c.key, c.trials)
    simulations = [_simulated(layout, part, d, results) for d in c.dimensions]
    plans = [layout.plans[part.prefix, d] for d in c.dimensions]
    comparison = Comparison(
        problem=c.problem,
        dimensions=c.dimensions,
        names=names,
        limit=model.limit(limit, c.law),
        theory=np.stack([np.stack([values[name] for values in at]) for name in names]),
        simulation=np.stack([np.stack([x[model.simulated.index(name)] for x in simulations]) for name in names]),
        runs=tuple(Run(plan.n, plan.p, plan.d, words) for plan in plans),
        settings=dict(
            trials=c.trials, key=str(c.key_words), dtype=c.dtype, data=c.law.shape, quantities=list(c.quantities)
        ),
        model=model,
        theory_error=model.error(c.problem, c.dimensions, c.law),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a single trial has no spread: NaN
        return comparison.to_dataset()


def _shape(layout: Layout, part: Part) -> tuple[int, ...]:
    """Of theory: the grid, and the model's further axes."""
    grid = part.model.shape(layout.configuration.problem)
    return (*grid, *(values.size for values in part.model.trailing.values()))


def _theory(layout: Layout, part: Part, results: Mapping[str, Result], unit: str) -> dict[str, np.ndarray]:
    shape, result = _shape(layout, part), results.get(part.named(unit))
    if result is not None:
        return {name: result.values[name].reshape(shape) for name in part.model.predicted}
    missing = {name: np.full(shape, np.nan) for name in part.model.predicted}
    return missing | {"converged": np.zeros(shape, bool)}


def _simulated(layout: Layout, part: Part, d: int, results: Mapping[str, Result]) -> np.ndarray:
    """Shape (simulated, trials, *grid, *trailing)."""
    trials, model = layout.configuration.trials, part.model
    grid = model.shape(layout.configuration.problem)
    shape = _shape(layout, part)
    values = np.full((len(model.simulated), trials, int(np.prod(grid)), *shape[len(grid) :]), np.nan)
    for unit in layout.units:
        if unit.group is not None and (unit.part, unit.d) == (part.prefix, d) and unit.name in results:
            values[:, :, unit.group.cells] = results[unit.name].values["losses"]
    return values.reshape(len(model.simulated), trials, *shape)


def _add_failures(whole: xr.Dataset, layout: Layout, part: Part, failures: Mapping[str, Failure]) -> None:
    """Which cells were given up, and why."""
    c = layout.configuration
    over = ("d", *datasets.dims(c.problem, part.model))
    shape = part.model.shape(c.problem)
    texts = np.full((len(c.dimensions), int(np.prod(shape))), "", dtype=object)
    for unit in layout.units:
        if unit.group is not None and unit.part == part.prefix and unit.name in failures:
            texts[c.dimensions.index(unit.d), unit.group.cells] = failures[unit.name].message
    texts = texts.reshape(len(c.dimensions), *shape)
    whole["failed"] = datasets.variable("", over, texts != "", "given up after three attempts")
    if failures:
        whole["failure"] = (over, texts.astype(str), {"long_name": "message of the last attempt"})
