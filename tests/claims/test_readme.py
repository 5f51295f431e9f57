"""Numbers of README.md, which is read where nothing is included: those of benchmarks stand written out."""

from functools import cache

import numpy as np
import pytest

from benchmarks.pages import record
from rfdsm import Problem, boundary, compare, predict
from rfdsm.cli._options import COMPARE_DEFAULTS, CompareOptions
from rfdsm.cli._settings import RFDSM, resolve
from rfdsm.data import load, standardise
from tests.claims.ledger import Claim, check, power, ten_above

PAGE = "README.md"
SETTINGS = (
    "Python 3.11 or newer",
    "t = 0.1 with",
    "for t = 0.3, 0.1, 0.01 and 0.001",
    "a factor beyond 10²⁶",
    "Apache-2.0",
)


def thresholds():
    lines = Problem(64, 1, np.inf, np.array([0.3, 0.1, 0.01, 0.001]), 1e-6)
    return tuple(boundary(lines, "memorisation", "psi_p").roots[:, 0] / 64)


@cache
def digits():
    """Theory and simulation at psi_p = 1, 8, 16 and m = 1, 4, the picture's own networks."""
    rows = standardise(load("digits"))
    return compare(Problem(8.0, np.array([[1.0], [8.0], [16.0]]), np.array([1, 4]), 0.1, 1e-3), data=rows, trials=8)


def whole_percent(bounded):
    """The least whole percentage that bounds all deviations."""
    return int(np.ceil(100 * np.max(np.abs(bounded))))


def heights():
    """Test loss in theory and simulation at the peak p = n for m = 1, and at psi_p = 16, m = 4."""
    result = digits()
    assert np.argmax(result.theory[2, 0, :, 0]) == np.argmax(result.mean[2, 0, :, 0]) == 1
    theory, mean = result.theory[2, 0], result.mean[2, 0]
    return theory[1, 0], mean[1, 0], theory[2, 1], mean[2, 1]


@cache
def picture():
    """The main job, `rfdsm compare`: its picture's networks."""
    asked = resolve("compare", CompareOptions(), None, RFDSM._replace(defaults={**RFDSM.defaults, **COMPARE_DEFAULTS}))
    problem = Problem.grid(*(asked[name] for name in ("psi_n", "psi_p", "m", "t", "ridge")))
    assert asked["d"] == [20, 40]
    return compare(problem, asked["d"], trials=asked["trials"], key=asked["key"])


def deviations():
    """Of the test loss at d = 40: of narrow networks the largest, and of the widest at m = inf."""
    test, train = (picture().relative_deviation[picture().names.index(name), 1] for name in ("test", "train"))
    psi_p = np.ravel(picture().problem.psi_p)
    assert psi_p[-1] == 16 and 0.4 < train[-1, 1] < 0.65  # m = 4: half as large again
    return whole_percent(test[psi_p <= 1]), round(-100 * test[-1, -1])


def agreement():
    """Theory is right, if this is about one: with 8 trials standard errors are uncertain themselves."""
    rms = np.sqrt(np.mean(picture().extrapolation.z ** 2))
    assert rms < 1.5
    return rms


@pytest.mark.slow
def test_the_picture_has_its_peaks():
    """Simulated test losses, extrapolated, have theirs where p = nm: at psi_p = 2 for m = 1 and 8 for m = 4."""
    found = picture()
    test = found.names.index("test")
    values = found.limits[test] + found.extrapolation.intercept[test]
    assert list(np.ravel(found.problem.m)) == [1, 4, 16, np.inf]
    assert np.ravel(found.problem.psi_p)[np.argmax(values, axis=0)[:2]].tolist() == [2, 8]


def measured(name):
    return record(name)["figures"]


CLAIMS = [
    Claim(
        PAGE,
        "# exact for n, p, d → ∞: {:.4f} and {:.4f}",
        lambda: tuple(predict(Problem(8, [1, 4], 4, 0.1, 1e-3)).test),
    ),
    Claim(PAGE, "memorisation begins at p/n = {:.3f}, {:.3f}, {:.3f} and {:.3f}", thresholds),
    Claim(
        PAGE, "the digits' losses within {} % at ψ_p = 1", lambda: whole_percent(digits().relative_deviation[:, 0, 0])
    ),
    Claim(
        PAGE,
        "for m = 4 stays within {} % for the two losses seen on the training points up to ψ_p = 16",
        lambda: whole_percent(digits().relative_deviation[:2, 0, :, 1]),
    ),
    Claim(
        PAGE,
        "the test loss is {:.2f} in theory and {:.2f} for the digits, at ψ_p = 16, m = 4 it is {:.2f} against {:.2f}",
        heights,
    ),
    Claim(
        PAGE,
        "test losses are within {} % of theory for ψ_p ≤ 1, and {} % off at ψ_p = 16, m = ∞",
        deviations,
    ),
    Claim(PAGE, "Extrapolated from d = 20 and 40, deviations are {:.2f} standard errors (rms)", agreement),
    Claim(
        PAGE,
        "{} random problems a second, all four losses: {:.0f} times `scipy.optimize.root` on the same equations, which "
        "yields the order parameters alone, and {:.0f} times a vmapped Newton's method",
        lambda: (
            power(measured("predict")["moderate"]["per_second"]),
            *(measured("predict")["others"]["moderate"][name]["ratio"] for name in ("scipy", "optimistix")),
        ),
    ),
    Claim(
        PAGE,
        "with all losses and regimes in {:.2f} s, with all its boundaries in {:.2f} s",
        lambda: tuple(measured("phases")[name]["seconds"] for name in ("diagram", "with_boundaries")),
    ),
    Claim(
        PAGE,
        "1000 learning curves of 200 times each in {:.1f} s, errors below {}",
        lambda: (measured("training")["seconds"], ten_above(measured("training")["error"])),
    ),
    Claim(
        PAGE,
        "a network with m = ∞ takes {:.1f} s, {:.0f} times less than 1000 noise draws",
        lambda: tuple(measured("simulate")["infinite_draws"][name] for name in ("seconds", "ratio")),
    ),
]


@pytest.mark.slow
def test_numbers():
    check(PAGE, CLAIMS, SETTINGS)
