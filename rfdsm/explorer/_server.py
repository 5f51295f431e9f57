"""Serving the page on this machine: `rfdsm.explore`, and what the command line calls."""

# Bokeh's and Panel's annotations know neither their own subclasses nor what a property holds once it is set.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportOptionalMemberAccess=false

import asyncio
import atexit
import contextlib
import signal
import socket
import threading
import weakref
import webbrowser
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rfdsm._problem import Problem
from rfdsm.explorer._state import State

if TYPE_CHECKING:
    from bokeh.server.server import Server

    from rfdsm.explorer._page import Page

ADDRESS = "127.0.0.1"
MISSING = "the explorer needs Panel and Bokeh: pip install '.[explore]' from the clone"
LOST = "The server has gone: nothing here moves any more. Start `rfdsm explore` again and reload."
STILL = """
try {
  const {GlyphRendererView} = Bokeh.require("models/renderers/glyph_renderer");
  GlyphRendererView.prototype.update_position = () => {};
} catch { /* another version of the library: pages are right without it, and slower */ }
"""
"""Glyphs are painted on a canvas, but with each frame every one of them also moves an empty element of its own, by a
new style sheet: the browser would work out the style of the whole page again for each figure."""
HEIGHT = 860
"""Of the frame in a notebook, in pixels."""


class Explorer:
    """A page that is served by this process while it lives; shows itself in Jupyter and VS Code."""

    def __init__(self, url: str, stop: Any) -> None:
        self.url = url
        """The address, with the state."""
        self._stop = stop

    def stop(self) -> None:
        """Stop serving; returns once nothing computes for the page any more, seconds later if it is being compiled."""
        self._stop()

    def __repr__(self) -> str:
        return f"Explorer at {self.url}"

    def _repr_html_(self) -> str:
        style = f"width:100%;height:{HEIGHT}px;border:0"
        return f'<iframe src="{self.url}" style="{style}" title="rfdsm explorer" allow="clipboard-write"></iframe>'


def explore(problem: Problem | None = None) -> Explorer:
    """An interactive page of the theory around a problem, in a notebook or at the address it says.

    It is served from this process, on this machine only, by a thread in the background; every call serves anew.
    `stop()` of the result ends it, or the end of Python. In Jupyter and in VS Code the result, as the last line of a
    cell, shows the page. Where the browser runs on another machine than Python, forward the port.
    docs/how_to/explore.md shows its use.

    Args:
        problem: one problem, whose activation has a name; None: the first setting of the papers.

    Returns:
        An object with `url` and `stop()`.

    Raises:
        ValueError: a grid of problems, fields beyond what the page shows, or Panel is not installed.

    Examples:
        >>> import rfdsm
        >>> page = rfdsm.explore(rfdsm.Problem(psi_n=8, psi_p=16, m=4, t=0.1, ridge=1e-3))
        >>> "psi_p=16" in page.url
        True
        >>> page.stop()
    """
    state = State() if problem is None else State.of(problem)
    require_panel()
    ready, found = threading.Event(), {}

    def run() -> None:
        try:
            found["served"] = Served(state, port=0)
        except Exception as error:
            found["error"] = error
        finally:
            ready.set()
        if "served" in found:
            found["served"].run()

    thread = threading.Thread(target=run, daemon=True, name="rfdsm explorer")
    thread.start()
    ready.wait()
    if "error" in found:
        raise found["error"]
    served = found["served"]

    def stop() -> None:
        atexit.unregister(stop)
        served.interrupt()
        thread.join()
        served.wait()

    atexit.register(stop)
    return Explorer(served.url, stop)


def serve(state: State, port: int, browser: bool) -> None:
    """Serve in this thread until interrupted, for the command line; the address is printed once it can be opened."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        served = Served(state, port)  # from now on Panel's handler of Ctrl-C ends what runs
        print(f"rfdsm explorer at {served.url}\nCtrl-C ends it.", flush=True)
        if browser:
            webbrowser.open(served.url)
        served.run()
    finally:
        if signal.getsignal(signal.SIGINT) is not handler:  # in other threads than the main one Panel cannot set it
            signal.signal(signal.SIGINT, handler)
    print("Ends once what is being computed is done.", flush=True)
    served.wait()


class Served:
    """A server, the pages that it has opened, and the threads that compile for the first of them.

    Whatever computes for it is waited for: Python aborts when it ends while a thread compiles.
    """

    def __init__(self, state: State, port: int) -> None:
        self._pages: weakref.WeakSet[Page] = weakref.WeakSet()
        self._runner = asyncio.Runner()
        self._runner.get_loop()  # a thread has none, and the notebook's is busy with cells
        try:
            self._server = make_server(lambda: page_of_request(state, self._pages), port)
        except BaseException:
            self._runner.close()
            raise
        self.url = f"http://{ADDRESS}:{self._server.port}/?{state.query()}"
        """Where a browser finds the page in the state."""
        self._warming = warm_up(state)

    def run(self) -> None:
        """Serve in the thread that made it, until interrupted."""
        self._server.start()
        try:
            self._server.io_loop.start()
        finally:
            self._server.stop(wait=False)
            self._server.unlisten()
            self._runner.close()

    def interrupt(self) -> None:
        """From another thread."""
        self._server.io_loop.add_callback(self._server.io_loop.stop)

    def wait(self) -> None:
        """Close its pages, and return once nothing computes for them any more."""
        for page in list(self._pages):
            page.close(wait=True)
        for thread in self._warming:
            thread.join()


def require_panel() -> None:
    """Raises ValueError, saying what to install, where Panel or Bokeh is missing."""
    try:
        import bokeh  # noqa: F401
        import panel  # noqa: F401
    except ImportError:
        raise ValueError(MISSING) from None


def make_server(page: Callable[[], Any], port: int) -> "Server":
    """A server that does not serve yet, for this machine only. Raises ValueError for a port that cannot be had."""
    from panel.io.server import get_server

    try:
        with socket.socket() as probe:  # the server would leave its own open where the port is taken
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((ADDRESS, port))
            port = probe.getsockname()[1]
        return get_server(
            page,
            port=port,
            address=ADDRESS,
            websocket_origin=[f"{host}:{port}" for host in (ADDRESS, "localhost")],  # what forwards ports says either
            title="rfdsm explorer",
            start=False,
            show=False,
            verbose=False,
            check_unused_sessions_milliseconds=2000,
            unused_session_lifetime_milliseconds=5000,
        )
    except OSError as error:
        raise ValueError(f"port = {port} cannot be used: {error.strerror or error}") from None


def warm_up(state: State) -> list[threading.Thread]:
    """Compile in the background what the first page needs, while the browser starts."""
    from rfdsm.explorer._curves import curves
    from rfdsm.explorer._diagram import diagram

    def quietly(compute: Callable[[State], Any]) -> None:
        with contextlib.suppress(Exception):  # the page says what fails; and as Python ends, nothing more can begin
            compute(state)

    threads = [threading.Thread(target=quietly, args=(compute,), daemon=True) for compute in (curves, diagram)]
    for thread in threads:
        thread.start()
    return threads


def page_of_request(default: State, pages: "weakref.WeakSet[Page]") -> Any:
    """The page of whoever asks, in the state that the address says; it joins the pages."""
    import panel as pn
    from bokeh.events import DocumentReady
    from bokeh.models import CustomJS

    from rfdsm.explorer import _look as look
    from rfdsm.explorer._page import Page

    given = {name: values[0].decode("utf-8", "replace") for name, values in pn.state.session_args.items()}
    dark = given.pop("theme", "default") == "dark"
    state, refused = default, ""
    try:
        if given:
            state = State.from_words(given)
    except ValueError as error:
        refused = f"The address asks for what cannot be shown: {error}. Here is the usual setting instead."
    pn.config.raw_css = [look.page_css(look.look(dark))]
    pn.config.notifications = True
    pn.config.disconnect_notification = LOST
    doc = pn.state.curdoc
    doc.js_on_event(DocumentReady, CustomJS(code=STILL))
    page = Page(state, dark, doc, refused)
    pages.add(page)
    doc.on_session_destroyed(lambda _: page.close())
    pn.state.onload(lambda: (send_at_once(doc), page.start()))
    return page.layout


def send_at_once(doc: Any) -> None:
    """Else what follows a small message waits until the browser has acknowledged that: forty milliseconds."""
    for connection in doc.session_context.session._subscribed_connections:
        connection._socket.set_nodelay(True)
