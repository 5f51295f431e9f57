"""Options of `rfdsm networks`."""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Group, Parameter

from rfdsm.cli._options import PROBLEM, PredictOptions, Word, Words, one, several

NETWORK = Group("Networks", sort_key=2)
OUTPUT = "rfdsm-networks"
DEFAULTS = {
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


@dataclass(frozen=True, kw_only=True)
class NetworksOptions(PredictOptions):
    """Networks of several widths, the points they are trained on, and theory beside them."""

    psi_n: Annotated[Words, Parameter(show=False)] = None
    psi_p: Annotated[Words, Parameter(show=False)] = None
    m: Annotated[Words, several("Noise draws per sample; inf: fresh noise. [default: 1 4 16 inf]", "", PROBLEM)] = None
    ridge: Annotated[Words, several("Ridge of theory. [default: 1e-3]", "", PROBLEM)] = None
    d: Annotated[Words, several("Dimension of normal data. [default: 16]", "", NETWORK)] = None
    n: Annotated[Word, one("Training points. [default: 4 d, or half of the rows]", NETWORK, metavar="NUMBER")] = None
    data: Annotated[Word, one("Real rows instead: digits, or a file with one per row.", NETWORK)] = None
    network: Annotated[Word, one("mlp, unet or random-features. [default: mlp]", NETWORK, metavar="NAME")] = None
    widths: Annotated[Words, several("Hidden units, channels or features. [default: 8 16 32 64 128]", "", NETWORK)] = (
        None
    )
    depth: Annotated[Word, one("Hidden layers, or halvings. [default: 2]", NETWORK, metavar="NUMBER")] = None
    steps: Annotated[Word, one("Steps of Adam. [default: 5000]", NETWORK, metavar="NUMBER")] = None
    batch: Annotated[Word, one("Pairs per step. [default: 128]", NETWORK, metavar="NUMBER")] = None
    learning_rate: Annotated[
        Word, one("At the first step; it falls like a cosine. [default: 1e-3]", NETWORK, metavar="NUMBER")
    ] = None
    seeds: Annotated[Word, one("Networks of each width. [default: 3]", NETWORK, metavar="NUMBER")] = None
    key: Annotated[Word, one("Seed: an integer from 0 to 4294967295.", NETWORK, "key", "NUMBER")] = None
    output: Annotated[
        Word,
        one(
            f"Folder for networks.png, networks.nc and what is finished; the same again goes on. [default: {OUTPUT}]",
            NETWORK,
            metavar="FOLDER",
        ),
    ] = None
    plot: Annotated[bool | None, Parameter(help="Write networks.png, or not.", group=NETWORK)] = None
