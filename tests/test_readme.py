"""What the README says is what happens: its commands, its Python, and the numbers it quotes of real and finite data."""

import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from rfdsm import Problem, compare, predict
from rfdsm.cli.app import app
from rfdsm.cli.options import CompareOptions
from rfdsm.cli.settings import resolve
from rfdsm.data import load, standardise

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, flags=re.DOTALL)


def test_quick_start_is_two_commands():
    start = README[README.index("## Quick start") : README.index("## In Python")]
    commands = re.findall(r"```sh\n(.*?)\n```", start, flags=re.DOTALL)
    assert len(commands) == 2
    assert commands[0].endswith("rfdsm compare") and commands[1].endswith("python -m pytest")
    assert all("\n" not in command for command in commands)


def test_python_example_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code, _ = [code for language, code in BLOCKS if language == "python"]
    names: dict = {}
    exec(compile(code, "README.md", "exec"), names)
    assert (tmp_path / "comparison.png").stat().st_size > 10_000
    psi_p, smallest = map(float, capsys.readouterr().out.split())
    assert 0.25 < psi_p < 2 and 0.85 < smallest < 0.95
    assert isinstance(names["comparison"].plot()[0].figure, Figure)


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


def test_pictures_are_there():
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", README):
        assert (ROOT / picture).read_bytes().startswith(b"\x89PNG")


@pytest.fixture(scope="module")
def digits():
    rows = standardise(load("digits"))
    psi_p, m = np.array([[1.0], [8.0], [16.0]]), np.array([1, 4])
    return compare(Problem(8.0, psi_p, m, 0.1, 1e-3), data=rows, trials=2)


def test_digits_follow_gaussian_theory_where_the_readme_says(digits):
    assert digits.names == ("train", "empirical_test", "test")
    deviation = np.abs(digits.relative_deviation[:, 0])
    assert np.all(deviation[:, 0] < 0.04)  # psi_p = 1
    assert np.all(deviation[:2, :, 1] < 0.10)  # the training points, m = 4


def test_digits_part_from_gaussian_theory_where_the_readme_says(digits):
    theory, mean = digits.theory[2, 0], digits.mean[2, 0]
    np.testing.assert_allclose(theory[2, 1], 1.05, atol=0.005)
    np.testing.assert_allclose(mean[2, 1], 0.79, atol=0.02)
    np.testing.assert_allclose(theory[1, 0], 1.72, atol=0.005)
    np.testing.assert_allclose(mean[1, 0], 1.34, atol=0.03)
    assert np.argmax(theory[:, 0]) == np.argmax(mean[:, 0]) == 1  # both peak at p = n for m = 1


def test_finite_size_deviations_quoted_for_the_picture():
    """d = 32: test within 2 % up to psi_p = 4, 10 to 15 % low at psi_p = 64, m = 16; train doubled past p = nm."""
    narrow = compare(Problem.grid(8.0, [0.25, 1, 4], [1, 4, 16], 0.1, 1e-3), 32, trials=8)
    assert np.max(np.abs(narrow.relative_deviation[narrow.names.index("test")])) < 0.02
    wide = compare(Problem(8.0, 64.0, np.array([4, 16]), 0.1, 1e-3), 32, trials=2)
    train, test = (wide.relative_deviation[wide.names.index(name), 0] for name in ("train", "test"))
    assert -0.15 < test[1] < -0.10
    assert 0.8 < train[0] < 1.4
