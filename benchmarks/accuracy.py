"""How far simulations at finite d are from the theory of d = infinity: the tables of docs/accuracy.md.

    python benchmarks/accuracy.py [--d 25 50 100 200] [--trials 32]

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

import numpy as np

from rfdsm import Problem, compare, spectra
from rfdsm.comparison import Comparison
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


def rows(name: str, comparison: Comparison) -> list[str]:
    """One line of the table for each loss."""
    line = extrapolated(comparison)
    lines = []
    for k, loss in enumerate(comparison.names):
        limit = float(getattr(comparison.limit, loss))
        if loss == "empirical_test" and np.all(np.isinf(comparison.problem.m)):
            continue  # the same number as train
        percent = 100 * comparison.relative_deviation[k]
        error = 100 * comparison.standard_error[k] / comparison.theory[k]
        cells = [with_error(*pair) for pair in zip(percent, error, strict=True)]
        c, c_error = float(line.slope[k]) / limit, float(line.slope_error[k]) / limit
        cells += [with_error(c, c_error), f"{100 * abs(c):.0f}", f"{float(line.z[k]):+.1f}"]
        lines.append(f"| {name} | {loss} | {limit:.4g} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Prints the table and what it comes to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--d", type=int, nargs="+", default=[25, 50, 100, 200])
    parser.add_argument("--trials", type=int, default=32)
    parser.add_argument("--only", type=int, nargs="+", default=range(len(PROBLEMS)), help="numbers of problems")
    given = parser.parse_args()
    print(f"| problem | loss | theory | {' | '.join(f'd = {d}' for d in given.d)} | c | d for 1 % | intercept, s.e. |")
    print("|---" * (len(given.d) + 6) + "|")
    intercepts: list[float] = []
    for index in given.only:
        name, problem = PROBLEMS[index]
        comparison = compare(problem, given.d, trials=given.trials)
        print("\n".join(rows(name, comparison)), flush=True)
        kept = [k for k, loss in enumerate(comparison.names) if loss != "empirical_test" or np.isfinite(problem.m)]
        intercepts += extrapolated(comparison).z[kept].tolist()
    print()
    print(
        f"{len(intercepts)} intercepts: rms {np.sqrt(np.mean(np.square(intercepts))):.2f} standard errors, "
        f"largest {np.max(np.abs(intercepts)):.1f}"
    )


if __name__ == "__main__":
    main()
