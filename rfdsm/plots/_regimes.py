"""Maps over two fields: phase diagrams with their boundaries, and heat maps of any quantity."""

import itertools
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap, LogNorm
from matplotlib.patches import Patch

from rfdsm.plots._style import (
    FIELDS,
    REGIMES,
    SYMBOLS,
    TITLES,
    axis_label,
    fixed,
    legend_below,
    middle,
    ordered,
    single,
)

COLUMN = 3.4
"""Width of a printed column, in inches."""
DECADES = 30.0
"""Range of values from which a heat map's colours are logarithmic."""
LINES: dict[str, tuple[str, dict[str, Any]]] = {
    "memorisation": ("memorisation = 0", dict(color="#A63C00", ls="-", lw=1.6)),
    "noise_fitting": ("train = floor", dict(color="#B07C00", ls="-", lw=1.1)),
    "point_fitting": ("training points = floor", dict(color="#B07C00", ls="--", lw=1.1)),
    "harmful": ("test = 1", dict(color="#000000", ls="-", lw=1.1)),
    "test_peak": ("peak of test", dict(color="#CC79A7", ls="-", lw=1.4)),
    "p_n": ("$p = n$", dict(color="0.35", ls="-.", lw=0.9)),
    "p_nm": ("$p = nm$", dict(color="0.35", ls=":", lw=1.1)),
    "one_draw": (r"$m\psi_n = 1$", dict(color="0.35", ls="--", lw=0.9)),
}
"""Curves a diagram may carry as `<field>_at_<name>`, with their labels and looks."""
CROWD = 4
"""Roots on a line up to which every way to continue the curves is tried."""
SHAPES = {"generalisation": "o", "noise_fitting": "s", "memorisation": "^"}


def phase_diagram(
    dataset: xr.Dataset,
    axes: Any = None,
    *,
    across: str | None = None,
    along: str | None = None,
    simulated: xr.Dataset | None = None,
    legend: bool = True,
) -> Axes:
    """Regimes as tinted areas with their names, harmful cells hatched, solved boundaries and the papers' lines.

    Args:
        dataset: from `rfdsm.phase_diagram`; with its curves if it was made with `along`.
        axes: one Axes; None makes a figure of a printed column's width.
        across, along: fields on the horizontal and vertical axis; None: psi_p, psi_n, t, ridge, m in this order, from
            the vertical one. Further axes must have length one.
        simulated: from `simulated_regimes`, drawn as markers: shape and colour tell the simulated regime, hollow ones
            are harmful.
        legend: whether to add one below.

    Returns:
        The Axes.

    Raises:
        ValueError: fewer than two axes with more than one value, or more than two; datasets without regimes.
    """
    for name, given in (("dataset", dataset), ("simulated", simulated)):
        if given is not None and not {"regime", "is_harmful"} <= set(given):
            raise ValueError(f"{name} must be of phase_diagram or simulated_regimes, with regime and is_harmful")
    plane, across, along = plane_of(dataset, across, along)
    axis = single(axes, COLUMN, 3.9 if legend else 2.9)
    x, y = plane[across].to_numpy(), plane[along].to_numpy()
    codes = plane["regime"].transpose(along, across).to_numpy()
    names = list(REGIMES)
    colours = ListedColormap(["white", *(REGIMES[name][0] for name in names)])
    norm = BoundaryNorm(np.arange(-1.5, len(names)), colours.N)
    # Areas are pixels even in a vector file, where ten thousands of rectangles would show their seams.
    axis.pcolormesh(x, y, codes, cmap=colours, norm=norm, shading="nearest", rasterized=True, zorder=0)
    harmful = plane["is_harmful"].transpose(along, across).to_numpy() > 0
    if np.any(harmful):
        hatch = axis.contourf(x, y, harmful, levels=[0.5, 1.5], colors="none", hatches=["////"], zorder=1)
        hatch.set(edgecolor="0.45", linewidth=0.0)
    _scales(axis, plane, across, along)
    handles = _curves(axis, plane, across, along)
    if np.any(harmful):
        handles.append(Patch(fc="white", ec="0.45", hatch="////", lw=0.5, label="harmful: test > 1"))
    marked = np.empty((0, 2))
    if simulated is not None:
        places = [np.ravel(simulated[name].broadcast_like(simulated["regime"])) for name in (across, along)]
        handles += _markers(axis, simulated, *places)
        marked = np.stack(places, 1)
    for code, name in enumerate(names):
        _name(axis, codes == code, x, y, name, marked)
    axis.set_title(fixed(dataset, along).replace(f"{SYMBOLS[across]} = ", ""), fontsize="x-small")
    if legend and handles:
        legend_below(axis, handles=handles)
    return axis


def heatmap(
    dataset: xr.Dataset,
    name: str = "test",
    axes: Any = None,
    *,
    across: str | None = None,
    along: str | None = None,
    curves: bool = True,
) -> Axes:
    """One quantity as colours over two fields, with the curves of a phase diagram if the dataset has them.

    Args:
        dataset: from `rfdsm.phase_diagram` or `rfdsm.datasets.predictions`.
        name: variable, such as a loss, an index or a signed field.
        axes, across, along: as for `phase_diagram`.
        curves: whether to draw the boundaries.

    Returns:
        The Axes; the colour bar is the figure's last.

    Raises:
        ValueError: an unknown name, or as for `phase_diagram`.
    """
    if name not in dataset or name in dataset.dims:
        raise ValueError(f"name = {name!r} must be one of {', '.join(map(str, dataset.data_vars))}")
    plane, across, along = plane_of(dataset, across, along)
    axis = single(axes, COLUMN, 3.6 if curves else 2.9)
    values = plane[name].transpose(along, across).to_numpy().astype(float)
    values = np.where(np.isfinite(values), values, np.nan)
    low, high = np.nanmin(values), np.nanmax(values)
    look: dict[str, Any] = {"cmap": "cividis"}
    if low > 0 and high > DECADES * low:
        look["norm"] = LogNorm(low, high)
    if low < 0 < high:
        look = {"cmap": "PuOr_r", "vmin": -max(-low, high), "vmax": max(-low, high)}
    x, y = plane[across].to_numpy(), plane[along].to_numpy()
    mesh = axis.pcolormesh(x, y, values, shading="nearest", rasterized=True, **look)
    bar = axis.figure.colorbar(mesh, ax=axis)
    title = str(TITLES.get(name, plane[name].attrs.get("long_name", name)))
    bar.set_label(title, fontsize="small")
    bar.ax.tick_params(labelsize="x-small")
    _scales(axis, plane, across, along)
    if curves and (handles := _curves(axis, plane, across, along)):
        legend_below(axis, handles=handles)
    axis.set_title(fixed(dataset, along).replace(f"{SYMBOLS[across]} = ", ""), fontsize="x-small")
    return axis


def plane_of(dataset: xr.Dataset, across: str | None, along: str | None) -> tuple[xr.Dataset, str, str]:
    """The dataset over two fields alone, which ascend, and these fields. Raises ValueError where they are not two."""
    long = [name for name in FIELDS if dataset.sizes.get(name, 1) > 1]
    given = along or next((name for name in long if name != across), None)
    rest = [name for name in long if name != given]
    over = across or max(rest, key=lambda name: dataset.sizes[name], default=None)
    if given is None or over is None or given == over or {given, over} != set(long):
        known = ", ".join(name for name in FIELDS if name in dataset.coords)
        raise ValueError(
            f"dataset varies over {', '.join(long) or 'nothing'}: a map needs exactly two of {known} "
            "with several values; select the others first"
        )
    short = {name: 0 for name in FIELDS if dataset.sizes.get(name) == 1}
    return ordered(dataset.isel(short), over, given), over, given


def _scales(axis: Axes, plane: xr.Dataset, across: str, along: str) -> None:
    for name, set_scale, set_limits, set_label in (
        (across, axis.set_xscale, axis.set_xlim, axis.set_xlabel),
        (along, axis.set_yscale, axis.set_ylim, axis.set_ylabel),
    ):
        values = plane[name].to_numpy()
        if np.all(values > 0):
            set_scale("log")
        set_limits(float(values.min()), float(values[np.isfinite(values)].max()))
        set_label(axis_label(name, plane), fontsize="small")
    axis.tick_params(labelsize="x-small")


def _curves(axis: Axes, plane: xr.Dataset, across: str, along: str) -> list[Any]:
    """Draw the curves that the dataset carries, solved along either axis; returns handles of those in the picture."""
    handles = []
    for name, (label, look) in LINES.items():
        drawn = []
        for solved, over in ((along, across), (across, along)):
            values = plane.get(f"{solved}_at_{name}")
            if values is None or (name == "test_peak" and drawn):  # its crest differs between directions
                continue
            if name == "one_draw":
                values = values.isel({dim: 0 for dim in values.dims})
            if name == "point_fitting":
                for other in ("memorisation", "noise_fitting"):
                    values = values.where(~_same(values, plane.get(f"{solved}_at_{other}")))
            place = plane[over].to_numpy()
            wide = values if over in values.dims else values.expand_dims({over: plane[over].to_numpy()})
            rows = wide.transpose(..., over).to_numpy().reshape(-1, place.size)
            low, high = sorted(axis.get_ylim() if solved == along else axis.get_xlim())
            with np.errstate(invalid="ignore"):
                rows = np.where((rows >= low) & (rows <= high), rows, np.nan)
            for row in _joined(rows):
                x, y = (place, row) if solved == along else (row, place)
                drawn += axis.plot(x, y, label=label, zorder=3, scalex=False, scaley=False, **look)
        seen = [line for line in drawn if np.any(np.isfinite(np.asarray(line.get_xydata(), float)).all(axis=1))]
        handles += seen[:1]
    return handles


def _same(values: xr.DataArray, others: xr.DataArray | None) -> xr.DataArray:
    """Whether a root is one of the others, on the same line."""
    if others is None:
        return xr.zeros_like(values, dtype=bool)
    (dim,) = (str(name) for name in others.dims if str(name).startswith("root"))
    return (abs(values / others - 1) < 1e-9).any(dim)


def _joined(branches: np.ndarray) -> np.ndarray:
    """Roots that a line lost or gained move its others to another row: put each where it continues a curve."""
    if not 1 < len(branches) <= CROWD:
        return branches
    joined = np.full(branches.shape, np.nan)
    previous = np.full(len(branches), np.nan)
    for k in range(branches.shape[1]):
        roots = branches[~np.isnan(branches[:, k]), k]
        ways = [list(way) for way in itertools.permutations(range(len(branches)), roots.size)]
        best = min(ways, key=lambda way: float(np.sum(_distance(previous[way], roots))))
        joined[best, k] = roots
        previous = joined[:, k]
    return joined


def _distance(before: np.ndarray, roots: np.ndarray) -> np.ndarray:
    """From a branch's last root to the next one, in logarithms; an empty branch takes what no other is near to."""
    apart = np.abs(np.log(np.where(np.isnan(before), 1.0, before) / roots))
    return np.where(np.isnan(before), 1.0, apart)


def _markers(axis: Axes, simulated: xr.Dataset, x: np.ndarray, y: np.ndarray) -> list[Any]:
    """Simulated cells at their places: shape and colour by regime, hollow where harmful."""
    codes, bad = np.ravel(simulated["regime"]), np.ravel(simulated["is_harmful"]) > 0
    handles = []
    for code, name in enumerate(REGIMES):
        look: dict[str, Any] = dict(marker=SHAPES[name], color=REGIMES[name][1], ls="none", ms=4.5, zorder=8)
        for chosen, face in ((codes == code) & bad, "white"), ((codes == code) & ~bad, REGIMES[name][1]):
            if np.any(chosen):  # an empty line without clipping has no extent, which breaks the layout
                axis.plot(x[chosen], y[chosen], mfc=face, mew=1.2, clip_on=False, **look)
        if np.any(codes == code):
            handles += axis.plot([], [], label=f"simulated: {name.replace('_', '-')}", **look)
    if np.any(bad):
        handles += axis.plot([], [], "o", color="0.3", mfc="white", ms=4.5, mew=1.2, label="hollow: harmful")
    return handles


def _name(axis: Axes, area: np.ndarray, x: np.ndarray, y: np.ndarray, name: str, avoid: np.ndarray) -> None:
    """The regime's name in the middle of its area, where that is wide enough, away from the places to avoid."""
    if np.mean(area) < 0.02:
        return
    free = area.copy()
    for place_x, place_y in avoid:
        free[np.argmin(np.abs(np.log(y / place_y))), np.argmin(np.abs(np.log(x / place_x)))] = False
    row, column = middle(free, 2.6)
    look: dict[str, Any] = dict(ha="center", va="center", fontsize="small", color=REGIMES[name][1], zorder=7)
    look["bbox"] = dict(fc="white", ec="none", alpha=0.75, pad=1.2)
    axis.text(x[column], y[row], name.replace("_", "-"), **look)
