"""Theory as lines, simulation as points with error bars."""

import itertools
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rfdsm.plots.style import AXIS_LABELS, COLOURS, FIELDS, MARKERS, SYMBOLS, TITLES, fixed, number

PEAK = 30.0
"""Range of values from which a loss is drawn on a logarithmic axis: the peak at p = nm without ridge."""


def comparison(dataset: xr.Dataset, curves: xr.Dataset, along: str = "psi_p", axes: Any = None) -> np.ndarray:
    """Theory as lines and simulation as points with error bars (standard error over trials), one panel per loss.

    Args:
        dataset: from `Comparison.to_dataset`.
        curves: theory on a fine grid along the abscissa, from `datasets.predictions`.
        along: field on the horizontal axis, logarithmic.
        axes: one Axes per loss; None makes a figure, of two columns for four losses, of one row for three.

    Returns:
        Array of the Axes, in the order of the dataset's losses.

    Raises:
        ValueError: a different number of axes than losses.
    """
    names = [str(name) for name in dataset["loss"].values]
    if axes is None:
        columns = 2 if len(names) % 2 == 0 else len(names)
        rows = len(names) // columns
        figure = Figure(figsize=(4.75 * columns, 3.7 * rows), layout="constrained")
        axes = figure.subplots(rows, columns, sharex=True)
    axes = np.atleast_1d(np.asarray(axes, dtype=object)).ravel()
    if axes.size != len(names):
        raise ValueError(f"axes: {axes.size} given, must be {len(names)}, one for each of {', '.join(names)}")
    floor = "floor (true score)" if "score" in names else "floor of Gaussian data"
    for axis, name in zip(axes, names, strict=True):
        loss(axis, dataset.sel(loss=name), curves, name, along, floor)
    axes[0].legend(fontsize="small", title=fixed(curves, along), title_fontsize="small")
    for axis in axes[-2 if len(names) % 2 == 0 else 0 :]:
        axis.set_xlabel(AXIS_LABELS[along])
    return axes


def loss(
    axis: Axes, dataset: xr.Dataset, curves: xr.Dataset, name: str, along: str, floor_label: str = "floor (true score)"
) -> Axes:
    """One panel of `comparison`: a loss against one field, a colour for each combination of the others.

    `dataset` is that of the comparison at one loss. Returns the Axes.
    """
    lines, points = _lines(curves, along), _lines(dataset, along)
    told_by = [field for field in FIELDS if len({float(line[field].max()) for line in lines}) > 1]
    dimensions = list(zip(dataset["d"].values, itertools.cycle(MARKERS), strict=False))
    for colour, line, some in zip(itertools.cycle(COLOURS), lines, points, strict=False):
        label = ", ".join(f"{SYMBOLS[field]} = {number(line[field])}" for field in told_by) or "theory"
        alone = "_" if line[name].size == 1 else None  # a line through one point would not be seen
        axis.plot(line[along], line[name], color=colour, lw=1.6, marker=alone, ms=14, label=label, zorder=2)
        for d, marker in dimensions:
            at = some.sel(d=d)
            filled = d == max(dataset["d"].values)
            look: dict[str, Any] = dict(
                fmt=marker, ms=4.5 if filled else 3.5, mfc=colour if filled else "white", capsize=2, lw=1
            )
            axis.errorbar(at[along], at["mean"], at["standard_error"], color=colour, zorder=3, **look)
    for d, marker in dimensions:  # for the legend, in no curve's colour
        filled = d == max(dataset["d"].values)
        mark: dict[str, Any] = dict(marker=marker, ms=4.5, color="0.3", mfc="0.3" if filled else "white", ls="none")
        axis.plot([], [], label=f"simulation, $d = {d}$", **mark)
    if name in ("test", "empirical_test"):
        floors = np.unique([np.round(np.atleast_1d(line["floor"]), 12) for line in lines], axis=0)
        for floor in floors:
            if np.ptp(floor) == 0:
                axis.axhline(floor[0], color="0.35", ls="--", lw=1, zorder=1)
            else:
                axis.plot(lines[0][along], floor, color="0.35", ls="--", lw=1, zorder=1)
        text: dict[str, Any] = dict(va="bottom", fontsize="x-small", color="0.35")
        axis.annotate(floor_label, (0.01, floors[:, 0].min()), xycoords=("axes fraction", "data"), **text)
    _thresholds(axis, lines, along)
    axis.set_xscale("log")
    if name == "score" or (name != "train" and _ratio([*(line[name] for line in lines), dataset["mean"]]) > PEAK):
        axis.set_yscale("log")
    axis.set_title(TITLES[name], fontsize="medium")
    axis.set_ylabel("error per coordinate" if name == "score" else "loss per coordinate")
    axis.grid(alpha=0.25, lw=0.5)
    return axis


def _ratio(parts: list[xr.DataArray]) -> float:
    """Largest finite value over the smallest."""
    values = np.concatenate([np.ravel(part) for part in parts])
    values = values[np.isfinite(values)]
    return float(values.max() / values.min()) if values.size and values.min() > 0 else 1.0


def _lines(dataset: xr.Dataset, along: str) -> list[xr.Dataset]:
    """The dataset cut into one piece for each combination of the grid axes other than the abscissa."""
    others = [str(name) for name in dataset.dims if name not in ("d", "trial", along)]
    cells = itertools.product(*(range(dataset.sizes[name]) for name in others))
    return [dataset.isel(dict(zip(others, cell, strict=True))) for cell in cells]


def _thresholds(axis: Axes, lines: list[xr.Dataset], along: str) -> None:
    """Vertical lines at p = n (grey) and p = nm (the curve's colour), where they lie within the picture."""
    if along not in ("psi_p", "psi_n"):
        return
    low, high = float(lines[0][along].min()), float(lines[0][along].max())
    places: dict[tuple[float, str], str] = {}
    for colour, line in zip(itertools.cycle(COLOURS), lines, strict=False):
        m, ratio = float(line["m"].max()), float(line["psi_n" if along == "psi_p" else "psi_p"].max())
        places.setdefault((ratio, "$p = n$"), "0.45")
        if np.isfinite(m) and m > 1:
            places.setdefault((ratio * m if along == "psi_p" else ratio / m, "$p = nm$"), colour)
    for (position, label), colour in places.items():
        if low < position < high:
            axis.axvline(position, color=colour, ls="-." if label == "$p = n$" else ":", lw=0.9, alpha=0.8, zorder=1)
            text: dict[str, Any] = dict(rotation=90, va="bottom", ha="right", fontsize="x-small", color=colour)
            axis.annotate(label, (position, 0.01), xycoords=("data", "axes fraction"), **text)
