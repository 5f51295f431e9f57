"""The widgets by which a state is asked for, and which show the state they are given."""

import dataclasses
import io
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import panel as pn

from rfdsm import activations, schedules, spectra, targets
from rfdsm._values import shown
from rfdsm.explorer._look import Look, widget_css
from rfdsm.explorer._presets import PRESETS
from rfdsm.explorer._state import (
    ABSCISSAE,
    DIMENSIONS,
    DRAWS,
    VIEWS,
    Number,
    State,
    low_rank,
    power_law,
    spans,
    spectrum_text,
)

STEP = 0.01
"""Of sliders, in decades."""
SYMBOLS = {"psi_n": "n/d", "psi_p": "p/d", "ridge": "ridge λ", "t": "time t"}
ABSCISSA_NAMES = {"psi_p": "width p/d", "psi_n": "samples n/d", "t": "time t", "ridge": "ridge λ"}
VIEW_NAMES = {"spectrum": "spectrum of U", "training": "training", "generation": "generated", "advice": "advice"}
KINDS = ("isotropic", "low rank", "power law", "list")
"""Of spectra; a list of eigenvalues is what a file becomes."""
CUTOFF = 0.01
"""Of power laws: the share of directions that have the largest eigenvalues."""


class _Live(pn.widgets.FloatSlider):
    """A slider whose moves are handled as they come; those that come faster than they can be are merged."""

    _debounce: ClassVar[int] = 1


class Controls:
    """`changed(fields)` is called with what the user moved; `show` moves the widgets without calling it, `tell` says
    their values.

    What cannot be read, as a file that is none, is told to `refused` in words.
    """

    def __init__(
        self, state: State, colours: Look, changed: Callable[[dict[str, Any]], None], refused: Callable[[str], None]
    ) -> None:
        self._refused = refused
        self._changed, self._showing, self._css = changed, False, [widget_css(colours)]
        self._list = state.spectrum
        self._awaited: str | None = None
        """The spectrum that is shown until a file is chosen."""
        self._words: dict[str, str] = {}
        """Titles of sliders that are to be told."""
        self.places: dict[str, Any] = {}
        """Of every slider."""
        self.sliders = {name: self._slider(name, spans(state)[name]) for name in ("psi_n", "psi_p", "ridge", "t")}
        self.m = self._add(_Live, "m", lambda place: {"m": DRAWS[round(place)]}, start=0, end=len(DRAWS) - 1, step=1)
        self.fraction = self._add(_Live, "fraction", self._read_spectrum, start=0.01, end=0.99, step=0.01, value=0.25)
        self.exponent = self._add(_Live, "exponent", self._read_spectrum, start=0.1, end=3.0, step=0.05, value=1.0)
        self.activation = self._select("activation", "activation", list(activations.NAMES))
        self.schedule = self._select("schedule", "schedule", list(schedules.NAMES))
        by_name = [name for name in targets.NAMES if name != "linear"]  # which needs numbers
        self.target = self._select("target", "network predicts", by_name)
        self.abscissa = self._select("abscissa", "losses against", {ABSCISSA_NAMES[name]: name for name in ABSCISSAE})
        self.view = self._select("view", "below them", {VIEW_NAMES[name]: name for name in VIEWS})
        self.kind = self._add(pn.widgets.Select, "kind", self._read_spectrum, options=list(KINDS), title="covariance")
        self.file = self._add(pn.widgets.FileInput, "file", self._read_file, accept=".npy", multiple=False)
        self.d = self._add(
            _Live, "d", lambda _: {"d": int(self.d.value)}, start=DIMENSIONS[0], end=DIMENSIONS[1], step=16
        )
        options = {"settings of the papers …": "", **{name: name for name in PRESETS}}
        self.preset = self._add(pn.widgets.Select, "preset", self._read_preset, options=options, title="preset")
        self.show(state)
        self.tell()

    def _add(self, kind: Any, name: str, read: Callable[[Any], dict[str, Any]], title: str = "", **options: Any) -> Any:
        options |= {"stylesheets": self._css, "sizing_mode": "stretch_width", "margin": (2, 6)}
        if kind is _Live:
            options |= {"show_value": False, "tooltips": False, "margin": (0, 10, 4, 10)}
        elif title:
            options["label"] = title
        made = kind(**options, tags=[name])

        def watch(event: Any) -> None:
            if self._showing:
                return
            try:
                fields = read(event.new)
            except ValueError as error:
                self._refused(str(error))
                return
            if fields:
                self._changed(fields)

        made.param.watch(watch, "value")
        if kind is _Live:
            self.places[name] = made
        return made

    def _slider(self, name: str, span: tuple[float, float]) -> _Live:
        low, high = np.log10(span)
        if name == "ridge":
            low -= 0.5  # the place of 0

        def read(place: Number) -> dict[str, Any]:
            begin, end = self.sliders[name].start, self.sliders[name].end
            if name == "ridge" and place < np.log10(span[0]) - 0.25:
                return {name: 0.0}
            return {name: value_at(place, (begin + (0.5 if name == "ridge" else 0), end))}

        return self._add(_Live, name, read, start=low, end=high, step=STEP, value=low)

    def _select(self, name: str, title: str, options: Any) -> Any:
        return self._add(pn.widgets.Select, name, lambda value: {name: value}, title=title, options=options)

    def _read_preset(self, name: str) -> dict[str, Any]:
        return dataclasses.asdict(PRESETS[name]) if name else {}

    def _read_spectrum(self, _: Any) -> dict[str, Any]:
        if self.kind.value == "list" and kind_of(self._list)[0] != "list":
            self._awaited = self._list
            _update(self.file, visible=True)
            return {}
        self._awaited = None
        texts = {
            "isotropic": "isotropic",
            "low rank": low_rank(float(f"{self.fraction.value:.4g}")),
            "power law": power_law(float(f"{self.exponent.value:.4g}"), CUTOFF),
            "list": self._list,
        }
        return {"spectrum": texts[self.kind.value]}

    def _read_file(self, content: bytes | None) -> dict[str, Any]:
        return {"spectrum": uploaded(content)} if content else {}

    def show(self, state: State) -> None:
        """Put every widget where the state has it; only what differs moves."""
        self._showing = True
        try:
            self._show(state)
        finally:
            self._showing = False

    def _show(self, state: State) -> None:
        low, high = np.log10(spans(state)["t"])
        if (self.sliders["t"].start, self.sliders["t"].end) != (low, high):
            self.sliders["t"].param.update(start=low, end=high, value=min(max(self.sliders["t"].value, low), high))
        for name, slider in self.sliders.items():
            value = getattr(state, name)
            place = slider.start if value == 0 else float(np.log10(value))
            # A slider that the user holds is already there, up to the digits that are kept.
            moved = {} if abs(place - slider.value) < STEP / 4 else {"value": min(max(place, slider.start), slider.end)}
            _update(slider, **moved)
            self._words[name] = f"{SYMBOLS[name]} = {shown(value)}"
        nearest = int(np.argmin(np.abs(np.log([min(m, 1e3) for m in DRAWS]) - np.log(min(state.m, 1e3)))))
        words = "∞" if np.isinf(state.m) else shown(state.m)
        _update(self.m, value=nearest)
        self._words["m"] = f"noise draws per sample m = {words}"
        for name in ("activation", "schedule", "target", "abscissa", "view"):
            widget, value = getattr(self, name), getattr(state, name)
            if value not in widget.values:  # with numbers of its own, from the address
                widget.options = [*widget.values, value]
            _update(widget, value=value)
        _update(self.d, value=state.d)
        self._words["d"] = f"simulate at d = {state.d}"
        self._show_spectrum(state.spectrum)
        names = [name for name, preset in PRESETS.items() if preset == state]
        _update(self.preset, value=names[0] if names else "")

    def tell(self) -> None:
        """Say the values that sliders have, with the answers to them: a message of their own would cost a frame.

        In the slider's own title: an element beside it would lay out the page, and draw every figure, anew.
        """
        for name, words in self._words.items():
            _update(self.places[name], label=words)

    def _show_spectrum(self, text: str) -> None:
        if self._awaited == text:
            return
        self._awaited = None
        kind, numbers = kind_of(text)
        self._list = text if kind == "list" or kind_of(self._list)[0] != "list" else self._list
        _update(self.kind, value=kind)
        if kind == "low rank":
            _update(self.fraction, value=numbers)
        if kind == "power law":
            _update(self.exponent, value=min(max(numbers, self.exponent.start), self.exponent.end))
        self._words["fraction"] = f"share of directions with data = {self.fraction.value:.4g}"
        self._words["exponent"] = f"exponent of the power law = {self.exponent.value:.4g}"
        _update(self.places["fraction"], visible=kind == "low rank")
        _update(self.places["exponent"], visible=kind == "power law")
        _update(self.file, visible=kind == "list")


def _update(widget: Any, **values: Any) -> None:
    """Only what differs: every update is a message to the browser."""
    new = {name: value for name, value in values.items() if getattr(widget, name) != value}
    if new:
        widget.param.update(**new)


def value_at(place: Number, ends: tuple[Number, Number]) -> float:
    """The value of a logarithmic slider to four digits, and never beyond its ends."""
    low, high = (10**end for end in ends)
    return min(max(float(f"{10**place:.4g}"), float(f"{low:.12g}")), float(f"{high:.12g}"))


def kind_of(text: str) -> tuple[str, Number]:
    """Which of KINDS a notation is, with its fraction or exponent."""
    name, _, words = text.partition(":")
    if text == "isotropic":
        return "isotropic", 0.0
    if name == "power-law" and float(words.split(",")[1]) == CUTOFF:
        return "power law", float(words.split(",")[0])
    if name == "atoms" and words.startswith("0@") and words.count(",") == 1:
        value, _, weight = words.split(",")[1].partition("@")
        if float(value) == 1 and weight and text == low_rank(float(weight)):
            return "low rank", float(weight)
    return "list", 0.0


def uploaded(content: bytes) -> str:
    """The notation of a file's eigenvalues or covariance matrix. Raises ValueError for anything else."""
    try:
        array = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError, OSError):
        raise ValueError("spectrum: the file is not a .npy file of numbers") from None
    if array.ndim not in (1, 2):
        raise ValueError(f"spectrum: the file has shape {array.shape}, must be (d,) or (d, d)")
    return spectrum_text((spectra.from_eigenvalues if array.ndim == 1 else spectra.from_covariance)(array, nodes=32))
