"""rfdsm phases, boundary, optimal and advise: what is asked of the library, what is written, what is refused."""

import re
import time
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

import rfdsm
from rfdsm import Problem
from rfdsm.cli import _output as output, main
from rfdsm.cli._phase_options import PHASE_COMMANDS

MAGIC = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}


class Asked(Exception):
    """Raised in place of a computation."""


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """Calls the command line in an empty folder and returns the arguments the library was called with."""
    monkeypatch.chdir(tmp_path)

    def refuse(*arguments, **options):
        raise Asked(arguments, options)

    for name in ("phase_diagram", "boundary", "optimal", "advise"):
        monkeypatch.setattr(rfdsm, name, refuse)

    def call(text):
        with pytest.raises(Asked) as caught:
            main(text.split())
        return caught.value.args

    return call


@pytest.mark.parametrize("command", PHASE_COMMANDS)
def test_help_shows_an_example_that_parses(command, capsys, asked):
    assert main([command, "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    (example,) = re.findall(r"Example: rfdsm (.*?) (?:Question|Problem|Parameters|╭|\(lists|$)", text)
    assert example.startswith(command)
    asked(example.split(" Problem")[0])


def test_ranges_are_geometric(asked):
    (problem, along), _ = asked("phases --psi-n 0.1:10:3 --psi-p 1 5:20:2 --m inf")
    np.testing.assert_allclose(problem.psi_n.ravel(), [0.1, 1, 10], rtol=1e-14)
    np.testing.assert_allclose(problem.psi_p.ravel(), [1, 5, 20], rtol=1e-14)
    assert problem.shape == (3, 3) and along == ["psi_p"]
    (_, along), _ = asked("phases --psi-n 0.1:10:3 --t 0.1:1:4 --psi-p 4 --plot a.png")
    assert along == ["psi_n", "t"]


def test_what_is_asked(asked, tmp_path):
    (problem, field, along), options = asked("boundary --field harmful --along t --bounds 0.01 1 --psi-n 1 2 --m 1 4")
    assert problem.shape == (2, 2) and (field, along) == ("harmful", "t") and options == {"bounds": [0.01, 1]}
    (problem, over, minimise), options = asked(
        "optimal --over ridge m --minimise score --ridge-bounds 0,1 --m-bounds 1 9"
    )
    assert over == ("ridge", "m") and minimise == "score"
    assert options == {"bounds": {"ridge": [0, 1], "m": [1, 9]}, "targets": None}
    (n, d), options = asked(
        "advise --n 50 --d 10 --t 0.2 --m 4 --p 20 --ridge 0.1 --budget 0 --learning-rate 2 --key 3"
    )
    assert (n, d) == (50, 10) and options.pop("spectrum").label == "isotropic"
    assert {name: options.pop(name) for name in ("schedule", "target")} == {"schedule": "ou", "target": "noise"}
    assert options == dict(
        data=None, activation="tanh", t=0.2, m=4.0, p=20, ridge=0.1, budget=0, learning_rate=2.0, key=3
    )
    (tmp_path / "study.toml").write_text("psi_n = [1, 2]\n[boundary]\nfield = 'harmful'\nbounds = [0.1, 10]\n")
    (problem, field, _), options = asked("boundary --config study.toml")
    assert problem.shape == (2,) and field == "harmful" and options == {"bounds": [0.1, 10]}
    _, options = asked("advise --data digits")
    assert options["data"].shape == (1797, 64) and options["spectrum"] is None


@pytest.mark.slow
def test_phases(tmp_path, capsys):
    grid = ["--psi-n", "0.5:50:6", "--psi-p", "0.5:50:8"]
    assert main(["phases", *grid]) == 0
    text = capsys.readouterr().out
    diagram = rfdsm.phase_diagram(
        Problem.grid(np.geomspace(0.5, 50, 6), np.geomspace(0.5, 50, 8), 4, 0.1, 1e-3), "psi_p"
    )
    assert f"{float(diagram['psi_p_at_noise_fitting'][2, 0]):.10g}" in text
    assert f"memorisation {np.mean(diagram['regime'] == 2):.0%}" in text
    assert main(["phases", "--psi-n", "8", "--psi-p", "128"]) == 0
    assert main(["phases", "--psi-n", "1", *grid[2:]]) == 0  # one line
    text = capsys.readouterr().out
    assert "memorisation, harmful" in text and "1.645" in text
    paths = [tmp_path / name for name in ("a.nc", "a.csv", "a.pdf")]
    assert main(["phases", *grid, "--output", str(paths[0]), "--plot", str(paths[2])]) == 0
    assert main(["phases", *grid, "--output", str(paths[1])]) == 0
    with xr.open_dataset(paths[0]) as read:
        np.testing.assert_array_equal(read["regime"], diagram["regime"])
        assert "psi_n_at_memorisation" in read
    table = np.genfromtxt(paths[1], delimiter=",", names=True)
    assert table.shape == (48,)
    np.testing.assert_allclose(table["memorisation"], np.ravel(diagram["memorisation"]), rtol=1e-9)
    assert paths[2].read_bytes().startswith(MAGIC["pdf"])


@pytest.mark.slow
def test_boundary(tmp_path, capsys):
    question = ["boundary", "--psi-n", "8", "16", "--m", "4", "inf", "--field", "noise_fitting"]
    found = rfdsm.boundary(Problem.grid([8, 16], 1, [4, np.inf], 0.1, 1e-3), "noise_fitting")
    assert main(question) == 0
    text = capsys.readouterr().out
    assert all(f"{root:.10g}" in text for root in found.roots.ravel()) and text.count("above") == 4
    assert main([*question, "--output", str(tmp_path / "b.nc"), "--plot", str(tmp_path / "b.svg")]) == 0
    with xr.open_dataset(tmp_path / "b.nc") as read:
        np.testing.assert_allclose(read["psi_p_at_boundary"], found.roots)
    assert (tmp_path / "b.svg").read_bytes().startswith(MAGIC["svg"])


@pytest.mark.filterwarnings("default")
def test_a_field_that_never_vanishes_is_said(capsys):
    assert main(["boundary", "--field", "harmful", "--psi-n", "0.5", "8"]) == 0
    captured = capsys.readouterr()
    assert captured.err.startswith(
        "rfdsm: warning: harmful does not vanish for psi_p from 0.001 to 1e+05 on 1 of 2 lines"
    )
    assert "–" in captured.out


@pytest.mark.slow
def test_optimal(tmp_path, capsys):
    question = "optimal --psi-n 1 8 --psi-p 8 --over ridge psi_p --psi-p-bounds 0.1 10"
    found = rfdsm.optimal(Problem([1, 8], 8, 4, 0.1, 1), ("ridge", "psi_p"), bounds={"psi_p": (0.1, 10)})
    assert main([*question.split(), "--plot", str(tmp_path / "o.png")]) == 0
    text = capsys.readouterr().out
    assert all(f"{value:.6g}" in text for value in found["ridge"]) and text.count("(upper bound)") == 2
    assert all(f"{value:.6f}" in text for value in found.minimum)
    assert (tmp_path / "o.png").read_bytes().startswith(MAGIC["png"])
    assert main([*question.split(), "--output", str(tmp_path / "o.csv")]) == 0
    table = np.genfromtxt(tmp_path / "o.csv", delimiter=",", names=True)
    np.testing.assert_allclose(table["best_ridge"], found["ridge"], rtol=1e-9)


def test_advise(tmp_path, capsys, monkeypatch):
    values = dict(time=5.0, loss=0.99, final=1.2, memorisation_time=np.inf)  # computed in test_advice
    monkeypatch.setattr("rfdsm.phases.advice.optimal_stopping", lambda *_, **__: SimpleNamespace(**values))
    question = ["advise", "--n", "640", "--d", "10", "--t", "0.01", "--p", "800", "--ridge", "1e-6", "--budget", "0"]
    assert main([*question, "--output", str(tmp_path / "a.nc"), "--plot", str(tmp_path / "a.pdf")]) == 0
    text = capsys.readouterr().out
    assert "it memorises" in text and "begins at p = 700 features (p/n = 1.09)" in text
    assert "stop at flow time 5: test loss 0.99 instead of 1.2" in text
    with xr.open_dataset(tmp_path / "a.nc") as read:
        assert float(read["boundary_p"]) == pytest.approx(699.7, rel=1e-3)
    assert (tmp_path / "a.pdf").read_bytes().startswith(MAGIC["pdf"])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("phases --psi-n 10:1:5", ["--psi-n", "'10:1:5'", "LOW < HIGH"]),
        ("phases --psi-n 1:10", ["--psi-n", "'1:10'", "LOW:HIGH:COUNT"]),
        ("phases --along t", ["along", "'t'", "axis of its own"]),
        ("phases --m 1 4 --plot a.png", ["plot", "exactly two"]),
        ("optimal --psi-n 4 --psi-p 8 --over ridge --plot a.png", ["plot", "psi_n, psi_p, t or m"]),
        ("boundary --bounds 2 1", ["bounds of psi_p", "(2, 1)"]),
        ("advise --n 5000", ["n and d must be given, or data"]),
        ("advise --data digits --spectrum isotropic", ["spectrum", "data"]),
    ],
)
def test_refusals_are_one_line(arguments, expected, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments.split()) == 2
    err = capsys.readouterr().err
    assert err.startswith("rfdsm: error: ") and err.count("\n") == 1 and "Traceback" not in err
    assert all(text in err for text in expected), err
    assert list(tmp_path.iterdir()) == []


def test_what_is_solved_for_and_given_all_the_same_is_said(capsys):
    for arguments, said in (
        ("boundary --psi-n 8 --m inf --psi-p 1 2", "psi_p is ignored: with --along psi_p it is solved for"),
        ("boundary --psi-n 8 --m inf", ""),
    ):
        assert main(arguments.split()) == 0
        assert capsys.readouterr().err.strip() == said


def test_slow_work_is_announced_and_quick_work_is_not(capsys):
    for seconds, said in ((0.01, "patience\n"), (60.0, "")):
        with output.note_if_slow("patience", seconds):
            time.sleep(0.3)
        assert capsys.readouterr().err == said
