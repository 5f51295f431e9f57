"""The pictures of the documentation, drawn again.

    python -m benchmarks.figures [--folder docs/images] [phases_time spectrum ...]

Without names: all of them, about half an hour, most of it for the simulations of `losses`, `digits` and
`linear_memorisation`. tests/plots/test_figures.py draws those of theory alone and compares them with the stored ones.
"""

import argparse
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # LAPACK's threads spin; before NumPy and JAX are loaded

import jax
import numpy as np

import rfdsm
from benchmarks import linear_figures, training
from rfdsm import plots
from rfdsm.cli import main as rfdsm_command

jax.config.update("jax_enable_x64", True)

Draw = Callable[[Path], None]


def by_command(line: str, picture: str) -> Draw:
    """What a command of the command line leaves as `picture` in the folder where it runs."""

    def draw(path: Path) -> None:
        here = Path.cwd()
        with tempfile.TemporaryDirectory() as scratch:
            os.chdir(scratch)
            try:
                if code := rfdsm_command(line.split()[1:]):
                    raise RuntimeError(f"{line} ended with {code}")
            finally:
                os.chdir(here)
            shutil.copy(Path(scratch) / picture, path)

    return draw


def spectrum(path: Path) -> None:
    """Two densities and the eigenvalues of one network at psi_p = 64, psi_n = 8, t = 0.01, m = 4, d = 50."""
    u = np.unique(np.concatenate([np.geomspace(1e-4, 60, 4000), np.linspace(0, 0.5, 4000)[1:]]))
    result, limit = (rfdsm.spectral_density(rfdsm.Problem(8, 64, m, 0.01, 0), u) for m in (4, np.inf))
    d, rng = 50, np.random.default_rng(0)
    W, x = rng.standard_normal((64 * d, d)), rng.standard_normal((8 * d, d))
    U = 0
    for _ in range(4):
        y = np.exp(-0.01) * x + np.sqrt(1 - np.exp(-0.02)) * rng.standard_normal(x.shape)
        phi = np.tanh(W @ y.T / np.sqrt(d))
        U = U + phi @ phi.T / (4 * 8 * d)
    atoms = [list(zip(x.atoms.locations, x.atoms.masses, strict=True)) for x in (result, limit)]
    axes = plots.spectrum(u, result.density, atoms[0], np.linalg.eigvalsh(U), label="$m = 4$", until=0.5)
    plots.spectrum(u, limit.density, atoms[1], label=r"$m = \infty$", axes=axes)
    axes[0].set_ylim(0, 1.2)
    axes[0].figure.savefig(path, dpi=130)


def linear_memorisation(path: Path) -> None:
    """P(Delta > 0) at d = 30, 100 and 500."""
    with tempfile.TemporaryDirectory() as scratch:
        files = []
        for d, trials in ((30, 400), (100, 300), (500, 100)):
            folder = Path(scratch) / str(d)
            files.append(folder / "memorisation.nc")
            psi = "0.25 0.5 0.75 1 1.2 1.5 2 3 4 6 8"
            line = f"linear memorisation --key 1 --d {d} --trials {trials} --psi {psi} --output {folder}"
            if code := rfdsm_command(line.split()):
                raise RuntimeError(f"{line} ended with {code}")
        linear_figures.memorisation(path, files)


def explore(path: Path) -> None:
    """The explorer's page in a browser; needs the extras `explore` and `browser`, and Chromium."""
    from benchmarks.explore import picture

    picture(str(path))


FIGURES: dict[str, Draw] = {
    "losses": by_command("rfdsm compare", "rfdsm-compare/losses.png"),
    "digits": by_command("rfdsm compare --data digits", "rfdsm-compare/losses.png"),
    "phases": by_command(
        "rfdsm phases --psi-n 0.1:100:161 --psi-p 0.1:300:161 --m 4 --d 32 --plot phases.png", "phases.png"
    ),
    "phases_time": by_command(
        "rfdsm phases --psi-n 64 --m inf --ridge 1e-6 --t 0.001:1:161 --psi-p 1:2000:161 --plot phases.png",
        "phases.png",
    ),
    "phases_ridge": by_command(
        "rfdsm optimal --over ridge --psi-n 0.1:100:31 --psi-p 1 8 64 --m 1 inf --plot ridge.png", "ridge.png"
    ),
    "training": by_command(
        "rfdsm train-curve --psi-n 4 16 --psi-p 16 --m inf --simulate --d 64 --trials 4",
        "rfdsm-train-curve/training.png",
    ),
    "time_scales": lambda path: training.figure(str(path)),
    "spectrum": spectrum,
    "explore": explore,
    "generation_targets": by_command(
        "rfdsm generate --spectrum atoms:0.3@0.5,1.7@0.5 --psi-n 0.5:16:31 --psi-p 0.25:16:37 --steps 12 "
        "--targets noise data velocity",
        "rfdsm-generate/generation.png",
    ),
    "linear_generated": linear_figures.generated,
    "linear_chain": linear_figures.chain,
    "linear_memorisation": linear_memorisation,
}


def main() -> None:
    """Reads the options and draws what they ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="name", help=f"any of {', '.join(FIGURES)}")
    parser.add_argument("--folder", type=Path, default=Path(__file__).parents[1] / "docs" / "images")
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.names) - set(FIGURES)):
        parser.error(f"no picture named {', '.join(unknown)}; there are {', '.join(FIGURES)}")
    for name in arguments.names or FIGURES:
        path = arguments.folder.resolve() / f"{name}.png"
        FIGURES[name](path)
        print(path, flush=True)


if __name__ == "__main__":
    main()
