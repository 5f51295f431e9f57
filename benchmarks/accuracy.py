"""How far simulations at finite d are from the theory of d = infinity: the tables of docs/accuracy.md.

    python -m benchmarks.accuracy [--d 25 50 100 200] [--trials 32]

Theory is taken at the ratios that each simulation realises, so that what is left is the finite-size deviation, O(1/d).
It is fitted by intercept + c/d, weighted by the standard errors and without the smallest d, at which 1/d^2 still counts
(unless only two are given). Printed are the deviations in per cent of the loss, with the standard error of the last
digits in brackets; c of the relative deviation c/d; the d at which that is one per cent; and the intercept, what would
be left at d = infinity, in its standard errors.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy is loaded

import argparse
import math
from typing import Any

import numpy as np

from rfdsm import Problem, compare, spectra
from rfdsm._comparison import Comparison
from rfdsm.extrapolation import Extrapolation, fit

# In 25 directions: the same spectrum in every multiple of 25 dimensions, else c would change with d.
POWER_LAW = spectra.power_law(exponent=1, cutoff=0.05).realise(25)[1]
PROBLEMS = (
    ("tanh, m = 1, p = n/2", Problem(2, 1, 1, 0.1, 1e-3, "tanh")),
    ("tanh, m = 1, p = n: peak", Problem(2, 2, 1, 0.1, 1e-3, "tanh")),
    ("tanh, m = 1, p = 4n", Problem(2, 8, 1, 0.1, 1e-3, "tanh")),
    ("relu, m = 4, p = n", Problem(2, 2, 4, 0.1, 1e-3, "relu")),
    ("relu, m = 4, p = 4n = nm: peak", Problem(1, 4, 4, 0.1, 1e-3, "relu")),
    ("tanh, m = 4, p = 8n = 2nm", Problem(1, 8, 4, 0.1, 1e-3, "tanh")),
    ("tanh, m = ∞, p = n/2", Problem(2, 1, math.inf, 0.1, 1e-3, "tanh")),
    ("tanh, m = ∞, p = 4n", Problem(2, 8, math.inf, 0.1, 1e-3, "tanh")),
    ("tanh, m = ∞, p = 2n, power law", Problem(2, 4, math.inf, 0.1, 1e-3, "tanh", POWER_LAW)),
)


def with_error(value: float, error: float) -> str:
    """+1.32(8): the error of the last digits in brackets."""
    if not math.isfinite(value) or not error > 0:
        return "–"
    digits = max(0, 1 - math.floor(math.log10(error)))
    shown = round(error * 10**digits)
    return f"{value:+.{digits}f}({shown if digits else round(error)})"


def extrapolated(comparison: Comparison) -> Extrapolation:
    """Deviations fitted over all d but the smallest."""
    first = 1 if len(comparison.dimensions) > 2 else 0
    inverse = 1 / np.asarray(comparison.dimensions[first:], float)[None]
    return fit(inverse, comparison.deviation[:, first:], comparison.standard_error[:, first:])


def rows(name: str, comparison: Comparison) -> list[dict[str, Any]]:
    """Deviations of each loss in per cent by dimension, their errors, c, and the intercept in standard errors."""
    line = extrapolated(comparison)
    found = []
    for k, loss in enumerate(comparison.names):
        limit = float(getattr(comparison.limit, loss))
        if loss == "empirical_test" and np.all(np.isinf(comparison.problem.m)):
            continue  # the same number as train
        found.append(
            {
                "problem": name,
                "loss": loss,
                "theory": limit,
                "percent": 100 * comparison.relative_deviation[k],
                "error": 100 * comparison.standard_error[k] / comparison.theory[k],
                "c": float(line.slope[k]) / limit,
                "c_error": float(line.slope_error[k]) / limit,
                "intercept": float(line.z[k]),
            }
        )
    return found


def head(dimensions: list[int]) -> str:
    """The first two lines of the table."""
    titles = ["problem", "loss", "theory", *(f"d = {d}" for d in dimensions), "c", "d for 1 %", "intercept, s.e."]
    return f"| {' | '.join(titles)} |\n{'|---' * len(titles)}|"


def shown(row: dict[str, Any]) -> str:
    """A row as a line of the table."""
    cells = [with_error(*pair) for pair in zip(row["percent"], row["error"], strict=True)]
    cells += [with_error(row["c"], row["c_error"]), f"{100 * abs(row['c']):.0f}", f"{row['intercept']:+.1f}"]
    return f"| {row['problem']} | {row['loss']} | {row['theory']:.4g} | {' | '.join(cells)} |"


def table(figures: dict[str, Any]) -> str:
    """The whole table in Markdown."""
    return "\n".join([head(figures["dimensions"]), *map(shown, figures["rows"])])


def summary(found: list[dict[str, Any]]) -> dict[str, Any]:
    """What the page says of the rows of all problems at d = 25, 50, 100 and 200."""
    per_draw = {name: float(problem.psi_p / (problem.psi_n * problem.m)) for name, problem in PROBLEMS}  # p/nm
    narrow = {name for name, problem in PROBLEMS if problem.psi_p < problem.psi_n}

    def chosen(loss: str, least: float = 0) -> list[dict[str, Any]]:
        named = (row for row in found if row["loss"] == loss and row["problem"] not in narrow)
        return [row for row in named if per_draw[row["problem"]] >= least]

    def ends(rows: list[dict[str, Any]], place: int) -> list[float]:
        sizes = [abs(row["percent"][place]) for row in rows]
        return [min(sizes), max(sizes)]

    below = [row for row in found if row["problem"] in narrow and row["loss"] != "score"]
    slopes = [abs(row["c"]) for row in chosen("test")]
    worst = max(found, key=lambda row: abs(row["intercept"]))
    others = [row["intercept"] for row in found if row is not worst]
    return {
        "below_peak": ends(below, 2)[1],
        "test_100": ends(chosen("test"), 2),
        "test_200": ends(chosen("test"), 3),
        "c": [min(slopes), max(slopes)],
        "interpolated": [{"percent": row["percent"][2], "theory": row["theory"]} for row in chosen("train", 1.01)],
        "empirical_test_100": ends(chosen("empirical_test", 1), 2),
        "worst": worst,
        "rms_of_others": np.sqrt(np.mean(np.square(others))),
    }


def main() -> dict[str, Any]:
    """Prints the table and what it comes to, and returns its figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--d", type=int, nargs="+", default=[25, 50, 100, 200])
    parser.add_argument("--trials", type=int, default=32)
    parser.add_argument("--only", type=int, nargs="+", default=range(len(PROBLEMS)), help="numbers of problems")
    given = parser.parse_args()
    print(head(given.d))
    found: list[dict[str, Any]] = []
    for index in given.only:
        name, problem = PROBLEMS[index]
        comparison = compare(problem, given.d, trials=given.trials)
        some = rows(name, comparison)
        print("\n".join(map(shown, some)), flush=True)
        found += some
    intercepts = [row["intercept"] for row in found]
    rms, largest = np.sqrt(np.mean(np.square(intercepts))), np.max(np.abs(intercepts))
    print()
    print(f"{len(intercepts)} intercepts: rms {rms:.2f} standard errors, largest {largest:.1f}")
    figures = {"dimensions": given.d, "trials": given.trials, "rows": found}
    figures["intercepts"] = {"count": len(intercepts), "rms": rms, "largest": largest}
    if given.d == [25, 50, 100, 200] and len(given.only) == len(PROBLEMS):
        figures["summary"] = summary(found)
    return figures


if __name__ == "__main__":
    main()
