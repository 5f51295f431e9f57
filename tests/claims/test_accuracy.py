"""docs/accuracy.md: its table is the recorded output of benchmarks/accuracy.py, its sentences are true of the table."""

import re
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import truncnorm

from rfdsm import Problem, compare, predict, spectra
from tests.claims.ledger import NUMBER, ROOT, Claim, power, recorded, unclaimed

PAGE = "docs/accuracy.md"
RECORD = "accuracy.txt"
D = (25, 50, 100, 200)


class Row(NamedTuple):
    """One line of the table: per cent by d, their errors, c and its error, the intercept in standard errors."""

    problem: str
    loss: str
    theory: float
    percent: dict[int, float]
    error: dict[int, float]
    c: float
    c_error: float
    d_for_one: float
    intercept: float


def value(cell: str) -> tuple[float, float]:
    number, digits = re.fullmatch(r"([+-][\d.]+)\((\d+)\)", cell).groups()
    return float(number), int(digits) * 10.0 ** -len(number.partition(".")[2])


@cache
def lines() -> list[str]:
    text = (ROOT / "benchmarks" / "recorded" / RECORD).read_text()
    return [line for line in text.splitlines() if line.startswith("| ")]


@cache
def rows() -> list[Row]:
    found = []
    for line in lines()[1:]:
        problem, loss, theory, *cells, d_for_one, intercept = (cell.strip() for cell in line.strip("| ").split("|"))
        pairs = dict(zip((*D, "c"), map(value, cells), strict=True))
        percent, error = ({d: pairs[d][k] for d in D} for k in (0, 1))
        found.append(Row(problem, loss, float(theory), percent, error, *pairs["c"], float(d_for_one), float(intercept)))
    return found


def chosen(where: str = "", loss: str = "") -> list[Row]:
    found = [row for row in rows() if where in row.problem and loss in ("", row.loss)]
    assert found
    return found


def test_whole_table_is_recorded():
    assert len(rows()) == 33
    text = (ROOT / PAGE).read_text()
    for line in lines():
        assert line in text


def test_theory_of_the_table_is_predicted():
    (row,) = chosen("tanh, m = 1, p = 4n", "test")
    assert f"{float(predict(Problem(2, 8, 1, 0.1, 1e-3)).test):.4g}" == f"{row.theory:.4g}"


def test_first_column_of_a_cheap_row_is_simulated():
    found = compare(Problem(2, 1, 1, 0.1, 1e-3, "tanh"), 25, trials=32)
    for name in ("train", "test"):
        (row,) = chosen("tanh, m = 1, p = n/2", name)
        here = 100 * float(found.relative_deviation[found.names.index(name), 0])
        assert abs(here - row.percent[25]) < 0.006  # the last digit shown


def table_line(line: str) -> Claim:
    """A line of the table as a claim, its numbers read from the record."""
    head = "|".join(line.split("|")[:3]) + "|"
    rest = line[len(head) :]
    return Claim(PAGE, head + re.sub(NUMBER, "{}", rest), lambda: tuple(re.findall(NUMBER, rest)))


def sizes(found: list[Row], d: int) -> list[float]:
    return [abs(row.percent[d]) for row in found]


def intercepts() -> tuple[float, float, float]:
    """Their rms, and the largest, which is that of a small training loss that at d = 25 is twice its limit."""
    worst = max(rows(), key=lambda row: abs(row.intercept))
    assert worst.loss == "train" and 95 < worst.percent[25] < 105
    recorded_rms = recorded(RECORD, r"33 intercepts: rms ([\d.]+)")
    assert abs(recorded_rms - rms([row.intercept for row in rows()])) < 0.02
    return recorded_rms, abs(worst.intercept), worst.theory


def rms(values: list[float]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def others() -> float:
    return rms(sorted((row.intercept for row in rows()), key=abs)[:-1])


def below_the_peak() -> float:
    found = [row for row in chosen("p = n/2") if row.loss != "score"]
    assert all(abs(row.percent[100]) < 3 * row.error[100] for row in found)
    assert all(abs(row.percent[50]) < 1 for row in found)  # the rule of thumb
    return max(sizes(found, 100))


def elsewhere(loss: str) -> list[Row]:
    return [row for row in chosen(loss=loss) if "p = n/2" not in row.problem]


def fresh_points() -> tuple[float, float, float]:
    found = elsewhere("test")
    at_peaks = [row for row in found if "peak" in row.problem or "∞" in row.problem]
    assert all(row.percent[100] < 0 for row in at_peaks)
    assert all(row.percent[100] > 0 for row in found if row not in at_peaks)
    assert 1 <= round(max(sizes(found, 200)), 0) <= 1.3  # the rule of thumb
    return min(sizes(found, 100)), max(sizes(found, 100)), max(sizes(found, 200))


def slopes() -> tuple[float, float]:
    found = [abs(row.c) for row in elsewhere("test")]
    twice = [abs(row.c) for row in elsewhere("score")]
    assert 0.9 * max(found) < max(twice) / 2 < 1.1 * max(found) and max(found) * 100 < 225  # the rule of thumb
    return min(found), max(found)


def interpolated() -> tuple[float, float, float, float]:
    first, second = (chosen(where, "train")[0] for where in ("tanh, m = 1, p = 4n", "tanh, m = 4, p = 8n"))
    return first.percent[100], second.percent[100], first.theory, second.theory


def training_points() -> tuple[float, float]:
    found = sizes([row for row in elsewhere("empirical_test") if row.problem != "relu, m = 4, p = n"], 100)
    return min(found), max(found)


def truncation() -> tuple[float, str]:
    """Where single precision normal variates end, and by how much that lowers their variance."""
    uniform = jnp.nextafter(jnp.float32(1), jnp.float32(0))
    end = float(jnp.sqrt(jnp.float32(2)) * jax.scipy.special.erfinv(uniform))
    return end, power(1 - float(truncnorm(-end, end).var()), 0)


def compressed() -> int:
    """Decades of eigenvalues at which 40 nodes leave rounding only."""
    assert spectra.from_eigenvalues(np.geomspace(1e-6, 1, 1000)).error < 1e-13
    return 40


CLAIMS = [table_line(line) for line in lines()[1:]]
CLAIMS += [
    Claim(
        PAGE,
        "their rms is {:.2f}, where 1 is expected; the largest, {:.1f}, belongs to a training loss of {:.4f}",
        intercepts,
    ),
    Claim(PAGE, "Without it the rms is {:.2f}", others),
    Claim(PAGE, "train, empirical_test and test are within {:.2f} % of it", below_the_peak),
    Claim(
        PAGE,
        "the test loss is off by {:.1f} % to {:.1f} % at d = 100**, and by {:.1f} % at most at d = 200",
        fresh_points,
    ),
    Claim(PAGE, "Its c is between {:.1f} and {:.1f} in size", slopes),
    Claim(
        PAGE,
        "are off by {:.0f} % and {:.0f} % at d = 100, but the losses themselves are {:.5f} and {:.4f}",
        interpolated,
    ),
    Claim(PAGE, "at the peak and beyond, is off by {:.0f} % to {:.1f} % at d = 100", training_points),
    Claim(PAGE, "they end at {:.1f} standard deviations, which lowers variances by {}", truncation),
    Claim(PAGE, "compressed to {} nodes", compressed),
    Claim(
        PAGE,
        "relative residual below {}; losses right to {} where p/nm is further than 10⁻³ from 1",
        lambda: (
            power(recorded("never_fails.txt", r"residual ([\d.e+-]+);")),
            power(recorded("never_fails.txt", r"beyond 1e-3.*?'score': '([\d.e+-]+)'")),
        ),
    ),
    Claim(
        PAGE,
        "is amplified: {} at a distance of {} |",
        lambda: (
            power(recorded("never_fails.txt", r"within: .*?'score': '([\d.e+-]+)'")),
            power(recorded("never_fails.txt", r"within: .*\n\s+worst at distance ([\d.e+-]+)")),
        ),
    ),
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
    "within 10⁻⁴, relative, for ridge ≥ 10⁻⁴",
    "**d for 1 %**",
    "| d for 1 % |",
)


@pytest.mark.parametrize("claim", CLAIMS, ids=str)
def test_number_holds(claim):
    claim.check()


def test_no_number_is_left_out():
    assert unclaimed(PAGE, CLAIMS, SETTINGS) == []
