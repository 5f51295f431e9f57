"""Progress on standard error: a bar on a terminal, plain lines elsewhere."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from rfdsm.sweeps._counts import Counts

Report = Callable[[Counts], Any]
_BETWEEN = 30.0
"""Seconds between plain lines, at most ten of which come sooner: one for each tenth of the cells."""


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
