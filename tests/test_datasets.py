"""Labelled datasets: names of axes, coordinates, units, provenance, and files that give back what was put in."""

import json

import numpy as np
import pytest
import xarray as xr

from rfdsm import Losses, Problem, datasets, predict, spectra
from rfdsm._problem import FIELDS
from rfdsm.losses import Run

GRID = Problem.grid([1.0, 2.0], [0.5, 1.0, 4.0], [1, 3, np.inf], 0.2, 1e-2, "erf", spectra.atoms([0.5, 1.5]))
ZIPPED = Problem([1.0, 2.0, 3.0], 1.5, [1, np.inf, 2], 0.2, 1e-2)
SCALAR = Problem(1.0, 2.0, np.inf, 0.2, 1e-2)


def made_up(problem, trials=2):
    """Losses of the right shape, every number different."""
    shape = (trials, *problem.shape)
    names = [*Losses.NAMES, "objective", *Losses.BOUNDS]
    values = {name: k + np.arange(np.prod(shape), dtype=float).reshape(shape) / 1000 for k, name in enumerate(names)}
    sizes = np.asarray(10 + np.arange(np.prod(problem.shape, dtype=int)).reshape(problem.shape))
    seeds = np.arange(2 * trials, dtype=np.uint32).reshape(trials, 2)
    return Losses(**values, run=Run(sizes, np.asarray(3 * sizes), 10, seeds))


@pytest.fixture(scope="module")
def predicted():
    return datasets.predictions(GRID, predict(GRID))


# ------------------------------------------------------------------------------------------------------ names of axes

ROW, COLUMN = np.arange(1.0, 10.0), np.arange(1.0, 5.0)[:, None]
NAMED = {
    "scalar": (SCALAR, ()),
    "grid": (GRID, ("psi_n", "psi_p", "m")),
    "grid with axes of length one": (Problem.grid([1], [2, 3], [4], 0.1, [0.5]), ("psi_n", "psi_p", "m", "ridge")),
    "all axes of length one": (Problem.grid([1], 2, [4], 0.1, 0.5), ("psi_n", "m")),
    "(4, 1) x (9,)": (Problem(COLUMN, ROW, 1, 0.1, 0.1), ("psi_n", "psi_p")),
    "axes in another order": (Problem(ROW, 1, COLUMN, 0.1, 0.1), ("m", "psi_n")),
    "zipped": (ZIPPED, ("cell_0",)),
    "zipped, beside a field of its own": (Problem([[1], [2]], [[3], [4]], [1, 2, 3], 0.1, 0.1), ("cell_0", "m")),
    "zipped, second axis": (Problem([1, 2], [3, 4], [[1], [2], [3]], 0.1, 0.1), ("m", "cell_1")),
    "one field over two axes": (Problem([[1, 2], [3, 4]], 1, 1, 0.1, 0.1), ("cell_0", "cell_1")),
    "a row with a leading axis": (Problem([[1, 2, 3]], 1, 1, 0.1, 0.1), ("cell_0", "psi_n")),
    "a column with a leading axis": (Problem([[[1], [2]]], [1, 2, 3], 1, 0.1, 0.1), ("cell_0", "psi_n", "psi_p")),
    "two fields of length one": (Problem([1], [1], 1, 0.1, 0.1), ("cell_0",)),
}


@pytest.mark.parametrize("name", NAMED)
def test_every_cell_finds_its_parameters_in_the_coordinates(name):
    """Axes are named after the field that alone varies along them; coordinates broadcast back to the problem's own."""
    problem, names = NAMED[name]
    assert datasets.dims(problem) == names
    dataset = datasets.simulations(problem, made_up(problem), 10)
    assert dataset["train"].dims == ("trial", *names)
    for field in FIELDS:
        coordinate = dataset.coords[field]
        np.testing.assert_array_equal(
            coordinate.broadcast_like(dataset["train"].isel(trial=0)).transpose(*names),
            np.broadcast_to(getattr(problem, field), problem.shape),
        )
        assert set(coordinate.dims) <= set(names)


def test_fields_carry_only_the_axes_they_vary_along():
    coords = datasets.simulations(GRID, made_up(GRID), 10).coords
    assert {name: coords[name].dims for name in FIELDS} == {
        "psi_n": ("psi_n",),
        "psi_p": ("psi_p",),
        "m": ("m",),
        "t": (),
        "ridge": (),
    }
    coords = datasets.simulations(ZIPPED, made_up(ZIPPED), 10).coords
    assert coords["psi_n"].dims == coords["m"].dims == ("cell_0",)
    assert coords["psi_p"].dims == ()


# -------------------------------------------------------------------------------------------------- variables, units


def test_predictions_hold_every_result_of_theory(predicted):
    losses = predict(GRID)
    names = {*Losses.NAMES, "objective", *Losses.BOUNDS, "converged", "residual", "steps"}
    assert set(predicted.data_vars) == names
    for name in names:
        assert predicted[name].dims == ("psi_n", "psi_p", "m")
        np.testing.assert_array_equal(predicted[name], getattr(losses, name))
    assert np.all(predicted["converged"] == 1)


def test_simulations_hold_every_trial_with_its_sizes_and_seeds():
    losses = made_up(GRID, trials=3)
    dataset = datasets.simulations(GRID, losses, 20)
    assert dataset["test"].dims == ("trial", "psi_n", "psi_p", "m")
    for name in (*Losses.NAMES, "objective", *Losses.BOUNDS):
        np.testing.assert_array_equal(dataset[name], getattr(losses, name))
    for name in ("n", "p"):
        assert dataset[name].dims == ("psi_n", "psi_p", "m")
        np.testing.assert_array_equal(dataset[name], getattr(losses.run, name))
    assert json.loads(dataset.attrs["configuration"])["seeds"] == [[0, 1], [2, 3], [4, 5]]
    assert dataset["d"] == 20
    np.testing.assert_array_equal(dataset["trial"], [0, 1, 2])


def test_everything_has_a_unit_and_a_long_name(predicted):
    for dataset in (predicted, datasets.simulations(GRID, made_up(GRID), 20)):
        for variable in dataset.variables.values():
            assert variable.attrs["units"] == "1"
            assert len(variable.attrs["long_name"]) > 5
    assert predicted["psi_n"].attrs["long_name"] == "samples per dimension n/d"
    assert predicted["score"].attrs["long_name"] == "score error"
    names = [variable.attrs["long_name"] for variable in predicted.variables.values()]
    assert len(set(names)) == len(names)


# ----------------------------------------------------------------------------------------------- provenance and files


@pytest.mark.parametrize("problem", [GRID, ZIPPED, SCALAR], ids=["grid", "zipped", "scalar"])
def test_the_problem_can_be_rebuilt_from_the_attributes_of_a_file(problem, tmp_path):
    written = datasets.simulations(problem, made_up(problem), 20, trials=2, key="7", dtype="float32")
    written.to_netcdf(tmp_path / "simulation.nc", engine="scipy")
    dataset = xr.load_dataset(tmp_path / "simulation.nc", engine="scipy")
    xr.testing.assert_identical(dataset, written)
    configuration = json.loads(dataset.attrs["configuration"])
    spectrum = spectra.Spectrum(*(np.array(configuration[f"spectrum_{name}"]) for name in ("nodes", "weights")))
    again = Problem(*(configuration[name] for name in FIELDS), configuration["activation"], spectrum)
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(again, name), getattr(problem, name))
    assert again.activation == problem.activation
    assert again.spectrum == problem.spectrum
    assert configuration["spectrum"] == problem.spectrum.label
    assert [configuration[name] for name in ("d", "trials", "key", "dtype")] == [20, 2, "7", "float32"]
