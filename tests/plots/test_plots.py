"""Pictures, judged by the data of their artists: what is drawn, where, in which colour and under which name."""

import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from rfdsm import Comparison, Losses, Problem, plots, predict
from rfdsm.losses import Run
from tests.tolerances import QUADRATURE

INFINITY = r"$m$ = $\infty$"
ALONG_P = Problem.grid(2.0, [0.25, 1.0, 4.0, 16.0], [1, 4, np.inf], 0.1, 1e-3)


def made_up(problem, dimensions=(16, 32), names=Losses.NAMES):
    """Simulations of four trials scattered about theory, the finite-size bias included."""
    limit = predict(problem)
    rng = np.random.default_rng(0)
    theory = np.stack([np.stack([np.asarray(getattr(limit, name))] * len(dimensions)) for name in names])
    noise = rng.uniform(0.01, 0.05, (*theory.shape[:2], 4, *problem.shape))
    return Comparison(
        problem=problem,
        dimensions=dimensions,
        names=names,
        limit=limit,
        theory=theory,
        simulation=theory[:, :, None] + noise,
        runs=tuple(Run(*[np.full(problem.shape, d)] * 2, d, np.zeros((4, 2), np.uint32)) for d in dimensions),
        settings={"trials": 4, "key": "0", "data": None},
    )


def curves(axis):
    """Theory by its legend text."""
    found = {}
    for line in axis.lines:
        if line.get_linestyle() == "-" and not line.get_label().startswith("_"):
            assert line.get_label() not in found
            found[line.get_label()] = line
    return found


def horizontal(axis):
    return [float(line.get_ydata()[0]) for line in axis.lines if line.get_transform() == axis.get_yaxis_transform()]


def vertical(axis):
    """Position, style and colour of lines across the whole height."""
    lines = [line for line in axis.lines if line.get_transform() == axis.get_xaxis_transform()]
    return sorted((float(line.get_xdata()[0]), line.get_linestyle(), to_rgba(line.get_color())) for line in lines)


def legend(axis):
    return [text.get_text() for text in axis.get_legend().get_texts()]


@pytest.fixture(scope="module")
def comparison():
    return made_up(ALONG_P)


@pytest.fixture(scope="module")
def axes(comparison):
    return comparison.plot()


def test_makes_a_panel_for_each_loss(axes):
    assert axes.shape == (4,)
    assert all(isinstance(axis, Axes) for axis in axes)
    titles = ["training loss", "training points, fresh noise", "test loss", "score error"]
    assert [axis.get_title() for axis in axes] == titles
    assert [axis.get_xscale() for axis in axes] == ["log"] * 4
    assert [axis.get_yscale() for axis in axes] == ["linear"] * 3 + ["log"]
    assert all("per coordinate" in axis.get_ylabel() for axis in axes)
    assert [bool(axis.get_xlabel()) for axis in axes] == [False, False, True, True]
    assert r"\psi_p = p/d" in axes[-1].get_xlabel()


def test_draws_into_the_axes_it_is_given(comparison, axes):
    mosaic = Figure().subplot_mosaic("ABB;CCD")
    given = [mosaic["D"], Figure().subplots(), mosaic["A"], Figure().subplots(2, 2)[1, 0]]
    drawn = comparison.plot(given)
    assert all(mine is theirs for mine, theirs in zip(given, drawn, strict=True))
    for mine, reference in zip(given, axes, strict=True):
        assert mine.get_title() == reference.get_title()
        assert len(mine.lines) == len(reference.lines)
        assert len(mine.containers) == len(reference.containers)
    assert not mosaic["B"].lines


@pytest.mark.parametrize("count", [1, 5])
def test_refuses_another_number_of_axes(comparison, count):
    given = Figure().subplots(1, count)
    message = rf"^axes: {count} given, must be 4, one for each of train, empirical_test, test, score$"
    with pytest.raises(ValueError, match=message):
        comparison.plot(given)
    assert not any(axis.lines for axis in np.atleast_1d(given))


def test_one_curve_for_each_m_through_the_values_of_predict(comparison, axes):
    for axis, name in zip(axes, Losses.NAMES, strict=True):
        lines = curves(axis)
        assert list(lines) == ["$m$ = 1", "$m$ = 4", INFINITY]
        for k, line in enumerate(lines.values()):
            x, y = line.get_data()
            assert x.size > 200
            assert (x[0], x[-1]) == pytest.approx((0.25, 16.0), rel=QUADRATURE)
            assert np.ptp(np.diff(np.log(x))) < 1e-9
            for i, psi_p in enumerate(ALONG_P.psi_p.ravel()):  # abscissae of the simulation lie on the fine grid
                nearest = np.argmin(np.abs(x - psi_p))
                assert x[nearest] == pytest.approx(psi_p, rel=QUADRATURE)
                assert y[nearest] == pytest.approx(getattr(comparison.limit, name)[i, k], rel=QUADRATURE)


def test_the_floor_is_drawn_under_the_test_losses(comparison, axes):
    floor = comparison.limit.floor.flat[0]
    np.testing.assert_allclose(floor, np.exp(-0.2), rtol=1e-12)
    assert horizontal(axes[0]) == horizontal(axes[3]) == []
    for axis in axes[1:3]:
        assert horizontal(axis) == pytest.approx([floor], rel=1e-11)
        assert "floor (true score)" in [text.get_text() for text in axis.texts]


def test_a_floor_that_varies_is_a_curve():
    times = [0.1, 0.2, 0.4]
    drawn = made_up(Problem.grid(1.0, 1.0, [1, 2], times, 1e-2)).plot()
    for axis in drawn[1:3]:
        assert horizontal(axis) == []
        dashed = [line for line in axis.lines if line.get_linestyle() == "--"]
        assert len(dashed) == 1
        x, y = dashed[0].get_data()
        assert (x[0], x[-1]) == pytest.approx((0.1, 0.4))
        np.testing.assert_allclose(y, np.exp(-2 * x), rtol=1e-11)


def test_thresholds_along_psi_p(axes):
    for axis in axes:
        (n, n_style, grey), (nm, nm_style, colour) = vertical(axis)
        assert (n, nm) == (2.0, 8.0)
        assert n_style != nm_style
        assert colour == to_rgba(curves(axis)["$m$ = 4"].get_color())
        assert grey[0] == grey[1] == grey[2]
        labels = {text.get_text(): text.xy[0] for text in axis.texts if text.get_text().startswith("$p")}
        assert labels == {"$p = n$": 2.0, "$p = nm$": 8.0}


def test_points_and_error_bars_are_the_simulation(comparison, axes):
    for loss, axis in enumerate(axes):
        containers = iter(axis.containers)
        for k, line in enumerate(curves(axis).values()):
            for d in range(2):
                points, _, (bars,) = next(containers).lines
                mean, error = comparison.mean[loss, d, :, k], comparison.standard_error[loss, d, :, k]
                np.testing.assert_array_equal(points.get_xdata(), [0.25, 1, 4, 16])
                np.testing.assert_array_equal(points.get_ydata(), mean)
                ends = np.array(bars.get_segments(), dtype=float)
                np.testing.assert_array_equal(ends[:, :, 0].T, [[0.25, 1, 4, 16]] * 2)
                np.testing.assert_allclose(ends[:, :, 1], np.stack([mean - error, mean + error], axis=1), rtol=1e-12)
                assert to_rgba(points.get_color()) == to_rgba(line.get_color())
                assert points.get_linestyle() == "None"
            points, _, (bars,) = next(containers).lines
            fit = comparison.extrapolation
            value, error = comparison.limits[loss, :, k] + fit.intercept[loss, :, k], fit.error[loss, :, k]
            np.testing.assert_allclose(points.get_ydata(), value, rtol=1e-12)
            ends = np.array(bars.get_segments(), dtype=float)
            np.testing.assert_allclose(ends[:, :, 1], np.stack([value - error, value + error], axis=1), rtol=1e-12)
            assert to_rgba(points.get_color()) == to_rgba(line.get_color())
        assert next(containers, None) is None


def test_legend_names_curves_dimensions_and_what_is_fixed(axes):
    simulated = ["simulation, $d = 16$", "simulation, $d = 32$", r"extrapolated to $d = \infty$"]
    assert legend(axes[0]) == ["$m$ = 1", "$m$ = 4", INFINITY, *simulated]
    assert axes[0].get_legend().get_title().get_text() == r"$\psi_n$ = 2, $t$ = 0.1, $\lambda$ = 0.001"
    assert all(axis.get_legend() is None for axis in axes[1:])


def test_a_single_problem():
    comparison = made_up(Problem(1.0, 2.0, np.inf, 0.1, 1e-2), dimensions=(16,))
    drawn = comparison.plot()
    assert legend(drawn[0]) == ["theory", "simulation, $d = 16$"]
    for axis, name in zip(drawn, Losses.NAMES, strict=True):
        (line,) = curves(axis).values()
        assert line.get_marker() not in ("None", "", None)  # a line of one point would not be seen
        np.testing.assert_array_equal(np.ravel(line.get_data()), [2.0, getattr(comparison.limit, name)])
        (container,) = axis.containers
        np.testing.assert_array_equal(container.lines[0].get_xdata(), [2.0])
    assert INFINITY in drawn[0].get_legend().get_title().get_text()


def test_along_m_theory_stays_at_whole_numbers():
    problem = Problem.grid(1.0, 1.0, [1, 4, 9], 0.1, 1e-2)
    (line,) = curves(made_up(problem).plot()[0]).values()
    np.testing.assert_array_equal(line.get_xdata(), np.arange(1, 10))


def test_networks_against_their_numbers():
    values = {name: (("width", "m", "network", "step"), np.arange(12.0).reshape(2, 2, 3, 1)) for name in Losses.NAMES}
    theory = {f"theory_{name}": (("fine", "m"), np.full((4, 2), 0.4)) for name in (*Losses.NAMES, "floor")}
    numbers = {"parameters": ("width", [10, 40]), "theory_parameters": ("fine", np.geomspace(10, 40, 4))}
    drawn = plots.networks(xr.Dataset(values | theory | numbers, {"m": [1.0, np.inf]}))
    for axis in drawn:
        np.testing.assert_array_equal(axis.containers[1].lines[0].get_xydata(), [[10, 4], [40, 10]])
    assert legend(drawn[0])[-2:] == ["$m = 1$", r"$m = \infty$"]


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        (Problem(1, 1, 1, 0.1, 0.1), "psi_p"),
        (Problem.grid([1, 2, 3], [1, 2], 1, 0.1, 0.1), "psi_n"),
        (Problem.grid(1, 1, [1, 2], [0.1, 0.2], 0.1), "t"),
        (Problem.grid(1, 1, [1, 2], 0.1, [0.1, 0.2]), "ridge"),
        (Problem.grid(1, 1, [1, 2, 4], 0.1, [0.1, 0.2]), "m"),
        (Problem.grid(1, 1, [1, 2, np.inf], 0.1, [0.1, 0.2]), "ridge"),
        (Problem([1, 2], [3, 4], 1, 0.1, 0.1), "psi_p"),
    ],
)
def test_abscissa_is_the_longest_axis(problem, expected):
    assert plots.abscissa(made_up(problem).to_dataset()) == expected
