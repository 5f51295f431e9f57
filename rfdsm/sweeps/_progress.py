"""How far a sweep is, and how that is told on standard error: by a bar on a terminal, by plain lines elsewhere."""

import contextlib
import dataclasses
import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

_BETWEEN = 30.0
"""Seconds between plain lines, at most ten of which come sooner: one for each tenth of the cells."""


@dataclasses.dataclass(frozen=True)
class Counts:
    """Simulated cells of a sweep, or cells of the grid where only theory is computed."""

    total: int
    done: int
    """Finished, found in the store or now."""
    failed: int
    """Given up, after three attempts."""
    rate: float
    """Cells finished per second of this session; NaN where none was yet."""
    remaining_seconds: float
    """Estimated from the time that finished cells took and the operations that the others need; NaN if unknown."""

    @property
    def remaining(self) -> int:
        """Cells neither finished nor given up."""
        return self.total - self.done - self.failed

    def __str__(self) -> str:
        """For example `12 of 40 cells done, 1 failed, 3.2 cells/s, 9 s left`."""
        parts = [f"{self.done} of {self.total} cells done"]
        if self.failed:
            parts.append(f"{self.failed} failed")
        if self.rate == self.rate:
            parts.append(f"{self.rate:.2g} cells/s")
        if self.remaining and self.remaining_seconds == self.remaining_seconds:
            parts.append(f"{duration(self.remaining_seconds)} left")
        return ", ".join(parts)


def duration(seconds: float) -> str:
    """In the two largest units: `35 s`, `12 min 5 s`, `3 h 20 min`, `2 d 4 h`."""
    whole = max(round(seconds), 0)
    units = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
    for (size, name), (smaller, other) in itertools.pairwise(units):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {name} {rest} {other}" if rest else f"{whole // size} {name}"
    return f"{whole} s"


Report = Callable[[Counts], Any]


@contextlib.contextmanager
def shown(progress: Any) -> Iterator[Report]:
    """What to call with the counts: a display for True, nothing for False or None, or the caller's own function.

    Raises ValueError for anything else.
    """
    if progress is None or progress is False:
        yield lambda counts: None
    elif callable(progress):
        yield progress
    elif progress is True:
        with _display() as report:
            yield report
    else:
        raise ValueError(f"progress = {progress!r} must be True, False or a function of the counts")


@contextlib.contextmanager
def _display() -> Iterator[Report]:
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield _plain(console)
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        line = bar.add_task("", total=None)
        yield lambda counts: bar.update(
            line, completed=counts.done + counts.failed, total=counts.total, description=str(counts)
        )


def _plain(console: Any) -> Report:
    last, tenths = time.monotonic(), 0

    def report(counts: Counts) -> None:
        nonlocal last, tenths
        now, passed = time.monotonic(), 10 * (counts.total - counts.remaining) // max(counts.total, 1)
        if passed > tenths or now - last > _BETWEEN:
            last, tenths = now, passed
            console.print(f"sweep: {counts}", markup=False, soft_wrap=True)

    return report
