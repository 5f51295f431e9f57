"""Dask distributed: a cluster on this machine, or a scheduler that the user runs."""

import contextlib
import multiprocessing
import queue
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cloudpickle

from rfdsm.sweeps._compute import Context, Result, Task, run_task, task
from rfdsm.sweeps._errors import SweepError
from rfdsm.sweeps._executors import Outcome, Pool, message
from rfdsm.sweeps._layout import Layout, Unit

PATIENCE = 10.0
"""Seconds a scheduler has to answer."""
GUARD = "the processes of a Dask cluster import the script that starts it: call sweep under if __name__ == '__main__':"
_KEPT = "what was finished is in the store, if there is one"
_TICK = 0.5


def connect(executor: Any) -> tuple[Any, list[Any]]:
    """A client of the cluster that `executor` means ("dask", an address or a client), and what to close in the end.

    Raises ValueError: Dask is not installed, or no scheduler answers.
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise ValueError(f"executor = {executor!r} needs Dask: pip install 'rfdsm[cluster]'") from None
    if isinstance(executor, Client):
        return executor, []
    if executor == "dask":
        if getattr(multiprocessing.current_process(), "_inheriting", False):
            raise SweepError(f"executor = 'dask': {GUARD}")
        try:
            options: dict[str, Any] = dict(threads_per_worker=1, processes=True, dashboard_address=None)
            # A worker's death is one attempt; Dask itself would make several of it.
            cluster = LocalCluster(**options, scheduler_kwargs={"allowed_failures": 0})
        except RuntimeError as error:
            raise SweepError(f"executor = 'dask': the cluster did not start ({message(error)}); {GUARD}") from None
        client = Client(cluster)
        return client, [client, cluster]
    try:
        client = Client(executor, timeout=PATIENCE)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"executor = {executor!r} is not reachable: no Dask scheduler answered within {PATIENCE:g} s ({error})"
        ) from None
    return client, [client]


class Cluster(Pool):
    """The workers of a Dask cluster."""

    depth = 1  # to Dask, whatever has been sent to a worker that dies is under suspicion

    def __init__(self, executor: Any, context: Context, run: Callable[[Task, Context], Result] = run_task) -> None:
        self._client, self._to_close = connect(executor)
        self._own = executor == "dask"
        self._outcomes: queue.SimpleQueue[tuple[str, Unit, Any]] = queue.SimpleQueue()
        self._futures: dict[str, Any] = {}
        self._run, self._dumped = run, cloudpickle.dumps(context)
        self._context: Any = self._sent()
        self._slots, self._look_again = [""], 0.0

    def _sent(self) -> Any:
        """The context, as a task: unlike scattered data, Dask makes it anew if the worker that held it is gone."""
        return self._client.submit(cloudpickle.loads, self._dumped, pure=False)

    def slots(self) -> Sequence[str]:
        """See `Pool`. One, for no worker in particular, as long as there are none."""
        if time.monotonic() > self._look_again:
            self._look_again = time.monotonic() + _TICK
            with self._connected():
                workers = self._client.nthreads()
            self._slots = [f"{address} {k}" for address, threads in workers.items() for k in range(threads)] or [""]
        return self._slots

    def start(self, slot: str, unit: Unit, layout: Layout) -> None:
        address = slot.split(" ")[0]
        where = {"workers": [address], "allow_other_workers": True} if address else {}
        work = task(layout.configuration, unit)
        with self._connected():
            if self._context.status == "error":
                self._context = self._sent()
            future = self._client.submit(self._run, work, self._context, pure=False, retries=0, **where)
        self._futures[unit.name] = future
        future.add_done_callback(lambda done, slot=slot, unit=unit: self._outcomes.put((slot, unit, done)))

    def wait(self) -> tuple[str, Outcome]:
        """See `Pool`. Raises SweepError if the scheduler is gone, or the workers lack this package."""
        while True:
            try:
                slot, unit, future = self._outcomes.get(timeout=_TICK)
                break
            except queue.Empty:
                self._check()
        self._futures.pop(unit.name, None)
        if future.status == "finished":
            return slot, Outcome(unit, future.result())
        self._check()
        error = future.exception() if future.status == "error" else RuntimeError("the task was cancelled")
        if isinstance(error, ImportError | SweepError):
            raise SweepError(f"the workers must have the same rfdsm as this process: {message(error)}") from None
        # Another's scheduler has tried again, as often as it allows, where a worker died.
        final = type(error).__name__ == "KilledWorker" and not self._own
        return slot, Outcome(unit, None, message(error), final)

    def close(self) -> None:
        """See `Pool`. A user's own client stays open."""
        with contextlib.suppress(Exception):  # the scheduler may be gone
            self._client.cancel([*self._futures.values()], force=True)
        self._context = None
        for thing in self._to_close:
            with contextlib.suppress(Exception):
                thing.close()

    @contextlib.contextmanager
    def _connected(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self._check()
            raise SweepError(f"the Dask scheduler refuses ({message(error)}); {_KEPT}") from None

    def _check(self) -> None:
        if self._client.status != "running":
            raise SweepError(f"the connection to the Dask scheduler is lost; {_KEPT}")
