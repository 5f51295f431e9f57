"""Exact moments of features: against fresh draws, against quadrature of every pair; what truncation costs a loss."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rfdsm import Problem, schedules, simulate, spectra
from rfdsm.activations._expansion import hermite_rule
from rfdsm.simulation import _design as design, _plan as planning, _series as series
from rfdsm.simulation._exact import Series, conditional_moments, population_moments
from rfdsm.simulation._memory import coefficient_chunk
from rfdsm.simulation._moments import Law
from rfdsm.targets import Asked
from tests.activations.test_expansion import CASES, NUMPY, pair_moment, reference, rule_for
from tests.levels import noise_of
from tests.simulation.test_strips import whole
from tests.tolerances import IDENTITY, ROUTES

H, DRAWS = 0.4, 100_000


def drawn(p, d, n, eigenvalues=None, key=1):
    """W, the points, and both as NumPy arrays."""
    eigenvalues = jnp.ones(d) if eigenvalues is None else jnp.asarray(eigenvalues)
    trial = design.draw(jax.random.key(key), jnp.asarray(n), p, design.Normal(eigenvalues))
    return trial, np.asarray(trial.W), np.asarray(trial.training.rows(jnp.arange(n)))


def law_of(trial, name):
    return Law(trial.W, CASES[name], noise_of(jnp.asarray(H), jnp), 64, 1)


def at_once(moments, *arguments):
    """In one program."""
    return jax.jit(lambda: moments(*arguments))()


# --- against fresh draws ----------------------------------------------------------------------------------------------


def check_by_draws(moments, phi, z):
    """z-scores of all entries of U and V over rows of phi and z, which are grouped by points along the first axis."""
    count = phi.shape[0] * phi.shape[1]

    def scores(exact, left, right):
        mean = np.mean(np.swapaxes(left, 1, 2) @ right, axis=0) / phi.shape[1]
        second = np.mean(np.swapaxes(left**2, 1, 2) @ right**2, axis=0) / phi.shape[1]
        own = np.swapaxes(left, 1, 2) @ right / phi.shape[1]  # points are given: their differences are no noise
        return (mean - exact) / np.sqrt(np.maximum(second - np.mean(own**2, axis=0), 1e-12) / count)

    U = scores(whole(moments.U), phi, phi)
    V = scores(np.asarray(moments.V), phi, z)
    assert np.all(np.std(phi, axis=(0, 1)) > 1e-9)
    off = U[np.tril_indices(len(U), -1)]
    for values in (off, V.ravel()):
        assert 0.5 < np.sqrt(np.mean(values**2)) < 1.6
        assert np.max(np.abs(values)) < 5


EIGENVALUES = np.linspace(0.3, 2.2, 10)


@pytest.mark.parametrize("name, target", [("abs", (0.0, -1.0)), ("softplus", (0.7, -0.6))])  # activations of a mean
def test_moments_by_fresh_draws(name, target):
    """Of the noise, and of alpha x + beta z: given three points, and over the population: 1e5 draws each, anisotropic
    points, 24 features in 10 dimensions."""
    (p, d, n), (alpha, beta) = (24, 10, 3), target
    trial, W, x = drawn(p, d, n, EIGENVALUES)
    one = jnp.ones(())
    law = Law(trial.W, CASES[name], Asked((1 - H) ** 0.5 * one, H * one, one, alpha * one, beta * one), 64, 1)
    # Of 20 terms what is left is below 1e-3 standard errors.
    series, rng, each = Series(20, rule_for(CASES[name], 2.0)), np.random.default_rng(5), DRAWS // n

    def check(moments, x, z, size):
        phi = NUMPY[name]((np.sqrt(1 - H) * x + np.sqrt(H) * z) @ W.T / np.sqrt(d))
        check_by_draws(moments, phi, -alpha * x - beta * z)
        np.testing.assert_allclose(moments.offset_squared, alpha**2 * size + beta**2, rtol=1e-12)

    given = at_once(conditional_moments, law, trial.training, series, 2)
    check(given, x[:, None], rng.standard_normal((n, each, d)), np.mean(x**2))
    z, points = rng.standard_normal((1, DRAWS, d)), np.sqrt(EIGENVALUES) * rng.standard_normal((1, DRAWS, d))
    check(at_once(population_moments, law, jnp.asarray(EIGENVALUES), series), points, z, np.mean(EIGENVALUES))


# --- against quadrature of every pair ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["polynomial", "sin", "relu", "bent"])
def test_moments_by_quadrature_of_every_pair(name):
    """Four features in 40 dimensions, two points: to 1e-10 of the size of the features."""
    p, d, n = 4, 40, 2
    eigenvalues = np.linspace(0.4, 1.6, d)
    trial, W, x = drawn(p, d, n, eigenvalues)
    terms = 28
    rule = rule_for(CASES[name], 2.0)
    given = at_once(conditional_moments, law_of(trial, name), trial.training, Series(terms, rule), 2)
    means = np.sqrt(1 - H) * x @ W.T / np.sqrt(d)
    gram = W @ W.T
    deviations = np.sqrt(H * np.diag(gram) / d)
    U, first = np.zeros((p, p)), np.zeros(p)
    for s in means:
        for k in range(p):
            coefficients, second = reference(name, s[k], deviations[k], 2)
            U[k, k] += second / n
            first[k] += coefficients[1] / n
            for j in range(k):
                rho = gram[k, j] / np.sqrt(gram[k, k] * gram[j, j])
                U[k, j] += pair_moment(name, (s[k], s[j]), (deviations[k], deviations[j]), rho) / n
    U = U + np.tril(U, -1).T
    scale = np.max(np.diag(U))
    np.testing.assert_allclose(whole(given.U), U, rtol=0, atol=1e-10 * scale)
    # E phi z^T by Stein: E phi g times the direction of the row
    np.testing.assert_allclose(given.V, (first / np.linalg.norm(W, axis=1))[:, None] * W, rtol=0, atol=1e-12)

    variances = (1 - H) * eigenvalues + H
    covariance = (W * variances) @ W.T / d
    G = np.sqrt(np.diag(covariance))
    population = at_once(population_moments, law_of(trial, name), jnp.asarray(eigenvalues), Series(terms, rule))
    for k in range(p):
        coefficients, second = reference(name, 0.0, G[k], 2)
        U[k, k] = second
        for j in range(k):
            rho = covariance[k, j] / (G[k] * G[j])
            U[k, j] = U[j, k] = pair_moment(name, (0.0, 0.0), (G[k], G[j]), rho)
        # E phi z^T = E f'(u) Cov(u, z)
        np.testing.assert_allclose(population.V[k], coefficients[1] / G[k] * np.sqrt(H / d) * W[k], rtol=0, atol=1e-12)
    np.testing.assert_allclose(whole(population.U), U, rtol=0, atol=1e-10 * np.max(np.diag(U)))


def test_chunks_of_points_and_strips_do_not_show():
    """Chunks that do not divide the number of points; the first features of a larger network have their own moments."""
    trial, _, _ = drawn(70, 20, 7)
    series, law = Series(4, rule_for(CASES["polynomial"], 2.0)), law_of(trial, "polynomial")
    small = law._replace(W=law.W[:20])
    many, chunked, few = (
        at_once(conditional_moments, own, trial.training, series, chunk)
        for own, chunk in ((law, 7), (law, 3), (small, 7))
    )
    for one, other in zip(jax.tree.leaves(many), jax.tree.leaves(chunked), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(whole(many.U)[:20, :20], whole(few.U), rtol=IDENTITY, atol=1e-14)
    many, few = (at_once(population_moments, part, jnp.ones(20), series) for part in (law, small))
    np.testing.assert_allclose(whole(many.U)[:20, :20], whole(few.U), rtol=IDENTITY, atol=1e-14)
    np.testing.assert_allclose(many.V[:20], few.V, rtol=IDENTITY)


# --- number of terms --------------------------------------------------------------------------------------------------


def losses_with(terms, C, second, rho, V):
    """Losses of ridge networks trained on the expectation over noise, the series cut at so many terms; NumPy only."""
    U = np.zeros_like(rho)
    for c in C[:terms][::-1]:
        U = U * rho + c @ c.T / C.shape[2]
    np.fill_diagonal(U, second.mean(axis=1))
    d = V.shape[1]
    values, vectors = np.linalg.eigh(U)
    losses = []
    for ridge in (1e-6, 1e-4, 1e-2):
        B = -(vectors / (values + ridge)) @ (vectors.T @ V)
        losses.append(1 + (np.sum(B * V) - ridge * np.sum(B**2)) / d)
    return np.array(losses)


@pytest.mark.parametrize("name", ["tanh", "relu", "bent"])
def test_the_chosen_number_of_terms_is_enough(name):
    """Losses of m = inf with the terms the library would take against those with 48 terms: within 1e-10."""
    activation, d, p, n = CASES[name], 30, 60, 40
    rule = hermite_rule(128) if name == "tanh" else rule_for(activation, 1.5)
    expand = jax.jit(activation.expand, static_argnums=2)
    _, W, x = drawn(p, d, n)
    length = np.linalg.norm(W, axis=1)
    rho = W @ W.T / np.outer(length, length)
    for t in (0.01, 0.1, 1.0):
        h = -np.expm1(-2 * t)
        level = schedules.get("ou").level(np.float64(t), 1.0)
        choice = series.conditional_choice(activation, d, p, level, 1.0, "float64")
        assert choice.error <= 1e-9
        means, deviations = np.sqrt(1 - h) * W @ x.T / np.sqrt(d), np.sqrt(h / d) * length[:, None]
        C, second = map(np.asarray, expand(jnp.asarray(means), jnp.asarray(deviations), 48, rule))
        V = C[1].mean(axis=1)[:, None] * W / length[:, None]
        full, cut = (losses_with(terms, C, second, rho, V) for terms in (48, choice.terms))
        np.testing.assert_allclose(cut, full, rtol=1e-10)


def test_more_terms_change_no_loss(monkeypatch):
    """All losses of `simulate` with the default tolerance against those with far more terms than needed."""
    problem = Problem(2.0, 2.0, 2, 0.1, np.array([1e-6, 1e-4, 1e-2]), "relu")
    default = simulate(problem, 30, key=3)
    monkeypatch.setitem(series.TOLERANCE, "float64", 1e-15)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # nothing promises 1e-14
        finest = simulate(problem, 30, key=3)
    changed = False
    for loss in ("train", "empirical_test", "test", "score"):
        np.testing.assert_allclose(getattr(default, loss), getattr(finest, loss), rtol=1e-10)
        changed |= bool(np.any(getattr(default, loss) != getattr(finest, loss)))
    assert changed  # the tolerance was heard


def test_high_terms_in_single_precision_change_no_loss(monkeypatch):
    """As in networks of many features; and losses do see it where too many terms are."""
    problem = Problem(2.0, 2.0, 2, 0.1, np.array([1e-6, 1e-4, 1e-2]), "relu")
    wanted = simulate(problem, 30, key=3)
    monkeypatch.setattr(planning, "large", lambda p, terms, n: True)
    chosen = simulate(problem, 30, key=3)
    choice = planning.conditional_choice
    monkeypatch.setattr(planning, "conditional_choice", lambda *args: choice(*args)._replace(double=2))
    careless = simulate(problem, 30, key=3)
    assert np.any(chosen.empirical_test != wanted.empirical_test)
    np.testing.assert_allclose(chosen.empirical_test, wanted.empirical_test, rtol=1e-12)
    assert np.any(np.abs(careless.empirical_test / wanted.empirical_test - 1) > 1e-11)


def test_code_for_large_simulations_changes_no_loss(monkeypatch):
    """Fewer terms, and some in single precision: networks trained on them at any ridge, at peaks as beside them."""
    problem = Problem(3.0, 8.0, np.inf, 0.1, np.array([1e-3, 1e-8, 0.0]), "relu")
    wanted = simulate(problem, 50, key=3)
    monkeypatch.setattr(planning, "large", lambda p, terms, n: True)
    found = simulate(problem, 50, key=3)
    assert np.any(found.test != wanted.test) or np.any(found.empirical_test != wanted.empirical_test)
    for loss in ("train", "empirical_test", "test", "score"):
        np.testing.assert_allclose(getattr(found, loss), getattr(wanted, loss), rtol=1e-12, atol=1e-14)


def test_chunks_of_large_simulations_leave_little_rest():
    assert coefficient_chunk(1000, 10, 1100) == coefficient_chunk(1000, 10, 20) == 256  # one size for all n
    for n in (1200, 1600, 6400, 10**6):
        size = coefficient_chunk(2400, 10, n)
        chunks = -(-n // size)
        assert size <= 256 and chunks == -(-n // 256)
        assert size * chunks <= 17 / 16 * n or size * chunks < n + 8 * chunks


def test_warns_where_features_are_nearly_parallel():
    problem = Problem(2.0, 2.0, 1, 0.5, 1e-2, "sign")
    planned = planning.plan
    arguments = {
        "trials": 1, "key": 0, "data": None, "dtype": "float64", "devices": jax.devices()[:1], "memory_limit": 10**12
    }  # fmt: skip
    with pytest.warns(RuntimeWarning, match="nearly parallel"):
        planned(problem, 4, **arguments)
    planned(problem, 40, **arguments)  # warnings are errors here
    planned(Problem(2.0, 2.0, 1, 1e-6, 1e-2, CASES["bent"]), 40, **arguments)


# --- whole simulations against fresh draws ----------------------------------------------------------------------------

N, P, D, RIDGE, T = 12, 40, 24, 1e-2, 0.4


def rebuilt(problem, m, key):
    """W, points and the ridge solution B of trial 0, by NumPy from the training draws."""
    eigenvalues, _ = problem.spectrum.realise(D)
    law = design.Normal(jnp.asarray(eigenvalues))
    trial = design.draw(jax.random.fold_in(jax.random.key(key), 0), jnp.asarray(N), P, law)
    W, x = np.asarray(trial.W), np.asarray(trial.training.rows(jnp.arange(N)))
    i = np.arange(N * m) % N
    z = np.asarray(design.normals(trial.training.key, jnp.arange(N * m), trial.training.deviations))
    h = -np.expm1(-2 * T)
    return eigenvalues, W, x, z, np.sqrt(1 - h) * x[i] + np.sqrt(h) * z


def test_losses_by_fresh_draws():
    """A trained network, rebuilt: its four losses by 1e5 fresh draws, within standard errors."""
    name, m, key = "softplus", 4, 11
    spectrum = spectra.atoms([0.5, 1.5], [0.5, 0.5])
    problem = Problem(N / D, P / D, m, T, RIDGE, CASES[name], spectrum)
    losses = simulate(problem, D, key=key)
    eigenvalues, W, x, z, y = rebuilt(problem, m, key)
    h, f = -np.expm1(-2 * T), NUMPY[name]
    phi = f(y @ W.T / np.sqrt(D))
    count = len(phi)
    B = -np.linalg.solve(phi.T @ phi / count + RIDGE * np.eye(P), phi.T @ z / count).T

    np.testing.assert_allclose(losses.train[0], np.mean(np.sum((phi @ B.T + z) ** 2, axis=1)) / D, rtol=ROUTES)
    np.testing.assert_allclose(losses.objective[0], losses.train[0] + RIDGE * np.sum(B**2) / D, rtol=ROUTES)

    rng = np.random.default_rng(2)

    def within(exact, values):
        """Values of shape (groups, draws): groups are given."""
        error = np.sqrt(np.mean(np.var(values, axis=1)) / values.size)
        assert abs(np.mean(values) - exact) < 4 * error
        assert error < 0.01 * exact

    z = rng.standard_normal((N, DRAWS // N, D))
    phi = f((np.sqrt(1 - h) * x[:, None] + np.sqrt(h) * z) @ W.T / np.sqrt(D))
    within(losses.empirical_test[0], np.sum((phi @ B.T + z) ** 2, axis=-1) / D)

    z = rng.standard_normal((1, DRAWS, D))
    y = np.sqrt((1 - h) * eigenvalues) * rng.standard_normal((1, DRAWS, D)) + np.sqrt(h) * z
    output = f(y @ W.T / np.sqrt(D)) @ B.T
    within(losses.test[0], np.sum((output + z) ** 2, axis=-1) / D)
    variances = (1 - h) * eigenvalues + h
    within(losses.score[0], np.sum((output / np.sqrt(h) + y / variances) ** 2, axis=-1) / D)

    floor = np.mean((1 - h) * eigenvalues / variances)
    np.testing.assert_allclose(losses.floor[0], floor, rtol=IDENTITY)
    np.testing.assert_allclose(losses.score[0], (losses.test[0] - floor) / h, rtol=IDENTITY)


def test_many_draws_approach_infinitely_many():
    """Same W and points: losses at m draws differ from those at m = inf by O(1/m)."""
    counts = np.array([500.0, 2000.0])
    problem = Problem(N / D, 1.0, np.append(counts, np.inf), T, 0.05, "tanh")
    losses = simulate(problem, D, trials=24, key=2)
    gaps = (losses.empirical_test - losses.train)[:, :2]
    assert np.all(losses.train[:, 2] == losses.empirical_test[:, 2])
    # The optimism of the training loss, and how far the network is from the least objective at m = inf, are O(1/m).
    value = losses.empirical_test + losses.objective - losses.train
    excess = value[:, :2] - value[:, 2:]
    assert np.all(excess > 0)
    for values in (gaps, excess):
        relative = np.std(values, axis=0, ddof=1) / np.mean(values, axis=0) / len(values) ** 0.5
        slope, error = np.diff(np.log(np.mean(values, axis=0)))[0], np.hypot(*relative)
        assert abs(slope + np.log(4)) < 4 * error
        assert error < 0.25 * np.log(4)
