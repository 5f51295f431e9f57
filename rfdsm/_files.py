"""Paths that users give: where they lead, whether they can be written, and files that appear whole or not at all."""

import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any


def located(source: Any, name: str) -> Path:
    """The path that a user means; `~` and `~user` stand for home folders. Every path of a user's passes through here.

    Raises ValueError, naming `name`, for what is no path, for an empty one and for the home of an unknown user.
    """
    try:
        text = os.path.expanduser(os.fsdecode(source))
    except TypeError:
        raise ValueError(f"{name} = {source!r} must be a path") from None
    if not text.strip() or "\0" in text:
        raise ValueError(f"{name} = {text!r} must be a path: it is empty or has a null character")
    first, *rest = Path(text).parts or (text,)
    # A shell would leave it as it is, and a folder called ~ would appear. ~notes.csv may well be a file.
    if first == "~" or (first.startswith("~") and rest):
        raise ValueError(f"{name} {text}: {first} is nobody's home folder; a folder of that name is ./{first}")
    return Path(text)


def writable(source: Any, name: str, suffixes: tuple[str, ...] = ()) -> Path:
    """A file to be written later, with one of the suffixes (lower case here, in any case there). Creates nothing.

    Raises ValueError for another suffix, for a folder, and for what there is no permission to write.
    """
    path = located(source, name)
    if os.fsdecode(source).endswith(("/", os.sep)):
        raise ValueError(f"{name} {os.fsdecode(source)} must be a file, but ends as a folder does")
    if suffixes and path.suffix.lower() not in suffixes:
        raise ValueError(f"{name} {path} must end in {(' or ' if len(suffixes) == 2 else ', ').join(suffixes)}")
    kind = _kind(path, name)
    if kind == "folder":
        raise ValueError(f"{name} {path} must be a file, but is a folder")
    if kind == "file" and not os.access(path, os.W_OK):
        raise ValueError(f"{name} {path} cannot be written: no permission")
    # The nearest folder that exists decides: the ones below it are created later.
    folder = _target(path).parent
    while (kind := _kind(folder, name)) is None:
        folder = folder.parent
    if kind == "file":
        raise ValueError(f"{name} {path} cannot be written: {folder} is a file")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ValueError(f"{name} {path} cannot be written: no permission in {folder}")
    return path


@contextmanager
def room(*paths: Path) -> Iterator[None]:
    """Makes the folders of these files, and tries whether a file can be written there, before anything is computed.

    After a failure, folders made here that are still empty are removed. Raises ValueError if one cannot be made.
    """
    with ExitStack() as failed:
        for path in paths:
            folder = _target(path).parent
            missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
            for parent in reversed(missing):  # the stack runs backwards: the deepest is removed first
                failed.callback(_remove_if_empty, parent)
            with _partial(path) as partial:
                partial.touch()
        yield
        failed.pop_all()


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """A stand-in that replaces `path` once it is complete: an interrupted run leaves an older result as it was.

    Raises ValueError if the operating system refuses.
    """
    with _partial(path) as partial:
        yield partial
        partial.replace(_target(path))


@contextmanager
def _partial(path: Path) -> Iterator[Path]:
    """A name beside the file's, in a folder that is made if need be; whatever is left under it is removed."""
    folder = _target(path).parent
    # Short, for the file's own name may be as long as names can be; and nobody else's, should two runs write the same.
    partial = folder / f".{uuid.uuid4().hex[:12]}.partial"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield partial
    except OSError as error:
        raise ValueError(f"output {path} cannot be written: {error.strerror or error}") from None
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def _target(path: Path) -> Path:
    """Where links lead: a link to a file stays one when the file is replaced."""
    return Path(os.path.realpath(path))


def _kind(path: Path, name: str) -> str | None:
    try:
        return "folder" if stat.S_ISDIR(path.stat().st_mode) else "file"
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:  # for example a name that is too long
        raise ValueError(f"{name} {path}: {error.strerror}") from None
