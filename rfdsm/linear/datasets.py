"""Results of the linear denoiser as labelled xarray datasets: named dims, units, configuration and provenance."""

import json
from importlib import metadata
from typing import Any

import jax
import numpy as np
import xarray as xr

from rfdsm import datasets
from rfdsm.linear.generated import GeneratedLaw
from rfdsm.linear.losses import DenoisingLosses
from rfdsm.linear.memorisation import Memorisation
from rfdsm.linear.problem import FIELDS, Problem

LONG_NAMES = {
    "psi": "samples per dimension n/d",
    "T": "diffusion time",
    "m": "noise draws per sample",
    "ridge": "ridge penalty",
    "noise_scale": "noise scale l",
    "sigma": "scale of the data",
    "smoothing": "variance that smooths both laws",
    "train": "training loss",
    "empirical_test": "loss on the training points with fresh noise",
    "test": "test loss",
    "excess": "test loss above that of the best denoiser",
    "floor": "loss of the best denoiser",
    "objective": "training objective with its penalty",
    "kl": "KL(generated || target) per dimension",
    "reverse_kl": "KL(target || generated) per dimension",
    "bhattacharyya": "Bhattacharyya rate per dimension",
    "wasserstein": "squared 2-Wasserstein distance per dimension",
    "logdet": "log determinant of the smoothed generated covariance per dimension",
    "trace": "trace of the generated covariance per dimension",
    "sign": "sign of the relative distance",
    "log_distance": "log of the relative distance in units of a kernel's overlap with itself",
    "hellinger": "squared Hellinger distance to the target",
    "copied": "fraction of generated points that are copies",
    "nearest": "distance to the training set relative to a fresh set",
    "probability": "probability of a positive relative distance",
    "probability_error": "its standard error",
    "d": "dimension",
    "steps": "denoising steps",
    "trial": "repetition",
}


def dims(problem: Problem, other: tuple[int, ...] = ()) -> tuple[str, ...]:
    """One name per axis of problem and `other` broadcast: the only field that varies along it, or cell_k."""
    shape = np.broadcast_shapes(problem.shape, other)
    names = []
    for axis in range(-len(shape), 0):
        along = [
            name
            for name in FIELDS
            if np.ndim(getattr(problem, name)) >= -axis and np.shape(getattr(problem, name))[axis] > 1
        ]
        followed = along[:1] if along in (["T", "noise_scale"],) else along  # the default noise scale follows T
        alone = len(followed) == 1 and np.size(getattr(problem, followed[0])) == shape[axis]
        names.append(followed[0] if alone else f"cell_{len(shape) + axis}")
    return tuple(names)


def coordinates(problem: Problem, smoothing: Any = 0.0) -> dict[str, Any]:
    """The problem's fields as coordinates over `dims`, scalars where they do not vary."""
    rho = np.asarray(smoothing)
    shape = np.broadcast_shapes(problem.shape, rho.shape)
    names = dims(problem, rho.shape)
    coords: dict[str, Any] = {}
    for field, value in [*((name, getattr(problem, name)) for name in FIELDS), ("smoothing", rho)]:
        axes = [axis for axis in range(-np.ndim(value), 0) if np.shape(value)[axis] > 1]
        if field in names:
            axes = [names.index(field) - len(names)]
        values = np.broadcast_to(value, shape)
        index = tuple(slice(None) if axis in axes else 0 for axis in range(-len(shape), 0))
        over = tuple(names[axis] for axis in axes)
        coords[field] = (over, np.asarray(values[index]), {"long_name": LONG_NAMES[field], "units": "1"})
    return coords


def variable(name: str, over: tuple[str, ...], values: Any, long_name: str | None = None) -> tuple[Any, ...]:
    """An xarray variable with long name and unit, as in the main package."""
    return datasets.variable(name, over, values, long_name or LONG_NAMES[name])


def provenance(problem: Problem, **configuration: Any) -> dict[str, str]:
    """Attributes that say how the numbers came about: configuration, versions and device."""
    settings = {name: np.asarray(getattr(problem, name)).tolist() for name in FIELDS}
    settings |= {
        "spectrum": problem.spectrum.label,
        "spectrum_nodes": np.asarray(problem.spectrum.nodes).tolist(),
        "spectrum_weights": np.asarray(problem.spectrum.weights).tolist(),
    }
    device = jax.devices()[0]
    return {
        "configuration": json.dumps(settings | configuration, default=str),
        "versions": json.dumps(
            {name: metadata.version(name) for name in ("rfdsm", "jax", "jaxlib", "numpy", "xarray")}
        ),
        "device": f"{device.platform} {device.device_kind}",
        "title": "The linear one-step denoiser, per coordinate",
    }


def predictions(problem: Problem, smoothing: Any, losses: DenoisingLosses, law: GeneratedLaw) -> xr.Dataset:
    """Theory's losses and generated law over the problem's grid."""
    rho = np.asarray(smoothing)
    over = dims(problem, rho.shape)
    values = {name: np.broadcast_to(getattr(losses, name), law.shape) for name in (*losses.NAMES, "floor", "objective")}
    values |= {name: getattr(law, name) for name in law.NAMES}
    return xr.Dataset(
        {name: variable(name, over, array) for name, array in values.items()},
        coords=coordinates(problem, rho),
        attrs=provenance(problem, smoothing=rho.tolist()),
    )


def chains(problem: Problem, steps: Any, law: GeneratedLaw, **configuration: Any) -> xr.Dataset:
    """The laws generated in several numbers of steps, from `chain` with a list of steps."""
    over = (*dims(problem), "steps")
    coords = coordinates(problem) | {"steps": variable("steps", ("steps",), list(steps))}
    variables = {name: variable(name, over, getattr(law, name)) for name in law.NAMES}
    return xr.Dataset(variables, coords=coords, attrs=provenance(problem, **configuration))


def memorisations(problem: Problem, d: int, result: Memorisation, **configuration: Any) -> xr.Dataset:
    """Measures of memorisation per trial, and the probability over trials."""
    cells = dims(problem)
    names = ("sign", "log_distance", "hellinger", "bhattacharyya", "copied", "nearest")
    variables = {name: variable(name, ("trial", *cells), getattr(result, name)) for name in names}
    for name in ("probability", "probability_error"):
        variables[name] = variable(name, cells, getattr(result, name))
    coords = coordinates(problem) | {
        "d": variable("d", (), d),
        "trial": variable("trial", ("trial",), np.arange(result.sign.shape[0])),
    }
    return xr.Dataset(variables, coords=coords, attrs=provenance(problem, d=d, **configuration))


def comparison(result: Any) -> xr.Dataset:
    """A `Comparison`, with its extrapolation if there are several dimensions."""
    cells = dims(result.problem, result.smoothing.shape)
    over = ("quantity", "d", *cells)
    variables = {
        "theory": variable("", over, result.theory, "theory at the realised ratios"),
        "simulation": variable(
            "", ("quantity", "d", "trial", *cells), result.simulation, "simulated value of each trial"
        ),
        "mean": variable("", over, result.mean, "simulation, mean over trials"),
        "standard_error": variable("", over, result.standard_error, "standard error over trials"),
        "z": variable("", over, result.z, "deviation in standard errors"),
        "relative_deviation": variable("", over, result.relative_deviation, "deviation relative to theory"),
        "limit": variable("", ("quantity", *cells), result.limit, "theory at the problem as asked"),
    }
    extrapolation = result.extrapolation
    if extrapolation is not None:
        for field in ("intercept", "error", "slope", "slope_error", "z"):
            label = f"{field.replace('_', ' ')} of the deviation extrapolated in 1/d"
            values = getattr(extrapolation, field)
            variables[f"extrapolated_{field}"] = variable("", ("quantity", *cells), values, label)
    coords = coordinates(result.problem, result.smoothing) | {
        "quantity": list(result.names),
        "d": variable("d", ("d",), result.dimensions),
        "trial": variable("trial", ("trial",), np.arange(result.simulation.shape[2])),
    }
    attrs = provenance(result.problem, d=list(result.dimensions), **result.settings)
    return xr.Dataset(variables, coords=coords, attrs=attrs)
