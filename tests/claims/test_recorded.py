"""Figures of benchmarks in the pages: those that are included exist, and sentences built on them are true of them."""

import re
from collections.abc import Iterator

import jinja2
import numpy as np

from benchmarks.pages import record, substitutions
from benchmarks.record import COMMANDS
from rfdsm.compiled import MOST
from rfdsm.phases.advice import GOOD_ENOUGH
from rfdsm.simulation import memory_estimate
from rfdsm.sweeps._configuration import MOST_CELLS
from rfdsm.sweeps.store import WORTH_SYNCING
from tests.claims.ledger import ROOT, Claim, check, page, ten

PERFORMANCE, PHASES, SWEEPS = "docs/performance.md", "docs/phases.md", "docs/sweeps.md"
INCLUDED = re.compile(r"\{\{.*?\}\}", re.DOTALL)


def test_included_figures_exist():
    """As MyST renders them: a name that no record has, and a figure that is none, fail."""
    environment, names = jinja2.Environment(undefined=jinja2.StrictUndefined), substitutions()
    count = 0
    for path in (ROOT / "docs").rglob("*.md"):
        for expression in INCLUDED.findall(path.read_text()):
            shown = environment.from_string(expression).render(names)
            assert not re.search(r"None|nan|inf|[{\[<]", shown), f"{path.name}: {expression} is {shown}"
            count += 1
    assert count > 100


def test_records_are_of_their_commands():
    for name, command in COMMANDS.items():
        assert record(name)["command"] == command
        assert f"`{command}`" in page(PERFORMANCE)


def test_tables_are_included():
    """A table of Markdown needs a line of its own, and all of it."""
    for name, table, rows in (("accuracy", "accuracy_table", 33), ("linear", "memorisation_table", 3)):
        assert f"\n\n{{{{ {table} }}}}\n" in (ROOT / "docs" / f"{name}.md").read_text()
        lines = substitutions()[table].splitlines()
        assert len(lines) == rows + 2 and len({line.count("|") for line in lines}) == 1


def sentences() -> Iterator[tuple[str, str, bool]]:
    """What pages say in words of figures that a new record may change, and whether it is so."""
    figures = substitutions()
    predict, hard, found = figures["predict"], figures["never_fails"], figures["training_accuracy"]
    boxes = [box for box in predict.values() if isinstance(box, dict) and "median_steps" in box]
    yield PERFORMANCE, "All converge, in", len(boxes) == 4 and all(box["converged"] == 1 for box in boxes)
    yield "docs/theory.md", "all converged; half took", hard["failures"] == 0 and hard["exact"]["passed"]
    linear = re.fullmatch(r"Problem\(\S+, 1\.0, \S+, \S+, 0\.0, 'linear'\).*", hard["hardest"][0])
    yield "docs/theory.md", "a linear activation at $p = d$ and zero ridge", linear is not None

    rows, summary = figures["accuracy"]["rows"], figures["accuracy"]["summary"]
    narrow = [row for row in rows if "p = n/2" in row["problem"] and row["loss"] != "score"]
    within = all(abs(row["percent"][2]) < 3 * row["error"][2] and abs(row["percent"][1]) < 1 for row in narrow)
    yield "docs/accuracy.md", "which is less than three of their errors", within
    yield "docs/accuracy.md", "d = 50 for one per cent below the peak, d = 200 at the", summary["test_200"][1] < 1.3
    tests = [row for row in rows if "p = n/2" not in row["problem"] and row["loss"] == "test"]
    lower = [("peak" in row["problem"] or "∞" in row["problem"]) == (row["percent"][2] < 0) for row in tests]
    yield "docs/accuracy.md", "Real networks have a lower test loss than theory at the peaks and, at m = ∞", all(lower)
    score = max(abs(row["c"]) for row in rows if "p = n/2" not in row["problem"] and row["loss"] == "score")
    yield "docs/accuracy.md", "twice as much for the score error", 1.8 < score / summary["c"][1] < 2.2
    doubled = summary["worst"]["loss"] == "train" and 95 < summary["worst"]["percent"][0] < 105
    yield "docs/accuracy.md", "which at d = 25 is twice its limit", doubled

    clear = found["accuracy"]["unclear"] == found["accuracy"]["unsolved"] == 0
    yield "docs/training.md", "agree within", clear and found["accuracy"]["compared"] == 4 * 4 * 8 * 120
    memorise = {m: found["scales"][f"m_{m}"]["memorisation_time"] for m in (1, 2, 4, 16)}
    yield "docs/training.md", "At m = 1 and 2 it never comes at t = 0.1", memorise[1] == memorise[2] == [None] * 3
    near_one = np.max(np.abs(np.array(memorise[4] + memorise[16]) - 1)) < 0.1
    yield "docs/training.md", "Finite m keeps τ_mem ∝ ψ_n and delays it", bool(near_one)
    cells = {cell: row["stopped"] < row["ridge"] for cell, row in found["stopping"].items() if cell != "most_apart"}
    wins = {cell for cell, stopping in cells.items() if stopping}
    expected = wins == {"t_01_m_4", "t_01_m_16", "t_01_m_inf", "t_001_m_inf"}
    yield "docs/training.md", "between m = 1 and 4 here, but between m = 16 and ∞ at t = 0.01", expected

    copied = [figures["memorisation"][d]["copied"] for d in ("d_30", "d_100")]
    few = 25 < copied[0][0] / copied[0][1] < 35
    none = max(copied[0][2:] + copied[1] + figures["memorisation_500"]["d_500"]["copied"]) == 0
    yield "docs/linear.md", "some thirty times fewer at 0.5, none elsewhere", few and none


def test_sentences_are_true_of_the_records():
    wrong = [(name, sentence) for name, sentence, so in sentences() if not so or sentence not in page(name)]
    assert wrong == []


CLAIMS = [
    Claim(
        PERFORMANCE,
        f"| {d} | {p} | {{:.2f}} GB | {{:.2f}} GB |",
        lambda p=p, d=d: (memory_estimate(p, d) / 1e9, memory_estimate(p, d, eigenvectors=True) / 1e9),
    )
    for d, p in ((100, 800), (400, 2400), (1000, 4000), (2000, 6000), (2000, 16000))
]
CLAIMS += [
    Claim(PHASES, "is within {:.0f} % of the best at any width", lambda: 100 * GOOD_ENOUGH),
    Claim(SWEEPS, "More than {} simulated cells", lambda: ten(MOST_CELLS)),
    Claim(SWEEPS, "{} MB at most", lambda: MOST // 2**20),
    Claim(SWEEPS, "Files that took more than {} s to compute", lambda: WORTH_SYNCING),
]
SETTINGS = (
    "further than 10⁻³",
    "a fresh set of 10⁴ points",
    "on 10⁴ fresh draws",
    "about 10 kB N²",
    "agree to rounding (10⁻¹⁰ is tested)",
    "at t = 0.3, 0.1, 0.01, 0.001",
    "both ratios from 10⁻² to 10³, ridges from 10⁻⁸",
)


def test_numbers():
    for name in (PERFORMANCE, PHASES, SWEEPS):
        check(name, [claim for claim in CLAIMS if claim.page == name], SETTINGS)
