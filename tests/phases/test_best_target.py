"""Which target is right: choice among targets, and where two of them change places."""

import numpy as np
import pytest

from rfdsm import Problem, boundary, optimal, predict, spectra
from rfdsm.phases._rivals import directions

FEW = spectra.atoms([20.0, 0.0], [0.05, 0.95])
SOME = spectra.atoms([1 / 0.7, 0.0], [0.7, 0.3])


def test_the_best_target_is_the_best_of_all():
    """Against a fine grid of ridges for each, on a family of two widths and two numbers of draws."""
    lines = Problem.grid(4, [1.0, 8.0], [1, 4], 0.3, 0, spectrum=SOME)
    found = optimal(lines, ("target", "ridge"))
    ridges = np.geomspace(1e-4, 1e4, 400)[:, None, None]
    least = {}
    for name in ("noise", "data", "velocity", "flow", "edm"):
        grid = Problem(4, lines.psi_p, lines.m, 0.3, ridges, spectrum=SOME, target=name)
        least[name] = predict(grid).score.min(axis=0)
        assert np.all(found.targets[name].minimum <= least[name] * (1 + 1e-9))
        np.testing.assert_allclose(found.targets[name].minimum, least[name], rtol=1e-3)
    names = np.array(list(least))
    np.testing.assert_array_equal(found["target"], names[np.argmin(list(least.values()), axis=0)])
    np.testing.assert_allclose(found.losses.score, found.minimum, rtol=1e-9)
    dataset = found.to_dataset()
    assert dataset.best_target.shape == dataset.best_ridge.shape == dataset.score_noise.shape == (2, 2)
    with pytest.raises(ValueError, match="problems of different targets are several"):
        _ = found.problem


def test_the_target_alone():
    """At the problem's own ridge."""
    found = optimal(Problem(4, [1.0, 8.0], 4, 0.3, 0.1, spectrum=FEW), "target", targets=("noise", "data"))
    expected = [predict(Problem(4, [1.0, 8.0], 4, 0.3, 0.1, spectrum=FEW, target=name)).score for name in found.targets]
    np.testing.assert_allclose(found.minimum, np.min(expected, axis=0))


@pytest.mark.parametrize("along", ["psi_p", "ridge"])
def test_two_targets_are_equal_on_their_boundary(along):
    problem = Problem(4, 2.0, 4, 0.3, 0.0, spectrum=SOME)
    found = boundary(problem, ("noise", "data"), along, bounds=(0.1, 30))
    assert found.found and np.all(found.converged[~np.isnan(found.roots)])
    for root, rising in zip(found.roots, found.rising, strict=True):
        if np.isnan(root):
            continue
        sides = []
        for place in (root, root * 1.01):
            over = "target" if along == "ridge" else ("target", "ridge")
            here = Problem(**{"psi_n": 4, "psi_p": 2.0, "m": 4, "t": 0.3, "ridge": 0.1} | {along: place}, spectrum=SOME)
            best = optimal(here, over, targets=("noise", "data")).targets
            sides.append(float(best["noise"].minimum / best["data"].minimum))
        assert sides[0] == pytest.approx(1, abs=1e-9)
        assert (sides[1] > 1) == (rising > 0)  # then data have the smaller error


def test_directions():
    """Noise has to be passed on where there are no data, data where there are."""
    at = {name: Problem(4, 1, 4, 0.3, 0, spectrum=FEW, target=name) for name in ("noise", "data")}
    assert directions(at["data"]) == pytest.approx(0.05)
    assert directions(at["noise"]) == pytest.approx(0.95, abs=0.01)
    assert directions(Problem(4, 1, 4, 0.3, 0, target="velocity")) == 0


@pytest.mark.parametrize(
    "ask, message",
    [
        (lambda p: optimal(p, "target", "test"), "minimise = 'test' must be 'score'"),
        (lambda p: optimal(p, "target", targets=("noise", "noise")), "must be two or more different ones"),
        (lambda p: optimal(p, "ridge", targets=("noise", "data")), "needs over = 'target'"),
        (lambda p: boundary(p, ("noise", "data", "flow")), "must be a name, or two targets"),
        (lambda p: boundary(p, ("noise", "nothing")), "target = 'nothing' must be one of"),
    ],
)
def test_refusals(ask, message):
    with pytest.raises(ValueError, match=message):
        ask(Problem(4, 1, 4, 0.3, 0.1))
