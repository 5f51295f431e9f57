"""Advice: sizes with a known answer, Gaussian rows, the digits, and what it says in words."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from rfdsm import Problem, _laws as laws, activations, advise, optimal, plots, predict, spectra
from rfdsm._samples import centre
from rfdsm.data import load, standardise
from rfdsm.phases import Evidence, _evidence as evidence
from rfdsm.phases._regimes import REGIMES
from rfdsm.spectra import _measured as of_data
from rfdsm.spectra._measured import from_estimate
from rfdsm.spectra._population import alike, estimate, estimated, sample
from rfdsm.sweeps import _picture as picture
from rfdsm.units import flow_steps
from tests.phases.test_boundaries import CUBIC


@pytest.fixture(autouse=True)
def one_size(request, monkeypatch):
    """Spectra of rows, on few nodes or 40, are the same laws on as many as their repetitions: compiled once for all."""
    found = lambda *asked: dataclasses.replace(whole := from_estimate(*asked), **alike(whole)._asdict())  # noqa: E731
    for module in (laws, of_data) if request.function is not test_digits else ():  # those as users have them
        monkeypatch.setattr(module, "from_estimate", found)


@pytest.fixture
def unhurried(monkeypatch):
    """Stopping times are not computed: their functions take long to compile for every activation and spectrum."""
    values = dict(time=np.inf, loss=np.nan, final=np.nan, memorisation_time=np.inf)
    monkeypatch.setattr("rfdsm.phases.advice.optimal_stopping", lambda *_, **__: SimpleNamespace(**values))


@pytest.fixture(scope="module")
def known(one_contour):
    """psi_n = 64, t = 0.01, m = inf, ridge 1e-6: memorisation begins at p/n = 1.093."""
    return advise(6400, 100, t=0.01, p=6000, ridge=1e-6, budget=0, learning_rate=3.0)


def test_it_finds_the_published_crossover(known, unhurried):
    assert known.boundary_p / 6400 == pytest.approx(1.093, rel=4e-4) and known.boundary_rising
    assert known.asked.regime != "memorisation" and known.asked.p == 6000 and known.given == ("p", "ridge")
    beyond = advise(6400, 100, t=0.01, p=8000, ridge=1e-6, budget=0)
    assert beyond.asked.regime == "memorisation" and beyond.asked.signed["memorisation"] > 0
    assert "it memorises" in beyond.text() and "it does not memorise" in known.text()
    assert "begins at p = 6997" in known.text() or "begins at p = 6998" in known.text()
    assert beyond.stopping.steps is None and "steps" not in beyond.text()


def test_its_numbers_are_those_of_theory(known):
    losses = predict(Problem(64, 60, np.inf, 0.01, 1e-6))
    for name in ("train", "empirical_test", "test", "floor"):
        assert known.asked.losses[name] == pytest.approx(float(getattr(losses, name)), rel=1e-12)
    best = optimal(Problem(64, 60, np.inf, 0.01, 1.0), "ridge")
    assert known.ridge_at_width.ridge == pytest.approx(float(best["ridge"]), rel=1e-4)
    assert known.ridge_at_width.losses["test"] == pytest.approx(float(best.minimum), rel=1e-10)
    widths = np.arange(100, 25_600, 100)
    excess = optimal(Problem(64, widths / 100, np.inf, 0.01, 1.0), "ridge").losses.score
    enough = widths[excess <= 1.05 * excess[-1]]
    assert 0.8 * enough[0] < known.best.p < 1.25 * enough[0]


def test_stopping_is_no_worse_than_training_on(known):
    stop = known.stopping
    assert stop.final == pytest.approx(known.asked.losses["test"], rel=1e-8)
    assert known.asked.losses["floor"] < stop.test < stop.final and 0 < stop.time < np.inf
    assert stop.steps == pytest.approx(float(flow_steps(stop.time, 3.0, 0.01, 6000, 100)))
    assert "steps at your learning rate" in known.text()


def test_how_sure_it_is_scales_with_the_dimension(unhurried):
    """The same ratios in four times the dimension: a quarter of the same deviation; small sizes: no scaling."""
    options = dict(t=0.1, ridge=1e-2, activation=CUBIC, budget=96, key=3)
    small, large = advise(96, 24, p=96, **options), advise(384, 96, p=384, **options)
    here, there = small.evidence, large.evidence
    assert isinstance(here, Evidence) and isinstance(there, Evidence)
    assert (here.d, here.n, here.p) == (there.d, there.n, there.p) == (24, 96, 96)
    assert here.same_size and not there.same_size and there.scale == 0.25
    for name in ("test", "memorisation"):
        np.testing.assert_allclose(np.multiply(here.expected(name), 0.25), there.expected(name), rtol=1e-12)
    value, uncertainty = large.margin
    deviation, error = there.expected("memorisation")
    assert value == pytest.approx(large.asked.signed["memorisation"] + deviation)
    assert uncertainty == pytest.approx(abs(deviation) + 2 * error)
    assert ("the answer is clear" if abs(value) > uncertainty else "too close to call") in large.text()
    assert "8 networks of d = 24, n = 96, p = 96" in small.text() and "at d = 96 expect" in large.text()
    signed = large.asked.signed | {"memorisation": -deviation}
    doubtful = dataclasses.replace(large, asked=dataclasses.replace(large.asked, signed=signed))
    assert "too close to call" in doubtful.text()


def test_gaussian_rows_get_the_advice_of_their_covariance(unhurried):
    """As many columns as the digits, whose compiled functions then serve here, too; a few of the rows are copies."""
    rng = np.random.default_rng(0)
    variances = np.repeat([0.5, 1.5], 32)
    rows = rng.normal(size=(3970, 64)) * variances**0.5 * 7 + 3  # standardised by advise
    rows = np.vstack([rows, rows[:30]])
    with pytest.warns(UserWarning, match="30 of 4000 are copies"):
        advice = advise(640, data=rows, p=64, m=4, ridge=1e-3, budget=64, activation=CUBIC)
        spectrum = spectra.from_data(standardise(rows))
    assert (advice.n, advice.d, advice.data) == (640, 64, True)
    expected = predict(Problem(10, 1, 4, 0.1, 1e-3, CUBIC, spectra.atoms([0.5, 1.5])))
    assert advice.asked.losses["test"] == pytest.approx(float(expected.test), rel=5e-3)
    found = advice.evidence
    assert isinstance(found, Evidence) and found.rows == 4000 and found.scale == 1
    assert (found.n, found.p, found.regime) == (640, 64, advice.asked.regime)
    assert abs(found.mean["test"] / found.theory["test"] - 1) < 0.02  # Gaussian: theory holds on the rows
    assert advice.spectrum_error["test"] < 0.005
    assert advice.copies == 30 and "30 of your rows are exact copies of others" in advice.text()
    at = predict(Problem(10, advice.boundary_p / 64, 4, 0.1, 1e-3, CUBIC, spectrum))
    assert float(np.minimum(at.floor, at.test - at.floor) - at.empirical_test) == pytest.approx(0, abs=1e-12)
    assert "not Gaussian" not in advice.text() and "rows are held out" not in advice.text()
    assert "no more than Gaussian ones" in advice.text() and "estimated from your rows" in advice.text()


def test_digits(unhurried, tmp_path):
    rows = load("digits")
    advice = advise(data=rows, p=64, m=4, ridge=1e-3, budget=64, max_p=4096)  # not p = nm: as above
    assert (advice.n, advice.d) == rows.shape == (1797, 64) and advice.copies == 0
    found = advice.evidence
    assert isinstance(found, Evidence)
    assert found.n == 1797 - 180 and found.rows == 1797
    # narrow networks: digits follow the theory of Gaussian data with their covariance (README)
    assert abs(found.mean["test"] / found.theory["test"] - 1) < 0.04
    text = advice.text()
    assert "trained on your rows" in text and "rows are held out" in text and "n = 1797 samples in d = 64" in text
    dataset = advice.to_dataset()
    dataset.to_netcdf(tmp_path / "advice.nc", engine="scipy")
    with xr.open_dataset(tmp_path / "advice.nc") as read:
        assert REGIMES[int(read["asked_regime"])] == advice.asked.regime
        assert float(read["recommended_p"]) == advice.best.p
        here = read.sel(p=64)
        assert float(here["test"]) == pytest.approx(advice.asked.losses["test"], rel=1e-12)
        assert float(here["best_ridge_test"]) == pytest.approx(advice.ridge_at_width.losses["test"], rel=1e-12)
    assert len(plots.widths(dataset).lines) == len(picture.draw(dataset)[0].lines) >= 5


def test_left_open_it_asks_about_the_recommended_width_without_ridge(unhurried):
    advice = advise(50, 10, budget=0)
    assert advice.given == () and advice.asked.p == advice.best.p and advice.asked.ridge == 0
    assert "(recommended), no ridge" in advice.text()


def test_few_rows_get_the_advice_of_their_population(unhurried):
    """60 Gaussian rows of 400 independent columns: the sample's covariance has a floor of 0.142."""
    rows = np.random.default_rng(5).normal(size=(60, 400))
    advice = advise(data=rows, t=0.1, p=1600, ridge=1e-3, budget=0)
    right = predict(Problem(0.15, 4, np.inf, 0.1, 1e-3))
    losses, errors = advice.asked.losses, advice.spectrum_error
    assert losses["floor"] == pytest.approx(float(right.floor), abs=0.01) and 0.001 < errors["floor"] < 0.05
    assert losses["test"] == pytest.approx(float(right.test), rel=0.03)
    assert abs(losses["test"] - float(right.test)) < 2 * errors["test"] < 0.2
    assert advice.boundary_p == pytest.approx(180, rel=0.05)
    assert advice.best is not None and advice.best.losses["test"] > losses["floor"]
    assert "leaves the test loss uncertain by ±" in advice.text()


def test_errors_hold_for_populations_of_variance_one():
    """Most variance is along one direction, so that rows are scaled by what happened to it, and the others with it."""
    values = np.full(60, 0.5)
    values[0] = 30.0
    law, problem = spectra.atoms([0.5, 30.0], [59, 1]), Problem(2 / 3, 1.0, np.inf, 0.1, 1e-2, CUBIC)
    right = predict(dataclasses.replace(problem, spectrum=spectra.atoms(law.nodes / law.mean, law.weights)))
    covered = []
    for seed in range(6):
        rows = standardise(np.random.default_rng(seed).normal(size=(40, 60)) * values**0.5)
        law = alike(estimate(sample(centre(rows))))
        asked = dataclasses.replace(problem, spectrum=spectra.Spectrum(*law))
        found, errors = predict(asked), evidence.spectrum_error(asked, estimated(centre(rows)))
        covered += [
            abs(float(getattr(found, name) - getattr(right, name))) < 2 * errors[name] for name in ("floor", "test")
        ]
    assert np.mean(covered) >= 0.9


def test_rows_are_called_not_gaussian_only_if_they_are():
    """Five sets of Gaussian rows, the level is a hundredth; rows on two scales are found out."""
    values = np.sqrt(np.repeat([0.4, 1.6], 6))
    problem = Problem(3.0, 1.0, 4, 0.1, 1e-2, CUBIC)
    alarms = []
    for seed in (*range(5), 12):
        rng = np.random.default_rng(seed)
        rows = rng.normal(size=(60, 12)) * values
        rows = standardise(rows * rng.choice([0.2, 2.0], (60, 1)) if seed == 12 else rows)
        asked = dataclasses.replace(problem, spectrum=spectra.from_data(rows))
        found = evidence.measured(asked, 12, widest=12, data=rows, key=seed)
        assert isinstance(found, Evidence)
        alarms.append(found.not_gaussian)
    assert sum(alarms[:5]) <= 1 and alarms[5], alarms


def test_nothing_is_recommended_where_nothing_can_be_learnt():
    """No linear part, whoever's function it is; or one so small that these sizes do not show it."""
    even = activations.custom(lambda u: u * u, "square")
    little = activations.hermite([0.0, 1e-5, 1.0])
    for activation, reason in (("abs", "no linear part"), (even, "no linear part"), (little, "no better than")):
        advice = advise(500, 50, activation=activation)
        assert advice.best is None and advice.ridge_at_width is None and advice.stopping is None
        text = advice.text()
        assert reason in text and "nothing is recommended" in text and "clear" not in text
        assert "recommended)" not in text and "width:" not in text and "regime" not in text
        assert "recommended_p" not in advice.to_dataset()
    given = advise(500, 50, activation="abs", p=100, ridge=1e-2)
    assert "Asked about: p = 100 features (given)" in given.text() and given.asked.losses["test"] >= 1


def test_sizes_that_are_simulated_tell_something():
    """n, p and d of 16 or the very size asked about; else it is said that there is no estimate."""
    for n, d, p, budget, expected in (
        (140, 12288, 200, 512, (1405, 16, 23)),
        (140, 12288, 49152, 512, None),
        (500, 50, 100, 512, (50, 500, 100)),
        (4, 6, 5, 512, (6, 4, 5)),
        (400, 4000, 8000, 512, (160, 16, 320)),
    ):
        asked = Problem(n / d, p / d, np.inf, 0.1, 1e-2)
        found = evidence._in_modest_dimension(asked, d, budget, laws.Gaussian(asked.spectrum))
        if expected is None:
            assert isinstance(found, str) and "no finite-size estimate is possible" in found
        else:
            problem, size = found
            assert (size, round(float(problem.psi_n) * size), round(float(problem.psi_p) * size)) == expected


def test_work_is_bounded_in_few_dimensions():
    """Exact moments take hundreds of terms there; tanh on 600 rows of 3 columns would take hours at p = 512."""
    for d, widest in ((64, 512), (12, 512), (3, 512)):
        rows = standardise(np.random.default_rng(0).normal(size=(600, d)))
        asked, _ = evidence._on_rows(Problem(600 / d, 2000 / d, 7, 0.5, 1e-3), d, widest, laws.Rows(rows))
        width = round(float(asked.psi_p) * d)
        work = (evidence.TRIALS + evidence.TWINS) * evidence._work(asked, d, width, 600.0, laws.Rows(rows))
        assert work <= 1.1 * evidence.WORK and (width == 512) == (d == 64) and width >= 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(n=1, d=10), r"^n = 1 must be an integer >= 2$"),
        (dict(d=10), r"^n = None must be an integer >= 2$"),
        (dict(n=10, d=10, p=0), r"^p = 0 must be an integer >= 1$"),
        (dict(n=10, d=10, budget=-1), r"^budget = -1 must be an integer >= 0$"),
        (dict(n=10, d=10, t=[0.1, 0.2]), r"^t has shape \(2,\): must be one number, > 0$"),
        (dict(n=10, d=10, ridge=-1), r"^ridge = -1 must be finite and >= 0$"),
        (dict(n=10, d=10, learning_rate=0), r"^learning_rate = 0 must be finite and > 0$"),
        (dict(n=10, d=3, data=np.eye(4)), r"^d = 3 must be the number of columns of data, 4$"),
        (dict(data=np.ones((4, 2))), r"^data must vary from row to row"),
        (dict(data=np.eye(4), spectrum=3), r"^spectrum cannot be combined with data"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(ValueError, match=message):
        advise(**arguments)
