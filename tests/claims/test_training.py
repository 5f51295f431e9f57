"""docs/training.md: its computed numbers."""

import inspect

import numpy as np

from benchmarks import training as benchmark
from rfdsm import optimal_stopping
from rfdsm.theory import _contour as contour, _stopping as stopping, _training as training
from tests.claims.ledger import Claim, check, ten

PAGE = "docs/training.md"


def nodes() -> int:
    """Of a contour for theta_max u_max = 1e8, and the digits that its rule is made for."""
    assert 10.5 < contour.DIGITS / np.log(10) < 11.5
    return contour.size(1 + 1e8)


def tolerance() -> float:
    return 100 * inspect.signature(optimal_stopping).parameters["tolerance"].default


CLAIMS = [
    Claim(PAGE, "For θ_max u_max = 10⁸ that is {} nodes for eleven digits", nodes),
    Claim(PAGE, "relative to max(1, loss); above {}", lambda: ten(training.TOLERANCE)),
    Claim(PAGE, "times from {} to {}/u_max in one", lambda: (ten(benchmark.EARLIEST), ten(benchmark.LATEST))),
    Claim(PAGE, "on {} times", lambda: stopping.GRID),
    Claim(PAGE, "to within {:.0f} % of the way", tolerance),
]
SETTINGS = (
    "ψ from 10⁻³ to 10³, ridge 0 or 10⁻¹² to 10³, t from 10⁻⁴ to 10, a fifth of the problems within 10⁻³ of p = nm or",
    "tanh, t = 0.1, ψ_p = 2¹⁴",
    "(ridge from 10⁻⁶, m from 1 to ∞, θ from 10⁻³ to 10⁶,",
    "it never comes at t = 0.1",
    "(t = 0.01, m = 1: exponent",
    "ψ_n = 4, ψ_p = 64, t = 0.1",
    "between m = 16 and ∞ at t = 0.01",
)


def test_numbers():
    check(PAGE, CLAIMS, SETTINGS)
