"""What the README says is what happens: its commands and its Python; tests/claims has its numbers."""

import inspect
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

import rfdsm
from rfdsm import Problem, predict
from rfdsm.cli._app import app
from rfdsm.cli._options import CompareOptions
from rfdsm.cli._settings import resolve

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.slow
def test_python_example_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code, _ = [code for language, code in BLOCKS if language == "python"]
    assert len([line for line in code.splitlines() if line]) == 5
    names: dict = {}
    exec(compile(code, "README.md", "exec"), names)
    assert (tmp_path / "comparison.png").stat().st_size > 10_000
    assert capsys.readouterr().out == "[0.89951199 0.99326113]\n"
    assert np.all(np.abs(names["comparison"].extrapolation.z) < 4)
    assert isinstance(names["comparison"].plot()[0].figure, Figure)


@pytest.mark.slow
def test_limits_and_spectrum_example_runs(capsys):
    _, code = [code for language, code in BLOCKS if language == "python"]
    names: dict = {}
    exec(compile(code, "README.md", "exec"), names)
    test = predict(Problem(psi_n=8, psi_p=names["width"], m=4, t=0.1, ridge=0)).test
    assert np.isinf(test[1]) and np.all(np.isfinite(test[[0, 2]]))
    assert "inf" in capsys.readouterr().out
    step = 1e-6
    up, down = (float(predict(Problem(8, 32, 4, 0.1, 1e-3 + sign * step)).test) for sign in (1, -1))
    np.testing.assert_allclose(names["slope"], (up - down) / (2 * step), rtol=1e-5)
    edges = names["spectrum"].edges
    assert edges.shape == (3, 2) and np.all(np.diff(edges.ravel()) > 0)


def test_commands_parse():
    lines = [line for language, code in BLOCKS if language == "sh" for line in code.splitlines()]
    commands = [line.split("#")[0].split()[1:] for line in lines if line.startswith("rfdsm ")]
    assert len(commands) >= 13
    for command in commands:
        app.parse_args(command, exit_on_error=False, print_error=False)


def test_configuration_example_is_accepted(tmp_path):
    (content,) = [content for language, content in BLOCKS if language == "toml"]
    (tmp_path / "study.toml").write_text(content)
    settings = resolve("compare", CompareOptions(), str(tmp_path / "study.toml"))
    assert settings["psi_p"] == [0.5, 1, 2, 4] and settings["m"] == [1, 4, np.inf] and settings["output"] == "study"


def test_every_public_function_of_the_first_rank_is_in_the_table():
    table = README[README.index("## What is computed") : README.index("Finite m, any covariance")]
    functions = {name for name in rfdsm.__all__ if inspect.isfunction(getattr(rfdsm, name))}
    assert {name for name in functions if f"`{name}`" not in table} == {"citation"}
    assert "`rfdsm.citation(problem)`" in README


def test_links_lead_somewhere():
    """Of the README and of every page."""
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for address in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / address).exists(), f"{page.name}: {address}"
