"""Speed of the memorisation experiment against a plain NumPy transcription of it: `python -m benchmarks.linear`.

Both do what the program published with arXiv 2411.17807 does: n = 25, 50, 75, 100 points (120 added) in d = 100
dimensions, T = 2, noise scale e^{-2T}; a denoiser with intercept; the squared-L2 distance of its law to the densities
of Gaussian kernels on the training points and on 10^4 fresh points, of widths n^{-1/d} and 10^{-4/d}; the squared
Hellinger distance to the target. The transcription draws a fresh set for every cell, as that program does, and sums
over pairs row by row; ours shares one among the cells of a repeat. Sums that would underflow, or vanish beside 1, are
kept as logarithms in both. The number compared is the time per cell and repeat. Statistics are compared by their
standard errors over repeats.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # LAPACK's threads spin; before NumPy and JAX are loaded

import argparse
import time
from typing import Any

import jax
import numpy as np

from rfdsm import linear

SIZES = (25, 50, 75, 100, 120)
TITLES = {"log_distance": "log |Delta|", "bhattacharyya": "Bhattacharyya rate"}


def log_kernel_overlaps(points: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> tuple[float, float]:
    """log of the sum over pairs i != j and of the overlap with the law, in common units, the obvious way."""
    n, d = points.shape
    width2 = n ** (-2 / d)
    rows = []
    for i in range(n):
        exponent = -np.sum((points - points[i]) ** 2, axis=1) / (4 * width2)
        exponent[i] = -np.inf
        rows.append(np.logaddexp.reduce(exponent))
    pairs = np.logaddexp.reduce(rows) - np.log(n)
    law = covariance + width2 * np.eye(d)
    away = points - mean
    exponent = -np.sum(away * np.linalg.solve(law, away.T).T, axis=1) / 2
    density = np.logaddexp.reduce(exponent) - np.log(n) - np.linalg.slogdet(law)[1] / 2
    return pairs, np.log(2) + d / 2 * np.log(2) + density


def transcription(n: int, d: int, fresh: int, rng: np.random.Generator) -> tuple[float, float, float]:
    """One repeat of one cell: sign of Delta, log |Delta| + (d/2) log(4 pi), Bhattacharyya rate of law and target."""
    a = np.exp(-2.0)
    eta = np.exp(-4.0) * (1 - a * a)
    x = rng.normal(size=(n, d))
    y = a * x + np.sqrt(eta) * rng.normal(size=(n, d))
    design = y - y.mean(axis=0)
    b1 = np.linalg.lstsq(design, x - x.mean(axis=0), rcond=None)[0].T
    mean = x.mean(axis=0) + b1 @ (a * x.mean(axis=0) - y.mean(axis=0))
    spread = a * a * np.mean(np.var(x, axis=0, ddof=1)) + eta
    covariance = spread * b1 @ b1.T
    train_pairs, train = log_kernel_overlaps(x, mean, covariance)
    fresh_pairs, new = log_kernel_overlaps(rng.normal(size=(fresh, d)), mean, covariance)
    plus, minus = np.logaddexp(train_pairs, new), np.logaddexp(fresh_pairs, train)
    log = max(plus, minus) + np.log(-np.expm1(-abs(plus - minus)))
    if n <= d:
        return float(np.sign(plus - minus)), float(log), np.inf
    middle = (covariance + np.eye(d)) / 2
    overlap = mean @ np.linalg.solve(middle, mean) / 8 + np.linalg.slogdet(middle)[1] / 2
    overlap -= np.linalg.slogdet(covariance)[1] / 4
    return float(np.sign(plus - minus)), float(log), float(overlap / d)


def agreement(own: np.ndarray, other: np.ndarray) -> tuple[Any, Any, Any]:
    """Means of both, and their difference in standard errors by the spread over our repeats, which are many."""
    if not np.all(np.isfinite(own)):
        return own[0], other[0], np.nan
    error = np.std(own, ddof=1) * np.sqrt(1 / own.size + 1 / other.size)
    return np.mean(own), np.mean(other), (np.mean(other) - np.mean(own)) / error


def main() -> dict[str, Any]:
    """Prints everything and returns its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=300)
    parser.add_argument("--numpy-repeats", type=int, default=4)
    parser.add_argument("--dimension", type=int, default=100)
    parser.add_argument("--fresh", type=int, default=10_000)
    arguments = parser.parse_args()
    d = arguments.dimension
    sizes = [round(n * d / 100) for n in SIZES]
    problem = linear.Problem(np.array(sizes) / d, 2.0)
    print(f"device: {jax.devices()[0].device_kind}; d = {d}, n = {sizes}, fresh set {arguments.fresh}")

    start = time.perf_counter()
    result = linear.memorisation(problem, d, trials=arguments.repeats, key=1, fresh=arguments.fresh)
    seconds = time.perf_counter() - start
    ours = seconds / (arguments.repeats * len(sizes))
    print(f"rfdsm: {arguments.repeats} repeats of {len(sizes)} cells in {seconds:.1f} s, compilation included "
          f"({1e3 * ours:.1f} ms per cell and repeat, nearest neighbours included)")  # fmt: skip

    rng = np.random.default_rng(0)
    start = time.perf_counter()
    plain = np.array(
        [[transcription(n, d, arguments.fresh, rng) for n in sizes] for _ in range(arguments.numpy_repeats)]
    )
    theirs = (time.perf_counter() - start) / (arguments.numpy_repeats * len(sizes))
    print(f"NumPy: {arguments.numpy_repeats} repeats, {theirs:.2f} s per cell and repeat; ratio {theirs / ours:.0f}")
    cells = []
    for k, n in enumerate(sizes):
        probabilities = [result.probability[k], result.probability_error[k], np.mean(plain[:, k, 0] > 0)]
        hellinger = result.hellinger[:, k].mean()
        print(f"n = {n}: P(Delta > 0) {probabilities[0]:.3f} ± {probabilities[1]:.3f}, NumPy {probabilities[2]:.2f}; "
              f"average squared Hellinger distance {hellinger:.9f}")  # fmt: skip
        cells.append({"n": n, "probability": probabilities, "hellinger": hellinger})
        both = ((result.log_distance[:, k], plain[:, k, 1]), (result.bhattacharyya[:, k], plain[:, k, 2]))
        for (name, title), (own, other) in zip(TITLES.items(), both, strict=True):
            mine, plainly, z = cells[-1][name] = agreement(np.asarray(own), other)
            differ = f", {z:+.1f} standard errors" if np.isfinite(z) else ""
            print(f"  {title}: {mine:.4f}, NumPy {plainly:.4f}{differ}")
    differences = np.array([cell[name][2] for cell in cells for name in TITLES])
    return {
        "d": d,
        "fresh": arguments.fresh,
        "repeats": arguments.repeats,
        "seconds": seconds,
        "per_cell": ours,
        "numpy": {"repeats": arguments.numpy_repeats, "per_cell": theirs},
        "ratio": theirs / ours,
        "cells": cells,
        "compared": np.sum(np.isfinite(differences)),
        "worst_z": np.nanmax(np.abs(differences)),
    }


if __name__ == "__main__":
    main()
