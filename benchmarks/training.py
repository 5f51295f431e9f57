"""Training time: learning curves per second of `rfdsm.training_curve`, what they cost, and how they meet simulation.

    python benchmarks/training.py [--problems 1000] [--times 200] [--evidence 100 200 400 800]
                                  [--figure FILE.png]

Speed: random isotropic problems, all losses at all times in one call, compiled before; nodes per contour and memory
are printed, and the same by the obvious route for a few of them: one eigendecomposition of a simulated network per
trial at the dimension of --simulated. --evidence compares with gradient flow of real networks at these dimensions:
deviations, standard errors, and the intercept of a fit in 1/d. --figure draws how the two time scales grow with psi_n.
"""

import argparse
import resource
import time

import jax
import numpy as np

import rfdsm
from rfdsm.extrapolation import fit
from rfdsm.theory.paths import CHUNK, paths

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


def speed(count: int, number_of_times: int, simulated: int) -> None:
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
    if simulated:
        one = rfdsm.Problem(2.0, 2.0, 4, 0.1, 1e-3)
        rfdsm.simulate_training(one, times, simulated, key=1)
        began = time.perf_counter()
        rfdsm.simulate_training(one, times, simulated)
        alone = time.perf_counter() - began
        ratio = alone * count / wall
        print(f"  one trial of one problem at d = {simulated} takes {alone:.2f} s: {ratio:.0f}x for the same batch")


def evidence(dimensions: list[int], trials: int) -> None:
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
    for k, d in enumerate(dimensions):
        relative = np.max(np.abs(mean[:, k] / sizes[:, 0]))
        z = (mean / error)[:, k]
        print(f"d = {d:4d}: largest relative deviation {relative:.5f}, rms z {np.sqrt(np.mean(z**2)):.2f}")
    fitted = fit(1 / np.array(dimensions, float)[None, :, None, None], mean, error)
    print(f"intercept in 1/d: worst |z| {np.max(np.abs(fitted.z)):.2f}, rms z {np.sqrt(np.mean(fitted.z**2)):.2f}")
    power = np.median(fitted.error / sizes[:, 0])
    print(f"  {fitted.z.size} values; median error of an intercept {power:.5f} of the loss")


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
            with np.errstate(invalid="ignore"):
                slopes = np.diff(np.log(times)) / np.diff(np.log(psi_n))
            print(f"m = {m}, {name}: {times}, exponents {np.round(slopes, 3)}")
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


def main() -> None:
    """Reads the options and runs what they ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=1000)
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--simulated", type=int, default=100, help="dimension of the simulated alternative; 0 for none")
    parser.add_argument("--evidence", type=int, nargs="*", default=[])
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--figure")
    options = parser.parse_args()
    if options.problems:
        speed(options.problems, options.times, options.simulated)
    if options.evidence:
        evidence(options.evidence, options.trials)
    if options.figure:
        figure(options.figure)


if __name__ == "__main__":
    main()
