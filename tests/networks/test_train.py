"""Training of networks: that of the theory's own simulator, optima, keys, resuming, refusals."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rfdsm import Problem, networks, plots, simulate_training, spectra
from rfdsm._arguments import base_key
from rfdsm.simulation._design import normals
from rfdsm.simulation._plan import plan
from rfdsm.simulation._trial import Cell, Trial, seeds
from tests.claims.ledger import ROOT
from tests.sweeps.tiny import CUBIC

STEPS = [0, 1, 10, 60]


@pytest.mark.slow
def test_random_features_are_those_of_simulate_training():
    """Same features, points and frozen noise, full batch: the same losses on the draws in every step."""
    d, m, target = 6, 3, "data"
    problem = Problem(2.0, 4.0, m, 0.4, 0.0, CUBIC, target=target)
    with jax.enable_x64(True):
        request = plan(
            problem, d, trials=1, key=3, data=None, dtype="float64", devices=None, memory_limit=None, primal=True,
            solves=False,
        )  # fmt: skip
        (group,) = request.groups
        word = seeds(base_key(3), 1)[0]
        trial = Trial.drawn(
            jax.random.wrap_key_data(word), jax.tree.map(jnp.asarray, Cell.of(request, group)), group.settings, 1
        )
        n = group.n
        rows = np.asarray(trial.design.training.rows(jnp.arange(n)))
        z = np.stack([normals(trial.design.training.key, j * n + jnp.arange(n), jnp.ones(d)) for j in range(m)], axis=1)
        scale = float(trial.scale) * group.settings.p**0.5
        network = networks.random_features(d, group.settings.p, activation=CUBIC, scale=scale)
        network = networks.RandomFeatureNetwork(trial.law.W, network.A, network.activation, scale)
        asked = dict(level=0.4, target=target, batch=None, steps=60, record=STEPS)
        found = networks.train(
            network, rows, draws=z, optimiser=optax.adam(0.05), test=networks.gaussian(d), key=1, **asked
        )
    expected = simulate_training(problem, STEPS, d, optimiser=optax.adam(0.05), key=3)
    np.testing.assert_allclose(found.losses.train, expected.train[0], rtol=1e-9)
    assert found.parameters == d * group.settings.p and found.m == m
    for name in ("floor", "null"):
        np.testing.assert_allclose(getattr(found.losses, name)[0], getattr(expected, name)[0], rtol=1e-6)
    # on other points: to the accuracy of some thousand pairs
    np.testing.assert_allclose(found.losses.test, expected.test[0], rtol=0.1)
    np.testing.assert_allclose(found.losses.score, expected.score[0], rtol=0.1)


class Linear(networks.MLP):
    """f(y) = M y."""

    def __call__(self, y, level):
        return self.layers[0].weight @ y


@pytest.mark.slow
def test_a_linear_network_reaches_the_floor_of_fresh_points():
    d = 8
    law = networks.gaussian(d, spectra.atoms([0.3, 1.7], [0.5, 0.5]))
    network = Linear(networks.mlp(d, d, 1).layers[:1], [], jnp.tanh)
    network = jax.tree.map(lambda x: x if x.ndim < 2 else 0 * x, network)
    training = networks.train(
        network, law, level=0.3, target="data", steps=3000, batch=256, measured=20_000,
        optimiser=optax.adam(optax.cosine_decay_schedule(0.02, 3000)), record=[0, 3000],
    )  # fmt: skip
    losses = training.losses
    np.testing.assert_allclose(losses.test[0], losses.null[0], rtol=0.03)
    np.testing.assert_allclose(losses.test[-1], losses.floor[-1], rtol=0.03)
    a, h = np.exp(-0.3), -np.expm1(-0.6)
    s = np.asarray(law.eigenvalues)
    np.testing.assert_allclose(losses.floor[0], np.mean(s * h / (a**2 * s + h)), rtol=1e-5)
    best = np.diag(a * s / (a**2 * s + h))
    np.testing.assert_allclose(training.network.layers[0].weight, best, atol=0.03)
    assert losses.score[-1] < 0.02 * losses.score[0]


LAW = networks.gaussian(4)
ROWS = np.random.default_rng(0).normal(size=(30, 4))
ASKED = dict(level=0.5, measured=100, batch=16, test=LAW)  # as in test_resume, too: compiled once


@pytest.mark.slow
def test_networks_side_by_side_are_those_alone():
    nets = [networks.mlp(4, 8, key=k) for k in range(2)]
    asked = dict(m=2, steps=80, record=[0, 20, 80], key=5, **ASKED)
    both = networks.train(nets, ROWS, keep=True, **asked)
    assert both.losses.test.shape == (2, 3) and len(both.network) == 2
    np.testing.assert_array_equal(both.kept[2][1].layers[0].weight, both.network[1].layers[0].weight)
    alone = networks.train(nets[1:], ROWS, **asked)
    assert not np.allclose(alone.losses.test[0], both.losses.test[1])  # network k has key k
    assert not np.array_equal(both.network[0].layers[0].weight, both.network[1].layers[0].weight)
    first = networks.train(nets[:1], ROWS, **asked)
    np.testing.assert_allclose(first.losses.test[0], both.losses.test[0], rtol=1e-5)
    dataset = both.to_dataset()
    assert dataset.test.dims == ("network", "step") and np.isfinite(dataset.floor).all()
    axes = plots.networks(dataset)
    assert len(axes) == 4
    np.testing.assert_allclose(axes[2].lines[0].get_ydata(), both.losses.test[:, 1:].mean(axis=0))


DIVIDED = """
import jax
from rfdsm import networks
from tests.networks.test_train import ASKED, ROWS
asked = dict(m=2, steps=20, record=[20], devices=jax.devices()) | ASKED
assert len(jax.devices()) == 2
print(networks.train(networks.mlp(4, 8), ROWS, **asked).losses.test[0])
try:
    networks.train(networks.mlp(4, 8), ROWS, **(asked | dict(batch=15)))
except ValueError as error:
    assert "multiple of the 2 devices" in str(error)
else:
    raise AssertionError
"""


@pytest.mark.slow
def test_batches_are_divided_among_devices():
    own = {"XLA_FLAGS": os.environ["XLA_FLAGS"] + " --xla_force_host_platform_device_count=2", "JAX_ENABLE_X64": "1"}
    options = dict(env=os.environ | own, cwd=ROOT, check=True, stdout=subprocess.PIPE, timeout=600)
    two = float(subprocess.run([sys.executable, "-c", DIVIDED], **options).stdout)
    one = networks.train(networks.mlp(4, 8), ROWS, m=2, steps=20, record=[20], **ASKED).losses.test
    np.testing.assert_allclose(one, two, rtol=1e-5)


@pytest.mark.slow
def test_numbers_of_draws_share_what_is_compiled():
    compiled = []
    count = lambda event, *_, **__: compiled.append(event) if "backend_compile" in event else None  # noqa: E731
    asked = dict(steps=3, record=[3], **ASKED)
    networks.train(networks.mlp(4, 8), ROWS, m=2, **asked)
    jax.monitoring.register_event_duration_secs_listener(count)
    try:
        for m in (5, np.inf):
            networks.train(networks.mlp(4, 8), ROWS, m=m, **asked)
        assert compiled == []
    finally:
        jax.monitoring.unregister_event_duration_listener(count)
    # Nor do settings of the user matter.
    expected = networks.train(networks.mlp(4, 8), ROWS, **asked).losses.test
    with jax.debug_nans(True), jax.numpy_rank_promotion("raise"), jax.numpy_dtype_promotion("strict"):
        np.testing.assert_array_equal(networks.train(networks.mlp(4, 8), ROWS, **asked).losses.test, expected)


@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_training():
    with pytest.warns(RuntimeWarning, match="training stopped at step"):
        training = networks.train(
            networks.mlp(4, 8), ROWS, steps=200, optimiser=optax.sgd(1e6), record=[0, 200], **ASKED
        )
    assert 0 < training.failed < 200 and np.isnan(training.losses.test[-1])
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(training.network) if hasattr(x, "dtype"))


@pytest.mark.slow
def test_averages_are_what_is_measured():
    asked = dict(steps=50, record=[0, 50], key=2, **ASKED)
    plain, slow = (networks.train(networks.mlp(4, 8), ROWS, ema=ema, **asked) for ema in (None, 0.999))
    start = networks.mlp(4, 8)
    moved, less = (
        max(np.abs(np.subtract(*map(np.asarray, pair))).max() for pair in zip(*leaves, strict=True))
        for leaves in (map(jax.tree.leaves, (one.network, start)) for one in (plain, slow))
    )
    assert less < 0.06 * moved


@pytest.mark.parametrize(
    "changes, text",
    [
        (dict(level=None), "level or levels must be given"),
        (dict(levels=networks.levels.uniform(0.1, 1)), "and not both"),
        (dict(level=-1), "level must be a number"),
        (dict(level=2.0, schedule="flow"), "levels = 2 must be"),
        (dict(m=0), "m = 0 must be"),
        (dict(m=np.nan), "m = nan must be"),
        (dict(m=10**9), "must be less than 2"),
        (dict(batch=None, m=np.inf), "batch = None takes all frozen pairs"),
        (dict(steps=0), "steps = 0 must be"),
        (dict(record=[5, 500]), "record = .* must be whole numbers"),
        (dict(test=np.ones((3, 5))), "test has d = 5"),
        (dict(data=np.full((5, 4), np.nan)), "data"),
        (dict(data=LAW, m=2), "m = 2 must be inf for a law"),
        (dict(network=networks.mlp(5, 4)), "network cannot take y of shape"),
        (dict(network=lambda y, level: y), "no floating arrays"),
        (dict(network=[]), "one network or more"),
        (dict(network=[networks.mlp(4, 4), networks.mlp(4, 5)]), "one structure and shape"),
        (dict(optimiser="adam"), "must be an optax optimiser"),
        (dict(ema=1.0), "ema must be a number"),
        (dict(draws=np.ones((3, 2, 4))), "draws have shape"),
        (dict(target="linear:1,1", level=0.6931471805599453 / 2), "target"),
        (dict(measured=10**9), "memory"),
    ],
)
def test_refusals(changes, text):
    asked = dict(network=networks.mlp(4, 4), data=ROWS, level=0.5, steps=10) | changes
    with pytest.raises(ValueError, match=text):
        networks.train(**asked)


def test_refusals_of_networks():
    for call, text in (
        (lambda: networks.unet((6, 6), depth=2), "multiples of 2"),
        (lambda: networks.unet(8), "must be"),
        (lambda: networks.mlp(0, 4), "d = 0"),
        (lambda: networks.gaussian_images((4,)), "must be"),
        (lambda: networks.levels.uniform(1, 0.5), "high must be a number"),
        (lambda: networks.gaussian(4, "x"), "spectrum"),
    ):
        with pytest.raises(ValueError, match=text):
            call()


@pytest.mark.slow
def test_batches_of_frozen_pairs_reach_their_least_squares():
    """All pairs are drawn, and no others: a linear network ends at the solution of the normal equations."""
    rows, draws = np.random.default_rng(3).normal(size=(12, 3)), np.random.default_rng(4).normal(size=(12, 2, 3))
    network = Linear(networks.mlp(3, 3, 1).layers[:1], [], jnp.tanh)
    training = networks.train(
        network, rows, draws=draws, level=0.5, steps=3000, batch=16, test=networks.gaussian(3), record=[3000],
        optimiser=optax.adam(optax.cosine_decay_schedule(0.02, 3000)),
    )  # fmt: skip
    a, h = np.exp(-0.5), -np.expm1(-1.0)
    z = draws.reshape(-1, 3)
    y = a * np.repeat(rows, 2, axis=0) + np.sqrt(h) * z
    best = np.linalg.lstsq(y, -z, rcond=None)[0]
    np.testing.assert_allclose(training.losses.train[-1], np.mean((y @ best + z) ** 2), rtol=2e-3)
    np.testing.assert_allclose(training.network.layers[0].weight, best.T, atol=0.03)


@pytest.mark.slow
def test_frozen_draws_are_learnt_by_heart_and_fresh_ones_cannot_be():
    """One executable makes both: a draw per point is fitted, its points with fresh noise are not."""
    rows = np.random.default_rng(3).normal(size=(12, 3))
    asked = dict(level=0.5, steps=1500, batch=8, measured=600, record=[1500], optimiser=optax.adam(1e-2))
    for m, low, high in ((1, 0.0, 0.3), (np.inf, 0.8, 1.25)):
        losses = networks.train(networks.mlp(3, 32), rows, m=m, test=networks.gaussian(3), **asked).losses
        assert low < losses.train[-1] / losses.empirical_test[-1] < high


@pytest.mark.slow
def test_levels_and_weights():
    u = jnp.linspace(0.0, 1.0, 5)
    np.testing.assert_allclose(networks.levels.uniform(0.1, 0.5).draw(u), [0.1, 0.2, 0.3, 0.4, 0.5], rtol=1e-6)
    np.testing.assert_allclose(networks.levels.log_uniform(0.01, 1).draw(u), np.geomspace(0.01, 1, 5), rtol=1e-5)
    plain, double = (
        networks.train(
            networks.mlp(4, 8), LAW, levels=networks.levels.uniform(0.2, 1.0, weight), target="data", steps=1,
            record=[0], measured=500,
        ).losses
        for weight in (None, lambda level: 2 * jnp.ones_like(level.t))
    )  # fmt: skip
    for name in ("train", "empirical_test", "test", "floor", "null"):
        np.testing.assert_allclose(getattr(double, name), 2 * getattr(plain, name), rtol=1e-5)
    np.testing.assert_allclose(double.score, plain.score, rtol=1e-5)
    t = np.linspace(0.2, 1.0, 2001)
    h = -np.expm1(-2 * t)  # of unit variance: the loss of the best network is h
    np.testing.assert_allclose(plain.floor, np.mean(h), rtol=0.03)


def test_waves_of_images():
    """Stationary, of unit variance; variances of waves fall like |k|^-exponent."""
    law = networks.gaussian_images((8, 8), exponent=3)
    covariance = np.asarray(law.vectors) * np.asarray(law.eigenvalues) @ np.asarray(law.vectors).T
    np.testing.assert_allclose(np.diag(covariance), 1.0)
    np.testing.assert_allclose(covariance[0, 1], covariance[9, 10])
    x = np.arange(8)
    waves = [np.outer(np.cos(2 * np.pi * k * x / 8), np.ones(8)).ravel() for k in (1, 2)]
    first, second = (wave @ covariance @ wave / (wave @ wave) for wave in waves)
    np.testing.assert_allclose(first / second, 2**3, rtol=1e-6)


def test_score_of_laws_is_the_gradient_of_their_density():
    law = networks.gaussian_images((2, 3), exponent=2, mean=0.5, std=0.7)
    a, h, y = 0.6, 0.3, jnp.asarray(np.random.default_rng(1).normal(size=6))
    vectors, values = np.asarray(law.vectors), np.asarray(law.eigenvalues)
    covariance = (vectors * (a**2 * values + h)) @ vectors.T

    def log_density(y):
        off = y - a * law.mean
        return -0.5 * off @ jnp.linalg.solve(jnp.asarray(covariance), off)

    np.testing.assert_allclose(law.score(y, a, h), jax.grad(log_density)(y), rtol=1e-4)
