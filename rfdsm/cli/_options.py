"""What can be asked on the command line: the options of each command, their help and their defaults.

Options arrive as the words that were typed. A configuration file says the same in TOML, so words, not typed values, are
the form in which both meet (`rfdsm.cli.settings`).
"""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Group, Parameter

# The one place of the defaults; m = inf and the factor 2 in psi_p show all regimes of the papers' figures at once.
DEFAULTS: dict[str, str] = {
    "psi_n": "8",
    "psi_p": "0.25 0.5 1 2 4 8 16 32 64",
    "m": "1 4 16 inf",
    "t": "0.1",
    "ridge": "1e-3",
    "activation": "tanh",
    "spectrum": "isotropic",
    "schedule": "ou",
    "target": "noise",
    "d": "32",
    "trials": "8",
    "key": "0",
    "dtype": "float64",
    "plot": "true",
}
COMPARE_DEFAULTS = {"psi_n": "2", "psi_p": "0.25 0.5 1 2 4 8 16", "d": "20 40"}
"""Without data: the peaks p = n and p = 4n and every regime, at sizes that take seconds and can be extrapolated."""
COMPARE_OUTPUT = "rfdsm-compare"
TRAINING_OUTPUT = "rfdsm-train-curve"
GENERATION_OUTPUT = "rfdsm-generate"
TRAINING_DEFAULTS = {"psi_n": "4 16", "psi_p": "64", "m": "inf", "ridge": "0", "minimise": "test", "simulate": "false"}
"""Where training differs: two problems of arXiv 2505.17638, whose two time scales are far apart."""

HEADER = "The first line of FILE.csv names its columns, or not. [default: if it holds no number, or counts 0, 1, 2, …]"
INDEX = "The first column of FILE.csv names its rows, or not. [default: if it has no name, or counts the rows]"

PROBLEM = Group("Problem (lists form a grid: --m 1 4 inf or 1,4,inf; LOW:HIGH:COUNT is a range)", sort_key=1)
SIMULATION = Group("Simulation", sort_key=2)
FILES = Group("Files", sort_key=3)


def _described(text: str, name: str = "") -> str:
    return f"{text} [default: {DEFAULTS[name]}]" if name else text


def _list(text: str, name: str, group: Group) -> Parameter:
    return Parameter(help=_described(text, name), consume_multiple=True, negative=(), group=group, metavar="NUMBER...")


def _one(text: str, group: Group, name: str = "", metavar: str = "TEXT") -> Parameter:
    return Parameter(help=_described(text, name), negative=(), group=group, metavar=metavar)


one, several = _one, _list
"""Of options that are declared elsewhere."""

Words = list[str] | None
Word = str | None

Config = Annotated[
    Word,
    _one(
        "TOML file with the same names as these options, at the top level or in a table named after the command; "
        "options on the command line win.",
        FILES,
        metavar="FILE",
    ),
]
Cache = Annotated[
    bool | None,
    Parameter(
        help="Keep what is compiled for the next command, or not. The environment variable RFDSM_CACHE names another "
        "folder for it, or says off.",
        group=FILES,
    ),
]


Schedule = Annotated[
    Word,
    _one(
        "Signal and noise at time t: ou, flow, variance_exploding, edm, cosine, beta_linear; or edm:DATA_STD, "
        "beta_linear:FIRST,LAST,STEPS.",
        PROBLEM,
        "schedule",
    ),
]
Target = Annotated[
    Word,
    _one(
        "What the network learns: noise, data, velocity, flow, edm; or edm:DATA_STD, linear:ALPHA,BETA.",
        PROBLEM,
        "target",
    ),
]


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """The fields of a problem, and where the result goes."""

    psi_n: Annotated[Words, _list("Samples per dimension, n/d.", "psi_n", PROBLEM)] = None
    psi_p: Annotated[Words, _list("Features per dimension, p/d.", "psi_p", PROBLEM)] = None
    m: Annotated[Words, _list("Noise draws per sample: integers, or inf.", "m", PROBLEM)] = None
    t: Annotated[Words, _list("Time of the schedule; of ou: diffusion time.", "t", PROBLEM)] = None
    ridge: Annotated[Words, _list("Ridge penalty.", "ridge", PROBLEM)] = None
    activation: Annotated[
        Word,
        _one(
            "tanh, erf, relu, leaky_relu, abs, sign, sin, softplus, gelu, silu, linear; or leaky_relu:SLOPE, "
            "polynomial:C0,C1,… or hermite:C0,C1,…",
            PROBLEM,
            "activation",
        ),
    ] = None
    spectrum: Annotated[
        Word,
        _one(
            "Eigenvalues of the data covariance: isotropic, isotropic:VARIANCE, atoms:0.5,1.5, atoms:0.5@0.25,1.5@0.75 "
            "(value@weight), power-law:EXPONENT,CUTOFF, or FILE.npy with a covariance matrix or a list of eigenvalues.",
            PROBLEM,
            "spectrum",
        ),
    ] = None
    schedule: Schedule = None
    target: Target = None
    output: Annotated[Word, _one("Write FILE.nc or FILE.csv instead of a table.", FILES, metavar="FILE")] = None
    cache: Cache = None


@dataclass(frozen=True, kw_only=True)
class SimulateOptions(PredictOptions):
    """A problem, and the finite networks it is simulated with."""

    d: Annotated[Words, _list("Dimension of the data.", "d", SIMULATION)] = None
    trials: Annotated[Word, _one("Independent repetitions per cell.", SIMULATION, "trials", "NUMBER")] = None
    key: Annotated[Word, _one("Seed: an integer from 0 to 4294967295.", SIMULATION, "key", "NUMBER")] = None
    dtype: Annotated[Word, _one("float32 or float64.", SIMULATION, "dtype")] = None
    data: Annotated[
        Word,
        _one(
            "Simulate on real rows: digits (scikit-learn's 1797 handwritten digits, 64 columns), or FILE.npy, "
            "FILE.npz, FILE.csv or MNIST's FILE-ubyte.gz with one sample per row. They are centred and scaled; d and "
            "spectrum are then theirs.",
            SIMULATION,
        ),
    ] = None
    header: Annotated[bool | None, Parameter(help=HEADER, group=SIMULATION)] = None
    index: Annotated[bool | None, Parameter(help=INDEX, group=SIMULATION)] = None


@dataclass(frozen=True, kw_only=True)
class CompareOptions(SimulateOptions):
    """A problem, and how theory and simulation are compared."""

    psi_n: Annotated[
        Words, _list("Samples per dimension, n/d. [default: 2; with --data 8, or half of the rows]", "", PROBLEM)
    ] = None
    psi_p: Annotated[
        Words, _list("Features per dimension, p/d. [default: 0.25 to 16, doubling; with --data to 64]", "", PROBLEM)
    ] = None
    d: Annotated[
        Words,
        _list("Dimension of the data; several add an extrapolation in 1/d. [default: 20 40]", "", SIMULATION),
    ] = None
    output: Annotated[
        Word, _one(f"Folder for losses.png and losses.nc. [default: {COMPARE_OUTPUT}]", FILES, metavar="FOLDER")
    ] = None
    plot: Annotated[bool | None, Parameter(help="Write losses.png, or not.", group=FILES)] = None


@dataclass(frozen=True, kw_only=True)
class TrainCurveOptions(SimulateOptions):
    """A problem, the times at which its losses are wanted, and whether to simulate too."""

    psi_n: Annotated[Words, _list("Samples per dimension, n/d. [default: 4 16]", "", PROBLEM)] = None
    psi_p: Annotated[Words, _list("Features per dimension, p/d. [default: 64]", "", PROBLEM)] = None
    m: Annotated[Words, _list("Noise draws per sample: integers, or inf. [default: inf]", "", PROBLEM)] = None
    ridge: Annotated[Words, _list("Ridge penalty. [default: 0]", "", PROBLEM)] = None
    times: Annotated[Words, _list("Flow times theta, any order. [default: 200 that show every scale]", "", PROBLEM)] = (
        None
    )
    minimise: Annotated[
        Word, _one("The loss to stop at the least of: test, score or empirical_test.", PROBLEM, "", "LOSS")
    ] = None
    initial: Annotated[
        Word, _one("Variance of the output weights at time 0. [default: 0]", PROBLEM, metavar="NUMBER")
    ] = None
    simulate: Annotated[bool | None, Parameter(help="Overlay simulations, or not.", group=SIMULATION)] = None
    output: Annotated[
        Word, _one(f"Folder for training.png and training.nc. [default: {TRAINING_OUTPUT}]", FILES, metavar="FOLDER")
    ] = None
    plot: Annotated[bool | None, Parameter(help="Write training.png, or not.", group=FILES)] = None
