"""docs/sweeps.md: its numbers."""

import pytest

from rfdsm.sweeps.configuration import MOST_CELLS
from rfdsm.sweeps.store import WORTH_SYNCING
from tests.claims.ledger import Claim, recorded, unclaimed
from tests.claims.powers import ten

PAGE = "docs/sweeps.md"
FILE = "sweeps.txt"


def compilations() -> tuple[float, ...]:
    """For m = infinity, 4 and 1, counted by the benchmark at d = 100 on the grid the page describes."""
    return tuple(recorded(FILE, rf"d  m = {m}, d = 100: 400 cells would compile (\d+) times") for m in ("inf", 4, 1))


def overhead() -> tuple[float, ...]:
    bare = recorded(FILE, r"simulate ([\d.]+) ms a cell")
    kept, extra = recorded(FILE, r"with a store ([\d.]+) ms"), recorded(FILE, r"overhead ([\d.]+) ms")
    assert abs(kept - bare - extra) < 0.011
    return recorded(FILE, r"a  (\d+) cells"), bare, kept, extra, recorded(FILE, r"finished one ([\d.]+) ms")


CLAIMS = [
    Claim(PAGE, "More than {} simulated cells", lambda: ten(MOST_CELLS)),
    Claim(
        PAGE, "at d = 100 compiles {:.0f} times for m = ∞, {:.0f} times for m = 4 and {:.0f} times for", compilations
    ),
    Claim(PAGE, "Files that took more than {} s to compute", lambda: WORTH_SYNCING),
    Claim(PAGE, "{0:.0f} cells of one size: {1:.2f} ms a cell in one call of", overhead),
    Claim(PAGE, "{2:.2f} ms in a sweep with a store, so {3:.2f} ms a cell for planning", overhead),
    Claim(PAGE, "reading a finished cell takes {4:.2f} ms", overhead),
    Claim(
        PAGE,
        "d = 100: {:.2f} times as fast as one, {:.0f} % of their time is work",
        lambda: (recorded(FILE, r"on two: ([\d.]+) times"), recorded(FILE, r"(\d+)% of the workers' time")),
    ),
    Claim(
        PAGE,
        "{:.0f} cells of {:.0f} widths, m = ∞: {:.0f} compilations",
        lambda: tuple(recorded(FILE, r"(\d+) cells of (\d+) widths, (\d+) compilations", k) for k in (1, 2, 3)),
    ),
]
SETTINGS = ("agree to rounding (10⁻¹⁰ is tested)",)


@pytest.mark.parametrize("claim", CLAIMS, ids=str)
def test_claim(claim):
    claim.check()


def test_every_number_is_claimed():
    assert unclaimed(PAGE, CLAIMS, SETTINGS) == []
