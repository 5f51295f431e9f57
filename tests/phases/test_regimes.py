"""Phase diagrams: definitions, hand-checked points of every regime, curves on their places, simulated cells, speed."""

import numpy as np
import pytest

import rfdsm
from rfdsm import Problem, boundary, phase_diagram, predict
from rfdsm.phases import REGIMES, SIGNED, simulated_regimes
from tests.phases.test_boundaries import CUBIC, gauss_hermite_moments
from tests.theory.oracle import Oracle

pytestmark = pytest.mark.filterwarnings("ignore:.*does not vanish:RuntimeWarning")
# (psi_n, psi_p, m, t, ridge): regime, harmful. Checked by hand from the losses of a solution at 60 digits, below.
POINTS = {
    (8, 0.5, 4, 0.1, 1e-3): ("generalisation", False),
    (1, 0.15, 4, 0.1, 1e-3): ("generalisation", True),
    (64, 20, np.inf, 0.1, 1e-6): ("generalisation", False),  # points fitted: empirical_test < floor, but > test - floor
    (16, 2, 4, 0.1, 1e-3): ("noise_fitting", False),
    (8, 8, 4, 0.1, 1e-3): ("noise_fitting", True),
    (8, 128, 4, 0.1, 1e-3): ("memorisation", True),
    (64, 1500, np.inf, 0.35, 1e-6): ("memorisation", False),
}


@pytest.mark.parametrize("point", POINTS)
def test_labels_of_hand_checked_points(point):
    """Losses from the textbook equations; regimes from these numbers, by the words of the definition."""
    psi_n, psi_p, m, t, ridge = point
    oracle = Oracle(psi_n, psi_p, m, t, ridge, *gauss_hermite_moments(t), [1], [1]).losses()
    train, empirical_test, test, floor = (float(oracle[name]) for name in ("train", "empirical_test", "test", "floor"))
    if empirical_test < min(floor, test - floor):
        regime = "memorisation"
    else:
        regime = "noise_fitting" if train < floor <= empirical_test else "generalisation"
    assert POINTS[point] == (regime, test > 1)
    diagram = phase_diagram(Problem(*point))
    assert (REGIMES[int(diagram["regime"])], bool(diagram["is_harmful"])) == POINTS[point]


@pytest.fixture(scope="module")
def grid():
    return Problem.grid(np.geomspace(0.1, 100, 16), np.geomspace(0.1, 300, 21), [4, np.inf], 0.1, 1e-3)


@pytest.fixture(scope="module")
def diagram(grid):
    return phase_diagram(grid, ("psi_p", "psi_n"))


def test_fields_are_what_they_say(grid, diagram):
    losses = predict(grid)
    floor, excess = losses.floor, losses.test - losses.floor
    expected = {
        "memorisation": np.minimum(floor, excess) - losses.empirical_test,
        "noise_fitting": floor - losses.train,
        "harmful": losses.test - 1,
        "point_fitting": floor - losses.empirical_test,
        "memorisation_index": 1 - losses.empirical_test / floor,
        "generalisation_index": (1 - losses.test) / (1 - floor),
    }
    for name, values in expected.items():
        assert diagram[name].dims == ("psi_n", "psi_p", "m")
        np.testing.assert_allclose(diagram[name], values, rtol=1e-11, atol=1e-13)
    assert diagram["regime"].attrs["flag_meanings"].split()[1:] == list(REGIMES)
    np.testing.assert_array_equal(diagram["regime"].attrs["flag_values"], [-1, 0, 1, 2])
    for name in (*losses.NAMES, "floor", "objective", "converged"):
        np.testing.assert_array_equal(diagram[name], getattr(losses, name))


def test_curves_separate_the_labels(diagram):
    """Between neighbouring cells of different sign lies a root, along either axis."""
    for along in ("psi_p", "psi_n"):
        other = "psi_n" if along == "psi_p" else "psi_p"
        for field in SIGNED:
            values = diagram[field].transpose(other, "m", along).to_numpy()
            roots = diagram[f"{along}_at_{field}"].transpose(other, "m", ...).to_numpy()
            places = diagram[along].to_numpy()
            changes = (values[..., 1:] > 0) != (values[..., :-1] > 0)
            within = (roots[..., None] >= places[:-1]) & (roots[..., None] <= places[1:])
            np.testing.assert_array_equal(np.sum(within, axis=2) % 2 == 1, changes)


def test_curves_are_those_of_boundary_and_the_papers(grid, diagram):
    alone = boundary(grid, "harmful", "psi_p", bounds=(0.1, 300))
    np.testing.assert_allclose(diagram["psi_p_at_harmful"], alone.roots, rtol=1e-12)
    np.testing.assert_array_equal(diagram["psi_p_rising_harmful"], alone.rising)
    psi_n, psi_p = diagram["psi_n"], diagram["psi_p"]
    assert np.all(diagram["psi_p_at_p_n"] == psi_n) and np.all(diagram["psi_n_at_p_n"] == psi_p)
    assert np.all(diagram["psi_p_at_p_nm"].sel(m=4) == 4 * psi_n)
    assert np.all(diagram["psi_n_at_p_nm"].sel(m=4) == psi_p / 4)
    assert np.all(diagram["psi_n_at_one_draw"].sel(m=4) == 0.25)
    peaks = diagram["psi_p_at_test_peak"].sel(m=4, psi_n=slice(0.5, 50)).to_numpy()
    assert np.all(np.abs(peaks[:, 0] / diagram["psi_p_at_p_nm"].sel(m=4, psi_n=slice(0.5, 50)) - 1) < 0.1)


def test_without_ridge_the_peak_is_labelled_too():
    diagram = phase_diagram(Problem(2.0, [4.0, 8.0, 16.0], 4, 0.1, 0.0))
    assert np.isinf(diagram["test"][1]) and diagram["regime"][1] == 1 and diagram["is_harmful"][1] == 1
    assert np.all(diagram["regime"] >= 0)


def test_simulated_cells_are_on_their_sides():
    """Three times less and three times more ridge than on each boundary: five standard errors from it, on its side."""
    names, line = ("memorisation", "noise_fitting", "harmful"), Problem(3.0, 16.0, np.inf, 0.1, 1.0, CUBIC)
    found = [boundary(line, field, "ridge") for field in names]
    assert all(each.roots.shape == (1,) and each.rising[0] == -1 for each in found)
    places = np.concatenate([each.roots for each in found])
    problem = line.at(ridge=np.concatenate([places / 3, places * 3]))
    simulated = simulated_regimes(problem, 24, trials=4, key=1)
    for k, field in enumerate(names):
        z = np.asarray(simulated[field] / simulated[f"{field}_error"])
        assert z[k] > 5 and z[3 + k] < -5, (field, z[[k, 3 + k]])
    assert (simulated["regime"].max(), simulated["regime"].min()) == (2, 0)
    losses = rfdsm.simulate(problem, 24, trials=4, key=1)
    np.testing.assert_allclose(simulated["test"], np.mean(losses.test, axis=0), rtol=1e-12)
    signed = np.minimum(losses.floor, losses.test - losses.floor) - losses.empirical_test
    expected = np.std(signed, axis=0, ddof=1) / 4**0.5
    np.testing.assert_allclose(simulated["memorisation_error"], expected, rtol=1e-6)
    with pytest.raises(ValueError, match=r"^trials = 1 must be an integer >= 2"):
        simulated_regimes(problem, 24, trials=1)


@pytest.mark.parametrize(
    ("along", "message"),
    [
        ("m", "along = 'm' must be one of"),
        ("t", "along = 't' must have an axis of its own with at least two positive finite values"),
    ],
)
def test_refusals(along, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        phase_diagram(Problem.grid([1.0, 2.0], [1.0, 2.0], 4, 0.1, 0.1), along)
