"""The four losses: figures that are made once, and data that are pushed into them."""

# Bokeh's and Panel's annotations know neither their own subclasses nor what a property holds once it is set.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportOptionalMemberAccess=false

from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, LegendItem, Range1d, VSpan, Whisker
from bokeh.plotting import figure

from rfdsm.explorer.curves import NAMES, Curves
from rfdsm.explorer.look import DASHES, Look, legend, plot
from rfdsm.explorer.simulations import Simulated
from rfdsm.losses import QUANTITIES
from rfdsm.values import shown

X_LABELS = {
    "psi_p": "features per dimension p/d",
    "psi_n": "samples per dimension n/d",
    "t": "time t",
    "ridge": "ridge λ",
}
LINES = {"p_n": ("p = n", "dashdot"), "p_nm": ("p = n m", "dotted")}
TITLES = {
    "train": "Training loss",
    "empirical_test": "Training points, fresh noise",
    "test": "Test loss",
    "score": "Score error",
}


class LossPanels:
    """One figure for each loss, over the same abscissa."""

    def __init__(self, colours: Look) -> None:
        nothing = np.full(2, np.nan)
        columns = [f"{name}_{k}" for name in NAMES for k in range(3)]
        self.lines = ColumnDataSource({name: nothing for name in ("x", "floor", *columns)}, name="curves")
        self.point = ColumnDataSource({name: [np.nan] for name in ("x", *NAMES)}, name="point")
        self.marks = {name: ColumnDataSource({"x": [np.nan]}, name=name) for name in LINES}
        self.simulated = ColumnDataSource(simulated_columns([], None), name="simulated")
        self._x = Range1d(0.1, 100)
        self.figures = {name: self._figure(name, colours) for name in NAMES}

    def _figure(self, name: str, colours: Look) -> figure:
        scale = "linear" if name == "train" else "log"
        options = {"x_axis_type": "log", "y_axis_type": scale, "x_range": self._x, "name": f"figure_{name}"}
        made = plot(colours, TITLES[name], X_LABELS["psi_p"], QUANTITIES[name].label, **options)
        curves = []
        for k, (colour, dash) in enumerate(zip(colours.curves, DASHES, strict=True)):
            look: dict[str, Any] = {"color": colour, "line_dash": dash, "line_width": 2}
            curves.append(made.line("x", f"{name}_{k}", source=self.lines, **look))
        lines = {}
        for line, (_, dash) in LINES.items():
            glyph = VSpan(x="x", line_color=colours.faint, line_dash=dash, line_width=1.2)
            lines[line] = made.add_glyph(self.marks[line], glyph)
        floor = None
        if QUANTITIES[name].over_floor:
            floor = made.line("x", "floor", source=self.lines, color=colours.text, line_dash=[2, 3], line_width=1.3)
        upper, lower = f"{name}_upper", f"{name}_lower"
        whisker = Whisker(base="x", upper=upper, lower=lower, source=self.simulated, line_color=colours.text)
        for head in (whisker.upper_head, whisker.lower_head):
            head.update(size=7, line_color=colours.text)
        made.add_layout(whisker)
        dots: dict[str, Any] = {"marker": "circle", "fill_color": "colour", "line_color": colours.text, "size": 7}
        simulated = made.scatter("x", name, source=self.simulated, **dots)
        look = {"marker": "diamond", "size": 13, "fill_color": colours.text, "line_color": colours.panel}
        made.scatter("x", name, source=self.point, **look)
        if name == NAMES[0]:
            self.items = [LegendItem(label=f"m {k}", renderers=[curves[k]]) for k in range(3)]
            made.add_layout(legend(colours, self.items, location="bottom_left"))
        if name == "test":
            items = [LegendItem(label=text, renderers=[lines[line]]) for line, (text, _) in LINES.items()]
            items += [LegendItem(label="floor", renderers=[floor])] if floor else []
            self._told = LegendItem(label="simulated", renderers=[simulated], visible=False)
            items.append(self._told)
            made.add_layout(legend(colours, items, location="top_left"))
        return made

    def show(self, curves: Curves) -> None:
        """Push new numbers; figures and glyphs stay."""
        data: dict[str, Any] = {"x": curves.x, "floor": curves.floor}
        data |= {f"{name}_{k}": curves.values[name][k] for name in NAMES for k in range(3)}
        self.lines.data = data
        point = {name: [value if np.isfinite(value := curves.point[name]) else np.nan] for name in NAMES}
        self.point.data = {"x": [curves.at], **point}
        for line, place in curves.lines.items():
            if not np.array_equal(self.marks[line].data["x"], [place], equal_nan=True):
                self.marks[line].data = {"x": [place]}
        low, high = float(curves.x[0]), float(curves.x[-1])
        if (self._x.start, self._x.end) != (low, high):
            self._x.update(start=low, end=high)
        label = X_LABELS[curves.state.abscissa]
        for made in self.figures.values():
            if made.xaxis[0].axis_label != label:
                made.xaxis[0].axis_label = label
        for k, (item, m) in enumerate(zip(self.items, curves.draws, strict=True)):
            text = f"m = {'∞' if np.isinf(m) else shown(m)}{' (chosen)' if k == curves.own else ''}"
            if item.label.value != text:
                item.update(label={"value": text})

    def show_simulated(self, points: list[Simulated], curves: Curves, colours: Look) -> None:
        """Markers of the simulated points that lie on these curves."""
        data = simulated_columns(points, curves, colours)
        if len(data["x"]) or len(self.simulated.data["x"]):
            self.simulated.data = data
            self._told.visible = bool(len(data["x"]))


def simulated_columns(points: list[Simulated], curves: Curves | None, colours: Look | None = None) -> dict[str, Any]:
    """Columns of the markers and their error bars: mean and standard error."""
    data: dict[str, Any] = {"x": [], "colour": []}
    data |= {f"{name}{end}": [] for name in NAMES for end in ("", "_lower", "_upper")}
    for point in points if curves is not None and colours is not None else []:
        assert curves is not None and colours is not None
        data["x"].append(getattr(point.state, curves.state.abscissa))
        data["colour"].append(colours.curves[curves.draws.index(point.state.m)])
        for name in NAMES:
            mean, error = point.mean[name], point.error[name]
            data[name].append(mean)
            data[f"{name}_lower"].append(max(mean - error, mean / 100))  # a logarithmic axis has no place below 0
            data[f"{name}_upper"].append(mean + error)
    return data
