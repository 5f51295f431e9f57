"""Theory held against simulation: the statistics on made-up numbers, the bookkeeping on one tiny real comparison."""

import dataclasses
import io
import json
import re

import numpy as np
import pytest
import xarray as xr
from rich.console import Console

from rfdsm import (
    Comparison,
    Losses,
    Problem,
    _comparison as module,
    compare,
    model,
    predict,
    simulate,
    spectra,
)
from rfdsm.losses import Run
from tests.sweeps.tiny import CUBIC
from tests.tolerances import IDENTITY, ROUTES

OPTIONS = dict(trials=3, key=5)


def made_up(dimensions=(20, 40, 80), trials=6, shape=(5,), names=Losses.NAMES, seed=0, **settings):
    """A comparison of random numbers; only its shapes mean anything."""
    rng = np.random.default_rng(seed)
    problem = Problem(1.0, rng.uniform(0.5, 2, shape), 3, 0.1, 1e-2)
    theory = rng.uniform(0.5, 1.5, (len(names), len(dimensions), *shape))
    noise = rng.normal(size=(len(names), len(dimensions), trials, *shape))
    limit = Losses(*(rng.uniform(0.5, 1.5, shape) for _ in range(6)))
    seeds = np.arange(2 * trials, dtype=np.uint32).reshape(trials, 2)
    return Comparison(
        problem=problem,
        dimensions=dimensions,
        names=names,
        limit=limit,
        theory=theory,
        simulation=theory[:, :, None] + 0.05 * noise,
        runs=tuple(Run(np.full(shape, d), np.full(shape, 2 * d), d, seeds) for d in dimensions),
        settings={"trials": trials, "key": "0", "dtype": "float64", "data": None} | settings,
    )


def rendered(comparison):
    """The table as text, columns joined: cells keep their order."""
    out = io.StringIO()
    Console(file=out, width=400).print(comparison.table())
    return out.getvalue()


# --------------------------------------------------------------------------------------------------------- statistics


def test_statistics_are_those_of_numpy():
    comparison = made_up(shape=(2, 3))
    values, theory = comparison.simulation, comparison.theory
    mean = np.sum(values, axis=2) / 6
    error = np.sqrt(np.sum((values - mean[:, :, None]) ** 2, axis=2) / 5 / 6)
    np.testing.assert_allclose(comparison.mean, mean, rtol=IDENTITY)
    np.testing.assert_allclose(comparison.standard_error, error, rtol=IDENTITY)
    np.testing.assert_allclose(comparison.z, (mean - theory) / error, rtol=ROUTES)
    np.testing.assert_allclose(comparison.relative_deviation, mean / theory - 1, rtol=ROUTES)


def test_exact_agreement_without_spread_is_not_a_number_and_no_warning():
    comparison = made_up()
    comparison.simulation[:] = comparison.theory[:, :, None] = 1.0
    assert np.all(np.isnan(comparison.z))
    comparison.theory[:] = 0.5
    assert np.all(comparison.z == np.inf)


def test_extrapolation_is_the_weighted_fit_of_polyfit():
    comparison = made_up(shape=(2, 3))
    fit = comparison.extrapolation
    inverse = 1 / np.array(comparison.dimensions)
    for at in np.ndindex(4, 2, 3):
        column = (at[0], slice(None), *at[1:])
        deviation, error = (comparison.mean - comparison.theory)[column], comparison.standard_error[column]
        (slope, intercept), covariance = np.polyfit(inverse, deviation, 1, w=1 / error, cov="unscaled")
        np.testing.assert_allclose(fit.intercept[at], intercept, rtol=ROUTES)
        np.testing.assert_allclose(fit.slope[at], slope, rtol=ROUTES)
        np.testing.assert_allclose(fit.error[at], np.sqrt(covariance[1, 1]), rtol=ROUTES)
        np.testing.assert_allclose(fit.slope_error[at], np.sqrt(covariance[0, 0]), rtol=ROUTES)
        np.testing.assert_allclose(fit.z[at], intercept / np.sqrt(covariance[1, 1]), rtol=ROUTES)


def test_extrapolated_z_scatters_as_it_says():
    """Noise that differs from d to d around theory plus slope/d: the fit's errors are those of its coefficients."""
    trials, columns = 200, 1500
    comparison = made_up(trials=trials, shape=(columns,), names=("train", "test"), seed=3)
    rng = np.random.default_rng(4)
    d = np.array(comparison.dimensions)[None, :, None, None]
    noise = rng.normal(size=comparison.simulation.shape) / d
    comparison.simulation[:] = comparison.theory[:, :, None] + 1.7 / d + noise
    fit = comparison.extrapolation
    error_of_rms = 1 / np.sqrt(2 * fit.z.size)
    assert abs(np.sqrt(np.mean(fit.z**2)) - 1) < 5 * error_of_rms
    assert abs(np.sqrt(np.mean(((fit.slope - 1.7) / fit.slope_error) ** 2)) - 1) < 5 * error_of_rms
    assert abs(np.mean(fit.z)) < 5 / np.sqrt(fit.z.size)
    assert np.sqrt(np.mean(comparison.z**2)) > 10  # each d by itself is off by its bias


# -------------------------------------------------------------------------------------------------------------- table


def table_rows(comparison):
    """Rows of the rendered table; a loss's cell is its two lines: (theory, simulation), (z, deviation)."""
    cells = [[cell.strip() for cell in re.split("[│┃]", line)[1:-1]] for line in rendered(comparison).splitlines()]
    cells = [row for row in cells if any(" · " in cell for cell in row)]
    first = next(k for k, row in enumerate(cells) if re.match(r"\d", row[0]))  # after the header
    return [
        (above[:-4], [(*a.split(" · "), *b.split(" · ")) for a, b in zip(above[-4:], below[-4:], strict=True)])
        for above, below in zip(cells[first::2], cells[first + 1 :: 2], strict=True)
    ]


def test_table_has_a_row_for_each_cell_and_dimension():
    comparison = made_up(shape=(3, 2))
    rows = table_rows(comparison)
    assert comparison.table().row_count == len(rows) == 3 * 2 * 4
    fit = comparison.extrapolation
    where = [(*cell, k) for cell in np.ndindex(3, 2) for k in range(4)]
    for ((psi_p, d), losses), (i, j, k) in zip(rows, where, strict=True):
        assert psi_p == f"{comparison.problem.psi_p[i, j]:g}"
        assert d == (str(comparison.dimensions[k]) if k < 3 else "inf")
        for loss, (theory, simulation, z, deviation) in enumerate(losses):
            if k < 3:
                at = (loss, k, i, j)
                expected, mean, spread = comparison.theory[at], comparison.mean[at], comparison.standard_error[at]
                scaled, error = re.fullmatch(r"([-+][\d.]+)\((\d+)\)/d", z).groups()
                d, unit = comparison.dimensions[k], 10.0 ** -len(scaled.partition(".")[2])
                assert abs(float(scaled) - d * (mean - expected)) <= 0.51 * unit
                assert abs(int(error) * unit - d * spread) <= 0.51 * unit
            else:
                expected = getattr(comparison.limit, comparison.names[loss])[i, j]
                mean, spread = expected + fit.intercept[loss, i, j], fit.error[loss, i, j]
                assert z == f"z = {fit.z[loss, i, j]:+.1f}"
            assert theory == f"{expected:.4f}"
            assert deviation == f"{mean / expected - 1:+.1%}"
            value, error = re.fullmatch(r"(-?[\d.]+)\((\d+)\)", simulation).groups()
            unit = 10.0 ** -len(value.partition(".")[2])
            assert abs(float(value) - mean) <= 0.51 * unit
            assert abs(int(error) * unit - spread) <= 0.51 * unit
            assert 10 <= int(error) <= 100  # two digits of the error


def test_summary_counts_and_averages():
    comparison = made_up(dimensions=(20,), shape=(25,))
    summary = comparison.summary()
    assert comparison.extrapolation is None
    assert f"in the median {np.median(np.abs(comparison.relative_deviation)):.2%} at d = 20." in summary
    assert "Several dimensions would be extrapolated" in summary
    for absent in ("Extrapolated to", "Real samples", "z rms"):
        assert absent not in summary
    assert " ".join(summary.split()) in " ".join(rendered(comparison).split())


def test_summary_of_data_has_z_for_their_dimension_is_what_it_is():
    comparison = made_up(dimensions=(20,), data=[100, 20])
    summary = comparison.summary()
    assert summary.startswith(f"On the rows: z rms {np.sqrt(np.mean(comparison.z**2)):.2f}, ")
    assert "Real samples" in summary and "O(1/d)" not in summary and "Several dimensions" not in summary
    assert f"z = {comparison.z.flat[0]:+.1f} · " in rendered(comparison)


# ------------------------------------------------------------------------------------- one real comparison, two sizes


@pytest.fixture(scope="module")
def asked():
    return Problem.grid(1.6, 1.3, [2, 4], [0.2, 0.4], 1e-2, CUBIC, spectra.atoms([0.5, 2.0], [0.35, 0.65]))


@pytest.fixture(scope="module")
def steps():
    return []


@pytest.fixture(scope="module")
def small(asked, steps):
    return compare(asked, [4, 6], progress=lambda done, total: steps.append((done, total)), **OPTIONS)


@pytest.mark.slow
def test_theory_is_that_of_the_realised_ratios(small):
    """d = 4: n = 6, p = 5, one eigenvalue in four small; d = 6: n = 10, p = 8, two in six."""
    for k, (d, n, p, low) in enumerate([(4, 6, 5, 1), (6, 10, 8, 2)]):
        spectrum = spectra.atoms([0.5, 2.0], [low, d - low])
        theory = predict(Problem.grid(n / d, p / d, [2, 4], [0.2, 0.4], 1e-2, CUBIC, spectrum))
        for loss, name in enumerate(Losses.NAMES):
            np.testing.assert_allclose(small.theory[loss, k], getattr(theory, name), rtol=ROUTES)


@pytest.mark.slow
def test_simulation_is_that_of_simulate(small, asked):
    for k, d in enumerate((4, 6)):
        losses = simulate(asked, d, **OPTIONS)
        for loss, name in enumerate(Losses.NAMES):
            np.testing.assert_array_equal(small.simulation[loss, k], getattr(losses, name))
        assert small.runs[k].d == losses.run.d == d
        for name in ("n", "p", "seeds"):
            np.testing.assert_array_equal(getattr(small.runs[k], name), getattr(losses.run, name))


@pytest.mark.slow
def test_progress_counts_cells_of_all_dimensions(small, steps):
    done = [step for step, _ in steps]
    assert done == sorted(done) and done[-1] == 8 and 4 in done and {total for _, total in steps} == {8}
    assert 4 <= len(done) == len(set(done))  # cells are done together, and trials count in part


@pytest.mark.slow
def test_dataset_holds_everything_under_its_name(small):
    dataset = small.to_dataset()
    over = ("loss", "d", "m", "t")
    for name in ("theory", "mean", "standard_error", "z", "relative_deviation"):
        assert dataset[name].dims == over
        np.testing.assert_array_equal(dataset[name], getattr(small, name))
    assert dataset["simulation"].dims == ("loss", "d", "trial", "m", "t")
    np.testing.assert_array_equal(dataset["simulation"], small.simulation)
    for name, sizes in (("n", (6, 10)), ("p", (5, 8))):
        assert dataset[name].dims == ("d", "m", "t")
        np.testing.assert_array_equal(dataset[name], np.broadcast_to(np.reshape(sizes, (2, 1, 1)), (2, 2, 2)))
    for name in ("intercept", "error", "slope", "slope_error", "z"):
        assert dataset[f"extrapolated_{name}"].dims == ("loss", "m", "t")
        np.testing.assert_array_equal(dataset[f"extrapolated_{name}"], getattr(small.extrapolation, name))
    for loss in Losses.NAMES:
        np.testing.assert_array_equal(dataset["limit"].sel(loss=loss), getattr(small.limit, loss))
    np.testing.assert_array_equal(dataset["floor"], small.limit.floor)
    assert len(dataset.data_vars) == 16
    np.testing.assert_array_equal(dataset["d"], [4, 6])
    np.testing.assert_array_equal(dataset["m"], [2, 4])
    np.testing.assert_array_equal(dataset["t"], [0.2, 0.4])
    np.testing.assert_array_equal(dataset["trial"], [0, 1, 2])
    for name, variable in dataset.variables.items():
        if name != "loss":
            assert variable.attrs["units"] == "1"
            assert variable.attrs["long_name"]


@pytest.mark.slow
def test_dataset_states_the_full_configuration(small, asked):
    attrs = small.to_dataset().attrs
    configuration = json.loads(attrs["configuration"])
    expected = dict(d=[4, 6], trials=3, key="5", dtype="float64", data=None, seeds=small.runs[1].seeds.tolist())
    expected |= dict(psi_n=1.6, psi_p=1.3, t=[0.2, 0.4], ridge=0.01, m=[[2], [4]])
    expected |= dict(activation=CUBIC.name, spectrum=asked.spectrum.label)
    assert {name: configuration[name] for name in expected} == expected
    assert set(attrs) >= {"versions", "device"}


# -------------------------------------------------------------------------------------------------------- ridge = 0


SINGULAR = Problem(1.0, 2.0, [1, 2, 4], 0.2, 0.0, CUBIC)
"""p = 2n: m = 1 interpolates, m = 2 is where theory diverges, m = 4 is least squares."""


@pytest.fixture(scope="module")
def singular():
    """Made-up simulations about theory, rounding where it vanishes."""
    found, limit = made_up(dimensions=(4, 6), trials=3, shape=(3,)), predict(SINGULAR)
    theory = np.stack([np.stack([getattr(limit, name)] * 2) for name in Losses.NAMES])
    noise = found.simulation - found.theory[:, :, None]
    finite = np.where(np.isinf(theory), 1e3, theory)[:, :, None]
    simulation = np.where(finite == 0, 1e-12 * noise**2 * 1e-12, finite + noise)
    return dataclasses.replace(found, problem=SINGULAR, limit=limit, theory=theory, simulation=simulation)


def test_where_theory_is_infinite_nothing_is_held_against_it(singular):
    infinite = np.zeros((4, 2, 3), bool)
    infinite[1:, :, 1] = True
    vanishing = np.zeros_like(infinite)
    vanishing[0, :, :2] = True
    np.testing.assert_array_equal(singular.theory == np.inf, infinite)
    np.testing.assert_array_equal(singular.theory == 0, vanishing)
    np.testing.assert_array_equal(np.isnan(singular.deviation), infinite)
    for values in (singular.z, singular.relative_deviation):
        np.testing.assert_array_equal(np.isnan(values), infinite | vanishing)
        assert np.all(np.isfinite(values[~(infinite | vanishing)]))
    fit = singular.extrapolation
    np.testing.assert_array_equal(np.isnan(fit.intercept), infinite[:, 0])
    np.testing.assert_array_equal(np.isnan(fit.z), (infinite | vanishing)[:, 0])


def test_summary_counts_what_has_no_z(singular):
    summary = singular.summary()
    z = singular.extrapolation.z[~np.isnan(singular.extrapolation.z)]
    assert z.size == (24 - 6 - 4) / 2
    assert summary.startswith(f"Extrapolated to d = inf: z rms {np.sqrt(np.mean(z**2)):.2f}, ")
    assert f"|z| > 3 in {np.mean(np.abs(z) > 3):.1%} of 7 values" in summary
    assert "nan" not in summary and "inf%" not in summary
    assert "6 of 24 values have no z: theory is infinite there (ridge = 0, as many draws as independent" in summary
    assert "4 of 24 values have no z: simulation and theory agree to rounding." in summary
    assert "failed" not in summary


def test_rounding_of_a_vanishing_loss_is_no_deviation_but_a_loss_is():
    comparison = made_up(dimensions=(20,), trials=2, shape=(2,))
    comparison.theory[0] = 0
    comparison.simulation[0, 0] = [[1e-28, 1e-3], [3e-28, 3e-3]]
    np.testing.assert_allclose(comparison.z[0, 0], [np.nan, 2.0], rtol=IDENTITY)
    np.testing.assert_array_equal(comparison.relative_deviation[0, 0], [np.nan, np.inf])


def test_table_shows_infinite_theory(singular):
    rows = table_rows(singular)
    assert len(rows) == 9
    by_cell = {tuple(head): losses for head, losses in rows}
    for d in ("4", "6", "inf"):
        train, *others = by_cell["2", d]
        assert train[0] == "0" and re.fullmatch(r"-?\d\.\de-\d\d ± \de-\d\d", train[1])
        assert train[2:] == ("–", "–")
        for theory, simulation, *rest in others:
            assert (theory, *rest) == ("inf", "–", "–")
            assert (simulation == "nan") == (d == "inf")
    assert all("–" not in cell and "nan" not in cell for loss in by_cell["4", "inf"] for cell in loss)


def test_picture_with_infinite_theory(singular):
    """Along m, where theory diverges in between; the axes stay those of finite numbers."""
    axes = singular.plot()
    axes[0].figure.canvas.draw()
    for axis in axes:
        assert np.all(np.isfinite(axis.get_ylim()))


def test_picture_along_ridge_leaves_zero_out(monkeypatch):
    drawn = []

    def record(*arguments, **_):
        drawn.extend(arguments)
        return np.array([])

    monkeypatch.setattr("rfdsm.plots.comparison", record)
    theory = np.full((4, 1, 3), np.inf)
    problem = Problem(1.0, 2.0, 2, 0.2, [0.0, 1e-3, 1e-1])
    comparison = made_up(dimensions=(20,), shape=(3,))
    comparison = dataclasses.replace(comparison, problem=problem, theory=theory, limit=predict(problem))
    comparison.plot()
    points, curves, along = drawn
    assert along == "ridge"
    np.testing.assert_array_equal(points["ridge"], [1e-3, 1e-1])
    np.testing.assert_allclose(curves["ridge"], np.geomspace(1e-3, 1e-1, module.CURVE_POINTS))


# --------------------------------------------------------------------------------------------------------- real data


ROWS = np.random.default_rng(8).normal(size=(30, 4)) * [0.3, 0.8, 1.0, 1.5]


@pytest.fixture(scope="module")
def on_rows():
    return compare(Problem(1.7, 1.2, [1, 3], 0.3, 1e-2, CUBIC), data=ROWS, trials=2)


@pytest.mark.slow
def test_data_give_no_score(on_rows):
    assert on_rows.names == ("train", "empirical_test", "test")
    assert on_rows.simulation.shape == (3, 1, 2, 2)
    assert np.all(np.isfinite(on_rows.simulation))
    dataset = on_rows.to_dataset()
    assert list(dataset["loss"].values) == ["train", "empirical_test", "test"]
    assert json.loads(dataset.attrs["configuration"])["data"] == [30, 4] and "Real samples" in on_rows.summary()


@pytest.mark.slow
def test_data_bring_their_dimension_and_spectrum(on_rows):
    assert on_rows.dimensions == (4,) and on_rows.problem.spectrum == spectra.from_data(ROWS)
    # n = 7 and p = 5 are realised, the spectrum is that of the data's population as it was estimated.
    theory = predict(Problem(7 / 4, 5 / 4, [1, 3], 0.3, 1e-2, CUBIC, spectra.from_data(ROWS)))
    for loss, name in enumerate(on_rows.names):
        np.testing.assert_allclose(on_rows.theory[loss, 0], getattr(theory, name), rtol=ROUTES)


@pytest.mark.slow
def test_theory_of_many_columns_keeps_the_weights_of_the_compressed_spectrum(monkeypatch):
    """60 eigenvalues become at most 40 nodes; their weights must not be rounded to whole eigenvalues out of 60."""
    nothing = Losses(*[np.zeros((2,))] * 6, run=Run(np.array(31), np.array(49), 60, np.zeros((2, 2), np.uint32)))
    monkeypatch.setattr(model, "simulated", lambda *_, **__: nothing)
    rows = np.random.default_rng(2).normal(size=(80, 60)) * np.geomspace(0.1, 3, 60)
    comparison = compare(Problem(0.51, 0.81, 1, 0.3, 1e-2), data=rows, trials=2)
    spectrum = spectra.from_data(rows)
    assert spectrum.size <= 40
    assert comparison.problem.spectrum == spectrum
    theory = predict(Problem(31 / 60, 49 / 60, 1, 0.3, 1e-2, "tanh", spectrum))
    np.testing.assert_allclose(comparison.theory[:, 0], [theory.train, theory.empirical_test, theory.test], rtol=ROUTES)


# ---------------------------------------------------------------------------------------------------------- bad input

REFUSED = [  # those of comparisons, and one of simulations, whose others are in tests/simulation/test_simulate.py
    ({}, dict(d=8, trials=1), r"^trials = 1 must be an integer >= 2"),
    ({}, {}, r"^d = None must be"),
    ({}, dict(d=np.array(8.0)), r"^d = .* must be"),
    ({}, dict(d=[[8, 9]]), r"^d = .* must be"),
    ({}, dict(d=[]), r"^d = .* must be one dimension or a list of different ones$"),
    ({}, dict(d=(4, 8, 4)), r"^d = .* must be one dimension or a list of different ones$"),
    ({}, dict(d=[5, 6], data=ROWS), r"^d = 5 must be the number of columns of data, 4$"),
    (
        dict(psi_n=[1.0, np.inf]),
        dict(d=[8, 9]),
        r"^psi_n = inf must be finite in a simulation",
    ),
]


@pytest.mark.parametrize(("fields", "options", "text"), REFUSED, ids=range(len(REFUSED)))
def test_refusals_come_before_any_work(fields, options, text, monkeypatch):
    monkeypatch.setattr(model, "predict", None)
    monkeypatch.setattr(model, "simulated", None)
    with pytest.raises(ValueError, match=text):
        compare(Problem(**(dict(psi_n=1.0, psi_p=1.0, m=1, t=0.1, ridge=1e-2) | fields)), **options)


def test_dimensions_may_be_an_array(monkeypatch):
    seen = []

    def refuse(request, _):
        seen.append(request.d)
        raise KeyboardInterrupt

    monkeypatch.setattr(model, "simulated", refuse)
    for d in ((7, 9), range(7, 10), np.array([7, 9]), np.int64(7)):
        with pytest.raises(KeyboardInterrupt):
            compare(Problem(1.0, 1.0, 1, 0.1, 1e-2), d)
    assert seen == [7] * 4


def test_dataset_and_file_hold_infinite_theory(singular, tmp_path):
    dataset = singular.to_dataset()
    np.testing.assert_array_equal(dataset["theory"], singular.theory)
    dataset.to_netcdf(tmp_path / "losses.nc", engine="scipy")
    again = xr.load_dataset(tmp_path / "losses.nc", engine="scipy")
    xr.testing.assert_equal(again, dataset)
    assert again.attrs == dataset.attrs
