"""What "never fails" means, point by point: shared by the test of that name and the long-running driver."""

import mpmath as mp
import numpy as np

from rfdsm import Losses
from rfdsm._problem import FIELDS
from rfdsm.theory._populations import cells_of
from tests.theory.boxes import distance_to_peak
from tests.theory.oracle import Oracle

COINCIDENCE = 1e-13
"""Relative distance from the peak below which a point at ridge = 0 is singular: no double can tell."""
RESIDUAL, BOUND = 1e-12, 1e-12


def violations(problem, losses):
    """Which cells break a promise, and which are exactly singular. Both of the problem's shape."""
    ridge, distance = np.broadcast_to(problem.ridge, problem.shape), distance_to_peak(problem)
    singular = (ridge == 0) & (distance <= COINCIDENCE / 2)
    # Rounding of the ratios themselves may put a point on either side of the bound.
    unclear = (ridge == 0) & ~singular & (distance <= COINCIDENCE * 2)
    values = np.stack([np.asarray(getattr(losses, name)) for name in (*Losses.NAMES, "objective")])
    train, empirical_test, test, score, objective = values
    good = np.asarray(losses.converged) & (np.asarray(losses.residual) <= RESIDUAL) & ~np.isnan(values).any(0)
    good &= (values >= 0).all(0) & (np.asarray(losses.floor) > 0)
    at_peak = (train == 0) & (objective == 0) & np.isposinf(values[1:4]).all(0)
    regular = np.isfinite(values).all(0) & (train <= objective * (1 + BOUND)) & (objective <= 1 + BOUND)
    regular &= (test >= losses.floor) & (score > 0) & (empirical_test >= train * (1 - BOUND))
    good &= np.where(singular, at_peak, regular | (unclear & at_peak))
    return ~good, singular


def error(value, truth):
    """Relative error; where the truth is zero exactly, so must be the value."""
    if truth == 0:
        return 0.0 if value == 0 else float("inf")
    return float(abs(mp.mpf(float(value)) / truth - 1))


def compare(problem, losses, cells):
    """(distance from the peak, {loss: relative error}) of the flat cells, against the 50-digit solution."""
    fields = np.stack([np.broadcast_to(getattr(problem, name), problem.shape).ravel() for name in FIELDS], axis=1)
    moments = np.stack(cells_of(problem).moments, axis=1)
    distance = np.broadcast_to(distance_to_peak(problem), problem.shape).ravel()
    nodes, weights = problem.spectrum.nodes.tolist(), problem.spectrum.weights.tolist()
    rows = []
    for cell in cells:
        mu1, v0_squared, beta_a = moments[cell].tolist()
        exact = Oracle(*fields[cell].tolist(), mp.mpf(mu1) ** 2, v0_squared, beta_a, nodes, weights).losses()
        values = {name: np.asarray(getattr(losses, name)).flat[cell] for name in Losses.NAMES}
        rows.append((float(distance[cell]), {name: error(value, exact[name]) for name, value in values.items()}))
    return rows
