"""A network of homogeneous features does not know the scale of its input: schedules of one ratio are one problem."""

import numpy as np
import pytest

from rfdsm import Problem, optimal_stopping, spectral_density, training_curve

pytestmark = pytest.mark.usefixtures("one_contour")
T = 0.3
RATIO = (1 - T) / T
SQUARE = (1 - T) ** 2 + T**2
"""The input of flow matching at T is the root of this times that of an Ornstein-Uhlenbeck process at the same ratio."""
FIELDS = {"psi_n": 3.0, "psi_p": 2.0, "m": 2, "activation": "relu"}
FLOW = {"t": T, "schedule": "flow"} | FIELDS
OU = {"t": np.log1p(RATIO**-2) / 2} | FIELDS


@pytest.mark.slow
def test_spectrum_scales_with_the_input():
    u = np.geomspace(1e-3, 3.0, 40)
    flow, ou = (spectral_density(Problem(ridge=0.0, **fields), u=at) for fields, at in ((FLOW, SQUARE * u), (OU, u)))
    assert np.all(flow.converged) and np.all(ou.converged)
    np.testing.assert_allclose(flow.edges, SQUARE * ou.edges, rtol=1e-8)
    np.testing.assert_allclose(flow.density * SQUARE, ou.density, rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(flow.moment(1), SQUARE * ou.moment(1), rtol=1e-6)


@pytest.mark.slow
def test_training_time_scales_with_the_input():
    """Gradients grow with the square of the features; losses of one target are the same."""
    ridges = (SQUARE * 1e-3, 1e-3)  # in units of the features' squares
    flow, ou = (Problem(ridge=r, target="data", **fields) for r, fields in zip(ridges, (FLOW, OU), strict=True))
    times = np.geomspace(0.1, 1e3, 5)
    curves = training_curve(flow, times / SQUARE), training_curve(ou, times)
    for name in ("train", "test", "empirical_test"):
        np.testing.assert_allclose(*(getattr(curve, name) for curve in curves), rtol=1e-6)
    first, second = optimal_stopping(flow), optimal_stopping(ou)
    np.testing.assert_allclose(first.time * SQUARE, second.time, rtol=1e-4)
    np.testing.assert_allclose(first.loss, second.loss, rtol=1e-7)
    around = training_curve(flow, np.array([0.9, 1.0, 1.1]) * float(first.time)).test
    assert around[1] < min(around[0], around[2])
    np.testing.assert_allclose(around[1], first.loss, rtol=1e-8)
