"""Figures of what takes longer: spectrum, learning curve, generated variances, advice."""

# Bokeh's and Panel's annotations know neither their own subclasses nor what a property holds once it is set.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportOptionalMemberAccess=false

import html
from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, Div, LegendItem, VSpan

from rfdsm.explorer._curves import NAMES
from rfdsm.explorer._details import Generation, Spectrum, Training
from rfdsm.explorer._look import Look, legend, plot
from rfdsm.explorer._panels import TITLES

HEIGHT = 250
SCALES = {
    "generalisation_time": ("τ_gen", "dotted"),
    "best_time": ("best time to stop", "solid"),
    "memorisation_time": ("τ_mem", "dashdot"),
}
STYLES = {"train": "dotted", "empirical_test": "dashed", "test": "solid", "score": "dotdash"}


class SpectrumView:
    """Density of the eigenvalues of U, and its atoms."""

    def __init__(self, colours: Look) -> None:
        axes = {"x_axis_type": "log", "y_axis_type": "log", "height": HEIGHT, "name": "figure_spectrum"}
        self.figure = plot(colours, "Spectrum of U", "eigenvalue u", "density ϱ(u)", **axes)
        self.density = ColumnDataSource({"u": [np.nan], "density": [np.nan]}, name="density")
        self.atoms = ColumnDataSource({"u": [np.nan]}, name="atoms")
        line = self.figure.line("u", "density", source=self.density, color=colours.curves[0], line_width=2)
        glyph = VSpan(x="u", line_color=colours.curves[1], line_dash="dotted", line_width=2)
        atom = self.figure.add_glyph(self.atoms, glyph)
        items = [LegendItem(label="density", renderers=[line]), LegendItem(label="atom", renderers=[atom])]
        self.figure.add_layout(legend(colours, items, location="bottom_left"))

    def show(self, found: Spectrum) -> None:
        """Push a density; where there is none the curve breaks."""
        with np.errstate(invalid="ignore"):
            density = np.where(found.density > 0, found.density, np.nan)
        self.density.data = {"u": found.u, "density": density}
        self.atoms.data = {"u": found.atoms[found.atoms[:, 0] > 0, 0]}
        parts = [f"{len(found.edges)} bulk{'s' if len(found.edges) != 1 else ''}"]
        parts += [f"mass {mass:.3g} at u = {place:.3g}" for place, mass in found.atoms]
        self.figure.title.text = f"Spectrum of U: {', '.join(parts)}"


class TrainingView:
    """Losses over training time, with the times that matter."""

    def __init__(self, colours: Look) -> None:
        axes = {"x_axis_type": "log", "y_axis_type": "log", "height": HEIGHT, "name": "figure_training"}
        self.figure = plot(colours, "Training", "flow time θ", "loss per coordinate", **axes)
        nothing = {name: [np.nan] for name in ("time", "floor", *NAMES)}
        self.losses = ColumnDataSource(nothing, name="training")
        self.scales = {name: ColumnDataSource({"x": [np.nan]}, name=name) for name in SCALES}
        items = []
        for name, colour in zip(("test", "empirical_test", "train"), colours.curves, strict=True):
            line = self.figure.line(
                "time", name, source=self.losses, color=colour, line_width=2, line_dash=STYLES[name]
            )
            items.append(LegendItem(label=TITLES[name], renderers=[line]))
        look: dict[str, Any] = {"color": colours.text, "line_dash": [2, 3], "line_width": 1.3}
        items.append(
            LegendItem(label="floor", renderers=[self.figure.line("time", "floor", source=self.losses, **look)])
        )
        for name, (text, dash) in SCALES.items():
            glyph = VSpan(x="x", line_color=colours.faint, line_dash=dash, line_width=1.8)
            items.append(LegendItem(label=text, renderers=[self.figure.add_glyph(self.scales[name], glyph)]))
        self.figure.add_layout(legend(colours, items), "right")

    def show(self, found: Training) -> None:
        """Push learning curves."""
        self.losses.data = {"time": found.times, "floor": np.full(found.times.size, found.floor), **found.losses}
        words = []
        for name, (text, _) in SCALES.items():
            place = found.scales[name]
            self.scales[name].data = {"x": [place if np.isfinite(place) else np.nan]}
            words.append(f"{text} {place:.3g}" if np.isfinite(place) else f"{text}: never")
        self.figure.title.text = "Training: " + ", ".join(words)


class GenerationView:
    """Variance of generated samples along each eigenvector of the sample covariance."""

    def __init__(self, colours: Look) -> None:
        self.figure = plot(
            colours, "Generated", "eigenvalue of the sample covariance", "variance",
            height=HEIGHT, name="figure_generation",
        )  # fmt: skip
        self.variance = ColumnDataSource({"x": [np.nan], "variance": [np.nan]}, name="variance")
        line = self.figure.scatter("x", "variance", source=self.variance, color=colours.curves[0], size=5)
        same = self.figure.line("x", "x", source=self.variance, color=colours.faint, line_dash="dashed")
        items = [
            LegendItem(label="generated", renderers=[line]),
            LegendItem(label="that of the samples: memorised", renderers=[same]),
        ]
        self.figure.add_layout(legend(colours, items, location="top_left"))

    def show(self, found: Generation) -> None:
        """Push variances."""
        variance = found.variance if found.converged else np.full(found.nodes.size, np.nan)
        self.variance.data = {"x": found.nodes, "variance": variance}
        words = f"mean variance {found.trace:.4g}, KL to the data's law {found.kl:.4g} per dimension"
        self.figure.title.text = (
            f"Generated: {words if found.converged else 'the variances diverge or did not converge'}"
        )


class AdviceView:
    """Advice in words."""

    def __init__(self, colours: Look) -> None:
        self.figure = Div(text="", sizing_mode="stretch_width", name="advice")
        self._colours = colours

    def show(self, found: str) -> None:
        """Its lines as they are."""
        style = f"white-space:pre-wrap;margin:4px;font:13px system-ui,sans-serif;color:{self._colours.text}"
        self.figure.text = f'<div style="{style}">{html.escape(found)}</div>'


VIEWS: dict[str, Any] = {
    "spectrum": SpectrumView,
    "training": TrainingView,
    "generation": GenerationView,
    "advice": AdviceView,
}
