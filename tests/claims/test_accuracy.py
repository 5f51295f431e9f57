"""docs/accuracy.md: its table is predicted and simulated again where that is cheap."""

import pytest

from benchmarks.pages import record
from rfdsm import Problem, compare, predict


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
