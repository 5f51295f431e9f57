"""The options of `rfdsm phases | boundary | optimal | advise`, and their defaults."""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Group, Parameter

from rfdsm.cli._options import (
    DEFAULTS,
    FILES,
    HEADER,
    INDEX,
    PROBLEM,
    PSI_N,
    PSI_P,
    SEED,
    SIMULATION,
    Cache,
    File,
    M,
    Number,
    Pair,
    PredictOptions,
    Schedule,
    Switch,
    Target,
    Texts,
    Word,
    Words,
    told,
)

QUESTION = Group("Question", sort_key=0)
OWN = Group("Your problem", sort_key=1)

_STRUCTURE = {name: DEFAULTS[name] for name in ("activation", "spectrum", "schedule", "target", "key")}
_PLAIN = _STRUCTURE | {"m": "4", "t": "0.1", "ridge": "1e-3"}
PHASE_DEFAULTS: dict[str, dict[str, str]] = {
    "phases": _PLAIN | {"psi_n": "0.1:100:61", "psi_p": "0.1:300:81", "trials": "4", "markers": "3"},
    "boundary": _PLAIN | {"psi_n": "0.5 1 2 4 8 16 32 64", "psi_p": "1", "field": "memorisation", "along": "psi_p"},
    "optimal": _PLAIN | {"psi_n": "0.5 1 2 4 8 16 32 64", "psi_p": "8", "over": "ridge"},
    "advise": _STRUCTURE | {"m": "inf", "t": "0.1", "budget": "512"},
}
Picture = Annotated[File, told("Write the picture as FILE.png, FILE.pdf or FILE.svg.", FILES)]


@dataclass(frozen=True, kw_only=True)
class PhasesOptions(PredictOptions):
    """A grid of problems, and what is simulated in it."""

    psi_n: Annotated[Words, told(PSI_N, PROBLEM, "0.1:100:61")] = None
    psi_p: Annotated[Words, told(PSI_P, PROBLEM, "0.1:300:81")] = None
    m: Annotated[Words, told(M, PROBLEM, "4")] = None
    along: Annotated[
        Texts,
        told(
            "Fields along which boundaries are solved: psi_p, psi_n, t or ridge, whose lists must be ranges.",
            QUESTION,
            "psi_p, or the first there is; with --plot both axes of the picture",
        ),
    ] = None
    d: Annotated[Word, told("Simulate some cells in this dimension, as markers of the picture.", SIMULATION)] = None
    markers: Annotated[Word, told("How many cells to simulate along each axis.", SIMULATION, "3")] = None
    trials: Annotated[Word, told("Independent repetitions per simulated cell.", SIMULATION, "4")] = None
    key: Annotated[Word, told(SEED, SIMULATION, "0")] = None
    plot: Picture = None


@dataclass(frozen=True, kw_only=True)
class BoundaryOptions(PredictOptions):
    """A family of lines, and the field whose zeros are sought on them."""

    field: Annotated[
        Word,
        told(
            "memorisation, noise_fitting, harmful or point_fitting; or two targets, as in noise,data: where the second "
            "gets the smaller score error.",
            QUESTION,
            "memorisation",
        ),
    ] = None
    along: Annotated[Word, told("psi_p, psi_n, t or ridge.", QUESTION, "psi_p")] = None
    bounds: Annotated[
        Pair, told("Where to look.", QUESTION, "psi_p and psi_n 1e-3 to 1e5, t 1e-4 to 10, ridge 1e-12 to 1e3")
    ] = None
    psi_n: Annotated[Words, told(PSI_N, PROBLEM, "0.5 1 2 4 8 16 32 64")] = None
    psi_p: Annotated[Words, told(PSI_P, PROBLEM, "1")] = None
    m: Annotated[Words, told(M, PROBLEM, "4")] = None
    plot: Picture = None


@dataclass(frozen=True, kw_only=True)
class OptimalOptions(PredictOptions):
    """A family of problems, and what to choose best in them."""

    over: Annotated[
        Texts, told("Fields to optimise, one or several of ridge, psi_p, psi_n, t, m and target.", QUESTION, "ridge")
    ] = None
    minimise: Annotated[Word, told("test, score, empirical_test or train.", QUESTION, "test; score of targets")] = None
    targets: Annotated[
        Texts, told("With --over target: those to choose among.", QUESTION, "noise data velocity flow edm")
    ] = None
    ridge_bounds: Annotated[Pair, told("Bounds of the ridge.", QUESTION, "0 1e5")] = None
    psi_p_bounds: Annotated[Pair, told("Bounds of psi_p.", QUESTION, "1e-2 1e3")] = None
    psi_n_bounds: Annotated[Pair, told("Bounds of psi_n.", QUESTION, "1e-2 1e3")] = None
    t_bounds: Annotated[Pair, told("Bounds of t.", QUESTION, "1e-3 5")] = None
    m_bounds: Annotated[Pair, told("Bounds of m.", QUESTION, "1 inf")] = None
    psi_n: Annotated[Words, told(PSI_N, PROBLEM, "0.5 1 2 4 8 16 32 64")] = None
    psi_p: Annotated[Words, told(PSI_P, PROBLEM, "8")] = None
    m: Annotated[Words, told(M, PROBLEM, "4")] = None
    plot: Picture = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class AdviseOptions:
    """Somebody's own sizes and data."""

    n: Annotated[Number, told("Training samples. [default with --data: all rows]", OWN)] = None
    d: Annotated[Number, told("Dimension. [default with --data: its columns]", OWN)] = None
    data: Annotated[
        Word, told("Your samples: digits (scikit-learn's handwritten digits), or a file with one per row.", OWN)
    ] = None
    header: Annotated[Switch, told(HEADER, OWN)] = None
    index: Annotated[Switch, told(INDEX, OWN)] = None
    t: Annotated[Number, told("Time of the schedule.", OWN, "0.1")] = None
    m: Annotated[Number, told("Noise draws per sample: an integer, or inf.", OWN, "inf")] = None
    p: Annotated[Number, told("Features.", OWN, "the recommended width")] = None
    ridge: Annotated[Number, told("Ridge penalty.", OWN, "none")] = None
    activation: Annotated[Word, told("As in rfdsm predict.", OWN, "tanh")] = None
    spectrum: Annotated[Word, told("As in rfdsm predict.", OWN, "isotropic")] = None
    schedule: Schedule = None
    target: Target = None
    learning_rate: Annotated[
        Number, told("Of gradient descent on the loss per coordinate: gives stopping times in steps.", OWN)
    ] = None
    max_p: Annotated[Number, told("Largest width to consider.", OWN, "4 max(n, d)")] = None
    budget: Annotated[Number, told("Widest network to simulate; 0: none.", SIMULATION, "512")] = None
    key: Annotated[Number, told(SEED, SIMULATION, "0")] = None
    output: Annotated[File, told("Write FILE.nc or FILE.csv besides the text.", FILES)] = None
    plot: Picture = None
    cache: Cache = None


PHASE_COMMANDS = dict(phases=PhasesOptions, boundary=BoundaryOptions, optimal=OptimalOptions, advise=AdviseOptions)
