"""Simulation: rfdsm against what one would write by hand, in one run, all losses, float64.

    python -m benchmarks.simulate [--d 400] [--psi-n 4] [--psi-p 6] [--m 4] [--only a b c d e] [--repeats 3]

a   one trial against NumPy and OpenBLAS (symmetric rank-k update for the Gram matrix, Cholesky), which estimates three
    of the losses on 10^4 fresh draws; rfdsm computes them exactly. The losses must agree within their spread.
b   30 ridges in one call against 30 calls.
c   the streamed Gram matrix: operations per second as a fraction of what JAX's own matrix product reaches.
d   m = inf, exactly, against m = 1000 draws.
e   full-batch training with Adam against a loop that holds all features, as one writes it in PyTorch, 200 steps.

On an accelerator add --dtype float32 for its matrix units. Compilation is left out and printed.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import scipy.linalg
from scipy.linalg.blas import dsyrk

import rfdsm
from rfdsm._scope import jax_scope
from rfdsm.simulation import memory_estimate
from rfdsm.simulation._plan import plan
from rfdsm.simulation._strips import bounds
from rfdsm.simulation._trial import Cell, Trial

NAMES = ("train", "empirical_test", "test", "score")


class ByHand:
    """One trial as one would write it with NumPy: tanh features, identity covariance."""

    def __init__(self, rng: np.random.Generator, n: int, p: int, m: int, d: int, t: float) -> None:
        self.rng, self.d, self.a, self.h = rng, d, np.exp(-t), -np.expm1(-2 * t)
        self.W = rng.standard_normal((p, d))
        self.x = rng.standard_normal((n, d))
        _, self.z, self.phi = self.noised(self.x, m)

    def noised(self, x: np.ndarray, draws: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Noisy points, their noise and their features."""
        z = self.rng.standard_normal((len(x) * draws, self.d))
        y = self.a * np.repeat(x, draws, axis=0) + np.sqrt(self.h) * z
        return y, z, np.tanh(y @ self.W.T / np.sqrt(self.d))

    def losses(self, ridge: float, fresh: int) -> list[float]:
        """The four losses of the ridge minimiser, three of them estimated on fresh draws."""
        phi, z, d = self.phi, self.z, self.d
        U = dsyrk(1 / len(phi), phi.T, lower=1)  # the transposed view is in Fortran's order: no copy
        U[np.diag_indices(len(U))] += ridge
        factor = scipy.linalg.cho_factor(U, lower=True, overwrite_a=True)
        B = -scipy.linalg.cho_solve(factor, phi.T @ z / len(phi)).T
        train = np.mean(np.sum((phi @ B.T + z) ** 2, axis=1)) / d
        _, z, phi = self.noised(self.x, max(2, -(-fresh // len(self.x))))
        empirical_test = np.mean(np.sum((phi @ B.T + z) ** 2, axis=1)) / d
        y, z, phi = self.noised(self.rng.standard_normal((fresh, d)), 1)
        output = phi @ B.T
        test = np.mean(np.sum((output + z) ** 2, axis=1)) / d
        return [train, empirical_test, test, np.mean(np.sum((output / np.sqrt(self.h) + y) ** 2, axis=1)) / d]

    def train(self, ridge: float, steps: int, rate: float) -> None:
        """Full-batch Adam on the output weights, all features in memory."""
        A = np.zeros((self.d, self.phi.shape[1]))
        scale = np.sqrt(self.h / self.phi.shape[1])
        first, second = np.zeros_like(A), np.zeros_like(A)
        for step in range(1, steps + 1):
            residual = scale * self.phi @ A.T + self.z
            slope = 2 / self.d * scale * (residual.T @ self.phi / len(self.phi) + ridge * scale * A)
            first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
            A -= rate * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)


def seconds(call: Callable[[], Any], repeats: int = 1) -> float:
    """Best of several."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(call())
        times.append(time.perf_counter() - start)
    return min(times)


def against_numpy(a: argparse.Namespace, problem: rfdsm.Problem, n: int, p: int) -> dict[str, Any]:
    """Part a."""
    rng = np.random.default_rng(0)
    first = seconds(lambda: rfdsm.simulate(problem, a.d, key=0, dtype=a.dtype).test)
    spent: dict[str, list[float]] = {"rfdsm": [], "numpy": []}
    values: dict[str, list[list[float]]] = {"rfdsm": [], "numpy": []}
    pairs = 2 * a.repeats + 1
    for key in range(1, pairs + 1):  # in turn, so that both see the same machine
        start = time.perf_counter()
        losses = rfdsm.simulate(problem, a.d, key=key, dtype=a.dtype)
        spent["rfdsm"].append(time.perf_counter() - start)
        values["rfdsm"].append([float(getattr(losses, name)[0]) for name in NAMES])
        start = time.perf_counter()
        result = ByHand(rng, n, p, a.m, a.d, a.t).losses(a.ridge, 10**4)
        spent["numpy"].append(time.perf_counter() - start)
        values["numpy"].append(result)
    figures: dict[str, Any] = {}
    for who, times in spent.items():
        mean, spread = np.mean(values[who], axis=0), np.std(values[who], axis=0, ddof=1)
        shown = ", ".join(f"{name} {x:.4f}±{s:.4f}" for name, x, s in zip(NAMES, mean, spread, strict=True))
        print(f"a  {who}: {np.median(times):.2f} s per trial (median of {pairs}); {shown}")
        losses = {name: {"mean": x, "spread": s} for name, x, s in zip(NAMES, mean, spread, strict=True)}
        figures[who] = {"seconds": np.median(times), "losses": losses}
    ratios = np.array(spent["numpy"]) / np.array(spent["rfdsm"])
    print(
        f"a  numpy/rfdsm: {np.median(ratios):.2f} ({np.min(ratios):.2f} to {np.max(ratios):.2f}); "
        f"first call {first:.1f} s"
    )
    found = {"ratio": np.median(ratios), "least_ratio": np.min(ratios), "largest_ratio": np.max(ratios)}
    return figures | found | {"first_call": first, "repeats": pairs}


def many_ridges(a: argparse.Namespace, problem: rfdsm.Problem) -> dict[str, Any]:
    """Part b."""
    ridges = np.geomspace(1e-5, 1.0, 30)
    grid = rfdsm.Problem(problem.psi_n, problem.psi_p, problem.m, problem.t, ridges)
    for each in (grid, problem):
        rfdsm.simulate(each, a.d, dtype=a.dtype)
    together = seconds(lambda: rfdsm.simulate(grid, a.d, dtype=a.dtype).test, a.repeats)
    one = seconds(lambda: rfdsm.simulate(problem, a.d, dtype=a.dtype).test, a.repeats)
    print(f"b  30 ridges: {together:.2f} s; one: {one:.2f} s; 30 runs/one call: {30 * one / together:.1f}")
    return {"seconds": together, "one": one, "ratio": 30 * one / together}


def streamed_gram(a: argparse.Namespace, problem: rfdsm.Problem, n: int, p: int) -> dict[str, Any]:
    """Part c."""
    request = plan(
        problem, a.d, trials=1, key=0, data=None, dtype=a.dtype, devices=None, memory_limit=None, primal=True
    )
    group = request.groups[0]
    with jax_scope():
        cell = jax.tree.map(jnp.asarray, Cell.of(request, group))

        @jax.jit
        def moments(key: Any) -> Any:
            trial = Trial.drawn(key, cell, group.settings, 1)
            return trial.training()

        product = jax.jit(lambda x: x @ x.T)
        x = jax.random.normal(jax.random.key(0), (p, group.settings.chunk), request.dtype)
        jax.block_until_ready((moments(jax.random.key(0)), product(x)))
        peak = 2 * p * p * group.settings.chunk / seconds(lambda: product(x), 5)
        spent = seconds(lambda: moments(jax.random.key(1)), a.repeats)
    draws = n * a.m
    strips = 2 * draws * sum((high - low) * high for low, high in bounds(p))
    done = strips + 4 * draws * p * a.d  # features and V
    print(
        f"c  matrix product {peak / 1e9:.0f} GFLOP/s; streamed moments {done / spent / 1e9:.0f} GFLOP/s, "
        f"{done / spent / peak:.0%} of it ({spent:.2f} s, draws, features and V included)"
    )
    return {
        "product_gigaflops": peak / 1e9,
        "streamed_gigaflops": done / spent / 1e9,
        "share": done / spent / peak,
        "seconds": spent,
    }


def infinite_draws(a: argparse.Namespace, problem: rfdsm.Problem) -> dict[str, Any]:
    """Part d."""
    exact, many = (rfdsm.Problem(problem.psi_n, problem.psi_p, m, problem.t, problem.ridge) for m in (np.inf, 1000))
    for each in (exact, problem):  # m = 1000 shares the compilation of m = 4
        rfdsm.simulate(each, a.d, dtype=a.dtype)
    fast = seconds(lambda: rfdsm.simulate(exact, a.d, dtype=a.dtype).test, a.repeats)
    slow = seconds(lambda: rfdsm.simulate(many, a.d, dtype=a.dtype).test)
    print(f"d  m = inf: {fast:.2f} s; m = 1000: {slow:.1f} s; ratio {slow / fast:.0f}")
    return {"seconds": fast, "thousand": slow, "ratio": slow / fast}


def training_loop(a: argparse.Namespace, problem: rfdsm.Problem, n: int, p: int) -> dict[str, Any]:
    """Part e."""
    steps = 200
    optimiser = optax.adam(1e-2)

    def ours(steps: int) -> float:
        def call() -> Any:
            return rfdsm.simulate_training(problem, [steps], a.d, optimiser=optimiser, dtype=a.dtype).test

        call()
        return seconds(call, a.repeats)

    by_hand = ByHand(np.random.default_rng(0), n, p, a.m, a.d, a.t)
    theirs = seconds(lambda: by_hand.train(a.ridge, steps, 1e-2))
    whole, start = ours(steps), ours(0)
    print(
        f"e  {steps} steps: by hand {theirs:.1f} s, rfdsm {whole - start:.1f} s (and {start:.1f} s to set up and "
        f"record all losses); ratio {theirs / (whole - start):.1f}, everything included {theirs / whole:.1f}"
    )
    return {
        "steps": steps,
        "by_hand": theirs,
        "seconds": whole - start,
        "set_up": start,
        "ratio": theirs / (whole - start),
        "whole_ratio": theirs / whole,
    }


def main() -> dict[str, Any]:
    """Prints everything and returns its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--d", type=int, default=400)
    parser.add_argument("--psi-n", type=float, default=4)
    parser.add_argument("--psi-p", type=float, default=6)
    parser.add_argument("--m", type=int, default=4)
    parser.add_argument("--t", type=float, default=0.1)
    parser.add_argument("--ridge", type=float, default=1e-3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--dtype", default="float64")
    parser.add_argument("--only", nargs="+", choices="abcde", default=list("abcde"))
    a = parser.parse_args()
    n, p = round(a.psi_n * a.d), round(a.psi_p * a.d)
    problem = rfdsm.Problem(a.psi_n, a.psi_p, a.m, a.t, a.ridge)
    need = memory_estimate(p, a.d, itemsize=np.dtype(a.dtype).itemsize)
    print(
        f"{jax.devices()[0].device_kind}, {a.dtype} (NumPy float64), d = {a.d}, n = {n}, p = {p}, m = {a.m}, "
        f"memory at most {need / 1e9:.2f} GB"
    )
    parts: dict[str, tuple[str, Callable[[], dict[str, Any]]]] = {
        "a": ("trial", lambda: against_numpy(a, problem, n, p)),
        "b": ("ridges", lambda: many_ridges(a, problem)),
        "c": ("gram", lambda: streamed_gram(a, problem, n, p)),
        "d": ("infinite_draws", lambda: infinite_draws(a, problem)),
        "e": ("training", lambda: training_loop(a, problem, n, p)),
    }
    figures: dict[str, Any] = {"d": a.d, "n": n, "p": p, "m": a.m, "gigabytes": need / 1e9}
    for name, call in (parts[part] for part in a.only):
        figures[name] = call()
    return figures


if __name__ == "__main__":
    main()
