"""Where units are computed: in this process, or by any pool of workers; and how many are on their way at a time."""

from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, NamedTuple

from rfdsm._machine import cores
from rfdsm.sweeps._compute import Result, simulated
from rfdsm.sweeps._layout import Block, Layout, Unit

ATTEMPTS = 3
"""Times that a unit is tried before it is given up."""
Take = Callable[[], Block | None]
"""Hands out the next block, or None if there is none at the moment."""


class Outcome(NamedTuple):
    """A unit that was computed, or an attempt that failed."""

    unit: Unit
    result: Result | None
    error: str | None = None
    final: bool = False
    """Whether trying again is of no use."""


class Executor(ABC):
    """Computes units."""

    @abstractmethod
    def outcomes(self, layout: Layout, take: Take) -> Iterator[Outcome]:
        """Outcomes, in any order, until `take` has nothing more."""

    @abstractmethod
    def close(self) -> None:
        """Give everything back at once, whatever is on its way."""


class InProcess(Executor):
    """Computes in this process, on all its devices; compiles for as many blocks ahead as there are cores."""

    def outcomes(self, layout: Layout, take: Take) -> Iterator[Outcome]:
        while blocks := self._blocks(take):
            for place in layout.plans:
                units = [unit for block in blocks for unit in block.units if (unit.part, unit.d) == place]
                while units:
                    units = yield from self._until_failure(layout, place, units)

    def close(self) -> None:
        """Nothing to give back."""

    @staticmethod
    def _blocks(take: Take) -> list[Block]:
        blocks: list[Block] = []
        while len(blocks) < cores() and (block := take()) is not None:
            blocks.append(block)
        return blocks

    @staticmethod
    def _until_failure(layout: Layout, place: tuple[str, int], units: Sequence[Unit]) -> Any:
        """Yields outcomes; returns the units behind the first that failed."""
        plan = layout.plans[place]._replace(groups=[unit.group for unit in units])
        results = simulated(layout.configuration.part(place[0]).model, plan)
        try:
            for index, unit in enumerate(units):
                try:
                    result = next(results)
                except Exception as error:  # of the computation, whatever it is: the other units go on
                    yield Outcome(unit, None, message(error))
                    return units[index + 1 :]
                yield Outcome(unit, result)
        finally:
            results.close()
        return []


class Pool(Executor):
    """Workers outside this process. A block's units go to one worker, which compiles once, while others have work."""

    depth: ClassVar[int] = 2
    """Units on their way to a worker: one that it computes, one for the time its result travels."""

    @abstractmethod
    def slots(self) -> Sequence[Any]:
        """Workers there are, one entry for each unit that can be computed at a time."""

    @abstractmethod
    def start(self, slot: Any, unit: Unit, layout: Layout) -> None:
        """Send a unit to a worker."""

    @abstractmethod
    def wait(self) -> tuple[Any, Outcome]:
        """The next outcome, and the slot that it frees."""

    def outcomes(self, layout: Layout, take: Take) -> Iterator[Outcome]:
        waiting: dict[Any, deque[Unit]] = {}
        on_the_way: Counter[Any] = Counter()
        while True:
            for depth in range(1, self.depth + 1):  # a unit to everyone before anyone has two
                for slot in self.slots():
                    if on_the_way[slot] < depth and (unit := self._next(slot, waiting, take)) is not None:
                        self.start(slot, unit, layout)
                        on_the_way[slot] += 1
            if not on_the_way.total():
                return
            slot, outcome = self.wait()
            on_the_way[slot] -= 1
            yield outcome

    @staticmethod
    def _next(slot: Any, waiting: dict[Any, deque[Unit]], take: Take) -> Unit | None:
        """The next unit of the slot's block, of a new block, or of the block of which most is left."""
        own = waiting.setdefault(slot, deque())
        if not own and (block := take()) is not None:
            own.extend(block.units)
        if own:
            return own.popleft()
        longest = max(waiting.values(), key=len)
        return longest.pop() if longest else None


def message(error: BaseException) -> str:
    """An error in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
