"""What all pictures share: symbols, labels, colours, and how numbers are written."""

import itertools
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

FIELDS = ("psi_p", "psi_n", "t", "ridge", "m")
"""Fields that may serve as abscissa, the preferred ones first."""
SYMBOLS = {"psi_n": r"$\psi_n$", "psi_p": r"$\psi_p$", "m": "$m$", "t": "$t$", "ridge": r"$\lambda$"}
AXIS_LABELS = {
    "psi_n": r"samples per dimension $\psi_n = n/d$",
    "psi_p": r"features per dimension $\psi_p = p/d$",
    "m": "noise draws per sample $m$",
    "t": "diffusion time $t$",
    "ridge": r"ridge $\lambda$",
}
TITLES = {
    "train": "training loss",
    "empirical_test": "training points, fresh noise",
    "test": "test loss",
    "score": "score error",
}
# Okabe and Ito's palette, told apart by colour-blind readers; its yellow is left out as too pale for lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
REGIMES = {
    "generalisation": ("#CFE3F2", "#0072B2"),
    "noise_fitting": ("#FFF3C4", "#B07C00"),
    "memorisation": ("#F6CDB8", "#A63C00"),
}
"""Tint of the area and colour of the name of each regime, in the order of their codes: apart in lightness, too."""
MARKERS = ("o", "s", "D", "^", "v", "P", "X")


FEW_DECADES = 40
"""Ratio of the ends of a logarithmic axis up to which matplotlib's own ticks are too few, or overlap."""


def log_x(axis: Axes) -> None:
    """A logarithmic abscissa, with ticks at 1, 2 and 5 if it spans little more than a decade. Call it after drawing."""
    axis.set_xscale("log")
    low, high = axis.get_xlim()
    if high < FEW_DECADES * low:
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.xaxis.set_minor_formatter(NullFormatter())


def abscissa(dataset: xr.Dataset) -> str:
    """The field to draw along: the longest axis with finite values, psi_p where lengths tie or nothing varies."""
    lengths = {name: dataset.sizes[name] for name in FIELDS if name in dataset.sizes}
    lengths = {name: size for name, size in lengths.items() if np.all(np.isfinite(dataset[name]))}
    return max(lengths, key=lambda name: lengths[name], default="psi_p")


def pieces(dataset: xr.Dataset, *along: str) -> list[xr.Dataset]:
    """The dataset cut into one piece for each combination of the grid axes other than these, d and trial."""
    others = [str(name) for name in dataset.dims if name not in ("d", "trial", *along)]
    cells = itertools.product(*(range(dataset.sizes[name]) for name in others))
    return [dataset.isel(dict(zip(others, cell, strict=True))) for cell in cells]


def fixed(curves: xr.Dataset, along: str) -> str:
    """The fields that are the same throughout the picture."""
    same = [name for name in SYMBOLS if name != along and np.unique(curves[name]).size == 1]
    return ", ".join(f"{SYMBOLS[name]} = {number(curves[name])}" for name in same)


def number(value: Any) -> str:
    """A value in a legend."""
    number = float(np.asarray(value).flat[0])
    return r"$\infty$" if np.isinf(number) else f"{number:g}"
