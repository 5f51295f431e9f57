"""How far a sweep is: cells done, failed and remaining, rate and remaining time."""

import dataclasses
import itertools


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
