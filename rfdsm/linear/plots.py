"""Pictures of what only the linear denoiser has: every function takes and returns matplotlib Axes, computes nothing."""

import itertools
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from rfdsm._statistics import standard_error
from rfdsm.losses import QUANTITIES
from rfdsm.plots import AXIS_LABELS, COLOURS, MARKERS, loss
from rfdsm.plots._compared import FLOORS
from rfdsm.plots._style import fixed as fixed, legend, log_x, ordered, pieces, telling


def lines(axis: Axes, curves: xr.Dataset, name: str, along: str = "psi") -> Axes:
    """Theory's `name` against one field, a colour for each combination of the others; infinite values are gaps.

    A line marks n = d. Returns the Axes.
    """
    loss(axis, None, curves, name, along, FLOORS["excess"])
    axis.set_xlabel(AXIS_LABELS[along])
    return axis


def chain(axis: Axes, dataset: xr.Dataset, name: str = "kl", mark_best: bool = True) -> Axes:
    """A statistic of the generated law against the number of steps, a circle where it is least. Returns the Axes.

    `dataset` is from `datasets.chains`; a colour for each cell. The best is circled only if more steps were tried.
    """
    parts = pieces(dataset, "steps")
    told_by = telling(dataset, parts)
    for colour, part in zip(itertools.cycle(COLOURS), parts, strict=False):
        label = legend(part, told_by, None)
        axis.plot(part["steps"], part[name], color=colour, lw=1.4, marker=".", ms=4, label=label)
        best = int(np.argmin(part[name].to_numpy()))
        if mark_best and best < part.sizes["steps"] - 1:
            axis.plot(part["steps"][best], part[name][best], "o", ms=9, mfc="none", color=colour)
    log_x(axis)
    axis.set_yscale("log")
    axis.set_xlabel("denoising steps")
    axis.set_ylabel(f"{QUANTITIES[name].title} {QUANTITIES[name].label}")
    axis.grid(alpha=0.25, lw=0.5, which="both")
    return axis


def probability(
    axis: Axes, dataset: xr.Dataset, label: str | None = None, colour: str = COLOURS[0], marker: str = MARKERS[0]
) -> Axes:
    """P(Delta > 0) against n/d with binomial standard errors, from `datasets.memorisations`. Returns the Axes."""
    dataset = ordered(dataset, "psi")
    look = {"color": colour, "marker": marker, "label": label or f"$d = {int(dataset['d'])}$"}
    _bars(axis, dataset["psi"], dataset["probability"], dataset["probability_error"], look)
    axis.set_ylabel(r"$P(\Delta > 0)$")
    axis.set_ylim(-0.05, 1.05)
    return axis


def measures(axis: Axes, dataset: xr.Dataset) -> Axes:
    """Mean Hellinger distance, nearest-neighbour copies and relative distance of neighbours. Returns the Axes."""
    labels = {"hellinger": "squared Hellinger distance", "copied": "fraction copied (ratio < 1/3)",
              "nearest": "nearest training / nearest fresh"}  # fmt: skip
    dataset = ordered(dataset, "psi")
    for (name, label), colour, marker in zip(labels.items(), COLOURS, MARKERS, strict=False):
        mean, error = dataset[name].mean("trial"), dataset[name].reduce(standard_error, "trial")
        _bars(axis, dataset["psi"], mean, error, {"color": colour, "marker": marker, "label": label})
    axis.set_ylabel("mean over trials")
    axis.set_ylim(bottom=-0.03)
    axis.legend(fontsize="small")
    return axis


def _bars(axis: Axes, x: Any, y: Any, error: Any, look: dict[str, Any]) -> None:
    x, y, error = (np.atleast_1d(values) for values in (x, y, error))
    axis.errorbar(x, y, yerr=error, ms=4, capsize=2, lw=1.3, **look)
    axis.set_xlabel(AXIS_LABELS["psi"])
    axis.grid(alpha=0.25, lw=0.5)
