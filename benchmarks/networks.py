"""Real networks beside the theory, at a size of some minutes on two cores; larger ones for an accelerator.

    python -m benchmarks.networks                                  # perceptrons: normal data and the digits
    python -m benchmarks.networks --large --data train-images-idx3-ubyte.gz   # U-Nets on a GPU, on images of your own
    python -m benchmarks.networks --tiny [--large]                 # the same parts in a minute, to try it

Losses against width for m = 1, 4, 16 and fresh noise, where their test loss is largest in units of n m d, and the same
of random features with as many trained numbers; then losses and samples of networks that know their level against
training time and n: copies, distances to the law of the data and to the training set's density, position between both,
beside a perfect generator and a copier; where the integrated test loss is least, and what samples are worth there; and
the power of every statistic. --folder keeps every finished width, and pictures and datasets of all.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import xarray as xr

from rfdsm import data as data_files, networks, plots
from rfdsm.networks import judge

DRAWS = (1, 4, 16, np.inf)
LEVELS = networks.levels.log_uniform(0.02, 3)


class Size(NamedTuple):
    """Of one data set's two parts."""

    n: int
    widths: tuple[int, ...]
    steps: int
    seeds: int
    sizes: tuple[int, ...]
    """Numbers of training points whose training is followed."""
    width: int
    long: int
    """Steps of these trainings."""
    repeats: int
    samples: int


SIZES = {
    "gaussian": Size(64, (4, 16, 64, 192), 2000, 2, (8, 32, 128), 128, 2000, 3, 500),
    "digits": Size(128, (8, 32, 128), 1500, 2, (16, 64, 256), 192, 2000, 2, 500),
    "large": Size(4096, (8, 16, 32, 64, 128), 100_000, 3, (128, 512, 2048, 8192), 64, 200_000, 5, 2000),
    "tiny": Size(16, (2, 4), 4, 2, (4, 8), 4, 4, 2, 80),
}
DIMENSION = 8
POWER = 12
"""Training sets that the power of a statistic is taken from."""


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Prints and returns the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", action="store_true", help="U-Nets on images, at the size of an accelerator")
    parser.add_argument("--data", default="digits", help="images for --large: IDX, NPZ, NPY, or digits")
    parser.add_argument("--tiny", action="store_true", help="a few steps of everything")
    parser.add_argument("--folder", type=Path, help="keeps finished cells, datasets and pictures")
    asked = parser.parse_args(arguments)
    began, figures = time.perf_counter(), {}
    for name in ("images",) if asked.large else ("gaussian", "digits"):
        data, shape = _data(name, asked.data)
        size = SIZES["tiny" if asked.tiny else "large" if asked.large else name]
        figures[name] = part(name, data, shape if asked.large else None, size, asked.folder)
    figures["seconds"] = time.perf_counter() - began
    print(f"{figures['seconds']:.0f} s")
    return figures


def part(name: str, data: Any, shape: Any, size: Size, folder: Path | None) -> dict[str, Any]:
    """All figures of a data set."""
    kind = dict(kind="mlp") if shape is None else dict(kind="unet", shape=shape, depth=2)
    cells = None if folder is None else folder / f"{name}-cells"
    study = networks.study(
        data, widths=size.widths, m=DRAWS, n=size.n, level=0.1, steps=size.steps, seeds=size.seeds, folder=cells,
        record=[0, size.steps], **kind,
    )  # fmt: skip
    times = networks.over_time(
        data, n=size.sizes, levels=LEVELS, width=size.width, steps=size.long, seeds=size.repeats, samples=size.samples,
        measured=2048, **kind,
    )  # fmt: skip
    if folder is not None:
        for own, found, drawn in (
            ("widths", study, (plots.networks,)), ("times", times, (plots.over_time, plots.against_n))
        ):  # fmt: skip
            found.to_netcdf(folder / f"{name}-{own}.nc", engine="scipy")
            for draw in drawn:
                draw(found)[0].get_figure().savefig(folder / f"{name}-{draw.__name__}.png")
    figures = {"widths": of_widths(name, study), "times": of_times(name, times)}
    return figures | {"power": {f"n_{n}": power(name, data, n, size.samples) for n in size.sizes}}


def of_widths(name: str, study: xr.Dataset) -> dict[str, Any]:
    """Losses at the last step and theory's at as many numbers; the largest test loss in units of n m d."""
    last, figures = study.isel(step=-1), {"numbers": study["parameters"].values}
    points, d = (int(part) for part in _sizes(study))
    places = [int(np.abs(study["theory_width"].values - width).argmin()) for width in study["width"].values]
    for m in study["m"].values:
        unit, cell = points * d * (m if np.isfinite(m) else 1), last.sel(m=m)
        test = cell["test"].mean("network")
        own = {loss: cell[loss].mean("network").values for loss in ("train", "empirical_test", "test")}
        own |= {
            f"{loss}_error": cell[loss].std("network", ddof=1).values / cell.sizes["network"] ** 0.5 for loss in own
        }
        theory = study.sel(m=m).isel(theory_width=places)
        own |= {f"theory_{loss}": theory[f"theory_{loss}"].values for loss in ("train", "empirical_test", "test")}
        own["peak"] = float(study["parameters"][int(test.argmax("width"))]) / unit
        over = study["theory_test"].sel(m=m)
        own["theory_peak"] = float(study["theory_parameters"][int(over.argmax("theory_width"))]) / unit
        own["numbers_over_nmd"] = study["parameters"].values / unit
        figures[f"m_{m:g}"] = own
        print(
            f"{name}, m = {m:g}: test {np.round(own['test'], 3)} (theory {np.round(own['theory_test'], 3)}), ", end=""
        )
        print(f"largest at {own['peak']:.2g} n m d (theory {own['theory_peak']:.2g})", flush=True)
    figures["floor"] = float(study["floor"].mean())
    return figures | {"n": points, "d": d, "width": study["width"].values}


def of_times(name: str, times: xr.Dataset) -> dict[str, Any]:
    """Curves, means over networks; statistics at the step of least test loss and at the end, beside both others."""
    figures: dict[str, Any] = {"step": times["step"].values}
    stopped, end = times.sel(step=times["best_step"]), times.isel(step=-1)
    for n in times["n"].values:
        cell = times.sel(n=n)
        own: dict[str, Any] = {
            loss: cell[loss].mean("network").values
            for loss in ("train", "empirical_test", "test", "copied", "to_fresh", "to_training", "position")
        }
        own["best_step"] = cell["best_step"].values
        for place, found in (("stopped", stopped.sel(n=n)), ("end", end.sel(n=n))):
            own[f"{place}_at"] = {x: float(found[x].mean()) for x in ("test", *judge.Statistics._fields)}
            own[f"{place}_at"] |= {"probability": float((found["position"] > 0).mean())}
            own[f"{place}_at"] |= {"probability_sign": float((found["sign"] > 0).mean())}
        for other in ("perfect", "copier"):
            own[other] = {x: float(cell[f"{x}_{other}"].mean()) for x in judge.Statistics._fields}
            own[other]["probability"] = float((cell[f"position_{other}"] > 0).mean())
            own[other]["probability_sign"] = float((cell[f"sign_{other}"] > 0).mean())
        figures[f"n_{n}"] = own
        print(
            f"{name}, n = {n}: least test loss at step {own['best_step']}; copied there "
            f"{own['stopped_at']['copied']:.3f}, at the end {own['end_at']['copied']:.3f} (perfect "
            f"{own['perfect']['copied']:.3f}, copier {own['copier']['copied']:.3f}); position "
            f"{own['stopped_at']['position']:.2f}, {own['end_at']['position']:.2f}",
            flush=True,
        )
    return figures


def power(name: str, data: Any, n: int, samples: int) -> dict[str, float]:
    """Share of copiers that a statistic puts beyond all of as many perfect generators: power at a level of 1/13."""
    found = []
    for seed in range(POWER):
        if isinstance(data, networks.Gaussian):
            points = np.asarray(data.draw(jax.random.key(1000 + seed), n + 2 * samples), float)
        else:
            points = data[np.random.default_rng(seed).permutation(len(data))]
        training, perfect, law = points[:n], points[n : n + samples], points[n + samples :]
        copier = judge.copies(training, samples, seed=seed)
        found.append([judge.statistics(x, training, law[: 2 * samples]) for x in (perfect, copier)])
    values = np.moveaxis(np.array(found), 1, 0)
    own = {}
    for k, statistic in enumerate(judge.Statistics._fields):
        one, other = values[:, :, k]
        higher = statistic in ("copied", "to_fresh")  # of copiers
        own[statistic] = float(np.mean(other > one.max() if higher else other < one.min()))
    print(f"{name}, n = {n}: " + ", ".join(f"{key} {value:.3f}" for key, value in own.items()), flush=True)
    return own


def _data(name: str, source: str) -> tuple[Any, Any]:
    if name == "gaussian":
        return networks.gaussian(DIMENSION), None
    source = "digits" if name == "digits" else source
    return data_files.standardise(data_files.load(source)), data_files.image_shape(source)


def _sizes(study: xr.Dataset) -> tuple[Any, Any]:
    described = json.loads(study.attrs["configuration"])
    return described["n"], described["d"]


if __name__ == "__main__":
    main()
