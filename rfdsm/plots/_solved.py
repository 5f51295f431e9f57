"""Curves of solved values: boundaries and optima against a field, and losses against the width of an advice."""

import itertools
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from rfdsm.plots._style import (
    AXIS_LABELS,
    COLOURS,
    FIELDS,
    MARKERS,
    SYMBOLS,
    abscissa,
    axis_label,
    legend_below,
    log_x,
    number,
    ordered,
    single,
)


def widths(dataset: xr.Dataset, axes: Any = None) -> Axes:
    """Test loss and loss on the training points over p, at the ridge asked about and at the best one of each width.

    Args:
        dataset: from `Advice.to_dataset`.
        axes: one Axes; None makes a figure of a printed column's width.

    Returns:
        The Axes.
    """
    axis = single(axes, 3.4, 3.4)
    p = dataset["p"].to_numpy()
    for prefix, style, suffix in (("", "-", "as asked"), ("best_ridge_", "--", "best ridge")):
        for colour, name, label in zip(COLOURS, ("test", "empirical_test"), ("test", "training points"), strict=False):
            axis.plot(p, dataset[prefix + name], color=colour, ls=style, lw=1.4, label=f"{label}, {suffix}")
    axis.plot(p, dataset["floor"], color="0.35", ls=":", lw=1, label="floor")
    text: dict[str, Any] = dict(rotation=90, ha="right", fontsize="x-small")
    for name, label, colour, height, side in (
        ("asked_p", "asked", "0.2", 0.02, "bottom"),
        ("recommended_p", "recommended", COLOURS[2], 0.98, "top"),
        ("boundary_p", "memorisation", COLOURS[3], 0.5, "center"),
    ):
        place = float(dataset[name])
        if p[0] <= place <= p[-1]:
            axis.axvline(place, color=colour, lw=0.9, ls="-.")
            axis.annotate(label, (place, height), xycoords=("data", "axes fraction"), color=colour, va=side, **text)
    log_x(axis)
    top = float(dataset["test"].where(dataset["test"] < 1e3).max())
    if top > 5:
        axis.set_yscale("log")
    axis.set_xlabel("features $p$", fontsize="small")
    axis.set_ylabel("loss per coordinate", fontsize="small")
    axis.tick_params(labelsize="x-small")
    axis.grid(alpha=0.25, lw=0.5)
    legend_below(axis)
    return axis


def roots(dataset: xr.Dataset, name: str, axes: Any = None, along: str | None = None) -> Axes:
    """Boundaries or optima against one field, a colour for each combination of the others.

    Args:
        dataset: from `Boundary.to_dataset` or `Optimum.to_dataset`.
        name: variable, such as "psi_p_at_boundary" or "best_ridge".
        axes: one Axes; None makes a figure of a printed column's width.
        along: field on the horizontal axis; None: the longest axis.

    Returns:
        The Axes.

    Raises:
        ValueError: a dataset of a single line, which has no axis to draw along.
    """
    along = abscissa(dataset) if along is None else along
    if along not in dataset.dims:
        raise ValueError("dataset has one line only: a picture needs a field with several values")
    dataset = ordered(dataset, along)
    axis = single(axes, 3.4, 3.4)
    others = [field for field in FIELDS if field in dataset.dims and field != along]
    cells = list(itertools.product(*(range(dataset.sizes[field]) for field in others)))
    values = np.asarray(dataset[name])
    for cell, colour, marker in zip(cells, itertools.cycle(COLOURS), itertools.cycle(MARKERS), strict=False):
        piece = dataset.isel(dict(zip(others, cell, strict=True)))
        label = ", ".join(f"{SYMBOLS[field]} = {number(piece[field])}" for field in others)
        rows = piece[name].transpose(..., along).to_numpy().reshape(-1, dataset.sizes[along])
        for k, row in enumerate(rows):
            look: dict[str, Any] = dict(color=colour, marker=marker, ms=3, lw=1.3, label=label if k == 0 else None)
            axis.plot(dataset[along], row, **look)
    log_x(axis)
    if np.any(values > 0):
        axis.set_yscale("log")
    field = name.removesuffix("_at_boundary").removeprefix("best_")
    what = "best " if name.startswith("best_") else "boundary: "
    axis.set_xlabel(axis_label(along, dataset), fontsize="small")
    axis.set_ylabel(what + AXIS_LABELS[field], fontsize="small")
    axis.tick_params(labelsize="x-small")
    axis.grid(alpha=0.25, lw=0.5)
    if others and axes is None:
        legend_below(axis)
    elif others:
        axis.legend(fontsize="x-small")
    same = [field for field in SYMBOLS if field in dataset.coords and dataset[field].size == 1]
    axis.set_title(", ".join(f"{SYMBOLS[field]} = {number(dataset[field])}" for field in same), fontsize="x-small")
    return axis
