"""Theory as lines, simulation as points with error bars."""

import itertools
import math
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from rfdsm.losses import QUANTITIES
from rfdsm.plots._style import (
    COLOURS,
    MARKERS,
    abscissa,
    axis_label,
    checked,
    dressed,
    fixed,
    label_x,
    legend,
    log_x,
    one_each,
    panels,
    pieces,
    single,
    telling,
)

FLOORS = {"score": "floor (true score)", "excess": "floor (best denoiser)"}
"""What the floor is called, by a quantity that is there only if it is known."""
PEAK = 30.0
"""Range of values from which a loss is drawn on a logarithmic axis: the peak at p = nm without ridge."""


def comparison(
    dataset: xr.Dataset, curves: xr.Dataset, along: str = "psi_p", axes: Any = None, histogram: Any = None
) -> np.ndarray:
    """Theory as lines and simulation as points with error bars (standard error over trials), one panel per loss.

    Of several dimensions the smaller are paler, and what they extrapolate to at d = infinity, with its standard error,
    is what should lie on the lines.

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
    kind = "loss" if "loss" in dataset.dims else "quantity"
    names = [str(name) for name in dataset[kind].values]
    if axes is None:
        axes, below = panels(len(names), histogram is True)
        histogram = below if histogram is True else histogram
    axes = checked(axes, names)
    if histogram is True:
        raise ValueError("histogram = True needs a figure made here: with axes, give the histogram's Axes")
    for axis, name in zip(axes, names, strict=True):
        loss(axis, dataset.sel({kind: name}), curves, name, along, _floor_label(names))
    axes[0].legend(fontsize="small", title=fixed(curves, along), title_fontsize="small")
    label_x(axes, axis_label(along, curves))
    if histogram is not None:
        z_scores(dataset, histogram)
    return axes


def losses(curves: xr.Dataset, along: str | None = None, axes: Any = None) -> np.ndarray:
    """Theory alone: one panel per loss, a line for each combination of the other fields.

    Args:
        curves: from `datasets.predictions`, or any dataset with these losses.
        along: field on the horizontal axis, logarithmic; None: the longest axis.
        axes: one Axes for each loss; None makes a figure.

    Returns:
        Array of the Axes.

    Raises:
        ValueError: another number of axes.
    """
    names = [name for name in QUANTITIES if name in curves]
    along = abscissa(curves) if along is None else along
    axes = one_each(axes, names)
    for axis, name in zip(axes, names, strict=True):
        loss(axis, None, curves, name, along, _floor_label(names))
    told = axes[0].get_legend_handles_labels()[1]
    width = 2 if len(told) > 5 else 1
    axes[0].legend(fontsize="small", title=fixed(curves, along), title_fontsize="small", ncols=width)
    label_x(axes, axis_label(along, curves))
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
    axis = single(axis, 4.75, 3.2)
    parts = [(f"$d = {d}$", np.ravel(dataset["z"].sel(d=d)), {}) for d in dataset["d"].values]
    if "extrapolated_z" in dataset:
        look = {"fill": True, "alpha": 0.4}
        parts.append((r"extrapolated to $d = \infty$", np.ravel(dataset["extrapolated_z"]), look))
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
    floor_label: str = FLOORS["score"],
) -> Axes:
    """One panel of `comparison`: a loss against one field, a colour for each combination of the others.

    `dataset` is that of the comparison at one loss, None for theory alone. Returns the Axes.
    """
    row = QUANTITIES[name]
    lines = pieces(curves, along)
    points = [None] * len(lines) if dataset is None else pieces(dataset, along)
    told_by = telling(curves, lines)
    sizes = [] if dataset is None else list(dataset["d"].values)
    limit = dataset is not None and "extrapolated_intercept" in dataset
    # The marker of what should lie on the line is the plain one.
    dimensions = list(zip(sizes, itertools.cycle(MARKERS[1:] if limit else MARKERS), strict=False))
    for colour, line, some in zip(itertools.cycle(COLOURS), lines, points, strict=False):
        alone = "_" if line[name].size == 1 else None  # a line through one point would not be seen
        look: dict[str, Any] = dict(color=colour, lw=1.6, marker=alone, ms=14, zorder=2)
        axis.plot(*_finite(line[along], line[name]), label=legend(line, told_by), **look)
        for d, marker in dimensions:
            assert some is not None
            at = some.sel(d=d)
            filled = d == max(sizes) and not limit
            look = dict(fmt=marker, ms=4.5 if filled else 3.5, mfc=colour if filled else "white", capsize=2, lw=1)
            look["alpha"] = _strength(d, sizes) if limit else 1.0
            axis.errorbar(*_finite(at[along], at["mean"]), at["standard_error"], color=colour, zorder=3, **look)
        if limit and some is not None:
            value = some["limit"] + some["extrapolated_intercept"]
            look = dict(fmt="o", ms=4.5, mfc=colour, capsize=2, lw=1.2, zorder=4)
            axis.errorbar(*_finite(some[along], value), some["extrapolated_error"], color=colour, **look)
    for d, marker in dimensions:  # for the legend, in no curve's colour
        filled = d == max(sizes) and not limit
        mark: dict[str, Any] = dict(marker=marker, ms=4.5, color="0.3", mfc="0.3" if filled else "white", ls="none")
        mark["alpha"] = _strength(d, sizes) if limit else 1.0
        axis.plot([], [], label=f"simulation, $d = {d}$", **mark)
    if limit:
        axis.plot([], [], label=r"extrapolated to $d = \infty$", marker="o", ms=4.5, color="0.3", ls="none")
    if row.over_floor and "floor" in curves:
        _draw_floor(axis, lines, along, floor_label)
    _thresholds(axis, lines, along)
    log_x(axis)
    drawn = [line[name] for line in lines] + ([] if dataset is None else [dataset["mean"]])
    if row.scale == "log" or (row.scale == "peaked" and _ratio(drawn) > PEAK):
        axis.set_yscale("log")
    dressed(axis, row.title, row.label)
    return axis


def _floor_label(names: list[str]) -> str:
    return next((label for name, label in FLOORS.items() if name in names), "floor of Gaussian data")


def _strength(d: Any, sizes: list[Any]) -> float:
    """Opacity of the points of one dimension beside those extrapolated: the smaller d, the paler."""
    return 0.35 + 0.35 * sorted(sizes).index(d) / max(len(sizes) - 1, 1)


def _finite(x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    """As vectors, with gaps where y is infinite."""
    y = np.atleast_1d(np.asarray(y, float))
    return np.broadcast_to(np.atleast_1d(x), y.shape), np.where(np.isinf(y), np.nan, y)


def _draw_floor(axis: Axes, lines: list[xr.Dataset], along: str, label: str) -> None:
    floors = np.unique([np.round(np.atleast_1d(line["floor"]), 12) for line in lines], axis=0)
    for floor in floors:
        if np.ptp(floor) == 0:
            axis.axhline(floor[0], color="0.35", ls="--", lw=1, zorder=1)
        else:
            axis.plot(lines[0][along], floor, color="0.35", ls="--", lw=1, zorder=1)
    text: dict[str, Any] = dict(va="bottom", fontsize="x-small", color="0.35")
    axis.annotate(label, (0.01, floors[:, 0].min()), xycoords=("axes fraction", "data"), **text)


def _ratio(parts: list[xr.DataArray]) -> float:
    """Largest finite value over the smallest."""
    values = np.concatenate([np.ravel(part) for part in parts])
    values = values[np.isfinite(values)]
    return float(values.max() / values.min()) if values.size and values.min() > 0 else 1.0


def _thresholds(axis: Axes, lines: list[xr.Dataset], along: str) -> None:
    """Vertical lines at p = n or n = d (grey) and p = nm (the curve's colour), where they lie within the picture."""
    if along not in ("psi_p", "psi_n", "psi"):
        return
    low, high = float(lines[0][along].min()), float(lines[0][along].max())
    places: dict[tuple[float, str], str] = {(1.0, "$n = d$"): "0.45"} if along == "psi" else {}
    for colour, line in zip(itertools.cycle(COLOURS), [] if places else lines, strict=False):
        m, ratio = float(line["m"].max()), float(line["psi_n" if along == "psi_p" else "psi_p"].max())
        places.setdefault((ratio, "$p = n$"), "0.45")
        if np.isfinite(m) and m > 1:
            places.setdefault((ratio * m if along == "psi_p" else ratio / m, "$p = nm$"), colour)
    for (position, label), colour in places.items():
        if low < position < high:
            axis.axvline(position, color=colour, ls=":" if label == "$p = nm$" else "-.", lw=0.9, alpha=0.8, zorder=1)
            text: dict[str, Any] = dict(rotation=90, va="bottom", ha="right", fontsize="x-small", color=colour)
            axis.annotate(label, (position, 0.01), xycoords=("data", "axes fraction"), **text)
