"""Pictures of what sweeps found."""

import json
from typing import Any

import numpy as np
import xarray as xr

from rfdsm import activations
from rfdsm.comparison import curves
from rfdsm.files import located
from rfdsm.problem import FIELDS, Problem
from rfdsm.spectra import Spectrum
from rfdsm.sweeps.configuration import read
from rfdsm.sweeps.errors import SweepError
from rfdsm.sweeps.run import load


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
        dataset: of `sweep`, `Comparison.to_dataset` or `datasets.predictions`.
        along: field on the horizontal axis; None: the longest axis.

    Returns:
        Array of the matplotlib Axes.

    Raises:
        ValueError: no such field, or a dataset without losses.
    """
    from rfdsm import plots

    if along is None:
        along = plots.abscissa(dataset)
    if along not in FIELDS:
        raise ValueError(f"along = {along!r} must be one of {', '.join(FIELDS)}")
    if along in dataset.dims and np.any(dataset[along] > 0):
        dataset = dataset.isel({along: np.flatnonzero(dataset[along] > 0)})  # the axis is logarithmic
    if "test" in dataset and "trial" not in dataset.dims:
        return plots.losses(dataset, along)
    if "limit" not in dataset and "mean" not in dataset:
        raise ValueError("the file has neither theory nor simulations of losses: rfdsm sweep, compare and predict do")
    theory = _theory(dataset, along)
    return plots.comparison(dataset, theory, along) if "mean" in dataset else plots.losses(theory, along)


def _theory(dataset: xr.Dataset, along: str) -> xr.Dataset:
    problem = _problem(dataset)
    if problem is not None:
        return curves(problem, along)
    if "limit" not in dataset:
        raise SweepError("theory cannot be drawn: the activation is a function that only the file's author has")
    values = {str(name): dataset["limit"].sel(loss=name, drop=True) for name in dataset["loss"].values}
    return xr.Dataset(values | {"floor": dataset["floor"]})


def _problem(dataset: xr.Dataset) -> Problem | None:
    """The problem the file is about; None if its activation cannot be told from a name."""
    if "sweep" in dataset.attrs:
        try:
            return read(dataset.attrs["sweep"], "the file").problem
        except SweepError:
            return None
    asked = json.loads(dataset.attrs["configuration"])
    if asked["activation"] not in activations.NAMES:
        return None
    spectrum = Spectrum(np.array(asked["spectrum_nodes"]), np.array(asked["spectrum_weights"]), asked["spectrum"])
    return Problem(**{name: asked[name] for name in FIELDS}, activation=asked["activation"], spectrum=spectrum)
