"""What all pictures share: symbols, labels, colours, and how numbers are written."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from rfdsm import _vocabulary as vocabulary
from rfdsm._vocabulary import ABSCISSAE
from rfdsm.losses import QUANTITIES, Losses

FIELDS = ABSCISSAE
"""Fields that may serve as abscissa, the preferred ones first."""
SYMBOLS = {name: field.symbol for name, field in vocabulary.FIELDS.items()}
AXIS_LABELS = {name: field.label for name, field in vocabulary.FIELDS.items()} | {"time": r"flow time $\theta$"}
RESULTS = ("d", "trial", "loss", "quantity")
"""Axes of datasets that are none of the grid."""
TITLES = {name: QUANTITIES[name].title for name in Losses.NAMES}
# Okabe and Ito's palette, told apart by colour-blind readers; its yellow is left out as too pale for lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
REGIMES = {
    "generalisation": ("#CFE3F2", "#0072B2"),
    "noise_fitting": ("#FFF3C4", "#B07C00"),
    "memorisation": ("#F6CDB8", "#A63C00"),
}
"""Tint of the area and colour of the name of each regime, in the order of their codes: apart in lightness, too."""
MARKERS = ("o", "s", "D", "^", "v", "P", "X")


WIDE = 4
"""Most panels in a row."""
FEW_DECADES = 40
"""Ratio of the ends of a logarithmic axis up to which matplotlib's own ticks are too few, or overlap."""


def axis_label(name: str, dataset: xr.Dataset) -> str:
    """Of a field's axis. What t is only the dataset knows: its schedule says."""
    told = dataset[name].attrs.get("long_name") if name == "t" and name in dataset.coords else None
    return AXIS_LABELS[name] if told is None else f"{told} $t$"


def log_x(axis: Axes) -> None:
    """A logarithmic abscissa, with ticks at 1, 2 and 5 if it spans little more than a decade. Call it after drawing."""
    axis.set_xscale("log")
    low, high = axis.get_xlim()
    if high < FEW_DECADES * low:
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.xaxis.set_minor_formatter(NullFormatter())


def abscissa(dataset: xr.Dataset) -> str:
    """The field to draw along: the longest axis with finite values, the model's first where lengths tie."""
    lengths = {name: dataset.sizes[name] for name in FIELDS if name in dataset.sizes}
    lengths = {name: size for name, size in lengths.items() if np.all(np.isfinite(dataset[name]))}
    first = next((name for name in FIELDS if name in dataset.coords), FIELDS[0])
    return max(lengths, key=lambda name: lengths[name], default=first)


def ordered(dataset: xr.Dataset, *along: str) -> xr.Dataset:
    """The dataset with those of its axes ascending: whoever asked for values in another order wants no zigzag."""
    return dataset.sortby([name for name in along if name in dataset.indexes])


def pieces(dataset: xr.Dataset, *along: str) -> list[xr.Dataset]:
    """The dataset cut into one piece for each combination of the grid axes but those given, which then ascend."""
    dataset = ordered(dataset, *along)
    others = [str(name) for name in dataset.dims if name not in (*RESULTS, *along)]
    cells = itertools.product(*(range(dataset.sizes[name]) for name in others))
    return [dataset.isel(dict(zip(others, cell, strict=True))) for cell in cells]


def legend(piece: xr.Dataset, told_by: list[str], otherwise: str | None = "theory") -> str | None:
    """What tells a piece from the others."""
    return ", ".join(f"{SYMBOLS[field]} = {number(piece[field])}" for field in told_by) or otherwise


def telling(dataset: xr.Dataset, parts: list[xr.Dataset]) -> list[str]:
    """Fields that differ between the pieces of a dataset; not the noise scale where it only follows T."""
    told = [name for name in FIELDS if name in dataset and len({float(part[name].max()) for part in parts}) > 1]
    follows = "T" in told and "noise_scale" in told and dataset["T"].dims == dataset["noise_scale"].dims
    return [name for name in told if not (follows and name == "noise_scale")]


def fixed(curves: xr.Dataset, along: str) -> str:
    """The fields that are the same throughout the picture."""
    same = [name for name in SYMBOLS if name in curves and name != along and np.unique(curves[name]).size == 1]
    same = [name for name in same if name != "smoothing" or np.any(curves[name] > 0)]
    return ", ".join(f"{SYMBOLS[name]} = {number(curves[name])}" for name in same)


def number(value: Any) -> str:
    """A value in a legend."""
    number = float(np.asarray(value).flat[0])
    return r"$\infty$" if np.isinf(number) else f"{number:g}"


def columns(count: int) -> int:
    """Four panels make a square; others stand in a row, or in several where they are many."""
    return 2 if count == WIDE else min(count, WIDE)


def panels(count: int, below: bool = False) -> tuple[Any, Axes | None]:
    """A figure with this many panels; maybe with a flat one below."""
    width = columns(count)
    rows = -(-count // width)
    figure = Figure(figsize=(4.75 * width, 3.7 * rows + 2.6 * below), layout="constrained")
    grid = figure.add_gridspec(rows + below, width, height_ratios=[3.7] * rows + [2.6] * below)
    axes: list[Axes] = []
    for place in range(count):
        row, column = divmod(place, width)
        axes.append(figure.add_subplot(grid[row, column], sharex=axes[0] if axes else None))
        axes[-1].tick_params(labelbottom=place + width >= count)
    return axes, figure.add_subplot(grid[rows, :]) if below else None


def single(axes: Any, width: float, height: float) -> Axes:
    """The Axes given, or those of a new figure, with its size in inches."""
    return Figure(figsize=(width, height), layout="constrained").subplots() if axes is None else axes


def one_each(axes: Any, names: Sequence[str]) -> np.ndarray:
    """The Axes given, or those of a new figure, one for each name. Raises ValueError for another number."""
    return checked(panels(len(names))[0] if axes is None else axes, names)


def dressed(axis: Axes, title: str, label: str) -> None:
    """A panel with its title, its vertical label and a grid."""
    axis.set_title(title, fontsize="medium")
    axis.set_ylabel(label)
    axis.grid(alpha=0.25, lw=0.5)


def label_x(axes: np.ndarray, text: str) -> None:
    """The horizontal label of panels, below the last row of them."""
    for axis in axes[-columns(len(axes)) :]:
        axis.set_xlabel(text)


def legend_below(axis: Axes, **handles: Any) -> None:
    """The legend of a figure for a printed column."""
    axis.figure.legend(loc="outside lower center", ncols=2, fontsize="x-small", frameon=False, **handles)


def middle(area: np.ndarray, aspect: float) -> tuple[int, int]:
    """Row and column of the place in an area that is farthest from its edge; text has an aspect, wider than high."""
    from scipy.ndimage import distance_transform_edt

    wide = np.pad(area, 1)
    depth = distance_transform_edt(wide, sampling=(aspect / wide.shape[0], 1.0 / wide.shape[1]))
    row, column = np.unravel_index(int(np.argmax(np.asarray(depth)[1:-1, 1:-1])), area.shape)
    return int(row), int(column)


def checked(axes: Any, names: Sequence[str]) -> np.ndarray:
    """The Axes given, one for each name, as a vector. Raises ValueError for another number."""
    axes = np.atleast_1d(np.asarray(axes, dtype=object)).ravel()
    if axes.size != len(names):
        raise ValueError(f"axes: {axes.size} given, must be {len(names)}, one for each of {', '.join(names)}")
    return axes
