"""Work in the background of which only the latest request matters."""

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

Request = TypeVar("Request")


class Latest(Generic[Request]):
    """One thread that answers requests; one that arrives while it is busy replaces those that wait.

    `deliver(request, answer, error)` is called on the thread, with None for one of the two.
    """

    def __init__(
        self, compute: Callable[[Request], Any], deliver: Callable[[Request, Any, Exception | None], Any]
    ) -> None:
        self._compute, self._deliver = compute, deliver
        self._waiting: list[Request] = []
        self._closed = False
        self._busy = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    @property
    def busy(self) -> bool:
        """Whether a request waits or is being answered."""
        with self._changed:
            return self._busy or bool(self._waiting)

    def ask(self, request: Request) -> None:
        """Forget what waits, and answer this as soon as the present one is answered. Nothing once it is closed."""
        with self._changed:
            if self._closed:
                return
            self._waiting = [request]
            if self._thread is None:  # sessions that never ask have no thread
                self._thread = threading.Thread(target=self._run, daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def close(self, wait: bool = False) -> None:
        """Answer nothing any more; the thread ends with what it is at, which may be waited for."""
        with self._changed:
            self._closed, self._waiting = True, []
            self._changed.notify_all()
        if wait and self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                self._changed.wait_for(lambda: self._closed or self._waiting)
                if self._closed:
                    return
                request, self._waiting, self._busy = self._waiting[0], [], True
            answer, error = None, None
            try:
                answer = self._compute(request)
            except Exception as failure:  # it is shown where the answer would be
                error = failure
            if not self._closed:
                self._deliver(request, answer, error)
