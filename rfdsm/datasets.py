"""Problems and results as labelled xarray datasets: named dims, units, configuration and provenance."""

import json
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import jax
import numpy as np
import xarray as xr

from rfdsm import __version__, _vocabulary as vocabulary
from rfdsm._problem import Problem
from rfdsm._statistics import standard_error
from rfdsm.losses import QUANTITIES, Losses
from rfdsm.model import RANDOM_FEATURES, LearningCurves, Model

LONG_NAMES = vocabulary.LONG_NAMES | {name: field.long_name for name, field in vocabulary.FIELDS.items()}
LONG_NAMES |= {name: quantity.long_name for name, quantity in QUANTITIES.items()}


GENERATION = ("trace", "logdet", "kl", "reverse_kl", "kl_at_end", "reverse_kl_at_end", "bhattacharyya")
SIMULATED_GENERATION = (
    *("trace", "logdet", "kl", "reverse_kl", "kl_along", "reverse_kl_along"),
    *("mean_squared", "copied", "copied_null", "sign"),
)
DISTANCES_TO_POINTS = {
    "nearest": "distance of samples to the nearest training point over sqrt(d)",
    "nearest_null": "distance of fresh points to the nearest training point over sqrt(d)",
}


def dims(problem: Any, model: Model = RANDOM_FEATURES) -> tuple[str, ...]:
    """One name per axis of the grid: the field that varies along it (and nowhere else), or cell_0, cell_1, …"""
    fields, axes = model.asked(problem), len(model.shape(problem))
    varying = {name: _axes(values, axes) for name, values in fields.items()}
    names = []
    for axis in range(axes):
        along = [name for name in fields if axis in varying[name]]
        if not along:  # an axis of length one: the field that introduced it
            along = [name for name in fields if not varying[name] and fields[name].ndim == axes - axis]
        along = [name for name in along if model.follows.get(name) not in along]
        alone = len(along) == 1 and len(varying[along[0]]) <= 1
        names.append(along[0] if alone else f"cell_{axis}")
    return tuple(names)


def _axes(values: np.ndarray, axes: int) -> list[int]:
    """Axes of the grid along which a field has more than one value."""
    return [axes - values.ndim + axis for axis, size in enumerate(values.shape) if size > 1]


def coordinates(problem: Any, model: Model = RANDOM_FEATURES) -> dict[str, Any]:
    """The fields as coordinates over `dims`, and those of the model's further axes."""
    names, shape = dims(problem, model), model.shape(problem)
    coords: dict[str, Any] = {}
    for field, given in model.asked(problem).items():
        along = [names.index(field)] if field in names else _axes(given, len(shape))
        values = np.broadcast_to(given, shape)
        index = tuple(slice(None) if axis in along else 0 for axis in range(values.ndim))
        own = model.field_name(problem, field)
        coords[field] = variable(field, tuple(names[axis] for axis in along), values[index], own)
    return coords | {name: variable(name, (name,), values) for name, values in model.trailing.items()}


def variable(name: str, over: tuple[str, ...], values: Any, long_name: str | None = None) -> tuple[Any, ...]:
    """An xarray variable with long name and unit; booleans and integers become types netCDF 3 can hold."""
    array = np.asarray(values)
    if array.dtype == bool:
        array = array.astype(np.int8)
    return over, array, {"long_name": long_name or LONG_NAMES[name], "units": "1"}


def provenance(problem: Any, model: Model = RANDOM_FEATURES, **configuration: Any) -> dict[str, str]:
    """Attributes that say how the numbers came about: configuration, versions and device."""
    settings = {name: values.tolist() for name, values in model.asked(problem).items()} | model.structure(problem)
    settings |= {f"spectrum_{name}": getattr(problem.spectrum, name).tolist() for name in ("nodes", "weights")}
    device = jax.devices()[0]
    return {
        "configuration": json.dumps(settings | model.options | configuration, default=str),
        "versions": json.dumps(
            {"rfdsm": __version__} | {name: metadata.version(name) for name in ("jax", "jaxlib", "numpy", "xarray")}
        ),
        "device": f"{device.platform} {device.device_kind}",
        "title": model.title,
    }


def theory(problem: Any, values: Mapping[str, Any], model: Model = RANDOM_FEATURES, **more: Any) -> xr.Dataset:
    """Arrays of the grid, and of the model's further axes, by name. `more` are further entries of the configuration."""
    over = (*dims(problem, model), *model.trailing)
    variables = {name: variable(name, over, array, model.long_names.get(name)) for name, array in values.items()}
    return xr.Dataset(variables, coords=coordinates(problem, model), attrs=provenance(problem, model, **more))


def predictions(problem: Problem, losses: Losses) -> xr.Dataset:
    """Theory's losses over the problem's grid."""
    return theory(problem, {name: getattr(losses, name) for name in RANDOM_FEATURES.predicted})


def simulations(problem: Problem, losses: Losses, d: int, **configuration: Any) -> xr.Dataset:
    """Simulated losses per trial over the problem's grid, with the sizes and the seeds they were drawn with."""
    values = {name: getattr(losses, name) for name in (*RANDOM_FEATURES.simulated, *Losses.BOUNDS)}
    values = {name: array for name, array in values.items() if array is not None}
    sizes = {}
    if losses.run is not None:
        sizes = {"n": losses.run.n, "p": losses.run.p}
        configuration["seeds"] = losses.run.seeds.tolist()
    return trials(problem, d, values, sizes, **configuration)


def trials(
    problem: Any,
    d: int,
    values: Mapping[str, Any],
    over_trials: Mapping[str, Any],
    model: Model = RANDOM_FEATURES,
    **configuration: Any,
) -> xr.Dataset:
    """Arrays with a leading axis of trials, and arrays of the grid alone, by name."""
    cells = dims(problem, model)
    variables = {name: variable(name, ("trial", *cells), array) for name, array in values.items()}
    variables |= {name: variable(name, cells, array) for name, array in over_trials.items()}
    count = len(next(iter(values.values())))
    own = {"trial": variable("trial", ("trial",), np.arange(count)), "d": variable("d", (), d)}
    coords = coordinates(problem, model) | own
    return xr.Dataset(variables, coords=coords, attrs=provenance(problem, model, d=d, **configuration))


def training(
    problem: Problem,
    times: Any,
    losses: Losses,
    scales: dict[str, Any],
    simulated: tuple[Any, Losses, int] | None = None,
    initial: float = 0.0,
) -> xr.Dataset:
    """Theory's learning curves over the problem's grid and time, with the times that matter.

    `scales` has best_time, generalisation_time, below_floor_time and memorisation_time, arrays of the problem's shape.
    `simulated` has the times, losses (trials, *problem.shape, times) and dimension of a simulation, of which the mean
    and standard error over trials are kept. `initial` is the variance of the output weights at time 0.
    """
    model = LearningCurves(np.asarray(times, float), initial)
    cells = dims(problem)
    more = {} if simulated is None else {"d": simulated[2], "trials": simulated[1].shape[0]}
    whole = theory(problem, {name: getattr(losses, name) for name in model.predicted}, model, **more)
    whole = whole.assign({name: variable(name, cells, values) for name, values in scales.items()})
    if simulated is None:
        return whole
    places, runs, d = simulated
    over = (*cells, "simulated_time")
    variables = {}
    for name in Losses.NAMES:
        values = np.asarray(getattr(runs, name), float)
        mean, error = values.mean(axis=0), standard_error(values)
        variables[f"{name}_mean"] = variable(name, over, mean, f"{LONG_NAMES[name]}, mean over trials")
        variables[f"{name}_standard_error"] = variable(name, over, error, f"{LONG_NAMES[name]}, standard error")
    coords = {"simulated_time": variable("simulated_time", ("simulated_time",), places), "d": variable("d", (), d)}
    return whole.assign(variables).assign_coords(coords)


def generation(problem: Problem, sampler: Any, law: Any, simulated: Any = None, **configuration: Any) -> xr.Dataset:
    """The law of generated samples over the problem's grid; along S, its spectrum and the steps where it is one law.

    `simulated` is a `SimulatedGeneration` of one problem, whose entries have `simulated_` before their names.
    """
    cells = dims(problem)
    over: dict[str, tuple[str, ...]] = dict.fromkeys((*GENERATION, "converged", "residual"), cells)
    over |= {"nodes": (*cells, "node"), "weights": (*cells, "node"), "path": ("step", *cells, "node")}
    variables = {name: variable(name, axes, getattr(law, name)) for name, axes in over.items()}
    coords = {name: value for name, value in coordinates(problem).items() if name != "t"}
    coords["step"] = variable("t", ("step",), np.asarray(sampler.levels[1:]), problem.schedule.long_name)
    if not law.shape:
        density = law.density()
        variables["variance"] = variable("variance", ("place",), density.variance)
        variables["density"] = variable("density", ("place",), density.density)
        variables |= {name: variable(name, (), getattr(density, name)) for name in ("atom", "mass")}
        isotropic = problem.spectrum.mean if problem.spectrum.size == 1 else np.nan
        variables["data_variance"] = variable("data_variance", (), isotropic)
    if simulated is not None:
        configuration |= {"d": simulated.run.d, "seeds": simulated.run.seeds.tolist()}
        own: dict[str, tuple[str, ...]] = dict.fromkeys(SIMULATED_GENERATION, ("trial",))
        own |= dict.fromkeys(("eigenvalues", "variances"), ("trial", "direction"))
        own |= dict.fromkeys(("nearest", "nearest_null"), ("trial", "quantile"))
        if simulated.samples is not None:
            own["samples"] = ("trial", "sample", "coordinate")
        for name, axes in own.items():
            long_name = DISTANCES_TO_POINTS.get(name)
            variables[f"simulated_{name}"] = variable(name, axes, getattr(simulated, name), long_name)
        coords["d"] = variable("d", (), simulated.run.d)
    attributes = provenance(problem, sampler=str(sampler), levels=list(sampler.levels), **configuration)
    return xr.Dataset(variables, coords=coords, attrs=attributes | {"title": "Law of generated samples"})
