"""IDX files, which MNIST and its successors come in: a type, sizes, and the entries, all with the high byte first."""

from __future__ import annotations

import gzip
import io
import math
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

SUFFIXES = (".idx", ".ubyte", "-ubyte", ".idx.gz", ".ubyte.gz", "-ubyte.gz")
_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_EXPANSION = 1032
"""Bytes that one byte of deflate's can stand for at most."""
_PIECE = 2**20
"""Bytes read at once: gzip makes a copy of what it is asked for."""


def is_named(path: Path) -> bool:
    """Whether a file is called what IDX files are."""
    return path.name.lower().endswith(SUFFIXES)


def opened(path: Path) -> gzip.GzipFile | io.BufferedReader:
    """The bytes of a file, unpacked if its name ends in .gz."""
    return gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb")


def most_bytes(path: Path) -> int:
    """What a file can hold at most, told from its size: no memory is taken for more, whatever its header says."""
    return path.stat().st_size * (_EXPANSION if path.suffix.lower() in (".gz", ".npz") else 1)


def shape(path: Path, name: str) -> tuple[int, ...]:
    """The sizes that the header tells. Raises ValueError, naming the file `name`, for another format."""
    with opened(path) as file:
        return _header(file, name)[1]


def read(path: Path, name: str) -> Shaped[np.ndarray, "rows d"]:
    """Entries as they are in the file, all but the first dimension flattened.

    Raises ValueError, naming the file `name`, for another format, labels, and a file shorter or longer than it says.
    """
    with opened(path) as file:
        dtype, sizes = _header(file, name)
        if len(sizes) < 2:
            kind = "one number per row, as labels do" if sizes else "a single number"
            raise ValueError(f"{name} must hold images or rows, but holds {kind}")
        told = f"its sizes, {' × '.join(map(str, sizes))}, ask for {math.prod(sizes) * dtype.itemsize} bytes"
        if not math.prod(sizes):
            raise ValueError(f"{name} holds no numbers: {told}")
        if math.prod(sizes) * dtype.itemsize > most_bytes(path):
            raise ValueError(f"{name} is truncated: {told}, and it holds less")
        entries = np.empty(math.prod(sizes), dtype)
        view, got = entries.view(np.uint8).data, 0
        while count := file.readinto(view[got : got + _PIECE]):
            got += count
        if got < len(view):
            raise ValueError(f"{name} is truncated: {told}, got {got}")
        if file.read(1):
            raise ValueError(f"{name} is damaged: {told}, and it holds more")
    return entries.reshape(sizes[0], math.prod(sizes[1:]))


def _header(file: io.BufferedIOBase, name: str) -> tuple[np.dtype, tuple[int, ...]]:
    magic = file.read(4)
    if magic[:2] != b"\0\0"[: len(magic)] or (len(magic) > 2 and magic[2] not in _TYPES):
        cure = "; it is compressed, and its name must end in .gz" if magic[:2] == b"\x1f\x8b" else ""
        raise ValueError(f"{name} is not an IDX file: it starts with the bytes {magic.hex(' ')}{cure}")
    sizes = file.read(4 * magic[3]) if len(magic) == 4 else b""
    if len(magic) < 4 or len(sizes) < 4 * magic[3]:
        raise ValueError(f"{name} is truncated: it ends within its header")
    return np.dtype(_TYPES[magic[2]]), tuple(np.frombuffer(sizes, ">u4").tolist())
