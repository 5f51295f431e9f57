"""Sweeps: what keeping and distributing cells costs beside computing them.

    python -m benchmarks.sweeps [--only a b c d] [--cells 400] [--d 100]

a   overhead per cell of a sweep in this process, with a store, over one call of `simulate`: tiny cells of one size.
b   the same against a sweep without a store, and what resuming a finished sweep costs per cell.
c   scaling: worker processes of one core against one such process, cells of equal size; start of workers left out.
d   compilations on a grid of 20 x 20 over psi_n and psi_p, counted by JAX's own monitoring, m = inf, at d = 16 (--count
    compiles nothing and counts what would be compiled for m = 1, 4 and inf at --d).

Wall times depend on what else the machine does; its load is printed.
"""

import argparse
import functools
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from rfdsm import Problem, activations, simulate, sweeps
from rfdsm.sweeps import _configuration as configuration, _layout as layout
from rfdsm.sweeps._compute import context
from rfdsm.sweeps._processes import Processes, shares

CUBIC = activations.polynomial([0.1, 1.0, 0.3, 0.1])


def best(function: Any, repeats: int = 5) -> float:
    """Seconds of the fastest of some calls, after one that compiles."""
    function()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def overhead(cells: int) -> dict[str, Any]:
    """a and b."""
    problem = Problem(np.linspace(10, 10 + (cells - 1) / 8, cells), 1.0, np.inf, 0.1, 1e-2, CUBIC)
    with tempfile.TemporaryDirectory() as folder:
        count = iter(range(10**6))

        def swept(store: Path | None) -> None:
            sweeps.sweep(problem, quantities="simulation", d=8, trials=2, store=store, progress=False)

        bare = best(lambda: simulate(problem, 8, trials=2))
        kept = best(lambda: swept(Path(folder) / str(next(count))))
        unkept = best(lambda: swept(None))
        resumed = best(lambda: swept(Path(folder) / "0"))
    per_cell = 1e3 / cells
    print(f"a  {cells} cells: simulate {bare * per_cell:.2f} ms a cell, sweep with a store {kept * per_cell:.2f} ms:")
    print(f"   overhead {(kept - bare) * per_cell:.2f} ms a cell")
    print(f"b  sweep without a store {unkept * per_cell:.2f} ms a cell")
    print(f"   resuming a finished one {resumed * per_cell:.2f} ms a cell")
    seconds = {"simulate": bare, "stored": kept, "overhead": kept - bare, "unstored": unkept, "resumed": resumed}
    return {"cells": cells} | {name: spent * per_cell for name, spent in seconds.items()}


def scaling(d: int, cells: int) -> dict[str, Any]:
    """c."""
    problem = Problem(np.linspace(4, 5, cells), 4.0, np.inf, 0.1, 1e-2, CUBIC)
    asked = configuration.checked(problem, "simulation", d, 4, 0, None, "float64", False)
    plan = layout.layout(asked)
    units = [unit for block in plan.blocks for unit in block.units]
    rates, shares_busy = {}, {}
    for count in (1, 2):
        workers = Processes(count, context(asked, None), places=shares(2))  # of one core each, on two cores
        try:
            for slot in workers.slots():  # start and compile
                workers.start(slot, units[0], plan)
            for _ in workers.slots():
                workers.wait()
            start = time.perf_counter()
            outcomes = workers.outcomes(plan, functools.partial(next, iter(plan.blocks), None))
            busy = [outcome.result.seconds for outcome in outcomes if outcome.result is not None]
            seconds = time.perf_counter() - start
            rates[count], shares_busy[count] = len(busy) / seconds, sum(busy) / (count * seconds)
        finally:
            workers.close()
    print(f"c  d = {d}, {cells} cells: {rates[1]:.1f} cells/s on one worker, {rates[2]:.1f} on two:", end=" ")
    print(f"{rates[2] / rates[1]:.2f} times as fast")
    print(
        f"   {shares_busy[1]:.0%} and {shares_busy[2]:.0%} of the workers' time was work, whatever else the machine did"
    )
    return {"d": d, "cells": cells, "per_second": list(rates.values()), "busy": list(shares_busy.values())} | {
        "ratio": rates[2] / rates[1]
    }


def compilations(d: int) -> dict[str, Any]:
    """d."""
    ratios = np.geomspace(0.25, 16, 20)
    figures = {"d": d}
    for m in (1, 4, np.inf):
        problem = Problem.grid(ratios, ratios, m, 0.1, 1e-3)
        asked = configuration.checked(problem, "simulation", d, 2, 0, None, "float64", False)
        groups = [unit.group for unit in layout.layout(asked).units if unit.group is not None]
        different = {(group.settings, group.ridges.size) for group in groups}
        print(f"d  m = {m}, d = {d}: {len(groups)} cells would compile {len(different)} times")
        figures[f"m_{m}"] = len(different)
    return figures


def compiled(d: int = 16) -> dict[str, Any]:
    """d, with the compiler running."""
    events: list[str] = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, seconds, **_: events.append(event) if event.endswith("backend_compile_duration") else None
    )
    ratios = np.geomspace(1, 4, 20)
    problem = Problem.grid(ratios, ratios, np.inf, 0.1, 1e-3, CUBIC)
    start = time.perf_counter()
    swept = sweeps.sweep(problem, quantities="simulation", d=d, trials=2, progress=False)
    sizes = np.unique(swept["p"]).size
    seconds = time.perf_counter() - start
    print(f"d  m = inf, d = {d}: 400 cells of {sizes} widths, {len(events)} compilations, {seconds:.0f} s")
    return {"d": d, "cells": 400, "widths": sizes, "compilations": len(events), "seconds": seconds}


def main() -> dict[str, Any]:
    """Runs what is asked for, prints it and returns its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=["a", "c", "d"], choices=["a", "b", "c", "d"])
    parser.add_argument("--cells", type=int, default=400)
    parser.add_argument("--d", type=int, default=100)
    parser.add_argument("--count", action="store_true")
    arguments = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    figures: dict[str, Any] = {}
    if {"a", "b"} & set(arguments.only):
        figures["milliseconds"] = overhead(arguments.cells)
    if "c" in arguments.only:
        figures["workers"] = scaling(arguments.d, 40)
    if "d" in arguments.only:
        figures["compilations"] = compilations(arguments.d)
        if not arguments.count:
            figures["compiled"] = compiled()
    print(f"load {os.getloadavg()[0]:.1f} in the end")
    return figures


if __name__ == "__main__":
    main()
