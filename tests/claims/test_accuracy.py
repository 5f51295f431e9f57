"""docs/accuracy.md: its table is predicted and simulated again where that is cheap, and its computed numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import truncnorm

from benchmarks.pages import record
from rfdsm import Problem, compare, predict, spectra
from tests.claims.ledger import Claim, check, power

PAGE = "docs/accuracy.md"


def recorded(problem: str, loss: str) -> dict:
    """A row of the table."""
    rows = record("accuracy")["figures"]["rows"]
    (row,) = (row for row in rows if (row["problem"], row["loss"]) == (problem, loss))
    return row


def test_theory_of_the_table_is_predicted():
    theory = recorded("tanh, m = 1, p = 4n", "test")["theory"]
    assert f"{float(predict(Problem(2, 8, 1, 0.1, 1e-3)).test):.4g}" == f"{theory:.4g}"


@pytest.mark.slow
def test_first_column_of_a_cheap_row_is_simulated():
    found = compare(Problem(2, 1, 1, 0.1, 1e-3, "tanh"), 25, trials=32)
    for name in ("train", "test"):
        here = 100 * float(found.relative_deviation[found.names.index(name), 0])
        assert abs(here - recorded("tanh, m = 1, p = n/2", name)["percent"][0]) < 0.006  # the last digit shown


def truncation() -> tuple[float, str]:
    """Where single precision normal variates end, and by how much that lowers their variance."""
    uniform = jnp.nextafter(jnp.float32(1), jnp.float32(0))
    end = float(jnp.sqrt(jnp.float32(2)) * jax.scipy.special.erfinv(uniform))
    return end, power(1 - float(truncnorm(-end, end).var()), 0)


def compressed() -> int:
    """Decades of eigenvalues at which 40 nodes leave rounding only."""
    assert spectra.from_eigenvalues(np.geomspace(1e-6, 1, 1000)).error < 1e-13
    return 40


CLAIMS = [
    Claim(PAGE, "they end at {:.1f} standard deviations, which lowers variances by {}", truncation),
    Claim(PAGE, "compressed to {} nodes", compressed),
]
# Inputs of the benchmark, an example of the notation, and tolerances that other tests and warnings hold.
SETTINGS = (
    "(+1.88(23) is 1.88 ± 0.23)",
    "at t = 0.1 and ridge 10⁻³",
    "for x from 0.05 to 1",
    "is the dimension at which c/d is one per cent",
    "a warning above 10⁻⁸",
    "not converged above 10⁻⁸",
    "below 10⁻¹⁰: Hermite series",
    "within 10⁻⁴ of float64, relative",
    "**d for 1 %**",
    "further than 10⁻³ from 1",
)


def test_numbers():
    check(PAGE, CLAIMS, SETTINGS)
