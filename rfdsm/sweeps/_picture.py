"""Pictures of what sweeps found."""

import json
from typing import Any

import numpy as np
import xarray as xr

from rfdsm._comparison import curves
from rfdsm._files import located
from rfdsm._statistics import standard_error
from rfdsm.losses import QUANTITIES
from rfdsm.model import RANDOM_FEATURES
from rfdsm.sweeps import _models as models
from rfdsm.sweeps._configuration import TRAINING, read
from rfdsm.sweeps._errors import SweepError
from rfdsm.sweeps._run import load

NOTHING = "the file has neither theory nor simulations of losses: rfdsm sweep, compare, predict and simulate write them"


def opened(source: Any) -> xr.Dataset:
    """The dataset in a file, or in a sweep's folder as far as it is. Raises SweepError for what is neither."""
    path = located(source, "file")
    if path.is_dir():
        return load(path)
    try:
        with xr.open_dataset(path, engine="scipy") as dataset:
            return dataset.load()
    except FileNotFoundError:
        raise SweepError(f"file {path} does not exist") from None
    except Exception as error:  # of whatever parser looked at it
        raise SweepError(f"file {path} is no netCDF file of rfdsm: {' '.join(str(error).split())}") from None


def draw(dataset: xr.Dataset, along: str | None = None) -> np.ndarray:
    """One panel per loss: theory as lines, on a fine grid where it can be, simulations as points with error bars.

    Args:
        dataset: of `sweep`, `Comparison.to_dataset`, `datasets.predictions`, `datasets.simulations` or whatever else
            has a picture of its own.
        along: field on the horizontal axis; None: the longest axis.

    Returns:
        Array of the matplotlib Axes.

    Raises:
        ValueError: no such field, a dataset without losses, or one that lacks some of what belongs to them.
    """
    try:
        return _drawn(dataset, along)
    except KeyError as error:  # a file of another program, or one that somebody took variables from
        raise SweepError(f"the file is not as rfdsm writes it: {' '.join(str(error.args[0]).split())}") from error


def _drawn(dataset: xr.Dataset, along: str | None) -> np.ndarray:
    from rfdsm import plots

    own: dict[str, Any] = {"best_target": plots.best_target, "theory_test": plots.networks, "path": plots.generation}
    own |= {"asked_p": plots.widths}
    for mark, drawn in own.items():  # of rfdsm generate, networks and advise
        if mark in dataset and along is None:
            return np.atleast_1d(drawn(dataset))
    if "test" in dataset and "time" in dataset["test"].dims:  # of rfdsm train-curve
        if along not in (None, "time"):
            raise ValueError(f"along = {along!r} must be time: the file holds learning curves")
        return plots.training(dataset)
    if along == "time" or (along is None and not {"limit", "mean", "test"} & set(dataset)):
        return _training(dataset)
    found = _problem(dataset)
    model = RANDOM_FEATURES if found is None else found[0]
    fields = [name for name in model.fields if name in dataset.coords]
    if not fields:
        raise ValueError(NOTHING)
    if along is None:
        along = plots.abscissa(dataset)
    if along not in fields:
        raise ValueError(f"along = {along!r} must be one of {', '.join(fields)}")
    if along in dataset.dims and np.any(dataset[along] > 0):
        dataset = dataset.isel({along: np.flatnonzero(dataset[along] > 0)})  # the axis is logarithmic
    if "test" in dataset:
        if missing := [name for name in model.fields if name not in dataset]:
            raise KeyError(f"No variable named {missing[0]!r}")
        if "trial" not in dataset.dims:
            return plots.losses(dataset, along)
        dataset = _over_trials(dataset)
    if "limit" not in dataset and "mean" not in dataset:
        raise ValueError(NOTHING)
    theory = _theory(dataset, found, along)
    return plots.comparison(dataset, theory, along) if "mean" in dataset else plots.losses(theory, along)


def _over_trials(dataset: xr.Dataset) -> xr.Dataset:
    """Simulations alone as those of a comparison: mean and standard error of every loss over the trials."""
    names = [name for name in QUANTITIES if name in dataset and "trial" in dataset[name].dims]
    losses = dataset[names].reset_coords(drop=True).to_dataarray("loss")
    found = {"mean": losses.mean("trial"), "standard_error": losses.reduce(standard_error, "trial")}
    coords = {name: value for name, value in dataset.coords.items() if name != "trial"}
    return xr.Dataset(found, coords, dataset.attrs).expand_dims("d")


def _training(dataset: xr.Dataset) -> np.ndarray:
    """Learning curves against time. Raises ValueError for a dataset that has none."""
    from rfdsm import plots

    own = {str(name): str(name).removeprefix(f"{TRAINING}_") for name in dataset if str(name).startswith(TRAINING)}
    if f"{TRAINING}_limit" not in own:
        raise ValueError(NOTHING)
    times = dataset["time"].to_numpy()
    shown = dataset[[*own, "floor"]].rename(own).isel(time=np.flatnonzero((times > 0) & np.isfinite(times)))
    shown = shown.sortby("time")
    theory = _on_grid(shown).broadcast_like(shown["time"])
    return plots.comparison(shown, theory, "time") if "mean" in shown else plots.losses(theory, "time")


def _theory(dataset: xr.Dataset, found: Any, along: str) -> xr.Dataset:
    if found is not None:
        return curves(found[1], along, found[0])
    if "limit" not in dataset:
        raise SweepError("theory cannot be drawn: the activation is a function that only the file's author has")
    return _on_grid(dataset)


def _on_grid(dataset: xr.Dataset) -> xr.Dataset:
    """Theory as it stands in the file."""
    values = {str(name): dataset["limit"].sel(loss=name, drop=True) for name in dataset["loss"].values}
    return xr.Dataset(values | {"floor": dataset["floor"]})


def _problem(dataset: xr.Dataset) -> Any:
    """Model and problem that the file is about; None if its activation cannot be told from a name, or it has none."""
    if "sweep" in dataset.attrs:
        try:
            configuration = read(dataset.attrs["sweep"], "the file")
            return configuration.model, configuration.problem
        except SweepError:
            return None
    try:
        return models.provenance(json.loads(dataset.attrs["configuration"]))
    except (KeyError, TypeError, ValueError):  # of trained networks, of another program, or none
        return None
