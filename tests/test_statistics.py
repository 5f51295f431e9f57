"""Standard errors, against what they are errors of."""

import numpy as np

from rfdsm._statistics import fraction_error, standard_error


def test_standard_error_is_the_spread_of_means_and_unknown_of_one_value():
    values = np.random.default_rng(0).exponential(size=(4000, 9, 2))
    spread = values.mean(1).std(0)
    np.testing.assert_allclose(np.sqrt(np.mean(standard_error(values, 1) ** 2, axis=0)), spread, rtol=0.05)
    assert np.all(np.isnan(standard_error(values[:1]))) and np.isnan(standard_error([1.0, np.inf]))


def test_a_fraction_of_few_trials_is_never_certain():
    """All or none of few would have an error of 0, by which any law is refused; of many it is the binomial one."""
    rng = np.random.default_rng(1)
    truth = rng.random(200000)
    for count, seen in ((1, 0), (24, 24), (5, 3)):
        holds = rng.random((count, truth.size)) < truth
        these = holds.sum(0) == seen
        missed = np.sqrt(np.mean((seen / count - truth[these]) ** 2))
        np.testing.assert_allclose(fraction_error(holds)[these], missed, rtol=0.02)
    many = rng.random((10**4, 3)) < [0.1, 0.5, 0.8]
    np.testing.assert_allclose(fraction_error(many), many.std(0) / 100, rtol=1e-3)
