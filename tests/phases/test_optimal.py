"""Optima: against brute force over fine grids, the scalar search of early stopping, and counts of solves."""

import numpy as np
import pytest
import xarray as xr

from rfdsm import Losses, Problem, optimal, predict
from rfdsm.phases._descent import descend
from rfdsm.theory._stopping import optimal_ridge

PSI_N = np.geomspace(0.2, 60, 7)
WIDE = np.geomspace(1e-2, 1e3, 4001)
DRAWS = np.append(np.arange(1.0, 400), np.inf)


@pytest.mark.parametrize(
    ("field", "points", "fixed", "minimise"),
    [
        ("psi_p", WIDE, dict(ridge=0.0), "score"),
        ("psi_n", WIDE, dict(psi_n=1.0, psi_p=PSI_N), "empirical_test"),
        ("t", np.geomspace(1e-3, 5, 4001), {}, "score"),
        ("m", DRAWS, dict(psi_n=8.0, psi_p=np.geomspace(0.5, 200, 7)), "empirical_test"),
    ],
)
def test_one_field_against_brute_force(field, points, fixed, minimise):
    """Least loss on a grid of one field (first axis), and where."""
    base = dict(psi_n=PSI_N, psi_p=8.0, m=4, t=0.1, ridge=1e-3) | fixed
    found = optimal(Problem(**(base | {field: 1.0})), field, minimise)
    loss = getattr(predict(Problem(**(base | {field: points[:, None]}))), minimise)
    assert np.all(found.converged)
    assert np.all(found.minimum <= loss.min(axis=0) * (1 + 1e-12))  # never worse than any grid point
    np.testing.assert_allclose(found.minimum, loss.min(axis=0), rtol=1e-4)
    inside = found.at_bound[field] == 0
    assert np.all(np.abs(found.gradient[field][inside]) < 1e-6 * found.minimum[inside]) or field == "m"
    if field == "m":
        np.testing.assert_array_equal(found["m"], points[np.argmin(loss, axis=0)])
    np.testing.assert_allclose(getattr(found.losses, minimise), found.minimum)


def test_the_best_number_of_draws_of_random_problems():
    """Mostly 1 or infinity, sometimes a few: never worse than any integer up to 199."""
    rng = np.random.default_rng(0)
    count, draws = 300, np.append(np.arange(1.0, 200), np.inf)
    ratios, t = 10 ** rng.uniform(-1, 2.3, (2, count)), 10 ** rng.uniform(-2, 0.3, count)
    ridge = rng.uniform(-5, 0, count)
    test = predict(Problem(*ratios, draws[:, None], t, 10**ridge)).test
    found = optimal(Problem(*ratios, 1, t, 10**ridge), "m")
    np.testing.assert_array_equal(found["m"], draws[np.argmin(test, axis=0)])
    assert np.sum((found["m"] > 1) & (found["m"] < 199)) > 5
    np.testing.assert_array_equal(found.at_bound["m"], np.where(found["m"] == 1, -1, np.isinf(found["m"])))


@pytest.mark.parametrize(
    ("field", "points"),
    [("psi_p", np.geomspace(1e-2, 1e3, 801)), ("ridge", np.append(0, np.geomspace(1e-8, 1e4, 800)))],
)
def test_random_problems_have_no_better_point_on_a_fine_grid(field, points):
    rng = np.random.default_rng(1)
    count = 100
    fields = dict(psi_n=10 ** rng.uniform(-1, 2, count), psi_p=10 ** rng.uniform(-1, 2.5, count))
    fields |= dict(m=rng.choice([1, 2, 4, 16, np.inf], count), t=10 ** rng.uniform(-2, 0.3, count))
    fields |= dict(ridge=np.where(rng.random(count) < 0.3, 0, 10 ** rng.uniform(-6, 1, count)))
    least = predict(Problem(**(fields | {field: points[:, None]}))).test.min(axis=0)
    found = optimal(Problem(**(fields | {field: 1.0})), field)
    assert np.all(found.minimum <= least * (1 + 1e-9)) and np.all(found.converged)


def test_two_fields_against_brute_force():
    """Score over ridge and time, where the best lies inside; and ridge and width, which go to the widest."""
    psi_n = np.array([0.5, 4.0, 30.0])
    found = optimal(Problem(psi_n, 8.0, 4, 1.0, 1.0), ("ridge", "t"), "score", bounds={"t": (1e-2, 2)})
    ridge, t = np.geomspace(1e-6, 1e2, 81)[:, None, None], np.geomspace(1e-2, 2, 80)[:, None]
    score = predict(Problem(psi_n, 8.0, 4, t, ridge)).score.reshape(-1, 3)
    assert np.all(found.minimum <= score.min(axis=0) * (1 + 1e-12))
    np.testing.assert_allclose(found.minimum, score.min(axis=0), rtol=2e-2)
    wide = optimal(Problem(psi_n, 1.0, 4, 0.1, 1.0), ("ridge", "psi_p"), bounds={"psi_p": (0.1, 100)})
    np.testing.assert_array_equal(wide.at_bound["psi_p"], 1)
    np.testing.assert_allclose(wide["psi_p"], 100)
    alone = optimal(Problem(psi_n, 100.0, 4, 0.1, 1.0), "ridge")
    np.testing.assert_allclose(wide.minimum, alone.minimum, rtol=1e-10)
    np.testing.assert_allclose(wide["ridge"], alone["ridge"], rtol=1e-3)


def test_draws_and_ridge_together():
    found = optimal(Problem([2.0, 20.0], 7.0, 1, 0.1, 1.0), ("m", "ridge"), bounds={"m": (1, 6)})
    each = [optimal(Problem([2.0, 20.0], 7.0, m, 0.1, 1.0), "ridge").minimum for m in range(1, 7)]
    np.testing.assert_allclose(found.minimum, np.min(each, axis=0), rtol=1e-10)
    np.testing.assert_array_equal(found["m"], 1 + np.argmin(each, axis=0))


def test_the_best_ridge_is_that_of_a_scalar_search():
    problem = Problem.grid([1.0, 8.0], [2.0, 8.0, 40.0], [1, 4, np.inf], 0.1, 1.0)
    found = optimal(problem)
    ridge, least = optimal_ridge(problem, "test")
    assert found.minimum.shape == (2, 3, 3)
    np.testing.assert_allclose(found.minimum, least, rtol=1e-12)
    np.testing.assert_allclose(found["ridge"], ridge, rtol=1e-5)


def test_no_ridge_is_tried_besides():
    """Training loss only rises with the ridge: its minimum is the interpolating solution, 0, not a small ridge."""
    found = optimal(Problem([1.0, 2.0], 40.0, 4, 0.1, 1.0), "ridge", "train")
    np.testing.assert_array_equal(found["ridge"], 0)
    np.testing.assert_array_equal(found.minimum, 0)
    np.testing.assert_array_equal(found.at_bound["ridge"], -1)
    bounded = optimal(Problem([1.0, 2.0], 40.0, 4, 0.1, 1.0), "ridge", "train", bounds={"ridge": (1e-4, 1)})
    np.testing.assert_allclose(bounded["ridge"], 1e-4)
    np.testing.assert_array_equal(bounded.at_bound["ridge"], -1)


def test_exact_gradients_need_few_solves():
    """Grids of 4001 points take 4001; differences would need more than one solve per step and direction."""
    one = optimal(Problem(PSI_N, 8.0, 4, 0.1, 1.0), "ridge")
    assert one.solves <= 7 * (49 + 2 * 15)
    two = optimal(Problem(PSI_N, 8.0, 4, 0.1, 1.0), ("ridge", "t"), "score", bounds={"ridge": (1e-6, 1e2)})
    assert two.solves <= 7 * (17**2 + 4 * 40)


def test_descent_on_known_functions():
    """Rosenbrock's valley with and without a bound in the way, a corner, and a pinned variable."""
    calls = []

    def evaluate(which, x):
        calls.append(len(which))
        a, b = x[:, 0], x[:, 1]
        value = 1 + (1 - a) ** 2 + 20 * (b - a**2) ** 2
        slope = np.stack([-2 * (1 - a) - 80 * a * (b - a**2), 40 * (b - a**2)], axis=1)
        return value, slope

    start = np.array([[-1.5, 1.5], [-1.5, 1.5], [0.0, 0.0], [-1.0, 3.0]])
    low, high = np.full((4, 2), -3.0), np.array([[3.0, 3.0], [0.5, 3.0], [0.5, 0.2], [3.0, 3.0]])
    pinned = np.zeros((4, 2), bool)
    pinned[3, 1] = True
    found = descend(evaluate, start, low, high, pinned)
    assert np.all(found.converged)
    corner = np.min((1 - np.sqrt(0.2)) ** 2) if np.sqrt(0.2) < 0.5 else 0.3**2
    np.testing.assert_allclose(found.place[:2], [[1, 1], [0.5, 0.25]], atol=1e-6)
    np.testing.assert_allclose(found.value[:2], [1, 1.25], rtol=1e-12)
    assert found.value[2] <= 1 + corner + 1e-9 and found.place[2, 1] == 0.2
    assert found.place[3, 1] == 3 and abs(evaluate(np.array([3]), found.place[3:])[1][0, 0]) < 1e-5
    assert sum(calls) < 4 * 80


def test_lines_dataset_and_problem(tmp_path):
    found = optimal(Problem.grid([1.0, 8.0], [2.0, 8.0, 40.0], [1, np.inf], 0.1, [1e-3, 1e-2]), ("ridge", "psi_p"))
    assert found["ridge"].shape == found.minimum.shape == (2, 2)
    np.testing.assert_array_equal(predict(found.problem).test, found.minimum)
    found.to_dataset().to_netcdf(tmp_path / "optimum.nc", engine="scipy")
    with xr.open_dataset(tmp_path / "optimum.nc") as dataset:
        assert dataset["best_ridge"].dims == ("psi_n", "m")
        assert "ridge" not in dataset.coords
        for name in Losses.NAMES:
            np.testing.assert_array_equal(dataset[name], getattr(found.losses, name))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(over=()), r"over = \(\) is empty"),
        (dict(over="width"), "over = 'width' must be one of"),
        (dict(over=("ridge", "ridge")), "over = .* must name no field twice"),
        (dict(minimise="loss"), "minimise = 'loss' must be one of"),
        (dict(bounds={"t": (0.1, 1)}), "bounds of 't': must be of a field that is optimised"),
        (dict(bounds=(0, 1)), r"bounds = \(0, 1\) must map fields to pairs"),
        (dict(bounds={"ridge": (1, 0)}), r"bounds of ridge = \(1, 0\) must be ascending, >= 0 and finite"),
        (dict(bounds={"ridge": (-1, 1)}), r"bounds of ridge = \(-1, 1\)"),
        (dict(over="t", bounds={"t": (0, 1)}), r"bounds of t = \(0, 1\) must be ascending, > 0 and finite"),
        (dict(over="m", bounds={"m": (1.5, 3)}), r"bounds of m = \(1.5, 3\) must be ascending, integers >= 1"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        optimal(Problem(1, 1, 1, 0.1, 0.1), **arguments)
