"""docs/generation.md: the code runs and prints what the page shows."""

import pytest

from tests.claims.blocks import assert_alike, run_python

PAGE = "docs/generation.md"


@pytest.mark.slow
def test_python_prints_what_is_shown(capsys):
    ((shown, printed),) = run_python(PAGE, lambda: capsys.readouterr().out)
    assert_alike(shown, printed)
