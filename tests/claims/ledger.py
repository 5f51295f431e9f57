"""Numbers quoted in prose, each tied to where it comes from.

A claim is a sentence of a page with placeholders, and a function that yields the values to fill in: computed now, or
read from the recorded output of a benchmark. The filled-in sentence must stand in the page, so a number that changes
on either side fails. What stands in a page as a result but in no claim is found by `unclaimed`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Any

ROOT = Path(__file__).parents[2]
NUMBER = r"[-+−]?\d[\d,.]*(?:·10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)?|10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+"
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
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
    re.compile(r"`[^`\n]*`|\$[^$\n]*\$|\]\([^)]*\)|\b\d{4}\.\d{5}\b"),
)


@dataclass(frozen=True)
class Claim:
    """`sentence` with {} placeholders, as in str.format, and the function that yields their values (one or a tuple)."""

    page: str
    sentence: str
    values: Callable[[], Any]

    def __str__(self) -> str:
        return f"{self.page}: {self.sentence[:60]}"

    def check(self) -> None:
        """The sentence with its values in it stands in the page."""
        values = self.values()
        expected = _squeeze(self.sentence.format(*(values if isinstance(values, tuple) else (values,))))
        assert expected in page(self.page), f"{self.page} does not say: {expected}"

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


def unclaimed(name: str, claims: list[Claim], settings: tuple[str, ...] = ()) -> list[str]:
    """Results in the page's prose that are in no claim; numbers in the phrases `settings` are inputs, no results."""
    text = (ROOT / name).read_text()
    for claim in claims:
        text = claim.pattern.sub("·", text)
    for phrase in settings:
        text = re.sub(_across_lines(phrase), "·", text)
    text = prose_of(text)
    return [text[max(found.start() - 40, 0) : found.end() + 20] for found in RESULTS.finditer(text)]


def recorded(name: str, pattern: str, group: int = 1) -> float:
    """A number in the recorded output of a benchmark: the first match of `pattern` in benchmarks/recorded/`name`."""
    text = (ROOT / "benchmarks" / "recorded" / name).read_text()
    found = re.search(pattern, text)
    assert found, f"benchmarks/recorded/{name} has no {pattern!r}"
    return float(found[group].replace(",", ""))


def power(value: float, digits: int = 1) -> str:
    """2.6·10⁶ for 2600000."""
    mantissa, exponent = f"{value:.{digits}e}".split("e")
    return f"{mantissa}·10{str(int(exponent)).translate(SUPERSCRIPTS)}"


def _across_lines(phrase: str) -> str:
    """A regular expression of the phrase, wherever lines are broken."""
    return r"\s+".join(map(re.escape, phrase.split(" ")))


def _squeeze(text: str) -> str:
    return re.sub(r"\s+", " ", text)
