"""What `rfdsm sweep` can be asked: its options, their help and their defaults."""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Group, Parameter

from rfdsm.cli._generation_options import SamplerOptions
from rfdsm.cli._options import FILES, PROBLEM, SIMULATION, SimulateOptions, Word, Words

SWEEP_DEFAULTS: dict[str, str] = {
    "quantities": "comparison",
    "store": "rfdsm-sweep",
    "executor": "in-process",
    "retry_failed": "false",
    "confirm": "false",
}
SWEEP = Group("Sweep", sort_key=3)


def _one(text: str, name: str = "", metavar: str = "TEXT", group: Group = SWEEP) -> Parameter:
    described = f"{text} [default: {SWEEP_DEFAULTS[name]}]" if name else text
    return Parameter(help=described, negative=(), group=group, metavar=metavar)


def _list(text: str, group: Group, metavar: str) -> Parameter:
    return Parameter(help=text, consume_multiple=True, negative=(), group=group, metavar=metavar)


@dataclass(frozen=True, kw_only=True)
class SweepOptions(SamplerOptions, SimulateOptions):
    """A problem, how it is simulated, and how the sweep is run and kept."""

    d: Annotated[
        Words,
        _list(
            "Dimension of the data; several dimensions add an extrapolation in 1/d. [default: 32]",
            SIMULATION,
            "NUMBER...",
        ),
    ] = None
    quantities: Annotated[
        Words,
        _list(
            "theory, simulation, comparison, training (learning curves at --times, simulated if --d is given), "
            "or several. [default: comparison]",
            PROBLEM,
            "NAME...",
        ),
    ] = None
    times: Annotated[Words, _list("Flow times theta of learning curves, any order.", PROBLEM, "NUMBER...")] = None
    initial: Annotated[Word, _one("Variance of the output weights at time 0. [default: 0]", "", "NUMBER", PROBLEM)] = (
        None
    )
    store: Annotated[
        Word,
        _one("Folder that keeps finished cells; the same command again goes on from there.", "store", "FOLDER"),
    ] = None
    executor: Annotated[
        Word,
        _one(
            "in-process, processes or processes:N (workers on this machine), dask (a Dask cluster on this machine), or "
            "the address of a running Dask scheduler, tcp://HOST:PORT.",
            "executor",
        ),
    ] = None
    resume: Annotated[
        Word,
        _one("Finish the sweep in this folder; no other option of the problem or simulation is needed.", "", "FOLDER"),
    ] = None
    retry_failed: Annotated[
        bool | None, Parameter(help="Try again what was given up in an earlier run.", negative=(), group=SWEEP)
    ] = None
    confirm: Annotated[
        bool | None, Parameter(help="Allow more than 10^7 simulated cells.", negative=(), group=SWEEP)
    ] = None
    output: Annotated[Word, _one("File for the result. [default: sweep.nc in the store]", "", "FILE.nc", FILES)] = None
