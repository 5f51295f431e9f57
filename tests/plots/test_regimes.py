"""Maps, theory curves and histograms, judged by the data of their artists. Most numbers are made up."""

import io

import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import LogNorm, to_rgba
from matplotlib.figure import Figure

from rfdsm import Problem, plots, predict
from rfdsm.datasets import predictions
from rfdsm.linear.plots import probability
from rfdsm.plots._learning import SCALES
from rfdsm.plots._regimes import LINES
from tests.plots.test_plots import ALONG_P, horizontal, made_up, vertical


def diagram(**sizes):
    """A plane in which memorisation begins at psi_p = 4 psi_n and ends beyond 20, noise-fitting at psi_n."""
    psi_n, psi_p = np.geomspace(0.1, 10, 21), np.geomspace(0.1, 100, 31)
    x, y = psi_n[:, None], psi_p
    codes = np.where((y > 4 * x) & (y < 20), 2, np.where(y > x, 1, 0)).astype(np.int8)
    over, roots = ("psi_n", "psi_p"), ("psi_n", "root_a")
    ends = np.where(4 * psi_n < 20, 20, np.nan)
    begins = np.where(4 * psi_n < 20, 4 * psi_n, np.nan)
    harmful = np.where(psi_n > 3, np.nan, 2 * psi_n)
    dataset = xr.Dataset(
        {
            "regime": (over, codes),
            "is_harmful": (over, (y > 2 * x).astype(np.int8)),
            "test": (over, 1 + np.log(y / x) ** 2),
            "memorisation": (over, np.log(y / x)),
            "psi_p_at_memorisation": (roots, np.stack([begins, ends], axis=1)),
            "psi_p_at_noise_fitting": (("psi_n", "root_b"), psi_n[:, None]),
            "psi_p_at_point_fitting": (("psi_n", "root_a"), np.stack([begins, 30 + 0 * psi_n], axis=1)),
            "psi_p_at_harmful": (("psi_n", "root_b"), harmful[:, None]),
            "psi_n_at_harmful": (("psi_p", "root_c"), (psi_p / 2)[:, None]),
            "psi_p_at_test_peak": (("psi_n", "root_b"), 3 * psi_n[:, None]),
            "psi_p_at_p_n": ("psi_n", psi_n),
            "psi_p_at_p_nm": ("psi_n", 4 * psi_n),
            "psi_n_at_one_draw": ("psi_n", np.full(21, 0.25)),
        },
        coords={"psi_n": psi_n, "psi_p": psi_p, "m": 4.0, "t": 0.1, "ridge": 1e-3},
    )
    return dataset.expand_dims(sizes)


def drawn(axis, name):
    """All points drawn in the look of a curve, sorted by abscissa."""
    label = LINES[name][0]
    points = np.concatenate([np.asarray(line.get_xydata()) for line in axis.lines if line.get_label() == label])
    points = points[np.isfinite(points).all(axis=1)]
    return points[np.lexsort((points[:, 1], points[:, 0]))]


@pytest.fixture(scope="module")
def axis():
    return plots.phase_diagram(diagram())


def test_axes_are_logarithmic_and_named(axis):
    assert (axis.get_xscale(), axis.get_yscale()) == ("log", "log")
    assert r"\psi_n = n/d" in axis.get_xlabel() and r"\psi_p = p/d" in axis.get_ylabel()
    assert axis.get_xlim() == pytest.approx((0.1, 10)) and axis.get_ylim() == pytest.approx((0.1, 100))
    assert axis.get_title() == r"$m$ = 4, $t$ = 0.1, $\lambda$ = 0.001"
    assert axis.figure.get_figwidth() == 3.4  # one printed column


def test_areas_have_the_colours_of_their_regimes(axis):
    mesh = next(part for part in axis.collections if part.get_array() is not None and part.get_array().size == 21 * 31)
    assert mesh.get_rasterized()
    codes = diagram()["regime"].transpose("psi_p", "psi_n").to_numpy().ravel()
    colours = mesh.to_rgba(mesh.get_array().ravel())
    for code, name in enumerate(plots.REGIMES):
        np.testing.assert_allclose(colours[codes == code] - to_rgba(plots.REGIMES[name][0]), 0, atol=1e-6)


def test_curves_are_where_the_dataset_has_them(axis):
    psi_n = np.geomspace(0.1, 10, 21)
    inside = 4 * psi_n < 20
    points = drawn(axis, "memorisation")
    assert len(points) == 2 * np.sum(inside)
    np.testing.assert_allclose(points[::2], np.stack([psi_n, 4 * psi_n], axis=1)[inside])
    np.testing.assert_allclose(points[1::2, 1], 20)
    np.testing.assert_allclose(drawn(axis, "noise_fitting"), np.stack([psi_n, psi_n], axis=1))
    points = drawn(axis, "harmful")  # solved along both axes: what one lacks the other has
    np.testing.assert_allclose(points[:, 1], 2 * points[:, 0])
    assert points[:, 0].max() == pytest.approx(10, rel=0.3) and len(points) > 21
    np.testing.assert_allclose(drawn(axis, "point_fitting")[:, 1], 30)  # the root shared with memorisation is left out
    np.testing.assert_allclose(drawn(axis, "one_draw")[:, 0], 0.25)
    assert np.all(drawn(axis, "p_nm")[:, 1] <= 100)


def test_branches_continue_when_a_line_has_fewer_roots():
    """Lines of the middle lack the lower root: the upper one must not jump to its branch."""
    dataset = diagram()
    lower, upper = 4 * dataset["psi_n"].to_numpy(), np.full(21, 50.0)
    roots = np.stack([lower, upper], axis=1)
    roots[8:12] = np.stack([upper[8:12], np.full(4, np.nan)], axis=1)
    dataset["psi_p_at_memorisation"] = (("psi_n", "root_a"), roots)
    lines = [line for line in plots.phase_diagram(dataset).lines if line.get_label() == LINES["memorisation"][0]]
    values = [np.asarray(line.get_ydata(), float) for line in lines]
    np.testing.assert_allclose(values[1], 50)
    assert np.isnan(values[0][8:12]).all() and np.nanmax(np.abs(values[0] / lower - 1)) < 1e-12


def test_simulated_cells_are_markers():
    places = dict(psi_n=[0.2, 2.0], psi_p=[0.15, 3.0, 50.0])
    codes, bad = np.array([[0, 2, 1], [0, 1, 2]], np.int8), np.array([[0, 1, 1], [0, 0, 1]], np.int8)
    simulated = xr.Dataset(
        {"regime": (("psi_n", "psi_p"), codes), "is_harmful": (("psi_n", "psi_p"), bad)}, coords=places
    )
    axis = plots.phase_diagram(diagram(), simulated=simulated)
    found = {}
    for line in axis.lines:
        if line.get_linestyle() == "None":
            for x, y in line.get_xydata():
                found[x, y] = (line.get_marker(), to_rgba(line.get_markerfacecolor()) == to_rgba("white"))
    assert len(found) == 6
    for i, j in np.ndindex(2, 3):
        marker, hollow = found[places["psi_n"][i], places["psi_p"][j]]
        assert (marker, hollow) == ("os^"[codes[i, j]], bad[i, j] == 1)
    texts = [text.get_text() for text in axis.figure.legends[0].get_texts()]
    assert texts[-4:-1] == [f"simulated: {name}" for name in ("generalisation", "noise-fitting", "memorisation")]
    axis.figure.savefig(io.BytesIO(), format="pdf")


@pytest.mark.parametrize("kind", [plots.phase_diagram, plots.heatmap])
def test_other_numbers_of_fields_are_refused(kind):
    with pytest.raises(ValueError, match=r"^dataset varies over psi_p: a map needs exactly two of psi_p, psi_n, t"):
        kind(diagram().isel(psi_n=0))
    wide = xr.concat([diagram(), diagram()], dim=xr.IndexVariable("t", [0.1, 0.2]))
    with pytest.raises(ValueError, match=r"^dataset varies over psi_p, psi_n, t: a map needs exactly two"):
        kind(wide)
    with pytest.raises(ValueError, match=r"^simulated must be of phase_diagram or simulated_regimes, with regime and"):
        plots.phase_diagram(diagram(), simulated=diagram().drop_vars("regime"))


def test_heatmap():
    axis = plots.heatmap(diagram(), "test")
    mesh = axis.collections[0]
    np.testing.assert_allclose(mesh.get_array().reshape(31, 21), diagram()["test"].transpose("psi_p", "psi_n"))
    assert isinstance(mesh.norm, LogNorm)  # from 1 to 49
    assert axis.figure.axes[-1].get_ylabel() == "test loss"
    diverging = plots.heatmap(diagram(), "memorisation", curves=False)
    limits = diverging.collections[0].get_clim()
    assert limits[0] == -limits[1] and not diverging.figure.legends
    with pytest.raises(ValueError, match=r"^name = 'nothing' must be one of regime, is_harmful, test"):
        plots.heatmap(diagram(), "nothing")


def test_roots_and_optima_along_a_field():
    coords = {"psi_n": [1.0, 2.0, 4.0], "m": [1.0, 4.0], "t": 0.1}
    values = np.arange(1.0, 13).reshape(3, 2, 2)
    values[1, 0, 1] = np.nan
    dataset = xr.Dataset({"psi_p_at_boundary": (("psi_n", "m", "root"), values)}, coords=coords)
    axis = plots.roots(dataset, "psi_p_at_boundary")
    assert len(axis.lines) == 4
    np.testing.assert_array_equal(axis.lines[0].get_ydata(), values[:, 0, 0])
    assert [text.get_text() for text in axis.figure.legends[0].get_texts()] == ["$m$ = 1", "$m$ = 4"]
    own = Figure().subplots()
    assert plots.roots(dataset, "psi_p_at_boundary", own) is own and own.get_legend()
    assert axis.get_title() == "$t$ = 0.1"
    with pytest.raises(ValueError, match=r"^dataset has one line only"):
        plots.roots(dataset.isel(psi_n=0, m=0), "psi_p_at_boundary")


def test_values_in_any_order_are_drawn_from_left_to_right():
    """The pictures of an order are those of another: whatever is drawn, an axis that descends or jumps is sorted."""
    order, whole = [3, 0, 4, 1, 2], diagram()
    mixed = whole.isel(psi_n=slice(None, None, -1), psi_p=np.random.default_rng(0).permutation(31))
    for axis, other in (
        (plots.phase_diagram(whole), plots.phase_diagram(mixed)),
        (plots.heatmap(whole, "regime"), plots.heatmap(mixed, "regime")),
    ):
        np.testing.assert_array_equal(axis.collections[0].get_array(), other.collections[0].get_array())
        assert len(axis.lines) == len(other.lines)
        for line, same in zip(axis.lines, other.lines, strict=True):
            np.testing.assert_array_equal(line.get_xydata(), same.get_xydata())
    problem = Problem.grid(2.0, np.geomspace(0.25, 16, 5), [1, np.inf], 0.1, 1e-3)
    losses = predictions(problem, predict(problem))
    times = losses.rename(psi_p="time").assign({name: 1.0 for name in SCALES})
    roots = xr.Dataset({"best_psi_p": ("psi_n", np.arange(1.0, 6))}, coords={"psi_n": np.arange(1.0, 6)})
    chance = xr.Dataset({name: ("psi", np.arange(5.0)) for name in ("probability", "probability_error")})
    chance = chance.assign(d=4).assign_coords(psi=np.arange(1.0, 6))
    for draw, dataset, over in (
        (plots.losses, losses, "psi_p"),
        (plots.training, times, "time"),
        (lambda dataset: [plots.roots(dataset, "best_psi_p")], roots, "psi_n"),
        (lambda dataset: [probability(Figure().subplots(), dataset)], chance, "psi"),
    ):
        for axis, other in zip(draw(dataset), draw(dataset.isel({over: order})), strict=True):
            for line, same in zip(axis.lines, other.lines, strict=True):
                np.testing.assert_array_equal(line.get_xydata(), same.get_xydata())
            assert any(line.get_xdata().size == 5 for line in axis.lines)


def test_theory_alone():
    problem = Problem.grid(2.0, np.geomspace(0.25, 16, 9), [1, np.inf], 0.1, 1e-3)
    losses = predict(problem)
    axes = plots.losses(predictions(problem, losses))
    for axis, name in zip(axes, ("train", "empirical_test", "test", "score"), strict=True):
        lines = [line for line in axis.lines if line.get_label() in ("$m$ = 1", r"$m$ = $\infty$")]
        for k, line in enumerate(lines):
            np.testing.assert_array_equal(line.get_ydata(), getattr(losses, name)[:, k])
        assert len(lines) == 2 and not axis.containers
    assert horizontal(axes[2]) == pytest.approx([np.exp(-0.2)]) and vertical(axes[2])
    assert r"\psi_p" in axes[3].get_xlabel()


def test_histogram_of_z_scores():
    comparison = made_up(ALONG_P, dimensions=(16, 32))
    dataset = comparison.to_dataset()
    axis = plots.z_scores(dataset)
    first, second, extrapolated = axis.patches
    for patch, d in ((first, 16), (second, 32)):
        values, edges, _ = patch.get_data()
        z = np.clip(np.ravel(dataset["z"].sel(d=d)), -5.999, 5.999)
        np.testing.assert_allclose(values, np.histogram(z, edges, density=True)[0])
    assert np.sum(extrapolated.get_data()[0]) * 0.5 == pytest.approx(1)
    student, normal = axis.lines
    x, density = student.get_data()
    assert np.interp(0, x, density) == pytest.approx(0.3675525969)  # Student's t, 3 degrees of freedom
    assert np.interp(0, *normal.get_data()) == pytest.approx(0.3989422804)
    curves = predictions(ALONG_P, predict(ALONG_P))
    axes = plots.comparison(dataset, curves, histogram=True)
    assert axes.shape == (4,) and len(axes[0].figure.axes) == 5 and axes[0].figure.axes[-1].patches
    own = Figure().subplots()
    plots.comparison(dataset, curves, histogram=own)
    assert own.patches
    with pytest.raises(ValueError, match=r"^histogram = True needs a figure made here"):
        plots.comparison(dataset, curves, axes=Figure().subplots(2, 2), histogram=True)
