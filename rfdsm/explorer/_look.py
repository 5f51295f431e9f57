"""How the page looks: colours in light and dark, told apart by colour-blind readers, and what every figure shares."""

# Bokeh's and Panel's annotations know neither their own subclasses nor what a property holds once it is set.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportOptionalMemberAccess=false

from collections.abc import Sequence
from typing import Any, NamedTuple

from bokeh.models import Legend
from bokeh.plotting import figure

from rfdsm.plots._style import COLOURS, REGIMES

DASHES = ("dashed", "solid", "dotdash")
"""Of the curves of 1, m and infinitely many draws: lines differ in more than colour."""
CURVES = COLOURS[:3]


class Look(NamedTuple):
    """Colours of one theme."""

    dark: bool
    page: str
    panel: str
    text: str
    faint: str
    """Of lines that are not data."""
    grid: str
    curves: tuple[str, ...]
    regimes: dict[str, str]
    """Tints of the areas."""
    stripe: str
    """Over what is harmful."""
    edges: dict[str, str]
    """Of the boundaries."""


LIGHT = Look(
    dark=False,
    page="#f6f7f9",
    panel="#ffffff",
    text="#1c2430",
    faint="#5a6372",
    grid="#e3e6ea",
    curves=tuple(CURVES),
    regimes={name: tint for name, (tint, _) in REGIMES.items()},
    stripe="#aeb3ba",
    edges={
        "memorisation": "#A63C00",
        "noise_fitting": "#8A6100",
        "point_fitting": "#8A6100",
        "harmful": "#000000",
        "test_peak": "#A8478A",
    },
)
DARK = Look(
    dark=True,
    page="#14181e",
    panel="#1d232b",
    text="#e8ebef",
    faint="#a9b1bc",
    grid="#333b46",
    curves=("#56B4E9", "#F0803C", "#2FC79B"),  # the same hues, light enough for a dark ground
    regimes={"generalisation": "#1F3E56", "noise_fitting": "#574A1B", "memorisation": "#63301A"},
    stripe="#7d8590",
    edges={
        "memorisation": "#FF9B66",
        "noise_fitting": "#E8C15A",
        "point_fitting": "#E8C15A",
        "harmful": "#ffffff",
        "test_peak": "#E79FCB",
    },
)


def look(dark: bool) -> Look:
    """The colours of a theme."""
    return DARK if dark else LIGHT


def plot(colours: Look, title: str, x_label: str, y_label: str, **options: Any) -> figure:
    """An empty figure as wide as its place, without a toolbar: nothing on it has to be aimed at."""
    made = figure(
        title=title,
        x_axis_label=x_label,
        y_axis_label=y_label,
        sizing_mode="stretch_width",
        toolbar_location=None,
        background_fill_color=colours.panel,
        border_fill_color=colours.panel,
        outline_line_color=colours.grid,
        min_border=4,
        **({"tools": "", "height": 212} | options),
    )
    made.title.update(text_color=colours.text, text_font_size="12px", text_font_style="bold")
    for axis in (*made.xaxis, *made.yaxis):
        axis.update(
            axis_label_text_color=colours.text,
            axis_label_text_font_size="11px",
            axis_label_text_font_style="normal",
            axis_label_standoff=2,
            major_label_text_color=colours.text,
            major_label_text_font_size="10px",
            axis_line_color=colours.faint,
            major_tick_line_color=colours.faint,
            minor_tick_line_color=None,
        )
    for grid in (*made.xgrid, *made.ygrid):
        grid.grid_line_color = colours.grid
    return made


def legend(colours: Look, items: Any, **options: Any) -> Legend:
    """A small legend."""
    return Legend(
        items=items,
        label_text_color=colours.text,
        label_text_font_size="10px",
        background_fill_color=colours.panel,
        background_fill_alpha=0.75,
        border_line_color=None,
        glyph_height=12,
        glyph_width=20,
        label_height=12,
        spacing=1,
        padding=3,
        margin=4,
        **options,
    )


def moving(made: figure) -> figure:
    """The figure with all that moves on a layer of its own: axes, titles and legends are not drawn again with it.

    And without the glyphs for what is selected or muted, which would be updated with every frame.
    """
    for renderer in made.renderers:
        renderer.update(selection_glyph=None, nonselection_glyph=None, muted_glyph=None, level="overlay")
    return made


SAMPLES = {"solid": "", "dashed": "6", "dotted": "2 4", "dotdash": "2 4 6 4", "dashdot": "6 4 2 4", "short": "2 3"}
"""Dashes of a line in points, by their names."""


def sample(colour: str, dash: str) -> str:
    """A short line for a legend, as HTML."""
    line = f"<line x1='0' y1='6' x2='26' y2='6' stroke='{colour}' stroke-width='2' stroke-dasharray='{SAMPLES[dash]}'/>"
    return f"<svg width='26' height='12' aria-hidden='true'>{line}</svg>"


def patch(colour: str, colours: Look) -> str:
    """A small area for a legend, as HTML."""
    style = f"display:inline-block;width:10px;height:10px;background:{colour};border:1px solid {colours.faint}"
    return f"<span aria-hidden='true' style='{style}'></span>"


def key_of(items: Sequence[tuple[str, str]], colours: Look) -> str:
    """A legend as HTML: what is shown, and its name. In a figure it would be drawn again with every frame."""
    parts = [f"<span style='white-space:nowrap;margin-right:14px'>{drawn} {text}</span>" for drawn, text in items]
    return f"<div style='color:{colours.text};font-size:12px'>{''.join(parts)}</div>"


def page_css(colours: Look) -> str:
    """Of the document around the page."""
    scheme = "dark" if colours.dark else "light"
    return (
        f":root {{ color-scheme: {scheme}; }} html, body {{ margin: 0; background: {colours.page}; "
        f"color: {colours.text}; font-family: system-ui, sans-serif; }}"
    )


def widget_css(colours: Look) -> str:
    """Of every widget: text of the theme's colour, and a ring that shows where the keyboard is."""
    return f"""
:host, .bk-input-group, label, .bk-slider-title, .bk-slider-value {{ color: {colours.text}; font-size: 13px; }}
.bk-input {{ background-color: {colours.panel}; color: {colours.text}; border-color: {colours.faint}; }}
.bk-input {{ font-size: 13px; }}
option {{ background-color: {colours.panel}; color: {colours.text}; }}
.noUi-handle:focus, .bk-input:focus, .bk-btn:focus, input:focus {{ outline: 3px solid {colours.curves[1]}; }}
"""


LAYOUT = """
:host { display: grid; grid-template-columns: 290px minmax(0, 1fr); grid-template-rows: auto auto 1fr;
  grid-template-areas: "head head" "sliders main" "more main"; gap: 8px 12px; padding: 6px 10px; }
@media (max-width: 820px) {
  :host { grid-template-columns: minmax(0, 1fr); grid-template-areas: "head" "sliders" "main" "more"; padding: 4px; }
}
"""
MAIN = """
:host { display: grid; gap: 8px; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr) minmax(0, 1.15fr);
  grid-template-areas: "key key map" "a b map" "c d map" "numbers detail detail"; align-content: start; }
@media (max-width: 1100px) { :host { grid-template-columns: minmax(0, 1fr) minmax(0, 1fr);
  grid-template-areas: "key key" "a b" "c d" "map map" "numbers numbers" "detail detail"; } }
@media (max-width: 560px) { :host { grid-template-columns: minmax(0, 1fr);
  grid-template-areas: "key" "c" "d" "numbers" "map" "a" "b" "detail"; } }
"""
