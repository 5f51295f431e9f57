"""docs/glossary.md: every name in it is one of rfdsm's. And of all new pages: their links lead somewhere."""

import inspect
import re

import pytest

import rfdsm
from rfdsm import linear
from rfdsm.losses import Run
from tests.claims.ledger import ROOT, Claim, unclaimed

PAGE = "docs/glossary.md"
PAGES = ["docs/index.md", PAGE, *sorted(f"docs/api/{path.name}" for path in (ROOT / "docs" / "api").glob("*.md"))]
LINKED = [*PAGES, "docs/tutorial.md", "docs/accuracy.md", "docs/performance.md", "docs/troubleshooting.md"]
LINKED += [f"docs/how_to/{path.name}" for path in (ROOT / "docs" / "how_to").glob("*.md")]
KNOWN = {
    "Moments": rfdsm.activations.Moments,
    "SpectralDensity": rfdsm.SpectralDensity,
    "Memorisation": linear.Memorisation,
    "Problem": linear.Problem,
    "linear": linear,
    "limits": rfdsm.theory.limits,
    "units": rfdsm.units,
    "sampling": rfdsm.sampling,
    "networks": rfdsm.networks,
    "run": Run,
}


def is_attribute(owner, name: str) -> bool:
    return hasattr(owner, name) or name in getattr(owner, "__annotations__", {})


def is_known(name: str) -> bool:
    first, *rest = name.split(".")
    if rest:
        owner = KNOWN[first]
        return is_attribute(getattr(owner, rest[0]), rest[1]) if len(rest) > 1 else is_attribute(owner, rest[0])
    owners = (rfdsm, rfdsm.Problem, linear.Problem, rfdsm.Losses, rfdsm.Stopping, linear.Memorisation, linear)
    functions = (rfdsm.simulate, rfdsm.training_curve, linear.memorisation)
    return any(is_attribute(owner, name) for owner in owners) or any(
        name in inspect.signature(function).parameters for function in functions
    )


def test_names_are_those_of_the_package():
    rows = [line.split(" | ") for line in (ROOT / PAGE).read_text().splitlines() if line.startswith("| ")]
    names = [name for row in rows for name in re.findall(r"`([^`]+)`", row[1])]
    assert len(names) > 35
    assert [name for name in names if not is_known(name)] == []


def test_index_lists_every_page():
    index = (ROOT / "docs" / "index.md").read_text()
    listed = {line.split("<")[-1].rstrip(">") for line in index.splitlines()}
    pages = [path for path in (ROOT / "docs").rglob("*.md") if path.parent.name != "api" and path.name != "index.md"]
    names = [path.relative_to(ROOT / "docs").with_suffix("").as_posix() for path in pages]
    names += [f"../notebooks/{path.stem}" for path in (ROOT / "notebooks").glob("*.ipynb")]
    names += ["api/index", "../README", "../CHANGELOG"]
    assert sorted(set(names) - listed) == []


CLAIMS: list[Claim] = []


@pytest.mark.parametrize("name", PAGES)
def test_no_number_is_quoted(name):
    assert unclaimed(name, CLAIMS) == []
