"""The phase diagram: areas, boundaries, and the cross that is dragged."""

# Bokeh's and Panel's annotations know neither their own subclasses nor what a property holds once it is set.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportOptionalMemberAccess=false

from collections.abc import Callable
from typing import Any

import numpy as np
from bokeh.events import Pan, PanEnd, Tap
from bokeh.models import ColumnDataSource, Div, LinearColorMapper, Range1d

from rfdsm.explorer._diagram import CELLS, FIELDS, Boundaries, Diagram
from rfdsm.explorer._look import Look, key_of, moving, patch, plot, sample
from rfdsm.explorer._state import SPANS, State

LABELS = {
    "memorisation": "memorisation begins",
    "noise_fitting": "train = floor",
    "point_fitting": "training points = floor",
    "harmful": "test = null",
    "test_peak": "peak of test",
}
DASHES = {"point_fitting": "dashed"}
NAMES = ("generalisation", "noise_fitting", "memorisation")
STRIPES = 8
"""Cells from one stripe over a harmful area to the next."""
JUMP = 2.5
"""Ratio of the roots on neighbouring lines beyond which a boundary is not one curve any more."""


class Map:
    """The plane of n/d and p/d. `moved(psi_n, psi_p)` is called while the cross is dragged, and where it is put."""

    def __init__(self, colours: Look, moved: Callable[[float, float], None]) -> None:
        self._moved = moved
        ranges = {"x_range": Range1d(*SPANS["psi_p"]), "y_range": Range1d(*SPANS["psi_n"])}
        axes = {"x_axis_type": "log", "y_axis_type": "log", "height": 366, "name": "figure_map"}
        made = plot(colours, "Regimes: drag the cross", "p/d", "n/d", **ranges, **axes)
        self.areas = ColumnDataSource({"image": [], "t": []}, name="areas")
        tints = [colours.panel, *(colours.regimes[name] for name in NAMES), colours.stripe]
        mapper = LinearColorMapper(palette=tints, low=-1.5, high=3.5)
        low_p, high_p, low_n, high_n = _corners()
        made.image(
            image="image",
            x=low_p,
            y=low_n,
            dw=high_p - low_p,
            dh=high_n - low_n,
            source=self.areas,
            color_mapper=mapper,
        )
        self.boundaries = {
            name: ColumnDataSource({"x": [np.nan], "y": [np.nan]}, name=f"boundary_{name}") for name in FIELDS
        }
        for name, source in self.boundaries.items():
            look: dict[str, Any] = {"color": colours.edges[name], "line_width": 2}
            made.line("x", "y", source=source, line_dash=DASHES.get(name, "solid"), **look)
        ends = np.array(SPANS["psi_n"])
        made.line(ends, ends, color=colours.faint, line_dash="dashdot", line_width=1.2)
        self.nm = ColumnDataSource({"x": ends, "y": ends})
        made.line("x", "y", source=self.nm, color=colours.faint, line_dash="dotted", line_width=1.4)
        self.cross = ColumnDataSource({"x": [1.0], "y": [1.0]}, name="cross")
        for width, colour in ((7, colours.panel), (3, colours.text)):
            look = {"marker": "cross", "size": 24, "line_width": width, "line_color": colour}
            made.scatter("x", "y", source=self.cross, **look)
        for event in (Pan, PanEnd, Tap):
            made.on_event(event, self._dragged)
        self.figure = moving(made)
        self.key = Div(text=_key(colours), margin=(0, 8), name="map_key")

    def _dragged(self, event: Any) -> None:
        if event.x is None or event.y is None or not (event.x > 0 and event.y > 0):
            return
        (low_n, high_n), (low_p, high_p) = SPANS["psi_n"], SPANS["psi_p"]
        self._moved(min(max(event.y, low_n), high_n), min(max(event.x, low_p), high_p))

    def show_cross(self, state: State) -> None:
        """Where the point asked about is, and the line p = nm."""
        self.cross.data = {"x": [state.psi_p], "y": [state.psi_n]}
        ends = np.array(SPANS["psi_n"])
        widths = ends * (state.m if np.isfinite(state.m) else np.nan)
        if not np.array_equal(self.nm.data["x"], widths, equal_nan=True):
            self.nm.data = {"x": widths, "y": ends}

    def show(self, found: Diagram) -> None:
        """Push new areas. Boundaries of other areas go, until they are solved for anew."""
        self.areas.data = {"image": [_striped(found)], "t": [found.t]}
        for source in self.boundaries.values():
            if len(source.data["x"]) > 1:
                source.data = {"x": [np.nan], "y": [np.nan]}

    def show_boundaries(self, found: Boundaries) -> None:
        """Push solved boundaries."""
        for name, source in self.boundaries.items():
            x, y = _joined(found.along_psi_p[name], found.psi_n)
            v, u = _joined(found.along_psi_n[name], found.psi_p)
            source.data = {"x": np.concatenate([x, u]), "y": np.concatenate([y, v])}


def _key(colours: Look) -> str:
    lines = [(sample(colours.edges[name], DASHES.get(name, "solid")), LABELS[name]) for name in FIELDS]
    areas = [(patch(colours.regimes[name], colours), name.replace("_", "-")) for name in NAMES]
    return key_of([*areas, *lines, (patch(colours.stripe, colours), "striped: worse than none")], colours)


def _striped(found: Diagram) -> np.ndarray:
    rows, columns = np.indices(found.regime.shape)
    stripe = ((rows + columns) % STRIPES == 0) & (found.harmful > 0)
    return np.where(stripe, 3, found.regime).astype(np.int8)


def _corners() -> tuple[float, float, float, float]:
    """Of the image: on logarithmic axes it is stretched between its corners, which are half a cell outside."""
    corners = []
    for name in ("psi_p", "psi_n"):
        low, high = SPANS[name]
        half = (high / low) ** (0.5 / (CELLS - 1))
        corners += [low / half, high * half]
    return corners[0], corners[1], corners[2], corners[3]


def _joined(roots: np.ndarray, lines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each column of roots over the lines as a curve, broken where it is missing or jumps; a NaN between curves."""
    x, y = [], []
    for column in roots.T:
        with np.errstate(invalid="ignore"):
            breaks = np.abs(np.diff(np.log(column))) > np.log(JUMP)
        places = np.flatnonzero(breaks) + 1
        x += [*np.insert(column, places, np.nan), np.nan]
        y += [*np.insert(lines, places, np.nan), np.nan]
    return np.array(x), np.array(y)
