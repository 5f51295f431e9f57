"""docs/targets.md: the table of what to predict."""

import numpy as np
import pytest

from rfdsm import Problem, optimal, spectra
from tests.claims.ledger import Claim, check

PAGE = "docs/targets.md"
ROWS = [("variance 20 on 5 % of the directions", 1, 4), ("the same", 32, np.inf), ("isotropic", 1, 4)]


def scores(k: int) -> tuple[str, ...]:
    """Of a row of the table, least score error of each target."""
    data, psi_p, m = ROWS[k]
    law = None if data == "isotropic" else spectra.atoms([20.0, 0.0], [0.05, 0.95])
    best = optimal(
        Problem(4, psi_p, m, 0.3, 0, spectrum=law), ("target", "ridge"), targets=("noise", "velocity", "data")
    )
    values = [float(one.minimum) for one in best.targets.values()]
    return tuple("0.00" if value < 1e-9 else f"{value:.3g}" if value > 0.1 else f"{value:#.3g}" for value in values)


@pytest.mark.slow
def test_numbers():
    claims = [
        Claim(PAGE, f"| {data} | {psi_p}, {'∞' if m == np.inf else m} | {{}} | {{}} | {{}} |", lambda k=k: scores(k))
        for k, (data, psi_p, m) in enumerate(ROWS)
    ]
    check(PAGE, claims, ("5 %",))
