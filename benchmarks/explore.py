"""The explorer in a real browser: from a slider's event to curves, to the diagram, to the boundaries; memory.

    python -m benchmarks.explore [--events 150] [--memory 2000] [--rate 30]
    python -m benchmarks.explore --picture docs/images/explore.png

Headless Chromium (of the system) drags the handle of a slider with the mouse, one pixel so many times a second.
The time of an event is that of the slider's own change; it is answered when a frame has been drawn whose curves belong
to it or to a later one, as the test loss of its point or the time of its areas tells. Start-up is measured twice: with
nothing compiled yet, and with what the first start has kept.
Memory is that of the server's process, and of the page's scripts, after equal numbers of further events.

Needs the extras `explore` and `browser`, and apt-get install chromium.
"""

import argparse
import os
import tempfile
import time
from typing import Any

import numpy as np
import psutil

from benchmarks import devtools
from benchmarks.devtools import Page
from rfdsm.explorer._controls import value_at
from rfdsm.explorer._curves import curves
from rfdsm.explorer._state import State, spans
from tests.explorer.driver import SETUP, Tab, browser, server

ORDER = ("psi_n", "psi_p", "m", "ridge", "t")
HANDLE = """(() => {
  const find = root => Array.from(root.querySelectorAll('*')).flatMap(
    e => [...(e.matches('.noUi-handle') && e.getBoundingClientRect().width ? [e] : []),
          ...(e.shadowRoot ? find(e.shadowRoot) : [])]);
  const box = find(document)[%d].getBoundingClientRect();
  return [box.x + box.width / 2, box.y + box.height / 2];
})()"""
FORGET = "void (window.events = [], window.frames = {point: [], areas: [], boundary_memorisation: []})"
# The answer to an event is stamped after the frame that shows it: one task after its animation frame.
HOOKS = """
for (const [name, slider] of Object.entries(window.sliders))
  slider.properties.value.change.connect(() => window.events.push([performance.now(), slider.value]));
for (const [name, key] of [['point', 'test'], ['areas', 't'], ['boundary_memorisation', 'x']])
  window.model(name).properties.data.change.connect(() => {
    const stamp = window.model(name).data[key];
    requestAnimationFrame(() => setTimeout(() => window.frames[name].push([performance.now(), stamp[0]])));
  });
"""


def drag(page: Page, name: str, events: int, rate: float) -> None:
    """So many pixels to the right, evenly; those that cannot keep up follow at once."""
    x, y = page.evaluate(HANDLE % ORDER.index(name))
    page.mouse("mouseMoved", x, y)
    page.mouse("mousePressed", x, y)
    start = time.perf_counter()
    for k in range(events):
        left = start + k / rate - time.perf_counter()
        if left > 0:
            time.sleep(left)
        page.mouse("mouseMoved", x + k + 1, y)
    page.mouse("mouseReleased", x + events, y)


def answers(times: np.ndarray, stamps: np.ndarray, frames: Any) -> np.ndarray:
    """Milliseconds from every event to the first frame that belongs to it or to a later one."""
    shown_at, shown = np.array(frames, float).T
    apart = np.abs(shown[:, None] / stamps - 1)
    belongs = np.where(apart.min(axis=1) < 1e-6, apart.argmin(axis=1), -1)
    waits = []
    for number, begin in enumerate(times):
        new = (belongs >= number) & (shown_at >= begin)
        if np.any(new):
            waits.append(shown_at[np.argmax(new)] - begin)
    return np.array(waits)


def stamps_of(page: Page, slider: str, source: str, values: np.ndarray) -> np.ndarray:
    """What frames carry that belong to these places of the slider."""
    state = State.from_query(page.evaluate("location.search")[1:])
    fields = [{slider: value_at(value, np.log10(spans(state)[slider]))} for value in values]
    if source == "areas":
        return np.array([field[slider] for field in fields])
    return np.array([curves(state.replace(**field)).point["test"] for field in fields])


def measured(page: Page, slider: str, source: str, events: int, rate: float) -> tuple[np.ndarray, float]:
    """Waits of the events of one drag, and of the boundaries after the last of them."""
    page.evaluate(FORGET)
    drag(page, slider, events, rate)
    if source == "areas":
        page.wait("window.frames.boundary_memorisation.some(f => f[0] > window.events.at(-1)[0])")
    time.sleep(1.5)
    found, frames = page.evaluate("[window.events, window.frames]")
    last = found[-1][0]
    after = [at for at, _ in frames["boundary_memorisation"] if at > last]
    times, values = np.array(found, float).T
    waits = answers(times, stamps_of(page, slider, source, values), frames[source])
    assert len(waits) == len(times), f"{len(times) - len(waits)} events were never answered"
    return waits, (after[-1] - last if after else np.nan)


def start_up() -> dict[str, float]:
    """Seconds until the address is printed, and from opening it until the curves are there."""
    begin = time.perf_counter()
    with server() as (_, url), browser() as context:
        printed = time.perf_counter() - begin
        page = context.new_page()
        begin = time.perf_counter()
        page.goto(url)
        page.wait_for_function("() => window.Bokeh && Bokeh.documents.length > 0", timeout=300_000)
        visible = time.perf_counter() - begin
        page.evaluate(SETUP)
        words = page.get_by_text("Compiling the theory")
        seen = words.is_visible()
        drawn = "() => window.column('curves', 'x').length > 2 && window.column('areas', 't').length > 0"
        page.wait_for_function(drawn, timeout=300_000)
        words.wait_for(state="detached", timeout=300_000)
        ready = time.perf_counter() - begin
    return {"address_printed": printed, "page": visible, "indicator_seen": float(seen), "compiled": ready}


def told(name: str, waits: np.ndarray) -> dict[str, float]:
    """Median and 95th percentile, printed."""
    median, high = (float(np.percentile(waits, share)) for share in (50, 95))
    print(f"{name}: median {median:.0f} ms, 95th percentile {high:.0f} ms, {waits.size} events")
    return {"median_ms": median, "p95_ms": high, "events": int(waits.size)}


def waits(page: Page, events: int, rate: float) -> dict[str, Any]:
    """Of curves, point, diagram and boundaries, while sliders are dragged."""
    page.wait("window.Bokeh && Bokeh.documents.length > 0")
    page.evaluate(SETUP)
    page.wait("window.column('curves', 'x').length > 2")
    time.sleep(20)  # boundaries and details are compiled, too
    page.evaluate(FORGET)
    page.evaluate(HOOKS)
    drag(page, "psi_n", 30, rate)
    time.sleep(1)
    found: dict[str, Any] = {}
    of_curves, _ = measured(page, "psi_n", "point", events, rate)
    found["curves"] = told("curves after an event of n/d", of_curves)
    of_point, _ = measured(page, "psi_p", "point", events, rate)
    found["point"] = told("the point after an event of p/d, along which the curves are drawn", of_point)
    page.evaluate("void (window.sliders.t.value = -2.9)")
    time.sleep(3)
    of_diagram, found["boundaries_ms"] = measured(page, "t", "areas", events, rate)
    found["diagram"] = told("phase diagram after an event of t", of_diagram)
    print(f"boundaries after the last event: {found['boundaries_ms']:.0f} ms")
    return found


def main() -> dict[str, Any]:
    """Prints everything and returns its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=150)
    parser.add_argument("--memory", type=int, default=2000)
    parser.add_argument("--rate", type=float, default=30.0)
    parser.add_argument("--picture", help="draw the page for the documentation, and measure nothing")
    arguments = parser.parse_args()
    if arguments.picture:
        picture(arguments.picture)
        return {}
    load = os.getloadavg()[0]
    print(f"load of the machine before: {load:.1f} on {psutil.cpu_count()} cores")
    figures: dict[str, Any] = {"load_before": load}
    with tempfile.TemporaryDirectory() as cache:
        os.environ["RFDSM_CACHE"] = cache
        os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)
        for name in ("first_start", "later_start"):
            figures[name] = start_up()
            print(f"{name}: " + ", ".join(f"{what} {number:.1f}" for what, number in figures[name].items()) + " (s)")
        with server() as (_, url), devtools.page(f"{url}?psi_p=0.1&psi_n=0.2") as page:
            figures |= waits(page, arguments.events, arguments.rate)
        with server() as (process, url), browser() as context:
            tab = Tab(context, url)
            tab.settled()
            figures["memory"] = memory(tab, process.pid, arguments.memory)
            figures["console_errors"] = tab.errors
    return figures


def picture(path: str) -> None:
    """The page at the two time scales of training, with a simulated point."""
    state = State(psi_n=8, psi_p=16, view="training")
    with server() as (_, url), browser() as context:
        tab = Tab(context, f"{url}?{state.query()}")
        tab.page.get_by_role("button", name="simulate this point").click()
        tab.wait(lambda: len(tab.read()["simulated"]["x"]) == 1, "no simulated point")
        tab.wait(lambda: len(tab.page.evaluate("() => column('training', 'time')")) > 2, "no training")
        tab.wait(lambda: len(tab.page.evaluate("() => column('boundary_harmful', 'x')")) > 2, "no boundaries")
        tab.page.wait_for_timeout(3000)
        tab.page.screenshot(path=path)


def memory(tab: Tab, pid: int, events: int) -> list[dict[str, float]]:
    """Megabytes of the server and of the page's scripts after each quarter of the events, back and forth."""
    found = []
    for quarter in range(5):
        used = tab.page.evaluate("() => { if (window.gc) gc(); return performance.memory.usedJSHeapSize / 1e6 }")
        found.append(
            {"events": quarter * events // 4, "server_MB": psutil.Process(pid).memory_info().rss / 1e6, "page_MB": used}
        )
        print("memory after {events} events: server {server_MB:.0f} MB, page {page_MB:.0f} MB".format(**found[-1]))
        for k in range(events // 4 if quarter < 4 else 0):
            tab.slide("psi_p", -1 + 3 * abs((k % 200) / 100 - 1))
            tab.page.wait_for_timeout(15)
        tab.page.wait_for_timeout(2000)
    return found


if __name__ == "__main__":
    main()
