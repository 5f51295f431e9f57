"""Spectra against full sums, closed-form integrals and each other."""

import copy
import math
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rfdsm.spectra import Spectrum, atoms, from_covariance, from_data, from_eigenvalues, isotropic, power_law

D = 5000


def wishart(d: int, samples: int) -> np.ndarray:
    factor = np.random.default_rng(1).standard_normal((d, samples))
    return np.linalg.eigvalsh(factor @ factor.T / samples)


LARGE = {
    "Marchenko-Pastur": lambda: wishart(600, 1200),
    "Marchenko-Pastur near its hard edge": lambda: wishart(600, 605),
    "power law over six decades": lambda: np.logspace(0, -6, D),
    "decaying as 1/k": lambda: 1 / np.arange(1.0, D + 1),
    "log-normal": lambda: np.exp(2 * np.random.default_rng(2).standard_normal(D)),
    "rank-deficient": lambda: np.concatenate([np.zeros(3000), np.logspace(3, -3, 2000)]),
    "one spike": lambda: np.append(np.linspace(0.5, 2, D - 1), 1e4),
}

# Not what `error` is measured with: a logarithm, a double pole, another power of lambda.
OTHER_INTEGRANDS = [
    lambda s, x: np.log1p(x * s),
    lambda s, x: s / (1 + x * s) ** 2,
    lambda s, x: s * s / (1 + x * s),
]


def average(spectrum, f):
    return spectrum.weights @ f(spectrum.nodes)


def resolvent_error(spectrum, values):
    """Worst relative error on the two resolvent averages, at x between the points `error` looks at."""
    worst = 0.0
    for x in 10 ** np.random.default_rng(3).uniform(-3, 9, 300) / values.max():
        for f in (lambda s, x=x: 1 / (1 + x * s), lambda s, x=x: s / (1 + x * s)):
            worst = max(worst, abs(average(spectrum, f) / np.mean(f(values)) - 1))
    return worst


@pytest.mark.parametrize("name", LARGE)
def test_compression_reproduces_full_sums(name):
    values = LARGE[name]()
    spectrum = from_eigenvalues(values)
    assert spectrum.size == 40
    assert 0 < spectrum.error < 1e-12
    assert spectrum.mean == pytest.approx(values.mean(), rel=1e-14)
    assert spectrum.weights.sum() == pytest.approx(1, abs=1e-14)
    assert spectrum.weights[spectrum.nodes == 0].sum() == pytest.approx(np.mean(values == 0), abs=1e-14)
    for x in 10 ** np.random.default_rng(4).uniform(-3, 7, 30) / values.max():
        for f in OTHER_INTEGRANDS:
            assert average(spectrum, lambda s, f=f, x=x: f(s, x)) == pytest.approx(np.mean(f(values, x)), rel=1e-11)


@pytest.mark.parametrize("nodes", [6, 12, 20])
def test_stated_error_is_the_error_made(nodes):
    values = LARGE["power law over six decades"]()
    spectrum = from_eigenvalues(values, nodes=nodes)
    made = resolvent_error(spectrum, values)
    assert spectrum.size == nodes
    assert made > 1e-9
    assert 0.5 * made < spectrum.error < 2 * made


def test_compression_converges_geometrically():
    errors = [from_eigenvalues(np.logspace(0, -6, D), nodes=k).error for k in (8, 16, 24)]
    ratios = np.array(errors[1:]) / errors[:-1]
    # Bernstein ellipse of log lambda, half-length 3 log 10, poles at distance pi: 1.55^-16 = 9e-4 for 8 nodes more.
    assert np.all(ratios < 1e-3)
    assert errors[0] > 1e-5


def test_compression_with_a_zero_atom_stays_within_the_number_of_nodes():
    spectrum = from_eigenvalues(np.append(np.zeros(3), np.linspace(1, 2, 7)), nodes=2)
    np.testing.assert_allclose(spectrum.nodes, [0, 1.5], rtol=1e-14)
    np.testing.assert_allclose(spectrum.weights, [0.3, 0.7], rtol=1e-14)
    assert spectrum.error > 1e-3


def test_few_eigenvalues_are_kept_exactly():
    values = np.repeat([0.0, 0.3, 1e-9, 7.0], [5, 10, 25, 60])
    spectrum = from_eigenvalues(np.random.default_rng(5).permutation(values), nodes=4)
    np.testing.assert_allclose(spectrum.nodes, [0, 1e-9, 0.3, 7], rtol=1e-14)
    np.testing.assert_allclose(spectrum.weights, [0.05, 0.25, 0.1, 0.6], rtol=1e-14)
    assert spectrum.error == 0
    assert from_eigenvalues(values, nodes=3).error > 1e-3


def test_eigenvalues_at_rounding_level_are_zero():
    values = np.array([1.0, 2.0, 1e-17, -1e-17, -1e-12, 5e-13])
    spectrum = from_eigenvalues(values)
    np.testing.assert_allclose(spectrum.nodes, [0, 1, 2], rtol=1e-12)
    np.testing.assert_allclose(spectrum.weights, [2 / 3, 1 / 6, 1 / 6], rtol=1e-14)
    assert from_eigenvalues(values[[0, 1, 5]]).size == 3  # 5e-13 alone is far above float64's rounding
    assert from_eigenvalues(np.array([1, 1e-8], dtype=np.float32)).size == 2
    assert from_eigenvalues(np.array([1, 1e-8], dtype=np.float32)).nodes[0] == 0


def test_covariance_data_and_eigenvalues_agree():
    rng = np.random.default_rng(6)
    for rows, d in ((300, 60), (50, 120)):
        data = 5 + rng.standard_normal((rows, d)) * np.linspace(0.1, 3, d)
        covariance = np.cov(data.T, bias=True)
        own = from_data(data, sample=True)
        routes = own, from_covariance(covariance), from_eigenvalues(np.linalg.eigvalsh(covariance))
        for x in (1e-2, 1.0, 1e2):
            exact = np.trace(np.linalg.inv(np.eye(d) + x * covariance)) / d
            for spectrum in routes:
                assert spectrum.size <= 40
                assert average(spectrum, lambda s, x=x: 1 / (1 + x * s)) == pytest.approx(exact, rel=1e-11)
                assert spectrum.mean == pytest.approx(np.trace(covariance) / d, rel=1e-12)


def test_rank_of_few_rows_is_found():
    data = np.random.default_rng(7).standard_normal((10, 30))
    for spectrum in (
        from_data(data, sample=True),
        from_covariance(np.cov(data.T)),
        from_data(1e140 * data, sample=True),
        from_data(1e-140 * data, sample=True),
    ):
        assert spectrum.nodes[0] == 0
        assert spectrum.weights[0] == pytest.approx(21 / 30, rel=1e-14)  # nine directions after removing the mean
        assert spectrum.nodes[1] > 0.1 * spectrum.nodes[-1]


def test_covariance_may_be_single_precision_or_integer():
    data = np.random.default_rng(8).standard_normal((20, 50)).astype(np.float32)
    covariance = np.cov(data.T).astype(np.float32)
    assert from_covariance(covariance).weights[0] == pytest.approx(31 / 50, rel=1e-6)
    assert from_covariance(np.diag([1, 2, 2])) == from_eigenvalues([2, 1, 2])
    assert from_covariance(np.eye(50)).size == 1


@pytest.mark.parametrize("cutoff", [0.5, 0.01, 1e-4])
def test_power_law_integrals(cutoff):
    """With exponent 1, lambda = c/x and <1/(1 + y lambda)> = 1 - y c log((1 + y c)/(cutoff + y c))/(1 - cutoff)."""
    spectrum = power_law(1.0, cutoff, variance=2.5)
    c = 2.5 * (1 - cutoff) / math.log(1 / cutoff)
    assert spectrum.mean == pytest.approx(2.5, rel=1e-14)
    assert spectrum.error < 1e-13
    for y in (1e-3, 0.1, 1.0, 30.0):
        exact = 1 - y * c * math.log((1 + y * c) / (cutoff + y * c)) / (1 - cutoff)
        assert average(spectrum, lambda s, y=y: 1 / (1 + y * s)) == pytest.approx(exact, rel=1e-12)
    assert average(spectrum, lambda s: s**2) == pytest.approx(c * c / cutoff, rel=1e-12)


@pytest.mark.parametrize("exponent", [0.3, 0.7, 2.0])
def test_power_law_moments(exponent):
    cutoff = 1e-3
    spectrum = power_law(exponent, cutoff)
    power = 1 - exponent
    scale = (1 - cutoff) * power / (1 - cutoff**power)
    mean_log = math.log(scale) + exponent * (1 + cutoff * math.log(cutoff) / (1 - cutoff))
    inverse = (1 - cutoff ** (1 + exponent)) / (1 + exponent) / (1 - cutoff) / scale
    assert average(spectrum, np.log) == pytest.approx(mean_log, abs=1e-12)
    assert average(spectrum, lambda s: 1 / s) == pytest.approx(inverse, rel=1e-11)
    assert np.ptp(np.log(spectrum.nodes)) < -exponent * math.log(cutoff)


def test_power_law_states_its_error():
    coarse, fine = power_law(3.0, 1e-4, nodes=16), power_law(3.0, 1e-4, nodes=150)
    made = max(
        abs(average(coarse, f) / average(fine, f) - 1)
        for x in np.logspace(-6, 12, 301)
        for f in (lambda s, x=x: 1 / (1 + x * s), lambda s, x=x: s / (1 + x * s))
    )
    assert made > 1e-4
    assert 0.5 * made < coarse.error < 2 * made
    assert fine.error < 1e-11


def test_atoms_merge_sort_and_normalise():
    spectrum = atoms([2, 0.5, 2, 9], [1, 4, 3, 0])
    np.testing.assert_array_equal(spectrum.nodes, [0.5, 2])
    np.testing.assert_array_equal(spectrum.weights, [0.5, 0.5])
    assert spectrum.mean == 1.25
    assert atoms([1e-30, 1]).nodes[0] == 1e-30
    np.testing.assert_allclose(atoms([0, 1, 3]).weights, 1 / 3)
    np.testing.assert_allclose(atoms([1, 2], [1e308, 1e308]).weights, 0.5)


@pytest.mark.parametrize("d", [1, 2, 7, 64, 1001])
@pytest.mark.parametrize(
    "spectrum",
    [isotropic(2.0), atoms([0, 1, 5], [0.2, 0.5, 0.3]), power_law(1.5, 1e-3), atoms(np.arange(1, 11))],
    ids=lambda s: s.label,
)
def test_realised_spectrum(spectrum, d):
    eigenvalues, realised = spectrum.realise(d)
    assert eigenvalues.shape == (d,)
    counts = np.array([np.sum(eigenvalues == node) for node in spectrum.nodes])
    assert counts.sum() == d
    assert np.all(np.abs(counts - d * spectrum.weights) < 1)
    np.testing.assert_array_equal(
        realised.nodes, spectrum.nodes[np.argsort(spectrum.nodes)][counts[np.argsort(spectrum.nodes)] > 0]
    )
    assert realised.weights.sum() == pytest.approx(1, abs=1e-14)
    assert realised.mean == pytest.approx(eigenvalues.mean(), rel=1e-13)
    assert realised.error == 0
    again, same = realised.realise(d)
    np.testing.assert_array_equal(again, eigenvalues)
    assert same == realised


def test_realise_rounds_by_largest_remainder():
    np.testing.assert_array_equal(atoms([1, 2, 3], [0.5, 0.3, 0.2]).realise(4)[0], [1, 1, 2, 3])
    np.testing.assert_array_equal(atoms([1, 2, 3]).realise(4)[0], [1, 2, 3, 3])  # a tie goes to the larger
    np.testing.assert_array_equal(atoms([1, 2, 3]).realise(3)[0], [1, 2, 3])
    np.testing.assert_array_equal(atoms([0, 1]).realise(1)[0], [1])


def test_realise_refuses_a_covariance_that_is_zero():
    spectrum = atoms([0, 1], [0.9, 0.1])
    with pytest.raises(ValueError, match=r"non-zero eigenvalue of atoms\(2\), got d = 3"):
        spectrum.realise(3)
    for d in (0, -1, 2.0, True, "4"):
        with pytest.raises(ValueError, match="d must be an integer >= 1, got"):
            spectrum.realise(d)


def test_equality_and_hash_follow_content():
    one, other = atoms([1, 2]), Spectrum(np.array([1.0, 2.0]), np.array([0.5, 0.5]), "by hand", 1e-9)
    assert one == other
    assert hash(one) == hash(other)
    assert one != atoms([1, 3])
    assert one != atoms([1, 2], [1, 3])
    assert one != "atoms"
    negative_zero = Spectrum(np.array([-0.0, 2.0]), np.array([0.5, 0.5]))
    assert hash(negative_zero) == hash(atoms([0, 2]))


def test_arrays_are_private_and_read_only():
    values = np.array([1.0, 2.0])
    spectrum = Spectrum(values, np.array([0.5, 0.5]))
    values[0] = 7
    assert spectrum.nodes[0] == 1
    for copied in (spectrum, copy.deepcopy(spectrum), pickle.loads(pickle.dumps(spectrum))):
        assert copied == spectrum
        for array in (copied.nodes, copied.weights):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 3


def test_spectrum_is_static_structure_of_a_jitted_function():
    traces = []

    def average_log(x, spectrum):
        traces.append(spectrum)
        return jnp.sum(spectrum.weights * jnp.log1p(x * spectrum.nodes))

    jitted = jax.jit(average_log, static_argnums=1)
    assert jitted(2.0, atoms([1, 3])) == pytest.approx((math.log(3) + math.log(7)) / 2, rel=1e-12)
    jitted(3.0, atoms([3, 1]))
    assert len(traces) == 1
    jitted(3.0, atoms([3, 2]))
    assert len(traces) == 2


def test_gradient_passes_through_atoms():
    values, weights = jnp.array([0.5, 2.0, 2.0]), jnp.array([1.0, 2.0, 5.0])

    def average_log(values, weights):
        spectrum = atoms(values, weights)
        assert spectrum.size == 3
        return jnp.sum(spectrum.weights * jnp.log1p(spectrum.nodes))

    of_values, of_weights = jax.grad(average_log, argnums=(0, 1))(values, weights)
    logs, fractions = np.log1p(values), np.asarray(weights) / 8
    np.testing.assert_allclose(of_values, fractions / (1 + np.asarray(values)), rtol=1e-12)
    np.testing.assert_allclose(of_weights, (logs - fractions @ logs) / 8, rtol=1e-12)


def test_gradient_passes_through_scalars_and_the_mean():
    assert jax.grad(lambda v: isotropic(v).mean)(2.0) == 1
    assert jax.grad(lambda v: atoms([v, 1.0], [1.0, 3.0]).mean)(2.0) == 0.25
    assert jax.grad(lambda v: atoms([0.5, 1.0], [v, 1.0]).mean)(1.0) == pytest.approx(-0.125, rel=1e-14)


def test_traced_power_laws_are_the_concrete_ones():
    expected = power_law(1.5, 0.01, 20, 2.0)
    for traced in (lambda x: power_law(x, 0.01, 20, 2.0), lambda x: power_law(1.5, x / 150, 20, 2 * x / 1.5)):
        nodes, weights = jax.jit(lambda x, law=traced: (law(x).nodes, law(x).weights))(1.5)
        np.testing.assert_allclose(nodes, expected.nodes, rtol=1e-13)
        np.testing.assert_allclose(weights, expected.weights, rtol=1e-13)
    with jax.enable_x64(False):
        assert jax.jit(lambda x: power_law(x, 0.01).nodes)(1.5).dtype == np.float32


def test_traced_spectra_equal_only_themselves():
    seen = []

    def function(values):
        one, other = atoms(values), atoms(values)
        seen.append((one == one, one == other, one == atoms([1, 2]), hash(one) == hash(one), repr(one)))
        with pytest.raises(ValueError, match="concrete"):
            one.realise(4)
        return one.mean

    jax.jit(function)(jnp.array([1.0, 2.0]))
    assert seen == [(True, False, False, True, "Spectrum(atoms(2): size=2, mean=traced, error=0)")]


NAN, INF = math.nan, math.inf
BAD = {
    "atoms_nan": (lambda: atoms([1, NAN, NAN]), "values must be finite, got 2 NaN or infinite, the first in entry 2"),
    "atoms_negative": (lambda: atoms([1, -2]), "values must be >= 0, got -2"),
    "atoms_empty": (lambda: atoms([]), r"values must be a non-empty one-dimensional array, got shape \(0,\)"),
    "atoms_matrix": (lambda: atoms(np.ones((2, 2))), r"got shape \(2, 2\)"),
    "atoms_zero": (lambda: atoms([0, 0]), "values must include one > 0"),
    "atoms_text": (lambda: atoms(["a"]), "values must hold real numbers, got dtype <U1"),
    "weights_negative": (lambda: atoms([1, 2], [1, -1]), "weights must be >= 0, got -1"),
    "weights_count": (lambda: atoms([1, 2], [1]), "weights must be as many as values, got 1 weights for 2 values"),
    "weights_zero": (lambda: atoms([1, 2], [0, 0]), "weights must include one > 0"),
    "spectrum_sum": (lambda: Spectrum(np.ones(2), np.ones(2)), "weights must sum to 1, got 2"),
    "spectrum_length": (lambda: Spectrum(np.ones(2), np.ones(1)), "weights must be as many as nodes"),
    "spectrum_zero": (lambda: Spectrum(np.zeros(1), np.ones(1)), "nodes must include one > 0"),
    "variance": (lambda: isotropic(0), "variance must be a number, finite and > 0, got 0"),
    "exponent": (lambda: power_law(-1, 0.1), "exponent must be a number, finite and >= 0, got -1"),
    "cutoff": (lambda: power_law(1, 0), r"cutoff must be a number, in \(0, 1\], got 0"),
    "power_nodes": (lambda: power_law(1, 0.1, nodes=1), "nodes must be an integer >= 2, got 1"),
    "power_range": (lambda: power_law(100, 1e-4), r"exponent \* log\(1/cutoff\) must be <= 600, got 921.034"),
    "values_negative": (lambda: from_eigenvalues([1, -1e-6]), r"values must be >= 0, got -1e-06 \(the largest is 1\)"),
    "values_nodes": (lambda: from_eigenvalues([1, 2], nodes=2.5), "nodes must be an integer >= 2, got 2.5"),
    "covariance_shape": (lambda: from_covariance(np.ones((2, 3))), r"must be a square matrix, got shape \(2, 3\)"),
    "covariance_skew": (lambda: from_covariance([[1, 0.5], [0.4, 1]]), "symmetric, got 0.5 in row 1, column 2 but 0.4"),
    "covariance_sign": (lambda: from_covariance([[1, 2], [2, 1]]), "eigenvalues of covariance must be >= 0, got -1"),
    "covariance_nan": (lambda: from_covariance([[1, 0], [NAN, 1]]), "the first in row 2, column 1"),
    "data_constant": (lambda: from_data(np.full((5, 2), 0.1)), "must vary from row to row"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_a_value_error_of_one_line(name):
    call, message = BAD[name]
    with pytest.raises(ValueError, match=message) as raised:
        call()
    assert "\n" not in str(raised.value)


def test_covariances_of_single_precision_are_taken_with_a_note():
    """Stored as float64 or not: their rounding leaves negative eigenvalues of 1e-8 and asymmetries of 1e-7."""
    basis = np.linalg.qr(np.random.default_rng(3).standard_normal((40, 40)))[0]
    eigenvalues = np.r_[np.zeros(20), np.linspace(0.5, 2, 20)]
    exact = (basis * eigenvalues) @ basis.T
    single = ((basis.astype(np.float32) * eigenvalues.astype(np.float32)) @ basis.astype(np.float32).T).astype(float)
    stored = (single + single.T) / 2
    lowest = np.linalg.eigvalsh(stored)[0]
    assert -1e-6 < lowest / 2 < -1.5e-8
    skewed = exact.copy()
    skewed[3, 5] += 4e-7
    expected = np.r_[0, np.linspace(0.5, 2, 20)]
    told = (
        (lambda: from_covariance(stored), f"the lowest is {lowest:.6g}; those up to 1.91e-06"),
        (lambda: from_covariance(skewed), r"in row 4, column 6 but .* in row 6, column 4"),
        (lambda: from_eigenvalues(np.linalg.eigvalsh(stored)), f"the lowest is {lowest:.6g}"),
        (lambda: from_eigenvalues([2.0, 1.0, 0.0, -4e-8]), "the lowest is -4e-08"),
    )
    for call, note in told:
        with pytest.warns(UserWarning, match=note) as caught:
            spectrum = call()
        assert len(caught) == 1 and "\n" not in str(caught[0].message)
        if spectrum.size == 21:
            np.testing.assert_allclose(spectrum.nodes, expected, atol=1e-6)
            assert spectrum.weights[0] == pytest.approx(0.5)
    assert spectrum == atoms([0, 1, 2], [2, 1, 1])
    # Doubles that are right to rounding say nothing, and what rounding does not explain is refused.
    np.testing.assert_allclose(from_eigenvalues([2.0, 1.0, -1e-9]).nodes, [0, 1, 2], rtol=1e-14)
    skewed[3, 5] += 1e-5
    for call in (lambda: from_covariance(skewed), lambda: from_covariance(exact - 1e-5 * np.eye(40))):
        with pytest.raises(ValueError, match=r"must be symmetric|must be >= 0"):
            call()
