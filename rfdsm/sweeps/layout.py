"""A sweep cut into units, the pieces that are computed, stored and retried whole, and into blocks of units.

A unit is what one call computes together: cells that differ in the ridge only share a factorisation, so that a cell's
last digits depend on its companions. Units follow from the grid alone, never from what is left to do; that is why an
interrupted sweep ends with the bits of an uninterrupted one. A block is a few units that share one compilation, and is
what processes that work on one store divide among themselves.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import numpy as np

from rfdsm.simulation.plan import Group, Plan, plan
from rfdsm.sweeps.configuration import Configuration

BLOCK = 16
"""Most units in a block."""
COMPILATION = 5e10
"""Operations that take about as long as to compile a trial."""


class Unit(NamedTuple):
    """Cells that are computed together: theory on the whole grid, or networks of one size at one or more ridges."""

    name: str
    """Of its file."""
    d: int
    """Dimension; 0 for theory at the problem as asked."""
    group: Group | None
    """None for theory."""
    work: float
    """Operations, roughly, in units of which only ratios matter."""

    @property
    def cells(self) -> int:
        """Simulated cells."""
        return 0 if self.group is None else self.group.cells.size


class Block(NamedTuple):
    """Units that share a compilation."""

    name: str
    units: tuple[Unit, ...]


@dataclasses.dataclass(frozen=True)
class Layout:
    """All units of a sweep."""

    configuration: Configuration
    plans: dict[int, Plan]
    """One for each dimension."""
    theory: tuple[Unit, ...]
    blocks: tuple[Block, ...]

    @property
    def units(self) -> tuple[Unit, ...]:
        """In the order in which they are computed."""
        return (*self.theory, *(unit for block in self.blocks for unit in block.units))


def layout(configuration: Configuration, memory_limit: int | None = None) -> Layout:
    """Cut a sweep into units. Raises ValueError for what cannot be simulated; see `simulate`."""
    c = configuration
    plans = {
        d: plan(
            c.problem, d, trials=c.trials, key=c.key, data=c.data, dtype=c.dtype,
            devices=jax.local_devices(), memory_limit=memory_limit,
        )
        for d in c.dimensions
    }  # fmt: skip
    theory = []
    if c.quantities != ("simulation",):
        theory.append(Unit("theory", 0, None, 0.0))
    if "comparison" in c.quantities:
        theory += [Unit(f"theory-d{d}", d, None, 0.0) for d in c.dimensions]
    blocks = []
    for d, request in plans.items():
        shared: dict[Any, list[Unit]] = {}
        for index, group in enumerate(request.groups):
            unit = Unit(f"d{d}-{index:06d}", d, group, _work(group, d) * c.trials)
            shared.setdefault((group.settings, group.ridges.size), []).append(unit)
        for together in shared.values():
            count = -(-len(together) // BLOCK)
            share = COMPILATION / len(together)
            together = [unit._replace(work=unit.work + share) for unit in together]
            for part in range(count):
                blocks.append(Block(f"d{d}-{len(blocks):06d}", tuple(together[part::count])))
    return Layout(configuration, plans, tuple(theory), tuple(blocks))


def _work(group: Group, d: int) -> float:
    """Moments over draws and over noise, and the factorisation."""
    s = group.settings
    draws = min(group.n * max(group.m, 1), s.dual or np.inf)
    moments = draws + (group.n + 10) * s.conditional_terms
    size = s.dual or s.p
    return float(s.p**2 * moments + s.p**2 * d + size**3 * (20 if s.path or s.zero else 1))
