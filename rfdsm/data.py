"""Reading samples from files."""

from __future__ import annotations

import gzip
import math
import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from jaxtyping import Float

from rfdsm import _idx as idx
from rfdsm._csv_tables import read_csv
from rfdsm._files import located
from rfdsm._samples import check_rows, standardise as standardise

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
        rows = check_rows(read_csv(path, name, header, index) if is_table else other(path, name), name)
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
