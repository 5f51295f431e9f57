"""The simulator: its algebra against plain NumPy, its randomness, its limits, its refusals."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rfdsm import Losses, Problem, activations, simulate, simulate_training, spectra
from rfdsm.simulation import (
    _design as design,
    _eigenpath as eigenpath,
    _minimiser as minimiser,
    _moments as moments,
    _plan as planning,
    _simulate as simulating,
    _strips as strips,
    realised,
)
from tests.levels import noise_of
from tests.sweeps.tiny import CUBIC
from tests.tolerances import IDENTITY, ROUTES

NAMES = (*Losses.NAMES, "objective", "floor")
N, P, D, DRAWS, H, RIDGE = 20, 70, 6, 4, 0.4, 0.05
TANH = activations.get("tanh")


@pytest.fixture(scope="module")
def trial():
    """A small trial and its training draws written out: features (nm, p), noise (nm, d)."""
    drawn = design.draw(jax.random.key(1), jnp.asarray(N), P, design.Normal(jnp.linspace(0.5, 1.5, D)))
    i = np.arange(N * DRAWS) % N
    z = np.asarray(design.normals(drawn.training.key, jnp.arange(N * DRAWS), drawn.training.deviations))
    y = np.sqrt(1 - H) * np.asarray(drawn.training.rows(jnp.asarray(i))) + np.sqrt(H) * z
    return drawn, np.tanh(y @ np.asarray(drawn.W).T / np.sqrt(D)), z


def law(drawn, chunk):
    return moments.Law(drawn.W, TANH, noise_of(jnp.asarray(H, float), jnp), chunk, 1)


@pytest.fixture(scope="module")
def accumulated(trial):
    return moments.training_moments(law(trial[0], 16), trial[0].training, jnp.asarray(DRAWS))


def symmetric(parts):
    lower = np.tril(strips.lower(parts))
    return lower + np.tril(lower, -1).T


def test_points_are_gaussian_with_the_covariance_asked_for():
    drawn = design.draw(jax.random.key(5), jnp.asarray(10), 3, design.Normal(jnp.asarray([0.0, 0.25, 4.0])))
    rows = np.asarray(drawn.training.rows(jnp.arange(20000)))
    np.testing.assert_allclose(np.std(rows, axis=0), [0.0, 0.5, 2.0], rtol=0.02)
    np.testing.assert_allclose(np.corrcoef(rows[:, 1:].T), np.eye(2), atol=0.03)
    np.testing.assert_array_equal(rows[7:9], drawn.training.rows(jnp.asarray([7, 8])))


def test_rows_features_and_noise_are_independent(trial):
    drawn, _, z = trial
    rows = np.asarray(drawn.training.rows(jnp.arange(N)))
    parts = [
        rows.ravel() / np.std(rows),
        z[: N // 2 * 2].ravel()[: N * D],
        z.ravel()[-N * D :],
        np.ravel(drawn.W)[: N * D],
    ]
    correlations = np.corrcoef(np.stack(parts))
    assert np.max(np.abs(correlations - np.eye(4))) < 4.5 / np.sqrt(N * D)


def test_streamed_residual_moment_equals_the_written_out_one(trial):
    drawn, phi, z = trial
    B = np.random.default_rng(0).normal(size=(D, P))
    streamed = moments.residual_moment(law(drawn, 16), drawn.training, jnp.asarray(DRAWS), jnp.asarray(B))
    np.testing.assert_allclose(streamed, phi.T @ (z + phi @ B.T) / len(phi), rtol=IDENTITY, atol=1e-13)


@pytest.mark.parametrize("chunk", [7, 1000])
def test_streamed_moments_equal_the_written_out_ones(trial, chunk):
    drawn, phi, z = trial
    streamed = moments.training_moments(law(drawn, chunk), drawn.training, jnp.asarray(DRAWS))
    np.testing.assert_allclose(symmetric(streamed.U), phi.T @ phi / len(phi), rtol=IDENTITY, atol=1e-15)
    np.testing.assert_allclose(streamed.V, phi.T @ z / len(phi), rtol=IDENTITY, atol=1e-15)
    np.testing.assert_allclose(streamed.offset_squared, np.mean(z**2), rtol=IDENTITY)


@pytest.mark.parametrize("chunk, size", [(16, 80), (1000, 96)])
def test_samples_are_the_draws_and_zeros(trial, chunk, size):
    drawn, phi, z = trial
    samples = moments.training_samples(law(drawn, chunk), drawn.training, jnp.asarray(DRAWS), size)
    for part, expected in zip(samples, (phi, z), strict=True):
        assert len(part) == size
        np.testing.assert_allclose(part[: len(phi)] * np.sqrt(len(phi)), expected, rtol=IDENTITY, atol=1e-15)
        np.testing.assert_array_equal(part[len(phi) :], 0)


def test_loss_of_a_network(trial, accumulated):
    _, phi, z = trial
    B = 0.1 * np.random.default_rng(1).normal(size=(D, P))
    np.testing.assert_allclose(
        accumulated.loss(jnp.asarray(B)), np.mean(np.sum((phi @ B.T + z) ** 2, axis=1)) / D, rtol=IDENTITY
    )


@pytest.fixture(scope="module")
def least_squares(trial):
    """The minimum by another route: least squares on draws and penalty rows stacked together."""
    _, phi, z = trial
    stacked = np.concatenate([phi / np.sqrt(len(phi)), np.sqrt(RIDGE) * np.eye(P)])
    target = np.concatenate([-z / np.sqrt(len(phi)), np.zeros((P, D))])
    B = np.linalg.lstsq(stacked, target, rcond=None)[0].T
    return B, np.mean(np.sum((phi @ B.T + z) ** 2, axis=1)) / D


def test_minimisers_are_the_ridge_solution_of_the_stacked_least_squares(trial, accumulated, least_squares):
    B, train = least_squares
    samples = moments.training_samples(law(trial[0], 32), trial[0].training, jnp.asarray(DRAWS), 96)
    for solution in (
        minimiser.ridge_minimiser(accumulated, jnp.asarray(RIDGE)),
        minimiser.dual_ridge_minimiser(samples, jnp.asarray(RIDGE)),
    ):
        np.testing.assert_allclose(solution.B, B, rtol=ROUTES, atol=1e-13)
        np.testing.assert_allclose(solution.train, train, rtol=ROUTES)


@pytest.mark.parametrize("dual", [False, True])
def test_eigenpath_passes_through_the_ridge_solution(trial, accumulated, least_squares, dual):
    B, train = least_squares
    samples = moments.training_samples(law(trial[0], 32), trial[0].training, jnp.asarray(DRAWS), 96)
    path = eigenpath.dual_eigenpath(samples) if dual else eigenpath.eigenpath(accumulated)
    filters = eigenpath.ridge_filters(path, jnp.asarray([3.0, RIDGE]))
    np.testing.assert_allclose(eigenpath.train(path, filters)[1], train, rtol=ROUTES)
    np.testing.assert_allclose(eigenpath.norm(path, filters)[1], np.sum(B**2) / D, rtol=ROUTES)
    rng = np.random.default_rng(2)
    root, V = rng.normal(size=(P, P)), rng.normal(size=(P, D))
    other = moments.Moments(strips.gram(jnp.asarray(root)), jnp.asarray(V), jnp.asarray(1.3))
    expected = 1.3 + (2 * np.trace(B @ V) + np.trace(B @ root @ root.T @ B.T)) / D
    np.testing.assert_allclose(eigenpath.losses(path, filters, other)[1], expected, rtol=ROUTES)
    np.testing.assert_allclose(other.loss(jnp.asarray(B)), expected, rtol=ROUTES)


def test_one_ridge_and_several_are_the_same_networks():
    """Cholesky and eigendecomposition, primal (m = 8, inf) and dual (m = 1), order of ridges kept."""
    ridges = np.array([1e-2, 1.0, 1e-3])
    several = simulate(Problem.grid(1.0, 1.5, [1, 8, np.inf], 0.2, ridges, CUBIC), 12, trials=2, key=4)
    one = simulate(Problem(1.0, 1.5, np.array([1, 8, np.inf]), 0.2, 1.0, CUBIC), 12, trials=2, key=4)
    for name in NAMES:
        np.testing.assert_allclose(getattr(several, name)[..., 1], getattr(one, name), rtol=1e-9)


def batched(*args, **options):
    """The plan of an accelerator, whose trials run together."""
    request = planning.plan(*args, **options)
    groups = [group._replace(settings=group.settings._replace(together=True)) for group in request.groups]
    return request._replace(groups=groups)


def test_trials_do_not_depend_on_batching_or_chunks(monkeypatch):
    problem = Problem.grid([1.0, 2.0], 1.5, [1, 3], 0.2, 1e-2, CUBIC)
    losses = simulate(problem, 12, trials=3, key=7)
    alone = simulate(Problem(2.0, 1.5, 3, 0.2, 1e-2, CUBIC), 12, trials=2, key=7)
    monkeypatch.setattr(planning, "feature_chunk", lambda p, draws: 37)
    monkeypatch.setattr(planning, "coefficient_chunk", lambda p, terms, n: 5)
    monkeypatch.setattr(simulating, "plan", batched)
    looped = simulate(problem, 12, trials=3, key=jax.random.key(7))
    for name in NAMES:
        values = getattr(losses, name)
        assert values.shape == (3, 2, 2)
        np.testing.assert_allclose(getattr(looped, name), values, rtol=IDENTITY)
        np.testing.assert_allclose(getattr(alone, name), values[:2, 1, 1], rtol=IDENTITY)
    assert np.std(losses.train[:, 0, 0]) > 0  # trials differ
    np.testing.assert_array_equal(losses.run.n, [[12, 12], [24, 24]])
    np.testing.assert_array_equal(losses.run.p, 18)
    expected = [jax.random.key_data(jax.random.fold_in(jax.random.key(7), k)) for k in range(3)]
    np.testing.assert_array_equal(losses.run.seeds, expected)
    old_style = simulate(Problem(2.0, 1.5, 3, 0.2, 1e-2, CUBIC), 12, trials=2, key=jax.random.PRNGKey(7))
    np.testing.assert_allclose(old_style.test, alone.test, rtol=IDENTITY)
    other = simulate(Problem(2.0, 1.5, 3, 0.2, 1e-2, CUBIC), 12, trials=2, key=8)
    assert not np.any(other.train == alone.train)


def agrees_with_float64(run):
    """The same networks: one key draws the same numbers in both precisions."""
    double, single = run(dtype="float64"), run(dtype="float32")
    assert single.test.dtype == np.float32 and double.test.dtype == np.float64
    for name in (*NAMES, "objective"):
        np.testing.assert_allclose(getattr(single, name), getattr(double, name), rtol=1e-4, atol=0, err_msg=name)
    return double


def test_float32_where_small_eigenvalues_decide():
    """nm = p, two ridges: of the eigenvalues of K many are below what single precision can tell from zero."""
    double = agrees_with_float64(partial(simulate, Problem(4, 16, 4, 0.1, [1e-3, 1e-2]), 40))
    np.testing.assert_allclose(double.test, [[2.776, 1.399]], atol=5e-4)


def test_float32_agrees_with_float64_on_batches():
    """Which are the same ones in both precisions."""
    problem = Problem.grid(2.0, 4.0, 3, 0.1, [1e-4, 0.0], "relu")
    agrees_with_float64(partial(simulate_training, problem, [0, 100], 12, optimiser=optax.adam(1e-2), batch_size=16))


@pytest.mark.parametrize(
    "fields, features, products",
    [
        (dict(m=4), "float32", "float64"),
        (dict(m=40), "float32", "float32"),
        (dict(m=np.inf), "float64", "float64"),
        (dict(m=40, ridge=1e-6), "float64", "float64"),
        (dict(m=40, activation=lambda u: jnp.tanh(u) + 30.0), "float64", "float64"),
        (dict(m=40, t=4.0), "float64", "float64"),
        (dict(m=40, activation=lambda u: 30.0 * jnp.tanh(u), ridge=1.0), "float32", "float32"),
    ],
    ids=["few draws", "many draws", "all draws", "small ridge", "large mean", "small losses", "large scale and ridge"],
)
def test_float32_is_used_where_it_is_enough(fields, features, products):
    problem = Problem(**(dict(psi_n=2.0, psi_p=4.0, t=0.1, ridge=1e-3) | fields))
    for dtype, expected in (("float32", (features, products)), ("float64", ("float64", "float64"))):
        request = planning.plan(problem, 20, trials=1, key=0, data=None, dtype=dtype, devices=None, memory_limit=None)
        settings = request.groups[0].settings
        assert (settings.dtype, settings.products) == expected


def test_different_integers_are_different_keys():
    problem = Problem(2.0, 1.5, 2, 0.2, 1e-2, CUBIC)
    keys = (0, -1, 2**32 - 1, 2**32, 2**40)
    values = {float(simulate(problem, 12, key=key).train[0]) for key in keys}
    assert len(values) == len(keys)


def test_realised_ratios():
    problem = Problem.grid([0.52, 3.0], 1.26, [2, np.inf], 0.1, 1e-2, spectrum=spectra.atoms([0.5, 2.0], [0.31, 0.69]))
    actual = realised(problem, 10)
    np.testing.assert_allclose(np.ravel(actual.psi_n), [0.5, 3.0])
    np.testing.assert_allclose(actual.psi_p, 1.3)
    np.testing.assert_array_equal(np.ravel(actual.m), [2, np.inf])
    np.testing.assert_allclose(actual.spectrum.weights, [0.3, 0.7])


def test_real_rows_are_split_into_training_and_held_out():
    data = np.random.default_rng(0).standard_normal((60, 8))
    drawn = design.draw(jax.random.key(0), jnp.asarray(24), 5, design.Table(jnp.asarray(data)))
    train, held_out = (np.asarray(part.rows(jnp.arange(part.size))) for part in (drawn.training, drawn.held_out))
    np.testing.assert_array_equal(np.sort(np.concatenate([train, held_out]), axis=0), np.sort(data, axis=0))
    assert len(train) == 24 and len(held_out) == 36


def test_gaussian_rows_given_as_data_match_generated_ones():
    rng = np.random.default_rng(0)
    data = rng.standard_normal((1000, 12))
    problem = Problem(2.0, 1.5, 2, 0.2, 1e-2, CUBIC)
    given, drawn = (simulate(problem, d, data=x, trials=32) for d, x in ((None, data), (12, None)))
    for name in ("train", "empirical_test", "test"):
        a, b = getattr(given, name), getattr(drawn, name)
        error = np.sqrt((np.var(a) + np.var(b)) / 32)
        assert abs(np.mean(a) - np.mean(b)) < 4 * error, name
    assert np.all(np.isnan(given.score)) and np.all(np.isnan(given.floor))


def test_unsolvable_is_reported():
    problem = Problem(8.0, 6.0, np.inf, 0.2, 1e-18, lambda u: 1e-3 * u + 1e6)
    with pytest.warns(RuntimeWarning, match="could not be solved and are NaN: the ridge is too small"):
        losses = simulate(problem, 12)
    assert np.all(np.isnan(losses.test))


@pytest.mark.parametrize(
    "fields, options, message",
    [
        ({}, dict(d=2.5), "d = 2.5 must be an integer"),
        ({}, dict(), "d = None must be an integer"),
        (dict(psi_n=0.01), dict(d=10), "d = 10 is too small: psi_n = 0.01 needs d >= 51"),
        (dict(ridge=0.0), dict(d=10, dtype="float32"), "dtype = 'float32' must be 'float64' where ridge = 0"),
        (dict(psi_p=[2.0, np.inf]), dict(d=10), "^psi_p = inf must be finite in a simulation"),
        (dict(psi_n=np.inf), dict(data=np.ones((30, 4))), "^psi_n = inf must be finite"),
        ({}, dict(d=10, trials=0), "trials = 0 must be an integer >= 1"),
        ({}, dict(d=10, devices=[]), r"devices = \[\] must be a list of different JAX devices"),
        ({}, dict(d=10, key=2**70), "key = 1180591620717411303424 must be from"),
        ({}, dict(d=10, key="seed"), "key = 'seed' must be an integer or one JAX key"),
        ({}, dict(d=10, key=jax.random.split(jax.random.key(0), 3)), "must be an integer or one JAX key"),
        ({}, dict(d=10, dtype="float16"), "dtype = 'float16' must be"),
        ({}, dict(d=10**6), "GB available"),
        ({}, dict(d=100, memory_limit=1000), "GB available"),
        ({}, dict(d=5, data=np.ones((30, 4))), "d = 5 must be the number of columns of data, 4"),
        ({}, dict(data=np.ones(30)), "data must be two-dimensional"),
        (dict(psi_n=7.0), dict(data=np.eye(30, 4)), "28 training rows must be at most 27"),
    ],
)
def test_bad_arguments(fields, options, message):
    with pytest.raises(ValueError, match=message):
        simulate(Problem(**(dict(psi_n=2.0, psi_p=1.5, m=2, t=0.2, ridge=1e-2) | fields)), **options)
