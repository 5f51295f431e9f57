"""`rfdsm sweep`, `status` and `plot`."""

import signal
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import rfdsm
from rfdsm import compare, sweeps
from rfdsm.cli import main
from rfdsm.cli._generation_options import SweepOptions
from rfdsm.cli._settings import resolve
from rfdsm.sweeps import SweepError, _picture as picture
from tests.sweeps import tiny
from tests.test_datasets import made_up

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.toml"))
TEXT = """
psi_p = [4, 6]
m = "inf"
ridge = 1e-2
activation = "polynomial:0.1,1.0,0.3,0.1"
d = 16
key = 3

[sweep]
psi_n = [1, 3, 5]
trials = 4
store = "kept"
"""
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.toml").write_text(TEXT)
    return tmp_path


def test_sweep_status_resume_and_plot(folder, capsys):
    assert main(["sweep", "study.toml"]) == 0
    streams = capsys.readouterr()
    assert "kept: 6 of 6 cells done, 0 failed; wrote kept/sweep.nc" in streams.out
    assert "sweep: 6 of 6 cells done" in streams.err
    with xr.open_dataset(folder / "kept" / "sweep.nc", engine="scipy") as file:
        swept = file.load()
    problem = rfdsm.Problem.grid([1.0, 3.0, 5.0], [4.0, 6.0], np.inf, 0.1, 1e-2, tiny.CUBIC)
    compared = compare(problem, 16, trials=4, key=3).to_dataset()
    for name in compared.data_vars:
        assert swept[name].variable.equals(compared[name].variable), name

    for unit in sorted((folder / "kept" / "units").glob("d*.npz"))[:2]:
        unit.unlink()
    assert main(["status", "kept"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("kept: 4 of 6 cells done, ") and text.endswith(" left, 2 remaining\n")
    assert main(["sweep", "--resume", "kept", "--output", "again.nc"]) == 0
    capsys.readouterr()
    with xr.open_dataset(folder / "again.nc", engine="scipy") as file:
        assert file.equals(swept)
    assert main(["status", "kept"]) == 0
    assert capsys.readouterr().out == "kept: 6 of 6 cells done, complete\n"

    assert main(["plot", "kept/sweep.nc"]) == 0
    assert (folder / "kept" / "sweep.png").read_bytes().startswith(PNG)
    assert main(["plot", "kept", "--along", "psi_n", "--output", "new/picture.svg"]) == 0
    assert (folder / "new" / "picture.svg").read_text().startswith("<?xml")

    code = main(["sweep", "study.toml", "--trials", "5"])
    assert code == 2 and "kept holds another sweep: trials = 4 there, 5 here" in capsys.readouterr().err


def test_failures_are_listed(folder, capsys):
    place = sweeps.store.Store.opened("kept", sweeps._configuration.checked(
        tiny.PROBLEM, "simulation", 16, 4, 3, None, "float64", False))  # fmt: skip
    place.give_up("d16-000003", sweeps.store.Failure("RuntimeError: out of luck", 3))
    assert main(["status", "kept"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == "kept: 0 of 40 cells done, 1 failed, 39 remaining"
    assert second.strip() == "d16-000003 failed 3 times: RuntimeError: out of luck"


def test_interrupted(folder, monkeypatch, capsys):
    """By Ctrl-C: one line says how to go on."""
    keep = sweeps.store.Store.save

    def save(self, unit, result):
        keep(self, unit, result)
        if unit.endswith("3"):
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(sweeps.store.Store, "save", save)
    assert main(["sweep", "study.toml", "--quantities", "simulation"]) == 130
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("rfdsm: interrupted: ") and "resume with: rfdsm sweep --resume kept" in last
    assert 1 <= sweeps.status("kept").done < 6


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("sweep study.toml --config study.toml", ["given twice"]),
        ("sweep --resume kept --trials 3", ["--resume kept", "trials"]),
        ("status missing", ["missing", "sweep.json"]),
        ("plot empty.nc", ["neither theory nor simulations"]),
        ("plot theory.nc --along d", ["along = 'd'", "psi_n, psi_p, m, t, ridge"]),
        ("plot best.nc --along ridge", ["along = 'ridge' must be one of psi_n, psi_p, m, t\n"]),
        ("plot cut.nc", ["cut.nc is no netCDF file of rfdsm"]),
        ("plot weather.nc", ["the file is not as rfdsm writes it: No variable named 'psi_n'"]),
    ],
)
def test_bad_input_is_one_line(arguments, expected, folder, capsys):
    xr.Dataset({"x": ("y", [1.0])}).to_netcdf(folder / "empty.nc", engine="scipy")
    theory = rfdsm.predict(rfdsm.Problem.grid(8, [1, 2], 1, 0.1, 1e-3))
    rfdsm.datasets.predictions(rfdsm.Problem.grid(8, [1, 2], 1, 0.1, 1e-3), theory).to_netcdf(
        "theory.nc", engine="scipy"
    )
    Path("cut.nc").write_bytes(Path("theory.nc").read_bytes()[:-500])
    xr.load_dataset("theory.nc", engine="scipy").drop_vars("ridge").to_netcdf("best.nc", engine="scipy")
    others = {"configuration": "found in spring"}
    weather = xr.Dataset({"test": ("t", [1.0, 2.0])}, {"t": [0.0, 1.0]}, others)
    weather.to_netcdf("weather.nc", engine="scipy")
    assert main(arguments.split()) == 2
    err = capsys.readouterr().err
    assert err.startswith("rfdsm: error: ") and err.count("\n") == 1
    for text in expected:
        assert text in err


def test_pictures_of_every_kind(whole, folder):
    """Theory is a fine line through the values of `predict`, simulations are points."""
    compared, theory = whole[1], rfdsm.predict(tiny.PROBLEM)
    for swept in (compared, compared[["limit", "floor"]]):
        axes = picture.draw(swept)
        assert len(axes) == 4
        lines = [line for line in axes[2].lines if len(line.get_xdata()) > 2]
        height = np.interp(np.log(3.0), np.log(lines[0].get_xdata()), lines[0].get_ydata())
        np.testing.assert_allclose(height, np.interp(3.0, tiny.PROBLEM.psi_n[:, 0], theory.test[:, 0]), rtol=1e-2)
        assert bool(axes[2].containers) == (swept is compared)


def test_pictures_of_simulations_alone():
    """Mean and standard error over the trials, if there are several, beside the theory of the same problem."""
    problem = rfdsm.Problem.grid(np.array([1.0, 2.0, 4.0]), [4.0, 6.0], np.inf, 0.1, 0.01)
    theory = rfdsm.predict(problem).test[:, 0]
    for trials in (1, 3):
        losses = made_up(problem, trials)
        axes = picture.draw(rfdsm.datasets.simulations(problem, losses, 10, trials=trials))
        points, (line, *_) = axes[2].containers[0], axes[2].lines
        np.testing.assert_allclose(points[0].get_ydata(), losses.test[..., 0].mean(axis=0))
        np.testing.assert_allclose(np.interp([1.0, 2.0, 4.0], *line.get_data()), theory, rtol=1e-2)
        (bars,) = points[2]
        if trials > 1:
            lengths = [np.ptp(segment[:, 1]) for segment in bars.get_segments()]
            np.testing.assert_allclose(lengths, 2 * losses.test[..., 0].std(axis=0, ddof=1) / trials**0.5)


def test_pictures_of_an_activation_of_ones_own():
    """On the grid of the file, for its theory cannot be computed anew."""
    problem = rfdsm.Problem.grid(np.linspace(1.0, 5.0, 5), [4.0, 6.0], np.inf, 0.1, 1e-2, lambda u: u + 0.1 * u**3)
    swept = sweeps.sweep(problem, quantities="theory", progress=False)
    axes = picture.draw(swept)
    np.testing.assert_allclose(axes[2].lines[0].get_ydata(), swept["limit"].sel(loss="test")[:, 0])
    with pytest.raises(SweepError, match="only the file's author has"):
        picture.draw(swept.drop_vars("limit").assign(mean=swept["limit"]))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_accepted(path):
    settings = resolve("sweep", SweepOptions(), str(path))
    assert settings["store"] == path.stem
