"""The page in a real browser: every control, tabs, reload, a killed server, wrong addresses, the console."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rfdsm import predict, spectra
from rfdsm.explorer._curves import NAMES
from rfdsm.explorer._presets import PRESETS
from rfdsm.explorer._server import LOST
from rfdsm.explorer._state import DRAWS, State, low_rank
from tests.explorer import driver

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(driver.chromium() is None, reason="no Chromium: apt-get install chromium"),
    # The driver's own, on its way out.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def context():
    pytest.importorskip("playwright.sync_api")
    with driver.browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def url():
    with driver.server() as (_, address):
        yield address


@pytest.fixture(scope="module")
def opened(context, url):
    made = driver.Tab(context, url)
    yield made
    made.page.close()


@pytest.fixture
def tab(opened, url):
    """The same tab for all, put back: a page takes longer to load than any of its controls to answer."""
    if opened.state() != State() or opened.page.locator(".alert-danger:visible").count():
        opened.page.get_by_role("button", name="reset").click()
        opened.settled(**dataclasses.asdict(State()))
    yield opened
    assert opened.errors == []


def test_opens_with_the_point_of_predict(tab):
    state = tab.settled(psi_n=8, psi_p=16)
    losses, point = predict(state.problem()), tab.read()["point"]
    for name in NAMES:
        assert point[name][0] == pytest.approx(float(getattr(losses, name)), rel=1e-9)
    assert f"{float(losses.test):.5g}" in tab.page.locator("#numbers").inner_text()


@pytest.mark.parametrize("name", ["psi_n", "psi_p", "ridge", "t"])
def test_the_keyboard_moves_a_slider(tab, name):
    before = getattr(tab.settled(), name)
    tab.handle(name).focus()
    for _ in range(3):
        tab.page.keyboard.press("ArrowRight")
    tab.wait(lambda: getattr(tab.state(), name) > before * 10**0.015, f"{name} did not move")
    assert getattr(tab.settled(), name) < before * 10**0.045


def test_draws_and_ridge_zero(tab):
    tab.settled()
    for place in (0, len(DRAWS) - 1):
        tab.slide("m", place)
        tab.settled(m=DRAWS[place])
    tab.slide("ridge", -12.5)
    state = tab.settled(ridge=0)
    assert float(predict(state.problem()).train) == pytest.approx(tab.read()["point"]["train"][0], rel=1e-9)


@pytest.mark.parametrize(
    ("label", "option", "field"),
    [
        ("activation", "relu", "activation"),
        ("network predicts", "velocity", "target"),
        ("schedule", "flow", "schedule"),
        ("losses against", "ridge", "abscissa"),
        ("losses against", "psi_n", "abscissa"),
    ],
)
def test_menus_change_what_they_should(tab, label, option, field):
    tab.settled()
    choose(tab, label, field, option)
    tab.settled(**{field: option})


def choose(tab, label, field, option):
    names = {"abscissa": {"t": "time t", "ridge": "ridge λ", "psi_n": "samples n/d", "psi_p": "width p/d"}}
    tab.page.get_by_label(label, exact=True).select_option(label=names.get(field, {}).get(option, option))


def test_spectra(tab, tmp_path):
    tab.settled()
    choose(tab, "covariance", "spectrum", "low rank")
    tab.settled(spectrum=low_rank(0.25))
    tab.slide("fraction", 0.5)
    tab.settled(spectrum=low_rank(0.5))
    choose(tab, "covariance", "spectrum", "power law")
    tab.settled(spectrum="power-law:1,0.01")
    choose(tab, "covariance", "spectrum", "list")
    file = tmp_path / "eigenvalues.npy"
    np.save(file, [0.5, 1.5])
    tab.page.locator("input[type=file]:visible").set_input_files(file)
    state = tab.settled(spectrum="atoms:0.5@0.5,1.5@0.5")
    assert state.problem().spectrum == spectra.atoms([0.5, 1.5])


def test_presets_and_reset(tab):
    tab.settled()
    name = "One draw: a peak at p = n (2502.00336)"
    choose(tab, "preset", "preset", name)
    assert tab.settled(m=1, psi_p=8) == PRESETS[name]
    tab.page.get_by_role("button", name="reset").click()
    assert tab.settled(m=4) == State()


def test_the_cross_is_dragged(tab):
    tab.settled()
    box = tab.page.locator(".bk-Figure").nth(4).bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + 150
    tab.page.mouse.move(x, y)
    tab.page.mouse.down()
    for k in range(10):
        tab.page.mouse.move(x + 4 * k, y + 5 * k)
    tab.page.mouse.up()
    tab.wait(lambda: tab.state().psi_p not in (8, 16) and tab.state().psi_n != 8, "the cross did not move")
    tab.settled()


@pytest.mark.parametrize("view", ["training", "generation", "advice"])
def test_views_appear(tab, view):
    tab.settled()
    names = {"training": "training", "generation": "generated", "advice": "advice"}
    tab.page.get_by_label("below them").select_option(label=names[view])
    tab.settled(view=view)
    source, column = {"training": ("training", "time"), "generation": ("variance", "x"), "advice": ("", "")}[view]
    if view == "advice":
        tab.wait(lambda: "What to do" in tab.page.content() or advice_text(tab), "no advice")
    else:
        tab.wait(lambda: len(tab.page.evaluate("([s, c]) => column(s, c)", [source, column])) > 50, f"no {view}")


def advice_text(tab):
    return "samples in" in tab.page.evaluate("() => model('advice').text")


EVENTS = """events => new Promise(done => {
  const next = k => {
    if (k === events.length) return done();
    window.sliders[events[k][0]].value = events[k][1];
    setTimeout(next, 10, k + 1);
  };
  next(0);
})"""


def test_random_events_leave_a_consistent_page(tab):
    tab.settled()
    random = np.random.default_rng(0)
    ends = {"psi_n": (-1.3, 2.3), "psi_p": (-1.3, 2.7), "ridge": (-12.5, 2), "t": (-3, 0.7), "m": (0, 6)}
    names = [str(name) for name in random.choice(list(ends), 500)]
    events = [[name, round(random.uniform(*ends[name]), 0 if name == "m" else 2)] for name in names]
    tab.page.evaluate(EVENTS, events)
    last = dict(events)  # of every slider
    wanted = {name: 10 ** last[name] for name in ("psi_n", "psi_p", "t")}
    for _ in range(240):  # events wait for one another where the machine is slow
        state = tab.settled(m=DRAWS[int(last["m"])])
        if all(getattr(state, name) == pytest.approx(value, rel=0.03) for name, value in wanted.items()):
            break
        tab.page.wait_for_timeout(500)
    assert {name: getattr(state, name) for name in wanted} == pytest.approx(wanted, rel=0.03)


SHEETS = """() => {
  window.sheets = 0;
  const glyphs = all => all.filter(one => one.target.nodeName === "STYLE"
    && one.target.getRootNode().host?.matches(".bk-GlyphRenderer"));
  const watched = new MutationObserver(all => window.sheets += glyphs(all).length);
  const watch = root => {
    watched.observe(root, {subtree: true, childList: true});
    root.querySelectorAll("*").forEach(each => each.shadowRoot && watch(each.shadowRoot));
  };
  watch(document);
}"""


def test_moving_curves_change_no_style_sheet(tab):
    """The library writes one for every glyph it paints, and the browser then styles the page anew for each figure."""
    tab.settled()
    tab.page.evaluate(SHEETS)
    for k in range(20):
        tab.slide("psi_n", 0.9 + 0.001 * k)
        tab.page.wait_for_timeout(50)
    tab.settled(psi_n=round(10**0.919, 3))
    assert tab.page.evaluate("() => window.sheets") == 0


def test_two_tabs_are_independent(tab, context, url):
    tab.settled()
    other = driver.Tab(context, url)
    other.slide("psi_p", 2.0)
    other.settled(psi_p=100)
    assert tab.settled() == State()
    assert other.errors == []
    other.page.close()


def test_reload_restores(tab):
    tab.settled()
    tab.slide("psi_n", 0.5)
    choose(tab, "activation", "activation", "erf")
    state = tab.settled(psi_n=3.162, activation="erf")
    tab.page.reload()
    tab.ready()
    assert tab.settled(psi_n=3.162) == state
    tab.page.get_by_role("button", name="dark").click()
    tab.page.wait_for_url("**theme=dark**")
    tab.page.wait_for_timeout(1000)
    tab.ready()
    assert tab.settled(psi_n=3.162) == state


def test_a_wrong_address_is_refused_in_words(tab, url):
    """Others, without a browser, in test_state.py."""
    tab.open(f"{url}?psi_n=-1")
    tab.page.get_by_text("psi_n = -1 must be from 0.05 to 200").first.wait_for(timeout=1000 * driver.PATIENCE)
    tab.settled(psi_n=8)


def test_simulation_progress_cancel_and_live_sliders(tab):
    tab.settled()
    start, cancel = (tab.page.get_by_role("button", name=name) for name in ("simulate this point", "cancel"))
    start.click()
    tab.page.get_by_text("simulating 8 networks").wait_for()
    cancel.click()
    tab.page.get_by_text("cancelled").wait_for()
    assert tab.read()["simulated"]["x"] == []
    tab.slide("psi_p", 0.0)
    tab.settled(psi_p=1)
    start.click()
    tab.slide("psi_p", 0.3)  # while it runs
    tab.settled(psi_p=1.995)
    tab.wait(lambda: len(tab.read()["simulated"]["x"]) == 1, "no simulated point")
    shown = tab.read()["simulated"]
    assert shown["x"] == [1.0]
    theory = float(predict(State(psi_p=1).problem()).test)
    assert shown["test_lower"][0] < shown["test"][0] < shown["test_upper"][0]
    assert shown["test"][0] == pytest.approx(theory, rel=0.1)
    tab.slide("t", -0.5)  # its curve is another one now
    tab.wait(lambda: tab.read()["simulated"]["x"] == [], "a point of another curve stays")


def test_what_is_copied_runs(tab, url):
    state = tab.settled()
    for kind in ("Python", "TOML", "command"):
        tab.page.get_by_label("copy as").select_option(label=kind)
        first = {"Python": "from rfdsm", "TOML": "psi_n = 8", "command": "rfdsm predict"}[kind]
        tab.wait(lambda first=first: first in tab.page.locator("textarea").input_value(), f"no {kind}")
        tab.page.get_by_role("button", name="copy", exact=True).click()
        tab.page.wait_for_timeout(300)
        copied = tab.page.evaluate("() => navigator.clipboard.readText()")
        assert first in copied
        if kind == "Python":
            done = subprocess.run([sys.executable, "-c", copied], capture_output=True, text=True, check=True)
            assert f"{float(predict(state.problem()).test):.4f}" in done.stdout


def test_files_are_downloaded(tab):
    tab.settled()
    starts = {"SVG": b"<?xml", "PNG": b"\x89PNG", "CSV": b"m,psi_p", "NC": b"CDF"}
    for label, start in starts.items():
        with tab.page.expect_download(timeout=1000 * driver.PATIENCE) as waiting:
            tab.page.get_by_text(label, exact=True).click()
        file = waiting.value
        assert file.suggested_filename == f"losses.{label.lower()}"
        content = Path(file.path()).read_bytes()
        assert content.startswith(start), content[:40]


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_nothing_sticks_out_sideways(tab, width, height):
    tab.page.set_viewport_size({"width": width, "height": height})
    tab.settled()
    assert tab.page.evaluate("() => document.documentElement.scrollWidth") <= width


def test_a_killed_server_says_so(context):
    with driver.server() as (process, address):
        opened = driver.Tab(context, address)
        opened.settled()
        process.kill()
        opened.page.get_by_text(LOST).first.wait_for(timeout=1000 * driver.PATIENCE)
        opened.page.close()
