"""Learning curves as a quantity of sweeps: the numbers of both doors, kept, resumed, written, drawn, asked in TOML."""

import numpy as np
import pytest
import xarray as xr

from rfdsm import Losses, Problem, simulate_training, sweep, sweeps, training_curve
from rfdsm.cli import main
from rfdsm.sweeps import _picture as picture
from tests.sweeps.tiny import CUBIC

pytestmark = pytest.mark.usefixtures("one_contour")
PROBLEM = Problem.grid([1.0, 2.0], 3.0, np.inf, 0.1, [0.0, 1e-2], CUBIC)
TIMES = [10.0, 0.1, np.inf, 1.0]
ASKED = dict(quantities="training", times=TIMES, progress=False)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, one_contour):
    folder = tmp_path_factory.mktemp("curves")
    return folder, sweep(PROBLEM, d=12, trials=3, key=2, store=folder, **ASKED)


def test_they_are_those_of_theory_and_simulation(whole, tmp_path):
    folder, swept = whole
    theory, simulated = training_curve(PROBLEM, TIMES), simulate_training(PROBLEM, TIMES, 12, trials=3, key=2)
    grid = ("psi_n", "ridge", "time")
    assert swept["training_limit"].dims == ("loss", *grid)
    assert swept["training_simulation"].dims == ("loss", "d", "trial", *grid)
    for name in Losses.NAMES:
        np.testing.assert_array_equal(swept["training_limit"].sel(loss=name), getattr(theory, name))
        np.testing.assert_array_equal(swept["training_simulation"].sel(loss=name)[0], getattr(simulated, name))
    np.testing.assert_array_equal(swept["time"], TIMES)
    np.testing.assert_array_equal(swept["training_simulated_objective"][0], simulated.objective)
    mean, error = (np.asarray(swept[f"training_{name}"]) for name in ("mean", "standard_error"))
    with np.errstate(invalid="ignore"):
        z = (mean - swept["training_theory"]) / error
    seen = np.isfinite(swept["training_z"])
    np.testing.assert_allclose(z.where(seen), swept["training_z"].where(seen), rtol=1e-12)
    assert np.mean(seen) > 0.9
    np.testing.assert_array_equal(swept["floor"], theory.floor[..., 0])
    assert swept["n"].dims == ("d", "psi_n", "ridge") and "time" not in swept["n"].coords

    swept.to_netcdf(tmp_path / "curves.nc", engine="scipy")
    with xr.open_dataset(tmp_path / "curves.nc", engine="scipy") as read:
        xr.testing.assert_equal(read, swept)
    next(folder.glob("units/training-d12-*.npz")).unlink()
    assert np.isnan(sweeps.load(folder)["training_simulation"]).any()
    assert sweeps.resume(folder, progress=False).equals(swept)
    with pytest.raises(sweeps.SweepError, match=r"training\.times = .* there"):
        sweep(PROBLEM, d=12, trials=3, key=2, store=folder, **(ASKED | dict(times=[1.0])))


def test_they_stand_beside_other_quantities(whole):
    _, swept = whole
    both = sweep(PROBLEM, d=12, trials=3, key=2, **(ASKED | dict(quantities=("training", "theory"))))
    for name in both.data_vars:
        if str(name).startswith("training"):
            assert both[name].equals(swept[name]), name
    minimum = both["limit"].broadcast_like(both["training_limit"]).transpose(*both["training_limit"].dims)
    np.testing.assert_allclose(minimum.sel(time=np.inf), both["training_limit"].sel(time=np.inf), rtol=1e-12)
    alone = sweep(PROBLEM, **ASKED)
    assert "training_simulation" not in alone and alone["training_limit"].equals(swept["training_limit"])


def test_they_are_drawn_against_time(whole):
    _, swept = whole
    axes = picture.draw(swept)
    assert len(axes) == 4 and r"\theta" in axes[-1].get_xlabel()
    for line in axes[2].lines[:4]:
        np.testing.assert_array_equal(np.sort(line.get_xdata()), [0.1, 1.0, 10.0])
    assert axes[2].containers


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (dict(times=None), "times must be given"),
        (dict(times=[-1.0]), "times = -1 must be >= 0"),
        (dict(quantities="theory"), "times need quantities = 'training'"),
        (dict(initial=-1), "initial = -1"),
        (dict(problem=Problem(1.0, np.inf, 1, 0.1, 1e-2)), "psi_p = inf"),
        (dict(d=[8, 8]), "different"),
        (dict(smoothing=0.1), "smoothing = 0.1"),
    ],
)
def test_refusals(more, text):
    with pytest.raises(ValueError, match=text):
        sweep(**(dict(problem=PROBLEM) | ASKED | more))


def test_on_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = 'psi_n = 2\npsi_p = [2, 4]\nm = "inf"\nactivation = "polynomial:0.1,1.0,0.3,0.1"\n[sweep]\n'
    (tmp_path / "study.toml").write_text(text + 'quantities = "training"\ntimes = [0.1, 1, "inf"]\nstore = "kept"\n')
    assert main(["sweep", "study.toml"]) == 0, capsys.readouterr().err
    with xr.open_dataset("kept/sweep.nc", engine="scipy") as read:
        problem = Problem.grid(2.0, [2.0, 4.0], np.inf, 0.1, 1e-3, CUBIC)
        np.testing.assert_array_equal(
            read["training_limit"].sel(loss="test"), training_curve(problem, [0.1, 1, np.inf]).test
        )
        assert "training_simulation" not in read
    assert main(["plot", "kept/sweep.nc"]) == 0 and (tmp_path / "kept" / "sweep.png").exists()
