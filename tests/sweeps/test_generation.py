"""Generated samples as a quantity of sweeps: numbers of `compare`, kept, resumed, by workers, on the command line."""

import numpy as np
import pytest
import xarray as xr

from rfdsm import Problem, compare, generated_law, sampling, sweep, sweeps
from rfdsm.cli import main
from rfdsm.sweeps import _picture as picture
from tests.sweeps.tiny import CUBIC

SAMPLER = sampling.ddim(sampling.geometric(2, 0.2, 2), 0.5)
PROBLEM = Problem.grid(2.0, [1.0, 2.0], 2, 2.0, 0.05, CUBIC, target="velocity")
ASKED = dict(sampler=SAMPLER, samples=40, d=10, trials=2, key=5, progress=False)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("samples") / "store"
    return folder, sweep(PROBLEM, store=folder, **ASKED)


def test_they_are_those_of_compare(whole, tmp_path):
    _, swept = whole
    own = compare(PROBLEM, 10, sampler=SAMPLER, samples=40, trials=2, key=5).to_dataset()
    for name in own.data_vars:
        np.testing.assert_array_equal(swept[name], own[name], err_msg=str(name))
    np.testing.assert_allclose(swept["limit"].sel(quantity="kl"), generated_law(PROBLEM, SAMPLER).kl, rtol=1e-12)
    assert swept["converged"].all() and not swept["failed"].any() and "simulated_objective" not in swept
    swept.to_netcdf(tmp_path / "samples.nc", engine="scipy")
    with xr.open_dataset(tmp_path / "samples.nc", engine="scipy") as read:
        xr.testing.assert_equal(read, swept)


def test_no_digit_of_a_sampler_is_lost():
    for eta in (1 / 3, 0.1, 0.0, 1.0):
        sampler = sampling.ddim(SAMPLER.levels, eta)
        assert sampling.get(str(sampler), sampler.levels) == sampler


def test_they_are_kept_and_resumed(whole):
    folder, swept = whole
    assert sweeps.load(folder).equals(swept)
    next(folder.glob("units/d10-*.npz")).unlink()
    assert np.isnan(sweeps.load(folder)["simulation"]).any()
    assert sweeps.resume(folder, progress=False).equals(swept)
    for other in (dict(samples=41), dict(networks="shared"), dict(start=2.0), dict(sampler=sampling.ddpm([2, 1, 0.2]))):
        with pytest.raises(sweeps.SweepError, match="holds another sweep"):
            sweep(PROBLEM, store=folder, **(ASKED | other))


def test_workers_find_the_same(whole):
    _, swept = whole
    found = sweep(PROBLEM, executor="processes:2", **ASKED)
    np.testing.assert_allclose(found["simulation"], swept["simulation"], rtol=1e-9)


def test_theory_alone_and_its_picture(whole):
    _, swept = whole
    alone = sweep({"psi_n": 2.0, "psi_p": [1.0, 2.0], "m": 2, "ridge": 0.05, "target": "velocity", "activation": CUBIC},
                  quantities="theory", sampler=SAMPLER, progress=False)  # fmt: skip
    np.testing.assert_allclose(alone["limit"], swept["limit"], rtol=1e-12)
    for dataset in (alone, swept):
        axes = picture.draw(dataset)
        assert len(axes) == dataset.sizes["quantity"] and axes[0].lines


@pytest.mark.parametrize(
    ("problem", "more", "text"),
    [
        (PROBLEM, dict(sampler="ddim"), "sampler = 'ddim' must be one of rfdsm.sampling"),
        (PROBLEM, dict(samples=1), "samples = 1 must be"),
        (PROBLEM, dict(networks="some"), "networks = 'some' must be one of independent, shared"),
        (PROBLEM, dict(start=-1), "start = -1 must be"),
        (PROBLEM, dict(dtype="float32"), "dtype = 'float32' must be 'float64'"),
        (PROBLEM, dict(quantities="training", times=[1.0]), "without a sampler"),
        (Problem(2, 1, 2, [1.0, 2.0], 0.05), {}, "t = .* must be one number"),
        (Problem(2, 1, 2, 1.0, 0.0), {}, "ridge = 0"),
    ],
)
def test_refusals(problem, more, text):
    with pytest.raises(ValueError, match=text):
        sweep(problem, **(ASKED | more))


def test_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = "sweep --psi-n 2 --psi-p 1 2 --m 2 --ridge 0.05 --target velocity --activation polynomial:0.1,1,0.3,0.1"
    words += " --sampler ddim:0.5 --levels 2 1 0.2"
    assert main([*words.split(), "--quantities", "theory", "--store", "kept"]) == 0
    with xr.open_dataset(tmp_path / "kept" / "sweep.nc", engine="scipy") as found:
        law = generated_law(PROBLEM, sampling.ddim([2, 1, 0.2], 0.5))
        np.testing.assert_allclose(found["limit"].sel(quantity="kl"), law.kl, rtol=1e-10)
    assert main(["plot", "kept"]) == 0 and (tmp_path / "kept" / "sweep.png").stat().st_size > 10_000
    for words, text in (
        ("--samples 50", "samples needs a sampler"),
        ("--sampler ddim --t 1", "t is not used with a sampler"),
        ("--sampler odd", "sampler = 'odd' must be one of ddim"),
        ("--sampler ddim:x", "must have a number from 0 to 1"),
        ("--sampler ddim:2", "eta must be a number, from 0 to 1"),
    ):
        assert main(["sweep", *words.split()]) == 2
        assert text in capsys.readouterr().err
