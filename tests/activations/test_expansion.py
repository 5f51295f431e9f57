"""Hermite expansions of activations: coefficients, second moments, the choice of rules and terms, bivariate kernels."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import erf, expit
from scipy.stats import chi2

from rfdsm import activations
from rfdsm.activations import NAMES, _expansion, _rules as rules
from rfdsm.activations._expansion import HermiteRule, expand_by_rule, hermite_rule, panel_rule
from rfdsm.simulation import _series as series
from tests.tolerances import IDENTITY, ROUTES


def bent(u, xp=np):
    """A jump at -1, a kink at 1/2 and a smooth part: none of them where another one is, none at zero."""
    return xp.where(u > 0.5, u - 0.5, 0.0) + 0.7 * xp.sign(u + 1.0) + 0.2 * xp.cos(u)


def bent_jax(u):
    return bent(u, jnp)


NUMPY = {
    "tanh": np.tanh,
    "erf": erf,
    "relu": lambda u: np.maximum(u, 0.0),
    "leaky_relu": lambda u: np.where(u > 0, u, 0.01 * u),
    "abs": np.abs,
    "sign": np.sign,
    "sin": np.sin,
    "softplus": lambda u: np.logaddexp(u, 0.0),
    "gelu": lambda u: u * (1.0 + erf(u / np.sqrt(2.0))) / 2.0,
    "silu": lambda u: u * expit(u),
    "linear": lambda u: u,
    "polynomial": lambda u: np.polynomial.polynomial.polyval(u, [0.3, -0.5, 0.2, 0.4, 0.0, 0.05]),
    "hermite": lambda u: np.polynomial.hermite_e.hermeval(u, [0.3, -0.5, 0.2, 0.4, 0.1]),
    "bent": bent,
    "slope": lambda u: np.where(u > 0, u, -0.3 * u),
}
BENDS = {"bent": (-1.0, 0.5)}
CASES = {name: activations.get(name) for name in NAMES} | {
    "polynomial": activations.polynomial([0.3, -0.5, 0.2, 0.4, 0.0, 0.05]),
    "hermite": activations.hermite([0.3, -0.5, 0.2, 0.4, 0.1]),
    "bent": activations.custom(bent_jax, breakpoints=[-1.0, 0.5]),
    "slope": activations.leaky_relu(-0.3),
}
TERMS = 12
RATIOS = np.array([-4.0, -2.3, -1.0, -0.3, 0.0, 0.01, 0.7, 1.9, 4.0])  # means in deviations
DEVIATIONS = np.array([0.05, 0.2, 0.6, 1.0, 1.4, 2.0])


@cache
def legendre(order=24):
    return np.polynomial.legendre.leggauss(order)


def fine_rule(cuts, half_width=13.0, panels=40):
    """Nodes and weights for standard normal averages: equal panels cut at the given points, 24 nodes each."""
    edges = np.unique(np.concatenate([np.linspace(-half_width, half_width, panels + 1), np.asarray(cuts, float)]))
    edges = edges[np.abs(edges) <= half_width]
    nodes, weights = legendre()
    x = (edges[:-1, None] + edges[1:, None]) / 2 + np.diff(edges)[:, None] / 2 * nodes
    w = np.diff(edges)[:, None] / 2 * weights * np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    return x.ravel(), w.ravel()


def normalised_hermite(x, terms):
    """He_r(x)/sqrt(r!), from NumPy's own series."""
    functions = []
    for r in range(terms):
        one = np.zeros(r + 1)
        one[r] = np.exp(-0.5 * sum(np.log(np.arange(1, r + 1))))
        functions.append(np.polynomial.hermite_e.hermeval(x, one))
    return np.stack(functions)


def reference(name, mean, deviation, terms):
    f = NUMPY[name]
    cuts = [(point - mean) / deviation for point in BENDS.get(name, (0.0,))]
    x, w = fine_rule(cuts)
    values = f(mean + deviation * x)
    return normalised_hermite(x, terms) @ (w * values), w @ values**2


def rule_free(activation):
    return not activation.needs_rule


def rule_for(activation, largest):
    """A rule that is good for all means and for deviations up to the largest."""
    if not activation.needs_rule:
        return None
    if isinstance(activation, type(CASES["polynomial"])):
        return hermite_rule(32)
    return panel_rule(getattr(activation, "breakpoints", (0.0,)), largest)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(CASES) - {"erf", "softplus", "silu", "leaky_relu"}))
def test_coefficients_and_second_moments_by_quadrature(name):
    """Means up to 4 deviations, deviations 0.05 ... 2; relative to the deviation of the activation's values."""
    activation = CASES[name]
    means = RATIOS * DEVIATIONS[:, None]
    rule = rule_for(activation, DEVIATIONS[-1])
    expansion = activation.expand(jnp.asarray(means), jnp.asarray(DEVIATIONS[:, None]), TERMS, rule)
    assert expansion.coefficients.shape == (TERMS, *means.shape)
    assert expansion.second.shape == means.shape
    for i, deviation in enumerate(DEVIATIONS):
        for k, mean in enumerate(means[i]):
            coefficients, second = reference(name, mean, deviation, TERMS)
            scale = np.sqrt(second)
            np.testing.assert_allclose(expansion.coefficients[:, i, k], coefficients, rtol=0, atol=3e-13 * scale)
            np.testing.assert_allclose(expansion.second[i, k], second, rtol=IDENTITY)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sin", "slope", "tanh", "sign"])
def test_single_precision(name):
    activation = CASES[name]
    means = (RATIOS * DEVIATIONS[2:, None]).astype(np.float32)
    deviations = DEVIATIONS[2:, None].astype(np.float32)
    rule = rule_for(activation, DEVIATIONS[-1])
    single = activation.expand(jnp.asarray(means), jnp.asarray(deviations), 12, rule)
    assert single.coefficients.dtype == single.second.dtype == jnp.float32
    double = activation.expand(jnp.asarray(means, float), jnp.asarray(deviations, float), 12, rule)
    scale = np.maximum(np.sqrt(np.asarray(double.second)), 1e-2)
    assert np.all(np.abs(np.asarray(single.coefficients) - np.asarray(double.coefficients)) < 1e-5 * scale)
    np.testing.assert_allclose(single.second, double.second, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, dtype", [*((name, "float32") for name in ("tanh", "relu", "sign", "sin")), ("bent", "float64")]
)
def test_extreme_deviations_never_give_nan(name, dtype):
    """Means thousands of deviations away, tiny and large deviations."""
    activation = CASES[name]
    deviations = np.array([[1e-6], [1e-3], [1.0], [30.0]], dtype)
    means = np.array([[-40.0, -1.0, 0.0, 1e-5, 1.0, 40.0]], dtype) * np.ones_like(deviations)
    terms = 48 if rule_free(activation) else 16
    rule = rule_for(activation, 30.0)
    coefficients, second = activation.expand(jnp.asarray(means), jnp.asarray(deviations), terms, rule)
    assert np.all(np.isfinite(coefficients))
    assert np.all(np.isfinite(second))
    # No more variance in the terms than there is (Parseval).
    energy = np.sum(np.asarray(coefficients) ** 2, axis=0)
    loose = 1e-11 if dtype == "float64" else 1e-3
    assert np.all(energy <= np.asarray(second) * (1 + loose) + loose * 1e-3)


def pair_moment(name, means, deviations, rho):
    """E f(u) f(u') for normal u, u': outer quadrature over u, inner over u' given u, cut at every break point."""
    f, bends = NUMPY[name], np.array(BENDS.get(name, (0.0,)))
    s, t = means
    sigma, tau = deviations
    blur = np.sqrt((1 - rho) * (1 + rho))
    cuts = (bends - s) / sigma
    if abs(rho) > 0.9:  # what is smeared by little
        around = blur * np.array([-8, -4, -2, -1, 0, 1, 2, 4, 8])
        cuts = np.concatenate([cuts, ((bends - t) / (tau * rho) + around[:, None]).ravel()])
    x, w = fine_rule(cuts, panels=24)
    edges = (bends[:, None] - t - tau * rho * x) / (tau * blur)
    edges = np.sort(np.concatenate([np.linspace(-13, 13, 17)[:, None] * np.ones_like(x), np.clip(edges, -13, 13)]), 0)
    nodes, weights = legendre()
    y = (edges[:-1] + edges[1:])[..., None] / 2 + np.diff(edges, axis=0)[..., None] / 2 * nodes
    inner = np.diff(edges, axis=0)[..., None] / 2 * weights * np.exp(-(y**2) / 2) / np.sqrt(2 * np.pi)
    inner = np.sum(inner * f(t + tau * (rho * x[:, None] + blur * y)), axis=(0, 2))
    return np.sum(w * f(s + sigma * x) * inner)


# --- kernels ----------------------------------------------------------------------------------------------------------

KERNELS = ["erf", "relu", "leaky_relu", "abs", "sign", "sin", "linear", "slope"]


def test_closed_kernels_are_those_announced():
    at = jnp.ones(1), jnp.ones(1), jnp.zeros(1)
    assert [name for name in CASES if CASES[name].kernel(*at) is not None] == KERNELS


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_by_two_dimensional_quadrature(name):
    for sigma, tau in ((1.0, 1.0), (0.3, 1.7), (2.0, 0.05)):
        for rho in (-0.999999, -0.99, -0.5, -0.01, 0.0, 0.2, 0.9, 0.999999):
            kernel = CASES[name].kernel(*map(jnp.asarray, (sigma, tau, rho * sigma * tau)))
            value = pair_moment(name, (0.0, 0.0), (sigma, tau), rho)
            size = np.sqrt(reference(name, 0.0, sigma, 1)[1] * reference(name, 0.0, tau, 1)[1])
            np.testing.assert_allclose(kernel, value, rtol=0, atol=3e-12 * size, err_msg=str((sigma, tau, rho)))


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_at_the_ends(name):
    """Correlation +-1, and just beyond by rounding: E f(u) f(+-u) of different deviations."""
    sigma, tau = 0.8, 1.3
    x, w = fine_rule([0.0])
    for sign in (-1.0, 1.0):
        value = np.sum(w * NUMPY[name](sigma * x) * NUMPY[name](sign * tau * x))
        for covariance in (sign * sigma * tau, sign * sigma * tau * (1 + 1e-15)):
            kernel = CASES[name].kernel(*map(jnp.asarray, (sigma, tau, covariance)))
            # the kernels of step functions have a square root of rounding at their ends
            np.testing.assert_allclose(kernel, value, rtol=0, atol=1e-7 if name == "sign" else 1e-12)


# --- choices ----------------------------------------------------------------------------------------------------------


def expanded_as_chosen(name, spread, largest, d=40, p=80, tolerance=1e-9):
    sizes = series.sizes(float(d), p)
    return rules.choose(CASES[name], spread, largest, sizes, tolerance), np.array(sizes)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tanh", "polynomial", "bent"])
def test_chosen_rules_are_exact_to_rounding(name):
    """At deviations up to the largest, and the means that occur: coefficients weighted by the size of their terms."""
    activation = CASES[name]
    for spread, largest in ((0.9, 0.02), (0.9, 0.5), (0.0, 3.0)):
        choice, sizes = expanded_as_chosen(name, spread, largest)
        assert choice.rule is not None
        ratios = np.linspace(-3, 3, 7) if spread else np.zeros(1)
        deviations = largest * np.array([0.3, 0.8, 1.0])
        means = spread * ratios * np.ones((3, 1))
        got = activation.expand(jnp.asarray(means), jnp.asarray(deviations[:, None]), choice.terms, choice.rule)
        weight = np.minimum(1.0, sizes[: choice.terms])
        for i, deviation in enumerate(deviations):
            scale = 0.0
            differences = []
            for k, mean in enumerate(means[i]):
                coefficients, second = reference(name, mean, deviation, choice.terms)
                scale += np.exp(-(ratios[k] ** 2) / 2) * second
                error = np.sum((weight * (got.coefficients[:, i, k] - coefficients)) ** 2)
                differences.append([np.exp(-(ratios[k] ** 2) / 2) * error, abs(got.second[i, k] - second)])
            differences = np.array(differences)
            # The largest deviation is that of one feature in thousands of networks.
            allowed = rules.RULE_ACCURACY if deviation == largest else 3e-13
            assert np.sqrt(differences[:, 0].sum()) <= allowed * np.sqrt(scale), (largest, deviation)
            assert differences[:, 1].max() <= 1e-11 * scale, (largest, deviation)


@pytest.mark.parametrize("name", ["tanh", "bent", "linear", "sin", "hermite", "relu"])
def test_the_remainder_is_what_the_choice_claims(name):
    """Energy beyond the chosen terms, in the norm of their matrices, over the non-linear energy."""
    spread, largest, tolerance = 0.9, 0.6, 1e-9
    choice, sizes = expanded_as_chosen(name, spread, largest)
    grid = np.linspace(-4, 4, 33)
    energies, seconds, weights = [], [], np.exp(-(grid**2) / 2)
    for mean in spread * grid:
        coefficients, second = reference(name, mean, largest, 64)
        energies.append(coefficients**2)
        seconds.append(second)
    energies, second = weights @ np.array(energies) / weights.sum(), weights @ seconds / weights.sum()
    if name == "linear":
        assert choice.terms == 2
        return
    rest = max(0.0, second - energies.sum() - 1e-14 * second)
    after = energies[choice.terms :] @ sizes[choice.terms : 64] + rest * sizes[64]
    claimed = after / (second - energies[:2].sum())
    assert claimed <= tolerance
    assert choice.error <= tolerance
    np.testing.assert_allclose(choice.error, claimed, rtol=1e-3, atol=1e-13)
    fewer = [count for count in rules.TERMS if count < choice.terms]
    if fewer:
        before = energies[fewer[-1] :] @ sizes[fewer[-1] : 64] + rest * sizes[64]
        assert before > tolerance * (second - energies[:2].sum())


@pytest.mark.slow
def test_polynomials_stop_at_their_degree_with_an_exact_rule():
    """Tails of high powers reach far beyond where the Gaussian weight does."""
    for degree in (3, 10, 20, 40):
        coefficients = np.zeros(degree + 1)
        coefficients[[1, degree]] = 1.0, np.exp(-0.5 * np.sum(np.log(np.arange(1, degree + 1))))
        activation = activations.hermite(coefficients)
        choice = rules.choose(activation, 0.0, 1.0, series.sizes(40.0, 80), 1e-9)
        assert isinstance(choice.rule, HermiteRule)
        got = activation.expand(jnp.zeros((1, 1)), jnp.ones((1, 1)), choice.terms, choice.rule)
        expected = np.zeros(choice.terms)
        expected[1] = 1.0
        if choice.terms > degree:
            expected[degree] = 1.0
        np.testing.assert_allclose(got.coefficients[:, 0, 0], expected, rtol=0, atol=1e-11)
        np.testing.assert_allclose(got.second[0, 0], 2.0, rtol=1e-11)


def test_the_rule_for_little_noise_is_no_longer():
    """Panels follow the mean: their number does not depend on how much of the line the means cover."""
    few, many = (expanded_as_chosen("bent", 1.0, h**0.5)[0].rule for h in (1e-1, 1e-8))
    assert few.size == many.size < 1000


@pytest.mark.parametrize("deviation", [4.0, 30.0])
def test_large_deviations_are_resolved_around_break_points(deviation):
    """A covariance with large eigenvalues: the activation then varies within a small part of a deviation."""
    choice = rules.choose(CASES["tanh"], 0.0, deviation, series.sizes(40.0, 80), 1e-9)
    x, w = fine_rule([0.0], panels=2000)
    values = np.tanh(deviation * x)
    got = CASES["tanh"].expand(jnp.zeros((1, 1)), jnp.full((1, 1), deviation), 8, choice.rule)
    np.testing.assert_allclose(got.second[0, 0], w @ values**2, rtol=1e-11)
    np.testing.assert_allclose(got.coefficients[:, 0, 0], normalised_hermite(x, 8) @ (w * values), rtol=0, atol=1e-11)


def test_steep_growth_is_integrated_to_its_end():
    activation = activations.custom(lambda u: jnp.exp(2 * u))
    choice = rules.choose(activation, 0.0, 1.0, series.sizes(40.0, 80), 1e-9)
    got = activation.expand(jnp.zeros((1, 1)), jnp.ones((1, 1)), 8, choice.rule)
    logs = 2 + np.arange(8) * np.log(2) - 0.5 * np.cumsum(np.log(np.maximum(np.arange(8), 1)))
    np.testing.assert_allclose(got.coefficients[:, 0, 0], np.exp(logs), rtol=IDENTITY)
    np.testing.assert_allclose(got.second[0, 0], np.exp(8.0), rtol=IDENTITY)


@pytest.mark.slow
def test_blocks_do_not_show(monkeypatch):
    """Rows handled in blocks, the last of which overlaps the one before."""
    mean = jnp.linspace(-1, 1, 21).reshape(7, 3)
    deviation = jnp.linspace(0.5, 1, 7)[:, None]
    whole = expand_by_rule(jnp.tanh, mean, deviation, 5, hermite_rule(16))
    monkeypatch.setattr(_expansion, "BLOCK", 2 * 16 * 3)
    parts = expand_by_rule(jnp.tanh, mean, deviation, 5, hermite_rule(16))
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-15)


def test_sizes_are_the_norms_of_powers_of_correlations():
    """Operator norms of rho^r off the diagonal, measured: never above the bound, and within a factor of four."""
    d, p = 40, 120
    rng = np.random.default_rng(0)
    W = rng.standard_normal((p, d))
    W /= np.linalg.norm(W, axis=1)[:, None]
    rho = W @ W.T * (1 - np.eye(p))
    sizes = series.sizes(float(d), p)
    for r in (2, 3, 4, 5, 6, 7, 8):
        norm = np.linalg.norm(rho**r, 2)
        assert norm <= 1.05 * sizes[r] + np.max(np.abs(rho)) ** r
        assert sizes[r] <= 4 * norm or r > 5


def test_quantiles_and_effective_dimension():
    mean, effective = series.effective_dimension(np.array([1.0, 1.0, 2.0]))
    assert (mean, effective) == (pytest.approx(4 / 3), pytest.approx(16 / 6))
    np.testing.assert_allclose(series._quantile(0.3, 12.5), chi2.ppf(0.3, 12.5) / 12.5)


def test_traceable():
    """Inside jit and vmap, and differentiable in the mean: the derivative of c_0 is c_1 over the deviation."""
    rule = hermite_rule(32)

    def zeroth(s):
        return CASES["tanh"].expand(s[None, None], jnp.full((1, 1), 0.5), 2, rule).coefficients[:, 0, 0]

    value, slope = jax.jit(lambda s: jax.jvp(zeroth, (s,), (jnp.ones_like(s),)))(jnp.asarray(0.3))
    np.testing.assert_allclose(slope[0], value[1] / 0.5, rtol=ROUTES)
