"""Reading samples from files."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import itertools
import math
import os
import re
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tokenize import TokenError
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from rfdsm import idx
from rfdsm.files import located
from rfdsm.samples import check_rows
from rfdsm.samples import standardise as standardise

__all__ = ["image_shape", "load", "standardise"]

TABLES = (".csv", ".csv.gz")
_ARRAYS = (".npy", ".npy.gz", ".npz")
_SAMPLES = ("x_train", "data", "x", "X", "images")
"""What archives call the array that holds the samples, Keras' first."""
_DAMAGED = "damaged, or another format"


def load(source: str | os.PathLike[str], *, header: Any = None, index: Any = None) -> Float[np.ndarray, "rows d"]:
    """Samples as a float64 array, shape (rows, d), in the units of the source.

    Args:
        source: "digits", scikit-learn's 1797 handwritten digits of 64 pixels (extra `data`); or the path of a file
            .npy, .npy.gz: real numbers, shape (rows, d), or (rows, ...) such as images, which are flattened to rows;
            .npz: the same, called x_train, data, x, X or images, or the only array of two dimensions or more;
            .idx, .ubyte, -ubyte, the same and .gz: MNIST's format, images likewise, pixels as they are, from 0 to 255;
            .csv, .csv.gz: text, UTF-8 unless its byte order mark says otherwise, one sample per line, cells separated
            by semicolons, tabs, commas, bars or blanks (after semicolons, tabs and blanks 1,5 may mean 1.5); text after
            # is ignored.
        header: whether the first line of a .csv names the columns. Default: yes, if it holds no number, or if its
            numbers count 0, 1, 2, ..., of which a warning tells.
        index: whether the first column of a .csv names the rows. Default: yes, if the header has no name for it, or if
            it counts the rows, from 0 or from 1, three at least; a warning tells of it.

    Raises ValueError, one line, for a source that is unknown, missing, unreadable, empty or not a table of at least two
    rows and two columns of finite real numbers.
    """
    for option, value in (("header", header), ("index", index)):
        if value is not None and not isinstance(value, bool):
            raise ValueError(f"{option} = {value!r} must be True, False or None")
    is_table = str(source).lower().endswith(TABLES)
    for option, value in (("header", header), ("index", index)):
        if value is not None and not is_table:
            raise ValueError(f"{option} is for .csv files, got {str(source)!r}")
    if _is_digits(source):
        return _digits()
    with _file(source) as (path, name):
        other = idx.read if idx.is_named(path) else _read_npy
        rows = check_rows(_read_csv(path, name, header, index) if is_table else other(path, name), name)
    if rows.shape[1] < 2:
        raise ValueError(f"{name} must have at least 2 columns, got 1")
    return rows


def image_shape(source: str | os.PathLike[str]) -> tuple[int, int, int] | None:
    """Height, width and channels, the last ones in the file, of the images that `load` flattens to rows.

    None if rows are no images: those of .csv files, and of arrays that have neither three nor four dimensions. Reads
    only the head of a file. Raises ValueError, one line, for a source that is unknown, missing or unreadable.
    """
    if _is_digits(source):
        return 8, 8, 1
    with _file(source) as (path, name):
        if path.name.lower().endswith(TABLES):
            return None
        shape = idx.shape(path, name) if idx.is_named(path) else _npy_shape(path, name)
    if len(shape) not in (3, 4):
        return None
    height, width, channels = (*shape[1:], 1)[:3]
    return height, width, channels


def _is_digits(source: Any) -> bool:
    return isinstance(source, str) and source.lower() == "digits"


@contextmanager
def _file(source: Any) -> Iterator[tuple[Path, str]]:
    """The file, and what messages call it; whatever goes wrong while it is read becomes a ValueError of one line."""
    path = located(source, "data")
    if not path.name.lower().endswith((*TABLES, *_ARRAYS, *idx.SUFFIXES)):
        kinds = "'digits' or a file ending in .npy, .npz, .csv, .idx or -ubyte"
        raise ValueError(f"data must be {kinds}, got {str(source)!r}")
    name = f"data file {str(path)!r}"
    try:
        if not path.exists():
            raise ValueError(f"{name} does not exist")
        if not path.is_file():
            raise ValueError(f"{name} is not a file{' but a directory' if path.is_dir() else ''}")
        if path.stat().st_size == 0:
            raise ValueError(f"{name} is empty")
        yield path, name
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise ValueError(f"{name} is not a .gz file, or a damaged one") from None
    except OSError as error:
        raise ValueError(f"{name} cannot be read: {error.strerror or error}") from error
    except MemoryError as error:
        raise ValueError(f"{name} does not fit into memory") from error


def _digits() -> np.ndarray:
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise ValueError("data 'digits' needs scikit-learn: pip install 'rfdsm[data]'") from None
    return np.asarray(load_digits(return_X_y=True)[0], dtype=np.float64)


def _read_npy(path: Path, name: str) -> np.ndarray:
    with _npy(path, name) as (file, name, most):
        shape, dtype = _npy_header(file, name)
        if not dtype.hasobject and math.prod(shape) * dtype.itemsize > most:
            raise _unreadable(name, f"its shape {shape} asks for more bytes than it holds")
        file.seek(0)
        try:
            array = np.lib.format.read_array(file, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise _unreadable(name, "it holds Python objects" if dtype.hasobject else _DAMAGED) from error
        file.read(1)  # only at its end does gzip compare the checksum
    if array.ndim < 2:
        raise ValueError(f"{name} must hold an array of two dimensions or more (rows first), got shape {array.shape}")
    return array.reshape(array.shape[0], math.prod(array.shape[1:]))


def _npy_shape(path: Path, name: str) -> tuple[int, ...]:
    with _npy(path, name) as (file, name, _):
        return _npy_header(file, name)[0]


def _npy_header(file: Any, name: str) -> tuple[tuple[int, ...], np.dtype]:
    try:
        first = np.lib.format.read_magic(file) == (1, 0)
        head = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
        shape, _, dtype = head(file)
    except (ValueError, EOFError, TokenError) as error:
        raise _unreadable(name, _DAMAGED) from error
    return shape, dtype


def _unreadable(name: str, reason: str) -> ValueError:
    return ValueError(f"{name} is not a readable .npy array of numbers ({reason})")


@contextmanager
def _npy(path: Path, name: str) -> Iterator[tuple[Any, str, int]]:
    """A .npy file, or that of an archive's which holds the samples; what messages call it; its bytes at most."""
    if path.suffix.lower() != ".npz":
        with idx.opened(path) as file:
            yield file, name, idx.most_bytes(path)
        return
    try:
        with zipfile.ZipFile(path) as archive:
            key = _samples(archive, name)
            with archive.open(f"{key}.npy") as file:
                # The size that the archive tells is worth no more than the array's own word.
                most = min(archive.getinfo(f"{key}.npy").file_size, idx.most_bytes(path))
                yield file, f"array {key!r} of {name}", most
    # RuntimeError: members with a password, or compressed in a way unknown to Python.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, UnicodeDecodeError) as error:
        raise ValueError(f"{name} is not a readable .npz archive ({_DAMAGED})") from error


def _samples(archive: zipfile.ZipFile, name: str) -> str:
    """The key of the samples."""
    shapes = {}
    for key in [member.removesuffix(".npy") for member in archive.namelist() if member.endswith(".npy")]:
        with archive.open(f"{key}.npy") as file:
            shapes[key] = _npy_header(file, f"array {key!r} of {name}")[0]
    tables = [key for key, shape in shapes.items() if len(shape) > 1]
    chosen = [key for key in _SAMPLES if key in tables][:1] or tables
    if len(chosen) == 1:
        return chosen[0]
    held = ", ".join(f"{key!r} of shape {shape}" for key, shape in shapes.items()) or "no arrays"
    wanted = f"an array of two dimensions or more called {', '.join(_SAMPLES)}, or only one such array"
    raise ValueError(f"{name} must hold {wanted}, got {held}")


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


def _read_csv(path: Path, name: str, header: bool | None, index: bool | None) -> np.ndarray:
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
            return np.loadtxt(
                (dialect.plain(dialect.without_end(line)) for line in lines),
                delimiter=dialect.separator,
                ndmin=2,
                quotechar='"',
                converters=ignored,
            )
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
