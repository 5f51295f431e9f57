"""What the explorer computes: the numbers of the package's functions, in arrays of one size."""

import threading
import warnings
from types import SimpleNamespace

import jax.monitoring
import numpy as np
import pytest

from rfdsm import boundary, phase_diagram, plots, predict
from rfdsm.explorer import (
    _curves as curves,
    _details as details,
    _diagram as diagram,
    _exports as exports,
    _simulations as simulations,
)
from rfdsm.explorer._latest import Latest
from rfdsm.explorer._look import LIGHT
from rfdsm.explorer._state import ABSCISSAE, DRAWS, SPANS, State, low_rank
from rfdsm.losses import Losses

pytestmark = pytest.mark.usefixtures("one_contour")
STATE = State()


@pytest.mark.parametrize(("abscissa", "m"), list(zip(ABSCISSAE, (1.0, 4.0, np.inf, 4.0), strict=True)))
def test_curves_are_those_of_predict(abscissa, m):
    state = STATE.replace(abscissa=abscissa, m=m, spectrum=low_rank(0.25))
    found = curves.curves(state)
    for k, draws in enumerate(found.draws):
        wanted = predict(state.problem(**{abscissa: found.x, "m": draws}))
        for name in Losses.NAMES:
            np.testing.assert_allclose(found.values[name][k], getattr(wanted, name), rtol=1e-10)
    here = predict(state.problem())
    assert found.draws[found.own] == m
    assert found.point == pytest.approx({name: float(getattr(here, name)) for name in (*Losses.NAMES, *Losses.BOUNDS)})
    assert found.x.size == curves.POINTS


@pytest.mark.slow
def test_the_point_may_be_singular():
    found = curves.curves(STATE.replace(psi_p=32.0, ridge=0.0))  # p = nm
    assert found.point["test"] == np.inf
    assert found.harmful
    assert not np.any(np.isinf(found.values["test"]))


def test_lines_follow_the_abscissa():
    assert curves.curves(STATE).lines == {"p_n": 8, "p_nm": 32}
    assert curves.curves(STATE.replace(abscissa="psi_n")).lines == {"p_n": 16, "p_nm": 4}
    assert np.isnan(curves.curves(STATE.replace(abscissa="t")).lines["p_n"])
    assert np.isnan(curves.curves(STATE.replace(m=np.inf)).lines["p_nm"])


@pytest.mark.slow
def test_moving_sliders_compiles_nothing():
    compiled = []

    def count(event, _, **__):
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(event)

    random = np.random.default_rng(0)

    def moved(k):
        fields = {name: float(10 ** random.uniform(*np.log10(SPANS[name]))) for name in SPANS}
        fields |= {"t": float(10 ** random.uniform(-3, 0.5)), "m": float(random.choice(DRAWS))}
        return STATE.replace(**fields, abscissa=ABSCISSAE[k % 4])

    for k in range(4):
        curves.curves(moved(k))
        diagram.diagram(moved(k))
    jax.monitoring.register_event_duration_secs_listener(count)
    try:
        for k in range(40):
            curves.curves(moved(k))
        for k in range(8):
            diagram.diagram(moved(k))
        assert compiled == []
        curves.predict_in_chunks(STATE.problem(), 7)  # the counter does count
        assert compiled
    finally:
        jax.monitoring.unregister_event_duration_listener(count)


def test_the_diagram_is_that_of_phase_diagram():
    found = diagram.diagram(STATE)
    psi_n, psi_p = diagram.axes()
    wanted = phase_diagram(STATE.problem(psi_n=psi_n[:, None], psi_p=psi_p))
    np.testing.assert_array_equal(found.regime, wanted["regime"])
    np.testing.assert_array_equal(found.harmful, wanted["is_harmful"])
    assert found.regime.shape == (diagram.CELLS, diagram.CELLS)


def test_its_key_leaves_out_what_it_does_not_depend_on():
    same = STATE.replace(psi_n=1.0, psi_p=2.0, abscissa="t", view="advice", d=64)
    assert diagram.key(same) == diagram.key(STATE)
    for fields in ({"m": 1.0}, {"t": 0.2}, {"ridge": 0.0}, {"activation": "erf"}, {"spectrum": low_rank(0.5)}):
        assert diagram.key(STATE.replace(**fields)) != diagram.key(STATE)
    for fields in ({"schedule": "flow"}, {"target": "data"}):
        assert diagram.key(STATE.replace(**fields)) != diagram.key(STATE)


@pytest.mark.slow
def test_boundaries_are_those_of_boundary():
    found = diagram.boundaries(STATE)
    for field, along, roots in (
        ("memorisation", "psi_p", found.along_psi_p),
        ("harmful", "psi_n", found.along_psi_n),
    ):
        lines = {"psi_n": found.psi_n, "psi_p": 1.0} if along == "psi_p" else {"psi_n": 1.0, "psi_p": found.psi_p}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            wanted = boundary(STATE.problem(**lines), field, along, bounds=SPANS[along]).roots
        np.testing.assert_allclose(roots[field][:, : wanted.shape[1]], wanted[:, : diagram.ROOTS], rtol=1e-9)


def test_the_spectrum_has_all_bulks_and_atoms():
    found = details.spectrum(STATE.replace(psi_p=64.0, m=np.inf, t=0.01, ridge=0.0))
    assert len(found.edges) == 3  # as in docs/spectrum
    assert found.u.size == details.PLACES
    for low, high in found.edges:
        assert np.sum(found.density[(found.u > low) & (found.u < high)] > 0) > 50
    below = details.spectrum(STATE.replace(psi_p=64.0, m=1.0))  # p > nm: null directions
    assert np.any(below.atoms[:, 0] == 0)


@pytest.mark.slow
def test_training_shows_every_scale():
    found = details.training(STATE.replace(psi_n=16.0, psi_p=64.0, m=np.inf, ridge=0.0))
    scales = found.scales
    assert scales["generalisation_time"] < scales["best_time"] < scales["memorisation_time"]
    assert found.times[0] < scales["generalisation_time"] < scales["memorisation_time"] < found.times[-1]
    best = np.interp(np.log(scales["best_time"]), np.log(found.times), found.losses["test"])
    assert best == pytest.approx(found.losses["test"].min(), rel=1e-3)


@pytest.mark.slow
def test_generation_has_a_law_for_other_schedules():
    found = details.generation(STATE.replace(schedule="flow", target="data", psi_p=2.0, ridge=0.03))
    assert found.converged
    assert np.all(np.diff(found.nodes) >= 0)
    assert np.all(found.variance >= 0)


def test_advice_is_that_of_advise(monkeypatch):
    problem = STATE.problem()
    asked = dict(n=256, d=32, p=512, ridge=1e-3, t=0.1, m=4, budget=0, activation=problem.activation)
    asked |= dict(spectrum=problem.spectrum, schedule=STATE.schedule, target=STATE.target)
    monkeypatch.setattr(details, "advise", lambda **given: SimpleNamespace(text=lambda: repr(given == asked)))
    assert details.advice(STATE) == "True"


@pytest.mark.slow
def test_simulated_points_have_means_and_errors_and_can_be_cancelled():
    told = []
    point = simulations.simulated(
        STATE.replace(psi_n=2.0, psi_p=1.0), lambda *done: told.append(done), threading.Event(), trials=3
    )
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]
    theory = float(predict(point.state.problem()).test)
    assert point.mean["test"] == pytest.approx(theory, rel=0.1)
    assert 0 < point.error["test"] < 0.1
    cancelled = threading.Event()
    with pytest.raises(simulations.Cancelled):
        simulations.simulated(STATE.replace(psi_n=2.0, psi_p=1.0), lambda *_: cancelled.set(), cancelled)


def test_sizes_and_unknown_exports_are_refused_in_words():
    simulations.check_size(STATE.replace(psi_n=0.05))  # n = 2, just enough
    with pytest.raises(ValueError, match="p = 16000"):
        simulations.check_size(STATE.replace(psi_p=500.0))
    for asked, words in ((("cake", "png"), "thing = 'cake'"), (("losses", "gif"), "suffix = 'gif'")):
        with pytest.raises(ValueError, match=f"{words} must be one of"):
            exports.exported(STATE, *asked)


def test_points_belong_to_their_curves_only():
    nothing: dict[str, float] = {}
    point = simulations.Simulated(STATE, 256, 512, nothing, nothing)
    assert simulations.belongs(point, STATE.replace(psi_p=99.0, view="advice", d=64), (1.0, 4.0, np.inf))
    assert not simulations.belongs(point, STATE.replace(psi_p=99.0, abscissa="t"), (1.0, 4.0, np.inf))
    assert not simulations.belongs(point, STATE.replace(psi_n=9.0), (1.0, 4.0, np.inf))
    assert not simulations.belongs(point, STATE.replace(m=8.0), (1.0, 8.0, np.inf))
    assert simulations.belongs(point, STATE.replace(m=1.0), (1.0, 4.0, np.inf))


STARTS = {"svg": b"<?xml", "png": b"\x89PNG", "csv": b"m,psi_p", "nc": b"CDF"}


@pytest.mark.slow
@pytest.mark.parametrize("thing", exports.THINGS)
def test_everything_is_carried_away(thing):
    for suffix in exports.PICTURES + exports.DATA if thing == "losses" else ("png", "nc"):
        content = exports.exported(STATE, thing, suffix).getvalue()
        assert len(content) > 1000 and content.startswith(STARTS[suffix])


def test_only_the_latest_request_is_answered():
    began, go, answered = threading.Event(), threading.Event(), threading.Event()
    given = []

    def compute(request):
        began.set()
        assert go.wait(600)
        if request == 3:
            raise ValueError("three")
        return 10 * request

    def deliver(*answer):
        given.append((*answer[:2], str(answer[2])))
        if len(given) == 2:
            answered.set()

    worker = Latest(compute, deliver)
    worker.ask(1)
    assert began.wait(600) and worker.busy
    worker.ask(2)
    worker.ask(3)
    go.set()
    assert answered.wait(600)
    assert given == [(1, 10, "None"), (3, None, "three")]
    worker.close(wait=True)
    worker.ask(4)
    assert not worker.busy and not worker._thread.is_alive()


def test_colours_of_the_page_are_those_of_the_pictures():
    assert LIGHT.curves == plots.COLOURS[:3]
    assert set(LIGHT.regimes) == set(plots.REGIMES)
