"""Where generated laws lie between the law of the data and the training set; the power of every statistic."""

import numpy as np
import pytest

from rfdsm.data import load, standardise
from rfdsm.networks.judge import Statistics, alignment, copies, discrepancy, statistics


def overlap(a, b, width, d):
    """Mean of the kernel between N(0, a) and N(0, b) in d dimensions."""
    return (width**2 / (width**2 + a + b)) ** (d / 2)


@pytest.mark.parametrize("variance", [1.0, 0.5, 1.6])
def test_distances_of_normal_laws(variance):
    """Integrals in closed form: to the law, to the density of given training points, and between the two."""
    rng, d, width = np.random.default_rng(0), 4, 1.3
    training = rng.normal(size=(30, d))
    squares = np.sum((training[:, None] - training) ** 2, axis=-1)
    density = np.mean(np.exp(-squares / (2 * width**2)))

    def across(a):
        """Between N(0, a) and the training set."""
        each = np.exp(-np.sum(training**2, axis=1) / (2 * (width**2 + a)))
        return (width**2 / (width**2 + a)) ** (d / 2) * each.mean()

    law = overlap(1, 1, width, d)
    expected = [
        overlap(variance, variance, width, d) + law - 2 * overlap(variance, 1, width, d),
        overlap(variance, variance, width, d) + density - 2 * across(variance),
        density + law - 2 * across(1),
    ]
    found = np.array(
        [
            alignment(variance**0.5 * rng.normal(size=(600, d)), training, rng.normal(size=(600, d)), width=width)
            for _ in range(20)
        ]
    )
    error = found.std(axis=0, ddof=1) / np.sqrt(20)
    assert np.all(np.abs(found.mean(axis=0)[:3] - expected) < 4 * error[:3])
    np.testing.assert_allclose(found[:, 3], (found[:, 1] - found[:, 0]) / found[:, 2])
    fresh, samples = rng.normal(size=(2, 40, d))
    np.testing.assert_allclose(
        alignment(samples, training, fresh, width=width).to_fresh, discrepancy(samples, fresh, width), rtol=1e-9
    )


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
def test_position_is_the_share_of_copies(share):
    """1 - 2 c of a generator that copies a share c and is perfect else."""
    rng, found = np.random.default_rng(1), []
    for _ in range(20):
        training, fresh, samples = (rng.normal(size=(count, 5)) for count in (30, 600, 600))
        copied = round(share * 600)
        samples[:copied] = training[rng.integers(0, 30, copied)]
        found.append(alignment(samples, training, fresh).position)
    assert abs(np.mean(found) - (1 - 2 * share)) < 4 * np.std(found) / np.sqrt(20) + 0.01


def separated(draw, n, count, law, repeats):
    """Statistics of perfect generators and of copiers for as many training sets, shape (2, repeats, statistics)."""
    found = []
    for seed in range(repeats):
        points = draw(seed)
        training, fresh, perfect = points[:n], points[n : n + law], points[n + law : n + law + count]
        found.append([statistics(x, training, fresh) for x in (perfect, copies(training, count, seed=seed))])
    return np.moveaxis(np.array(found), 1, 0)


@pytest.mark.slow
@pytest.mark.parametrize("kind, n", [("gaussian", 16), ("gaussian", 128), ("digits", 128)])
def test_every_statistic_has_power(kind, n):
    """At the sizes of benchmark and notebook no copier is within the range of the perfect generators, by any statistic
    but the sign, which is -1 for every copier and either for perfect generators."""
    if kind == "digits":
        rows = standardise(load("digits"))
        perfect, copier = separated(lambda k: rows[np.random.default_rng(k).permutation(len(rows))], n, 500, 800, 10)
    else:
        perfect, copier = separated(lambda k: np.random.default_rng(k).normal(size=(1200, 8)), n, 500, 500, 10)
    for k, name in enumerate(Statistics._fields):
        one, other = perfect[:, k], copier[:, k]
        if name == "sign":
            assert np.all(other == -1) and np.any(one == 1)
        elif name in ("copied", "to_fresh"):
            assert one.max() < other.min(), name
        else:
            assert one.min() > other.max(), name


def test_copies_are_training_points_with_a_little_noise():
    training = np.random.default_rng(0).normal(size=(20, 50))
    found = copies(training, 400, seed=1)
    off = found[:, None] - training
    nearest = off[np.arange(400), np.argmin(np.sum(off**2, axis=-1), axis=1)]
    assert abs(nearest.std() / training.std() - 0.05) < 0.002
    np.testing.assert_array_equal(copies(training, 400, seed=1), found)


@pytest.mark.parametrize(
    "changes, text",
    [
        (dict(samples=np.ones((1, 3))), "samples must have at least 2 rows"),
        (dict(fresh=np.ones((1, 3))), "fresh must have at least 2 rows"),
        (dict(training=np.ones((4, 2))), "training has 2 columns, must be as many as samples, 3"),
        (dict(fresh=np.ones((4, 2))), "fresh has 2 columns, must be as many as samples, 3"),
        (dict(samples=np.full((4, 3), np.nan)), "samples"),
        (dict(width=0), "width must be a number, > 0"),
        (dict(fresh=np.ones((4, 3))), "fresh has a median distance of 0"),
    ],
)
def test_refusals(changes, text):
    x = np.random.default_rng(0).normal(size=(5, 3))
    with pytest.raises(ValueError, match=text):
        alignment(**(dict(samples=x, training=x, fresh=x) | changes))
    with pytest.raises(ValueError, match="count = 0 must be"):
        copies(x, 0)
