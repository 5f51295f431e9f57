"""Flow time of other schedules and targets: the factor between B and the output weights."""

import numpy as np
import optax
import pytest

from rfdsm import Problem, simulate_training, spectra, units


@pytest.mark.slow
@pytest.mark.parametrize("target", ["noise", "data"])
def test_small_steps_are_gradient_flow(target):
    """Of data whose variance is not one, by which the schedule scales: steps of descent against the exact flow."""
    problem = Problem(2.0, 1.5, 2, 0.7, 1e-2, "tanh", spectra.isotropic(3.0), "edm", target)
    d, steps, rate = 12, 2000, 0.05
    options = dict(schedule=problem.schedule, target=target, variance=3.0)
    theta = units.flow_time(rate, steps, 0.7, int(1.5 * d), d, **options)
    descent = simulate_training(problem, [steps], d, optimiser=optax.sgd(rate), key=1)
    flow = simulate_training(problem, [theta], d, key=1)
    np.testing.assert_allclose(descent.test, flow.test, rtol=2e-3)
    assert abs(float(simulate_training(problem, [2 * theta], d, key=1).test[0, 0] / flow.test[0, 0]) - 1) > 1e-2
