"""One visitor's page: widgets, figures, and the threads that compute for them."""

import dataclasses
import html
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import panel as pn
from bokeh.models import Div

from rfdsm.explorer import _look as looks
from rfdsm.explorer._controls import Controls
from rfdsm.explorer._curves import Curves, curves
from rfdsm.explorer._detail_views import VIEWS as VIEW_CLASSES
from rfdsm.explorer._details import DETAILS
from rfdsm.explorer._diagram import boundaries, diagram, key
from rfdsm.explorer._latest import Latest
from rfdsm.explorer._map import Map
from rfdsm.explorer._panels import LossPanels
from rfdsm.explorer._simulations import MOST, Simulated, belongs
from rfdsm.explorer._state import State
from rfdsm.explorer._tools import SimulationBox, TakeAway

REST = 0.09
"""Seconds without a change after which the slow things begin."""
PACE = 0.03
"""Seconds from one message of answers to the next: a browser that is sent more than it draws falls behind."""
SLOW_PACE = 0.065
"""After one with a phase diagram."""
WIDE: dict[str, Any] = {"sizing_mode": "stretch_width"}
PLACES = {"train": "a", "empirical_test": "b", "test": "c", "score": "d"}
NUMBERS = {
    "test": "test loss",
    "floor": "floor (true score)",
    "null": "zero network",
    "empirical_test": "training points, fresh noise",
    "train": "training loss",
    "score": "score error",
}


class Page:
    """What one tab of a browser shows. Changes come from its document's thread only; answers are handed to it."""

    def __init__(self, state: State, dark: bool, doc: Any, refused: str = "") -> None:
        self.state, self.dark, self._doc = state, dark, doc
        self.curves: Curves | None = None
        self.simulated: list[Simulated] = []
        self._colours = looks.look(dark)
        self._closed = threading.Event()
        self._shown_at, self._pace = 0.0, PACE
        self._last, self._waiting, self._watching = 0.0, False, False
        self._shown_key, self._warm = None, False
        self._answers: dict[str, tuple[State, Any, Exception | None]] = {}
        self._answered = threading.Lock()
        self._show = {
            "curves": self._show_curves,
            "diagram": self._show_diagram,
            "boundaries": self._show_boundaries,
            "details": self._show_detail,
        }
        self._workers = {
            "curves": self._worker("curves", curves),
            "diagram": self._worker("diagram", diagram),
            "boundaries": self._worker("boundaries", boundaries),
            "details": self._worker("details", lambda asked: DETAILS[asked.view](asked)),
        }
        self._asked: dict[str, Any] = {}
        self.controls = Controls(state, self._colours, self.change, self._refuse)
        self.panels = LossPanels(self._colours)
        self.map = Map(
            self._colours, lambda psi_n, psi_p: self.change({"psi_n": _rounded(psi_n), "psi_p": _rounded(psi_p)})
        )
        self.views = {name: kind(self._colours) for name, kind in VIEW_CLASSES.items()}
        self.box = SimulationBox(self._colours, lambda: self.state, self._keep_simulated, self._soon)
        self.take_away = TakeAway(self._colours, lambda: self.state)
        self._numbers, self._status = Div(text="", margin=4), Div(text="", margin=0)
        self._refused = pn.pane.Alert(html.escape(refused), alert_type="danger", visible=bool(refused), margin=4)
        self.layout = self._laid_out()

    def start(self) -> None:
        """Begin to compute; the page is there already."""
        self.map.show_cross(self.state)
        self._tell()
        self._request()
        self._rest_soon()

    def close(self, wait: bool = False) -> None:
        """Nobody looks any more. What is being computed goes on to its end, which may be waited for."""
        self._closed.set()
        for work in (*self._workers.values(), self.box):
            work.close()
        if wait:
            for work in (*self._workers.values(), self.box):
                work.close(wait)

    def change(self, fields: dict[str, Any]) -> None:
        """Ask for another state; what cannot be shown is refused in words, and the widgets go back."""
        try:
            new = self.state.replace(**fields)
        except ValueError as error:
            self._refuse(str(error))
            self.controls.show(self.state)
            return
        if self._refused.visible:
            self._refused.visible = False
        self.state = new
        self.controls.show(new)
        self._request()
        self._rest_soon()

    def _refuse(self, words: str) -> None:
        self._refused.param.update(object=html.escape(words), visible=True)

    def _request(self) -> None:
        """The quick things, at once."""
        self._workers["curves"].ask(self.state)
        self._ask("diagram", key(self.state))

    def _rest_soon(self) -> None:
        self._last = time.monotonic()
        if not self._waiting:
            self._waiting = True
            self._doc.add_timeout_callback(self._rested, int(1000 * REST))

    def _rested(self) -> None:
        """The slow things, once nothing has changed for a while; and as long as anything computes, say so."""
        left = REST - (time.monotonic() - self._last)
        if any(self._workers[name].busy for name in ("curves", "diagram")):
            left = max(left, 0.02)  # else the slow things would hold up the quick ones
        if left > 0.005:
            self._doc.add_timeout_callback(self._rested, int(1000 * left) + 1)
            return
        self._waiting = False
        self.controls.tell()
        self._ask("boundaries", key(self.state))
        self._ask_details()
        for name, view in self.views.items():
            view.figure.visible = name == self.state.view
        self._show_numbers()
        self.take_away.show(self.state)
        self._write_address()
        self._watch()

    def _ask(self, name: str, wanted: Any) -> None:
        if self._asked.get(name) != wanted:
            self._asked[name] = wanted
            self._workers[name].ask(self.state)

    def _ask_details(self) -> None:
        """After the boundaries, with which they would share the cores."""
        if self._closed.is_set():
            return
        if self._workers["boundaries"].busy:
            self._doc.add_timeout_callback(self._ask_details, 40)
            return
        self._ask("details", _detail_key(self.state))
        self._watch()

    def _watch(self) -> None:
        if not self._watching:
            self._watching = True
            self._watch_work()

    def _write_address(self) -> None:
        location = pn.state.location
        search = f"?{self.state.query()}{'&theme=dark' if self.dark else ''}"
        if location is not None and location.search != search:
            location.search = search

    def _watch_work(self) -> None:
        if self._closed.is_set():
            return
        self._tell()
        self._watching = any(worker.busy for worker in self._workers.values())
        if self._watching:
            self._doc.add_timeout_callback(self._watch_work, 200)

    def _tell(self) -> None:
        if not self._warm:
            words = "<b>Compiling the theory</b>: some seconds, at the first start. Controls work already."
        else:
            busy = any(worker.busy for worker in self._workers.values())
            words = "computing …" if busy else ""
        text = f'<div role="status" style="min-height:1.3em;color:{self._colours.text}">{words}</div>'
        if self._status.text != text:
            self._status.text = text

    def _worker(self, name: str, compute: Callable[[State], Any]) -> Latest[State]:
        def deliver(asked: State, answer: Any, error: Exception | None) -> None:
            with self._answered:
                first = not self._answers
                self._answers[name] = asked, answer, error  # one that was not shown yet is never shown
            if first:
                self._soon(self._show_answers_in_time)

        return Latest(compute, deliver)

    def _show_answers_in_time(self) -> None:
        left = self._shown_at + self._pace - time.monotonic()
        if left > 0:
            self._doc.add_timeout_callback(self._show_answers, int(1000 * left) + 1)
        else:
            self._show_answers()

    def _show_answers(self) -> None:
        """All that is new, in one message: each has its price, whatever it holds."""
        with self._answered:
            answers, self._answers = self._answers, {}
        self._shown_at, self._pace = time.monotonic(), SLOW_PACE if "diagram" in answers else PACE
        with pn.io.hold(self._doc):
            self.controls.tell()
            for name, (asked, answer, error) in answers.items():
                if error:
                    self._refuse(str(error) or type(error).__name__)
                else:
                    self._show[name](asked, answer)

    def _soon(self, call: Callable[[], None]) -> None:
        """On the document's own thread, unless the page is gone."""
        if not self._closed.is_set():
            self._doc.add_next_tick_callback(lambda: None if self._closed.is_set() else call())

    def _show_curves(self, asked: State, found: Curves) -> None:
        self.curves = found
        self.map.show_cross(asked)  # with the curves: every message has its price
        self.panels.show(found)
        self._show_simulated()
        if not self._waiting:
            self._show_numbers()
        if not self._warm and self._shown_key is not None:
            self._warm = True
            self._tell()

    def _show_numbers(self) -> None:
        """At rest: a text that changes lays out the whole page."""
        if self.curves is not None:
            words = _numbers(self.curves, self._colours)
            if self._numbers.text != words:
                self._numbers.text = words

    def _show_diagram(self, asked: State, found: Any) -> None:
        self._shown_key = found.key
        self.map.show(found)
        if not self._warm and self.curves is not None:
            self._warm = True
            self._tell()

    def _show_boundaries(self, asked: State, found: Any) -> None:
        if found.key == key(self.state):  # or they belong to other areas
            self.map.show_boundaries(found)

    def _show_detail(self, asked: State, found: Any) -> None:
        if _detail_key(asked) == _detail_key(self.state):
            self.views[asked.view].show(found)

    def _keep_simulated(self, point: Simulated) -> None:
        self.simulated = [*self.simulated, point][-MOST:]
        self._show_simulated()

    def _show_simulated(self) -> None:
        if self.curves is not None:
            state, draws = self.curves.state, self.curves.draws
            points = [point for point in self.simulated if belongs(point, state, draws)]
            self.panels.show_simulated(points, self.curves)

    def _reset(self, *_: Any) -> None:
        self.simulated = []
        self.change(dataclasses.asdict(State()))

    def _switch_theme(self, *_: Any) -> None:
        location = pn.state.location
        if location is not None:
            theme = "" if self.dark else "&theme=dark"
            location.param.update(search=f"?{self.state.query()}{theme}", reload=True)

    def _laid_out(self) -> Any:
        css, controls = [looks.widget_css(self._colours)], self.controls
        button: dict[str, Any] = {"stylesheets": css, "margin": (2, 6), **WIDE}
        reset = pn.widgets.Button(label="reset", **button)
        reset.on_click(self._reset)
        theme = pn.widgets.Button(label="light" if self.dark else "dark", **button)
        theme.on_click(self._switch_theme)
        title = pn.pane.HTML("<h1 style='font-size:16px;margin:2px 6px'>rfdsm explorer</h1>", margin=0)
        places = controls.places
        sliders = [places[name] for name in ("psi_n", "psi_p", "m", "ridge", "t")]
        structure = [_row(controls.activation, controls.target), _row(controls.schedule, controls.kind)]
        of_spectrum = [places["fraction"], places["exponent"], controls.file]
        tools = [places["d"], self.box.layout, self.take_away.layout, _row(reset, theme)]
        figures: dict[str, list[Any]] = {area: [self.panels.figures[name]] for name, area in PLACES.items()}
        figures["map"] = [self.map.figure, self.map.key]
        main = [
            _place(area, *(pn.pane.Bokeh(part, margin=0, **WIDE) for part in made)) for area, made in figures.items()
        ]
        main.append(_place("key", pn.pane.Bokeh(self.panels.key, margin=0)))
        main.append(_place("numbers", pn.pane.Bokeh(self._numbers, margin=0)))
        main.append(_place("detail", *(pn.pane.Bokeh(view.figure, margin=0, **WIDE) for view in self.views.values())))
        for name, view in self.views.items():
            view.figure.visible = name == self.state.view
        return pn.Column(
            _place("head", _row(title, pn.pane.Bokeh(self._status, margin=0)), self._refused),
            _place("sliders", controls.preset, *sliders, _row(controls.abscissa, controls.view)),
            _place("main", *main, stylesheets=[looks.MAIN]),
            _place("more", *structure, *of_spectrum, *tools),
            stylesheets=[looks.LAYOUT],
            margin=0,
            **WIDE,
        )


def _row(*parts: Any) -> pn.Row:
    return pn.Row(*parts, margin=0, **WIDE)


def _place(area: str, *parts: Any, **options: Any) -> pn.Column:
    """A part of the grid that the style sheets lay out."""
    return pn.Column(*parts, margin=0, **WIDE, **options, styles={"grid-area": area, "min-width": "0"})


def _detail_key(state: State) -> State:
    """What the view below the losses depends on: all but the abscissa."""
    return dataclasses.replace(state, abscissa="psi_p", d=state.d if state.view == "advice" else 32)


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def _numbers(found: Curves, colours: looks.Look) -> str:
    right = "style='text-align:right;padding-left:12px'"
    rows = "".join(
        f"<tr><td>{words}</td><td {right}><b>{_digits(found.point[name])}</b></td></tr>"
        for name, words in NUMBERS.items()
    )
    harmful = ", <b>worse than a network that outputs zero</b>" if found.harmful else ""
    regime = f"<p style='margin:4px 0'>Regime: <b>{found.regime.replace('_', '-')}</b>{harmful}</p>"
    return f"<div id='numbers' style='color:{colours.text};font-size:13px'>{regime}<table>{rows}</table></div>"


def _digits(value: float) -> str:
    return "∞" if np.isinf(value) else "did not converge" if np.isnan(value) else f"{value:.5g}"
