"""Losses during training, against the time of gradient flow."""

import itertools
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from rfdsm.losses import QUANTITIES, Losses
from rfdsm.plots._style import AXIS_LABELS, COLOURS, dressed, fixed, label_x, legend, log_x, one_each, pieces, telling

SCALES = {
    "generalisation_time": (r"$\tau_{gen}$", ":"),
    "best_time": (r"best $\theta$", "-"),
    "memorisation_time": (r"$\tau_{mem}$", "-."),
}
"""Times that are marked, with their labels and lines."""


def training(dataset: xr.Dataset, axes: Any = None) -> np.ndarray:
    """Losses against time on a logarithmic axis, one panel per loss, a colour for each problem.

    Theory as lines; simulations, where there are some, as points with error bars (standard error over trials). The
    floor is dashed; short marks at the foot of each panel show when a problem generalises, when its test loss is least
    and when it memorises.

    Args:
        dataset: from `datasets.training`.
        axes: one Axes for each loss, in the order train, empirical_test, test, score; None makes a figure.

    Returns:
        Array of the Axes.

    Raises:
        ValueError: another number of Axes, or no finite time > 0.
    """
    names = Losses.NAMES
    times = np.asarray(dataset["time"], float)
    if not np.any((times > 0) & np.isfinite(times)):
        raise ValueError("times must hold one that is finite and > 0 to be drawn: the axis is logarithmic")
    axes = one_each(axes, names)
    for axis, name in zip(axes, names, strict=True):
        _panel(axis, dataset, name)
    for label, line in SCALES.values():
        axes[0].plot([], [], color="0.3", ls=line, lw=1.2, label=label)
    if "simulated_time" in dataset.dims:
        text = f"simulation, $d = {int(dataset['d'])}$"
        axes[0].plot([], [], color="0.3", marker="o", ms=4, mfc="white", ls="none", label=text)
    axes[0].legend(fontsize="small", title=fixed(dataset, "time"), title_fontsize="small")
    label_x(axes, AXIS_LABELS["time"])
    return axes


def _panel(axis: Axes, dataset: xr.Dataset, name: str) -> None:
    lines = pieces(dataset, "time", "simulated_time")
    row, told_by = QUANTITIES[name], telling(dataset, lines)
    places = np.asarray(lines[0]["time"], float)
    shown = (places > 0) & np.isfinite(places)
    for k, (colour, line) in enumerate(zip(itertools.cycle(COLOURS), lines, strict=False)):
        label = legend(line, told_by)
        axis.plot(places[shown], np.asarray(line[name])[shown], color=colour, lw=1.6, label=label, zorder=2)
        if "simulated_time" in dataset.dims:
            at = np.asarray(line["simulated_time"], float)
            look: dict[str, Any] = dict(fmt="o", ms=4, mfc="white", capsize=2, lw=1, color=colour, zorder=3)
            axis.errorbar(at, line[f"{name}_mean"], line[f"{name}_standard_error"], **look)
        if row.over_floor:
            axis.axhline(float(line["floor"].max()), color="0.35", ls="--", lw=1, zorder=1)
        for scale, (_, style) in SCALES.items():
            place = float(line[scale])
            if np.isfinite(place) and places[shown].min() <= place <= places[shown].max():
                top = 1.0 if len(lines) == 1 else 0.06 * (len(lines) - k)
                axis.axvline(place, 0, top, color=colour, ls=style, lw=1.2 if len(lines) > 1 else 0.9, zorder=1)
    if row.over_floor:
        text: dict[str, Any] = dict(va="bottom", ha="right", fontsize="x-small", color="0.35")
        place = (0.99, float(dataset["floor"].max()))
        axis.annotate("floor (true score)", place, xycoords=("axes fraction", "data"), **text)
    values = np.asarray(dataset[name], float)
    values = values[np.isfinite(values)]
    log_x(axis)
    if row.scale == "log" or (values.size and values.min() > 0 and name == "test" and values.max() / values.min() > 30):
        axis.set_yscale("log")
    dressed(axis, row.title, row.label)
