"""Gaussian moments of activations: closed forms against 40-digit arithmetic, quadrature against independent routes."""

import json
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

from rfdsm import activations, schedules
from rfdsm.activations import NAMES, Moments, QuadratureWarning
from rfdsm.theory._populations import TABLE_TOLERANCE
from tests.activations.test_expansion import NUMPY

REFERENCE = json.loads((Path(__file__).parents[1] / "reference_values.json").read_text())["losses"]
SMOOTH = ("tanh", "erf", "sin", "softplus", "gelu", "silu")


def marked(names, *quick):
    """Parameters, all but a few of them slow: what is compiled for each takes a second or two."""
    return [pytest.param(name, marks=() if name in quick else pytest.mark.slow) for name in names]


def as_numpy(moments: Moments) -> Moments:
    return Moments(*(np.asarray(part) for part in moments))


def random_pairs(seed, count, decades=3.0, finest=-4.0):
    """shared and private with G^2 and private/G^2 spread over decades, half of the latter close to one."""
    rng = np.random.default_rng(seed)
    total = 10.0 ** rng.uniform(-decades, decades, count)
    fraction = 10.0 ** rng.uniform(finest, -0.01, count)
    fraction[::2] = 1.0 - fraction[::2]
    return total * (1.0 - fraction), total * fraction


# --- closed forms against 40 digits -----------------------------------------------------------------------------------


def exact(name, shared, private):
    """The textbook expressions, which cancel badly in doubles, in 40-digit arithmetic."""
    with mp.workdps(60):
        shared, private = mp.mpf(float(shared)), mp.mpf(float(private))
        total = shared + private
        if name in ("sign", "erf"):
            radius = total if name == "sign" else total + mp.mpf(1) / 2
            excess = lambda c: 2 / mp.pi * (mp.asin(c / radius) - c / radius)  # noqa: E731
            slope = mp.sqrt(2 / (mp.pi * radius))
            return slope, excess(shared), excess(total) - excess(shared)
        if name in ("abs", "relu", "leaky_relu"):
            low = {"abs": mp.mpf(-1), "relu": mp.mpf(0), "leaky_relu": mp.mpf(0.01)}[name]

            def kernel(c):
                x = c / total
                return ((1 - low) / 2) ** 2 * 2 * total / mp.pi * (mp.sqrt(1 - x * x) + x * mp.asin(x) - 1)

            return (1 + low) / 2, kernel(shared), kernel(total) - kernel(shared)
        if name == "sin":
            excess = lambda c: mp.exp(-total) * (mp.sinh(c) - c)  # noqa: E731
            return mp.exp(-total / 2), excess(shared), excess(total) - excess(shared)
    raise AssertionError(name)


@pytest.mark.parametrize("name", ["sign", "erf", "abs", "relu", "leaky_relu", "sin"])
def test_closed_forms_do_not_cancel(name):
    shared, private = random_pairs(1, 60, decades=4.0, finest=-10.0)
    moments = as_numpy(activations.get(name).moments(shared, private))
    for i in range(len(shared)):
        for found, wanted in zip(moments, exact(name, shared[i], private[i]), strict=True):
            if abs(wanted) > 1e-290:
                assert abs(mp.mpf(float(found[i])) / wanted - 1) < 1e-13 * (1 + (name == "sin") * shared[i])
            else:
                assert abs(found[i]) < 1e-280


# --- smooth activations against a rotated trapezoidal rule ------------------------------------------------------------


def rotated_trapezoid(function, shared, private):
    """mu1, v0^2, beta_a from a = u + u', b = u - u': beta_a = E (f~(u) - f~(u'))^2 / 2, no conditional averages.

    The trapezoidal rule converges like exp(-2 pi (width of analyticity) / step) for these integrands.
    """

    def rule(variance):
        deviation = np.sqrt(variance)
        step = min(0.2, deviation / 4.0)
        x = step * np.arange(-np.ceil(9.5 * deviation / step), np.ceil(9.5 * deviation / step) + 1)
        weights = np.exp(-(x**2) / (2.0 * variance))
        return x, weights / weights.sum()

    total = shared + private
    u, weights = rule(total)
    mean = weights @ function(u)
    slope = weights @ (u * (function(u) - mean)) / total
    (a, a_weights), (b, b_weights) = rule((total + shared) / 2.0), rule(private / 2.0)
    v0_squared = beta_a = 0.0
    for block in np.array_split(np.arange(len(b)), max(1, len(b) * len(a) // 10**6)):
        first, second = (a[:, None] + sign * b[block] for sign in (1.0, -1.0))
        first, second = (function(u) - mean - slope * u for u in (first, second))
        v0_squared += a_weights @ (first * second) @ b_weights[block]
        beta_a += a_weights @ (first - second) ** 2 @ b_weights[block] / 2.0
    return slope, v0_squared, beta_a


@pytest.mark.parametrize("name", marked(SMOOTH, "tanh", "gelu"))
def test_smooth_activations_to_rounding(name):
    total = np.array([1e-3, 0.03, 0.5, 1.0, 4.0, 30.0, 1e3])
    fraction = np.array([1e-4, 0.01, 0.2, 0.9])
    private = (total[:, None] * fraction).ravel()
    shared = (total[:, None] * (1.0 - fraction)).ravel()
    moments = as_numpy(activations.get(name).moments(shared, private))
    wanted = Moments(
        *np.transpose([rotated_trapezoid(NUMPY[name], s, p) for s, p in zip(shared, private, strict=True)])
    )
    # The comparison itself is limited by rounding of f - mu0 - mu1 u where v^2 is a tiny part of E f^2.
    assert np.all(np.abs(moments.mu1 - wanted.mu1) <= 1e-12 * np.abs(wanted.mu1) + 1e-15)
    assert np.all(np.abs(moments.v_squared - wanted.v_squared) <= 1e-12 * wanted.v_squared)
    assert np.all(np.abs(moments.v0_squared - wanted.v0_squared) <= 1e-12 * wanted.v_squared)
    assert np.all(np.abs(moments.beta_a - wanted.beta_a) <= 1e-11 * wanted.beta_a)


@pytest.mark.parametrize("total", [1e-3, 1.0, 1e3])
def test_tanh_against_30_digits(total):
    with mp.workdps(30):
        deviation = mp.sqrt(mp.mpf(total))
        points = [0, *(mp.mpf(10) ** k for k in (-2, -1)), 0.4, 1, 3, 12]
        density = lambda g: mp.exp(-g * g / 2) / mp.sqrt(2 * mp.pi)  # noqa: E731
        slope = 2 * mp.quad(lambda g: density(g) * mp.sech(deviation * g) ** 2, points)
        square = 2 * mp.quad(lambda g: density(g) * (mp.tanh(deviation * g) - slope * deviation * g) ** 2, points)
    moments = activations.get("tanh").moments(0.75 * total, 0.25 * total)
    assert abs(float(moments.mu1) / float(slope) - 1) < 1e-13
    assert abs(float(moments.v_squared) / float(square) - 1) < 1e-12


def test_reference_values():
    for row in REFERENCE:
        variance, signal = np.mean(row["spectrum_atoms"]), np.exp(-2.0 * row["t"])
        moments = activations.get(row["activation"]).moments(signal * variance, -np.expm1(-2.0 * row["t"]))
        for key in ("mu1", "v_squared", "v0_squared"):
            assert np.allclose(getattr(moments, key), row[key], rtol=1e-10, atol=1e-15), (row, key)


# --- polynomials, Hermite sums, linear --------------------------------------------------------------------------------


def test_hermite_sum_at_unit_variance():
    """At G = 1 the coefficients are orthogonal: v0^2 = sum k! b_k^2 shared^k."""
    shared = np.array([0.0, 1e-9, 0.4, 1.0 - 1e-9])
    moments = as_numpy(activations.hermite([3.0, 0.5, 0.25, -0.125]).moments(shared, 1.0 - shared))
    assert np.allclose(moments.mu1, 0.5, rtol=1e-15)
    assert np.allclose(moments.v0_squared, 2 * 0.0625 * shared**2 + 6 * 0.015625 * shared**3, rtol=1e-14)
    private = 1.0 - shared
    wanted = 2 * 0.0625 * private * (1 + shared) + 6 * 0.015625 * private * (1 + shared + shared**2)
    assert np.allclose(moments.beta_a, wanted, rtol=1e-14)


@pytest.mark.parametrize("build", [activations.polynomial, activations.hermite])
def test_series_against_quadrature(build):
    series = build([1.0, -2.0, 0.5, 0.25, 0.125])
    shared, private = random_pairs(2, 12, decades=1.5)
    found, wanted = (as_numpy(one.moments(shared, private)) for one in (series, activations.custom(series)))
    assert np.allclose(found.mu1, wanted.mu1, rtol=1e-11, atol=1e-12)
    assert np.all(np.abs(found.v0_squared - wanted.v0_squared) <= 1e-11 * wanted.v_squared)
    assert np.allclose(found.beta_a, wanted.beta_a, rtol=1e-10)


def test_series_values():
    u = np.linspace(-2.0, 2.0, 9)
    coefficients = [0.5, -1.0, 0.25, 2.0]
    assert np.allclose(activations.polynomial(coefficients)(u), np.polynomial.polynomial.polyval(u, coefficients))
    assert np.allclose(activations.hermite(coefficients)(u), np.polynomial.hermite_e.hermeval(u, coefficients))
    assert np.allclose(activations.polynomial(np.array([2.0]))(u), 2.0)


def test_linear_is_exact():
    moments = as_numpy(activations.get("linear").moments(np.array([0.3, 1e-10]), 0.7))
    assert np.all(moments.mu1 == 1) and np.all(moments.v0_squared == 0) and np.all(moments.beta_a == 0)


# --- properties of all ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["softplus", "abs", "sin", "sign"])
def test_limits_and_signs(name):
    activation = activations.get(name)
    total = 2.0
    shared = total * np.array([0.0, 1e-10, 1e-4, 0.5, 1.0 - 1e-4, 1.0 - 1e-9])
    private = total - shared
    moments = as_numpy(activation.moments(shared, private))
    assert np.all(np.isfinite(moments))
    assert np.all(moments.v0_squared >= 0) and np.all(moments.beta_a >= 0)
    # both depend on G^2 alone
    assert np.allclose(moments.mu1, moments.mu1[0], rtol=1e-14)
    assert np.allclose(moments.v_squared, moments.v_squared[0], rtol=1e-12)
    # v0^2 vanishes with the correlation, at least quadratically; beta_a with 1 - correlation, at least as its root
    assert np.all(np.diff(moments.v0_squared) >= 0)
    assert moments.v0_squared[1] <= 1e-19 * moments.v_squared[1]
    assert moments.beta_a[-1] <= 1e-4 * moments.v_squared[-1]


@pytest.mark.parametrize("bend", [None, 0.3])
def test_moments_of_few_levels_are_those_of_many(bend):
    """Few go through NumPy, more through compiled code: the same rule, whichever does its arithmetic."""
    if bend is None:
        activation = activations.get("tanh")
    else:
        activation = activations.custom(lambda u: jnp.maximum(u - bend, 0.1 * u), breakpoints=[bend])
    shared, private = np.array([0.9, 1e-3, 1.0, 2.5, 0.0, 0.5]), np.array([0.1, 1.0, 1e-6, 7.0, 1.0, 0.5])
    wanted = activation.moments_of(shared, private)
    for few in (slice(0, 1), slice(1, 5), slice(4, 6)):
        found = activation.moments_of(shared[few], private[few])
        assert np.allclose(found.mu1, wanted.mu1[few], rtol=1e-14)
        assert np.allclose(found.v0_squared, wanted.v0_squared[few], rtol=1e-11, atol=1e-16)
        assert np.allclose(found.beta_a, wanted.beta_a[few], rtol=1e-12, atol=1e-16)


def test_few_levels_overflow_as_many_do():
    """Without warnings of NumPy: whoever asks for losses is told by the check of the quadrature."""
    steep = activations.custom(lambda u: jnp.exp(9.0 * u**2))
    few = steep.moments_of(np.array([0.9]), np.array([0.1]))
    many = steep.moments_of(np.full(5, 0.9), np.full(5, 0.1))
    for one, other in zip(few, many, strict=True):
        assert not np.isfinite(one[0]) and not np.isfinite(other[0])


@pytest.mark.parametrize("name", ["tanh", "relu"])
def test_jit_vmap_and_broadcasting(name):
    activation = activations.get(name)
    shared, private = np.array([[0.3], [0.9]]), np.array([0.1, 0.5, 2.0])
    grid = activation.moments(shared, private)
    assert all(part.shape == (2, 3) for part in grid)
    jitted = jax.jit(jax.vmap(jax.vmap(activation.moments, (None, 0)), (0, None)))(shared[:, 0], private)
    for found, wanted in zip(jitted, grid, strict=True):
        assert np.allclose(found, wanted, rtol=1e-13, atol=1e-300)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tanh", "relu", "gelu"])
def test_derivatives(name):
    """mu1 and v^2 depend on G^2 alone; the derivative of v0^2 along the shared variance, by central differences."""
    function = jax.jit(lambda s, p: jnp.stack(activations.get(name).moments(s, p)))
    shared, private, step = jnp.asarray(0.8), jnp.asarray(0.3), 1e-4
    by_shared, by_private = jax.jacrev(function, argnums=(0, 1))(shared, private)
    assert np.allclose(by_shared[0], by_private[0], rtol=1e-12, atol=1e-15)
    assert np.allclose(by_shared[1:].sum(), by_private[1:].sum(), rtol=1e-11, atol=1e-15)
    values = np.array([function(shared + k * step, private) for k in (-2, -1, 1, 2)])
    slope = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * step)
    assert np.allclose(by_shared, slope, rtol=1e-9, atol=1e-11)
    forward = jax.jvp(lambda s: function(s, private), (shared,), (jnp.ones(()),))[1]
    assert np.allclose(forward, by_shared, rtol=1e-12, atol=1e-15)


@pytest.mark.slow
def test_derivatives_in_parameters():
    """v0^2 of leaky_relu is ((1 - slope)/2)^2 times that of abs; a parameter inside a callable works the same way."""
    bend = float(activations.get("abs").moments(0.8, 0.2).v0_squared)
    found = jax.grad(lambda slope: activations.leaky_relu(slope).moments(0.8, 0.2).v0_squared)(0.3)
    assert np.isclose(found, -0.35 * bend, rtol=1e-13)
    scaled = jax.grad(lambda a: activations.custom(lambda u: jnp.tanh(a * u)).moments(0.8, 0.2).beta_a)(1.3)
    a = 1.3 + 1e-3 * np.array([-2, -1, 1, 2])
    values = np.asarray(activations.get("tanh").moments(0.8 * a**2, 0.2 * a**2).beta_a)
    assert np.isclose(scaled, values @ [1, -8, 8, -1] / 12e-3, rtol=1e-9)
    found = jax.grad(lambda b: activations.hermite([0.0, 1.0, b]).moments(0.8, 0.2).v0_squared)(0.5)
    assert np.isclose(found, 2 * 2 * 0.5 * 0.64, rtol=1e-13)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_values_keep_dtype(name, dtype):
    u = jnp.linspace(-3, 3, 14, dtype=dtype).reshape(2, 7)
    activation = activations.get(name)
    assert activation(u).dtype == dtype and activation(u).shape == u.shape
    assert hash(activation) == hash(activations.get(name)) and activation == activations.get(name)
    assert np.allclose(activation(u), NUMPY[name](np.asarray(u, float)), rtol=1e-5 if dtype == jnp.float32 else 1e-13)


# --- user callables ---------------------------------------------------------------------------------------------------


def shifted(kind, point, shared, private):
    """Exact moments of a step or ramp starting at `point` (Price's theorem: derivatives in c of the bivariate law)."""
    with mp.workdps(30):
        total = mp.mpf(shared) + mp.mpf(private)
        start, deviation = mp.asin(mp.mpf(shared) / total), mp.sqrt(total)
        density = lambda angle: mp.exp(-(point**2) / (total * (1 + mp.sin(angle)))) / (2 * mp.pi)  # noqa: E731
        if kind == "step":
            slope = mp.npdf(point / deviation) / deviation
            kernel = lambda end: lambda angle: density(angle) - slope**2 * total * mp.cos(angle)  # noqa: E731
        else:
            slope = mp.ncdf(-point / deviation)
            kernel = lambda end: lambda angle: total * (mp.sin(end) - mp.sin(angle)) * density(angle)  # noqa: E731
        low, full = (mp.quad(kernel(end), [0, end / 2, end]) for end in (start, mp.pi / 2))
        return float(slope), float(low), float(full - low)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "point"), [("step", -1.3), ("ramp", 0.7)])
def test_declared_breakpoints_are_exact(kind, point):
    function = (lambda u: u > point) if kind == "step" else (lambda u: jnp.maximum(u - point, 0.0))
    activation = activations.custom(function, name=kind, breakpoints=[point])
    shared = np.array([0.5, 0.9, 1.9998, 1e-4, 95.0, 0.1])
    private = np.array([0.5, 0.1, 0.0002, 1.0, 5.0, 0.2])
    found = as_numpy(activation.moments(shared, private))
    wanted = Moments(*np.transpose([shifted(kind, point, s, p) for s, p in zip(shared, private, strict=True)]))
    assert np.allclose(found.mu1, wanted.mu1, rtol=1e-11)
    assert np.all(np.abs(found.v0_squared - wanted.v0_squared) <= 1e-10 * wanted.v_squared)
    assert np.allclose(found.beta_a, wanted.beta_a, rtol=1e-10)
    activation.check(shared, private)  # no warning


@pytest.mark.slow
@pytest.mark.parametrize(("function", "points"), [(lambda u: u > 0.7, [0.7]), (lambda u: jnp.clip(u, -1, 1), [1, -1])])
def test_undeclared_breakpoints_are_reported(function, points):
    shared, private = np.linspace(0.2, 2.0, 30), 0.1
    with pytest.warns(QuadratureWarning, match=r"'bent'.*breakpoints="):
        activations.custom(function, name="bent").check(shared, private)
    activations.custom(function, name="bent", breakpoints=points).check(shared, private)


@pytest.mark.slow
def test_fast_growth_is_reported():
    with pytest.warns(QuadratureWarning):
        activations.custom(jnp.exp).check(20.0, 5.0)


@pytest.mark.slow
@pytest.mark.parametrize("function", [jax.nn.elu, lambda u: 3.0 * u])
def test_harmless_callables_are_not_reported(function):
    activation = activations.get(function)
    activation.check(np.array([1e-3, 0.5, 3.0]), np.array([[0.5], [1e-3]]))
    jax.jit(lambda s, p: activation.check(s, p))(0.5, 0.5)
    activation.check(np.zeros(0), np.zeros(0))


def test_registry_needs_no_check():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in NAMES:
            activations.get(name).check(np.array([1e-3, 1e3]), 1e-3)


class Unhashable:
    __hash__ = None

    def __init__(self, scale):
        self.scale = jnp.asarray(scale)

    def __call__(self, u):
        return jnp.tanh(self.scale * u)


def test_unhashable_callable():
    activation = activations.get(Unhashable(1.0))
    assert activation.name == "Unhashable" and isinstance(hash(activation), int)
    assert np.allclose(activation.moments(0.9, 0.1), activations.get("tanh").moments(0.9, 0.1), rtol=1e-11)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: activations.get("tahn"), "tanh, erf, relu.*'tahn'"),
        (lambda: activations.get(3), "got 3"),
        (lambda: activations.get(np.tanh), "jax.numpy"),
        (lambda: activations.get(lambda u: undefined(u)), "undefined"),  # noqa: F821
        (lambda: activations.get(lambda u: (u, u)), "shape.*tuple"),
        (lambda: activations.get(jnp.log), "finite"),
        (lambda: activations.get(lambda u: jax.lax.complex(u, u)), "real"),
        (lambda: activations.get(jax.nn.softmax), "each element"),
        (lambda: activations.custom("tanh"), "callable"),
        (lambda: activations.custom(jnp.tanh, breakpoints=[np.nan]), "breakpoints"),
        (lambda: activations.custom(jnp.tanh, breakpoints=1.0), "breakpoints"),
        (lambda: activations.leaky_relu(np.inf), "slope must be a finite number"),
        (lambda: activations.polynomial([]), "1 to 101"),
        (lambda: activations.hermite(np.ones(102)), "1 to 101"),
        (lambda: activations.hermite([1.0, np.nan]), "finite"),
    ],
)
def test_bad_input(build, message):
    with pytest.raises(ValueError, match=message) as caught:
        build()
    assert "\n" not in str(caught.value)


# --- table ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, variance, schedule",
    [
        ("tanh", 0.05, "ou"),
        ("relu", 30, "flow"),
        ("tanh", 30, "variance_exploding"),
        ("linear", 0.05, "edm"),
        ("relu", 0.05, "edm:0.3"),
    ],
)
def test_table(name, variance, schedule):
    activation, along = activations.get(name), schedules.get(schedule)
    table = activations.tabulate(activation, variance, along)
    ratio = 10.0 ** np.random.default_rng(5).uniform(-7.5, 7.0, (4, 10))
    found = table(ratio)
    signal = along.signal_at(ratio, variance)
    wanted = as_numpy(activation.moments(variance * signal, ratio * signal))
    assert table.error < 1e-10
    assert found.mu1.shape == ratio.shape
    assert np.allclose(found.mu1, wanted.mu1, rtol=1e-12)
    assert np.all(np.abs(found.v0_squared - wanted.v0_squared) <= 1e-12 * wanted.v_squared)
    assert np.allclose(found.beta_a, wanted.beta_a, rtol=1e-11)
    assert np.all(found.v0_squared >= 0) and np.all(found.beta_a >= 0)


def test_table_outside_its_range_is_direct():
    activation = activations.get("erf")
    ratio = np.array([1e-12, 0.3, 1e10])
    wanted = as_numpy(activation.moments(2.0 / (1 + ratio), ratio / (1 + ratio)))
    for found, direct in zip(activations.tabulate(activation, 2.0, schedules.ou())(ratio), wanted, strict=True):
        assert np.array_equal(found[[0, 2]], direct[[0, 2]])
        assert np.isclose(found[1], direct[1], rtol=1e-12)


def test_table_knows_its_failure():
    """sin at variance 1e4 passes from e^{-5000} to order one too fast for the table, and theory does not use it."""
    assert activations.tabulate(activations.get("sin"), 1e4, schedules.ou()).error > TABLE_TOLERANCE
