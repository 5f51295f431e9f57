"""Chromium by its own protocol, and by nothing else: a driver that listens to a page costs it a fifth of its time.

Drivers made for tests have every network message, every request and every log line of a page told to them. That is
work for the page, the browser and a third process, which a reader who drags a slider does not have. Here a page is
told what to do and asked at the end.
"""

import asyncio
import json
import os
import re
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tornado.websocket import websocket_connect

from tests.explorer.driver import chromium

FLAGS = ("--headless=new", "--no-sandbox", "--no-first-run", "--remote-debugging-port=0")
VIEWPORT = {"width": 1280, "height": 800, "deviceScaleFactor": 1, "mobile": False}


class Page:
    """A page of a Chromium: scripts in it, and a mouse over it."""

    def __init__(self, socket: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._socket, self._loop, self._asked = socket, loop, 0
        self._send("Emulation.setDeviceMetricsOverride", **VIEWPORT)

    def evaluate(self, script: str) -> Any:
        """The value of an expression, awaited if it is a promise."""
        sent = self._send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        answer = self._loop.run_until_complete(self._answer(sent))["result"]
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, script: str, seconds: float = 300) -> None:
        """Until an expression is true."""
        end = time.monotonic() + seconds
        while not self.evaluate(f"Boolean({script})"):
            assert time.monotonic() < end, f"never: {script}"
            time.sleep(0.1)

    def mouse(self, kind: str, x: float, y: float) -> None:
        """mousePressed, mouseMoved or mouseReleased; does not wait for the page."""
        button = {"button": "left", "buttons": 1, "clickCount": int(kind != "mouseMoved")}
        self._send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **button)

    def _send(self, method: str, **parameters: Any) -> int:
        self._asked += 1

        async def send() -> None:
            await self._socket.write_message(json.dumps({"id": self._asked, "method": method, "params": parameters}))

        self._loop.run_until_complete(send())
        return self._asked

    async def _answer(self, sent: int) -> Any:
        while True:
            answer = json.loads(await self._socket.read_message())
            if answer.get("id") == sent:
                return answer


@contextmanager
def page(url: str) -> Iterator[Page]:
    """A page in a Chromium of its own."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [str(chromium()), *FLAGS, f"--user-data-dir={profile}", url]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
        loop = asyncio.new_event_loop()
        try:
            assert process.stderr is not None
            port = next(found[1] for line in process.stderr if (found := re.search(r"ws://[^:]+:(\d+)/", line)))
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
                address = next(one["webSocketDebuggerUrl"] for one in json.load(answer) if one["type"] == "page")

            async def connected() -> Any:
                return await websocket_connect(address, max_message_size=2**28)

            yield Page(loop.run_until_complete(connected()), loop)
        finally:
            os.killpg(process.pid, 9)
            process.wait()
            loop.close()
