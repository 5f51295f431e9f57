"""docs/phases.md: its numbers."""

import pytest

from rfdsm.phases.advice import GOOD_ENOUGH
from tests.claims.ledger import Claim, recorded, unclaimed

PAGE = "docs/phases.md"


def crossover() -> tuple[float, ...]:
    """p/n where memorisation begins, from the benchmark, which solves them on the diagram's own boundary."""
    pattern = r"at t = 0\.3, 0\.1, 0\.01, 0\.001: \[([\d.]+)\s+([\d.]+)\s+([\d.]+)\s+([\d.]+)\]"
    return tuple(recorded("phases.txt", pattern, k) for k in (1, 2, 3, 4))


CLAIMS = [
    Claim(PAGE, "p/n = {:.4f}, {:.4f}, {:.4f}, {:.4f} at t = 0.3, 0.1, 0.01, 0.001", crossover),
    Claim(PAGE, "is within {:.0f} % of the best at any width", lambda: 100 * GOOD_ENOUGH),
]
SETTINGS = ()


@pytest.mark.parametrize("claim", CLAIMS, ids=str)
def test_claim(claim):
    claim.check()


def test_every_number_is_claimed():
    assert unclaimed(PAGE, CLAIMS, SETTINGS) == []
