"""A sweep cut into units, the pieces that are computed, stored and retried whole, and into blocks of units.

A unit is what one call computes together: cells that differ in the ridge only share a factorisation, so that a cell's
last digits depend on its companions. Units follow from the grid alone, never from what is left to do; that is why an
interrupted sweep ends with the bits of an uninterrupted one. A block is a few units that share one compilation, and is
what processes that work on one store divide among themselves.
"""

import dataclasses
from typing import Any, NamedTuple

import jax

from rfdsm.sweeps._configuration import Configuration, Part

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
    group: Any
    """None for theory."""
    work: float
    """Operations, roughly, in units of which only ratios matter."""
    part: str = ""
    """Prefix of the part it belongs to."""

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
    plans: dict[tuple[str, int], Any]
    """Of the simulations, one for each part, by its prefix, and dimension."""
    theory: tuple[Unit, ...]
    blocks: tuple[Block, ...]

    @property
    def units(self) -> tuple[Unit, ...]:
        """In the order in which they are computed."""
        return (*self.theory, *(unit for block in self.blocks for unit in block.units))


def layout(configuration: Configuration, memory_limit: int | None = None) -> Layout:
    """Cut a sweep into units. Raises ValueError for what cannot be simulated; see `simulate`."""
    c = configuration
    given: dict[str, Any] = dict(trials=c.trials, key=c.key, data=c.law, dtype=c.dtype)
    given |= dict(devices=jax.local_devices(), memory_limit=memory_limit)
    theory, blocks, plans = [], [], {}
    for part in c.parts:
        if part.theory:
            theory.append(Unit(part.named("theory"), 0, None, 0.0, part.prefix))
        if part.comparison:
            theory += [Unit(part.named(f"theory-d{d}"), d, None, 0.0, part.prefix) for d in c.dimensions]
        for d in c.dimensions if part.simulation else ():
            plan = part.model.plan(c.problem, d, **given)
            plans[part.prefix, d] = plan
            blocks += _blocks(part, d, plan, c.trials, len(blocks))
    return Layout(c, plans, tuple(theory), tuple(blocks))


def _blocks(part: Part, d: int, plan: Any, trials: int, first: int) -> list[Block]:
    """The units of one request, in blocks that share a compilation, counted from `first`."""
    shared: dict[Any, list[Unit]] = {}
    for index, group in enumerate(plan.groups):
        work = part.model.work(group, d) * trials
        unit = Unit(part.named(f"d{d}-{index:06d}"), d, group, work, part.prefix)
        shared.setdefault(part.model.compilation(group, plan), []).append(unit)
    blocks = []
    for together in shared.values():
        count = -(-len(together) // BLOCK)
        share = COMPILATION / len(together)
        together = [unit._replace(work=unit.work + share) for unit in together]
        for start in range(count):
            name = part.named(f"d{d}-{first + len(blocks):06d}")
            blocks.append(Block(name, tuple(together[start::count])))
    return blocks
