"""`rfdsm train-curve`: its table, files and picture, and how it refuses."""

import numpy as np
import pytest
import xarray as xr

from rfdsm import Problem, activations, datasets, optimal_stopping, plots, training_curve
from rfdsm.cli import main
from rfdsm.losses import Losses
from rfdsm.model import LearningCurves
from rfdsm.sweeps import SweepError, _picture as picture
from rfdsm.theory import _paths as paths

pytestmark = pytest.mark.usefixtures("one_contour")
CUBIC = ["--activation", "polynomial:0.1,1,0.3,0.1"]
FUNCTION = activations.polynomial([0.1, 1, 0.3, 0.1])
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_table_dataset_and_picture_with_simulation(folder, capsys):
    """Defaults of the command, but for size; the numbers are the library's."""
    command = ["train-curve", "--psi-n", "2", "8", "--psi-p", "8", "--d", "6", "--trials", "3", "--simulate", *CUBIC]
    assert main(command) == 0
    out = capsys.readouterr().out
    words = ("tau_gen", "tau_mem", "best time", "best ridge", "ridge = 0", "m = inf", "training.nc", "training.png")
    assert [word for word in words if word not in out] == []
    assert (folder / "rfdsm-train-curve" / "training.png").read_bytes()[:8] == PNG
    with xr.open_dataset(folder / "rfdsm-train-curve" / "training.nc") as dataset:
        assert dict(dataset.sizes) == {"psi_n": 2, "time": 200, "simulated_time": 14}
        problem = Problem(np.array([2.0, 8.0]), 8.0, np.inf, 0.1, 0.0, FUNCTION)
        curve = training_curve(problem, dataset["time"].values)
        stopping = optimal_stopping(problem)
        np.testing.assert_allclose(dataset["test"], curve.test, rtol=1e-12)
        np.testing.assert_allclose(dataset["best_time"], stopping.time, rtol=1e-12)
        np.testing.assert_allclose(dataset["memorisation_time"], stopping.memorisation_time, rtol=1e-12)
        assert dataset["time"].values[0] < stopping.generalisation_time.min() / 10
        assert dataset["time"].values[-1] > 10 * stopping.time.max()
        assert np.all(dataset["train_standard_error"] > 0)
        assert np.all(np.abs(dataset["train_mean"].isel(simulated_time=0) - 1) < 0.1)
        assert dataset["d"] == 6
        assert dataset["time"].attrs["long_name"] == "flow time theta"
    assert f"{stopping.loss[0]:.4g}" in out


@pytest.mark.slow
def test_times_given_and_no_picture(folder, capsys):
    command = ["train-curve", "--psi-n", "2", "--psi-p", "4", "--m", "2", "--ridge", "0.1", "--no-plot", *CUBIC]
    assert main([*command, "--times", "5", "0.1:10:3", "--output", "here"]) == 0
    assert not (folder / "here" / "training.png").exists()
    with xr.open_dataset(folder / "here" / "training.nc") as dataset:
        np.testing.assert_allclose(dataset["time"], [5, 0.1, 1, 10])
    capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--times", "soon"], "'soon' is not a number"),
        (["--times", "-1", "inf"], "times = -1 must be >= 0"),
        (["--minimise", "train"], "minimise = 'train' must be one of"),
        (["--d", "4", "8"], "must be one dimension"),
        (["--times", "inf", "--simulate"], "times must hold a finite one to simulate"),
    ],
)
def test_refuses_in_one_line(folder, capsys, monkeypatch, arguments, message):
    """Before anything is computed."""
    monkeypatch.setattr(paths, "_chunk", None)
    code = main(["train-curve", "--psi-n", "2", "--psi-p", "4", *CUBIC, *arguments])
    err = capsys.readouterr().err
    assert code == 2
    assert message in err and err.count("\n") == 1
    assert not list(folder.iterdir())


@pytest.fixture(scope="module")
def dataset():
    """Made-up numbers."""
    problem = Problem(np.array([2.0, 8.0]), 8.0, np.inf, 0.1, 0.0, FUNCTION)
    times, shape = np.geomspace(1e-3, 1e4, 32), (2, 32)
    rng = np.random.default_rng(0)
    values = {name: rng.uniform(0.1, 1, shape) for name in LearningCurves(times, 0.0).predicted}
    names = ("generalisation_time", "best_time", "below_floor_time", "memorisation_time")
    scales = {name: np.array([10.0**k, np.inf if k == 3 else 2 * 10.0**k]) for k, name in enumerate(names)}
    return datasets.training(problem, times, Losses(**values | {"converged": np.ones(shape, bool)}), scales)


def test_picture_says_what_it_shows(dataset):
    axes = plots.training(dataset)
    assert [axis.get_title() for axis in axes] == [plots.TITLES[name] for name in plots.TITLES]
    assert all(axis.get_xscale() == "log" for axis in axes)
    assert axes[3].get_yscale() == "log"
    legend = axes[0].get_legend()
    texts = [text.get_text() for text in legend.get_texts()]
    assert any("psi_n" in text and "2" in text for text in texts)
    assert r"$\tau_{mem}$" in texts and r"$\tau_{gen}$" in texts
    assert "lambda" in legend.get_title().get_text()
    lines = [line for line in axes[2].lines if len(line.get_xdata()) == 32]
    np.testing.assert_array_equal([line.get_ydata() for line in lines], dataset["test"])
    marks = [line.get_xdata()[0] for line in axes[2].lines if len(line.get_xdata()) == 2]
    for scale in ("generalisation_time", "best_time", "memorisation_time"):
        for value in dataset[scale].values[np.isfinite(dataset[scale].values)]:
            assert value in marks


def test_picture_of_the_file(dataset):
    for along in (None, "time"):
        axes = picture.draw(dataset, along)
        assert [line.get_label() for line in axes[0].lines] == [
            line.get_label() for line in plots.training(dataset)[0].lines
        ]
    with pytest.raises(ValueError, match=r"^along = 'psi_n' must be time: the file holds learning curves$"):
        picture.draw(dataset, "psi_n")
    with pytest.raises(SweepError, match=r"^the file is not as rfdsm writes it: .*best_time"):
        picture.draw(dataset.drop_vars("best_time"))
