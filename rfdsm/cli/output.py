"""What the command line shows and writes: progress, tables of losses, files."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    import xarray

    from rfdsm.comparison import Comparison
    from rfdsm.losses import Losses
    from rfdsm.problem import Problem

SUFFIXES = (".nc", ".csv")
# Wide enough for every table here: when the output goes to a file, nothing is cut or wrapped.
FILE_WIDTH = 400


def console() -> Console:
    """Standard output, as wide as the terminal or, in a file or pipe, as wide as its contents."""
    out = Console(highlight=False)
    return out if out.is_terminal else Console(highlight=False, width=FILE_WIDTH)


def checked_folder(text: str, names: tuple[str, ...]) -> Path:
    """The folder, once it is clear that files called `names` can be written there. Creates nothing.

    Raises ValueError otherwise.
    """
    folder = Path(text)
    if _exists(folder) and not folder.is_dir():
        raise ValueError(f"output {folder} must be a folder, but is a file")
    for name in names:
        if _exists(folder / name) and (folder / name).is_dir():
            raise ValueError(f"output {folder / name} must be a file, but is a folder")
    _check_writable(folder, folder)
    return folder


def checked_file(text: str) -> Path:
    """The file, once it is clear that it can be written and has a known suffix. Raises ValueError otherwise."""
    path = Path(text)
    if path.suffix not in SUFFIXES:
        raise ValueError(f"output {path} must end in {' or '.join(SUFFIXES)}")
    if _exists(path):
        if path.is_dir():
            raise ValueError(f"output {path} must be a file, but is a folder")
        if not os.access(path, os.W_OK):
            raise ValueError(f"output {path} cannot be written: no permission")
    _check_writable(path.parent, path)
    return path


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:  # for example a name that is too long
        raise ValueError(f"output {path}: {error.strerror}") from None


def _check_writable(folder: Path, wanted: Path) -> None:
    """The nearest folder that exists decides: the ones below it are created later."""
    while not _exists(folder):
        folder = folder.parent
    if not folder.is_dir():
        raise ValueError(f"output {wanted} cannot be written: {folder} is a file")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ValueError(f"output {wanted} cannot be written: no permission in {folder}")


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """A stand-in that replaces `path` once it is complete: an interrupted run leaves an older result as it was.

    Raises ValueError if the operating system refuses.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(path)
    except OSError as error:
        raise ValueError(f"output {path} cannot be written: {error.strerror or error}") from None
    finally:
        partial.unlink(missing_ok=True)


def save(dataset: "xarray.Dataset", path: Path) -> None:
    """Writes the dataset as netCDF or as a CSV table with one row per cell, by suffix."""
    with written(path) as partial:
        if path.suffix == ".csv":
            # A single cell has no axis for the rows of a table to run along.
            cells = dataset if dataset.sizes else dataset.expand_dims("cell")
            cells.to_dataframe().reset_index().to_csv(partial, index=False)
        else:
            # SciPy's writer is a core dependency; the default engine would depend on what else is installed.
            dataset.to_netcdf(partial, engine="scipy")


def note(text: str) -> None:
    """A line on standard error, for who wonders what is going on."""
    Console(stderr=True, highlight=False).print(text, markup=False, soft_wrap=True)


@contextmanager
def note_if_slow(text: str, seconds: float = 2.0) -> Iterator[None]:
    """The line, should the work take longer than that."""
    timer = threading.Timer(seconds, note, [text])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """A callable taking (done, total): a bar on a terminal, plain lines elsewhere. Shown on standard error."""
    errors = Console(stderr=True, highlight=False)
    if not errors.is_terminal:
        yield _plain_progress(errors, label)
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _plain_progress(errors: Console, label: str) -> Callable[[int, int], None]:
    start = time.perf_counter()
    tenths = 0

    def update(done: int, total: int) -> None:
        nonlocal tenths
        if 10 * done // total > tenths:
            tenths = 10 * done // total
            errors.print(f"{label}: {done} of {total} cells, {time.perf_counter() - start:.1f} s")

    return update


def losses_table(problem: "Problem", losses: "Losses", trials: int | None = None) -> Table:
    """One row per cell, the parameters that vary first.

    With `trials`, losses have a leading trial axis and are shown as mean ± standard error over trials.
    """
    from rfdsm import tables

    columns: dict[str, list[str]] = {}
    for name in losses.NAMES:
        values = np.asarray(getattr(losses, name), dtype=np.float64)
        columns[name] = (
            tables.mean_and_error(values, trials) if trials else [f"{value:.6f}" for value in values.ravel()]
        )
    if losses.converged is not None and not np.all(losses.converged):
        columns["converged"] = ["yes" if value else "no" for value in np.ravel(losses.converged)]
    return tables.cells(problem, columns)


def save_picture(comparison: "Comparison", path: Path) -> None:
    """Draws the comparison and writes it as PNG, without a display."""
    figure = comparison.plot()[0].figure
    with written(path) as partial:
        figure.savefig(partial, format="png", dpi=150)
