"""Studies of real networks: theory beside them, kept and resumed, on the command line; and judging samples."""

import json

import numpy as np
import pytest
import xarray as xr

from rfdsm import Problem, networks, plots, predict, sampling
from rfdsm.cli import main
from rfdsm.networks.judge import discrepancy, judge, nearer_to

ASKED = dict(widths=[4, 8], m=[1, np.inf], n=20, steps=30, batch=16, seeds=2, record=[0, 30], key=3)


@pytest.mark.slow
def test_theory_beside_networks(tmp_path):
    law = networks.gaussian(5)
    found = networks.study(law, folder=tmp_path / "kept", **ASKED)
    assert found.test.dims == ("m", "width", "network", "step") and found.test.shape == (2, 2, 2, 2)
    numbers = [networks.parameters(networks.mlp(5, width, 2)) for width in (4, 8)]
    np.testing.assert_array_equal(found.parameters, numbers)
    ends = [float(found.theory_parameters[0]), float(found.theory_parameters[-1])]
    np.testing.assert_allclose(ends, numbers)
    theory = predict(Problem(4.0, numbers[1] / 25, 1, 0.1, 1e-3))
    np.testing.assert_allclose(found.theory_test.sel(m=1)[-1], theory.test, rtol=1e-9)
    np.testing.assert_array_equal(found.train.sel(m=np.inf), found.empirical_test.sel(m=np.inf))
    axes = plots.networks(found)
    assert len(axes) == 4 and all(axis.lines for axis in axes)

    seen = []
    (tmp_path / "kept" / "width-8-m-1.nc").unlink()
    again = networks.study(law, folder=tmp_path / "kept", progress=lambda *x: seen.append(x), **ASKED)
    xr.testing.assert_equal(again, found)
    assert seen[-1] == (120, 120) and not list((tmp_path / "kept").glob("*.state"))
    with pytest.raises(ValueError, match="holds another study: steps = 30 there, 31 here"):
        networks.study(law, folder=tmp_path / "kept", **(ASKED | dict(steps=31)))


@pytest.mark.slow
def test_rows_and_other_kinds(monkeypatch):
    rows = np.random.default_rng(0).normal(size=(40, 16))
    asked = ASKED | dict(m=[2], steps=3, record=[3], seeds=1, widths=[2])
    found = networks.study(rows, kind="random-features", **asked)
    assert np.isfinite(found.test).all() and np.isnan(found.score).all()
    assert json.loads(found.attrs["configuration"])["n"] == 20

    class Asked(Exception):
        """How U-Nets are trained is in test_images."""

    def train(network, *_, **__):
        raise Asked(network)

    monkeypatch.setattr("rfdsm.networks._study.train", train)
    with pytest.raises(Asked) as caught:
        networks.study(rows, kind="unet", shape=(4, 4), depth=1, **asked)
    (network,) = np.ravel(caught.value.args[0])
    assert type(network) is type(networks.unet((4, 4), channels=2, depth=1))


@pytest.mark.parametrize(
    "changes, text",
    [
        (dict(kind="odd"), "kind = 'odd' must be one of mlp, unet, random-features"),
        (dict(kind="unet"), "for a U-Net"),
        (dict(widths=[4, 4]), "different whole numbers"),
        (dict(m=[0]), "m = 0 must be"),
        (dict(seeds=0), "seeds = 0 must be"),
    ],
)
def test_refusals(changes, text):
    with pytest.raises(ValueError, match=text):
        networks.study(networks.gaussian(5), **(ASKED | changes))


@pytest.mark.slow
def test_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.toml").write_text(
        'd = 5\nn = 20\nwidths = [4]\nm = [1, "inf"]\nsteps = 30\nbatch = 16\nseeds = 2\noutput = "here"\n'
    )
    assert main(["networks", "study.toml"]) == 0
    printed = capsys.readouterr()
    assert "± " in printed.out and "training: 60 of 60 steps" in printed.err and "cells" not in printed.err
    with xr.open_dataset(tmp_path / "here" / "networks.nc", engine="scipy") as found:
        assert found.test.shape[:3] == (2, 1, 2)
    assert (tmp_path / "here" / "networks.png").stat().st_size > 10_000


def test_command_refuses(capsys):
    for words, text in (
        ("--psi-n 2", "psi_n is not used"),
        ("--t 0.1 0.2", "must be one number"),
        ("--network odd", "must be one of mlp"),
        ("--data digits --d 4", "d cannot be combined with data"),
    ):
        assert main(["networks", *words.split()]) == 2
        assert text in capsys.readouterr().err


def test_a_copier_and_a_perfect_generator_are_told_apart():
    """By every measure, at the sizes that studies use; what is judged lies where it belongs."""
    rng = np.random.default_rng(2)
    training, fresh = rng.normal(size=(64, 6)), rng.normal(size=(800, 6))
    for samples, like in ((rng.normal(size=(400, 6)), "perfect"), (training[rng.integers(0, 64, 400)], "copier")):
        judged = judge(samples, training, fresh)
        assert judged.copier.copied > 0.95 and judged.perfect.copied < 0.2
        assert judged.copier.nearest < 0.3 * judged.perfect.nearest
        own, other = getattr(judged, like), getattr(judged, "copier" if like == "perfect" else "perfect")
        assert abs(judged.generated.copied - own.copied) < 0.2 < abs(judged.generated.copied - other.copied)
    assert judged.copier.to_training < judged.perfect.to_training and judged.copier.sign == -1
    with pytest.raises(ValueError, match="fresh has 10 rows"):
        judge(samples, training, fresh[:10])


def test_relative_distance_by_its_definition():
    """The integral of squared differences of three densities on a line."""
    rng, x = np.random.default_rng(5), np.linspace(-12, 12, 6001)
    for _ in range(20):
        g, t, f = (rng.normal(size=(count, 1)) for count in (7, 4, 5))
        width = np.std(f) / 4  # of four training points and as many fresh ones

        def density(points, width=width):
            return np.mean(np.exp(-((x - points) ** 2) / (2 * width**2)), axis=0)

        delta = np.sum((density(g) - density(t)) ** 2 - (density(g) - density(f[:4])) ** 2)
        assert nearer_to(g, t, f) == np.sign(delta)


def test_discrepancy_by_its_definition():
    rng = np.random.default_rng(0)
    x, y, width = rng.normal(size=(5, 2)), rng.normal(size=(4, 2)) + 1, 0.8

    def k(a, b):
        return np.exp(-np.sum((a - b) ** 2) / (2 * width**2))

    inside = np.mean([k(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j])
    own = np.mean([k(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j])
    across = np.mean([k(a, b) for a in x for b in y])
    np.testing.assert_allclose(discrepancy(x, y, width), inside + own - 2 * across, rtol=1e-9)
    same = [discrepancy(*rng.normal(size=(2, 50, 2)), 1.0) for _ in range(100)]
    assert abs(np.mean(same)) < 4 * np.std(same) / 10


@pytest.mark.slow
def test_a_trained_network_generates():
    """Conditioned on the level, through the same samplers; narrow data: samples have the variance of the data."""
    law = networks.gaussian(2)
    training = networks.train(
        networks.mlp(2, 32), law, levels=networks.levels.log_uniform(0.02, 3), target="velocity", steps=400, batch=256,
        record=[400],
    )  # fmt: skip
    start = np.random.default_rng(0).normal(size=(2000, 2))
    sampler = sampling.ddim(sampling.geometric(3, 0.02, 12))
    samples = np.asarray(sampling.generate(training.network, sampler, start, target="velocity"))
    np.testing.assert_allclose(np.var(samples, axis=0), 1.0, atol=0.2)
