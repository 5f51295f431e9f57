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

LAW, LEVELS = networks.gaussian(6), networks.levels.log_uniform(0.02, 3)
ASKED = dict(n=[4, 256], levels=LEVELS, width=64, steps=2000, seeds=2, samples=300, record=[100, 2000], key=3)


@pytest.fixture(scope="module")
def found():
    return networks.over_time(LAW, measured=1024, **ASKED)


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
    assert len(plots.over_time(found)) == len(plots.against_n(found)) == 4
    assert described["parameters"] == networks.parameters(networks.mlp(6, 64)) and described["m"] == "inf"
    assert found.n.values.tolist() == [4, 256] and np.isfinite(found.floor).all()


@pytest.mark.slow
def test_few_points_are_memorised_and_many_are_not(found):
    """Long training with fresh noise: four points in six dimensions come out again, of some hundreds none."""
    few, many = found.sel(n=4), found.sel(n=256)
    copied = few.copied.values
    assert np.all(copied[:, -1] > 0.5) and np.all(copied[:, 0] < 0.3)
    assert np.all(np.abs(many.copied[:, -1] - many.copied_perfect) < 0.05)
    assert np.all(few.position[:, -1] < np.minimum(-0.7, few.position[:, 0]))
    assert np.all(many.position[:, -1] > few.position[:, -1])
    assert np.all(few.empirical_test[:, -1] < 0.7 * few.floor[:, -1]) and np.all(few.floor < few.test)
    assert np.all(few.best_step == 100) and np.all(few.test[:, -1] > few.test[:, 0])


@pytest.mark.slow
def test_same_key_same_numbers(found):
    """Alone and among others, whatever comes after."""
    seen = []
    asked = ASKED | dict(n=4, seeds=1, steps=100, record=[100], progress=lambda *x: seen.append(x))
    one = networks.over_time(LAW, measured=1024, **asked)
    assert seen[-1] == (100, 100)
    for name in ("test", *Statistics._fields):
        expected = found[name].sel(n=4, network=0, step=100)
        np.testing.assert_allclose(one[name].values[0, 0, 0], expected, rtol=1e-4, atol=1e-6, err_msg=name)


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


def test_pictures():
    """Of any numbers under the names of `test_what_is_returned`."""
    rng, dims = np.random.default_rng(0), ("n", "network", "step")
    names = ("train", "empirical_test", "test", "score", "floor", "null", *Statistics._fields)
    values = {name: (dims, rng.uniform(0.1, 1, (2, 2, 2))) for name in names}
    others = [f"{name}_{other}" for name in Statistics._fields for other in ("perfect", "copier")]
    values |= {name: (dims[:2], rng.uniform(0.1, 1, (2, 2))) for name in others}
    values["best_step"] = (dims[:2], np.array([[5, 30], [30, 5]]))
    dataset = xr.Dataset(values, {"n": [4, 8], "step": [5, 30]})
    for draw, lines in ((plots.over_time, 4), (plots.against_n, 2)):
        axes = draw(dataset)
        assert len(axes) == 4 and all(len(axis.lines) >= lines for axis in axes)
        with pytest.raises(ValueError, match="axes: 1 given, must be 4"):
            draw(dataset, axes[:1])
        with pytest.raises(ValueError, match=r"must be of networks\.over_time"):
            draw(dataset.drop_dims("n"))
    expected = dataset.position.sel(n=4).mean("network")
    np.testing.assert_allclose(plots.over_time(dataset)[3].lines[0].get_ydata(), expected)


@pytest.mark.parametrize(
    "changes, text",
    [
        (dict(n=[1, 4]), "n = 1 must be at least 2"),
        (dict(levels=networks.levels.at(0.5)), "levels = .* must span times"),
        (dict(kind="unet"), "for a U-Net"),
        (dict(samples=4), "samples = 4 must be at least d . 2 = 8"),
        (dict(learning_rate=0), "learning_rate must be a number, > 0"),
        (dict(sampler="ddim"), "sampler = 'ddim' must be a sampler of rfdsm.sampling"),
        (dict(width=0), "width = 0 must be"),
        (dict(data=np.random.default_rng(0).normal(size=(50, 6))), "data has 50 rows, must have at least .* = 564"),
    ],
)
def test_refusals(changes, text):
    with pytest.raises(ValueError, match=text):
        networks.over_time(**(dict(data=LAW) | ASKED | changes))
