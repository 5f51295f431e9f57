"""The page without a browser: every control asks for its state, every answer lands in a figure that stays."""

import time

import numpy as np
import pytest
from bokeh.document import Document
from bokeh.events import Pan

from rfdsm.explorer import (
    _curves as curves,
    _diagram as diagram,
    _page as page,
    _simulations as simulations,
    _tools as tools,
)
from rfdsm.explorer._latest import Latest
from rfdsm.explorer._look import look
from rfdsm.explorer._presets import PRESETS
from rfdsm.explorer._state import DRAWS, State, low_rank

pytestmark = pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")


class Asked(Latest):
    """In the place of a thread: remembers what it was asked."""

    def __init__(self, compute, deliver):
        super().__init__(compute, deliver)
        self.deliver, self.requests = deliver, []

    def ask(self, request):
        self.requests.append(request)

    def close(self):
        self.requests = None


@pytest.fixture(scope="module")
def only():
    """One page for all tests: it takes a second to open."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(page, "Latest", Asked)
        made = page.Page(State(), False, Document())
        yield made
        made.close()


@pytest.fixture
def opened(only):
    """As it was opened."""
    only.change(vars(State()))
    only.simulated.clear()
    only._asked.clear()
    only._waiting = False
    for worker in only._workers.values():
        worker.requests.clear()
    return only


CONTROLS = [
    (lambda c: c.sliders["psi_n"], 0.5, {"psi_n": 3.162}),
    (lambda c: c.sliders["psi_p"], 2.0, {"psi_p": 100.0}),
    (lambda c: c.sliders["ridge"], -6.0, {"ridge": 1e-6}),
    (lambda c: c.sliders["ridge"], -12.5, {"ridge": 0.0}),
    (lambda c: c.sliders["t"], -2.0, {"t": 0.01}),
    (lambda c: c.m, 0, {"m": 1.0}),
    (lambda c: c.m, len(DRAWS) - 1, {"m": np.inf}),
    (lambda c: c.activation, "relu", {"activation": "relu"}),
    (lambda c: c.target, "velocity", {"target": "velocity"}),
    (lambda c: c.schedule, "flow", {"schedule": "flow"}),
    (lambda c: c.abscissa, "ridge", {"abscissa": "ridge"}),
    (lambda c: c.view, "advice", {"view": "advice"}),
    (lambda c: c.kind, "low rank", {"spectrum": low_rank(0.25)}),
    (lambda c: c.kind, "power law", {"spectrum": "power-law:1,0.01"}),
    (lambda c: c.d, 64, {"d": 64}),
]


@pytest.mark.parametrize(("widget", "value", "fields"), CONTROLS)
def test_a_control_asks_for_its_state_and_nothing_else(opened, widget, value, fields):
    widget(opened.controls).value = value
    assert opened.state == State().replace(**fields)
    assert opened._workers["curves"].requests == [opened.state]


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_puts_every_control_in_its_place_and_reset_goes_back(opened, name):
    opened.controls.preset.value = name
    assert opened.state == PRESETS[name]
    controls, state = opened.controls, opened.state
    assert DRAWS[round(controls.m.value)] == state.m
    for field in ("psi_n", "psi_p", "t"):
        assert 10 ** controls.sliders[field].value == pytest.approx(getattr(state, field), rel=0.01)
    for field in ("activation", "schedule", "target", "abscissa", "view"):
        assert getattr(controls, field).value == getattr(state, field)
    assert len(opened._workers["curves"].requests) <= 1  # the widgets that move ask for nothing
    opened._reset()
    assert opened.state == State()


def test_what_cannot_be_shown_is_refused_and_the_controls_go_back(opened):
    opened.change({"psi_n": 1e9})
    assert opened._refused.visible and "psi_n = 1e+09 must be from" in opened._refused.object
    assert opened.state == State() and not opened._workers["curves"].requests
    opened.controls.file.value = b"nothing"
    assert opened.state == State() and "not a .npy file" in opened._refused.object
    opened.change({"psi_n": 4.0})
    assert not opened._refused.visible


def test_a_list_waits_for_its_file(opened):
    opened.controls.kind.value = "list"
    assert opened.state == State() and opened.controls.file.visible
    opened.change({"psi_n": 4.0})
    assert opened.controls.kind.value == "list" and opened.controls.file.visible
    opened.controls.kind.value = "low rank"
    assert opened.state.spectrum == low_rank(0.25) and not opened.controls.file.visible
    opened.change({"spectrum": "atoms:0.5@0.5,1.5@0.5"})
    opened.controls.kind.value = "isotropic"
    opened.controls.kind.value = "list"
    assert opened.state.spectrum == "atoms:0.5@0.5,1.5@0.5"


def test_the_cross_moves_both_ratios_and_stays_in_the_plane(opened):
    opened.map._dragged(Pan(opened.map.figure, x=3.0, y=2.0))
    assert (opened.state.psi_p, opened.state.psi_n) == (3.0, 2.0)
    opened.map._dragged(Pan(opened.map.figure, x=1e9, y=1e-9))
    assert (opened.state.psi_p, opened.state.psi_n) == (500.0, 0.05)
    opened._show_curves(opened.state, curves.curves(opened.state))
    assert opened.map.cross.data == {"x": [500.0], "y": [0.05]}


def test_the_diagram_is_asked_for_only_where_it_changes(opened):
    opened.change({"psi_p": 3.0})
    opened.change({"psi_n": 3.0, "abscissa": "t"})
    assert len(opened._workers["diagram"].requests) == 1
    opened.change({"t": 0.2})
    assert len(opened._workers["diagram"].requests) == 2


def test_answers_are_pushed_into_figures_that_stay(opened):
    sources = [opened.panels.lines, opened.panels.point, opened.map.areas]
    renderers = [len(made.renderers) for made in opened.panels.figures.values()]
    for m in (1.0, 4.0, np.inf):
        state = opened.state.replace(m=m)
        found = curves.curves(state)
        opened._show_curves(state, found)
        np.testing.assert_array_equal(opened.panels.lines.data["test_1"], found.values["test"][1])
        assert opened.panels.point.data["test"] == [found.point["test"]]
        assert f"{found.point['test']:.5g}" in opened._numbers.text
        chosen = f"m = {'∞' if np.isinf(m) else int(m)} (chosen)"
        assert chosen in opened.panels.key.text and opened.panels.key.text.count("(chosen)") == 1
    assert sources == [opened.panels.lines, opened.panels.point, opened.map.areas]
    assert renderers == [len(made.renderers) for made in opened.panels.figures.values()]


def test_a_point_that_moves_along_the_curves_sends_no_curves(opened):
    opened._show_curves(opened.state, curves.curves(opened.state))
    sent = []
    opened.panels.lines.on_change("data", lambda attr, old, new: sent.append("curves"))
    for field, wanted in (("psi_p", []), ("psi_n", ["curves"])):
        state = opened.state.replace(**{field: 3.0})
        opened._show_curves(state, curves.curves(state))
        assert sent == wanted
        assert opened.map.cross.data[{"psi_p": "x", "psi_n": "y"}[field]] == [3.0]


def test_axes_hold_what_is_drawn_and_seldom_move(opened):
    moved = []
    for axis in opened.panels._y.values():
        axis.on_change("end", lambda attr, old, new: moved.append(1))
    for ridge in np.geomspace(1e-3, 1.1e-3, 8):
        state = opened.state.replace(ridge=float(f"{ridge:.4g}"))
        found = curves.curves(state)
        opened._show_curves(state, found)
        for name, axis in opened.panels._y.items():
            values = found.values[name][np.isfinite(found.values[name])]
            assert axis.start < values.min() and values.max() < axis.end
    assert len(moved) <= 8  # four axes, once at first, and hardly again


def test_boundaries_of_another_diagram_are_not_shown(opened):
    places = np.array([1.0, 2.0])
    roots = dict.fromkeys(diagram.FIELDS, np.array([[3.0], [4.0]]))
    late = diagram.Boundaries(diagram.key(State(t=0.2)), places, places, roots, roots)
    opened._show_boundaries(opened.state, late)
    assert len(opened.map.boundaries["memorisation"].data["x"]) == 1
    opened._show_boundaries(opened.state, late._replace(key=diagram.key(opened.state)))
    shown = opened.map.boundaries["memorisation"].data
    assert shown["x"][:2].tolist() == [3, 4] and shown["y"][:2].tolist() == [1, 2]


def test_simulated_points_come_and_go_with_their_curves(opened):
    state = opened.state
    opened._show_curves(state, curves.curves(state))
    numbers = dict.fromkeys(curves.NAMES, 0.5)
    opened._keep_simulated(simulations.Simulated(state, 256, 512, numbers, dict.fromkeys(curves.NAMES, 0.1)))
    assert opened.panels.simulated.data["x"] == [16.0]
    assert opened.panels.simulated.data["test_lower"] == [0.4]
    assert "simulated" in opened.panels.key.text
    for fields, there in (({"psi_p": 3.0}, 1), ({"t": 0.2}, 0), ({}, 1)):
        moved = state.replace(**fields)
        opened._show_curves(moved, curves.curves(moved))
        assert len(opened.panels.simulated.data["x"]) == there


def test_closing_waits_for_a_simulation(monkeypatch):
    ended = []
    monkeypatch.setattr(tools, "simulated", lambda *_: time.sleep(0.2) or ended.append(1))
    box = tools.SimulationBox(look(False), State, print, lambda _: None)
    box._start()
    box.close(wait=True)
    assert ended == [1]


def test_an_error_in_the_background_is_told(opened, monkeypatch):
    told = []
    monkeypatch.setattr(opened._doc, "add_next_tick_callback", lambda call: told.append(call))
    opened._workers["details"].deliver(opened.state, None, ValueError("psi_p must not"))
    told[0]()
    assert opened._refused.visible and "psi_p must not" in opened._refused.object
