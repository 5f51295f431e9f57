"""From finished units to one labelled dataset, and from that back to what can be drawn."""

import json
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from rfdsm import datasets
from rfdsm.comparison import Comparison
from rfdsm.losses import Losses, Run
from rfdsm.simulation.trial import precision, seeds
from rfdsm.sweeps.compute import SIMULATED, THEORY, Result
from rfdsm.sweeps.configuration import Configuration
from rfdsm.sweeps.layout import Layout
from rfdsm.sweeps.store import Failure
from rfdsm.theory_error import sampling_error

LISTED = 10_000
"""Most units whose wall times are listed one by one."""
_OF_THEORY = ("limit", "floor", "objective", "converged", "residual", "steps")
_OF_SIMULATION = ("simulation", "mean", "standard_error", "n", "p", "simulated_objective", "failed", "failure")


def dataset(layout: Layout, results: Mapping[str, Result], failures: Mapping[str, Failure]) -> xr.Dataset:
    """What `sweep` returns; units that are in neither mapping are NaN, like those that failed."""
    c = layout.configuration
    whole = _of_theory(c, results.get("theory")) if c.quantities == ("theory",) else _compared(layout, results)
    cells = datasets.dims(c.problem)
    if c.quantities != ("simulation",):
        limit = _theory(results.get("theory"), c.problem.shape)
        for name in ("objective", "converged", "residual", "steps"):
            whole[name] = datasets.variable(name, cells, limit[name])
    if c.simulates:
        over = ("d", "trial", *cells)
        values = np.stack([_simulated(layout, d, results)[-1] for d in c.dimensions])
        whole["simulated_objective"] = datasets.variable("", over, values, "training objective of each trial")
        _add_failures(whole, layout, failures)
    kept = set() if c.quantities == ("simulation",) else {*_OF_THEORY}
    kept |= {*_OF_SIMULATION} if c.simulates else set()
    if "comparison" in c.quantities:
        kept |= {str(name) for name in whole.data_vars}
    whole = whole[[name for name in whole.data_vars if name in kept]]
    seconds = {name: result.seconds for name, result in results.items()}
    time = {"total": sum(seconds.values())} | ({"units": seconds} if len(seconds) <= LISTED else {})
    devices = sorted({result.device for result in results.values()})
    return whole.assign_attrs(
        sweep=c.text(), device=", ".join(devices), dtype=c.dtype, wall_time=json.dumps(time), title=_TITLE
    )


_TITLE = "Sweep of denoising score matching with random features: losses per coordinate"


def _of_theory(c: Configuration, result: Result | None) -> xr.Dataset:
    """Theory alone, labelled as in `Comparison.to_dataset`."""
    cells = datasets.dims(c.problem)
    limit = _theory(result, c.problem.shape)
    variables = {
        "limit": datasets.variable("", ("loss", *cells), [limit[name] for name in Losses.NAMES], "theory"),
        "floor": datasets.variable("floor", cells, limit["floor"]),
    }
    coords = datasets.coordinates(c.problem) | {"loss": list(Losses.NAMES)}
    return xr.Dataset(variables, coords=coords, attrs=datasets.provenance(c.problem, quantities=list(c.quantities)))


def _compared(layout: Layout, results: Mapping[str, Result]) -> xr.Dataset:
    """Everything that `compare` says of the same simulations."""
    c = layout.configuration
    limit = _theory(results.get("theory"), c.problem.shape)
    names = tuple(name for name in Losses.NAMES if c.data is None or name != "score")
    at = [_theory(results.get(f"theory-d{d}"), c.problem.shape) for d in c.dimensions]
    with precision(np.dtype(c.dtype)):
        words = seeds(c.key, c.trials)
    simulations = [_simulated(layout, d, results) for d in c.dimensions]
    losses: dict[str, Any] = {name: limit[name] for name in (*Losses.NAMES, "objective", "floor")}
    comparison = Comparison(
        problem=c.problem,
        dimensions=c.dimensions,
        names=names,
        limit=Losses(**losses),
        theory=np.stack([np.stack([values[name] for values in at]) for name in names]),
        simulation=np.stack([np.stack([x[SIMULATED.index(name)] for x in simulations]) for name in names]),
        runs=tuple(Run(layout.plans[d].n, layout.plans[d].p, d, words) for d in c.dimensions),
        settings=dict(
            trials=c.trials,
            key=str(c.key_words),
            dtype=c.dtype,
            data=None if c.data is None else list(c.data.shape),
            quantities=list(c.quantities),
        ),
        theory_error=0.0 if c.data is None else sampling_error(c.problem, c.dimensions, names, c.data),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a single trial has no spread: NaN
        return comparison.to_dataset()


def _theory(result: Result | None, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    if result is not None:
        return {name: result.values[name].reshape(shape) for name in THEORY}
    return {name: np.zeros(shape, bool) if name == "converged" else np.full(shape, np.nan) for name in THEORY}


def _simulated(layout: Layout, d: int, results: Mapping[str, Result]) -> np.ndarray:
    """Shape (SIMULATED, trials, *grid)."""
    c = layout.configuration
    size = int(np.prod(c.problem.shape))
    values = np.full((len(SIMULATED), c.trials, size), np.nan)
    for unit in layout.units:
        if unit.d == d and unit.group is not None and (result := results.get(unit.name)) is not None:
            values[..., unit.group.cells] = result.values["losses"]
    return values.reshape(len(SIMULATED), c.trials, *c.problem.shape)


def _add_failures(whole: xr.Dataset, layout: Layout, failures: Mapping[str, Failure]) -> None:
    """Which cells were given up, and why."""
    c = layout.configuration
    over = ("d", *datasets.dims(c.problem))
    texts = np.full((len(c.dimensions), int(np.prod(c.problem.shape))), "", dtype=object)
    for unit in layout.units:
        if unit.group is not None and unit.name in failures:
            texts[c.dimensions.index(unit.d), unit.group.cells] = failures[unit.name].message
    texts = texts.reshape(len(c.dimensions), *c.problem.shape)
    whole["failed"] = datasets.variable("", over, texts != "", "given up after three attempts")
    if failures:
        whole["failure"] = (over, texts.astype(str), {"long_name": "message of the last attempt"})
