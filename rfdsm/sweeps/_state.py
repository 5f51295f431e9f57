"""The state of a sweep: what is done, what is being tried, what is left, and who works on it."""

import contextlib
import math
import shlex
import signal
import threading
import time
import warnings
from collections import Counter, deque
from collections.abc import Iterator
from typing import Any

import numpy as np

from rfdsm.sweeps import _compute as compute
from rfdsm.sweeps._compute import Result
from rfdsm.sweeps._errors import Interrupted
from rfdsm.sweeps._executors import ATTEMPTS, Executor, Outcome
from rfdsm.sweeps._layout import Block, Layout, Unit
from rfdsm.sweeps._progress import Counts, Report
from rfdsm.sweeps.store import Failure, Store

_POLL = 0.5
"""Seconds between looks at blocks that another process works on."""


class _Tally:
    """Cells and operations of some units."""

    def __init__(self) -> None:
        self.cells, self.work = 0, 0.0

    def add(self, unit: Unit, sign: int = 1) -> None:
        self.cells += sign * unit.cells
        self.work += sign * unit.work


class Sweep:
    """One call of `sweep`, from what its store has to the last cell."""

    def __init__(self, plan: Layout, store: Store | None, retry_failed: bool = False) -> None:
        self.plan, self.store, self.retry_failed = plan, store, retry_failed
        self.results: dict[str, Result] = {}
        self.failures: dict[str, Failure] = {}
        self._attempts: Counter[str] = Counter()
        self._retries: deque[Unit] = deque()
        self._waiting = deque(plan.blocks)
        self._held: dict[str, set[str]] = {}
        self._block_of: dict[str, str] = {}
        self._started = time.monotonic()
        self._interrupted = False
        self._open, self._done, self._here = (_Tally() for _ in range(3))
        for unit in plan.units:
            self._open.add(unit)
        self._total, self._seconds = self._open.cells, 0.0

    def at_work(self) -> contextlib.AbstractContextManager[None]:
        """Frees what was claimed in the end."""
        return contextlib.nullcontext() if self.store is None else self.store.at_work()

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """Turns Ctrl-C and SIGTERM into `Interrupted`."""

        def interrupt(*_: Any) -> None:
            self._interrupted = True
            raise KeyboardInterrupt

        before: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():  # only there signals can be handled
            before[signal.SIGTERM] = signal.signal(signal.SIGTERM, interrupt)
            if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is somebody's own
                before[signal.SIGINT] = signal.signal(signal.SIGINT, interrupt)
        try:
            yield
        except KeyboardInterrupt:
            raise Interrupted(self._farewell()) from None
        finally:
            for number, handler in before.items():
                signal.signal(number, handler or signal.SIG_DFL)

    def _farewell(self) -> str:
        counts = self.counts()
        text = f"interrupted: {counts.done} of {counts.total} cells done"
        if self.store is None:
            return f"{text}, none kept: give a store to be able to resume"
        path = str(self.store.path)
        typed = f"rfdsm sweep --resume {shlex.quote(path)}"
        return f"{text} and kept; resume with: {typed}, or the same sweep(…, store={path!r})"

    def collect(self) -> None:
        """Read what the store has."""
        if self.store is None:
            return
        there = self.store.there()
        for unit in self.plan.units:
            here = f"{unit.name}.npz" in there or f"{unit.name}.failed.json" in there
            if here and not self._settled(unit):
                self._look_up(unit)

    def missing(self) -> bool:
        """Whether any simulation is neither finished nor given up."""
        return not all(map(self._is_done, self.plan.blocks))

    def compute_theory(self) -> None:
        """As one batch for the problem as asked, and one for each dimension; quick, so never divided."""
        c = self.plan.configuration
        for unit in self.plan.theory:
            if unit.name not in self.results:
                model = c.part(unit.part).model
                actual = c.problem if unit.d == 0 else model.realised(c.problem, unit.d, c.law)
                self._keep(unit, compute.theory(model, actual))

    def compute_simulations(self, workers: Executor, report: Report) -> None:
        """All that is missing, until nothing is: what other processes work on is waited for."""
        while self.missing():
            for outcome in workers.outcomes(self.plan, self._take):
                self._settle(outcome)
                report(self.counts())
                if self._interrupted:  # in a destructor or callback, where Python drops exceptions
                    raise KeyboardInterrupt
            if self.missing():
                time.sleep(_POLL)
                self.collect()
                report(self.counts())
                others = (block for block in self.plan.blocks if block.name not in self._held)
                self._waiting.extend(block for block in others if not self._is_done(block))

    def counts(self) -> Counts:
        """See `Counts`."""
        if not self.plan.configuration.simulates:
            c = self.plan.configuration
            size, done = math.prod(c.model.shape(c.problem)), all(self._settled(unit) for unit in self.plan.theory)
            return Counts(size, size if done else 0, 0, math.nan, math.nan)
        rate = remaining = math.nan
        if self._here.cells:
            elapsed = time.monotonic() - self._started
            rate, remaining = self._here.cells / elapsed, elapsed * self._open.work / self._here.work
        elif self._done.cells:
            remaining = self._seconds * self._open.work / self._done.work
        failed = self._total - self._open.cells - self._done.cells
        return Counts(self._total, self._done.cells, failed, rate, remaining)

    def warn(self) -> None:
        """Of cells that were given up, and of networks that could not be solved."""
        losses = [result.values["losses"][0] for result in self.results.values() if "losses" in result.values]
        if lost := sum(int(np.sum(~np.isfinite(own))) for own in losses):
            text = f"{lost} simulated networks could not be solved and are NaN: the ridge is too small for "
            warnings.warn(f"{text}double precision", RuntimeWarning, stacklevel=4)
        if self.failures:
            first = next(iter(self.failures.values()))
            text = f"{self.counts().failed} cells failed {first.attempts} times and are NaN; the first message: "
            warnings.warn(text + first.message, RuntimeWarning, stacklevel=4)

    def _settled(self, unit: Unit) -> bool:
        return unit.name in self.results or unit.name in self.failures

    def _is_done(self, block: Block) -> bool:
        return all(map(self._settled, block.units))

    def _look_up(self, unit: Unit) -> None:
        assert self.store is not None
        if (result := self.store.result(unit.name)) is not None:
            self._record(unit, result)
        elif not self.retry_failed and (failure := self.store.failure(unit.name)) is not None:
            self._record(unit, failure)

    def _take(self) -> Block | None:
        """A block of units nobody works on: first those to be tried again."""
        if self._retries:
            unit = self._retries.popleft()
            return Block(self._block_of[unit.name], (unit,))
        while self._waiting:
            block = self._waiting.popleft()
            if self._is_done(block):
                continue
            if self.store is not None:
                if not self.store.claim(block.name):
                    continue
                for unit in block.units:  # another process may have finished some of them
                    if not self._settled(unit):
                        self._look_up(unit)
            left = tuple(unit for unit in block.units if not self._settled(unit))
            self._held[block.name] = {unit.name for unit in left}
            self._block_of |= dict.fromkeys(self._held[block.name], block.name)
            if left:
                return Block(block.name, left)
            self._release(block.name)
        return None

    def _settle(self, outcome: Outcome) -> None:
        unit = outcome.unit
        if outcome.result is not None:
            self._keep(unit, outcome.result)
            self._here.add(unit)
        else:
            self._attempts[unit.name] += 1
            if self._attempts[unit.name] < ATTEMPTS and not outcome.final:
                self._retries.append(unit)
                return
            failure = Failure(str(outcome.error), self._attempts[unit.name])
            if self.store is not None:
                self.store.give_up(unit.name, failure)
            self._record(unit, failure)
        block = self._block_of[unit.name]
        self._held[block].discard(unit.name)
        if not self._held[block]:
            self._release(block)

    def _keep(self, unit: Unit, result: Result) -> None:
        if self.store is not None:
            self.store.save(unit.name, result)
        self._record(unit, result)

    def _record(self, unit: Unit, verdict: Result | Failure) -> None:
        self._open.add(unit, -1)
        if isinstance(verdict, Failure):
            self.failures[unit.name] = verdict
            return
        self.results[unit.name] = verdict
        self._done.add(unit)
        self._seconds += verdict.seconds if unit.group is not None else 0.0

    def _release(self, block: str) -> None:
        del self._held[block]
        if self.store is not None:
            self.store.release(block)
