"""Learning curves of gradient flow: contours, two-point functions, limits, references, and what they refuse."""

import json
from pathlib import Path as File

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rfdsm import Problem, predict, spectra, training_curve, units
from rfdsm.theory import (
    _contour as contour,
    _flow as flow,
    _paths as paths,
    _resolvent as resolvent,
    _two_point as two_point,
)
from rfdsm.theory._fixed_point import solve
from rfdsm.theory._populations import cells_of, populations
from tests.theory.boxes import fields
from tests.theory.contours import filled
from tests.tolerances import IDENTITY, QUADRATURE, REFERENCE, ROUTES

LOSSES = ("train", "empirical_test", "test", "score")
REFERENCES = json.loads((File(__file__).parent.parent / "reference_values.json").read_text())["training_curves"]


pytestmark = pytest.mark.usefixtures("one_contour")


# --- contours ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ratio", [3.0, 1e3, 1e8, 1e14])
def test_a_contour_integrates_filters_of_every_time_over_the_whole_interval(ratio):
    """Cauchy's formula, eigenvalue by eigenvalue: no resolvent, no physics."""
    nodes, weights = contour.contour(ratio, contour.size(ratio))
    eigenvalues = np.geomspace(1 / ratio, 1, 40)
    for time in (0.0, 1.0, np.sqrt(ratio), ratio):
        values = 2 * np.sum((weights * np.exp(-nodes * time))[:, None] / (eigenvalues - nodes[:, None]), axis=0).real
        # Decay at infinity as for the losses' filters: e alone tends to a constant.
        inverse = (
            2
            * np.sum(
                (weights * -np.expm1(-nodes * time) / nodes)[:, None] / (eigenvalues - nodes[:, None]), axis=0
            ).real
        )
        expected = -np.expm1(-eigenvalues * time) / eigenvalues
        np.testing.assert_allclose(inverse, expected, rtol=1e-9, atol=1e-10)
        np.testing.assert_allclose(values, np.exp(-eigenvalues * time), rtol=0, atol=1e-9)


def test_more_nodes_converge_geometrically():
    """As exp(-pi^2 N/(4 P)): the map is the optimal one."""
    ratio = 1e6
    P = np.log(2 * np.sqrt(ratio))
    counts = [16, 32, 48]
    errors = np.array([np.max(np.abs(_inverse_error(ratio, count))) for count in counts])
    rates = np.log(errors[:-1] / errors[1:]) / np.diff(counts)
    np.testing.assert_allclose(rates, np.pi**2 / (4 * P), rtol=0.1)


def _inverse_error(ratio, count):
    """Error of e^{-u ratio}, which is bounded up to the half plane that is avoided."""
    nodes, weights = contour.contour(ratio, count)
    eigenvalues = np.geomspace(1 / ratio, 1, 200)
    filters = np.exp(-nodes * ratio) / (1 + nodes)
    values = 2 * np.sum((weights * filters)[:, None] / (eigenvalues - nodes[:, None]), axis=0).real
    return values - np.exp(-eigenvalues * ratio) / (1 + eigenvalues)


# --- one- and two-point functions -----------------------------------------------------------------------------------


def parameters(problem):
    """Populations of one problem as `flow.path` sees them, and its contour's z."""
    cells, spectrum = cells_of(problem), problem.spectrum
    first = jax.tree.map(lambda values: values[0], cells)
    P, _ = populations(*first[:4], np.ones(()), first.moments, spectrum.nodes, spectrum.weights)
    P = P._replace(nodes=P.nodes.reshape(-1, 1), weights=P.weights.reshape(-1, 1))
    return jax.tree.map(jnp.asarray, P)


@jax.jit
def order_parameters(z, P):
    return resolvent.track(z, P, resolvent.MAX_STEPS)


@jax.jit
def two_points(y, P):
    """One-point functions, and two-point functions of the identity and of fresh noise."""
    points = two_point.one_point(y, P)
    other = jax.tree.map(jnp.conj, points)
    probes = two_point.Probe(1.0, 0.0, 0.0, 0.0), two_point.fresh_noise_probe(points, other, P)
    return points, *two_point.two_point(points, other, P, probes)


ONE = spectra.Spectrum(np.ones(3), np.full(3, 1 / 3))  # an atom in the shape of three: compiled once
PROBLEMS = {
    "m = 1": Problem(2.0, 3.0, 1, 0.3, 0.0, "tanh", ONE),
    "m = 4, three atoms": Problem(0.7, 1.3, 4, 0.1, 0.0, "erf", spectra.atoms([0.2, 1.0, 3.0])),
    "m = inf": Problem(3.0, 8.0, np.inf, 0.05, 0.0, "relu", ONE),
    "linear": Problem(0.7, 2.0, 2, 0.5, 0.0, "linear", ONE),
}
Z = np.array([0.3 + 0.8j, -0.5 + 0.1j, 2.0 + 3.0j, -3.0 + 1e-3j])


@pytest.mark.parametrize("name", PROBLEMS)
def test_order_parameters_continue_the_positive_solution(name):
    """Cauchy-Riemann and the real axis: they are one analytic function with the positive solution."""
    P = parameters(PROBLEMS[name])
    y, found = order_parameters(jnp.asarray(Z), P)
    assert np.all(found)
    radius = np.abs(Z)
    real = jax.jit(solve)(P._replace(unit=jnp.ones(4), ridge=jnp.asarray(radius * float(P.inverse_psi_p))))
    on_axis, found = order_parameters(jnp.asarray(-radius + 0j), P)
    assert np.all(found)
    np.testing.assert_allclose(1 / np.asarray(on_axis[2]), real.G, rtol=ROUTES)
    step = 1e-4
    shifts = np.array([step, -step, 1j * step, -1j * step])
    around = [np.asarray(order_parameters(jnp.asarray(Z + shift), P)[0][2]) for shift in shifts]
    along, across = (around[0] - around[1]) / (2 * step), (around[2] - around[3]) / (2j * step)
    np.testing.assert_allclose(along, across, rtol=1e-4)
    assert np.all(np.imag(1 / np.asarray(y[2])) > 0)


@pytest.mark.parametrize("name", PROBLEMS)
def test_resolvent_identities_of_two_points(name):
    """R_1 R_2 = (R_1 - R_2)/(z_1 - z_2) and R_1 U R_2 = (z_1 R_1 - z_2 R_2)/(z_1 - z_2), for every pair."""
    with jax.numpy_dtype_promotion("standard"):  # real populations, complex resolvents
        P = parameters(PROBLEMS[name])
        y, _ = order_parameters(jnp.asarray(Z), P)
        points, unit, fresh = jax.tree.map(np.asarray, two_points(y, P))
    difference = Z[:, None] - np.conj(Z)[None, :]
    # At m = infinity fresh noise on the training points is U itself.
    for found, factor in [(unit, 1.0), (fresh, Z)][: 1 + np.isinf(PROBLEMS[name].m)]:
        for values, expected in ((found.transfer, points.explained), (found.gain, points.gain)):
            scaled = factor * expected
            quotient = (scaled[:, None] - np.conj(scaled)[None, :]) / difference
            np.testing.assert_allclose(values, quotient, rtol=1e-7, atol=1e-10)


# --- curves ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", REFERENCES, ids=[f"m = {case['m']}" for case in REFERENCES])
def test_reference_values(case):
    fields = (float(case[name]) for name in ("psi_n", "psi_p", "m", "t", "ridge"))
    problem = Problem(*fields, case["activation"], spectra.atoms(case["spectrum_atoms"]))
    curve = training_curve(problem, case["flow_time"])
    assert np.all(curve.converged)
    for name in ("train", "empirical_test", "score"):
        np.testing.assert_allclose(getattr(curve, name), case[name], rtol=REFERENCE)


def raw(path, shared, own):
    """Losses with their estimated errors, and slopes: one executable for contours and derivatives."""
    del shared
    return flow.curves(path, own), path.found, flow.slopes(path, own)


def box(problem, refined, monkeypatch):
    with monkeypatch.context() as patch:
        # By the finest one's size, which all are filled up to, they share an executable.
        patch.setattr(paths, "contour", lambda ratio, _: filled(ratio, int(refined * contour.size(ratio) / 2) * 2, 180))
        prepared = paths.paths(problem, 0.0, lambda extent, ridge: 1e8 / extent)
    times = np.geomspace(np.full(len(prepared.ridge), 1e-3), 1e8 / prepared.extent, 8, axis=1)
    prepared = prepared._replace(initial=np.zeros(len(prepared.ridge)))  # a start, of no variance
    return paths.mapped(raw, prepared, np.zeros(()), times)[:2]


def problems(activation):
    """Ridge = 0, p > nm and p = nm among them."""
    rng, law = np.random.default_rng(3), spectra.atoms([0.01, 1, 30.0], [3, 2, 1])
    return Problem(*fields(48, rng, activation == "linear"), activation, law)


@pytest.mark.parametrize("activation", ["relu", "linear"])
def test_every_value_is_that_of_a_refined_contour(activation, monkeypatch):
    """Times from 1e-3 to 1e8 over the largest eigenvalue."""
    (curves, found), (refined, _) = (box(problems(activation), factor, monkeypatch) for factor in (1, 1.5))
    assert np.all(found)
    for name in LOSSES:
        curve, exact = getattr(curves, name), getattr(refined, name).value
        scale = np.maximum(1, np.abs(exact))
        assert np.max(np.abs(curve.value - exact) / scale) < 1e-11
        assert np.max(curve.error / scale) < 1e-8
        # The estimate holds, but for the last digits.
        assert np.all(np.abs(curve.value - exact) <= curve.error + 3e-13 * scale)


def test_the_error_estimate_sees_a_contour_that_is_too_coarse(monkeypatch):
    (coarse, _), (exact, _) = (box(problems("relu"), factor, monkeypatch) for factor in (0.6, 1.5))
    for name in LOSSES:
        curve, value = getattr(coarse, name), getattr(exact, name).value
        error = np.abs(curve.value - value)
        resolved = error > 1e-10 * np.maximum(1, np.abs(value))
        assert np.count_nonzero(resolved) > 10 or name != "score"
        assert np.mean(error[resolved] <= curve.error[resolved]) > 0.9
        assert np.all(error <= 15 * curve.error)


def test_values_that_are_not_accurate_are_nan(monkeypatch):
    monkeypatch.setattr(paths, "contour", lambda ratio, count: filled(ratio, 24, count))
    curve = training_curve(Problem(2.0, 8.0, np.array([1, np.inf]), 0.1, 0.0), [0.0, 1.0, 1e7])
    assert not np.any(curve.converged[:, -1])
    assert np.all(curve.residual[:, -1] > 1e-8)
    assert np.all(np.isnan(curve.test[:, -1])) and np.all(np.isnan(curve.train[:, -1]))
    assert np.all(np.isfinite(curve.floor))


LIMITS = Problem(
    np.array([0.5, 2.0, 2.0, 2.0, 0.3]),
    np.array([1.0, 3.0, 9.0, 5.0, 4.0]),
    np.array([1, 3, 3, np.inf, 2]),
    0.2,
    np.array([1e-3, 1e-4, 0.0, 0.1, 1.0]),
)


def test_infinite_time_is_the_minimiser():
    exact, late = predict(LIMITS), training_curve(LIMITS, [1e7, np.inf])
    for name in (*LOSSES, "objective", "floor"):
        np.testing.assert_array_equal(getattr(late, name)[:, 1], getattr(exact, name))
        np.testing.assert_allclose(getattr(late, name)[:, 0], getattr(exact, name), rtol=REFERENCE, atol=1e-9)


def test_time_zero_is_the_zero_network_and_the_slope_there_is_its_gradient():
    """d train/d theta = -2 |V|^2/d, which needs no resolvent: draws of one sample, and of different ones."""
    small = 1e-6
    curve = training_curve(LIMITS, [0.0, small])
    mean = np.mean(LIMITS.spectrum.nodes)
    np.testing.assert_allclose(curve.train[:, 0], 1, rtol=ROUTES)
    np.testing.assert_array_equal(curve.empirical_test[:, 0], 1)
    np.testing.assert_allclose(curve.test[:, 0], 1, rtol=IDENTITY)
    np.testing.assert_allclose(curve.score[:, 0], 1 / mean, rtol=IDENTITY)  # S_bar = 1 for the identity
    cells = cells_of(LIMITS)
    t = np.broadcast_to(LIMITS.t, LIMITS.shape).ravel()
    a_squared, h = np.exp(-2 * t), -np.expm1(-2 * t)
    L = cells.moments.mu1**2
    variance = L * (a_squared + h) + cells.moments.v0_squared + cells.moments.beta_a
    psi_p = 1 / cells.inverse_psi_p
    squared = psi_p * (L * h * (1 + 0 * psi_p) + cells.q * cells.inverse_psi_n * variance)
    slope = (curve.train[:, 1] - 1) / small
    np.testing.assert_allclose(slope, -2 * squared, rtol=3e-4 * psi_p.max())


def test_the_objective_falls_and_at_m_infinite_fresh_noise_is_that_of_training():
    problem = Problem(2.0, 5.0, np.array([2, np.inf]), 0.1, 1e-2)
    times = np.geomspace(1e-3, 1e4, 32)
    curve = training_curve(problem, times, initial=0.5)
    assert np.all(np.diff(curve.objective, axis=1) < IDENTITY)
    np.testing.assert_allclose(curve.empirical_test[1], curve.train[1], rtol=QUADRATURE)
    assert np.all(np.diff(curve.train[:, :11], axis=1) < 0)


def test_slopes_are_derivatives_of_curves(monkeypatch):
    monkeypatch.setattr(paths, "contour", lambda ratio, count: filled(ratio, count, 180))
    problem = Problem(2.0, 5.0, np.array([2, np.inf]), 0.1, 1e-2, spectrum=spectra.atoms([0.5, 1.0, 2.0]))
    prepared = paths.paths(problem, 0.5, lambda extent, ridge: 1e3 + 0 * extent)
    times, step = np.array([0.01, 0.5, 20.0, 300.0]), 1e-5
    moved = np.concatenate([times * (1 + step), times * (1 - step)])
    found = [paths.mapped(raw, prepared, np.zeros(()), np.tile(at, (2, 1))) for at in (moved, np.tile(times, 2))]
    for name in ("empirical_test", "test", "score"):
        plus, minus = np.split(getattr(found[0][0], name).value, 2, axis=1)
        difference = (plus - minus) / (2 * step * times)
        np.testing.assert_allclose(getattr(found[1][2], name)[:, :4], difference, rtol=1e-5, atol=1e-9)


def test_a_random_start_begins_with_its_own_losses_and_is_forgotten():
    variance = 0.7
    problem = Problem(2.0, 3.0, 2, 0.3, 1e-3)
    curve = training_curve(problem, [0.0, np.inf], initial=variance)
    cells = cells_of(problem)
    h = -np.expm1(-0.6)
    power = cells.moments.mu1[0] ** 2 + cells.moments.v0_squared[0] + cells.moments.beta_a[0]
    for name in ("train", "empirical_test", "test"):
        np.testing.assert_allclose(getattr(curve, name)[0], 1 + h * variance * power, rtol=QUADRATURE)
    np.testing.assert_allclose(curve.objective[0] - curve.train[0], 1e-3 * h * variance, rtol=QUADRATURE)
    assert curve.test[1] == predict(problem).test


def test_without_ridge_what_the_draws_do_not_see_of_a_start_stays():
    problem = Problem(0.5, np.array([0.3, 2.0, 6.0]), 2, 0.3, 0.0)
    late = training_curve(problem, [1e7, np.inf], initial=0.7)
    for name in LOSSES:
        np.testing.assert_allclose(getattr(late, name)[:, 0], getattr(late, name)[:, 1], rtol=1e-6, atol=1e-7)
    excess = late.test[:, 1] - predict(problem).test
    assert excess[0] == 0
    assert np.all(excess[1:] > 0.01)


def test_times_keep_their_order_and_problems_their_shape():
    problem = Problem.grid([1.0, 4.0], 2.0, [1, np.inf], 0.1, 1e-2)
    times = [3.0, np.inf, 0.0, 1e-2]
    curve, ordered = training_curve(problem, times), training_curve(problem, np.sort(times))
    assert curve.shape == (2, 2, 4)
    for name in (*LOSSES, "objective", "floor", "residual"):
        np.testing.assert_allclose(getattr(curve, name)[..., [2, 3, 0, 1]], getattr(ordered, name), rtol=0, atol=1e-13)
    assert training_curve(Problem(1.0, 2.0, 1, 0.1, 1e-2), 3.0).shape == (1,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(times=[1.0, -1.0]), "times = -1 must be >= 0"),
        (dict(times=[np.nan]), "times = nan must be >= 0"),
        (dict(times=[]), r"times has shape \(0,\): must be a number or a non-empty list"),
        (dict(times=[[1.0]]), r"times has shape \(1, 1\): must be"),
        (dict(times="soon"), "times = 'soon' must be a number"),
        (dict(times=1.0, initial=-1.0), "initial = -1.0 must be one finite variance >= 0"),
        (dict(times=1.0, initial=[1.0]), r"initial = \[1.0\] must be one finite variance"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        training_curve(Problem(1.0, 2.0, 1, 0.1, 1e-2), **arguments)


def test_refuses_infinitely_many_features_and_traced_problems():
    with pytest.raises(ValueError, match="psi_p = inf must be finite"):
        training_curve(Problem(1.0, np.array([1.0, np.inf]), 1, 0.1, 1e-2), 1.0)
    with pytest.raises(ValueError, match="traced"):
        jax.grad(lambda ridge: training_curve(Problem(1.0, 2.0, 1, 0.1, ridge), 1.0).test[0])(0.1)


def test_infinitely_many_samples_are_a_limit():
    times = [0.1, 10.0]
    limit, many = (training_curve(Problem(psi_n, 2.0, 2, 0.1, 1e-2), times) for psi_n in (np.inf, 1e9))
    np.testing.assert_allclose(limit.test, many.test, rtol=1e-7)


# --- units -----------------------------------------------------------------------------------------------------------


def test_units_convert_forth_and_back():
    theta = units.flow_time(0.5, 100, 0.1, 64, 16)
    np.testing.assert_allclose(theta, 2 * -np.expm1(-0.2) * 0.5 * 100 / (64 * 16), rtol=IDENTITY)
    np.testing.assert_allclose(units.flow_steps(theta, 0.5, 0.1, 64, 16), 100, rtol=IDENTITY)
    summed = units.flow_time(0.5, 100, 0.1, 64, 16, per_coordinate=False)
    np.testing.assert_allclose(summed, 16 * theta, rtol=IDENTITY)
    np.testing.assert_allclose(units.flow_steps(summed, 0.5, 0.1, 64, 16, per_coordinate=False), 100, rtol=IDENTITY)
    # tau = learning rate * steps/d^2, psi_p = p/d
    np.testing.assert_allclose(units.flow_time_from_tau(0.5 * 100 / 16**2, 0.1, 4.0), theta, rtol=IDENTITY)
    np.testing.assert_allclose(units.tau_from_flow_time(theta, 0.1, 4.0), 0.5 * 100 / 16**2, rtol=IDENTITY)
