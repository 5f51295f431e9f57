"""`rfdsm linear compare | generated | memorisation`: the linear one-step denoiser on the command line."""

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from rfdsm.cli._options import (
    FILES,
    PROBLEM,
    PSI_N,
    SEED,
    SIMULATION,
    Cache,
    Config,
    Folder,
    M,
    Number,
    Switch,
    Word,
    Words,
    told,
)
from rfdsm.cli._settings import Program, Settings, resolve

# Anything heavy is imported inside the commands: help must not wait for it.

OUTPUT = "rfdsm-linear"
DEFAULTS: dict[str, str] = {
    "psi": "0.5 1.25 1.5 2 3 5 10 20",
    "T": "2",
    "m": "1",
    "ridge": "0",
    "sigma": "1",
    "spectrum": "isotropic",
    "smoothing": "0",
    "d": "100",
    "trials": "8",
    "key": "0",
    "fresh": "10000",
    "plot": "true",
}
# The settings of the published program: d = 100, T = 2, noise scale e^{-2T}, n = 25, 50, 75, 100 (and 120), 10^4 fresh
# points, 300 repeats.
MEMORISATION_DEFAULTS = DEFAULTS | {"psi": "0.25 0.5 0.75 1 1.2", "trials": "300"}


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ProblemOptions:
    """The fields of a problem, and the folder of the results."""

    psi: Annotated[Words, told(PSI_N, PROBLEM, "0.5 to 20; of memorisation 0.25 to 1.2")] = None
    T: Annotated[Words, told("Diffusion time.", PROBLEM, "2"), Parameter(name="--T")] = None
    m: Annotated[Words, told(M, PROBLEM, "1")] = None
    ridge: Annotated[Words, told("Ridge penalty, 0 for least squares.", PROBLEM, "0")] = None
    noise_scale: Annotated[Words, told("Stationary variance of the noise.", PROBLEM, "exp(-2T)")] = None
    sigma: Annotated[Words, told("Scale of the data.", PROBLEM, "1")] = None
    output: Annotated[Folder, told("Folder for the results.", FILES, OUTPUT)] = None
    plot: Annotated[Switch, told("Write the picture, or not.", FILES)] = None
    cache: Cache = None


@dataclass(frozen=True, kw_only=True)
class GeneratedOptions(ProblemOptions):
    """Theory alone."""

    spectrum: Annotated[Word, told("Eigenvalues of the covariance, as in rfdsm compare.", PROBLEM, "isotropic")] = None
    smoothing: Annotated[Number, told("Variance that smooths both laws.", PROBLEM, "0")] = None


@dataclass(frozen=True, kw_only=True)
class CompareOptions(GeneratedOptions):
    """Theory and simulation."""

    d: Annotated[Words, told("Dimension; several add an extrapolation in 1/d.", SIMULATION, "100")] = None
    trials: Annotated[Number, told("Independent repetitions per cell.", SIMULATION, "8")] = None
    key: Annotated[Number, told(SEED, SIMULATION, "0")] = None


@dataclass(frozen=True, kw_only=True)
class MemorisationOptions(ProblemOptions):
    """Repeated fits and the measures of memorisation."""

    d: Annotated[Words, told("Dimension.", SIMULATION, "100")] = None
    trials: Annotated[Number, told("Independent repetitions per cell.", SIMULATION, "300")] = None
    key: Annotated[Number, told(SEED, SIMULATION, "0")] = None
    fresh: Annotated[Number, told("Points of the fresh set.", SIMULATION, "10000")] = None


COMMANDS = {"compare": CompareOptions, "generated": GeneratedOptions, "memorisation": MemorisationOptions}

app = App(
    name="linear",
    help="The linear one-step denoiser: the law it generates, by theory and simulation, and when it memorises. For "
    "example: rfdsm linear generated --psi 1.25 2 5 --T 1 2; rfdsm linear compare --psi 0.5 2 --m 1 4 --ridge 0.1 "
    "--smoothing 0.1 --d 50 100; rfdsm linear memorisation --d 30 --psi 0.5 1 2 4 --trials 100.",
    help_format="plaintext",
    result_action="return_value",
)


@app.command
def compare(*, options: CompareOptions = CompareOptions(), config: Config = None) -> None:
    """Hold theory against simulation: a table, comparison.png and comparison.nc.

    Example: rfdsm linear compare --psi 0.5 2 --m 1 4 --ridge 0.1 --smoothing 0.1 --d 50 100
    """
    settings, problem, paths = _prepared("compare", options, config, "comparison")
    from rfdsm import linear
    from rfdsm.cli import _output as output

    with output.delivery(*paths) as delivery:
        with output.progress("simulating") as report:
            arguments = {name: settings[name] for name in ("trials", "key", "smoothing")}
            result = linear.compare(problem, settings["d"], progress=report, **arguments)
        delivery.show(result.table())
        delivery.keep(result.to_dataset(), result.plot, paths)


@app.command
def generated(*, options: GeneratedOptions = GeneratedOptions(), config: Config = None) -> None:
    """Theory alone: losses and divergences, generated.png and generated.nc.

    Example: rfdsm linear generated --psi 1.25 2 5 --T 1 2
    """
    settings, problem, paths = _prepared("generated", options, config, "generated")
    from rfdsm import linear
    from rfdsm._comparison import curves
    from rfdsm.cli import _output as output
    from rfdsm.linear import datasets
    from rfdsm.linear._model import LinearDenoiser

    with output.delivery(*paths) as delivery:
        law, losses = linear.generated(problem, settings["smoothing"]), linear.predict(problem)
        dataset = datasets.predictions(problem, settings["smoothing"], losses, law)
        delivery.show(_table(problem, {name: dataset[name].to_numpy() for name in ("test", *law.NAMES)}))

        def draw() -> Any:
            from rfdsm import plots

            along = plots.abscissa(dataset)
            theory = curves(problem, along, LinearDenoiser(dataset["smoothing"].to_numpy()))
            return plots.losses(theory, along)

        delivery.keep(dataset, draw, paths)


@app.command
def memorisation(*, options: MemorisationOptions = MemorisationOptions(), config: Config = None) -> None:
    """Repeated fits: P(Delta > 0), Hellinger distance and nearest neighbours, memorisation.png and memorisation.nc.

    Delta > 0 where the generated law is farther from the density of the training points than from that of fresh ones.
    The defaults are the published setting. Example: rfdsm linear memorisation --d 30 --psi 0.5 1 2 4 --trials 100
    """
    settings, problem, paths = _prepared("memorisation", options, config, "memorisation")
    import numpy as np

    from rfdsm import linear
    from rfdsm.cli import _output as output
    from rfdsm.linear import datasets

    if isinstance(settings["d"], list):
        raise ValueError(f"d = {settings['d']} must be one dimension in rfdsm linear memorisation")
    arguments = {name: settings[name] for name in ("trials", "key", "fresh")}
    cells = int(np.prod(problem.shape))
    with output.delivery(*paths) as delivery:
        with output.progress("fitting") as report:
            result = linear.memorisation(
                problem, settings["d"], progress=lambda done, total: report(cells * done, cells * total), **arguments
            )
        dataset = datasets.memorisations(problem, settings["d"], result, **arguments)
        columns = {"P(Delta > 0)": result.probability, "±": result.probability_error}
        columns |= {name: getattr(result, name).mean(axis=0) for name in ("hellinger", "copied", "nearest")}
        delivery.show(_table(problem, columns))

        def draw() -> Any:
            from matplotlib.figure import Figure

            from rfdsm.linear import plots
            from rfdsm.plots import COLOURS, MARKERS
            from rfdsm.plots._style import legend, pieces, telling

            axes = Figure(figsize=(9.5, 3.8), layout="constrained").subplots(1, 2)
            parts = pieces(dataset, "psi")
            for piece, colour, marker in zip(parts, itertools.cycle(COLOURS), itertools.cycle(MARKERS), strict=False):
                own = legend(piece, telling(dataset, parts), None)
                label = ", ".join([f"$d = {settings['d']}$", *([own] if own else [])])
                plots.probability(axes[0], piece, label, colour, marker)
            plots.measures(axes[1], parts[0])
            axes[1].set_title(axes[0].get_legend_handles_labels()[1][0], fontsize="medium")
            axes[0].legend(fontsize="small")
            return axes

        delivery.keep(dataset, draw, paths)


def _prepared(command: str, options: ProblemOptions, config: str | None, stem: str) -> tuple[Settings, Any, list[Path]]:
    """Settings, problem and files to write; everything that can be refused is refused here."""
    defaults = MEMORISATION_DEFAULTS if command == "memorisation" else DEFAULTS
    settings = resolve(command, options, config, Program("rfdsm linear", COMMANDS, defaults))
    from rfdsm.cli import _build as build, _environment as environment, _output as output

    paths = output.folder(settings, OUTPUT, stem)
    environment.start_jax(double=False, cache=settings.get("cache", True))
    from rfdsm.linear._problem import FIELDS, Problem

    spectrum = build.spectrum(settings["spectrum"]) if "spectrum" in settings else None
    problem = Problem.grid(**{name: settings[name] for name in FIELDS if name in settings}, spectrum=spectrum)
    return settings, problem, paths


def _table(problem: Any, columns: dict[str, Any]) -> Any:
    """One row per cell, the parameters that vary first."""
    from rfdsm import _tables as tables
    from rfdsm.cli import _output as output
    from rfdsm.linear._model import LinearDenoiser

    texts = {name: output.texts(values, ".5g") for name, values in columns.items()}
    return tables.cells(problem, texts, model=LinearDenoiser())
