"""Worker processes on this machine, each with its own cores or accelerator."""

import contextlib
import os
import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

import cloudpickle
import jax

from rfdsm.sweeps._compute import Context, Result, Task, run_task, task
from rfdsm.sweeps._errors import SweepError
from rfdsm.sweeps._executors import Outcome, Pool
from rfdsm.sweeps._layout import Layout, Unit

_START = "import sys; sys.path[:] = {path!r}; from rfdsm.sweeps._worker import main; main()"
_TICK = 0.5
"""Seconds between looks at the keyboard, in systems where waiting cannot be interrupted."""


class Processes(Pool):
    """`count` processes, started from scratch: JAX does not survive a fork.

    A process that dies takes the unit it was computing with it, and is replaced.
    """

    def __init__(
        self,
        count: int,
        context: Context,
        run: Callable[[Task, Context], Result] = run_task,
        places: list[dict[str, Any]] | None = None,
    ) -> None:
        self._outcomes: queue.SimpleQueue[tuple[int, Outcome] | BaseException] = queue.SimpleQueue()
        try:
            setup = cloudpickle.dumps((run, context))
        except Exception as error:
            name = context.structure.activation.name
            raise ValueError(f"executor: the activation {name!r} cannot be sent to other processes ({error})") from None
        places = shares(count) if places is None else places[:count]
        self._workers = [_Worker(index, place, setup, self._outcomes) for index, place in enumerate(places)]

    def slots(self) -> Sequence[int]:
        return range(len(self._workers))

    def start(self, slot: int, unit: Unit, layout: Layout) -> None:
        self._workers[slot].inbox.put((unit, task(layout.configuration, unit)))

    def wait(self) -> tuple[int, Outcome]:
        """See `Pool`. Raises SweepError if processes do not even start."""
        while True:
            try:
                outcome = self._outcomes.get(timeout=_TICK)
            except queue.Empty:
                continue
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

    def close(self) -> None:
        for worker in self._workers:
            worker.kill()
        for worker in self._workers:
            worker.thread.join()


class _Worker:
    """One process, and the thread that talks to it."""

    def __init__(self, index: int, place: dict[str, Any], setup: bytes, outcomes: queue.SimpleQueue) -> None:
        self.inbox: queue.SimpleQueue = queue.SimpleQueue()
        self._index, self._place, self._setup, self._outcomes = index, place, setup, outcomes
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = threading.Event()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def kill(self) -> None:
        """At once; the thread follows."""
        self._closed.set()
        self.inbox.put(None)
        if self._process is not None:
            self._process.kill()

    def _serve(self) -> None:
        try:
            while (item := self.inbox.get()) is not None and not self._closed.is_set():
                unit, work = item
                outcome = self._outcome(unit, work)
                if not self._closed.is_set():
                    self._outcomes.put((self._index, outcome))
        except BaseException as error:
            self._outcomes.put(error)
        finally:
            self._stop()

    def _outcome(self, unit: Unit, work: Task) -> Outcome:
        process = self._process or self._started()
        try:
            assert process.stdin is not None and process.stdout is not None
            pickle.dump(work, process.stdin)
            process.stdin.flush()
            result, error = pickle.load(process.stdout)
            return Outcome(unit, result, error)
        except (EOFError, OSError, pickle.UnpicklingError):
            return Outcome(unit, None, f"the worker process died ({_ending(self._stop())})")

    def _started(self) -> subprocess.Popen[bytes]:
        """A process that has said it is ready. Raises SweepError if there is none."""
        command = [sys.executable, "-c", _START.format(path=sys.path)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._process = process
        try:
            assert process.stdin is not None and process.stdout is not None
            pickle.dump(self._place, process.stdin)
            process.stdin.write(self._setup)
            process.stdin.flush()
            ready, error = pickle.load(process.stdout)
            if ready:
                return process
        except (EOFError, OSError, pickle.UnpicklingError):
            error = _ending(self._stop())
        raise SweepError(f"a worker process could not start: {error}")

    def _stop(self) -> int | None:
        process, self._process = self._process, None
        if process is None:
            return None
        if self._closed.is_set():
            process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what was not flushed to a dead process
                    pipe.close()
        return process.wait()


def _ending(code: int | None) -> str:
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"


def shares(count: int) -> list[dict[str, Any]]:
    """A share of the cores for each process, or an accelerator. Shares are equal: they decide on the last digits."""
    devices = jax.local_devices()
    if devices[0].platform != "cpu":
        return [{"accelerator": devices[index % len(devices)].id} for index in range(count)]
    if not hasattr(os, "sched_getaffinity"):  # not every system lets a process choose
        return [{} for _ in range(count)]
    cores = sorted(os.sched_getaffinity(0))
    share = max(len(cores) // count, 1)
    return [{"cores": [cores[(index * share + k) % len(cores)] for k in range(share)]} for index in range(count)]
