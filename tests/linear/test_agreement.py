"""The evidence: theory against simulation by standard errors and by slope in 1/d, every loss and every statistic."""

import numpy as np
import pytest

from rfdsm import linear, spectra

DIMENSIONS = (16, 48)  # with at most 128 points, so that few sizes are compiled
TRIALS = 128
SPECTRUM = spectra.atoms([0.5, 1.5])
PROBLEMS = {
    "least squares": (linear.Problem(np.array([0.4, 2.6]), 1.0, 1, 0.0, 0.5, spectrum=SPECTRUM), 0.3),
    "several draws, with smoothing and without": (
        linear.Problem(np.array([0.5, 3.0]), 0.6, 3, 0.05, 0.5, 1.2, SPECTRUM), np.array([0.2, 0.0])),
    "exact noise": (
        linear.Problem(np.array([0.7, 2.5]), 0.8, np.inf, 0.01, 0.6, 1.0, spectra.atoms([0.25, 1.75])), 0.1),
}  # fmt: skip


@pytest.fixture(scope="module")
def comparisons():
    return {
        name: linear.compare(problem, DIMENSIONS, trials=TRIALS, key=3, smoothing=rho)
        for name, (problem, rho) in PROBLEMS.items()
    }


def test_extrapolation_hits_theory(comparisons):
    z = np.concatenate([comparison.extrapolation.z.ravel() for comparison in comparisons.values()])
    z = z[np.isfinite(z)]  # the training loss that vanishes has no error
    assert z.size > 50
    assert np.max(np.abs(z)) < 4.5
    assert 0.5 < np.sqrt(np.mean(z**2)) < 1.6


@pytest.mark.parametrize("name", PROBLEMS)
def test_deviation_shrinks_like_one_over_d(comparisons, name):
    """Multiplied by d, the deviations at both d agree within their errors."""
    comparison = comparisons[name]
    sizes = np.array(DIMENSIONS)[None, :, None]
    scaled, spread = comparison.deviation * sizes, comparison.standard_error * sizes
    with np.errstate(invalid="ignore", divide="ignore"):
        change = (scaled[:, 1] - scaled[:, 0]) / np.hypot(spread[:, 1], spread[:, 0])
    assert np.nanmax(np.abs(change)) < 4.5


def test_the_evidence_has_power(comparisons):
    """Errors are small enough to see a formula that is one per cent off."""
    ratios = [c.extrapolation.error / np.abs(c.theory[:, -1]) for c in comparisons.values()]
    finite = np.concatenate([r[np.isfinite(r)] for r in ratios])
    assert np.median(finite) < 0.01


def test_comparison_is_labelled_and_drawn(comparisons):
    comparison = comparisons["exact noise"]
    dataset = comparison.to_dataset()
    assert dict(dataset.sizes) == {"quantity": 10, "d": 2, "trial": TRIALS, "psi": 2}
    assert "extrapolated_z" in dataset and "configuration" in dataset.attrs
    axes = comparison.plot()
    assert axes[0].get_title() == "training loss"
    assert all(axis.lines for axis in axes)
    table = comparison.table()
    assert table.row_count == 2 * 3  # a row for d = inf
    assert "Extrapolated" in comparison.summary()
