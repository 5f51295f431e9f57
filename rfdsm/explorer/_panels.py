"""The four losses: figures that are made once, and data that are pushed into them."""

# Bokeh's and Panel's annotations know neither their own subclasses nor what a property holds once it is set.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportOptionalMemberAccess=false

from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, Div, FixedTicker, Range1d, VSpan, Whisker
from bokeh.plotting import figure

from rfdsm._values import shown
from rfdsm.explorer._curves import NAMES, Curves
from rfdsm.explorer._look import DASHES, Look, key_of, moving, plot, sample
from rfdsm.explorer._simulations import Simulated
from rfdsm.losses import QUANTITIES

X_LABELS = {
    "psi_p": "features per dimension p/d",
    "psi_n": "samples per dimension n/d",
    "t": "time t",
    "ridge": "ridge λ",
}
LINES = {"p_n": ("p = n", "dashdot"), "p_nm": ("p = n m", "dotted")}
TITLES = {name: QUANTITIES[name].title.capitalize() for name in NAMES}


class LossPanels:
    """One figure for each loss, over the same abscissa."""

    def __init__(self, colours: Look) -> None:
        nothing = np.full(2, np.nan)
        columns = [f"{name}_{k}" for name in NAMES for k in range(3)]
        self.lines = ColumnDataSource({name: nothing for name in ("x", "floor", *columns)}, name="curves")
        self.point = ColumnDataSource({name: [np.nan] for name in ("x", *NAMES)}, name="point")
        self.marks = {name: ColumnDataSource({"x": [np.nan]}, name=name) for name in LINES}
        self.simulated = ColumnDataSource(_nothing_simulated(), name="simulated")
        self._x = Range1d(0.1, 100)
        self._y = {name: Range1d(0.1, 1) for name in NAMES}
        self._ticks = {name: FixedTicker() for name in NAMES if name != "train"}
        self._colours = colours
        self.key = Div(text="", margin=(0, 6), name="key")
        """One legend for all."""
        self.figures = {name: self._figure(name, colours) for name in NAMES}

    def _figure(self, name: str, colours: Look) -> figure:
        scale = "linear" if name == "train" else "log"
        ranges = {"x_range": self._x, "y_range": self._y[name]}
        options = {"x_axis_type": "log", "y_axis_type": scale, "name": f"figure_{name}", **ranges}
        made = plot(colours, TITLES[name], X_LABELS["psi_p"], QUANTITIES[name].label, **options)
        if name in self._ticks:
            made.yaxis.ticker = self._ticks[name]
        for k, (colour, dash) in enumerate(zip(colours.curves, DASHES, strict=True)):
            look: dict[str, Any] = {"color": colour, "line_dash": dash, "line_width": 2}
            made.line("x", f"{name}_{k}", source=self.lines, **look)
        for line, (_, dash) in LINES.items():
            glyph = VSpan(x="x", line_color=colours.faint, line_dash=dash, line_width=1.2)
            made.add_glyph(self.marks[line], glyph)
        if QUANTITIES[name].over_floor:
            made.line("x", "floor", source=self.lines, color=colours.text, line_dash=[2, 3], line_width=1.3)
        upper, lower = f"{name}_upper", f"{name}_lower"
        whisker = Whisker(
            base="x", upper=upper, lower=lower, source=self.simulated, line_color=colours.text, level="overlay"
        )
        for head in (whisker.upper_head, whisker.lower_head):
            head.update(size=7, line_color=colours.text)
        made.add_layout(whisker)
        dots: dict[str, Any] = {"marker": "circle", "fill_color": "colour", "line_color": colours.text, "size": 7}
        made.scatter("x", name, source=self.simulated, **dots)
        look = {"marker": "diamond", "size": 13, "fill_color": colours.text, "line_color": colours.panel}
        made.scatter("x", name, source=self.point, **look)
        return moving(made)

    def show(self, curves: Curves) -> None:
        """Push new numbers; figures and glyphs stay."""
        data: dict[str, Any] = {"x": curves.x, "floor": curves.floor}
        data |= {f"{name}_{k}": curves.values[name][k] for name in NAMES for k in range(3)}
        if not _same(self.lines.data, data):
            self.lines.data = data
            self._fit_ranges(curves)
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
        self._tell_key(curves)

    def show_simulated(self, points: list[Simulated], curves: Curves) -> None:
        """Markers of the simulated points that lie on these curves."""
        data = _simulated(points, curves, self._colours)
        if len(data["x"]) or len(self.simulated.data["x"]):
            self.simulated.data = data
            self._fit_ranges(curves)
            self._tell_key(curves)

    def _fit_ranges(self, curves: Curves) -> None:
        """Axes in steps: while a slider moves they seldom change."""
        for name, axis in self._y.items():
            ends = [np.asarray(self.simulated.data[f"{name}{end}"], float) for end in ("_lower", "_upper")]
            floor = [curves.floor] if QUANTITIES[name].over_floor else []
            low, high = _span(np.concatenate([*curves.values[name], *floor, *ends]), log=name != "train")
            if (axis.start, axis.end) != (low, high):
                axis.update(start=low, end=high)
                if name in self._ticks:
                    self._ticks[name].ticks = _decades(low, high)

    def _tell_key(self, curves: Curves) -> None:
        colours = self._colours
        names = [f"m = {'∞' if np.isinf(m) else shown(m)}" for m in curves.draws]
        names[curves.own] += " (chosen)"
        looks = [(colour, dash) for colour, dash in zip(colours.curves, DASHES, strict=True)]
        looks += [(colours.text, "short"), *((colours.faint, dash) for _, dash in LINES.values())]
        texts = [*names, "floor", *(text for text, _ in LINES.values())]
        items = [(sample(*look), text) for look, text in zip(looks, texts, strict=True)]
        if len(self.simulated.data["x"]):
            items.append(("●", "simulated, mean ± standard error"))
        text = key_of(items, colours)
        if self.key.text != text:
            self.key.text = text


def _same(shown: Any, wanted: dict[str, Any]) -> bool:
    return all(np.array_equal(shown[name], values, equal_nan=True) for name, values in wanted.items())


def _span(values: np.ndarray, log: bool) -> tuple[float, float]:
    """Ends of an axis that holds the values: quarters of a decade, or from 0 to two digits."""
    values = values[np.isfinite(values) & ((values > 0) | (not log))]
    if not values.size:
        return 0.1, 1.0
    if log:
        low, high = np.floor(4 * np.log10(values.min()) - 0.1) / 4, np.ceil(4 * np.log10(values.max()) + 0.1) / 4
        return float(10**low), float(10**high)
    top = max(float(values.max()), 1e-12)
    step = 10 ** np.floor(np.log10(top)) / 5
    return float(-step / 2), float(step * np.ceil(1.02 * top / step))


def _decades(low: float, high: float) -> list[float]:
    """Powers of ten, and twice and five times as much where there are few: the library's own leave ends bare."""
    few = high < 300 * low
    powers = np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    return sorted(float(digit * 10.0**k) for k in powers for digit in ((1, 2, 5) if few else (1,)))


def _nothing_simulated() -> dict[str, Any]:
    return {"x": [], "colour": []} | {f"{name}{end}": [] for name in NAMES for end in ("", "_lower", "_upper")}


def _simulated(points: list[Simulated], curves: Curves, colours: Look) -> dict[str, Any]:
    """Columns of the markers and their error bars: mean and standard error."""
    data = _nothing_simulated()
    for point in points:
        data["x"].append(getattr(point.state, curves.state.abscissa))
        data["colour"].append(colours.curves[curves.draws.index(point.state.m)])
        for name in NAMES:
            mean, error = point.mean[name], point.error[name]
            data[name].append(mean)
            data[f"{name}_lower"].append(max(mean - error, mean / 100))  # a logarithmic axis has no place below 0
            data[f"{name}_upper"].append(mean + error)
    return data
