"""Boundaries: the published crossover, dense grids, an independent solution, close pairs, simulation on both sides."""

import jax
import mpmath as mp
import numpy as np
import pytest
import scipy.optimize
import xarray as xr

from rfdsm import Problem, activations, boundary, predict
from rfdsm._problem import FIELDS
from rfdsm.phases import SIGNED, _fields as fields, peak
from rfdsm.phases._boundaries import boundaries
from rfdsm.phases._response import NAMES, Family
from rfdsm.theory.limits import infinite_draws
from tests.theory.oracle import Oracle
from tests.tolerances import ROUTES

pytestmark = pytest.mark.filterwarnings("ignore:.*does not vanish:RuntimeWarning")
CUBIC = activations.polynomial([0.1, 1.0, 0.3, 0.1])
"""In a few dimensions the exact moments of other activations take hundreds of terms, and long to compile."""
TIMES = np.array([0.3, 0.1, 0.01, 0.001])
CROSSOVER = np.array([12.09, 2.749, 1.093, 0.950])
"""p/n at which memorisation begins for tanh, Sigma = I, ridge 1e-6, psi_n = 64, m = infinity."""


def signed(problem):
    """The fields as they are defined, from the losses of predict."""
    losses = predict(problem)
    return {
        "memorisation": np.minimum(losses.floor, losses.test - losses.floor) - losses.empirical_test,
        "noise_fitting": losses.floor - losses.train,
        "harmful": losses.test - 1,
        "point_fitting": losses.floor - losses.empirical_test,
    }


def test_memorisation_begins_where_published():
    published = boundary(Problem(64.0, 1.0, np.inf, TIMES, 1e-6), "memorisation")
    assert published.roots.shape == (4, 1) and np.all(published.rising == 1) and np.all(published.converged)
    np.testing.assert_allclose(published.roots[:, 0] / 64, CROSSOVER, rtol=4e-4)


def test_it_tends_to_p_equal_n_as_the_time_falls():
    """Many samples, no ridge: the root of the closed form for psi_n = infinity, and 1 - p/n = h^(1/3) in the end."""
    t = np.array([1e-2, 1e-4, 1e-6, 1e-8])
    found = boundary(Problem(1e4, 1.0, np.inf, t, 0.0), "memorisation", bounds=(1e3, 1e5))
    ratio = found.roots[:, 0] / 1e4

    def closed_form(r, t):
        losses = infinite_draws(Problem(1.0, r, np.inf, t, 0.0))
        return min(losses.floor, losses.test - losses.floor) - losses.empirical_test

    expected = [scipy.optimize.brentq(closed_form, 0.5, 2, args=(time,), xtol=1e-13) for time in t]
    np.testing.assert_allclose(ratio, expected, rtol=2e-3)
    np.testing.assert_allclose((1 - ratio[2:]) / np.cbrt(2 * t[2:]), 1, atol=0.15)


def gauss_hermite_moments(t):
    """L, beta_psi, beta_a of tanh at Sigma = I, by a product rule, accurate to 1e-9 or so."""
    x, w = np.polynomial.hermite_e.hermegauss(180)
    w = w / w.sum()
    a2, h = np.exp(-2 * t), -np.expm1(-2 * t)
    mu1 = np.sum(w / np.cosh(x * np.sqrt(a2 + h)) ** 2)
    inner = np.tanh(np.sqrt(a2) * x[:, None] + np.sqrt(h) * x) @ w
    shared, whole = np.sum(w * inner**2), np.sum(w * np.tanh(np.sqrt(a2 + h) * x) ** 2)
    v0 = shared - mu1**2 * a2
    return mu1**2, v0, whole - mu1**2 * (a2 + h) - v0


@pytest.mark.parametrize(("k", "field"), [(1, "memorisation"), (2, "noise_fitting")])
def test_the_textbook_equations_have_the_same_root(k, field):
    """Bisection on the equations at 60 digits, with moments by another rule."""
    root = float(boundary(Problem(64, 1, np.inf, TIMES[k], 1e-6), field).roots[0])
    moments = gauss_hermite_moments(TIMES[k])

    def value(psi_p):
        found = Oracle(64, psi_p, np.inf, TIMES[k], 1e-6, *moments, [1], [1]).losses()
        if field == "memorisation":
            return min(found["floor"], found["test"] - found["floor"]) - found["empirical_test"]
        return found["floor"] - found["train"]

    low, high = mp.mpf(root) * (1 - mp.mpf(10) ** -7), mp.mpf(root) * (1 + mp.mpf(10) ** -7)
    assert value(low) < 0 < value(high)


FAMILIES = {
    "psi_p": Problem.grid([0.15, 0.3, 2.0, 30.0], 1.0, [1, 4, np.inf], 0.1, [0.0, 1e-3]),
    "psi_n": Problem.grid(1.0, [0.5, 3.5, 40.0], [1, 4, np.inf], [0.1, 0.5], 1e-3),
    "t": Problem.grid([0.5, 8.0], [0.5, 6.0, 100.0], [1, 4, np.inf], 1.0, 1e-3),
    "ridge": Problem.grid([0.5, 8.0], [0.5, 6.0, 100.0], [1, 4, np.inf], 0.1, 1.0),
}
RANGES = {"psi_p": (1e-2, 1e3), "psi_n": (1e-2, 1e3), "t": (1e-3, 3.0), "ridge": (1e-8, 1e2)}
CLEAR = {("psi_p", "memorisation"), ("psi_n", "harmful"), ("t", "noise_fitting"), ("ridge", "harmful")}


@pytest.mark.parametrize("along", FAMILIES)
def test_every_sign_change_of_a_dense_grid_is_a_root_and_no_other(along):
    """To ten digits: 1e-10 to both sides predict's own losses have other signs, where rounding leaves these clear."""
    family, (low, high) = FAMILIES[along], RANGES[along]
    curves = boundaries(family, along, bounds=(low, high))
    lines, points = curves["harmful"].lines, np.geomspace(low, high, 1001 if along == "t" else 3001)
    values = {name: getattr(lines, name)[..., None] for name in FIELDS}
    dense = signed(Problem(**(values | {along: points})))
    for field, found in curves.items():
        assert lines.shape == found.roots.shape[:-1] == found.found.shape
        rows = np.broadcast_to(dense[field], (*lines.shape, points.size)).reshape(-1, points.size)
        table = [each.reshape(len(rows), -1) for each in (found.roots, found.rising)]
        for row, roots, rising in zip(rows, *table, strict=True):
            at = np.flatnonzero((row[1:] > 0) != (row[:-1] > 0))
            real = roots[~np.isnan(roots)]
            assert np.all(np.diff(real) > 0) and np.all(rising[real.size :] == 0)
            assert real.size == at.size
            assert np.all((points[at] <= real) & (real <= points[at + 1]))
            np.testing.assert_array_equal(rising[: real.size], np.where(row[at + 1] > 0, 1, -1))
        real = ~np.isnan(found.roots)
        assert np.sum(real) >= 4
        np.testing.assert_array_equal(found.converged, real)
        assert np.all(found.residual[real] < 1e-13)
        if (along, field) in CLEAR:
            places = np.nan_to_num(found.roots, nan=1.0)
            left, right = (signed(Problem(**(values | {along: places * x})))[field] for x in (1 - 1e-10, 1 + 1e-10))
            clear = real & (np.abs(found.slope) > 1e-3)
            np.testing.assert_array_equal(np.sign(right - left)[clear], found.rising[clear])
            assert np.sum(clear) >= 4 and np.all((left * right)[clear] < 0)


def test_close_pairs_are_found_within_one_cell():
    """Along psi_n memorisation begins and ends again; the two roots meet where psi_p is least."""
    problem = Problem(1.0, [3.4, 3.5], 4, 0.1, 1e-3)
    low, high = 3.4, 3.5
    for _ in range(45):
        middle = (low + high) / 2
        values = signed(Problem(np.linspace(0.2, 0.4, 4001), middle, 4, 0.1, 1e-3))["memorisation"]
        low, high = (low, middle) if np.max(values) > 0 else (middle, high)
    for excess in (1e-2, 1e-4, 1e-6):
        roots = boundary(Problem(1.0, high * (1 + excess), 4, 0.1, 1e-3), "memorisation", "psi_n", per_decade=6).roots
        assert roots.shape == (2,) and 0 < roots[1] / roots[0] - 1 < 5 * excess**0.5
    with pytest.warns(RuntimeWarning, match=r"^memorisation does not vanish for psi_n from 0.001 to 1e\+05 on 1 of 2"):
        found = boundary(problem, "memorisation", "psi_n")
    assert found.roots.shape == (2, 2)
    np.testing.assert_array_equal(found.rising, [[0, 0], [1, -1]])


def test_the_pole_without_ridge_is_no_root_and_the_peak():
    problem = Problem([0.5, 2.0, 8.0], 1.0, 4, 0.1, 0.0)
    for found in boundaries(problem, bounds=(2.0, 32.0)).values():  # ends at p = nm exactly
        assert np.all(np.isnan(found.roots) | (np.abs(found.roots / (4 * problem.psi_n[:, None]) - 1) > 1e-3))
    crest = peak(problem)
    np.testing.assert_allclose(crest.roots[:, 0], 4 * problem.psi_n, rtol=1e-12)
    assert crest.roots.shape == (3, 1)


def test_the_peak_is_the_largest_of_a_dense_grid():
    psi_n = np.array([0.5, 2.0, 8.0])
    crest = peak(Problem(psi_n, 1.0, 4, 0.1, 1e-3), bounds=(0.1, 1e3))
    points = np.geomspace(0.5, 100, 10001)
    test = predict(Problem(psi_n[:, None], points, 4, 0.1, 1e-3)).test
    best = points[np.argmax(test, axis=1)]
    np.testing.assert_allclose(crest.roots[:, 0], best, rtol=1e-3)
    above = predict(Problem(psi_n, crest.roots[:, 0], 4, 0.1, 1e-3)).test
    assert np.all(above >= np.max(test, axis=1))
    np.testing.assert_allclose(crest.residual[:, 0], above - 1, rtol=ROUTES)
    assert np.all(np.isnan(peak(Problem(np.inf, 1.0, 4, 0.1, 1e-3)).roots))


def test_limits_are_ordinary_lines():
    found = boundary(Problem.grid([8.0, np.inf], 1.0, [4, np.inf], 0.1, 0.0), "noise_fitting", bounds=(0.1, 1e3))
    assert found.roots.shape == (2, 2, 1)
    assert np.all(np.isfinite(found.roots[0])) and np.all(np.isnan(found.roots[1]))  # train = test > floor


def test_derivatives_are_those_of_the_values_and_counted():
    """Against differences of eighth order, at places with and without peaks near by."""
    free = ("psi_n", "psi_p", "m", "t", "ridge")
    family = Family(Problem(1.0, 1.0, 1, 0.1, 1.0), free)
    fields_of = np.array([[0.5, 3.0, 4, 0.1, 1e-3], [8.0, 30.0, 3, 0.4, 1e-2], [4.0, 15.0, 4, 0.1, 1e-3]])
    place = np.log(fields_of)
    place[:, 2] = 1 / fields_of[:, 2]
    values, slopes = family(np.zeros(3, int), place)
    assert family.solves == 3
    losses = predict(Problem(*fields_of.T))
    np.testing.assert_allclose(values, [getattr(losses, name) for name in NAMES], rtol=ROUTES)
    weights = np.array([4 / 5, -1 / 5, 4 / 105, -1 / 280])
    for k in range(5):
        step = np.zeros(5)
        step[k] = 1e-2 if k != 2 else 2e-3
        difference = sum(
            weight * (family(np.zeros(3, int), place + n * step)[0] - family(np.zeros(3, int), place - n * step)[0])
            for n, weight in enumerate(weights, start=1)
        )
        scale = np.abs(values) * 1e-9
        np.testing.assert_allclose(difference / step[k] / scale, slopes[:, k] / scale, rtol=2e-8, atol=100)


def test_newton_needs_few_solves():
    problem = Problem(np.geomspace(0.5, 50, 40), 1.0, 4, 0.1, 1e-3)
    found = boundary(problem, "memorisation", bounds=(1e-1, 1e3))
    grid = 40 * (4 * 24 + 1)
    assert grid < found.solves <= grid + 8 * 40


def test_lines_drop_the_axis_that_only_the_field_spans(tmp_path):
    grid = Problem.grid([8.0, 16.0], [0.1, 1.0, 10.0], [4, np.inf], 0.1, 1e-3)
    found = boundary(grid, "noise_fitting")
    assert found.roots.shape == (2, 2, 1)
    assert boundary(Problem(8.0, [0.1, 1.0], 4, 0.1, 1e-3), "noise_fitting").roots.shape == (1,)
    zipped = boundary(Problem([8.0, 16.0], [0.1, 1.0], 4, 0.1, 1e-3), "noise_fitting")
    np.testing.assert_allclose(zipped.roots, found.roots[:, 0], rtol=1e-12)
    found.to_dataset().to_netcdf(tmp_path / "boundary.nc", engine="scipy")
    with xr.open_dataset(tmp_path / "boundary.nc") as read:
        assert read["psi_p_at_boundary"].dims == ("psi_n", "m", "root") and "psi_p" not in read.coords
        np.testing.assert_array_equal(read["psi_p_at_boundary"], found.roots)
        assert '"field": "noise_fitting"' in read.attrs["configuration"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(field="memorization"), "field = 'memorization' must be one of memorisation"),
        (dict(along="m"), "along = 'm' must be one of"),
        (dict(bounds=(2, 1)), r"bounds of psi_p = \(2, 1\)"),
        (dict(bounds=(0, 1)), r"bounds of psi_p = \(0, 1\)"),
        (dict(bounds=(1, np.inf)), r"bounds of psi_p = \(1, inf\)"),
        (dict(bounds=(1, np.nan)), r"bounds of psi_p = \(1, nan\)"),
        (dict(bounds=5), "bounds of psi_p = 5 must be two numbers"),
        (dict(per_decade=1), "per_decade = 1 must be an integer >= 2"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        boundary(Problem(1, 1, 1, 0.1, 0.1), **({"field": "harmful"} | arguments))
    with pytest.raises(ValueError, match="traced"):
        jax.jit(lambda x: boundary(Problem(x, 1, 1, 0.1, 0.1), "harmful").roots)(1.0)


def test_fields_without_a_known_score_use_the_difference():
    losses = dict(train=0.5, empirical_test=0.6, test=0.9, score=np.nan, floor=0.8, null=1.0)
    named = fields.with_excess(losses, 1.0)
    assert fields.value("memorisation", named) == pytest.approx(0.1 - 0.6)


def test_all_fields_at_once_are_each_by_itself():
    """Roots to the last bit, in a fraction of the fixed points."""
    lines = Problem(psi_n=[[0.5], [8.0], [64.0]], psi_p=1.0, m=[1, 4], t=0.1, ridge=1e-4)
    together = boundaries(lines, "psi_p", bounds=(0.05, 500))
    alone = {field: boundary(lines, field, "psi_p", bounds=(0.05, 500)) for field in SIGNED}
    for field, found in alone.items():
        for name in ("roots", "rising", "slope", "residual"):
            np.testing.assert_array_equal(getattr(together[field], name), getattr(found, name))
        assert np.any(found.found)
    assert together["harmful"].solves < 0.6 * sum(found.solves for found in alone.values())
