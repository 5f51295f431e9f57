"""A real browser at a real server: what tests and the benchmark of the explorer drive it by."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from rfdsm.explorer._curves import NAMES, Curves, curves
from rfdsm.explorer._state import State

PATIENCE = 600.0
"""Seconds for anything to happen: compilation on a busy machine takes long."""
SETUP = """
window.model = name => Bokeh.documents[0].get_model_by_name(name);
window.column = (name, key) => Array.from(window.model(name).data[key]);
window.sliders = {};
for (const m of Bokeh.documents[0]._all_models.values())
  if (m.tags.length === 1 && /Slider/.test(m.type)) window.sliders[m.tags[0]] = m;
"""
READ = """() => {
  const read = name => Object.fromEntries(Object.entries(window.model(name).data).map(([k, v]) => [k, Array.from(v)]));
  return {curves: read('curves'), point: read('point'), simulated: read('simulated'), cross: read('cross')};
}"""


def chromium() -> str | None:
    """Where the browser is; None if there is none."""
    return os.environ.get("RFDSM_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def server(*words: str) -> Iterator[tuple[subprocess.Popen, str]]:
    """`rfdsm explore` in a process of its own, and its address without a state."""
    command = [sys.executable, "-m", "rfdsm.cli", "explore", "--no-browser", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "http://127.0.0.1:" in line, line
        yield process, line.split()[-1].partition("?")[0]
    finally:
        process.kill()
        process.wait()


@contextmanager
def browser() -> Iterator[Any]:
    """A context of headless Chromium, with a clipboard."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        context = started.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        yield context
        started.close()


class Tab:
    """A tab with the page in it. `errors` collects what its console complains of."""

    def __init__(self, context: Any, url: str) -> None:
        self.page = context.new_page()
        self.errors: list[str] = []
        self.page.on("console", lambda message: self._note(message.type, message.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.open(url)

    def _note(self, kind: str, text: str) -> None:
        if kind == "error":
            self.errors.append(text)

    def open(self, url: str) -> None:
        """Go there, and wait until the page computes."""
        self.page.goto(url)
        self.ready()

    def ready(self) -> None:
        """Wait for the first curves."""
        self.page.wait_for_function("() => window.Bokeh && Bokeh.documents.length > 0", timeout=1000 * PATIENCE)
        self.page.evaluate(SETUP)
        self.page.wait_for_function("() => window.column('curves', 'x').length > 2", timeout=1000 * PATIENCE)

    def state(self) -> State:
        """What the address says."""
        query = self.page.evaluate("() => window.location.search")
        return State.from_query("&".join(part for part in query[1:].split("&") if not part.startswith("theme")))

    def slide(self, name: str, value: float) -> None:
        """Move a slider as its handle does."""
        self.page.evaluate("([name, value]) => { window.sliders[name].value = value }", [name, value])

    def handle(self, name: str) -> Any:
        """What the keyboard moves."""
        order = ["psi_n", "psi_p", "m", "ridge", "t"]
        return self.page.locator(".noUi-handle:visible").nth(order.index(name))

    def read(self) -> dict[str, Any]:
        """The numbers that the figures draw."""
        return self.page.evaluate(READ)

    def wait(self, holds: Any, what: str) -> None:
        """Until it holds."""
        end = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < end, f"{what}; address {self.state()}"
            self.page.wait_for_timeout(100)

    def settled(self, **fields: Any) -> State:
        """Wait until the address has these fields and the curves are those of its state; the state."""
        wanted = lambda: all(_alike(getattr(self.state(), name), value) for name, value in fields.items())  # noqa: E731
        self.wait(wanted, f"the address never had {fields}")
        self.wait(lambda: consistent(self.read(), curves(self.state())), "the curves are not those of the address")
        return self.state()


def _alike(a: Any, b: Any) -> bool:
    return a == b if isinstance(b, str) or np.isinf(b) else abs(a - b) <= 1e-9 * abs(b)


def consistent(shown: dict[str, Any], wanted: Curves) -> bool:
    """Whether curves, point and cross on the page are these, to rounding."""
    pairs = [(shown["curves"]["x"], wanted.x), (shown["curves"]["floor"], wanted.floor)]
    pairs += [(shown["curves"][f"{name}_{k}"], wanted.values[name][k]) for name in NAMES for k in range(3)]
    pairs += [(shown["point"][name], [wanted.point[name]]) for name in NAMES if np.isfinite(wanted.point[name])]
    pairs += [(shown["point"]["x"], [wanted.at])]
    pairs += [(shown["cross"]["x"], [wanted.state.psi_p]), (shown["cross"]["y"], [wanted.state.psi_n])]
    return all(_same(a, b) for a, b in pairs)


def _same(shown: Any, wanted: Any) -> bool:
    a, b = np.array(shown, float), np.asarray(wanted, float)
    return a.shape == b.shape and np.allclose(a, b, rtol=1e-9, atol=1e-14, equal_nan=True)
