"""Losses and samples during training: what they are of, keys, memorisation with few points and none with many."""

import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from rfdsm import networks, plots
from rfdsm.networks._times import together
from rfdsm.networks.judge import Statistics
from rfdsm.sampling import NoiseLevel

LAW, LEVELS = networks.gaussian(3), networks.levels.log_uniform(0.05, 2.0)
ASKED = dict(
    n=[4, 8], levels=LEVELS, width=8, steps=30, record=[5, 30], seeds=2, samples=40, measured=100, batch=16, key=3
)


@pytest.fixture(scope="module")
def found():
    return networks.over_time(LAW, **ASKED)


@pytest.mark.slow
def test_what_is_returned(found):
    assert found.test.dims == ("n", "network", "step") and found.test.shape == (2, 2, 2)
    for name in Statistics._fields:
        assert found[name].dims == ("n", "network", "step") and np.isfinite(found[name]).all()
        for other in ("perfect", "copier"):
            assert found[f"{name}_{other}"].shape == (2, 2)
        assert found[name].attrs["long_name"]
    assert (found.copied_copier > 0.8).all() and (found.nearest_copier < found.nearest_perfect).all()
    least = found.test.argmin("step")
    np.testing.assert_array_equal(found.best_step, found.step.values[least])
    np.testing.assert_array_equal(found.test.sel(step=found.best_step), found.test.min("step"))
    described = json.loads(found.attrs["configuration"])
    assert described["parameters"] == networks.parameters(networks.mlp(3, 8)) and described["m"] == "inf"
    assert found.n.values.tolist() == [4, 8] and np.isfinite(found.floor).all()


def test_same_key_same_numbers(found):
    seen = []
    again = networks.over_time(LAW, progress=lambda *x: seen.append(x), **ASKED)
    xr.testing.assert_identical(again, found)
    assert seen[-1] == (120, 120)
    one = networks.over_time(LAW, **(ASKED | dict(n=8, seeds=1)))  # alone and among others
    np.testing.assert_allclose(one.test.values[0, 0], found.test.sel(n=8, network=0), rtol=1e-6)
    np.testing.assert_allclose(one.position.values[0, 0], found.position.sel(n=8, network=0), rtol=1e-4)


def test_networks_side_by_side_predict_what_each_does():
    nets = [networks.mlp(3, 8, key=k) for k in range(3)]
    arrays, static = zip(*(eqx.partition(net, eqx.is_array) for net in nets), strict=True)
    y = jnp.asarray(np.random.default_rng(0).normal(size=(5, 9)))
    level = NoiseLevel(*np.float32([0.5, 0.6, 0.64, 1.0]))
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *arrays)
    for k, net in enumerate(nets):
        expected = [net(row[3 * k : 3 * k + 3], level) for row in y]
        np.testing.assert_allclose(
            together(stacked, static[0], y, level)[:, 3 * k : 3 * k + 3], expected, rtol=1e-4, atol=1e-6
        )


def test_pictures(found):
    for draw, lines in ((plots.over_time, 4), (plots.against_n, 2)):
        axes = draw(found)
        assert len(axes) == 4 and all(len(axis.lines) >= lines for axis in axes)
        with pytest.raises(ValueError, match="axes: 1 given, must be 4"):
            draw(found, axes[:1])
        with pytest.raises(ValueError, match=r"must be of networks\.over_time"):
            draw(found.drop_dims("n"))
    np.testing.assert_allclose(plots.over_time(found)[3].lines[0].get_ydata(), found.position.sel(n=4).mean("network"))


@pytest.mark.slow
def test_few_points_are_memorised_and_many_are_not():
    """Long training with fresh noise: four points in six dimensions come out again, of some hundreds none."""
    found = networks.over_time(
        networks.gaussian(6), n=[4, 256], levels=networks.levels.log_uniform(0.02, 3), width=64, steps=3000, seeds=1,
        samples=300, record=[100, 3000], measured=1024,
    ).isel(network=0)  # fmt: skip
    few, many = found.sel(n=4), found.sel(n=256)
    assert few.copied[-1] > 0.5 > 0.3 > few.copied[0] and abs(many.copied[-1] - many.copied_perfect) < 0.05
    assert few.position[-1] < min(-0.7, few.position[0]) and many.position[-1] > few.position[-1]
    assert few.empirical_test[-1] < 0.7 * few.floor[-1] < few.test[-1]
    assert few.best_step == 100 and few.test[-1] > few.test[0]


@pytest.mark.parametrize(
    "changes, text",
    [
        (dict(n=[1, 4]), "n = 1 must be at least 2"),
        (dict(n=[4, 4]), "different whole numbers"),
        (dict(levels=networks.levels.at(0.5)), "levels = .* must span times"),
        (dict(levels=0.5), "levels = 0.5 must span times"),
        (dict(kind="odd"), "kind = 'odd' must be one of mlp, unet"),
        (dict(kind="unet"), "for a U-Net"),
        (dict(samples=4), "samples = 4 must be at least d . 2 = 5"),
        (dict(learning_rate=0), "learning_rate must be a number, > 0"),
        (dict(sampler="ddim"), "sampler = 'ddim' must be a sampler of rfdsm.sampling"),
        (dict(width=0), "width = 0 must be"),
        (dict(seeds=0), "seeds = 0 must be"),
        (dict(record=[50]), "record = .* must be whole numbers"),
        (dict(data=np.random.default_rng(0).normal(size=(50, 3))), "data has 50 rows, must have at least .* = 53"),
    ],
)
def test_refusals(changes, text):
    with pytest.raises(ValueError, match=text):
        networks.over_time(**(dict(data=LAW) | ASKED | changes))
