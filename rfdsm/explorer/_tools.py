"""What can be done at a point: simulate it, copy it, take pictures and numbers away."""

# Bokeh's and Panel's annotations know neither their own subclasses nor what a property holds once it is set.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportOptionalMemberAccess=false

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import panel as pn

from rfdsm.explorer._exports import DATA, PICTURES, THINGS, exported
from rfdsm.explorer._look import Look, widget_css
from rfdsm.explorer._simulations import TRIALS, Cancelled, Simulated, check_size, simulated
from rfdsm.explorer._state import State
from rfdsm.explorer._texts import KINDS, text

COPY = "navigator.clipboard.writeText(area.value)"
"""What no widget offers."""


class SimulationBox:
    """A button, progress, and a way out. `done(point)` gets what was simulated, through `soon`."""

    def __init__(
        self,
        colours: Look,
        state: Callable[[], State],
        done: Callable[[Simulated], None],
        soon: Callable[[Callable[[], None]], None],
    ) -> None:
        self._state, self._done, self._soon = state, done, soon
        self._cancelled = threading.Event()
        self._threads: list[threading.Thread] = []
        css = [widget_css(colours)]
        shared: dict[str, Any] = {"sizing_mode": "stretch_width", "margin": (2, 6), "stylesheets": css}
        self.start = pn.widgets.Button(label="simulate this point", color="primary", **shared)
        self.cancel = pn.widgets.Button(label="cancel", disabled=True, **shared)
        self.progress = pn.indicators.Progress(value=0, max=TRIALS, visible=False, **shared)
        self.words = pn.pane.HTML("", margin=(0, 6), sizing_mode="stretch_width")
        self.start.on_click(self._start)
        self.cancel.on_click(self._cancel)
        row = pn.Row(self.start, self.cancel, margin=0, sizing_mode="stretch_width")
        self.layout = pn.Column(row, self.progress, self.words, margin=0, sizing_mode="stretch_width")

    def close(self, wait: bool = False) -> None:
        """Stop what runs, which takes as long as the trial it is at; that may be waited for."""
        self._cancelled.set()
        for thread in self._threads if wait else ():
            thread.join()

    def _start(self, *_: Any) -> None:
        state = self._state()
        try:
            check_size(state)
        except ValueError as error:
            self._say(str(error))
            return
        self._cancelled = threading.Event()
        self.start.disabled, self.cancel.disabled = True, False
        self.progress.param.update(value=0, visible=True)
        self._say(f"simulating {TRIALS} networks in d = {state.d} dimensions …")
        thread = threading.Thread(target=self._run, args=(state, self._cancelled), daemon=True)
        self._threads = [*filter(threading.Thread.is_alive, self._threads), thread]  # one was cancelled a moment ago
        thread.start()

    def _cancel(self, *_: Any) -> None:
        self._cancelled.set()
        self._finish("cancelled")

    def _run(self, state: State, cancelled: threading.Event) -> None:
        def told(done: int, _: int) -> None:
            self._soon(lambda: self.progress.param.update(value=done) if not cancelled.is_set() else None)

        try:
            point = simulated(state, told, cancelled)
        except Cancelled:
            return
        except Exception as error:  # it is shown where the result would be
            words = str(error) or type(error).__name__
            self._soon(lambda: None if cancelled.is_set() else self._finish(words))
            return
        self._soon(lambda: None if cancelled.is_set() else self._arrived(point))

    def _arrived(self, point: Simulated) -> None:
        mean, error = point.mean["test"], point.error["test"]
        sizes = f"n = {point.n}, p = {point.p}"
        self._finish(f"d = {point.state.d}, {sizes}: test loss {mean:.4g} ± {error:.2g}")
        self._done(point)

    def _finish(self, words: str) -> None:
        self.start.disabled, self.cancel.disabled = False, True
        self.progress.visible = False
        self._say(words)

    def _say(self, words: str) -> None:
        self.words.object = f'<span role="status">{words}</span>'


class TakeAway:
    """The point as text to copy; pictures and data to download."""

    def __init__(self, colours: Look, state: Callable[[], State]) -> None:
        self._now = state
        css = [widget_css(colours)]
        shared: dict[str, Any] = {"sizing_mode": "stretch_width", "margin": (2, 6), "stylesheets": css}
        self.kind = pn.widgets.Select(label="copy as", options=list(KINDS), **shared)
        self.area = pn.widgets.TextAreaInput(label="text", value="", rows=3, max_length=20000, **shared)
        self.copy = pn.widgets.Button(label="copy", **shared)
        self.copy.js_on_click(args={"area": self.area}, code=COPY)
        self.thing = pn.widgets.Select(label="download", options=list(THINGS), **shared)
        self.files = {suffix: self._download(suffix, css) for suffix in (*PICTURES, *DATA)}
        self.kind.param.watch(lambda _: self.show(self._now()), "value")
        self.thing.param.watch(lambda _: self._name_files(), "value")
        self._name_files()
        row: dict[str, Any] = {"margin": 0, "sizing_mode": "stretch_width"}
        self.layout = pn.Column(
            pn.Row(self.kind, self.thing, **row), pn.Row(self.copy, **row), self.area,
            pn.Row(*self.files.values(), **row), **row,
        )  # fmt: skip

    def _download(self, suffix: str, css: list[str]) -> pn.widgets.FileDownload:
        return pn.widgets.FileDownload(
            callback=partial(self._content, suffix), filename=f"losses.{suffix}", label=suffix.upper(),
            embed=False, auto=True, margin=(2, 3), sizing_mode="stretch_width", stylesheets=css,
        )  # fmt: skip

    def _content(self, suffix: str) -> Any:
        return exported(self._now(), self.thing.value, suffix)

    def _name_files(self) -> None:
        for suffix, button in self.files.items():
            button.param.update(filename=f"{self.thing.value.replace(' ', '_')}.{suffix}", label=suffix.upper())

    def show(self, state: State) -> None:
        """The text of a state."""
        words = text(state, self.kind.value)
        if self.area.value != words:
            self.area.value = words
