"""Training time: learning curves per second of `rfdsm.training_curve`, what they cost, and how they meet simulation.

    python -m benchmarks.training [--problems 1000] [--times 200] [--accuracy 120] [--scales]
                                  [--evidence 100 200 400 800] [--figure FILE.png]

Speed: random isotropic problems, all losses at all times in one call, compiled before; nodes per contour and memory
are printed, and the same by the obvious route for a few of them: one eigendecomposition of a simulated network per
trial at the dimension of --simulated. --accuracy compares so many problems of each of four kinds, drawn from the whole
box of tests/theory/boxes.py, at eight times each with contours of 1.5 times as many nodes. --scales prints the two time
scales, and early stopping beside the best ridge. --evidence compares with gradient flow of real networks at these
dimensions: deviations, standard errors, and the intercept of a fit in 1/d. --figure draws how the two time scales grow
with psi_n.
"""

import argparse
import resource
import time
from typing import Any

import jax
import numpy as np

import rfdsm
from rfdsm import spectra
from rfdsm.extrapolation import fit
from rfdsm.theory._contour import contour
from rfdsm.theory._flow import Curves, Path, curves
from rfdsm.theory._paths import CHUNK, Paths, mapped, paths
from rfdsm.theory._training import TOLERANCE
from tests.theory.boxes import fields

jax.config.update("jax_enable_x64", True)
NAMES = ("train", "empirical_test", "test", "score")


def random_problems(count: int, seed: int = 0) -> rfdsm.Problem:
    """Ratios 0.3 to 100, m from 1 to infinity, t from 0.01 to 1, ridge 1e-6 to 1."""
    rng = np.random.default_rng(seed)
    psi_n, psi_p = 10 ** rng.uniform(-0.5, 2, (2, count))
    m = rng.choice([1, 4, 16, np.inf], count)
    return rfdsm.Problem(psi_n, psi_p, m, 10 ** rng.uniform(-2, 0, count), 10 ** rng.uniform(-6, 0, count))


def processor_time() -> float:
    """Seconds of both kinds."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def speed(count: int, number_of_times: int, simulated: int) -> dict[str, Any]:
    """Wall and processor time of the whole batch, and of the simulated alternative."""
    problem, times = random_problems(count), np.geomspace(1e-3, 1e6, number_of_times)
    nodes = paths(problem, 0.0, lambda extent, ridge: times.max()).contour.nodes.size
    began = time.perf_counter()
    rfdsm.training_curve(problem, times)
    cold = time.perf_counter() - began
    began, used = time.perf_counter(), processor_time()
    curve = rfdsm.training_curve(problem, times)
    wall, used = time.perf_counter() - began, processor_time() - used
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{count} problems x {number_of_times} times on {jax.default_backend()}, {jax.local_device_count()} device(s)"
    )
    print(f"  {wall:.2f} s ({used:.2f} s of processor time), {cold:.1f} s with compilation")
    print(f"  {nodes} nodes per contour, {CHUNK} problems per call, {memory:.2f} GB at most in this process")
    print(f"  worst estimated error {np.max(curve.residual):.1e}, converged {np.mean(curve.converged):.4f}")
    figures: dict[str, Any] = {
        "problems": count,
        "times": number_of_times,
        "seconds": wall,
        "processor_seconds": used,
        "with_compilation": cold,
        "nodes": nodes,
        "problems_per_call": CHUNK,
        "gigabytes": memory,
        "error": np.max(curve.residual),
        "converged": np.mean(curve.converged),
    }
    if simulated:
        one = rfdsm.Problem(2.0, 2.0, 4, 0.1, 1e-3)
        rfdsm.simulate_training(one, times, simulated, key=1)
        began = time.perf_counter()
        rfdsm.simulate_training(one, times, simulated)
        alone = time.perf_counter() - began
        ratio = alone * count / wall
        print(f"  one trial of one problem at d = {simulated} takes {alone:.2f} s: {ratio:.0f}x for the same batch")
        figures["simulated"] = {"d": simulated, "seconds": alone, "ratio": ratio}
    return figures


KINDS: dict[str, Any] = {
    "tanh": None,
    "relu": spectra.atoms([0.01, 1.0, 30.0], [3, 2, 1]),
    "linear": None,
    "erf": spectra.atoms([1e-3, 0.1, 3.0, 200.0]),
}
"""Activations and spectra of --accuracy."""
EARLIEST, LATEST, TIMES = 1e-3, 1e8, 8
"""Times of --accuracy: from EARLIEST to LATEST over the bound on the largest eigenvalue of U, all in one call."""


def losses_and_errors(path: Path, shared: Any, own: Any) -> tuple[Curves, Any]:
    """All losses at a problem's own times, with their estimated errors, and whether every node was solved."""
    del shared
    return curves(path, own), path.found


def refined(problems: Paths, factor: float) -> Paths:
    """The same problems on a contour of so many times the nodes."""
    ratio = float(np.max(1 + problems.extent / problems.margin))
    return problems._replace(contour=contour(ratio, 2 * round(factor * problems.contour.nodes.size / 2)))


def accuracy(count: int, seed: int = 0) -> dict[str, Any]:
    """Every loss at every time against a refined contour."""
    worst, values, unclear, unsolved, nodes = [], 0, 0, 0, []
    for number, (activation, spectrum) in enumerate(KINDS.items()):
        rng = np.random.default_rng([seed, number])
        problem = rfdsm.Problem(*fields(count, rng, activation == "linear"), activation, spectrum)
        prepared = paths(problem, 0.0, lambda extent, ridge: LATEST / extent)
        times = np.geomspace(np.full(count, EARLIEST), LATEST / prepared.extent, TIMES, axis=1)
        found, solved = mapped(losses_and_errors, prepared, np.zeros(()), times)
        exact, again = mapped(losses_and_errors, refined(prepared, 1.5), np.zeros(()), times)
        nodes.append(prepared.contour.nodes.size)
        unsolved += int(np.sum(~solved) + np.sum(~again))
        for name in NAMES:
            curve, value = getattr(found, name), getattr(exact, name).value
            scale = np.maximum(1, np.abs(value))
            worst.append(np.max(np.abs(curve.value - value) / scale))
            unclear += int(np.sum(~(curve.error / scale <= TOLERANCE)))
            values += value.size
    print(f"accuracy: {values} values on contours of {min(nodes)} to {max(nodes)} nodes against 1.5 times as many")
    print(
        f"  largest difference, relative to max(1, loss): {max(worst):.1e}; {unclear} estimated errors above "
        f"{TOLERANCE:.0e}; {unsolved} problems with a node unsolved"
    )
    return {
        "compared": values,
        "fewest_nodes": min(nodes),
        "most_nodes": max(nodes),
        "difference": max(worst),
        "unclear": unclear,
        "unsolved": unsolved,
    }


SCALES = ("generalisation_time", "below_floor_time", "memorisation_time")


def exponents(times: Any, psi_n: np.ndarray) -> np.ndarray:
    """d log(time)/d log(psi_n) between neighbours."""
    with np.errstate(invalid="ignore"):
        return np.diff(np.log(np.asarray(times))) / np.diff(np.log(psi_n))


def scales() -> dict[str, Any]:
    """How time scales grow with psi_n at psi_p = 2^14, and how few draws delay them."""
    psi_n, draws = 2.0 ** np.arange(5, 9), np.array([1, 2, 4, 16, np.inf])
    found = rfdsm.optimal_stopping(rfdsm.Problem.grid(psi_n, 2.0**14, draws, 0.1, 0.0))
    print("psi_p = 2^14, t = 0.1, no ridge: exponents in psi_n, 32 to 64 to 128 to 256")
    figures: dict[str, Any] = {}
    for k, m in enumerate(draws):
        slopes = {name: exponents(getattr(found, name)[:, k], psi_n) for name in SCALES}
        figures[f"m_{m:g}"] = slopes
        for name, values in slopes.items():
            print(f"  m = {m:g}, {name}: {np.round(values, 3)}")
    figures["late"] = {name: np.mean(values[1:]) for name, values in figures["m_inf"].items()}
    late = found.memorisation_time[0]
    delays = ", ".join(f"m = {m:g}: {ratio:.2f}" for m, ratio in zip(draws, late / late[-1], strict=True))
    print(f"  memorisation_time at psi_n = 32 over that of m = inf: {delays}")
    figures["delay"] = {f"m_{m:g}": ratio for m, ratio in zip(draws, late / late[-1], strict=True)}
    psi_n = 2.0 ** np.arange(4, 9)
    early = rfdsm.optimal_stopping(rfdsm.Problem(psi_n, 2.0**14, 1, 0.01, 0.0)).generalisation_time
    figures["early_noise"] = exponents(early, psi_n)
    print(f"  t = 0.01, m = 1, generalisation_time, 16 to 256: {np.round(figures['early_noise'], 2)}")
    return figures


def stopping() -> dict[str, Any]:
    """Early stopping against the best ridge at psi_n = 4, psi_p = 64."""
    draws = np.array([1, 4, 16, np.inf])
    figures: dict[str, Any] = {}
    for t in (0.1, 0.01):
        found = rfdsm.optimal_stopping(rfdsm.Problem(4.0, 64.0, draws, t, 0.0))
        for m, stopped, ridged in zip(draws, found.loss, found.ridge_loss, strict=True):
            apart = abs(stopped / ridged - 1)
            print(
                f"psi_n = 4, psi_p = 64, t = {t:g}, m = {m:g}: least test loss {stopped:.4f} by stopping, "
                f"{ridged:.4f} by the ridge, {100 * apart:.2f} % apart"
            )
            figures[f"t_{t:g}_m_{m:g}".replace(".", "")] = {"stopped": stopped, "ridge": ridged, "apart": apart}
    return figures | {"most_apart": max(row["apart"] for row in figures.values())}


def evidence(dimensions: list[int], trials: int) -> dict[str, Any]:
    """z-scores per dimension and of the intercept."""
    problem, times = rfdsm.Problem(1.0, 0.5, np.array([1, 4, np.inf]), 0.1, 1e-3), [0.3, 3.0, 50.0, 2000.0]
    theory = rfdsm.training_curve(problem, times)
    means, errors = [], []
    for d in dimensions:
        runs = rfdsm.simulate_training(problem, times, d, trials=trials, key=5)
        values = np.stack([np.asarray(getattr(runs, name)) - getattr(theory, name) for name in NAMES])
        means.append(values.mean(axis=1))
        errors.append(values.std(axis=1, ddof=1) / np.sqrt(trials))
    mean, error = np.stack(means, axis=1), np.stack(errors, axis=1)
    sizes = np.stack([getattr(theory, name) for name in NAMES])[:, None]
    figures: dict[str, Any] = {}
    for k, d in enumerate(dimensions):
        relative = np.max(np.abs(mean[:, k] / sizes[:, 0]))
        z = (mean / error)[:, k]
        rms = np.sqrt(np.mean(z**2))
        print(f"d = {d:4d}: largest relative deviation {relative:.5f}, rms z {rms:.2f}")
        figures[f"d_{d}"] = {"deviation": relative, "rms_z": rms}
    fitted = fit(1 / np.array(dimensions, float)[None, :, None, None], mean, error)
    worst, rms = np.max(np.abs(fitted.z)), np.sqrt(np.mean(fitted.z**2))
    print(f"intercept in 1/d: worst |z| {worst:.2f}, rms z {rms:.2f}")
    power = np.median(fitted.error / sizes[:, 0])
    print(f"  {fitted.z.size} values; median error of an intercept {power:.5f} of the loss")
    figures["intercept"] = {"count": fitted.z.size, "worst_z": worst, "rms_z": rms, "median_error": power}
    return figures


def figure(path: str) -> None:
    """The two time scales against psi_n, psi_p = 2^14, t = 0.1, no ridge."""
    from matplotlib.figure import Figure

    from rfdsm.plots import COLOURS, MARKERS

    psi_n = 2.0 ** np.arange(3, 11)
    axes = Figure(figsize=(5.2, 4.0), layout="constrained").subplots()
    labels = {"generalisation_time": r"$\tau_{gen}$", "memorisation_time": r"$\tau_{mem}$"}
    for m, colour, marker in zip((1, 4, 16, np.inf), COLOURS, MARKERS, strict=False):
        found = rfdsm.optimal_stopping(rfdsm.Problem(psi_n, 2.0**14, m, 0.1, 0.0))
        text = r"$m = \infty$" if np.isinf(m) else f"$m = {m}$"
        for name, style in (("generalisation_time", "--"), ("memorisation_time", "-")):
            times = np.asarray(getattr(found, name))
            print(f"m = {m}, {name}: {times}, exponents {np.round(exponents(times, psi_n), 3)}")
            seen = np.isfinite(times)
            if seen.any():
                look = dict(color=colour, marker=marker, ms=4, lw=1.4, ls=style)
                axes.plot(psi_n[seen], times[seen], label=f"{labels[name]}, {text}", **look)
    axes.plot(psi_n, 0.06 * psi_n / psi_n[0], color="0.6", lw=1, ls=":", label=r"$\propto \psi_n$")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlabel(r"samples per dimension $\psi_n = n/d$")
    axes.set_ylabel(r"flow time $\theta$")
    axes.set_title(r"$\psi_p = 2^{14}$, $t = 0.1$, $\lambda = 0$, tanh", fontsize="medium")
    axes.legend(fontsize="small", ncols=2)
    axes.grid(alpha=0.25, lw=0.5)
    axes.figure.savefig(path, dpi=150)


def main() -> dict[str, Any]:
    """Reads the options, runs what they ask for, and returns its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=1000)
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--simulated", type=int, default=100, help="dimension of the simulated alternative; 0 for none")
    parser.add_argument("--accuracy", type=int, default=0, help="problems of each kind")
    parser.add_argument("--scales", action="store_true")
    parser.add_argument("--evidence", type=int, nargs="*", default=[])
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--figure")
    options = parser.parse_args()
    figures: dict[str, Any] = {}
    if options.problems:
        figures |= speed(options.problems, options.times, options.simulated)
    if options.accuracy:
        figures["accuracy"] = accuracy(options.accuracy)
    if options.scales:
        figures |= {"scales": scales(), "stopping": stopping()}
    if options.evidence:
        figures |= evidence(options.evidence, options.trials)
    if options.figure:
        figure(options.figure)
    return figures


if __name__ == "__main__":
    main()
