"""Reading samples from files."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float

from rfdsm.files import located
from rfdsm.samples import check_rows
from rfdsm.samples import standardise as standardise

__all__ = ["load", "standardise"]


def load(source: str | os.PathLike[str]) -> Float[np.ndarray, "rows d"]:
    """Samples as a float64 array, shape (rows, d), in the units of the source.

    Args:
        source: "digits", scikit-learn's 1797 handwritten digits of 64 pixels (extra `data`); or the path of a file
            .npy: real numbers, shape (rows, d), or (rows, ...) such as images, which are flattened to rows;
            .csv: UTF-8, one sample per line, cells separated by commas or (if the first line has one) semicolons; a
            first line without any number is taken as the header; text after # is ignored.

    Raises ValueError, one line, for a source that is unknown, missing, unreadable, empty or not a table of at least two
    rows and two columns of finite real numbers.
    """
    if isinstance(source, str) and source.lower() == "digits":
        return _digits()
    path = located(source, "data")
    readers = {".npy": _read_npy, ".csv": _read_csv}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise ValueError(f"data must be 'digits' or a file ending in .npy or .csv, got {str(source)!r}")
    name = f"data file {str(path)!r}"
    try:
        if not path.exists():
            raise ValueError(f"{name} does not exist")
        if not path.is_file():
            raise ValueError(f"{name} is not a file{' but a directory' if path.is_dir() else ''}")
        if path.stat().st_size == 0:
            raise ValueError(f"{name} is empty")
        rows = check_rows(reader(path, name), name)
    except OSError as error:
        raise ValueError(f"{name} cannot be read: {error.strerror or error}") from error
    except MemoryError as error:
        raise ValueError(f"{name} does not fit into memory") from error
    if rows.shape[1] < 2:
        raise ValueError(f"{name} must have at least 2 columns, got 1 (cells are separated by commas or semicolons)")
    return rows


def _digits() -> np.ndarray:
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise ValueError("data 'digits' needs scikit-learn: pip install 'rfdsm[data]'") from None
    return np.asarray(load_digits(return_X_y=True)[0], dtype=np.float64)


def _read_npy(path: Path, name: str) -> np.ndarray:
    try:
        with path.open("rb") as file:
            array = np.lib.format.read_array(file, allow_pickle=False)
    except (ValueError, EOFError) as error:
        reason = "it holds Python objects" if "allow_pickle" in str(error) else "damaged, or another format"
        raise ValueError(f"{name} is not a readable .npy array of numbers ({reason})") from error
    if array.ndim < 2:
        raise ValueError(f"{name} must hold an array of two dimensions or more (rows first), got shape {array.shape}")
    return array.reshape(array.shape[0], math.prod(array.shape[1:]))


def _read_csv(path: Path, name: str) -> np.ndarray:
    try:
        lines = _cells(path)
        first_line, first_cells, separator = next(lines, (0, [], ","))
        has_header = not any(_is_number(cell) for cell in first_cells)
        if first_line == 0 or (has_header and next(lines, None) is None):
            raise ValueError(f"{name} holds no numbers")
        skipped = first_line if has_header else 0
        try:
            return np.loadtxt(path, delimiter=separator, skiprows=skipped, ndmin=2, quotechar='"', encoding="utf-8-sig")
        except ValueError:
            # NumPy counts from the first row it saw; the reader of the message counts lines of the file.
            raise ValueError(f"{name} {_first_fault(path, skipped)}") from None
    except (UnicodeDecodeError, csv.Error):
        raise ValueError(f"{name} is not a UTF-8 text file") from None


def _cells(path: Path) -> Iterator[tuple[int, list[str], str]]:
    """(line number from 1, cells, separator) of every line that holds anything."""
    with path.open(encoding="utf-8-sig") as file:
        separator = None
        for number, line in enumerate(file, start=1):
            line = line.split("#", 1)[0].strip()
            if not line:
                continue
            separator = separator or (";" if ";" in line else ",")
            yield number, [cell.strip() for cell in next(csv.reader([line], delimiter=separator))], separator


def _first_fault(path: Path, skipped: int) -> str:
    width = None
    for number, cells, _ in _cells(path):
        if number <= skipped:
            continue
        width = width or len(cells)
        if len(cells) != width:
            return f"must have as many cells in every line, got {len(cells)} in line {number} after {width}"
        for column, cell in enumerate(cells, start=1):
            if not _is_number(cell):
                shown = repr(cell[:30]) if cell else "nothing"
                return f"must hold numbers, got {shown} in line {number}, column {column}"
    return "must hold numbers separated by commas or semicolons"


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell  # Python reads 1_000, a table does not mean it
