"""The options of `rfdsm explore`: one problem to begin with, and where to serve."""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Group, Parameter

from rfdsm.cli._options import DEFAULTS, Cache, Schedule, Target, Word

BEGINNING = Group("What the page opens with", sort_key=1)
SERVER = Group("Server", sort_key=2)

EXPLORE_DEFAULTS = {name: DEFAULTS[name] for name in ("psi_n", "t", "ridge", "activation", "spectrum")}
EXPLORE_DEFAULTS |= {name: DEFAULTS[name] for name in ("schedule", "target")}
EXPLORE_DEFAULTS |= {"psi_p": "16", "m": "4", "port": "0", "browser": "true"}


def _one(text: str, group: Group, name: str, metavar: str = "NUMBER") -> Parameter:
    return Parameter(help=f"{text} [default: {EXPLORE_DEFAULTS[name]}]", negative=(), group=group, metavar=metavar)


@dataclass(frozen=True, kw_only=True)
class ExploreOptions:
    """One problem, and the server."""

    psi_n: Annotated[Word, _one("Samples per dimension, n/d.", BEGINNING, "psi_n")] = None
    psi_p: Annotated[Word, _one("Features per dimension, p/d.", BEGINNING, "psi_p")] = None
    m: Annotated[Word, _one("Noise draws per sample: an integer, or inf.", BEGINNING, "m")] = None
    t: Annotated[Word, _one("Time of the schedule.", BEGINNING, "t")] = None
    ridge: Annotated[Word, _one("Ridge penalty.", BEGINNING, "ridge")] = None
    activation: Annotated[Word, _one("As in rfdsm predict.", BEGINNING, "activation", "TEXT")] = None
    spectrum: Annotated[Word, _one("As in rfdsm predict.", BEGINNING, "spectrum", "TEXT")] = None
    schedule: Schedule = None
    target: Target = None
    port: Annotated[Word, _one("Port on this machine; 0: any that is free.", SERVER, "port")] = None
    browser: Annotated[bool | None, Parameter(help="Open the page in a browser, or not.", group=SERVER)] = None
    cache: Cache = None
