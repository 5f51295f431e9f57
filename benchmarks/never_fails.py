"""Theory: random problems over the whole box, every one of which must converge, some against a 50-digit solution.

    python -m benchmarks.never_fails [--points 1000000] [--exact 1000] [--problems 176] [--seed 0]

The box is that of tests/theory/boxes.py: all activations of the registry, spectra of 1 to 8 atoms. The first part
prints the worst residual and step count; exact singularities must have the values that the rule gives them. The second
part compares all four losses with tests/theory/oracle.py, by distance from the peak at p = nm. Exits with 1 if anything
fails.
"""

import argparse
import time
from collections import Counter
from typing import Any

import numpy as np

from rfdsm import Losses, Problem, predict
from rfdsm._problem import FIELDS
from tests.theory.boxes import problems
from tests.theory.never_fails import compare, violations


def described(problem: Problem, cell: int) -> str:
    """One point in words that can be typed back."""
    values = ", ".join(f"{float(getattr(problem, name)[cell])!r}" for name in FIELDS)
    law = problem.spectrum
    return f"Problem({values}, {problem.activation.name!r}) nodes {law.nodes.tolist()} weights {law.weights.tolist()}"


def whole_box(count: int, each: int, seed: int) -> dict[str, Any]:
    """Convergence and physical values at count * each points."""
    steps, failures, singular, seconds = [], [], 0, 0.0
    worst_residual, hardest = 0.0, []
    for problem in problems(count, each, seed):
        start = time.perf_counter()
        losses = predict(problem)
        seconds += time.perf_counter() - start
        bad, rule = violations(problem, losses)
        singular += int(rule.sum())
        failures += [described(problem, cell) for cell in np.flatnonzero(bad)[:3]]
        worst_residual = max(worst_residual, float(np.max(losses.residual)))
        steps.append(np.asarray(losses.steps))
        cell = int(np.argmax(losses.steps))
        hardest.append((float(np.asarray(losses.steps)[cell]), described(problem, cell)))
    total = np.concatenate(steps)
    print(
        f"{total.size} points, {count} activations and spectra, {singular} exactly singular: {len(failures)} failures"
    )
    print(f"largest relative residual {worst_residual:.1e}; {total.size / seconds:,.0f} points/s with set-up")
    quantiles = np.percentile(total, [50, 90, 99, 99.9, 100])
    print("steps: median, 90 %, 99 %, 99.9 %, largest:", *quantiles)
    print("most steps:", Counter(total[total >= total.max() - 3].astype(int).tolist()))
    hardest = sorted(hardest, reverse=True)[:4]
    for number, text in hardest:
        print(f"  {number:.0f} steps: {text}")
    for text in failures[:10]:
        print("  FAILED", text)
    return {
        "points": total.size,
        "activations_and_spectra": count,
        "singular": singular,
        "failures": len(failures),
        "residual": worst_residual,
        "per_second": total.size / seconds,
        "steps": dict(zip(("median", "below_90", "below_99", "below_999", "most"), quantiles, strict=True)),
        "hardest": [text for _, text in hardest],
    }


def against_exact(points: int, count: int, seed: int) -> dict[str, Any]:
    """Relative errors of the four losses at so many points."""
    rows, start = [], time.perf_counter()
    for problem in problems(count, -(-points // count), seed, closest=1e-9):
        losses = predict(problem)
        _, singular = violations(problem, losses)
        cells = np.flatnonzero(~singular).tolist()
        rows += [(*row, cell, problem) for row, cell in zip(compare(problem, losses, cells), cells, strict=True)]
    print(f"{len(rows)} points against 50 digits, {time.perf_counter() - start:.0f} s")
    figures: dict[str, Any] = {"points": len(rows), "passed": True}
    for title, low, high, allowed in (("beyond 1e-3 of the peak", 1e-3, np.inf, 1e-8), ("within", -1.0, 1e-3, 1e-6)):
        chosen = [row for row in rows if low < row[0] <= high]
        largest = {name: max(row[1][name] for row in chosen) for name in Losses.NAMES}
        print(f"  {title}: {len(chosen)} points, largest relative error", {k: f"{v:.1e}" for k, v in largest.items()})
        distance, errors, cell, problem = max(chosen, key=lambda row: max(row[1].values()))
        print(f"    worst at distance {distance:.1e}: {described(problem, cell)} {errors}")
        figures["passed"] &= max(largest.values()) <= allowed
        figures[title.split()[0]] = {
            "points": len(chosen),
            "errors": largest,
            "worst": max(largest.values()),
            "distance": distance,
            "hardest": described(problem, cell),
        }
    return figures


def main() -> dict[str, Any]:
    """Prints everything and returns its figures; exits with 1 if anything fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--exact", type=int, default=1_000)
    parser.add_argument("--problems", type=int, default=176, help="activations and spectra among them")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    figures: dict[str, Any] = {}
    if arguments.points:
        figures |= whole_box(arguments.problems, -(-arguments.points // arguments.problems), arguments.seed)
    if arguments.exact:
        figures["exact"] = against_exact(arguments.exact, min(arguments.problems, 88), arguments.seed + 1)
    if figures.get("failures") or not figures.get("exact", {}).get("passed", True):
        raise SystemExit(1)
    return figures


if __name__ == "__main__":
    main()
