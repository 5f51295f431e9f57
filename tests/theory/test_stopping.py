"""Early stopping and time scales: against dense curves, and what they say about m, n and the ridge."""

import jax
import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from rfdsm import Problem, optimal_stopping, predict, training_curve
from rfdsm.theory import _paths as paths
from rfdsm.theory._stopping import optimal_ridge
from tests.theory.contours import filled
from tests.tolerances import ROUTES

PROBLEM = Problem(
    np.array([2.0, 8.0, 2.0, 8.0]), 16.0, np.array([1, 4, np.inf, np.inf]), 0.1, np.array([0, 0, 0, 1e-2])
)
DENSE = np.geomspace(1e-4, 1e6, 2000)


pytestmark = pytest.mark.usefixtures("one_contour")


@pytest.fixture(scope="module")
def found():
    return optimal_stopping(PROBLEM)


@pytest.fixture(scope="module")
def curves(found):
    """On the dense grid, and at the four times found."""
    both = training_curve(PROBLEM, [*DENSE, *found.time])
    return tuple(jax.tree.map(lambda x, part=part: x[:, part], both) for part in (slice(-4), slice(-4, None)))


@pytest.mark.slow
def test_time_is_where_the_dense_curve_is_least(found, curves):
    dense, there = curves
    least = np.argmin(dense.test, axis=1)
    spacing = DENSE[1] / DENSE[0]
    assert np.all(np.abs(np.log(found.time / DENSE[least])) <= np.log(spacing))
    assert np.all(found.loss <= dense.test.min(axis=1))
    np.testing.assert_allclose(found.loss, dense.test.min(axis=1), rtol=1e-4)
    np.testing.assert_allclose(np.diagonal(there.test), found.loss, rtol=ROUTES)
    np.testing.assert_array_equal(found.final, predict(PROBLEM).test)
    np.testing.assert_array_equal([found.ridge, found.ridge_loss], optimal_ridge(PROBLEM, "test"))


@pytest.mark.slow
def test_crossings_are_those_of_the_dense_curve(found, curves):
    dense, _ = curves

    def first(passed):
        return np.where(passed.any(axis=1), DENSE[np.argmax(passed, axis=1)], np.inf)

    goal = found.loss + 0.05 * (1 - found.loss)
    nearer = np.minimum(dense.floor, dense.test - dense.floor)
    expected = {
        "generalisation_time": first(dense.test < goal[:, None]),
        "below_floor_time": first(dense.empirical_test < dense.floor),
        "memorisation_time": first(dense.empirical_test < nearer),
    }
    spacing = DENSE[1] / DENSE[0]
    for name, values in expected.items():
        times = getattr(found, name)
        np.testing.assert_array_equal(np.isinf(times), np.isinf(values))
        late = np.isfinite(values)
        assert np.all((times[late] <= values[late]) & (times[late] >= values[late] / spacing)), name
    assert np.isinf(found.memorisation_time[0]) and np.isfinite(found.memorisation_time[2])


def test_best_ridge_is_that_of_a_scalar_search():
    ridge, least = optimal_ridge(PROBLEM, "test")
    for k in range(4):

        def loss(log_ridge, k=k):
            fields = (np.broadcast_to(getattr(PROBLEM, name), 4)[k] for name in ("psi_n", "psi_p", "m", "t"))
            return float(predict(Problem(*fields, np.exp(log_ridge))).test)

        best = minimize_scalar(loss, bounds=(-6, 6), method="bounded", options={"xatol": 1e-9})
        np.testing.assert_allclose(least[k], best.fun, rtol=ROUTES)
        np.testing.assert_allclose(np.log(ridge[k]), best.x, atol=1e-4)


@pytest.mark.slow
def test_score_is_least_at_the_same_time_and_empirical_test_at_the_end(found):
    score, memory = (optimal_stopping(PROBLEM, name) for name in ("score", "empirical_test"))
    np.testing.assert_allclose(score.time, found.time, rtol=1e-6)
    floor = predict(PROBLEM).floor
    np.testing.assert_allclose(floor + -np.expm1(-0.2) * score.loss, found.loss, rtol=ROUTES)
    assert np.isinf(memory.time[2]) and memory.loss[2] == memory.final[2]


@pytest.mark.slow
def test_a_loss_that_never_rises_is_least_at_infinity():
    """A strong ridge stops learning before overfitting begins."""
    strong = optimal_stopping(Problem(2.0, 16.0, np.array([1, np.inf]), 0.1, 200.0))
    assert np.all(np.isinf(strong.time))
    np.testing.assert_array_equal(strong.loss, strong.final)
    assert np.all(np.isfinite(strong.generalisation_time))
    assert np.all(np.isinf(strong.memorisation_time))


@pytest.mark.slow
def test_early_stopping_beats_every_ridge_at_many_draws_but_not_at_one():
    """Both filters are functions of U; which is nearer to the best one depends on m."""
    result = optimal_stopping(Problem(4.0, 64.0, np.array([1, np.inf]), 0.1, 0.0))
    assert result.loss[0] > result.ridge_loss[0]
    assert result.loss[1] < result.ridge_loss[1] - 0.004


def slopes(values, psi_n):
    return np.diff(np.log(values)) / np.diff(np.log(psi_n))


@pytest.mark.slow
def test_memorisation_time_grows_like_the_number_of_samples_and_generalisation_time_does_not():
    psi_n = np.array([64.0, 128.0, 256.0])
    result = optimal_stopping(Problem(psi_n, 2.0**14, np.inf, 0.1, 0.0))
    np.testing.assert_allclose(slopes(result.memorisation_time, psi_n), 1, atol=0.03)
    assert np.all(np.abs(slopes(result.generalisation_time, psi_n)) < 0.035)
    # Falling below the floor is the beginning of overfitting, not memorisation: it hardly depends on n.
    assert np.all(slopes(result.below_floor_time, psi_n) < 0.25)


@pytest.mark.slow
def test_few_draws_delay_memorisation_or_prevent_it():
    """At t = 0.1: never for m = 1 and 2; from m = 4 on, at less than three times the time of m = inf."""
    m = np.array([1, 2, 4, 16, np.inf])
    result = optimal_stopping(Problem(32.0, 2.0**14, m, 0.1, 0.0))
    assert np.all(np.isinf(result.memorisation_time[:2]))
    late = result.memorisation_time[2:]
    assert np.all(np.diff(late) < 0)
    np.testing.assert_allclose(late / late[-1], [2.903, 1.173, 1], rtol=1e-3)


@pytest.mark.slow
def test_a_curve_that_is_not_accurate_is_flagged(monkeypatch):
    monkeypatch.setattr(paths, "contour", lambda ratio, count: filled(ratio, 24, count))
    result = optimal_stopping(Problem(2.0, 8.0, np.inf, 0.1, 0.0))
    assert not result.converged
    for name in ("time", "loss", "generalisation_time", "memorisation_time"):
        assert np.isnan(getattr(result, name))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(minimise="train"), "minimise = 'train' must be one of test, score, empirical_test"),
        (dict(tolerance=0.0), "tolerance = 0.0 must be one number between 0 and 1"),
        (dict(tolerance=1.5), "tolerance = 1.5 must be one number between 0 and 1"),
        (dict(tolerance="small"), "tolerance = 'small' must be a number"),
        (dict(initial=np.inf), "initial = inf must be one finite variance >= 0"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        optimal_stopping(PROBLEM, **arguments)


@pytest.mark.slow
def test_shape_and_options_of_a_grid():
    grid = Problem.grid([1.0, 4.0], 4.0, [2, np.inf], 0.1, 0.0)
    wide, narrow = optimal_stopping(grid, tolerance=0.2), optimal_stopping(grid, tolerance=0.01)
    assert wide.time.shape == wide.converged.shape == wide.ridge.shape == (2, 2)
    assert np.all(wide.generalisation_time < narrow.generalisation_time)
    assert np.all(narrow.generalisation_time < narrow.time)
