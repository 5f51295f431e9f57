"""Losses of trained networks against width, beside the theory of random features."""

from typing import Any

import numpy as np
import xarray as xr

from rfdsm.losses import QUANTITIES, Losses
from rfdsm.plots.style import COLOURS, MARKERS, checked, columns, log_x, panels


def networks(dataset: xr.Dataset, axes: Any = None) -> np.ndarray:
    """One panel per loss, a colour for each m: networks at their last step as points (standard error over networks),
    theory with as many trained numbers as lines.

    Args:
        dataset: from `networks.study`.
        axes: one Axes for each loss that is known; None makes a figure.

    Returns:
        Array of the Axes.

    Raises:
        ValueError: another number of Axes.
    """
    names = [name for name in Losses.NAMES if np.isfinite(dataset[name]).any()]
    if axes is None:
        axes, _ = panels(len(names))
    axes = checked(axes, names)
    last = dataset.isel(step=-1)
    x, fine = np.asarray(dataset["parameters"]), np.asarray(dataset["theory_parameters"])
    for axis, name in zip(axes, names, strict=True):
        for k, m in enumerate(np.asarray(dataset["m"])):
            values = np.asarray(last[name].sel(m=m))
            count = values.shape[-1]
            error = values.std(axis=-1, ddof=1) / np.sqrt(count) if count > 1 else None
            colour = COLOURS[k % len(COLOURS)]
            label = r"$m = \infty$" if np.isinf(m) else f"$m = {m:g}$"
            look = dict(fmt=MARKERS[k % len(MARKERS)], ms=4.5, mfc="white", capsize=2, color=colour)
            axis.errorbar(x, values.mean(axis=-1), error, label=label, **look)
            axis.plot(fine, dataset[f"theory_{name}"].sel(m=m), color=colour, lw=1.2, alpha=0.8)
        floor = dataset["theory_floor"].isel(m=0)
        if name in ("empirical_test", "test"):
            axis.plot(fine, floor, color="0.35", ls=":", lw=1.1)
        log_x(axis)
        axis.set_yscale("log" if np.nanmin(last[name]) > 0 else "linear")
        axis.set_title(QUANTITIES[name].title, fontsize="medium")
        axis.set_ylabel(QUANTITIES[name].label)
        axis.grid(alpha=0.25, lw=0.5)
    axes[0].plot([], [], color="0.3", lw=1.2, label="random features, as many numbers")
    axes[0].legend(fontsize="small")
    for axis in axes[-columns(len(names)) :]:
        axis.set_xlabel("trained numbers")
    return axes
