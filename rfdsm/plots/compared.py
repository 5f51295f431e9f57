"""Theory as lines, simulation as points with error bars."""

import itertools
import math
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rfdsm.plots.style import (
    AXIS_LABELS,
    COLOURS,
    FIELDS,
    MARKERS,
    SYMBOLS,
    TITLES,
    abscissa,
    fixed,
    log_x,
    number,
    pieces,
)

PEAK = 30.0
"""Range of values from which a loss is drawn on a logarithmic axis: the peak at p = nm without ridge."""


def comparison(
    dataset: xr.Dataset, curves: xr.Dataset, along: str = "psi_p", axes: Any = None, histogram: Any = None
) -> np.ndarray:
    """Theory as lines and simulation as points with error bars (standard error over trials), one panel per loss.

    Args:
        dataset: from `Comparison.to_dataset`.
        curves: theory on a fine grid along the abscissa, from `datasets.predictions`.
        along: field on the horizontal axis, logarithmic.
        axes: one Axes per loss; None makes a figure, of two columns for four losses, of one row for three.
        histogram: Axes for the histogram of z-scores (`z_scores`); True adds one below a figure made here.

    Returns:
        Array of the Axes, in the order of the dataset's losses; that of an added histogram is the figure's last.

    Raises:
        ValueError: a different number of axes than losses.
    """
    names = [str(name) for name in dataset["loss"].values]
    if axes is None:
        axes, below = _panels(len(names), histogram is True)
        histogram = below if histogram is True else histogram
    axes = _checked_axes(axes, names)
    if histogram is True:
        raise ValueError("histogram = True needs a figure made here: with axes, give the histogram's Axes")
    floor = "floor (true score)" if "score" in names else "floor of Gaussian data"
    for axis, name in zip(axes, names, strict=True):
        loss(axis, dataset.sel(loss=name), curves, name, along, floor)
    axes[0].legend(fontsize="small", title=fixed(curves, along), title_fontsize="small")
    for axis in axes[-2 if len(names) % 2 == 0 else 0 :]:
        axis.set_xlabel(AXIS_LABELS[along])
    if histogram is not None:
        z_scores(dataset, histogram)
    return axes


def losses(curves: xr.Dataset, along: str | None = None, axes: Any = None) -> np.ndarray:
    """Theory alone: one panel per loss, a line for each combination of the other fields.

    Args:
        curves: from `datasets.predictions`, or any dataset with these losses.
        along: field on the horizontal axis, logarithmic; None: the longest axis.
        axes: four Axes; None makes a figure.

    Returns:
        Array of the four Axes.

    Raises:
        ValueError: another number of axes.
    """
    names = [name for name in TITLES if name in curves]
    along = abscissa(curves) if along is None else along
    if axes is None:
        axes, _ = _panels(len(names), False)
    axes = _checked_axes(axes, names)
    for axis, name in zip(axes, names, strict=True):
        loss(axis, None, curves, name, along)
    told = axes[0].get_legend_handles_labels()[1]
    axes[0].legend(
        fontsize="small", title=fixed(curves, along), title_fontsize="small", ncols=2 if len(told) > 5 else 1
    )
    for axis in axes[-2 if len(names) % 2 == 0 else 0 :]:
        axis.set_xlabel(AXIS_LABELS[along])
    return axes


def _panels(count: int, below: bool) -> tuple[Any, Axes | None]:
    """A figure of two columns for an even number of losses, else of one row; maybe with a flat panel below."""
    columns = 2 if count % 2 == 0 else count
    rows = count // columns
    figure = Figure(figsize=(4.75 * columns, 3.7 * rows + 2.6 * below), layout="constrained")
    if not below:
        return figure.subplots(rows, columns, sharex=True), None
    grid = figure.add_gridspec(rows + 1, columns, height_ratios=[3.7] * rows + [2.6])
    axes: list[Axes] = []
    for place in range(count):
        row, column = divmod(place, columns)
        axes.append(figure.add_subplot(grid[row, column], sharex=axes[0] if axes else None))
        axes[-1].tick_params(labelbottom=row == rows - 1)
    return axes, figure.add_subplot(grid[rows, :])


def _checked_axes(axes: Any, names: list[str]) -> np.ndarray:
    axes = np.atleast_1d(np.asarray(axes, dtype=object)).ravel()
    if axes.size != len(names):
        raise ValueError(f"axes: {axes.size} given, must be {len(names)}, one for each of {', '.join(names)}")
    return axes


def z_scores(dataset: xr.Dataset, axis: Any = None) -> Axes:
    """Histogram of the deviations in standard errors, one outline per dimension, beside the law they should follow.

    At one dimension they contain the finite-size bias; given several, those extrapolated in 1/d are drawn too, which
    should follow the normal law. With T trials the others would follow Student's t with T - 1 degrees of freedom.

    Args:
        dataset: from `Comparison.to_dataset`.
        axis: Axes; None makes a figure.

    Returns:
        The Axes.
    """
    if axis is None:
        axis = Figure(figsize=(4.75, 3.2), layout="constrained").subplots()
    parts = [(f"$d = {d}$", np.ravel(dataset["z"].sel(d=d)), {}) for d in dataset["d"].values]
    if "extrapolated_z" in dataset:
        parts.append(
            (r"extrapolated to $d = \infty$", np.ravel(dataset["extrapolated_z"]), {"fill": True, "alpha": 0.4})
        )
    edges = np.linspace(-6, 6, 25)
    for colour, (label, values, look) in zip(itertools.cycle(COLOURS), parts, strict=False):
        finite = values[np.isfinite(values)]
        if finite.size:  # values beyond are counted at the ends
            counts, _ = np.histogram(np.clip(finite, -5.999, 5.999), edges)
            axis.stairs(counts / finite.size / np.diff(edges), edges, color=colour, lw=1.4, label=label, **look)
    x = np.linspace(-6, 6, 241)
    freedom = dataset.sizes["trial"] - 1
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(freedom * math.pi)
    student = scale * (1 + x**2 / freedom) ** (-(freedom + 1) / 2)
    axis.plot(x, student, color="0.3", ls="--", lw=1, label=f"Student's $t$, {freedom} d.o.f.")
    axis.plot(x, np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi), color="0.3", ls=":", lw=1, label="normal")
    axis.set_xlim(-6, 6)
    axis.set_xlabel("deviation from theory in standard errors, $z$")
    axis.set_ylabel("density")
    axis.legend(fontsize="small")
    axis.grid(alpha=0.25, lw=0.5)
    return axis


def loss(
    axis: Axes,
    dataset: xr.Dataset | None,
    curves: xr.Dataset,
    name: str,
    along: str,
    floor_label: str = "floor (true score)",
) -> Axes:
    """One panel of `comparison`: a loss against one field, a colour for each combination of the others.

    `dataset` is that of the comparison at one loss, None for theory alone. Returns the Axes.
    """
    lines = pieces(curves, along)
    points = [None] * len(lines) if dataset is None else pieces(dataset, along)
    told_by = [field for field in FIELDS if len({float(line[field].max()) for line in lines}) > 1]
    sizes = [] if dataset is None else list(dataset["d"].values)
    dimensions = list(zip(sizes, itertools.cycle(MARKERS), strict=False))
    for colour, line, some in zip(itertools.cycle(COLOURS), lines, points, strict=False):
        label = ", ".join(f"{SYMBOLS[field]} = {number(line[field])}" for field in told_by) or "theory"
        alone = "_" if line[name].size == 1 else None  # a line through one point would not be seen
        axis.plot(line[along], line[name], color=colour, lw=1.6, marker=alone, ms=14, label=label, zorder=2)
        for d, marker in dimensions:
            assert some is not None
            at = some.sel(d=d)
            filled = d == max(sizes)
            look: dict[str, Any] = dict(
                fmt=marker, ms=4.5 if filled else 3.5, mfc=colour if filled else "white", capsize=2, lw=1
            )
            axis.errorbar(at[along], at["mean"], at["standard_error"], color=colour, zorder=3, **look)
    for d, marker in dimensions:  # for the legend, in no curve's colour
        filled = d == max(sizes)
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
    log_x(axis)
    drawn = [line[name] for line in lines] + ([] if dataset is None else [dataset["mean"]])
    if name == "score" or (name != "train" and _ratio(drawn) > PEAK):
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
