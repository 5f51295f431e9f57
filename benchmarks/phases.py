"""Phase diagrams, boundaries and optima: seconds after compilation, solves, and the published crossover.

    python -m benchmarks.phases [--cells 200] [--rounds 7]

Prints the time of a diagram with four losses, signed fields and labels; the same with its boundaries; boundaries
of many lines, beside SciPy's brentq on `predict` line by line; optimal ridges, beside SciPy's bounded search; and p/n
at which memorisation begins for tanh, psi_n = 64, m = infinity, ridge 1e-6.
"""

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import scipy.optimize

import rfdsm


def timed(call: Callable[[], Any], rounds: int) -> tuple[float, float, Any]:
    """Seconds of the first call, the median of the others, and the last result."""
    start = time.perf_counter()
    call()
    first = time.perf_counter() - start
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        result = call()
        seconds.append(time.perf_counter() - start)
    return first, float(np.median(seconds)), result


def memorisation(psi_n: float, psi_p: float) -> float:
    losses = rfdsm.predict(rfdsm.Problem(psi_n, psi_p, 4, 0.1, 1e-3))
    return float(min(losses.floor, losses.test - losses.floor) - losses.empirical_test)


def main() -> dict[str, Any]:
    """Prints everything and returns its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    warnings.simplefilter("ignore", RuntimeWarning)
    psi_n, psi_p = np.geomspace(0.1, 100, arguments.cells), np.geomspace(0.1, 300, arguments.cells)
    grid = rfdsm.Problem.grid(psi_n, psi_p, 4, 0.1, 1e-3)

    first, seconds, _ = timed(lambda: rfdsm.phase_diagram(grid), arguments.rounds)
    print(f"diagram of {arguments.cells} x {arguments.cells} cells: {seconds:.3f} s (first call {first:.1f} s)")
    figures: dict[str, Any] = {"cells": arguments.cells, "diagram": {"seconds": seconds, "first_call": first}}
    first, seconds, _ = timed(lambda: rfdsm.phase_diagram(grid, "psi_p"), arguments.rounds)
    print(f"  with all boundaries along psi_p and the peak of test: {seconds:.3f} s (first call {first:.1f} s)")
    figures["with_boundaries"] = {"seconds": seconds, "first_call": first}

    lines = rfdsm.Problem(np.geomspace(0.5, 100, 1000), 1.0, 4, 0.1, 1e-3)
    _, seconds, found = timed(lambda: rfdsm.boundary(lines, "memorisation"), arguments.rounds)
    print(
        f"boundary on 1000 lines: {seconds:.3f} s, {found.solves / 1000:.0f} solves per line, "
        f"largest relative error {np.nanmax(found.error):.0e}"
    )
    figures["boundary"] = {"seconds": seconds, "solves": found.solves / 1000, "error": np.nanmax(found.error)}
    start = time.perf_counter()
    some = slice(None, None, 50)
    alone = [
        scipy.optimize.brentq(lambda x, n=n: memorisation(n, np.exp(x)), np.log(2 * n), np.log(50 * n), xtol=1e-11)
        for n in lines.psi_n[some]
    ]
    each = (time.perf_counter() - start) / len(alone)
    apart = np.max(np.abs(np.exp(alone) / found.roots[some, 0] - 1))
    print(
        f"  brentq on predict, bracket given: {each:.3f} s per line, {1000 * each / seconds:.0f} x; apart {apart:.0e}"
    )
    figures["boundary"]["brentq"] = {"seconds": each, "ratio": 1000 * each / seconds, "apart": apart}

    _, seconds, best = timed(lambda: rfdsm.optimal(lines_at(8.0), "ridge"), arguments.rounds)
    print(f"optimal ridge on 1000 lines: {seconds:.3f} s, {best.solves / 1000:.0f} solves per line")
    figures["optimal"] = {"seconds": seconds, "solves": best.solves / 1000}

    def test(x: float, n: float) -> float:
        return float(rfdsm.predict(rfdsm.Problem(n, 8.0, 4, 0.1, np.exp(x))).test)

    start = time.perf_counter()
    alone = [
        scipy.optimize.minimize_scalar(test, args=(n,), bounds=(-12, 6), method="bounded", options={"xatol": 1e-8}).fun
        for n in lines.psi_n[some]
    ]
    each = (time.perf_counter() - start) / len(alone)
    gain = np.max(best.minimum[some] / alone - 1)
    print(
        f"  SciPy's bounded search: {each:.3f} s per line, {1000 * each / seconds:.0f} x; ours is higher by {gain:.0e}"
    )
    figures["optimal"]["bounded"] = {"seconds": each, "ratio": 1000 * each / seconds, "higher": gain}

    times = np.array([0.3, 0.1, 0.01, 0.001])
    crossover = rfdsm.boundary(rfdsm.Problem(64.0, 1.0, np.inf, times, 1e-6), "memorisation")
    figures["crossover"] = crossover.roots[:, 0] / 64
    print("p/n where memorisation begins at t = 0.3, 0.1, 0.01, 0.001:", np.round(figures["crossover"], 6))
    return figures


def lines_at(psi_p: float) -> rfdsm.Problem:
    return rfdsm.Problem(np.geomspace(0.5, 100, 1000), psi_p, 4, 0.1, 1e-3)


if __name__ == "__main__":
    main()
