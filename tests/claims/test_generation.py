"""docs/generation.md: the code runs and prints what the page shows."""

import pytest

from tests.claims.blocks import assert_alike, blocks

PAGE = "docs/generation.md"


@pytest.mark.slow
def test_python_prints_what_is_shown(capsys):
    """But for one of three targets."""
    (block,) = (block for block in blocks(PAGE) if block.language == "python")
    code = block.code.replace('("noise", "data", ', '("data", ')
    assert code != block.code and block.shown
    exec(compile(code, PAGE, "exec"), {})
    assert_alike(block.shown.partition("\n")[2], capsys.readouterr().out)
