"""docs/training.md: its numbers."""

import inspect
import re

import numpy as np
import pytest

from benchmarks import training as benchmark
from rfdsm import optimal_stopping
from rfdsm.theory import contour, stopping, training
from tests.claims.ledger import ROOT, Claim, power, recorded, unclaimed
from tests.claims.powers import ten

PAGE = "docs/training.md"
SPEED, ACCURACY, EVIDENCE = "training.txt", "training_accuracy.txt", "evidence.txt"


def nodes() -> int:
    """Of a contour for theta_max u_max = 1e8, and the digits that its rule is made for."""
    assert 10.5 < contour.DIGITS / np.log(10) < 11.5
    return contour.size(1 + 1e8)


def accuracy() -> tuple[str, str]:
    """Values compared, and the largest difference; nothing unsolved or unclear."""
    assert recorded(ACCURACY, r"; (\d+) estimated errors above 1e-08") == 0
    assert recorded(ACCURACY, r"; (\d+) problems with a node unsolved") == 0
    count = recorded(ACCURACY, r"accuracy: (\d+) values")
    assert count == 4 * 4 * benchmark.TIMES * 120
    return f"{count:,.0f}", power(recorded(ACCURACY, r"relative to max\(1, loss\): ([\d.e+-]+)"))


def speed() -> tuple[float, ...]:
    problems, times = (recorded(SPEED, r"(\d+) problems x (\d+) times", k) for k in (1, 2))
    warm, cold = recorded(SPEED, r"  ([\d.]+) s \("), recorded(SPEED, r", ([\d.]+) s with compilation")
    return (problems, times, recorded(SPEED, r"(\d+) nodes"), warm, cold, recorded(SPEED, r"([\d.]+) GB"))


def evidence() -> tuple[float, ...]:
    values, worst = recorded(EVIDENCE, r"(\d+) values"), recorded(EVIDENCE, r"worst \|z\| ([\d.]+)")
    rms, error = recorded(EVIDENCE, r"rms z ([\d.]+)\n  \d+ values"), recorded(EVIDENCE, r"intercept ([\d.]+) of")
    return values, worst, rms, 100 * error


def rows(pattern: str) -> list[list[float]]:
    """All numbers of the bracket, or the groups, of every match."""
    text = (ROOT / "benchmarks" / "recorded" / ACCURACY).read_text()
    found = re.findall(pattern, text)
    assert found, pattern
    return [[float(x) for x in (row.split() if isinstance(row, str) else row)] for row in found]


def exponents(m: str, name: str) -> list[float]:
    (values,) = rows(rf"  m = {m}, {name}: \[([^\]]+)\]")
    return values


def scales() -> tuple[float, float]:
    """Exponents of tau_mem and tau_gen at m = infinity between psi_n = 64 and 256: means of two octaves."""
    return tuple(float(np.mean(exponents("inf", name)[1:])) for name in ("memorisation_time", "generalisation_time"))


def below_floor() -> float:
    """A bound on the exponent of the time at which empirical_test falls below the floor."""
    largest = max(exponents("inf", "below_floor_time")[1:])
    assert 0.1 < largest <= 0.2
    return 0.2


def delays() -> tuple[float, float]:
    assert all(np.isnan(exponents(m, "memorisation_time")).all() for m in ("1", "2"))
    slopes = exponents("4", "memorisation_time") + exponents("16", "memorisation_time")
    assert np.max(np.abs(np.array(slopes) - 1)) < 0.1  # proportional to n at finite m, too
    (found,) = rows(r"m = 4: ([\d.]+), m = 16: ([\d.]+), m = inf: 1.00")
    assert re.search("m = 1: inf, m = 2: inf", (ROOT / "benchmarks" / "recorded" / ACCURACY).read_text())
    return found[1], found[0]


def early_noise() -> tuple[float, float]:
    """First and last exponent of tau_gen at t = 0.01, m = 1."""
    (found,) = rows(r"t = 0.01, m = 1, generalisation_time, 16 to 256: \[([^\]]+)\]")
    assert len(found) == 4 and found == sorted(found, reverse=True)
    return found[0], found[-1]


def stopping_and_ridge() -> dict[tuple[float, float], tuple[float, float, float]]:
    """(t, m): least test loss by stopping, by the ridge, and the percentage between them."""
    found = rows(r"t = ([\d.]+), m = (\w+): .* ([\d.]+) by stopping, ([\d.]+) by the ridge, ([\d.]+) %")
    return {(t, m): tuple(values) for t, m, *values in found}


def at_late_time() -> tuple[float, ...]:
    table = stopping_and_ridge()
    return tuple(value for m in (np.inf, 4.0, 1.0) for value in table[0.1, m][:2])


def apart() -> float:
    """Largest difference in per cent; who wins is as the page says."""
    table = stopping_and_ridge()
    wins = {cell: stopped < ridged for cell, (stopped, ridged, _) in table.items()}
    assert [wins[0.1, m] for m in (1.0, 4.0, 16.0, np.inf)] == [False, True, True, True]
    assert [wins[0.01, m] for m in (1.0, 4.0, 16.0, np.inf)] == [False, False, False, True]
    return max(percent for *_, percent in table.values())


def tolerance() -> float:
    return 100 * inspect.signature(optimal_stopping).parameters["tolerance"].default


CLAIMS = [
    Claim(PAGE, "For θ_max u_max = 10⁸ that is {} nodes for eleven digits", nodes),
    Claim(PAGE, "relative to max(1, loss); above {}", lambda: ten(training.TOLERANCE)),
    Claim(PAGE, "{} values of random problems", lambda: accuracy()[0]),
    Claim(PAGE, "agree within {}, relative to max(1, loss)", lambda: accuracy()[1]),
    Claim(PAGE, "times from {} to {}/u_max in one", lambda: (ten(benchmark.EARLIEST), ten(benchmark.LATEST))),
    Claim(
        PAGE,
        "{:.0f} isotropic problems × {:.0f} times (ridge from 10⁻⁶, m from 1 to ∞, θ from 10⁻³ to 10⁶, {:.0f} nodes) "
        "in {:.1f} s, {:.1f} s with compilation, {:.2f} GB in the process at most",
        speed,
    ),
    Claim(PAGE, "worst estimated error {}", lambda: power(recorded(SPEED, r"worst estimated error ([\d.e+-]+)"))),
    Claim(
        PAGE,
        "of {:.0f} intercepts of the deviation in 1/d the worst is {:.1f} standard errors from zero, their rms is "
        "{:.1f}, and the median error is {:.2f} % of the loss",
        evidence,
    ),
    Claim(PAGE, "on {} times", lambda: stopping.GRID),
    Claim(PAGE, "to within {:.0f} % of the way", tolerance),
    Claim(PAGE, "τ_mem grows with exponent {:.2f}, τ_gen with {:.2f}", scales),
    Claim(PAGE, "grows with exponent {:.1f} or less", below_floor),
    Claim(PAGE, "by a factor {:.2f} for m = 16 and {:.2f} for m = 4", delays),
    Claim(PAGE, "(t = 0.01, m = 1: exponent {:.1f} falling to {:.1f} for", early_noise),
    Claim(
        PAGE,
        "is {:.4f} by stopping and {:.4f} by the ridge at m = ∞, {:.4f} and {:.4f} at m = 4, but {:.4f} and {:.4f} at "
        "m = 1",
        at_late_time,
    ),
    Claim(PAGE, "They differ by {:.2f} % at most here", apart),
]
SETTINGS = (
    "ψ from 10⁻³ to 10³, ridge 0 or 10⁻¹² to 10³, t from 10⁻⁴ to 10, a fifth of the problems within 10⁻³ of p = nm or",
    "tanh, t = 0.1, ψ_p = 2¹⁴",
    "it never comes at t = 0.1",
    "ψ_n = 4, ψ_p = 64, t = 0.1",
    "between m = 16 and ∞ at t = 0.01",
)


@pytest.mark.parametrize("claim", CLAIMS, ids=str)
def test_claim(claim):
    claim.check()


def test_every_number_is_claimed():
    assert unclaimed(PAGE, CLAIMS, SETTINGS) == []
