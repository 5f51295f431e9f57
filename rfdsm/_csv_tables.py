"""Tables of numbers in text: separator, decimal mark, header and index are told from the first lines, and said."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rfdsm import _idx as idx


class _Dialect(NamedTuple):
    """How lines are cut into cells: at blanks if the separator is None; `ended`: a separator ends every sample, too."""

    separator: str | None
    decimal: str
    ended: bool = False

    def cells(self, line: str) -> list[str]:
        if self.separator is None:
            return [cell.strip('"') for cell in line.split()]
        read = csv.reader([self.without_end(line)], delimiter=self.separator, skipinitialspace=True)
        return [cell.strip() for cell in next(read)]

    def without_end(self, line: str) -> str:
        """The line without the separator at its end."""
        return line.split("#", 1)[0].rstrip(" \r\n").removesuffix(self.separator or "") if self.ended else line

    def plain(self, text: str) -> str:
        """Text with decimal points; with decimal commas a point is no part of a number."""
        return text.translate({ord(","): ".", ord("."): "_"}) if self.decimal == "," else text

    def is_number(self, cell: str) -> bool:
        plain = self.plain(cell)
        try:
            float(plain)
        except ValueError:
            return False
        # Python reads 1_000, a table does not mean it. A decimal comma stands between digits: elsewhere it separates.
        return "_" not in plain and cell.strip(",") == cell


# The standard library's sniffer, which pandas asks too, takes 1,5;2,5 for comma-separated and gives up on blanks.
_DIALECTS = [_Dialect(*both) for both in ((";", "."), (";", ","), ("\t", "."), ("\t", ","), (",", "."), ("|", "."))]
_DIALECTS += [_Dialect(None, "."), _Dialect(None, ",")]
_SEPARATOR = re.compile(r'"?sep=[^"]?"?', re.IGNORECASE)
"""What may stand in the first line for Excel."""
_NAMELESS = re.compile(r"Unnamed: \d+(\.\d+)*")
"""What pandas calls columns of files that have no name for them."""
_NAME = re.compile(r"[^\W\d_]|\d+[-/:]\d")
"""How names of rows begin: with a letter, or as dates and times do."""
_HEAD = 20
"""Lines by which the dialect is told."""


def read_csv(path: Path, name: str, header: bool | None, index: bool | None) -> np.ndarray:
    """All rows of a file that messages call `name`; None: whether it has a header or an index is told from its lines.

    Raises ValueError, with line and column, for what is no table of numbers. Warns of what is left out.
    """
    try:
        head = list(itertools.islice(_lines(path), _HEAD))
        before = head.pop(0)[0] if head and _SEPARATOR.fullmatch(head[0][1]) else 0
        dialect = _told([line for _, line in head])
        cells = [dialect.cells(line) for _, line in head[:2]]
        if header is None:
            counts = len(cells) == 2 and _counts(cells[0], cells[1], dialect)
            header = bool(head) and (counts or not any(map(dialect.is_number, cells[0])))
            if counts:
                _tell(f"the first line of {name}, {', '.join(cells[0][:4])}, …, is taken for a header", "header")
        if len(head) < 1 + header:
            raise ValueError(f"{name} holds no numbers")
        skipped = head[0][0] if header else before
        # R writes no cell at all above the names of rows.
        unnamed = max(_unnamed(cells[0]), len(cells) == 2 and len(cells[1]) == len(cells[0]) + 1) if header else 0
        names = 0 if index is False else max(unnamed, 1 if index else 0)  # columns that may hold any text
        rows = _parsed(path, name, dialect, skipped, names, index is None)
    except (UnicodeError, csv.Error):
        raise ValueError(f"{name} is not a UTF-8 text file") from None
    if names and index is None:
        which = "first column" if names == 1 else f"first {names} columns"
        _tell(f"the {which} of {name}, without a name, is left out", "index")
    rows = rows[:, names:]
    while index is None and rows.shape[1] > 1 and _counts_rows(rows[:, 0]):
        rows = rows[:, 1:]
        _tell(f"the first column of {name} counts the rows and is left out", "index")
    return rows


def _tell(what: str, option: str) -> None:
    warnings.warn(f"{what} ({option} = False or --no-{option} keeps it)", stacklevel=4)


def _told(head: list[str]) -> _Dialect:
    """The dialect in which most cells below the first line are numbers; the first of them if several are alike."""
    text, body = "".join(head), head[1:] or head

    def share(dialect: _Dialect) -> float:
        if dialect.separator not in text if dialect.separator else ";" in text or "\t" in text:
            return 0.0
        cut = [dialect.cells(line) for line in body]
        found = [dialect.is_number(cell) for cells in cut if len(cells) > 1 for cell in cells]
        return sum(found) / max(sum(map(len, cut)), 1)

    dialect = max(_DIALECTS, key=lambda dialect: (share(dialect), (dialect.separator or "\n") in text))
    return dialect._replace(ended=_ended([dialect.cells(line) for line in head], dialect))


def _ended(cells: list[list[str]], dialect: _Dialect) -> bool:
    """Whether every sample ends with a separator. The header may or may not: an empty column has a name there."""
    if dialect.separator is None or len(cells) < 2 or any(row[-1] or len(row) < 2 for row in cells[1:]):
        return False
    named = len(cells[0]) == len(cells[1]) - 1 and not any(map(dialect.is_number, cells[0]))
    return named or not cells[0][-1]


def _counts(first: list[str], second: list[str], dialect: _Dialect) -> bool:
    """Whether the numbers of the first line count columns from 0, or from elsewhere with no whole number below them.

    Two cells 0, 1 above whole numbers may well be a sample.
    """
    numbers = [cell for cell in first if dialect.is_number(cell)]
    if len(numbers) > 2 and all(cell.endswith(".0") for cell in numbers):  # a data frame's labels may be floats
        numbers = [cell.removesuffix(".0") for cell in numbers]
        if any(cell.endswith(".0") for cell in second):
            return False
    if len(numbers) < 2 or not numbers[0].isdecimal() or "" in first[_unnamed(first) :]:
        return False
    if numbers != [str(int(numbers[0]) + k) for k in range(len(numbers))]:
        return False
    whole = [cell.lstrip("+-").isdecimal() for cell in second[-len(numbers) :]]
    if numbers[0] == "0":
        return len(numbers) > 2 or not all(whole) or "" in first
    return len(numbers) > 2 and not any(whole)


def _unnamed(cells: list[str]) -> int:
    """How many columns a header leaves without a name before the first that it names."""
    return next((k for k, cell in enumerate(cells) if cell and not _NAMELESS.fullmatch(cell)), 0)


def _counts_rows(column: np.ndarray) -> bool:
    return column.size > 2 and column[0] in (0, 1) and np.array_equal(column, column[0] + np.arange(column.size))


def _parsed(path: Path, name: str, dialect: _Dialect, skipped: int, names: int, undecided: bool) -> np.ndarray:
    ignored: dict[int | str, Any] = {k: lambda cell: 0.0 if cell else float(cell) for k in range(names)}
    with _opened(path) as file:
        try:
            lines = (line for number, line in enumerate(file, start=1) if number > skipped and line.strip())
            cells = (dialect.plain(dialect.without_end(line)) for line in lines)
            return np.loadtxt(cells, delimiter=dialect.separator, ndmin=2, quotechar='"', converters=ignored)
        except ValueError:
            # NumPy counts from the first row it saw; the reader of the message counts lines of the file.
            raise ValueError(f"{name} {_first_fault(path, dialect, skipped, names, undecided)}") from None


def _opened(path: Path) -> io.TextIOBase:
    with idx.opened(path) as file:
        mark = file.read(2)
    encoding = "utf-16" if mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
    return io.TextIOWrapper(idx.opened(path), encoding=encoding)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """(line number from 1, text without comment) of every line that holds anything."""
    with _opened(path) as file:
        for number, line in enumerate(file, start=1):
            line = line.split("#", 1)[0].strip(" \r\n")  # a tab at either end separates an empty cell
            if line.strip():
                yield number, line


def _first_fault(path: Path, dialect: _Dialect, skipped: int, names: int, undecided: bool) -> str:
    width = None
    for number, line in _lines(path):
        if number <= skipped:
            continue
        cells = dialect.cells(line)
        width = width or len(cells)
        if len(cells) != width:
            return f"must have as many cells in every line, got {len(cells)} in line {number} after {width}"
        good = [dialect.is_number(cell) for cell in cells]
        for column, cell in enumerate(cells, start=1):
            if not good[column - 1] and not (column <= names and cell):
                shown = repr(cell[:30]) if cell else "nothing"
                is_name = undecided and column == 1 and all(good[1:]) and _NAME.match(cell)
                cure = "; index = True or --index leaves the first column out" if is_name else ""
                return f"must hold numbers, got {shown} in line {number}, column {column}{cure}"
    return "must hold numbers, separated by commas, semicolons, tabs, bars or blanks"
