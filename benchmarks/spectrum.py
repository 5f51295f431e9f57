"""Spectrum: (problem, u) pairs per second of `rfdsm.spectral_density`, against SciPy's root finder, in one run.

    python -m benchmarks.spectrum [--problems 200] [--places 1000] [--scipy-pairs 40]

`spectral_density` also finds edges, masses and atoms of every problem; that time is included. SciPy does what is usual:
for each u it follows the order parameters of the same equations from large Im z down to the real axis with
`scipy.optimize.root`, the Gaussian moments given. The densities of the two must agree. Rates are given by the clock on
the wall and per second of processor time, which other programs on the machine disturb less.
"""

import argparse
import time
from typing import Any

import jax
import numpy as np
import scipy.optimize

import rfdsm
from rfdsm.theory._populations import cells_of

SMOOTHING = 1e-9
"""Im z at which SciPy stops, relative to u."""


def random_problems(count: int, places: int, seed: int = 0) -> tuple[rfdsm.Problem, np.ndarray]:
    """Ratios 0.1 to 100, times 0.01 to 3, m from 1 to infinity; u over five decades up to the largest eigenvalue."""
    rng = np.random.default_rng(seed)
    psi_n, psi_p = 10 ** rng.uniform(-1, 2, (2, count))
    m = rng.choice([1, 2, 4, 16, 64, np.inf], count)
    problem = rfdsm.Problem(psi_n, psi_p, m, 10 ** rng.uniform(-2, 0.5, count), 0.0)
    top = (1 + np.sqrt(psi_p)) ** 2 * (1 + np.sqrt(psi_p / psi_n)) ** 2 / psi_p
    return problem, top[:, None] * np.geomspace(1e-5, 1, places)


def scipy_density(u: float, psi_n: float, psi_p: float, q: float, t: float, moments: tuple) -> float:
    """Im q/pi at u by continuation in Im z, one decade or less at a time."""
    mu1, beta_psi, beta_a = moments
    a_squared, h, L = np.exp(-2 * t), -np.expm1(-2 * t), mu1**2

    def equations(x: np.ndarray, z: complex) -> np.ndarray:
        e_s, f, g = x[:3] + 1j * x[3:]
        c_s, c_a = 1 / (1 + e_s), (1 - q) / (1 + q * f)
        D = c_s * L * a_squared + (q * c_s + c_a) * L * h
        Y = psi_p * g / (1 + psi_p * g * D)
        f_image = (L * h * Y + beta_a * psi_p * g) / psi_n
        e_image = (L * a_squared * Y + beta_psi * psi_p * g) / psi_n + q * f_image
        A = -z + c_s * (beta_psi + q * beta_a) + c_a * beta_a
        difference = np.array([e_image - e_s, f_image - f, g * (A + D / (1 + psi_p * g * D)) - 1])
        return np.concatenate([difference.real, difference.imag])

    height = 100 * max(u, 1 + psi_p / psi_n + psi_p)
    g = 1j / height
    x = np.array([0, 0, 0, 0, 0, g.imag])
    while True:
        x = scipy.optimize.root(equations, x, args=(u + 1j * height,), tol=1e-13).x
        if height <= SMOOTHING * u:
            return x[5] / np.pi
        height = max(height / 2, SMOOTHING * u)


def main() -> dict[str, Any]:
    """Prints everything and returns its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=200)
    parser.add_argument("--places", type=int, default=1000)
    parser.add_argument("--scipy-pairs", type=int, default=40)
    arguments = parser.parse_args()
    jax.config.update("jax_enable_x64", True)

    problem, u = random_problems(arguments.problems, arguments.places)
    start = time.perf_counter()
    rfdsm.spectral_density(problem, u)
    first = time.perf_counter() - start
    seconds, busy, seconds_one = [], [], []
    for seed in (1, 2, 3):
        fresh, places = random_problems(arguments.problems, arguments.places, seed)
        start, processor = time.perf_counter(), time.process_time()
        result = rfdsm.spectral_density(fresh, places)
        seconds.append(time.perf_counter() - start)
        busy.append(time.process_time() - processor)
        one = rfdsm.Problem(8.0, 64.0, 4, 0.01 * seed, 0.0)
        start = time.perf_counter()
        rfdsm.spectral_density(one, np.geomspace(1e-4, 50, 100_000))
        seconds_one.append(time.perf_counter() - start)
    pairs = places.size
    rate = pairs / np.median(seconds)
    print(f"device: {jax.devices()[0].device_kind}, float64, tanh, identity covariance")
    print(
        f"spectral_density: {arguments.problems} problems, {arguments.places} places each, edges and atoms included: "
        f"{np.median(seconds):.3f} s ({rate:,.0f} pairs per second; first call {first:.1f} s with compilation)"
    )
    within, core_rate = np.mean(result.density > 0), pairs / np.median(busy)
    print(f"  converged: {np.mean(result.converged):.4%}; within a bulk: {within:.1%} of the pairs")
    print(f"  processor time: {np.median(busy):.3f} s ({core_rate:,.0f} pairs per second and core)")
    print(f"one problem, 100,000 places: {100_000 / np.median(seconds_one):,.0f} pairs per second")

    inside = np.argwhere(result.density > 0)
    some = inside[np.random.default_rng(0).choice(len(inside), arguments.scipy_pairs, replace=False)]
    moments = cells_of(fresh).moments
    start, processor = time.perf_counter(), time.process_time()
    found = [
        scipy_density(
            places[k, j], fresh.psi_n[k], fresh.psi_p[k], 1 / fresh.m[k], fresh.t[k], tuple(x[k] for x in moments)
        )
        for k, j in some
    ]
    scipy_rate = len(some) / (time.perf_counter() - start)
    scipy_core_rate = len(some) / (time.process_time() - processor)
    error = np.abs(np.array(found) / result.density[tuple(some.T)] - 1)
    print(
        f"scipy.optimize.root with continuation: {scipy_rate:.1f} pairs per second, on {len(some)} within the bulks; "
        f"{np.mean(error < 1e-5):.0%} agree to 1e-5, median relative difference {np.median(error):.1e}"
    )
    print(f"ratio: {rate / scipy_rate:,.0f} by the clock, {core_rate / scipy_core_rate:,.0f} per core")
    return {
        "problems": arguments.problems,
        "places": arguments.places,
        "seconds": np.median(seconds),
        "per_second": rate,
        "first_call": first,
        "converged": np.mean(result.converged),
        "within_bulk": within,
        "processor_seconds": np.median(busy),
        "per_second_and_core": core_rate,
        "one_problem_per_second": 100_000 / np.median(seconds_one),
        "scipy": {
            "per_second": scipy_rate,
            "pairs": len(some),
            "agrees": np.mean(error < 1e-5),
            "difference": np.median(error),
            "ratio": rate / scipy_rate,
            "ratio_per_core": core_rate / scipy_core_rate,
        },
    }


if __name__ == "__main__":
    main()
