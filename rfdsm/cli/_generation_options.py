"""Options of `rfdsm generate`, and of `rfdsm sweep`, which may sweep what is generated."""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Group, Parameter

from rfdsm.cli._options import (
    FILES,
    INITIAL,
    PROBLEM,
    PSI_N,
    PSI_P,
    SIMULATION,
    Flag,
    Folder,
    M,
    Name,
    Number,
    SimulateOptions,
    Switch,
    Texts,
    Unused,
    Word,
    Words,
    told,
)

GENERATION_OUTPUT = "rfdsm-generate"
SAMPLING = Group("Sampling", sort_key=1)
SWEEP = Group("Sweep", sort_key=3)
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
GENERATION_DEFAULTS = {
    "psi_n": "4",
    "psi_p": "4",
    "m": "4",
    "ridge": "0.03",
    "target": "data",
    "d": "64",
    "sampler": "ddim",
    "simulate": "false",
}
SWEEP_DEFAULTS: dict[str, str] = {
    "quantities": "comparison",
    "store": "rfdsm-sweep",
    "executor": "in-process",
    "retry_failed": "false",
    "confirm": "false",
}


@dataclass(frozen=True, kw_only=True)
class SamplerOptions:
    """A sampler, and what is simulated with it."""

    sampler: Annotated[
        Name, told("ddim, ddim:ETA, ddpm, euler or reverse_sde.", SAMPLING, "ddim; in sweep none: losses")
    ] = None
    levels: Annotated[Words, told("Times, descending, in place of a rule.", SAMPLING)] = None
    rule: Annotated[Name, told(f"Times by rule: {', '.join(RULES)}.", SAMPLING, "geometric")] = None
    first: Annotated[Number, told("First time.", SAMPLING, "by schedule, ou 3")] = None
    last: Annotated[Number, told("Last time.", SAMPLING, "by schedule, ou 0.05")] = None
    steps: Annotated[Number, told("Number of steps.", SAMPLING, "20")] = None
    start: Annotated[Number, told("Variance of the first samples.", SAMPLING, "that of pure noise")] = None
    samples: Annotated[Number, told("Samples of each trial.", SIMULATION, "2000")] = None
    networks: Annotated[
        Name, told("independent features for every level, or shared ones.", SIMULATION, "independent")
    ] = None


@dataclass(frozen=True, kw_only=True)
class GenerateOptions(SamplerOptions, SimulateOptions):
    """A problem, a sampler, and whether to simulate too."""

    psi_n: Annotated[Words, told(PSI_N, PROBLEM, "4")] = None
    psi_p: Annotated[Words, told(PSI_P, PROBLEM, "4")] = None
    m: Annotated[Words, told(M, PROBLEM, "4")] = None
    t: Unused = None
    ridge: Annotated[Words, told("Ridge penalty > 0.", PROBLEM, "0.03")] = None
    targets: Annotated[Words, told("Several targets in place of one: which generates best, and where.", PROBLEM)] = None
    best_ridge: Annotated[Flag, told("With targets: each with its best ridge.", PROBLEM)] = None
    target: Annotated[Word, told("What the network learns, as in predict.", PROBLEM, "data")] = None
    d: Annotated[Words, told("Dimension of the data.", SIMULATION, "64")] = None
    simulate: Annotated[Switch, told("Simulate real networks, or not.", SIMULATION)] = None
    keep_samples: Annotated[Flag, told("Write the simulated samples to generation.nc, too.", SIMULATION)] = None
    output: Annotated[Folder, told("Folder for generation.png and generation.nc.", SAMPLING, GENERATION_OUTPUT)] = None
    plot: Annotated[Switch, told("Write generation.png, or not.", SAMPLING)] = None


@dataclass(frozen=True, kw_only=True)
class SweepOptions(SamplerOptions, SimulateOptions):
    """A problem, how it is simulated, and how the sweep is run and kept."""

    d: Annotated[
        Words, told("Dimension of the data; several dimensions add an extrapolation in 1/d.", SIMULATION, "32")
    ] = None
    quantities: Annotated[
        Texts,
        told(
            "theory, simulation, comparison, training (learning curves at --times, simulated if --d is given), "
            "or several.",
            PROBLEM,
            "comparison",
        ),
        Parameter(metavar="NAME..."),
    ] = None
    times: Annotated[Words, told("Flow times theta of learning curves, any order.", PROBLEM)] = None
    initial: Annotated[Number, told(INITIAL, PROBLEM, "0")] = None
    store: Annotated[
        Folder,
        told(
            "Folder that keeps finished cells; the same command again goes on from there.",
            SWEEP,
            SWEEP_DEFAULTS["store"],
        ),
    ] = None
    executor: Annotated[
        Word,
        told(
            "in-process, processes or processes:N (workers on this machine), dask (a Dask cluster on this machine), or "
            "the address of a running Dask scheduler, tcp://HOST:PORT.",
            SWEEP,
            SWEEP_DEFAULTS["executor"],
        ),
    ] = None
    resume: Annotated[
        Folder, told("Finish the sweep in this folder; no other option of the problem or simulation is needed.", SWEEP)
    ] = None
    retry_failed: Annotated[Flag, told("Try again what was given up in an earlier run.", SWEEP)] = None
    confirm: Annotated[Flag, told("Allow more than 10^7 simulated cells.", SWEEP)] = None
    output: Annotated[
        Word, told("File for the result.", FILES, "sweep.nc in the store"), Parameter(metavar="FILE.nc")
    ] = None
