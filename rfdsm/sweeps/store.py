"""The folder in which a sweep is kept: its configuration, one file for each finished unit, one lock for each block.

    sweep.json              what is swept
    data.npy                the samples, where a sweep has any
    units/NAME.npz          a finished unit: NumPy arrays and their SHA-256
    units/NAME.failed.json  a unit that was given up, with the message
    locks/NAME.lock         held by the process that works on a block; the operating system frees it when that dies

A file appears whole or not at all: it is written under another name and renamed. What a disk or a crash of the machine
spoils all the same is found by its checksum.
"""

import contextlib
import hashlib
import io
import json
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from filelock import FileLock, Timeout

from rfdsm._arrays import digest
from rfdsm._files import located
from rfdsm._problem import Problem
from rfdsm.sweeps._compute import Result
from rfdsm.sweeps._configuration import Configuration, difference, read
from rfdsm.sweeps._errors import SweepError

WORTH_SYNCING = 0.1
"""Seconds of work from which on a file is forced to the disk at once; to compute less again is as fast."""
_CONFIGURATION = "sweep.json"
_PATIENCE = 60.0
"""Seconds to wait while another process creates the store."""


class Failure(NamedTuple):
    """A unit that was given up."""

    message: str
    attempts: int


class Store:
    """A sweep's folder. Every refusal is a SweepError, one line that names the folder."""

    def __init__(self, path: Path, configuration: str) -> None:
        self.path, self.configuration = path, configuration
        self.identity = hashlib.sha256(configuration.encode()).hexdigest()
        self._locks: dict[str, FileLock] = {}
        self._damaged: set[str] = set()

    @staticmethod
    def opened(path: Any, configuration: Configuration) -> "Store":
        """The store at this path, made if it is not there. Raises SweepError if another sweep is in it."""
        folder, text = located(path, "store"), configuration.text()
        if folder.exists() and not folder.is_dir():
            raise SweepError(f"store {folder} must be a folder, but is a file")
        with _told(folder):
            folder.mkdir(parents=True, exist_ok=True)
            if not (folder / _CONFIGURATION).exists():
                strangers = sorted({entry.name for entry in os.scandir(folder)} - {"locks", "data.npy", "units"})
                strangers = [name for name in strangers if not name.startswith(".")]
                if strangers:
                    raise SweepError(f"store {folder} must be new or a sweep's own folder, but holds {strangers[0]}")
            for name in ("units", "locks"):
                (folder / name).mkdir(exist_ok=True)
            with FileLock(folder / "locks" / "store.lock", timeout=_PATIENCE):
                if not (folder / _CONFIGURATION).exists():
                    for name, array in configuration.law.arrays:
                        buffer = io.BytesIO()
                        np.save(buffer, array, allow_pickle=False)
                        _write(folder / f"{name}.npy", buffer.getvalue(), sync=True)
                    _write(folder / _CONFIGURATION, text.encode(), sync=True)
            there = (folder / _CONFIGURATION).read_text(encoding="utf-8")
        try:
            unlike = difference(there, text)
        except (json.JSONDecodeError, AttributeError):
            raise SweepError(f"store {folder} is damaged: {_CONFIGURATION} cannot be read") from None
        if unlike is not None:
            raise SweepError(f"store {folder} holds another sweep: {unlike}; choose another folder")
        return Store(folder, there)

    @staticmethod
    def found(path: Any, problem: Problem | None = None, count_only: bool = False) -> "tuple[Store, Configuration]":
        """A store that is already there, and what it holds (see `read` for the other arguments)."""
        folder = located(path, "store")
        try:
            text = (folder / _CONFIGURATION).read_text(encoding="utf-8")
        except OSError:
            raise SweepError(f"store {folder} must be the folder of a sweep: it has no {_CONFIGURATION}") from None
        except UnicodeDecodeError:
            raise SweepError(f"store {folder} is damaged: {_CONFIGURATION} cannot be read") from None
        data = None
        if (folder / "data.npy").exists():
            try:
                data = np.load(folder / "data.npy", allow_pickle=False)
            except (OSError, ValueError, EOFError):
                raise SweepError(f"store {folder} is damaged: data.npy cannot be read") from None
            try:
                known = json.loads(text)["data"]["sha256"]
            except (ValueError, KeyError, TypeError):
                raise SweepError(f"store {folder} is damaged: {_CONFIGURATION} tells of no data") from None
            if digest(data) != known:
                raise SweepError(f"store {folder} is damaged: data.npy is not what the sweep was made with")
        return Store(folder, text), read(text, f"store {folder}", problem, data, count_only)

    def result(self, unit: str) -> Result | None:
        """A finished unit; None if it is not there. A damaged one is warned of, and counts as not there."""
        path = self._unit(unit)
        with _told(self.path):
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                return None
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as archive:
                values = {name: archive[name] for name in archive.files}
            checksum, about = bytes(values.pop("sha256")), bytes(values.pop("about"))
            if checksum != _checksum(values, about):
                raise ValueError("its checksum does not match")
            described = json.loads(about)
            if (described["unit"], described["sweep"]) != (unit, self.identity):
                raise ValueError("it belongs to another unit or sweep")
            return Result(values, described["seconds"], described["device"])
        # Whatever a parser makes of spoilt bytes.
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            if unit not in self._damaged:
                warnings.warn(f"{path} is damaged ({reason}) and will be computed again", RuntimeWarning, stacklevel=2)
            self._damaged.add(unit)
            return None

    def failure(self, unit: str) -> Failure | None:
        """Why a unit was given up; None if it was not."""
        try:
            described = json.loads(self._failed(unit).read_bytes())
            return Failure(str(described["message"]), int(described["attempts"]))
        except (OSError, ValueError, KeyError, TypeError):  # a damaged one is no verdict
            return None

    def there(self) -> set[str]:
        """File names of units, finished or given up."""
        return {entry.name for entry in os.scandir(self.path / "units")}

    def save(self, unit: str, result: Result) -> None:
        """Keep a finished unit."""
        described = {"unit": unit, "sweep": self.identity, "seconds": result.seconds, "device": result.device}
        about = json.dumps(described).encode()
        buffer = io.BytesIO()
        marks = {"about": about, "sha256": _checksum(result.values, about)}
        parts: dict[str, Any] = {name: np.frombuffer(mark, np.uint8) for name, mark in marks.items()} | result.values
        np.savez(buffer, **parts)
        with _told(self.path):
            _write(self._unit(unit), buffer.getvalue(), result.seconds >= WORTH_SYNCING)
        self._failed(unit).unlink(missing_ok=True)

    def give_up(self, unit: str, failure: Failure) -> None:
        """Keep the verdict on a unit that cannot be computed."""
        with _told(self.path):
            _write(self._failed(unit), json.dumps({"unit": unit} | failure._asdict()).encode(), True)

    def claim(self, block: str) -> bool:
        """Whether this process may work on a block, from now on until `release`."""
        lock = FileLock(self.path / "locks" / f"{block}.lock", timeout=0)
        with _told(self.path):
            try:
                lock.acquire()
            except Timeout:
                return False
        self._locks[block] = lock
        return True

    def release(self, block: str) -> None:
        """Leave a block to others."""
        self._locks.pop(block).release()

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Frees all blocks in the end."""
        try:
            yield
        finally:
            for block in list(self._locks):
                self.release(block)

    def _unit(self, unit: str) -> Path:
        return self.path / "units" / f"{unit}.npz"

    def _failed(self, unit: str) -> Path:
        return self.path / "units" / f"{unit}.failed.json"


def _write(path: Path, content: bytes, sync: bool) -> None:
    """All or nothing. The name of the draft is fixed, so that none is left behind: the lock keeps others away."""
    draft = path.with_name(f".{path.name}.draft")
    try:
        with draft.open("wb") as file:
            file.write(content)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise
    if sync and os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _checksum(values: dict[str, np.ndarray], about: bytes) -> bytes:
    described = "".join(f"{name} {digest(array)} " for name, array in sorted(values.items()))
    return hashlib.sha256(about + described.encode()).digest()


@contextlib.contextmanager
def _told(folder: Path) -> Iterator[None]:
    """What the operating system refuses is told in a SweepError."""
    try:
        yield
    except OSError as error:
        what = f"store {folder} cannot be used: {error.strerror or error}"
        raise SweepError(f"{what}; what it holds stays readable, and the sweep resumes from there") from None
