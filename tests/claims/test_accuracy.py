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
from tests.claims.ledger import NUMBER, ROOT, Claim, page, power, recorded, unclaimed

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
    _, problem, loss, *cells = line.strip().strip("|").split("|") if line.startswith("||") else ["", *line.strip("| \n").split("|")]
    head = f"| {problem.strip()} | {loss.strip()} |"
    rest = line[len(head) :]
    return Claim(PAGE, head + re.sub(NUMBER, "{}", rest), lambda: tuple(re.findall(NUMBER, rest)))


CLAIMS = [table_line(line) for line in lines()[1:]]
SETTINGS = ("ridge 10⁻³",)


@pytest.mark.parametrize("claim", CLAIMS, ids=str)
def test_number_holds(claim):
    claim.check()


def test_no_number_is_left_out():
    assert unclaimed(PAGE, CLAIMS, SETTINGS) == []
