"""`rfdsm generate`: tables, files and pictures, and what it refuses."""

import numpy as np
import pytest
import xarray as xr

from rfdsm import Problem, generated_law, plots, sampling
from rfdsm.cli import main
from rfdsm.datasets import generation
from tests.sweeps.tiny import CUBIC


@pytest.mark.slow
def test_law_and_simulation(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = "--psi-n 3 --psi-p 1 --m 2 --target velocity --steps 3 --first 2 --last 0.2 --sampler ddim:0.5"
    words += " --activation polynomial:0.1,1,0.3,0.1"
    words += " --simulate --d 16 --trials 2 --samples 60 --keep-samples"
    assert main(["generate", *words.split()]) == 0
    out = capsys.readouterr().out
    found = xr.load_dataset(tmp_path / "rfdsm-generate" / "generation.nc")
    sampler = sampling.ddim(sampling.geometric(2, 0.2, 3), 0.5)
    law = generated_law(Problem(3.0, 1.0, 2, 1.0, 0.03, CUBIC, target="velocity"), sampler)
    np.testing.assert_allclose(found["kl"], law.kl, rtol=1e-10)
    np.testing.assert_allclose(found["step"], sampler.levels[1:])
    assert found["simulated_variances"].shape == (2, 16)
    samples = found["simulated_samples"]
    assert samples.dims == ("trial", "sample", "coordinate") and samples.shape == (2, 60, 16)
    mean_square = (samples**2).mean(("sample", "coordinate"))
    np.testing.assert_allclose(mean_square, found["simulated_variances"].mean("direction"), rtol=0.03)
    assert "velocity" in found.attrs["configuration"]
    assert (tmp_path / "rfdsm-generate" / "generation.png").stat().st_size > 10_000
    assert f"{law.kl:.6g}" in out and "these networks" in out


@pytest.mark.parametrize(
    "words, message",
    [
        ("--t 1", "t is not used"),
        ("--sampler magic", "sampler = 'magic' must be one of ddim, ddpm, euler, reverse_sde"),
        ("--levels 1 2", "strictly descending"),
        ("--levels 2 1 --steps 3", "steps must not be given with levels"),
        ("--rule odd", "rule = odd must be one of geometric"),
        ("--schedule flow --first 2", "levels = 2 must be > 0 and < 1"),
        ("--keep-samples", "keep_samples needs simulate"),
    ],
)
def test_refusals(words, message, capsys):
    assert main(["generate", *words.split()]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_picture_of_one_law():
    problem, sampler = Problem(0.5, 2.0, 2, 1.0, 0.05, target="data"), sampling.ddim([1.0, 0.5, 0.1])
    one = generation(problem, sampler, generated_law(problem, sampler))
    axes = plots.generation(one)
    assert len(axes) == 3 and float(one["mass"]) == 0.5
    line = axes[0].lines[0]
    np.testing.assert_allclose(np.sort(line.get_ydata()), np.sort(one["path"].values[-1][one["weights"].values > 0]))


def test_picture_of_a_grid():
    """A line for each divergence."""
    problem, sampler = Problem(0.5, [1.0, 2.0, 4.0], 2, 1.0, 0.05, target="data"), sampling.ddim([1.0, 0.5, 0.1])
    law = generated_law(problem, sampler)
    (axis,) = plots.generation(generation(problem, sampler, law))
    np.testing.assert_allclose(axis.lines[0].get_ydata(), law.kl)
    with pytest.raises(ValueError, match="axes: 3 given, must be 1"):
        plots.generation(generation(problem, sampler, law), [axis] * 3)
