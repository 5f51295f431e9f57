"""Which target generates best: a map of the least divergence over two fields, or lines of all targets along one."""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from rfdsm.plots._generated import DISTANCES
from rfdsm.plots._regimes import heatmap, plane_of
from rfdsm.plots._style import COLOURS, FIELDS, MARKERS, axis_label, fixed, log_x, middle, single

_LABELS = {"kl_at_end": "KL(generated $\\|$ data at the last level)"} | {
    name: title for name, (title, _) in DISTANCES.items()
}


def best_target(dataset: xr.Dataset, axes: Any = None, *, across: str | None = None, along: str | None = None) -> Axes:
    """Over two fields: the least divergence as colours, with borders and names of the targets that reach it. Along one
    field: a line for each target.

    Args:
        dataset: from `rfdsm.generation_diagram`.
        axes: one Axes; None makes a figure.
        across, along: fields on the horizontal and vertical axis of a map, as for `phase_diagram`.

    Returns:
        The Axes; a map's colour bar is the figure's last.

    Raises:
        ValueError: a dataset that varies over no field, or over more than two.
    """
    long = [name for name in FIELDS if dataset.sizes.get(name, 1) > 1]
    if len(long) == 1 and across is None and along is None:
        return _lines(dataset, long[0], axes)
    distance = str(dataset["least"].attrs["distance"])
    shown = dataset[["least", "best_target", distance]]
    axis = single(axes, 4.6, 3.4)
    heatmap(shown[["least", "best_target"]], "least", axis, across=across, along=along, curves=False)
    axis.figure.axes[-1].set_ylabel(f"{_label(dataset)} per dimension", fontsize="small")
    plane, over, up = plane_of(shown, across, along)
    codes = plane["best_target"].transpose(up, over).to_numpy()
    rivals = plane[distance].transpose("target", up, over).to_numpy()
    logarithms = np.log(np.where(rivals > 0, rivals, np.inf))
    x, y = plane[over].to_numpy(), plane[up].to_numpy()
    for code, name in enumerate(dataset["target"].values):
        area = codes == code
        if not area.any():
            continue
        if not area.all():  # between the places of the grid, where the logarithms of the two best ones cross
            lead = np.min(np.delete(logarithms, code, axis=0), axis=0) - logarithms[code]
            axis.contour(x, y, lead, levels=[0.0], colors="white", linewidths=1.6)
        _named(axis, area, x, y, str(name))
    return axis


def _label(dataset: xr.Dataset) -> str:
    distance = str(dataset["least"].attrs["distance"])
    return _LABELS.get(distance, distance)


def _named(axis: Axes, area: np.ndarray, x: np.ndarray, y: np.ndarray, name: str) -> None:
    """In the middle of the area, where that is widest."""
    row, column = middle(area, 2.0)
    box = dict(fc="white", ec="none", alpha=0.8, pad=1.2)
    axis.text(x[column], y[row], name, ha="center", va="center", fontsize="small", color="black", bbox=box)


def _lines(dataset: xr.Dataset, along: str, axes: Any) -> Axes:
    axis = single(axes, 4.75, 3.4)
    distance = str(dataset["least"].attrs["distance"])
    line = dataset.isel({name: 0 for name in FIELDS if dataset.sizes.get(name) == 1}).sortby(along)
    for k, name in enumerate(dataset["target"].values):
        look: dict[str, Any] = dict(color=COLOURS[k % len(COLOURS)], marker=MARKERS[k % len(MARKERS)], ms=3.5, lw=1.6)
        axis.plot(line[along], line[distance].sel(target=name), label=str(name), **look)
    if np.all(line[along] > 0):
        log_x(axis)
    axis.set_yscale("log")
    axis.set_xlabel(axis_label(along, dataset))
    axis.set_ylabel(f"{_label(dataset)} per dimension")
    axis.legend(fontsize="small", title=fixed(dataset, along), title_fontsize="small")
    axis.grid(alpha=0.25, lw=0.5)
    return axis
