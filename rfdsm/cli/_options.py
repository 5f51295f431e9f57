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
NETWORKS_OUTPUT = "rfdsm-networks"
TRAINING_DEFAULTS = {"psi_n": "4 16", "psi_p": "64", "m": "inf", "ridge": "0", "minimise": "test", "simulate": "false"}
"""Where training differs: two problems of arXiv 2505.17638, whose two time scales are far apart."""
NETWORKS_DEFAULTS = {
    "d": "16",
    "network": "mlp",
    "widths": "8 16 32 64 128",
    "m": "1 4 16 inf",
    "t": "0.1",
    "ridge": "1e-3",
    "depth": "2",
    "steps": "5000",
    "batch": "128",
    "learning_rate": "1e-3",
    "seeds": "3",
}
EXPLORE_DEFAULTS = {name: DEFAULTS[name] for name in ("psi_n", "t", "ridge", "activation", "spectrum")}
EXPLORE_DEFAULTS |= {name: DEFAULTS[name] for name in ("schedule", "target")}
EXPLORE_DEFAULTS |= {"psi_p": "16", "m": "4", "port": "0", "browser": "true"}

PSI_N, PSI_P = "Samples per dimension, n/d.", "Features per dimension, p/d."
M = "Noise draws per sample: integers, or inf."
SEED = "Seed: an integer from 0 to 4294967295."
INITIAL = "Variance of the output weights at time 0."
HEADER = "The first line of FILE.csv names its columns, or not. [default: if it holds no number, or counts 0, 1, 2, …]"
INDEX = "The first column of FILE.csv names its rows, or not. [default: if it has no name, or counts the rows]"

PROBLEM = Group("Problem (lists form a grid: --m 1 4 inf or 1,4,inf; LOW:HIGH:COUNT is a range)", sort_key=1)
SIMULATION = Group("Simulation", sort_key=2)
FILES = Group("Files", sort_key=3)
NETWORK = Group("Networks", sort_key=2)
BEGINNING = Group("What the page opens with", sort_key=1)
SERVER = Group("Server", sort_key=2)


_words, _word = Parameter(negative=(), consume_multiple=True), Parameter(negative=())

Words = Annotated[list[str] | None, _words, Parameter(metavar="NUMBER...")]
Texts = Annotated[list[str] | None, _words]
Pair = Annotated[list[str] | None, _words, Parameter(metavar="LOW HIGH")]
Word = Annotated[str | None, _word, Parameter(metavar="TEXT")]
Number = Annotated[str | None, _word, Parameter(metavar="NUMBER")]
Name = Annotated[str | None, _word, Parameter(metavar="NAME")]
File = Annotated[str | None, _word, Parameter(metavar="FILE")]
Folder = Annotated[str | None, _word, Parameter(metavar="FOLDER")]
Flag = Annotated[bool | None, _word]
Switch = bool | None
"""A flag that can be turned off, too, as --no-FLAG."""
Unused = Annotated[list[str] | None, Parameter(show=False)]
"""Inherited, but refused in words by the command."""


def told(text: str, group: Group, default: str = "") -> Parameter:
    """The help of an option, with the words that stand for it where it is not given, and where help shows it."""
    return Parameter(help=f"{text} [default: {default}]" if default else text, group=group)


Config = Annotated[
    File,
    told(
        "TOML file with the same names as these options, at the top level or in a table named after the command; "
        "options on the command line win.",
        FILES,
    ),
]
Cache = Annotated[
    Switch,
    told(
        "Keep what is compiled for the next command, or not. The environment variable RFDSM_CACHE names another "
        "folder for it, or says off.",
        FILES,
    ),
]
Schedule = Annotated[
    Word,
    told(
        "Signal and noise at time t: ou, flow, variance_exploding, edm, cosine, beta_linear; or edm:DATA_STD, "
        "beta_linear:FIRST,LAST,STEPS.",
        PROBLEM,
        DEFAULTS["schedule"],
    ),
]
Target = Annotated[
    Word,
    told(
        "What the network learns: noise, data, velocity, flow, edm; or edm:DATA_STD, linear:ALPHA,BETA.",
        PROBLEM,
        DEFAULTS["target"],
    ),
]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """The fields of a problem, and where the result goes."""

    psi_n: Annotated[Words, told(PSI_N, PROBLEM, DEFAULTS["psi_n"])] = None
    psi_p: Annotated[Words, told(PSI_P, PROBLEM, DEFAULTS["psi_p"])] = None
    m: Annotated[Words, told(M, PROBLEM, DEFAULTS["m"])] = None
    t: Annotated[Words, told("Time of the schedule; of ou: diffusion time.", PROBLEM, DEFAULTS["t"])] = None
    ridge: Annotated[Words, told("Ridge penalty.", PROBLEM, DEFAULTS["ridge"])] = None
    activation: Annotated[
        Word,
        told(
            "tanh, erf, relu, leaky_relu, abs, sign, sin, softplus, gelu, silu, linear; or leaky_relu:SLOPE, "
            "polynomial:C0,C1,… or hermite:C0,C1,…",
            PROBLEM,
            DEFAULTS["activation"],
        ),
    ] = None
    spectrum: Annotated[
        Word,
        told(
            "Eigenvalues of the data covariance: isotropic, isotropic:VARIANCE, atoms:0.5,1.5, atoms:0.5@0.25,1.5@0.75 "
            "(value@weight), power-law:EXPONENT,CUTOFF, or FILE.npy with a covariance matrix or a list of eigenvalues.",
            PROBLEM,
            DEFAULTS["spectrum"],
        ),
    ] = None
    schedule: Schedule = None
    target: Target = None
    output: Annotated[File, told("Write FILE.nc or FILE.csv instead of a table.", FILES)] = None
    cache: Cache = None


@dataclass(frozen=True, kw_only=True)
class SimulateOptions(PredictOptions):
    """A problem, and the finite networks it is simulated with."""

    d: Annotated[Words, told("Dimension of the data.", SIMULATION, DEFAULTS["d"])] = None
    trials: Annotated[Number, told("Independent repetitions per cell.", SIMULATION, DEFAULTS["trials"])] = None
    key: Annotated[Number, told(SEED, SIMULATION, DEFAULTS["key"])] = None
    dtype: Annotated[Word, told("float32 or float64.", SIMULATION, DEFAULTS["dtype"])] = None
    data: Annotated[
        Word,
        told(
            "Simulate on real rows: digits (scikit-learn's 1797 handwritten digits, 64 columns), or FILE.npy, "
            "FILE.npz, FILE.csv or MNIST's FILE-ubyte.gz with one sample per row. They are centred and scaled; d and "
            "spectrum are then theirs.",
            SIMULATION,
        ),
    ] = None
    header: Annotated[Switch, told(HEADER, SIMULATION)] = None
    index: Annotated[Switch, told(INDEX, SIMULATION)] = None


@dataclass(frozen=True, kw_only=True)
class CompareOptions(SimulateOptions):
    """A problem, and how theory and simulation are compared."""

    psi_n: Annotated[Words, told(PSI_N, PROBLEM, "2; with --data 8, or half of the rows")] = None
    psi_p: Annotated[Words, told(PSI_P, PROBLEM, "0.25 to 16, doubling; with --data to 64")] = None
    d: Annotated[Words, told("Dimension of the data; several add an extrapolation in 1/d.", SIMULATION, "20 40")] = None
    output: Annotated[Folder, told("Folder for losses.png and losses.nc.", FILES, COMPARE_OUTPUT)] = None
    plot: Annotated[Switch, told("Write losses.png, or not.", FILES)] = None


@dataclass(frozen=True, kw_only=True)
class TrainCurveOptions(SimulateOptions):
    """A problem, the times at which its losses are wanted, and whether to simulate too."""

    psi_n: Annotated[Words, told(PSI_N, PROBLEM, "4 16")] = None
    psi_p: Annotated[Words, told(PSI_P, PROBLEM, "64")] = None
    m: Annotated[Words, told(M, PROBLEM, "inf")] = None
    ridge: Annotated[Words, told("Ridge penalty.", PROBLEM, "0")] = None
    times: Annotated[Words, told("Flow times theta, any order.", PROBLEM, "200 that show every scale")] = None
    minimise: Annotated[
        Word,
        told("The loss to stop at the least of: test, score or empirical_test.", PROBLEM),
        Parameter(metavar="LOSS"),
    ] = None
    initial: Annotated[Number, told(INITIAL, PROBLEM, "0")] = None
    simulate: Annotated[Switch, told("Overlay simulations, or not.", SIMULATION)] = None
    output: Annotated[Folder, told("Folder for training.png and training.nc.", FILES, TRAINING_OUTPUT)] = None
    plot: Annotated[Switch, told("Write training.png, or not.", FILES)] = None


@dataclass(frozen=True, kw_only=True)
class NetworksOptions(PredictOptions):
    """Networks of several widths, the points they are trained on, and theory beside them."""

    psi_n: Unused = None
    psi_p: Unused = None
    m: Annotated[Words, told("Noise draws per sample; inf: fresh noise.", PROBLEM, "1 4 16 inf")] = None
    ridge: Annotated[Words, told("Ridge of theory.", PROBLEM, "1e-3")] = None
    d: Annotated[Words, told("Dimension of normal data.", NETWORK, "16")] = None
    n: Annotated[Number, told("Training points.", NETWORK, "4 d, or half of the rows")] = None
    data: Annotated[Word, told("Real rows instead: digits, or a file with one per row.", NETWORK)] = None
    network: Annotated[Name, told("mlp, unet or random-features.", NETWORK, "mlp")] = None
    widths: Annotated[Words, told("Hidden units, channels or features.", NETWORK, "8 16 32 64 128")] = None
    depth: Annotated[Number, told("Hidden layers, or halvings.", NETWORK, "2")] = None
    steps: Annotated[Number, told("Steps of Adam.", NETWORK, "5000")] = None
    batch: Annotated[Number, told("Pairs per step.", NETWORK, "128")] = None
    learning_rate: Annotated[Number, told("At the first step; it falls like a cosine.", NETWORK, "1e-3")] = None
    seeds: Annotated[Number, told("Networks of each width.", NETWORK, "3")] = None
    key: Annotated[Number, told(SEED, NETWORK, "0")] = None
    output: Annotated[
        Folder,
        told(
            "Folder for networks.png, networks.nc and what is finished; the same again goes on.",
            NETWORK,
            NETWORKS_OUTPUT,
        ),
    ] = None
    plot: Annotated[Switch, told("Write networks.png, or not.", NETWORK)] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ExploreOptions:
    """One problem, and the server."""

    psi_n: Annotated[Number, told(PSI_N, BEGINNING, DEFAULTS["psi_n"])] = None
    psi_p: Annotated[Number, told(PSI_P, BEGINNING, "16")] = None
    m: Annotated[Number, told("Noise draws per sample: an integer, or inf.", BEGINNING, "4")] = None
    t: Annotated[Number, told("Time of the schedule.", BEGINNING, DEFAULTS["t"])] = None
    ridge: Annotated[Number, told("Ridge penalty.", BEGINNING, DEFAULTS["ridge"])] = None
    activation: Annotated[Word, told("As in rfdsm predict.", BEGINNING, DEFAULTS["activation"])] = None
    spectrum: Annotated[Word, told("As in rfdsm predict.", BEGINNING, DEFAULTS["spectrum"])] = None
    schedule: Schedule = None
    target: Target = None
    port: Annotated[Number, told("Port on this machine; 0: any that is free.", SERVER, "0")] = None
    browser: Annotated[Switch, told("Open the page in a browser, or not.", SERVER)] = None
    cache: Cache = None
