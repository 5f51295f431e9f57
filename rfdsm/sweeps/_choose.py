"""Which executor is meant by the argument `executor` of a sweep."""

from typing import Any

from rfdsm._machine import cores
from rfdsm.sweeps._compute import context
from rfdsm.sweeps._configuration import Configuration
from rfdsm.sweeps._executors import Executor, InProcess

IN_PROCESS = "in-process"
_ALLOWED = (
    'None, "in-process", "processes", "processes:N", "dask", a scheduler\'s address like "tcp://…", or a Dask client'
)


def check(executor: Any) -> int:
    """Number of processes on this machine that compute, 0 if it is this one. ValueError for what is no executor."""
    if executor is None or executor == IN_PROCESS:
        return 0
    if isinstance(executor, str):
        kind, _, count = executor.partition(":")
        if kind == "processes" and not (":" in executor and not count.isdecimal()) and count != "0":
            return int(count) if count else cores()
        if executor == "dask":
            return cores()
        if "://" in executor:
            return 0
    elif callable(getattr(executor, "submit", None)) and callable(getattr(executor, "nthreads", None)):
        return 0
    raise ValueError(f"executor = {executor!r} must be {_ALLOWED}")


def made(executor: Any, configuration: Configuration, memory_limit: int | None) -> Executor:
    """The executor, with all its workers. Raises ValueError if it cannot be reached."""
    if executor is None or executor == IN_PROCESS:
        return InProcess()
    shared = context(configuration, memory_limit)
    if isinstance(executor, str) and executor.startswith("processes"):
        from rfdsm.sweeps._processes import Processes

        return Processes(check(executor), shared)
    from rfdsm.sweeps._cluster import Cluster

    return Cluster(executor, shared)
