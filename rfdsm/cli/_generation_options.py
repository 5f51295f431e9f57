"""Options of `rfdsm generate`."""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Group, Parameter

from rfdsm.cli._options import GENERATION_OUTPUT, PROBLEM, SIMULATION, SimulateOptions, Word, Words, one, several

SAMPLING = Group("Sampling", sort_key=1)
RULES = ("geometric", "uniform", "karras", "table")
ENDS = {
    "ou": ("3", "0.05"),
    "flow": ("0.98", "0.02"),
    "cosine": ("0.98", "0.02"),
    "variance_exploding": ("30", "0.05"),
    "edm": ("30", "0.05"),
    "beta_linear": ("1000", "1"),
}
"""First and last time by default, by schedule."""
SAMPLER_DEFAULTS = {"rule": "geometric", "steps": "20", "samples": "2000", "networks": "independent"}
DEFAULTS = {
    "psi_n": "4",
    "psi_p": "4",
    "m": "4",
    "ridge": "0.03",
    "target": "data",
    "d": "64",
    "sampler": "ddim",
    "simulate": "false",
}


@dataclass(frozen=True, kw_only=True)
class SamplerOptions:
    """A sampler, and what is simulated with it."""

    sampler: Annotated[
        Word,
        one(
            "ddim, ddim:ETA, ddpm, euler or reverse_sde. [default: ddim; in sweep none: losses]",
            SAMPLING,
            metavar="NAME",
        ),
    ] = None
    levels: Annotated[Words, several("Times, descending, in place of a rule.", "", SAMPLING)] = None
    rule: Annotated[Word, one(f"Times by rule: {', '.join(RULES)}. [default: geometric]", SAMPLING, metavar="NAME")] = (
        None
    )
    first: Annotated[Word, one("First time. [default: by schedule, ou 3]", SAMPLING, metavar="NUMBER")] = None
    last: Annotated[Word, one("Last time. [default: by schedule, ou 0.05]", SAMPLING, metavar="NUMBER")] = None
    steps: Annotated[Word, one("Number of steps. [default: 20]", SAMPLING, metavar="NUMBER")] = None
    start: Annotated[
        Word, one("Variance of the first samples. [default: that of pure noise]", SAMPLING, metavar="NUMBER")
    ] = None
    samples: Annotated[Word, one("Samples of each trial. [default: 2000]", SIMULATION, metavar="NUMBER")] = None
    networks: Annotated[
        Word,
        one("independent features for every level, or shared ones. [default: independent]", SIMULATION, metavar="NAME"),
    ] = None


@dataclass(frozen=True, kw_only=True)
class GenerateOptions(SamplerOptions, SimulateOptions):
    """A problem, a sampler, and whether to simulate too."""

    psi_n: Annotated[Words, several("Samples per dimension, n/d. [default: 4]", "", PROBLEM)] = None
    psi_p: Annotated[Words, several("Features per dimension, p/d. [default: 4]", "", PROBLEM)] = None
    m: Annotated[Words, several("Noise draws per sample: integers, or inf. [default: 4]", "", PROBLEM)] = None
    t: Annotated[Words, Parameter(show=False)] = None
    ridge: Annotated[Words, several("Ridge penalty > 0. [default: 0.03]", "", PROBLEM)] = None
    targets: Annotated[
        Words,
        several("Several targets in place of one: which generates best, and where.", "", PROBLEM),
    ] = None
    best_ridge: Annotated[
        bool | None, Parameter(help="With targets: each with its best ridge.", negative=(), group=PROBLEM)
    ] = None
    target: Annotated[Word, one("What the network learns, as in predict. [default: data]", PROBLEM)] = None
    d: Annotated[Words, several("Dimension of the data. [default: 64]", "", SIMULATION)] = None
    simulate: Annotated[bool | None, Parameter(help="Simulate real networks, or not.", group=SIMULATION)] = None
    keep_samples: Annotated[
        bool | None, Parameter(help="Write the simulated samples to generation.nc, too.", negative=(), group=SIMULATION)
    ] = None
    output: Annotated[
        Word,
        one(f"Folder for generation.png and generation.nc. [default: {GENERATION_OUTPUT}]", SAMPLING, metavar="FOLDER"),
    ] = None
    plot: Annotated[bool | None, Parameter(help="Write generation.png, or not.", group=SAMPLING)] = None
