"""Large grids: two passes in chunks give what one pass gives, in bounded memory, at any broadcast layout."""

import tracemalloc

import numpy as np
import pytest

from rfdsm import Losses, Problem, predict
from rfdsm.theory._fixed_point import MAX_STEPS
from rfdsm.theory._predict import CHUNK, FEW_STEPS, SMALL_CHUNK, predict_in_chunks

NAMES = (*Losses.NAMES, "objective", "floor", "converged", "residual", "steps")


def hard_and_easy(count: int) -> Problem:
    """Every fourth cell next to p = nm at a tiny or vanishing ridge, which takes many steps."""
    rng = np.random.default_rng(0)
    psi_n, psi_p = 10 ** rng.uniform(-1, 1, (2, count))
    hard = np.arange(count) % 4 == 0
    psi_p = np.where(hard, 3 * psi_n * (1 + rng.choice([-1e-6, 0, 1e-6], count)), psi_p)
    ridge = np.where(hard, rng.choice([0, 1e-13], count), 10 ** rng.uniform(-3, 0, count))
    return Problem(psi_n, psi_p, 3, 0.3, ridge)


@pytest.mark.slow
def test_second_pass_finishes_what_the_first_leaves():
    """Same bits as in one pass, and as alone, where other code solves them, the same numbers to rounding."""
    problem = hard_and_easy(2 * CHUNK + 100)
    losses = predict(problem)
    assert np.all(losses.converged)
    assert np.sum(losses.steps > FEW_STEPS) > CHUNK // 10 and np.max(losses.steps) < MAX_STEPS
    some = np.concatenate([np.arange(SMALL_CHUNK // 2), np.arange(2 * CHUNK - 100, 2 * CHUNK + 100)])
    fields = Problem(problem.psi_n[some], problem.psi_p[some], 3, 0.3, problem.ridge[some])
    alone, among = predict(fields), predict_in_chunks(fields, CHUNK)
    hard = some % 4 == 0
    for name in NAMES:
        large, small = getattr(losses, name)[some], getattr(alone, name)
        np.testing.assert_array_equal(large, getattr(among, name), err_msg=name)  # neither pass nor neighbours show
        if name not in ("residual", "steps"):  # small grids are solved by other code
            np.testing.assert_allclose(large[~hard], small[~hard], 1e-14, err_msg=name)
            np.testing.assert_allclose(large[hard], small[hard], 1e-8, err_msg=name)


@pytest.mark.parametrize("layout", ["scalars", "rows", "columns", "full"])
def test_layout_of_the_fields_does_not_matter(layout):
    """Broadcast fields are read in place; the same grid with all fields written out gives the same numbers."""
    psi_p, ridge = np.geomspace(0.1, 50, 150)[:, None], np.geomspace(1e-6, 1, 70)
    problem = {
        "scalars": Problem(2.0, psi_p, 3, 0.2, ridge),
        "rows": Problem(2.0, psi_p, 3, np.full(70, 0.2), ridge),
        "columns": Problem(np.full((150, 1), 2.0), psi_p, 3, 0.2, ridge),
        "full": Problem(2.0, psi_p + 0 * ridge, 3, 0.2, 0 * psi_p + ridge),
    }[layout]
    assert problem.shape == (150, 70) and CHUNK < 150 * 70
    losses = predict(problem)
    cell = predict(Problem(2.0, psi_p[140, 0], 3, 0.2, ridge[3]))
    for name in set(NAMES) - {"residual"}:
        np.testing.assert_allclose(getattr(losses, name)[140, 3], getattr(cell, name), 1e-14, err_msg=name)


@pytest.mark.slow
def test_memory_is_that_of_the_results():
    """65 bytes per cell, whatever the fields: 10^8 cells fit where their results fit."""
    problem = Problem.grid(
        np.geomspace(0.1, 10, 100), np.geomspace(0.1, 10, 100), [1, 4], 0.2, np.geomspace(1e-3, 1, 50)
    )
    predict(problem)
    tracemalloc.start()
    losses = predict(problem)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert losses.test.size == 1_000_000
    assert peak < 65 * losses.test.size * 1.3 + 2**24
