"""Roots and turning points of functions with known ones: many at once, close pairs, kinks, poles, rounding, gaps."""

import numpy as np

from rfdsm.phases import _roots as roots


def found(*functions, low=-1.0, high=1.0, points=40):
    """Roots of each function, which returns value and slope; counts of evaluations."""
    counts = []

    def evaluate(line, x):
        counts.append(len(line))
        value, slope = np.zeros(len(x)), np.zeros(len(x))
        for k, function in enumerate(functions):
            chosen = line == k
            value[chosen], slope[chosen] = function(x[chosen])
        return value, slope, np.full(len(x), 1e-15)

    samples = roots.sampled(evaluate, len(functions), low, high, points)
    result = roots.solve(evaluate, evaluate, roots.bracket(evaluate, samples))
    return [(result.place[result.line == k], result.rising[result.line == k]) for k in range(len(functions))], sum(
        counts
    )


def sine(x):
    return np.sin(20 * x + 1), 20 * np.cos(20 * x + 1)


def pair(distance, centre=0.0123):
    return lambda x: ((x - centre) ** 2 - distance**2, 2 * (x - centre))


def roof(height):
    """Touches height at 0.31 from both sides, with a kink."""
    return lambda x: (height - np.abs(x - 0.31) * (2 + x), -np.sign(x - 0.31) * (2 + x) - np.abs(x - 0.31))


def test_many_functions_at_once():
    results, count = found(sine, lambda x: (x**3 - 1e-3, 3 * x**2), lambda x: (1 + x**2, 2 * x))
    expected = (np.pi * np.arange(-10, 10) - 1) / 20
    expected = expected[np.abs(expected) < 1]
    np.testing.assert_allclose(results[0][0], expected, atol=1e-14)
    np.testing.assert_array_equal(results[0][1], np.sign(np.cos(20 * expected + 1)))
    np.testing.assert_allclose(results[1][0], [0.1], rtol=1e-13)
    assert results[2][0].size == 0
    assert count < 3 * 40 + 14 * 9


def test_close_pairs_and_kinks():
    results, _ = found(pair(1e-3), pair(1e-7), roof(1e-3), roof(1e-8), lambda x: (x**2 + 1e-7, 2 * x), roof(-1e-7))
    np.testing.assert_allclose(results[0][0], [0.0113, 0.0133], rtol=1e-12)
    np.testing.assert_allclose(results[1][0], [0.0123 - 1e-7, 0.0123 + 1e-7], atol=1e-13)
    for k, height in ((2, 1e-3), (3, 1e-8)):
        left, right = results[k][0]
        assert left < 0.31 < right and results[k][1].tolist() == [1, -1]
        np.testing.assert_allclose([roof(height)(x)[0] for x in (left, right)], 0, atol=1e-15)
    assert results[4][0].size == results[5][0].size == 0


def test_poles_rounding_and_gaps():
    """A pole changes sign without a root; so does rounding; and nobody knows what happens where nothing was solved."""

    def pole(x):
        return 1 / (x - 0.3), -1 / (x - 0.3) ** 2

    def rounding(x):
        return np.where(x < 0.5, 1e-16 * np.sin(1e3 * x), x - 0.5), np.where(x < 0.5, 1e-13 * np.cos(1e3 * x), 1.0)

    def gap(x):
        return np.where(np.abs(x) < 0.2, np.nan, x), np.where(np.abs(x) < 0.2, np.nan, 1.0)

    def jump(x):
        return np.where(x < 0.123, -1.0, 1.0), np.zeros_like(x)

    results, _ = found(pole, rounding, gap, jump, lambda x: (np.where(x == -1, 0.0, x), np.ones_like(x)))
    assert [places.size for places, _ in results] == [0, 0, 0, 0, 1]
    assert abs(results[4][0][0]) < 1e-15


def test_turning_points_of_slopes_that_jump():
    slopes = [
        lambda x: (x**2, 2 * x - 0.2),
        lambda x: (np.abs(x), np.where(x < 0.3, -1.0, 1e-3)),
        lambda x: (x**4, 4 * x**3),
    ]
    counts = []

    def evaluate(which, x):
        counts.append(len(which))
        parts = [slopes[k](value) for k, value in zip(which, x, strict=True)]
        return *np.array(parts).T, np.zeros(len(which), bool)

    low, high = np.full(3, -1.0), np.full(3, 1.0)
    ends = [np.array([float(slope(np.array(x))[1]) for slope in slopes]) for x in (-1.0, 1.0)]
    places, _, _ = roots.turning_points(evaluate, low, high, *ends, 1e-12)
    np.testing.assert_allclose(places, [0.1, 0.3, 0.0], atol=1e-11)
    assert len(counts) < 120


def test_the_last_correction_is_that_of_the_exact_function():
    """The search itself may use an approximate one, whose root is off by 1e-7."""

    def off_by(error):
        return lambda line, x: (x**2 - 0.25 + error, 2 * x, np.full(len(x), 1e-15))

    approximate, exact = off_by(1e-7), off_by(0.0)
    brackets = roots.bracket(approximate, roots.sampled(approximate, 1, 0.0, 1.0, 20))
    np.testing.assert_allclose(roots.solve(approximate, exact, brackets).place, [0.5], rtol=1e-13)
