"""The evidence: theory against simulation by standard errors and by slope in 1/d, every loss and every statistic."""

import numpy as np
import pytest

from rfdsm import linear, spectra

DIMENSIONS = (16, 48)  # with at most 128 points, so that few sizes are compiled
TRIALS = 128
# Least squares; several draws, with smoothing and without; exact noise.
PROBLEM = linear.Problem(
    psi=np.array([0.4, 2.6, 0.5, 3.0, 0.7, 2.5]), T=np.array([1.0, 1.0, 0.6, 0.6, 0.8, 0.8]),
    m=np.array([1, 1, 3, 3, np.inf, np.inf]), ridge=np.array([0.0, 0.0, 0.05, 0.05, 0.01, 0.01]),
    noise_scale=np.array([0.5, 0.5, 0.5, 0.5, 0.6, 0.6]), sigma=np.array([1.0, 1.0, 1.2, 1.2, 1.0, 1.0]),
    spectrum=spectra.atoms([0.5, 1.5]),
)  # fmt: skip
SMOOTHING = np.array([0.3, 0.3, 0.2, 0.0, 0.1, 0.1])


@pytest.fixture(scope="module")
def comparison():
    return linear.compare(PROBLEM, DIMENSIONS, trials=TRIALS, key=3, smoothing=SMOOTHING)


def test_extrapolation_hits_theory(comparison):
    z = comparison.extrapolation.z.ravel()
    z = z[np.isfinite(z)]  # the training loss that vanishes has no error
    assert z.size > 50
    assert np.max(np.abs(z)) < 4.5
    assert 0.5 < np.sqrt(np.mean(z**2)) < 1.6


def test_deviation_shrinks_like_one_over_d(comparison):
    """Multiplied by d, the deviations at both d agree within their errors."""
    sizes = np.array(DIMENSIONS)[None, :, None]
    scaled, spread = comparison.deviation * sizes, comparison.standard_error * sizes
    with np.errstate(invalid="ignore", divide="ignore"):
        change = (scaled[:, 1] - scaled[:, 0]) / np.hypot(spread[:, 1], spread[:, 0])
    assert np.nanmax(np.abs(change)) < 4.5


def test_the_evidence_has_power(comparison):
    """Errors are small enough to see a formula that is one per cent off."""
    ratios = comparison.extrapolation.error / np.abs(comparison.theory[:, -1])
    assert np.median(ratios[np.isfinite(ratios)]) < 0.01


def test_comparison_is_labelled_and_drawn(comparison):
    dataset = comparison.to_dataset()
    assert dict(dataset.sizes) == {"quantity": 10, "d": 2, "trial": TRIALS, "cell_0": 6}
    assert "extrapolated_z" in dataset and "configuration" in dataset.attrs
    axes = comparison.plot()
    assert axes[0].get_title() == "training loss" and all(axis.lines for axis in axes)
    assert comparison.table().row_count == 6 * 3  # a row for d = inf
    assert "Extrapolated" in comparison.summary()
