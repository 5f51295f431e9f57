"""Pictures of the linear denoiser: every function takes and returns matplotlib Axes, and computes nothing."""

import itertools
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rfdsm.plots import COLOURS, MARKERS
from rfdsm.plots.style import log_x

FIELDS = ("psi", "T", "noise_scale", "ridge", "m", "sigma")
"""Fields that may serve as abscissa, the preferred ones first."""
SYMBOLS = {"psi": "$n/d$", "T": "$T$", "noise_scale": "$l$", "ridge": r"$\lambda$", "m": "$m$", "sigma": r"$\sigma$"}
AXIS_LABELS = {
    "psi": r"samples per dimension $\psi = n/d$",
    "T": "diffusion time $T$",
    "noise_scale": "noise scale $l$",
    "ridge": r"ridge $\lambda$",
    "m": "noise draws per sample $m$",
    "sigma": r"scale of the data $\sigma$",
}
LABELS = {
    "train": "training loss",
    "empirical_test": "training points, fresh noise",
    "test": "test loss",
    "excess": "excess of the test loss",
    "kl": r"KL(generated $\|$ target) / $d$",
    "reverse_kl": r"KL(target $\|$ generated) / $d$",
    "bhattacharyya": "Bhattacharyya rate",
    "wasserstein": r"$W_2^2/d$",
    "logdet": r"$\log\det(\rho + \Sigma_G)/d$",
    "trace": r"$\mathrm{tr}\,\Sigma_G/d$",
}


def abscissa(dataset: xr.Dataset) -> str:
    """The field to draw along: the longest axis with finite values, psi where lengths tie or nothing varies."""
    lengths = {name: dataset.sizes[name] for name in FIELDS if name in dataset.sizes}
    lengths = {name: size for name, size in lengths.items() if np.all(np.isfinite(dataset[name]))}
    return max(lengths, key=lambda name: lengths[name], default="psi")


def comparison(dataset: xr.Dataset, curves: xr.Dataset, axes: Any = None) -> np.ndarray:
    """Theory as lines and simulation as points with error bars (standard error over trials), one panel per quantity.

    Args:
        dataset: from `Comparison.to_dataset`.
        curves: theory on a fine grid along the abscissa, from `datasets.predictions`.
        axes: one Axes per quantity; None makes a figure.

    Returns the Axes in the order of the dataset's quantities. Raises ValueError for a different number of axes.
    """
    along = abscissa(dataset)
    names = [str(name) for name in dataset["quantity"].values]
    if axes is None:
        columns = 4
        rows = -(-len(names) // columns)
        figure = Figure(figsize=(4 * columns, 3.2 * rows), layout="constrained")
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for unused in panels[len(names) :]:
            unused.remove()
        axes = panels[: len(names)]
    axes = np.atleast_1d(np.asarray(axes, dtype=object)).ravel()
    if axes.size != len(names):
        raise ValueError(f"axes: {axes.size} given, must be {len(names)}, one for each of {', '.join(names)}")
    for axis, name in zip(axes, names, strict=True):
        lines(axis, curves, name, along)
        points = pieces(dataset.sel(quantity=name), along)
        for colour, some in zip(itertools.cycle(COLOURS), points, strict=False):
            for d, marker in zip(dataset["d"].values, itertools.cycle(MARKERS), strict=False):
                _points(axis, some.sel(d=d), along, colour, marker, bool(d == max(dataset["d"].values)))
        _legible(axis, [curves[name], dataset.sel(quantity=name)["mean"]])
    for d, marker in zip(dataset["d"].values, itertools.cycle(MARKERS), strict=False):
        fill = "0.3" if d == max(dataset["d"].values) else "white"
        mark: dict[str, Any] = dict(marker=marker, ms=4.5, color="0.3", mfc=fill, ls="none")
        axes[0].plot([], [], label=f"simulation, $d = {d}$", **mark)
    axes[0].legend(fontsize="x-small", title=fixed(curves, along), title_fontsize="x-small")
    return axes


def _points(axis: Axes, at: xr.Dataset, along: str, colour: str, marker: str, filled: bool) -> None:
    look: dict[str, Any] = dict(fmt=marker, ms=4, mfc=colour if filled else "white", capsize=2, lw=1, zorder=3)
    keep = np.isfinite(np.atleast_1d(at["mean"]))
    x, y, error = (np.atleast_1d(at[name])[keep] for name in (along, "mean", "standard_error"))
    axis.errorbar(x, y, np.nan_to_num(error), color=colour, **look)


def lines(axis: Axes, curves: xr.Dataset, name: str, along: str = "psi") -> Axes:
    """Theory's `name` against one field, a colour for each combination of the others; infinite values are gaps.

    A dotted line marks n = d. Returns the Axes.
    """
    parts = pieces(curves, along)
    told_by = [field for field in FIELDS if len({float(part[field].max()) for part in parts}) > 1]
    if "T" in told_by and "noise_scale" in told_by and "noise_scale" not in curves.sizes:
        told_by.remove("noise_scale")
    for colour, part in zip(itertools.cycle(COLOURS), parts, strict=False):
        label = ", ".join(f"{SYMBOLS[field]} = {_number(part[field])}" for field in told_by) or "theory"
        values = np.where(np.isfinite(part[name]), part[name], np.nan)
        alone = "_" if values.size == 1 else None  # a line through one point would not be seen
        axis.plot(
            np.atleast_1d(part[along]), np.atleast_1d(values), color=colour, lw=1.6, marker=alone, ms=14, label=label
        )
    if along == "psi":
        low, high = (float(edge) for edge in (curves["psi"].min(), curves["psi"].max()))
        if low < 1 < high:
            axis.axvline(1.0, color="0.45", ls=":", lw=1, zorder=1)
            axis.annotate("$n = d$", (1.0, 0.98), xycoords=("data", "axes fraction"), rotation=90, va="top", ha="right",
                          fontsize="x-small", color="0.35")  # fmt: skip
    log_x(axis)
    axis.set_xlabel(AXIS_LABELS[along])
    axis.set_ylabel(LABELS[name])
    axis.grid(alpha=0.25, lw=0.5)
    _legible(axis, [curves[name]])
    return axis


def chain(axis: Axes, dataset: xr.Dataset, name: str = "kl", mark_best: bool = True) -> Axes:
    """A statistic of the generated law against the number of steps, a circle where it is least. Returns the Axes.

    `dataset` is from `datasets.chains`; a colour for each cell. The best is circled only if more steps were tried.
    """
    parts = pieces(dataset, "steps")
    told_by = [field for field in FIELDS if len({float(part[field].max()) for part in parts}) > 1]
    if "T" in told_by and "noise_scale" in told_by:
        told_by.remove("noise_scale")
    for colour, part in zip(itertools.cycle(COLOURS), parts, strict=False):
        label = ", ".join(f"{SYMBOLS[field]} = {_number(part[field])}" for field in told_by)
        axis.plot(part["steps"], part[name], color=colour, lw=1.4, marker=".", ms=4, label=label or None)
        best = int(np.argmin(part[name].to_numpy()))
        if mark_best and best < part.sizes["steps"] - 1:
            axis.plot(part["steps"][best], part[name][best], "o", ms=9, mfc="none", color=colour)
    log_x(axis)
    axis.set_yscale("log")
    axis.set_xlabel("denoising steps")
    axis.set_ylabel(LABELS[name])
    axis.grid(alpha=0.25, lw=0.5, which="both")
    return axis


def probability(
    axis: Axes, dataset: xr.Dataset, label: str | None = None, colour: str = COLOURS[0], marker: str = MARKERS[0]
) -> Axes:
    """P(Delta > 0) against n/d with binomial standard errors, from `datasets.memorisations`. Returns the Axes."""
    axis.errorbar(
        np.atleast_1d(dataset["psi"]),
        np.atleast_1d(dataset["probability"]),
        yerr=np.atleast_1d(dataset["probability_error"]),
        color=colour, marker=marker, ms=4, capsize=2, lw=1.3, label=label or f"$d = {int(dataset['d'])}$",
    )  # fmt: skip
    axis.set_xlabel(AXIS_LABELS["psi"])
    axis.set_ylabel(r"$P(\Delta > 0)$")
    axis.set_ylim(-0.05, 1.05)
    axis.grid(alpha=0.25, lw=0.5)
    return axis


def measures(axis: Axes, dataset: xr.Dataset) -> Axes:
    """Mean Hellinger distance, nearest-neighbour copies and relative distance of neighbours. Returns the Axes."""
    labels = {"hellinger": "squared Hellinger distance", "copied": "fraction copied (ratio < 1/3)",
              "nearest": "nearest training / nearest fresh"}  # fmt: skip
    count = dataset.sizes["trial"]
    for (name, label), colour, marker in zip(labels.items(), COLOURS, MARKERS, strict=False):
        mean, error = dataset[name].mean("trial"), dataset[name].std("trial") / np.sqrt(max(count - 1, 1))
        axis.errorbar(np.atleast_1d(dataset["psi"]), np.atleast_1d(mean), np.atleast_1d(error),
                      color=colour, marker=marker, ms=4, capsize=2, lw=1.3, label=label)  # fmt: skip
    axis.set_xlabel(AXIS_LABELS["psi"])
    axis.set_ylabel("mean over trials")
    axis.set_ylim(bottom=-0.03)
    axis.legend(fontsize="small")
    axis.grid(alpha=0.25, lw=0.5)
    return axis


def pieces(dataset: xr.Dataset, along: str) -> list[xr.Dataset]:
    """The dataset cut into one piece for each combination of the grid axes other than the abscissa."""
    others = [str(name) for name in dataset.dims if name not in ("d", "trial", "quantity", along)]
    cells = itertools.product(*(range(dataset.sizes[name]) for name in others))
    return [dataset.isel(dict(zip(others, cell, strict=True))) for cell in cells]


def fixed(curves: xr.Dataset, along: str) -> str:
    """The fields that are the same throughout the picture."""
    same = [name for name in SYMBOLS if name != along and np.unique(curves[name]).size == 1]
    return ", ".join(f"{SYMBOLS[name]} = {_number(curves[name])}" for name in same)


def _legible(axis: Axes, values: list[xr.DataArray]) -> None:
    """A logarithmic axis where positive values span more than two decades."""
    finite = np.concatenate([np.ravel(value)[np.isfinite(np.ravel(value))] for value in values])
    if finite.size and finite.min() > 0 and finite.max() > 100 * finite.min():
        axis.set_yscale("log")


def _number(value: Any) -> str:
    number = float(np.asarray(value).flat[0])
    return r"$\infty$" if np.isinf(number) else f"{number:.3g}"
