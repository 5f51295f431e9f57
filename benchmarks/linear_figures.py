"""The pictures of docs/linear.md: `python benchmarks/linear_figures.py docs/images MEMORISATION.nc ...`.

The files are those that `rfdsm linear memorisation` writes, one for each dimension; the other measures are shown for
the first of them. Without files only the pictures of theory are drawn.
"""

import argparse
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from rfdsm import linear
from rfdsm.linear import datasets, plots


def generated(path: Path) -> None:
    """KL both ways and test loss against n/d, for three noise scales."""
    psi = np.geomspace(0.5, 30, 241)
    problem = linear.Problem.grid(psi, 2.0, noise_scale=[0.002, np.exp(-4), 0.1])
    curves = datasets.predictions(problem, 0.0, linear.predict(problem), linear.generated(problem))
    figure = Figure(figsize=(12, 4), layout="constrained")
    axes = figure.subplots(1, 3, sharex=True)
    for axis, name in zip(axes, ("kl", "reverse_kl", "test"), strict=True):
        plots.lines(axis, curves, name)
        axis.set_yscale("log")
    for axis in axes[:2]:
        axis.set_ylim(1e-3, 1e2)
    axes[2].set_ylim(None, 30)
    axes[0].legend(fontsize="small", title=plots.fixed(curves, "psi"), title_fontsize="small")
    figure.savefig(path, dpi=130)


def chain(path: Path) -> None:
    """KL against the number of steps: least squares, a ridge, and fewer samples than dimensions."""
    steps = sorted(set(np.round(np.geomspace(1, 64, 30)).astype(int).tolist()))
    panels = (
        (linear.Problem([1.2, 2.0, 8.0, 64.0], 2.0, np.inf), 0.0, r"$\lambda = 0$, $T = 2$"),
        (linear.Problem([1.2, 2.0, 8.0, 64.0], 1.0, np.inf, 0.3), 0.0, r"$\lambda = 0.3$, $T = 1$"),
        (linear.Problem([0.25, 0.5, 0.8], 4.0, np.inf, 0.0, 1.0), 1.0, r"$n < d$, $\rho = 1$, $T = 4$, $l = 1$"),
    )
    figure = Figure(figsize=(12, 4), layout="constrained")
    axes = figure.subplots(1, 3)
    for axis, (problem, smoothing, title) in zip(axes, panels, strict=True):
        for stochasticity, style in ((0.0, "-"), (1.0, "--")):
            law = linear.chain(problem, steps, stochasticity=stochasticity, smoothing=smoothing)
            before = len(axis.lines)
            plots.chain(axis, datasets.chains(problem, steps, law))
            for line in axis.lines[before:]:
                if style == "--":
                    line.set_label("_")
                    line.set_linestyle(style if line.get_marker() == "." else "none")
        axis.plot([], [], "0.3", ls="-", label="deterministic")
        axis.plot([], [], "0.3", ls="--", label="stochastic")
        axis.set_title(title, fontsize="medium")
    axes[1].set_ylim(0.24, None)
    for axis, place in zip(axes, ("lower left", "lower right", "upper left"), strict=True):
        axis.legend(fontsize="x-small", loc=place)
    figure.savefig(path, dpi=130)


def memorisation(path: Path, files: list[Path]) -> None:
    """P(Delta > 0) in several dimensions, and the other measures in the first."""
    results = [xr.load_dataset(file) for file in files]
    figure = Figure(figsize=(10, 3.9), layout="constrained")
    axes = figure.subplots(1, 2)
    for colour, marker, result in zip(
        plots.COLOURS, plots.MARKERS, sorted(results, key=lambda x: int(x["d"])), strict=False
    ):
        label = f"$d = {int(result['d'])}$, {result.sizes['trial']} repeats"
        plots.probability(axes[0], result, label, colour, marker)
    plots.measures(axes[1], results[0])
    axes[1].set_title(f"$d = {int(results[0]['d'])}$", fontsize="medium")
    ticks = [0.25, 0.5, 1, 2, 4, 8]
    for axis in axes:
        axis.set_xscale("log")
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.minorticks_off()
    axes[0].legend(fontsize="small", title=plots.fixed(results[0], "psi"), title_fontsize="small")
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("files", type=Path, nargs="*")
    arguments = parser.parse_args()
    generated(arguments.folder / "linear_generated.png")
    chain(arguments.folder / "linear_chain.png")
    if arguments.files:
        memorisation(arguments.folder / "linear_memorisation.png", arguments.files)


if __name__ == "__main__":
    main()
