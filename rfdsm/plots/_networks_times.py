"""Losses and samples of networks during training, and against the number of training points."""

from typing import Any

import numpy as np
import xarray as xr

from rfdsm._statistics import standard_error
from rfdsm.plots._style import COLOURS, MARKERS, dressed, label_x, log_x, one_each

PANELS = {
    "losses": ("integrated loss", "loss per coordinate", ("test", "empirical_test")),
    "copied": ("copies", "share of samples", ("copied",)),
    "distances": ("distance of the generated law", "squared discrepancy", ("to_fresh", "to_training")),
    "position": ("between training set and law", "1: law, −1: training set", ("position",)),
}
"""Title, vertical label and variables of each panel."""
OTHERS = {"perfect": ("perfect generator", ":"), "copier": ("copier", "-.")}


def over_time(dataset: xr.Dataset, axes: Any = None) -> np.ndarray:
    """Four panels against training steps, a colour for each n, means over networks with standard errors as bands.

    Losses: on fresh points (line) and on training points with fresh noise (dashed), and the floor; a point at the step
    of least test loss. Share of copies. Distances of the generated law to the law of the data (line) and to the
    training set's kernel density (dashed). Position between both. Short lines at the right: a perfect generator
    (dotted) and a copier (dash-dotted) for the same training points.

    Args:
        dataset: from `networks.over_time`.
        axes: four Axes; None makes a figure.

    Returns:
        Array of the Axes.

    Raises:
        ValueError: another number of Axes, another dataset.
    """
    axes = _axes(dataset, axes)
    shown = dataset.isel(step=np.flatnonzero(dataset["step"] > 0))
    steps = np.asarray(shown["step"], float)
    for k, n in enumerate(np.asarray(dataset["n"])):
        cell, colour = shown.sel(n=n), COLOURS[k % len(COLOURS)]
        _line(axes[0], steps, cell["test"], color=colour, label=f"$n = {n}$")
        _line(axes[0], steps, cell["empirical_test"], color=colour, ls="--")
        mean = cell["test"].mean("network")
        if np.isfinite(mean).any():
            best = int(mean.argmin("step"))
            axes[0].plot(steps[best], mean[best], "o", ms=5, mfc="white", color=colour)
        _line(axes[1], steps, cell["copied"], color=colour)
        _line(axes[2], steps, cell["to_fresh"], color=colour)
        _line(axes[2], steps, cell["to_training"], color=colour, ls="--")
        _line(axes[3], steps, cell["position"], color=colour)
        for axis, name in ((axes[1], "copied"), (axes[3], "position")):
            for other, (_, style) in OTHERS.items():
                level = float(cell[f"{name}_{other}"].mean())
                axis.plot(steps[-1] * np.array([1.15, 1.7]), [level, level], color=colour, ls=style, lw=1.4)
    floor = shown["floor"].mean()
    if np.isfinite(floor):
        axes[0].axhline(float(floor), color="0.35", ls=":", lw=1.1)
    return _finished(axes, "optimiser steps")


def against_n(dataset: xr.Dataset, axes: Any = None) -> np.ndarray:
    """Four panels against the number of training points: at the last step (full markers), and where the test loss is
    least (open ones), means over networks with standard errors; lines for a perfect generator and a copier.

    Args:
        dataset: from `networks.over_time`, two n or more.
        axes: four Axes; None makes a figure.

    Returns:
        Array of the Axes.

    Raises:
        ValueError: another number of Axes, another dataset.
    """
    axes = _axes(dataset, axes)
    x = np.asarray(dataset["n"], float)
    ends = (
        (dataset.isel(step=-1), "last step", {}),
        (dataset.sel(step=dataset["best_step"]), "least test loss", {"mfc": "white"}),
    )
    for k, (cell, label, look) in enumerate(ends):
        for axis, (_, _, names) in zip(axes, PANELS.values(), strict=True):
            for style, name in zip(("-", "--"), names, strict=False):
                values = np.asarray(cell[name].transpose("n", "network"), float)
                own = dict(fmt=MARKERS[k] + style, ms=4.5, lw=1.2, capsize=2, color=COLOURS[k]) | look
                own |= {} if style == "--" else {"label": label}
                axis.errorbar(x, values.mean(axis=1), standard_error(values, -1), **own)
    for axis, name in ((axes[1], "copied"), (axes[2], "to_fresh"), (axes[3], "position")):
        for other, (_, style) in OTHERS.items():
            axis.plot(x, dataset[f"{name}_{other}"].mean("network"), color="0.35", ls=style, lw=1.2)
    return _finished(axes, "training points $n$")


def _axes(dataset: xr.Dataset, axes: Any) -> np.ndarray:
    if not {"n", "network", "step"} <= set(dataset.dims) or "copied_copier" not in dataset:
        raise ValueError("dataset must be of networks.over_time, with n, network and step")
    return one_each(axes, tuple(PANELS))


def _line(axis: Any, steps: np.ndarray, values: xr.DataArray, **look: Any) -> None:
    array = np.asarray(values.transpose("step", "network"), float)
    mean, error = array.mean(axis=1), standard_error(array, -1)
    axis.plot(steps, mean, lw=1.6, **look)
    axis.fill_between(steps, mean - error, mean + error, color=look["color"], alpha=0.2, lw=0)


def _finished(axes: np.ndarray, x: str) -> np.ndarray:
    """Scales, labels and legends that both pictures share."""
    for axis in axes:
        log_x(axis)
    label_x(axes, x)
    axes[0].set_yscale("log")
    axes[2].set_yscale("symlog", linthresh=1e-3, linscale=0.3)
    axes[1].set_ylim(-0.03, 1.03)
    axes[3].axhline(0, color="0.6", lw=0.8)
    for axis, (title, label, _) in zip(axes, PANELS.values(), strict=True):
        dressed(axis, title, label)
    axes[0].plot([], [], color="0.3", ls="--", label="training points, fresh noise")
    axes[2].plot([], [], color="0.3", ls="-", label="to the law")
    axes[2].plot([], [], color="0.3", ls="--", label="to the training set's density")
    for label, style in OTHERS.values():
        axes[1].plot([], [], color="0.3", ls=style, label=label)
    for axis in axes[:3]:
        axis.legend(fontsize="small")
    return axes
