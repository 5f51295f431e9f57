"""What the machine lends this process: cores, memory, and threads of its linear algebra."""

import contextlib
import os
import re
import threading
from collections.abc import Iterator
from functools import cache
from typing import Any

import psutil

_PROCESS = "/proc/self"
_FILES = {
    "cgroup2": ("memory.max", "memory.current", "inactive_file"),
    "cgroup": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}
"""Of a control group, by the type of its file system: limit, usage, and the line of memory.stat that counts files of
which only copies are kept, which the kernel drops when memory is wanted."""


def cores() -> int:
    """Cores this process may run on, which a container, a batch system or taskset may have made fewer."""
    counted = getattr(os, "process_cpu_count", None)  # Python 3.13, which also knows -X cpu_count
    if counted is not None:
        return counted() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def available_memory(root: str = "") -> int:
    """Bytes that can be taken: what the machine has free, or what the limits of containers leave, if that is less.

    Every control group this process is in counts, and every one around it. `root` stands before all paths.
    """
    return max(0, min([int(psutil.virtual_memory().available), *_left_by_groups(root)]))


def _left_by_groups(root: str) -> Iterator[int]:
    for kind, place, group in _memory_groups(root):
        limit_name, usage_name, cache_name = _FILES[kind]
        parts = [part for part in group.split("/") if part]
        for depth in range(len(parts) + 1):
            folder = "/".join([root + place.rstrip("/"), *parts[:depth]])
            limit, usage = _read(f"{folder}/{limit_name}").strip(), _read(f"{folder}/{usage_name}").strip()
            if limit.isdecimal() and usage.isdecimal():  # "max" is none
                cache = re.search(rf"^{cache_name} (\d+)$", _read(f"{folder}/memory.stat"), re.MULTILINE)
                yield int(limit) - int(usage) + (int(cache[1]) if cache else 0)


def _memory_groups(root: str) -> Iterator[tuple[str, str, str]]:
    """(type of file system, where it is mounted, path of the group below that) of those that may limit memory.

    Sources: Linux manual pages cgroups(7), "/proc files", and proc_pid_mountinfo(5).
    """
    groups = {}
    for line in _read(f"{root}{_PROCESS}/cgroup").splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0" or "memory" in controllers.split(","):
            groups["cgroup2" if number == "0" else "cgroup"] = path
    for line in _read(f"{root}{_PROCESS}/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        if kind in groups and (kind == "cgroup2" or "memory" in options.split(",")):
            top, place = before.split(" ")[3:5]
            path = groups[kind]
            inside = top == "/" or path == top or path.startswith(f"{top}/")
            # From within a container, the group may be one that is not mounted there: its own is what is.
            yield kind, place, path if top == "/" else path[len(top) :] if inside else ""


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""


_lock = threading.Lock()
_users = 0
_before: list[int] = []


@contextlib.contextmanager
def lapack_threads(most: int | None = None) -> Iterator[None]:
    """Context in which LAPACK uses `most` threads, by default half of the cores, or as many as before if that is fewer.

    Its threads share a matrix out in equal parts and wait for the last of them in a loop: one core that is busy with
    something else holds up and keeps busy all others. More threads than half of the cores gain little on a machine at
    rest (factorisations wait for memory, and two logical cores are often one real). The number is one of the process:
    the first context that is entered sets it, and the last one that is left restores it.
    """
    global _users, _before
    with _lock:
        _users += 1
        if _users == 1:
            _before = [library.num_threads for library in _libraries()]
            _set([min(number, most or max(1, cores() // 2)) for number in _before])
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                _set(_before)


def _set(numbers: list[int]) -> None:
    for library, number in zip(_libraries(), numbers, strict=True):
        library.set_num_threads(number)


@cache
def _libraries() -> list[Any]:
    import scipy.linalg.cython_lapack  # noqa: F401  whose OpenBLAS jaxlib calls: it must be there to be found
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas").lib_controllers
