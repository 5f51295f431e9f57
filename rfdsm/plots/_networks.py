"""Losses of trained networks against width, beside the theory of random features."""

from typing import Any

import numpy as np
import xarray as xr

from rfdsm._statistics import standard_error
from rfdsm.losses import QUANTITIES, Losses
from rfdsm.plots._style import COLOURS, MARKERS, dressed, label_x, log_x, one_each


def networks(dataset: xr.Dataset, axes: Any = None) -> np.ndarray:
    """One panel per loss. Of a study, a colour for each m: networks at their last step as points (standard error over
    networks) against their trained numbers, theory with as many as lines. Of one training: losses against steps.

    Args:
        dataset: from `networks.study` or `Training.to_dataset`.
        axes: one Axes for each loss that is known; None makes a figure.

    Returns:
        Array of the Axes.

    Raises:
        ValueError: another number of Axes.
    """
    names = [name for name in Losses.NAMES if np.isfinite(dataset[name]).any()]
    axes = one_each(axes, names)
    if "width" not in dataset.dims:
        return _against_steps(dataset, axes, names)
    last = dataset.isel(step=-1)
    x, fine = np.asarray(dataset["parameters"]), np.asarray(dataset["theory_parameters"])
    for axis, name in zip(axes, names, strict=True):
        for k, m in enumerate(np.asarray(dataset["m"])):
            values = np.asarray(last[name].sel(m=m))
            colour = COLOURS[k % len(COLOURS)]
            label = r"$m = \infty$" if np.isinf(m) else f"$m = {m:g}$"
            look = dict(fmt=MARKERS[k % len(MARKERS)], ms=4.5, mfc="white", capsize=2, color=colour)
            axis.errorbar(x, values.mean(axis=-1), standard_error(values, -1), label=label, **look)
            axis.plot(fine, dataset[f"theory_{name}"].sel(m=m), color=colour, lw=1.2, alpha=0.8)
        floor = dataset["theory_floor"].isel(m=0)
        if name in ("empirical_test", "test"):
            axis.plot(fine, floor, color="0.35", ls=":", lw=1.1)
        log_x(axis)
        axis.set_yscale("log" if np.nanmin(last[name]) > 0 else "linear")
        dressed(axis, QUANTITIES[name].title, QUANTITIES[name].label)
    axes[0].plot([], [], color="0.3", lw=1.2, label="random features, as many numbers")
    axes[0].legend(fontsize="small")
    label_x(axes, "trained numbers")
    return axes


def _against_steps(dataset: xr.Dataset, axes: np.ndarray, names: list[str]) -> np.ndarray:
    """The mean over networks, and its standard error as a band."""
    shown = dataset.isel(step=np.flatnonzero(dataset["step"] > 0))
    steps = np.asarray(shown["step"])
    for axis, name in zip(axes, names, strict=True):
        values = np.atleast_2d(shown[name].transpose(..., "step"))
        mean, error = values.mean(axis=0), standard_error(values)
        axis.plot(steps, mean, color=COLOURS[0], lw=1.6)
        axis.fill_between(steps, mean - error, mean + error, color=COLOURS[0], alpha=0.25, lw=0)
        if name in ("empirical_test", "test") and np.isfinite(shown["floor"]).any():
            floor = np.atleast_2d(shown["floor"].transpose(..., "step")).mean(axis=0)
            axis.plot(steps, floor, color="0.35", ls=":", lw=1.1)
        log_x(axis)
        axis.set_yscale("log" if np.nanmin(mean) > 0 else "linear")
        dressed(axis, QUANTITIES[name].title, QUANTITIES[name].label)
    label_x(axes, "optimiser steps")
    return axes
