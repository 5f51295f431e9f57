"""Problems and losses as labelled xarray datasets: named dims, units, configuration and provenance."""

import json
from importlib import metadata
from typing import Any

import jax
import numpy as np
import xarray as xr

from rfdsm import __version__
from rfdsm.losses import Losses
from rfdsm.problem import FIELDS, Problem

LONG_NAMES = {
    "psi_n": "samples per dimension n/d",
    "psi_p": "features per dimension p/d",
    "m": "noise draws per sample",
    "t": "diffusion time",
    "ridge": "ridge penalty",
    "train": "training loss",
    "empirical_test": "loss on the training points with fresh noise",
    "test": "test loss",
    "score": "score error",
    "objective": "training objective with its penalty",
    "floor": "loss of the true score",
    "converged": "fixed point reached",
    "residual": "relative residual of the fixed point",
    "steps": "Newton steps",
    "d": "dimension",
    "n": "training points",
    "p": "features",
    "trial": "repetition",
    "time": "flow time theta",
    "simulated_time": "flow time theta of simulations",
    "best_time": "flow time of least test loss",
    "generalisation_time": "flow time tau_gen at which the test loss has come down",
    "below_floor_time": "flow time at which training points are denoised better than by the true score",
    "memorisation_time": "flow time tau_mem from which the score is nearer to the empirical than to the true one",
}


def dims(problem: Problem) -> tuple[str, ...]:
    """One name per axis of the problem: the field that varies along it (and nowhere else), or cell_0, cell_1, …"""
    axes = len(problem.shape)
    varying = {name: _axes(problem, name) for name in FIELDS}
    names = []
    for axis in range(axes):
        along = [name for name in FIELDS if axis in varying[name]]
        if not along:  # an axis of length one: the field that introduced it
            along = [name for name in FIELDS if not varying[name] and np.ndim(getattr(problem, name)) == axes - axis]
        alone = len(along) == 1 and len(varying[along[0]]) <= 1
        names.append(along[0] if alone else f"cell_{axis}")
    return tuple(names)


def _axes(problem: Problem, name: str) -> list[int]:
    """Axes of the problem's shape along which a field has more than one value."""
    shape = np.shape(getattr(problem, name))
    offset = len(problem.shape) - len(shape)
    return [offset + axis for axis, size in enumerate(shape) if size > 1]


def coordinates(problem: Problem) -> dict[str, Any]:
    """The problem's fields as coordinates over `dims(problem)`."""
    names = dims(problem)
    coords: dict[str, Any] = {}
    for field in FIELDS:
        values = np.broadcast_to(getattr(problem, field), problem.shape)
        along = [names.index(field)] if field in names else _axes(problem, field)
        index = tuple(slice(None) if axis in along else 0 for axis in range(values.ndim))
        attrs = {"long_name": LONG_NAMES[field], "units": "1"}
        coords[field] = (tuple(names[axis] for axis in along), np.asarray(values[index]), attrs)
    return coords


def variable(name: str, over: tuple[str, ...], values: Any, long_name: str | None = None) -> tuple[Any, ...]:
    """An xarray variable with long name and unit; booleans and integers become types netCDF 3 can hold."""
    array = np.asarray(values)
    if array.dtype == bool:
        array = array.astype(np.int8)
    return over, array, {"long_name": long_name or LONG_NAMES[name], "units": "1"}


def provenance(problem: Problem, **configuration: Any) -> dict[str, str]:
    """Attributes that say how the numbers came about: configuration, versions and device."""
    settings = {name: np.asarray(getattr(problem, name)).tolist() for name in FIELDS}
    settings |= {"activation": problem.activation.name, "spectrum": problem.spectrum.label}
    settings |= {
        "spectrum_nodes": problem.spectrum.nodes.tolist(),
        "spectrum_weights": problem.spectrum.weights.tolist(),
    }
    device = jax.devices()[0]
    return {
        "configuration": json.dumps(settings | configuration, default=str),
        "versions": json.dumps(
            {"rfdsm": __version__} | {name: metadata.version(name) for name in ("jax", "jaxlib", "numpy", "xarray")}
        ),
        "device": f"{device.platform} {device.device_kind}",
        "title": "Losses of denoising score matching with random features, per coordinate",
    }


def predictions(problem: Problem, losses: Losses) -> xr.Dataset:
    """Theory's losses over the problem's grid."""
    names = [*Losses.NAMES, "objective", "floor", "converged", "residual", "steps"]
    return xr.Dataset(
        {name: variable(name, dims(problem), getattr(losses, name)) for name in names},
        coords=coordinates(problem),
        attrs=provenance(problem),
    )


def simulations(problem: Problem, losses: Losses, d: int, **configuration: Any) -> xr.Dataset:
    """Simulated losses per trial over the problem's grid, with the sizes and the seeds they were drawn with."""
    over = ("trial", *dims(problem))
    variables = {name: variable(name, over, getattr(losses, name)) for name in (*Losses.NAMES, "objective", "floor")}
    if losses.run is not None:
        variables |= {name: variable(name, dims(problem), getattr(losses.run, name)) for name in ("n", "p")}
        configuration["seeds"] = losses.run.seeds.tolist()
    coords = coordinates(problem) | {
        "trial": variable("trial", ("trial",), np.arange(losses.shape[0])),
        "d": variable("d", (), d),
    }
    return xr.Dataset(variables, coords=coords, attrs=provenance(problem, d=d, **configuration))


def training(
    problem: Problem,
    times: Any,
    losses: Losses,
    scales: dict[str, Any],
    simulated: tuple[Any, Losses, int] | None = None,
) -> xr.Dataset:
    """Theory's learning curves over the problem's grid and time, with the times that matter.

    `scales` has best_time, generalisation_time, below_floor_time and memorisation_time, arrays of the problem's shape.
    `simulated` has the times, losses (trials, *problem.shape, times) and dimension of a simulation, of which the mean
    and standard error over trials are kept.
    """
    over = (*dims(problem), "time")
    names = (*Losses.NAMES, "objective", "floor", "converged", "residual")
    variables = {name: variable(name, over, getattr(losses, name)) for name in names}
    variables |= {name: variable(name, over[:-1], values) for name, values in scales.items()}
    coords = coordinates(problem) | {"time": variable("time", ("time",), times)}
    configuration: dict[str, Any] = {}
    if simulated is not None:
        places, runs, d = simulated
        trials = runs.shape[0]
        coords["simulated_time"] = variable("simulated_time", ("simulated_time",), places)
        coords["d"] = variable("d", (), d)
        for name in Losses.NAMES:
            values = np.asarray(getattr(runs, name), float)
            error = values.std(axis=0, ddof=1) / np.sqrt(trials) if trials > 1 else np.full(values.shape[1:], np.nan)
            at = (*over[:-1], "simulated_time")
            variables[f"{name}_mean"] = variable(name, at, values.mean(axis=0), f"{LONG_NAMES[name]}, mean over trials")
            variables[f"{name}_standard_error"] = variable(name, at, error, f"{LONG_NAMES[name]}, standard error")
        configuration |= {"d": d, "trials": trials}
    return xr.Dataset(variables, coords=coords, attrs=provenance(problem, **configuration))
