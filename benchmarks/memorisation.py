"""Memorisation of the linear denoiser by relative distance: P(Delta > 0) against n/d, in several dimensions.

    python -m benchmarks.memorisation [--d 30 100] [--transposed]

T = 2, noise scale e^{-4}, a fresh set of 10^4 points, the key 1, as in `rfdsm linear memorisation --key 1`; d = 500
takes longer. --transposed adds the same at d = 100 and n = 25, 50, 75, 100 with b1^T b1 in the place of b1 b1^T, as the
program published with arXiv 2411.17807 has it.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # LAPACK's threads spin; before NumPy and JAX are loaded

import argparse
import time
from typing import Any

import numpy as np

from rfdsm import linear

PSI = np.array([0.25, 0.5, 0.75, 1.0, 1.2, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0])
REPEATS = {30: 400, 100: 300, 500: 30, 2000: 4}


def described(values: np.ndarray, digits: int) -> str:
    """Numbers in a row."""
    return " ".join(f"{value:.{digits}f}" for value in values)


def table(*records: dict[str, Any]) -> str:
    """The probabilities as a table in Markdown, one line per dimension, those up to n/d = 1.2 by their largest."""
    later = PSI > 1.2
    heads = ["d", "repeats", "n/d ≤ 1.2", *(f"{psi:g}" for psi in PSI[later])]
    lines = [" | ".join(heads), "|".join(["---"] * len(heads))]
    for found in (run for record in records for name, run in record.items() if name.startswith("d_")):
        probability = np.array(found["probability"])
        first = np.max(probability[~later])
        cells = [f"≤ {first:.3g}" if first else "0", *(f"{value:.3g}" for value in probability[later])]
        lines.append(" | ".join([f"{found['d']}", f"{found['repeats']}", *cells]))
    return "\n".join(f"| {line} |" for line in lines)


def main() -> dict[str, Any]:
    """Prints everything and returns its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--d", type=int, nargs="+", default=[30, 100])
    parser.add_argument("--transposed", action="store_true")
    arguments = parser.parse_args()
    print(f"n/d = {described(PSI, 2)}")
    figures: dict[str, Any] = {"psi": PSI}
    for d in arguments.d:
        start = time.perf_counter()
        result = linear.memorisation(linear.Problem(PSI, 2.0), d, trials=REPEATS[d], key=1)
        seconds = time.perf_counter() - start
        print(f"d = {d}, {REPEATS[d]} repeats, {seconds:.0f} s: P(Delta > 0) = {described(result.probability, 3)}")
        print(f"  standard errors at most {np.max(result.probability_error):.3f}")
        print(f"  copied = {described(result.copied.mean(axis=0), 5)}")
        size = result.log_distance.mean(axis=0)
        print(f"  least log |Delta| at n/d = {PSI[np.argmin(size)]:.2f}: {described(size, 1)}")
        figures[f"d_{d}"] = {
            "d": d,
            "repeats": REPEATS[d],
            "seconds": seconds,
            "probability": result.probability,
            "error": np.max(result.probability_error),
            "copied": result.copied.mean(axis=0),
            "log_distance": size,
        }
    if not arguments.transposed:
        return figures
    cells = linear.Problem(np.array([0.25, 0.5, 0.75, 1.0]), 2.0)
    result = linear.memorisation(cells, 100, trials=60, key=1, transposed=True)
    print(f"transposed, d = 100, 60 repeats, n = 25, 50, 75, 100: P(Delta > 0) = {described(result.probability, 3)}")
    error = np.max(result.probability_error)
    print(f"  standard errors at most {error:.3f}")
    return figures | {"transposed": {"d": 100, "repeats": 60, "probability": result.probability, "error": error}}


if __name__ == "__main__":
    main()
