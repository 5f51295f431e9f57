"""Standard output and standard error, whatever they are: any encoding, a closed pipe, a full disk."""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


# Wide enough for every table here: when the output goes to a file, nothing is cut or wrapped.
FILE_WIDTH = 400


class ClosedPipe(Exception):
    """Nobody reads standard output any more, as after `| head`."""


class _Stream:
    """A text stream that writes nothing more once it has failed: notes and progress are no reason to stop computing."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """See `io.TextIOBase`."""
        try:
            return self._stream.write(text)
        except OSError as error:
            self._failed(error)
            return len(text)

    def flush(self) -> None:
        """See `io.TextIOBase`."""
        try:
            self._stream.flush()
        except OSError as error:
            self._failed(error)

    def _failed(self, error: OSError) -> None:
        # What the stream still holds would fail again when Python flushes it in the end.
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


class _Output(_Stream):
    """Standard output, whose failures are told."""

    def _failed(self, error: OSError) -> None:
        super()._failed(error)
        if isinstance(error, BrokenPipeError):
            raise ClosedPipe from None
        raise ValueError(f"standard output cannot be written: {error.strerror or error}") from None


@contextmanager
def guarded() -> Iterator[None]:
    """Characters that a stream cannot show are replaced, and what cannot be written is told in one line.

    Writing to standard output raises ClosedPipe, or ValueError; writing to standard error never fails.
    """
    before = sys.stdout, sys.stderr
    with ExitStack() as stack:
        # None stands for a stream that was closed by whoever started the program; no other file should get its number.
        out, err = (
            stack.enter_context(open(os.devnull, "w", encoding="utf-8")) if stream is None else stream
            for stream in before
        )
        for stream in (out, err):
            stack.enter_context(_replacing(stream))
        sys.stdout, sys.stderr = _Output(out), _Stream(err)
        try:
            yield
        finally:
            sys.stdout, sys.stderr = before


@contextmanager
def _replacing(stream: Any) -> Iterator[None]:
    """Characters that the stream's encoding lacks are replaced; streams of other kinds see to that themselves."""
    if not hasattr(stream, "reconfigure"):
        yield
        return
    before = stream.errors
    stream.reconfigure(errors="replace")
    try:
        yield
    finally:
        with suppress(OSError):  # it flushes what could not be written
            stream.reconfigure(errors=before)


def console(stderr: bool = False) -> "Console":
    """Standard output or error, as wide as the terminal or, in a file or pipe, as wide as its contents."""
    from rich.console import Console

    found = Console(stderr=stderr, highlight=False)
    return found if found.is_terminal else Console(stderr=stderr, highlight=False, width=FILE_WIDTH)
