"""Code blocks of a page: run them, and hold the output that the page shows against the one that comes."""

import re
import shlex
from collections.abc import Callable
from typing import NamedTuple

from rfdsm.cli import main
from tests.claims.ledger import ROOT

_NUMBER = r"\d+(?:\.\d+)?(?:e[+-]?\d+)?"


class Block(NamedTuple):
    """A block of shell commands or Python, and the text block right after it, if there is one."""

    language: str
    code: str
    shown: str | None


def blocks(page: str) -> list[Block]:
    """Blocks of a page in sh or python, in order."""
    text = (ROOT / page).read_text()
    pattern = r"^```(sh|python)\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?"
    return [Block(*found) for found in re.findall(pattern, text, flags=re.DOTALL | re.MULTILINE)]


def commands(page: str) -> list[list[str]]:
    """Arguments of every rfdsm command in a page's sh blocks."""
    lines = [line for block in blocks(page) if block.language == "sh" for line in block.code.splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("rfdsm ")]


def run_command(block: Block, capture: Callable[[], str]) -> str:
    """Standard output of the one rfdsm command in a block."""
    (line,) = block.code.strip().splitlines()
    assert main(shlex.split(line, comments=True)[1:]) == 0
    return capture()


def run_python(page: str, capture: Callable[[], str]) -> list[tuple[str, str]]:
    """Runs all Python blocks of a page in one namespace; shown and printed text of those that show any."""
    names: dict = {"__name__": page}
    texts = []
    for block in blocks(page):
        if block.language == "python":
            exec(compile(block.code, page, "exec"), names)
            printed = capture()
            if block.shown:
                texts.append((block.shown, printed))
    return texts


def assert_alike(shown: str, printed: str) -> None:
    """Same words, and numbers that differ by at most one in the last digit shown. Seconds and spacing are free."""
    shown, printed = (_normal(text) for text in (shown, printed))
    assert re.sub(_NUMBER, "#", shown) == re.sub(_NUMBER, "#", printed), printed
    for there, here in zip(re.findall(_NUMBER, shown), re.findall(_NUMBER, printed), strict=True):
        assert abs(float(there) - float(here)) <= 1.001 * _last_digit(there), f"{there} is {here} in\n{printed}"


def _normal(text: str) -> str:
    text = re.sub(r"\(\d+\.\d s\)", "( s)", text)
    return re.sub(r"\s+", " ", re.sub(r"[━─]+", "━", text)).strip()


def _last_digit(number: str) -> float:
    mantissa, _, exponent = number.partition("e")
    return 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
