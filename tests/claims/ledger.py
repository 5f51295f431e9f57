"""Numbers quoted in prose, each tied to where it comes from.

What benchmarks have measured is included from their records, {{ ... }}. What can be computed here and now is a claim: a
sentence of a page with placeholders, and a function that yields the values to fill in. The filled-in sentence must
stand in the page, so a number that changes on either side fails. What stands in a page as a result but in no claim is
found by `unclaimed`.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Any

from benchmarks.pages import SUPERSCRIPTS, power as power

ROOT = Path(__file__).parents[2]
NUMBER = r"[-+−]?\d[\d,.]*(?:·10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)?|10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+"
RESULTS = re.compile(
    r"""(?<![\w.§])(?:
    \d+\.\d+(?:·10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)?(?:\s?%)?   # decimals
    | \d+\s?%                                  # percentages
    | (?:\d+·)?10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]{1,3}            # powers of ten
    | \d+(?=\s(?:times|seconds?|s|ms|GB|MB)\b) # ratios, times, sizes
    )""",
    re.VERBOSE,
)

_NO_PROSE = (
    re.compile(r"^(`{3,}|~{3,}).*?^\1", re.DOTALL | re.MULTILINE),  # code blocks
    re.compile(r"^\$\$.*?^\$\$", re.DOTALL | re.MULTILINE),  # displayed equations
    re.compile(r"(?<=\n\n)(?:[ \t]{4,}[^\n]*\n)+"),  # indented blocks
    re.compile(r"\{\{.*?\}\}", re.DOTALL),  # included from a record
    re.compile(r"`[^`\n]*`|\$[^$\n]*\$|\]\([^)]*\)|\b\d{4}\.\d{5}\b"),
)


@dataclass(frozen=True)
class Claim:
    """`sentence` with {} placeholders, as in str.format, and the function that yields their values (one or a tuple)."""

    page: str
    sentence: str
    values: Callable[[], Any]

    def filled(self) -> str:
        """The sentence with its values in it."""
        values = self.values()
        return _squeeze(self.sentence.format(*(values if isinstance(values, tuple) else (values,))))

    @property
    def pattern(self) -> re.Pattern[str]:
        """The sentence with any number in its placeholders."""
        parts = Formatter().parse(_squeeze(self.sentence))
        pieces = (_across_lines(text) + ("" if field is None else f"(?:{NUMBER})") for text, field, *_ in parts)
        return re.compile("".join(pieces))


@cache
def page(name: str) -> str:
    """Text of a page relative to the root, runs of white space as one space."""
    return _squeeze((ROOT / name).read_text())


def prose_of(text: str) -> str:
    """Markdown without code, formulas and addresses."""
    for pattern in _NO_PROSE:
        text = pattern.sub(" ", text)
    return _squeeze(text)


def check(name: str, claims: list[Claim], settings: tuple[str, ...] = ()) -> None:
    """A page says what its claims say, and no other result; `settings` as in `unclaimed`."""
    missing = [sentence for claim in claims if (sentence := claim.filled()) not in page(name)]
    assert not missing, f"{name} does not say: {missing}"
    loose = unclaimed(name, claims, settings)
    assert not loose, f"{name} has results that are in no claim: {loose}"


def unclaimed(name: str, claims: list[Claim], settings: tuple[str, ...] = ()) -> list[str]:
    """Results in the page's prose that are in no claim; numbers in the phrases `settings` are inputs, no results."""
    text = (ROOT / name).read_text()
    for claim in claims:
        text = claim.pattern.sub("·", text)
    for phrase in settings:
        text = re.sub(_across_lines(phrase), "·", text)
    text = prose_of(text)
    return [text[max(found.start() - 40, 0) : found.end() + 20] for found in RESULTS.finditer(text)]


def _across_lines(phrase: str) -> str:
    """A regular expression of the phrase, wherever lines are broken."""
    return r"\s+".join(map(re.escape, phrase.split(" ")))


def _squeeze(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def ten(value: float) -> str:
    """10⁻³ for 0.001. The value must be a power of ten."""
    exponent = round(math.log10(value))
    assert math.isclose(value, 10.0**exponent, rel_tol=1e-9), f"{value} is no power of ten"
    return "10" + str(exponent).translate(SUPERSCRIPTS)


def ten_above(value: float) -> str:
    """The smallest power of ten that bounds the value."""
    return ten(10.0 ** math.ceil(math.log10(value)))
