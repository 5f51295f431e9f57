"""docs/performance.md: every figure from the recorded output of its benchmark."""

import re
from collections.abc import Callable
from functools import partial

import pytest

from benchmarks.record import COMMANDS
from rfdsm.simulation import memory_estimate
from tests.claims.ledger import ROOT, Claim, page, power, recorded, unclaimed

PAGE = "docs/performance.md"


def read(name: str, *patterns: str, scale: float = 1.0) -> Callable[[], tuple[float, ...]]:
    """One number for each pattern, from one recorded file."""
    return lambda: tuple(scale * recorded(f"{name}.txt", pattern) for pattern in patterns)


def powers(name: str, pattern: str) -> str:
    return power(recorded(name, pattern))


def memory(p: int, d: int) -> tuple[float, float]:
    return memory_estimate(p, d) / 1e9, memory_estimate(p, d, eigenvectors=True) / 1e9


def solver(name: str, group: int) -> float:
    """How many times slower a solver is: 1 in the moderate box, 2 in the whole one."""
    text = (ROOT / "benchmarks" / "recorded" / "predict.txt").read_text()
    found = re.findall(rf"{re.escape(name)}.*?predict is ([\d,]+) x as fast", text)
    assert len(found) == 2
    return float(found[group - 1].replace(",", ""))


def finishes(name: str) -> float:
    text = (ROOT / "benchmarks" / "recorded" / "predict.txt").read_text()
    shares = [float(value) for value in re.findall(rf"{re.escape(name)}.*?finishes ([\d.]+)%", text)]
    assert shares[0] == 100
    return shares[1]


def converge() -> tuple[float, float]:
    """Median of the moderate box and most of all boxes, all of which converge."""
    text = (ROOT / "benchmarks" / "recorded" / "predict.txt").read_text()
    assert set(re.findall(r"  converged ([\d.]+)%", text)) == {"100.000000"}
    (median, *_), most = (re.findall(rf"{what} (\d+)", text) for what in ("median", "largest"))
    return float(median), max(map(float, most))


def accuracy_of_losses(where: str) -> str:
    return power(recorded("never_fails.txt", rf"{where}.*?'score': '([\d.e+-]+)'"))


CLAIMS = [
    Claim(PAGE, f"| {text} | {{}} |", partial(powers, "predict.txt", rf"{box}: ([\d,]+) per second"))
    for text, box in (
        ("moderate box, Σ = I", "moderate box, identity covariance"),
        ("six decades of both ratios, ridge 0 and p = nm included, Σ = I", "whole box, identity covariance"),
        ("moderate box, three eigenvalues of Σ", "moderate box, three atoms"),
        ("six decades, three eigenvalues", "whole box, three atoms"),
    )
]
CLAIMS += [
    Claim(PAGE, "in {:.0f} Newton steps (median of the moderate box) and {:.0f} at most", converge),
    Claim(PAGE, "The first call takes {:.1f} s, for compilation", read("predict", r"first call ([\d.]+) s")),
    Claim(
        PAGE,
        "at a time | {:.0f} times slower | {:.0f} times slower |",
        lambda: (solver("scipy.optimize.root", 1), solver("scipy.optimize.root", 2)),
    ),
    Claim(
        PAGE,
        "optimistix Newton, vmapped | {:.0f} times slower | {:.0f} times slower, {:.1f} % finish",
        lambda: (solver("optimistix", 1), solver("optimistix", 2), finishes("optimistix")),
    ),
    Claim(
        PAGE,
        "damped iteration, vmapped | {:.0f} times slower | {:.0f} times slower, {:.1f} % finish",
        lambda: (solver("damped", 1), solver("damped", 2), finishes("damped")),
    ),
    Claim(
        PAGE,
        "down to 0: {:.0f} failures, largest relative residual {}",
        lambda: (recorded("never_fails.txt", r"(\d+) failures"), powers("never_fails.txt", r"residual ([\d.e+-]+);")),
    ),
    Claim(
        PAGE,
        "number of steps is {:.0f}, the largest {:.0f}. Against solutions to 50 digits at {:.0f} points",
        read("never_fails", r"largest: ([\d.]+)", r"largest: .* ([\d.]+)\n", r"(\d+) points against 50 digits"),
    ),
    Claim(
        PAGE,
        "a loss is {} where p/nm is further than 10⁻³ from 1, and {} within, at a distance of {},",
        lambda: (
            accuracy_of_losses("beyond 1e-3"),
            accuracy_of_losses("within:"),
            powers("never_fails.txt", r"within: .*\n\s+worst at distance ([\d.e+-]+)"),
        ),
    ),
    Claim(
        PAGE,
        "1000 places each take {:.2f} s, that is {} densities a second; the first call {:.1f} s",
        lambda: (
            recorded("spectrum.txt", r"included: ([\d.]+) s"),
            powers("spectrum.txt", r"\(([\d,]+) pairs per second; first call"),
            recorded("spectrum.txt", r"first call ([\d.]+) s"),
        ),
    ),
    Claim(
        PAGE,
        "is {:.0f} times slower by the clock, {:.0f} times per core",
        read("spectrum", r"ratio: ([\d,]+) by", r"clock, ([\d,]+) per core"),
    ),
    Claim(
        PAGE,
        "all losses: {:.1f} s, and {:.1f} s with compilation, on contours of {:.0f} nodes. "
        "The process grows to {:.2f} GB.",
        read(
            "training", r"  ([\d.]+) s \(", r"([\d.]+) s with compilation", r"(\d+) nodes per contour", r"([\d.]+) GB"
        ),
    ),
    Claim(
        PAGE, "The worst estimated error is {}", partial(powers, "training.txt", r"worst estimated error ([\d.e+-]+)")
    ),
    Claim(
        PAGE,
        "200 × 200 diagram: losses, fields, regimes | {:.2f} s | {:.1f} s |",
        read("phases", r"cells: ([\d.]+) s", r"cells: .*first call ([\d.]+) s"),
    ),
    Claim(
        PAGE,
        "and the peak of test | {:.2f} s | {:.1f} s |",
        read("phases", r"peak of test: ([\d.]+) s", r"peak of test: .*first call ([\d.]+) s"),
    ),
    Claim(
        PAGE,
        "on 1000 lines | {:.2f} s | | | best ridge on 1000 lines | {:.2f} s |",
        read("phases", r"boundary on 1000 lines: ([\d.]+) s", r"optimal ridge on 1000 lines: ([\d.]+) s"),
    ),
    Claim(
        PAGE,
        "is {:.0f} times slower for each boundary, SciPy's bounded search {:.0f} times slower",
        read("phases", r"brentq .*?(\d+) x", r"bounded search: .*?(\d+) x"),
    ),
    Claim(PAGE, "one trial takes {:.1f} s, with all four", read("simulate", r"rfdsm: ([\d.]+) s per trial")),
    Claim(
        PAGE,
        "takes {:.2f} times as long ({:.2f} to {:.2f} in three repeats). The first call takes {:.1f} s",
        read(
            "simulate",
            r"numpy/rfdsm: ([\d.]+)",
            r"numpy/rfdsm: .*?\(([\d.]+) to",
            r"numpy/rfdsm: .*? to ([\d.]+)\)",
            r"first call ([\d.]+) s",
        ),
    ),
    Claim(PAGE, "30 ridges in one call are {:.1f} times as fast", read("simulate", r"30 runs/one call: ([\d.]+)")),
    Claim(PAGE, "the moments at {:.0f} % of the speed", read("simulate", r"([\d]+)% of it")),
    Claim(
        PAGE,
        "exactly, takes {:.1f} s and is {:.0f} times as fast as m = 1000",
        read("simulate", r"m = inf: ([\d.]+) s", r"m = 1000: .*?ratio (\d+)"),
    ),
    Claim(
        PAGE,
        "on all draws take {:.1f} s, a loop that holds all features {:.1f} times as long",
        read("simulate", r"by hand .*?rfdsm ([\d.]+) s", r"all losses\); ratio ([\d.]+)"),
    ),
    Claim(
        PAGE,
        "costs {:.1f} ms (tiny cells: {:.1f} ms each in one plain call, {:.1f} ms in a sweep with a store), "
        "reading a finished one {:.1f} ms",
        read(
            "sweeps",
            r"overhead ([\d.]+) ms",
            r"simulate ([\d.]+) ms",
            r"with a store ([\d.]+) ms",
            r"finished one ([\d.]+) ms",
        ),
    ),
    Claim(
        PAGE,
        "are {:.2f} times as fast as one, and {:.0f} % of their time is work",
        read("sweeps", r"on two: ([\d.]+) times", r"(\d+)% and \d+% of the workers"),
    ),
    Claim(
        PAGE,
        "compiles {:.0f} times for m = ∞, {:.0f} times for m = 4 and {:.0f} times for m = 1",
        read("sweeps", *(rf"m = {m}, d = 100: 400 cells would compile (\d+)" for m in ("inf", "4", "1"))),
    ),
    Claim(
        PAGE,
        "five sizes n: {:.1f} s with compilation, {:.1f} ms per cell and repeat. A plain NumPy transcription, in the "
        "same run, is {:.0f} times slower",
        read("linear", r"cells in ([\d.]+) s", r"\(([\d.]+) ms per cell", r"ratio (\d+)"),
    ),
]
CLAIMS += [
    Claim(PAGE, f"| {d} | {p} | {{:.2f}} GB | {{:.2f}} GB |", partial(memory, p, d))
    for d, p in ((100, 800), (400, 2400), (1000, 4000), (2000, 6000), (2000, 16000))
]
SETTINGS = (
    "More than 10⁶ random problems",
    "1000 random problems at 200 times each",
    "further than 10⁻³",
    "Python 3.11, JAX 0.10.2",
    "a fresh set of 10⁴ points",
    "on 10⁴ fresh draws",
    "about 10 kB N²",
)


@pytest.mark.parametrize("claim", CLAIMS, ids=str)
def test_number_is_the_recorded_one(claim):
    claim.check()


def test_no_number_is_left_out():
    assert unclaimed(PAGE, CLAIMS, SETTINGS) == []


def test_machine_is_the_recorded_one():
    for name in COMMANDS:
        if not (ROOT / "benchmarks" / "recorded" / f"{name}.txt").exists():
            continue
        for what in (r"(2) cores, x86_64", r"Python 3\.(11)", r"jax 0\.(10)\.2"):
            recorded(f"{name}.txt", what)


def test_every_benchmark_is_on_the_page():
    for command in COMMANDS.values():
        assert "rfdsm.cli" in command or f"`{command}`" in page(PAGE)
