"""docs/tutorial.md: what its commands print, and what it says about it."""

import re

import numpy as np
import pytest

from benchmarks.record import RECORDED, TUTORIAL
from rfdsm import Problem, boundary, predict
from rfdsm.cli._app import app
from tests.claims.blocks import Block, assert_alike, blocks, commands, run_command
from tests.claims.ledger import Claim, check

PAGE = "docs/tutorial.md"


def block(start: str) -> Block:
    """The one block of a command that begins so."""
    (found,) = (block for block in blocks(PAGE) if block.code.startswith(start))
    return found


@pytest.mark.parametrize("start", ["rfdsm predict", pytest.param("rfdsm boundary", marks=pytest.mark.slow)])
def test_output_is_shown(start, capsys):
    shown = block(start)
    assert shown.shown
    assert_alike(shown.shown, run_command(shown, lambda: capsys.readouterr().out))


@pytest.mark.parametrize("name", ["compare", "advise"])
def test_output_of_longer_commands_is_recorded(name):
    text = (RECORDED / f"tutorial_{name}.txt").read_text()
    shown = block(f"rfdsm {name}")
    assert TUTORIAL[f"tutorial_{name}"].replace("python -m rfdsm.cli", "rfdsm") == shown.code.strip()
    assert shown.shown
    assert_alike(shown.shown, text.split("\n\n", 1)[1])


def test_commands_parse():
    asked = commands(PAGE)
    assert [command[0] for command in asked] == ["predict", "compare", "boundary", "phases", "phases", "advise"]
    for command in asked:
        app.parse_args(command, exit_on_error=False, print_error=False)


@pytest.mark.slow
def test_python_prints_what_is_shown_on_a_coarser_grid(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (found,) = (block for block in blocks(PAGE) if block.language == "python")
    code = found.code.replace("100, 61", "100, 7").replace("300, 81", "300, 9")
    assert code != found.code
    exec(compile(code, PAGE, "exec"), {})
    assert found.shown and capsys.readouterr().out == found.shown
    assert (tmp_path / "mine.png").stat().st_size > 10_000


def losses(m: float, psi_p: float):
    return predict(Problem(8, psi_p, m, 0.1, 1e-3))


def peaks(m: float) -> float:
    """Where the test loss has its largest value inside the range of the tutorial's table."""
    psi_p = np.geomspace(0.5, 256, 2001)
    return float(psi_p[np.argmax(losses(m, psi_p).test)])


def first_peak() -> float:
    assert abs(peaks(1) / 8 - 1) < 0.05
    return float(losses(1, 8).test)


def other_peak() -> int:
    assert abs(peaks(4) / 32 - 1) < 0.05
    return 32


def infinite_draws() -> tuple[float, float]:
    """The least test loss is near psi_p = 2, and from there it rises without a peak at 8."""
    psi_p = np.geomspace(0.5, 64, 2001)
    test = losses(np.inf, psi_p).test
    assert 1.6 < psi_p[np.argmin(test)] < 2.4
    assert np.all(np.diff(test[psi_p > 2.4]) > 0)
    return float(losses(np.inf, 2).test), float(losses(np.inf, 64).test)


def memorisation(m: float) -> float:
    found = boundary(Problem(8, 1, m, 0.1, 1e-3), "memorisation").roots
    return float(found[~np.isnan(found)].item())


def compared(pattern: str) -> float:
    """A number in the comparison that the page shows."""
    found = re.search(pattern, block("rfdsm compare").shown or "")
    assert found, pattern
    return float(found[1])


def deviations() -> tuple[float, float]:
    """Of the test loss at psi_p = 8, in the third column."""
    scaled = r"[-+][\d.]+\(\d+\)/d"
    per_cent = rf"{scaled} · [-+][\d.]+%"
    cell = rf"│ +8 │ +{{}} │.*\n│ +│ +│ +{per_cent} │ +{per_cent} │ +{scaled} · -([\d.]+)%"
    return compared(cell.format(20)), compared(cell.format(40))


CLAIMS = [
    Claim(PAGE, "The true score would have test loss {:.4f}", lambda: float(losses(1, 8).floor)),
    Claim(PAGE, "the test loss peaks near ψ_p = ψ_n = 8, where it is {:.2f}", first_peak),
    Claim(
        PAGE,
        "The test loss is best near ψ_p = 2, {:.3f}, and then rises and rises: {:.3f} at ψ_p = 64",
        infinite_draws,
    ),
    Claim(PAGE, "falls to {:.3f} meanwhile", lambda: float(losses(np.inf, 64).empirical_test)),
    Claim(PAGE, "its peak is near ψ_p = m ψ_n = {}", other_peak),
    Claim(PAGE, "the test loss is {:.1f} % below theory at d = 20 and {:.1f} % at d = 40", deviations),
    Claim(PAGE, "(z rms {:.2f})", lambda: compared(r"Extrapolated to d = inf: z\s+rms (\d+\.\d+)")),
    Claim(
        PAGE,
        "memorisation begins at {:.1f} features per dimension; with 4 draws only at {:.1f}.",
        lambda: (memorisation(np.inf), memorisation(4)),
    ),
    Claim(PAGE, "16 draws memorise from {:.1f} on", lambda: memorisation(16)),
]
SETTINGS = ("Python 3.11", "Regimes at m = 4, t = 0.1")


@pytest.mark.slow
def test_numbers():
    check(PAGE, CLAIMS, SETTINGS)
