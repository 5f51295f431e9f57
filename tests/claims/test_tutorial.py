"""docs/tutorial.md: what its commands print."""

import pytest

from benchmarks.record import RECORDED, TUTORIAL
from rfdsm.cli._app import app
from tests.claims.blocks import Block, assert_alike, blocks, commands, run_command

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
