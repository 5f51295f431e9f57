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
    SIMULATION,
    Cache,
    PredictOptions,
    Schedule,
    Target,
    Word,
    Words,
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


def _one(text: str, group: Group, metavar: str = "TEXT") -> Parameter:
    return Parameter(help=text, negative=(), group=group, metavar=metavar)


def _pair(text: str) -> Parameter:
    return Parameter(help=text, negative=(), group=QUESTION, metavar="LOW HIGH", consume_multiple=True)


def _list(text: str, metavar: str = "NUMBER...") -> Parameter:
    return Parameter(help=text, negative=(), group=PROBLEM, metavar=metavar, consume_multiple=True)


Picture = Annotated[Word, _one("Write the picture as FILE.png, FILE.pdf or FILE.svg.", FILES, "FILE")]


@dataclass(frozen=True, kw_only=True)
class PhasesOptions(PredictOptions):
    """A grid of problems, and what is simulated in it."""

    psi_n: Annotated[Words, _list("Samples per dimension, n/d. [default: 0.1:100:61]")] = None
    psi_p: Annotated[Words, _list("Features per dimension, p/d. [default: 0.1:300:81]")] = None
    m: Annotated[Words, _list("Noise draws per sample: integers, or inf. [default: 4]")] = None
    along: Annotated[
        Words,
        Parameter(
            help="Fields along which boundaries are solved: psi_p, psi_n, t or ridge, whose lists must be ranges. "
            "[default: psi_p, or the first there is; with --plot both axes of the picture]",
            negative=(),
            group=QUESTION,
            consume_multiple=True,
        ),
    ] = None
    d: Annotated[Word, _one("Simulate some cells in this dimension, as markers of the picture.", SIMULATION)] = None
    markers: Annotated[Word, _one("How many cells to simulate along each axis. [default: 3]", SIMULATION)] = None
    trials: Annotated[Word, _one("Independent repetitions per simulated cell. [default: 4]", SIMULATION)] = None
    key: Annotated[Word, _one("Seed: an integer from 0 to 4294967295. [default: 0]", SIMULATION)] = None
    plot: Picture = None


@dataclass(frozen=True, kw_only=True)
class BoundaryOptions(PredictOptions):
    """A family of lines, and the field whose zeros are sought on them."""

    field: Annotated[
        Word,
        _one(
            "memorisation, noise_fitting, harmful or point_fitting; or two targets, as in noise,data: where the second "
            "gets the smaller score error. [default: memorisation]",
            QUESTION,
        ),
    ] = None
    along: Annotated[Word, _one("psi_p, psi_n, t or ridge. [default: psi_p]", QUESTION)] = None
    bounds: Annotated[
        Words,
        _pair("Where to look. [default: psi_p and psi_n 1e-3 to 1e5, t 1e-4 to 10, ridge 1e-12 to 1e3]"),
    ] = None
    psi_n: Annotated[Words, _list("Samples per dimension, n/d. [default: 0.5 1 2 4 8 16 32 64]")] = None
    psi_p: Annotated[Words, _list("Features per dimension, p/d. [default: 1]")] = None
    m: Annotated[Words, _list("Noise draws per sample: integers, or inf. [default: 4]")] = None
    plot: Picture = None


@dataclass(frozen=True, kw_only=True)
class OptimalOptions(PredictOptions):
    """A family of problems, and what to choose best in them."""

    over: Annotated[
        Words,
        Parameter(
            help="Fields to optimise, one or several of ridge, psi_p, psi_n, t, m and target. [default: ridge]",
            negative=(),
            group=QUESTION,
            consume_multiple=True,
        ),
    ] = None
    minimise: Annotated[
        Word, _one("test, score, empirical_test or train. [default: test; score of targets]", QUESTION)
    ] = None
    targets: Annotated[
        Words,
        Parameter(
            help="With --over target: those to choose among. [default: noise data velocity flow edm]",
            negative=(),
            group=QUESTION,
            consume_multiple=True,
        ),
    ] = None
    ridge_bounds: Annotated[Words, _pair("Bounds of the ridge. [default: 0 1e5]")] = None
    psi_p_bounds: Annotated[Words, _pair("Bounds of psi_p. [default: 1e-2 1e3]")] = None
    psi_n_bounds: Annotated[Words, _pair("Bounds of psi_n. [default: 1e-2 1e3]")] = None
    t_bounds: Annotated[Words, _pair("Bounds of t. [default: 1e-3 5]")] = None
    m_bounds: Annotated[Words, _pair("Bounds of m. [default: 1 inf]")] = None
    psi_n: Annotated[Words, _list("Samples per dimension, n/d. [default: 0.5 1 2 4 8 16 32 64]")] = None
    psi_p: Annotated[Words, _list("Features per dimension, p/d. [default: 8]")] = None
    m: Annotated[Words, _list("Noise draws per sample: integers, or inf. [default: 4]")] = None
    plot: Picture = None


@dataclass(frozen=True, kw_only=True)
class AdviseOptions:
    """Somebody's own sizes and data."""

    n: Annotated[Word, _one("Training samples. [default with --data: all rows]", OWN, "NUMBER")] = None
    d: Annotated[Word, _one("Dimension. [default with --data: its columns]", OWN, "NUMBER")] = None
    data: Annotated[
        Word,
        _one(
            "Your samples: digits (scikit-learn's handwritten digits), or a file with one per row.",
            OWN,
        ),
    ] = None
    header: Annotated[bool | None, Parameter(help=HEADER, group=OWN)] = None
    index: Annotated[bool | None, Parameter(help=INDEX, group=OWN)] = None
    t: Annotated[Word, _one("Time of the schedule. [default: 0.1]", OWN, "NUMBER")] = None
    m: Annotated[Word, _one("Noise draws per sample: an integer, or inf. [default: inf]", OWN, "NUMBER")] = None
    p: Annotated[Word, _one("Features. [default: the recommended width]", OWN, "NUMBER")] = None
    ridge: Annotated[Word, _one("Ridge penalty. [default: none]", OWN, "NUMBER")] = None
    activation: Annotated[Word, _one("As in rfdsm predict. [default: tanh]", OWN)] = None
    spectrum: Annotated[Word, _one("As in rfdsm predict. [default: isotropic]", OWN)] = None
    schedule: Schedule = None
    target: Target = None
    learning_rate: Annotated[
        Word, _one("Of gradient descent on the loss per coordinate: gives stopping times in steps.", OWN, "NUMBER")
    ] = None
    max_p: Annotated[Word, _one("Largest width to consider. [default: 4 max(n, d)]", OWN, "NUMBER")] = None
    budget: Annotated[Word, _one("Widest network to simulate; 0: none. [default: 512]", SIMULATION, "NUMBER")] = None
    key: Annotated[Word, _one("Seed: an integer from 0 to 4294967295. [default: 0]", SIMULATION, "NUMBER")] = None
    output: Annotated[Word, _one("Write FILE.nc or FILE.csv besides the text.", FILES, "FILE")] = None
    plot: Picture = None
    cache: Cache = None


PHASE_COMMANDS = {
    "phases": PhasesOptions,
    "boundary": BoundaryOptions,
    "optimal": OptimalOptions,
    "advise": AdviseOptions,
}
