"""The population's spectrum from rows: truths that are known, how often the stated error covers them, and edges."""

import warnings

import numpy as np
import pytest

from rfdsm import spectra
from rfdsm._samples import centre
from rfdsm.spectra._population import RepeatedRowsWarning, alike, estimate, estimated, sample

FLOOR = 0.8187307530779818  # of isotropic data at t = 0.1
X = np.array([0.3, 4.5, 30.0])  # 4.5 is a^2/h at t = 0.1: that average is the floor's


def truth(name, d):
    """Eigenvalues of mean 1."""
    k = np.arange(1, d + 1)
    values = {
        "isotropic": np.ones(d),
        "two atoms": np.where(k <= d // 2, 0.3, 1.7),
        "power law": 1 / k,
        "spike": np.where(k == 1, d / 2, 0.5),
        "a quarter is zero": np.where(k <= d // 4, 0.0, 4 / 3),
    }[name]
    return values / values.mean()


def drawn(values, rows, seed):
    return np.random.default_rng(seed).standard_normal((rows, len(values))) * np.sqrt(values) + 3


def floor(nodes, weights, t=0.1):
    a_squared = np.exp(-2 * t)
    return 1 - (1 - a_squared) * float(weights @ (1 / (a_squared * nodes + 1 - a_squared)))


def averages(nodes, weights):
    return (weights / (1 + X[:, None] * nodes)).sum(axis=1)


@pytest.mark.parametrize(
    ("name", "rows", "d", "tolerance"),
    [
        ("isotropic", 60, 400, 0.05),
        ("isotropic", 200, 200, 0.01),
        ("two atoms", 200, 400, 0.015),
        ("power law", 300, 300, 0.01),
        ("spike", 100, 200, 0.03),
        ("a quarter is zero", 150, 100, 0.015),
        ("two atoms", 400, 100, 0.01),
        ("isotropic", 8, 1000, 0.05),
    ],
)
def test_floors_are_those_of_the_population(name, rows, d, tolerance):
    values = truth(name, d)
    right = floor(values, np.full(d, 1 / d))
    for seed in range(3):
        law = estimate(sample(centre(drawn(values, rows, seed))))
        assert abs(floor(*law) - right) < tolerance
    own = spectra.from_data(drawn(values, rows, 0), sample=True)
    assert abs(floor(own.nodes, own.weights) - right) > tolerance  # what it is for


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, rows, d", [("isotropic", 20, 80), ("two atoms", 40, 40), ("power law", 100, 30), ("power law", 5, 60)]
)
def test_two_stated_errors_cover_the_truth(name, rows, d):
    """19 times out of 20 or nearly: 20 repetitions, three averages each; and the errors are not large for nothing."""
    values = truth(name, d)
    right = averages(values, np.full(d, 1 / d))
    made, stated = [], []
    for seed in range(20):
        found = estimated(centre(drawn(values, rows, 100 + seed)))
        made.append(averages(*found.law) - right)
        stated.append(found.error(lambda law: averages(*law)))
    assert np.mean(np.abs(made) <= 2 * np.array(stated)) >= 0.9
    if rows > 5:
        assert np.all(np.median(stated, axis=0) < 8 * np.sqrt(np.mean(np.square(made), axis=0)))


@pytest.mark.parametrize(("rows", "d"), [(3000, 4), (4000, 40)])
def test_many_rows_give_the_samples_spectrum(rows, d):
    data = drawn(truth("power law", d), rows, 1)
    ours, own = spectra.from_data(data), spectra.from_data(data, sample=True)
    for x in X:
        first, second = (float(s.weights @ (1 / (1 + x * s.nodes))) for s in (ours, own))
        assert abs(first - second) < 3 * d / rows * second * (1 - second) + 1e-3
    assert ours.error < 0.05 and ours.mean == pytest.approx(own.mean * rows / (rows - 1), rel=1e-12)


def test_shifts_scales_and_the_order_of_columns_do_not_matter():
    data = drawn(truth("two atoms", 40), 30, 2)
    one = spectra.from_data(data)
    assert spectra.from_data(data) == one  # always the same repetitions
    for changed, scale in ((data + 100, 1), (1e-7 * data, 1e-14), (1e9 * data[:, ::-1], 1e18)):
        other = spectra.from_data(changed)
        assert other.mean == pytest.approx(scale * one.mean, rel=1e-9)
        np.testing.assert_allclose(averages(other.nodes / scale, other.weights), averages(one.nodes, one.weights), 1e-4)
        assert other.error == pytest.approx(one.error, rel=1e-2)


def test_directions_without_variance_stay_at_zero():
    data = drawn(truth("isotropic", 20), 60, 3)
    constant = np.hstack([data, np.full((60, 20), 0.1)])
    dependent = data @ np.linalg.qr(np.random.default_rng(0).standard_normal((40, 20)))[0].T
    few = np.hstack([drawn(truth("isotropic", 90), 30, 3), np.zeros((30, 10))])
    for rows, share in ((constant, 0.5), (dependent, 0.5), (few, 0.1)):
        found = spectra.from_data(rows)
        at_zero = found.weights[found.nodes == 0].sum()
        assert at_zero == pytest.approx(share, abs=1e-12 if share == 0.5 else 0.15) and at_zero >= share - 1e-12
        kept = found.nodes > 0
        assert floor(found.nodes[kept], found.weights[kept] / found.weights[kept].sum()) == pytest.approx(
            FLOOR, abs=0.05
        )


def test_a_few_rows_say_how_little_they_tell():
    for rows, d in ((2, 1), (2, 2), (2, 400), (3, 5), (3, 1000), (4, 2), (10, 1)):
        found = spectra.from_data(drawn(truth("isotropic", d), rows, 4))
        assert found.mean > 0 and np.isfinite(found.error)
        assert rows == 10 or found.error > 0.2
    assert spectra.from_data(drawn(np.ones(1), 50, 4)).size == 1


def test_nodes_are_no_more_than_asked_for():
    data = drawn(truth("power law", 60), 200, 5)
    full, few = spectra.from_data(data), spectra.from_data(data, nodes=3)
    assert few.size <= 3 < full.size and few.mean == pytest.approx(full.mean, rel=1e-12) and few.error > full.error
    law = estimate(sample(centre(data)))
    for some in (law, estimated(centre(data)).own):
        same = alike(some)
        assert same.nodes.size == 32 and same.weights.min() > 0
        np.testing.assert_allclose(averages(*same), averages(*some), rtol=1e-6)


def test_copies_of_rows_are_counted_and_said():
    data = drawn(truth("isotropic", 40), 20, 6)
    with pytest.warns(RepeatedRowsWarning, match=r"20 of 40 are copies of others .* numpy.unique\(rows, axis=0\)"):
        twice = spectra.from_data(np.vstack([data, data]))
    once = spectra.from_data(data)
    # The copies pass for rows of their own, which show less than the 40 directions: those of the sample alone.
    assert floor(once.nodes, once.weights) > 0.7 > 0.5 > floor(twice.nodes, twice.weights)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        spectra.from_data(np.vstack([data, data]), sample=True)
