"""What the command line shows and writes: progress, tables of losses, files."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table

from rfdsm import _files as files
from rfdsm.cli import _environment as environment, _streams as streams
from rfdsm.cli._settings import Settings

if TYPE_CHECKING:
    import xarray

    from rfdsm._problem import Problem
    from rfdsm.losses import Losses

TABLES = (".nc", ".csv")
PICTURES = (".png", ".pdf", ".svg")


class Delivery:
    """What a command has to hand over. Files are written at once, and text is shown in the end: see `delivery`."""

    def __init__(self) -> None:
        self.written: list[Path] = []
        self.summary = ""
        """What the line about the written files begins with."""
        self._start = time.perf_counter()
        self._shown: list[tuple[Any, dict[str, Any]]] = []

    def show(self, thing: Any, **how: Any) -> None:
        """A table, or anything else that rich prints."""
        self._shown.append((thing, how))

    def say(self, text: str) -> None:
        """A line as it is."""
        self.show(text, markup=False, soft_wrap=True)

    def save(self, dataset: "xarray.Dataset", path: Path) -> None:
        """Writes the dataset as netCDF or as a CSV table with one row per cell, by suffix."""
        with files.written(path) as partial:
            if path.suffix.lower() == ".csv":
                # A single cell has no axis for the rows of a table to run along.
                cells = dataset if dataset.sizes else dataset.expand_dims("cell")
                cells.to_dataframe().reset_index().to_csv(partial, index=False)
            else:
                # SciPy's writer is a core dependency; the default engine would depend on what else is installed.
                dataset.to_netcdf(partial, engine="scipy")
        self.written.append(path)

    def draw(self, draw: Callable[[], Any], path: Path, dpi: int = 150) -> None:
        """Draws and writes a picture, in the format of its suffix, without a display.

        Args:
            draw: returns the axes, or an array of them. matplotlib is first imported here.

        Raises ValueError where the user's settings of matplotlib are in the way.
        """
        try:
            axes = draw()
            figure = getattr(axes, "flat", [axes])[0].get_figure(root=True)
            with files.written(path) as partial:
                figure.savefig(partial, format=path.suffix[1:].lower(), dpi=dpi)
        except Exception as error:
            trouble = environment.matplotlib_trouble(error)
            if trouble is None:
                raise
            raise ValueError(f"{path} cannot be drawn: {trouble}") from None
        self.written.append(path)

    def keep(self, dataset: "xarray.Dataset", draw: Callable[[], Any], paths: list[Path]) -> None:
        """Dataset and pictures in the files of `folder`. The data first: a picture can fail."""
        self.save(dataset, paths[0])
        for path in paths[1:]:
            self.draw(draw, path)

    def hand_over(self) -> None:
        """Shows all there is, and which files were written, in how much time."""
        if self.written:
            listed = " and ".join(str(path) for path in self.written)
            self.say(f"{self.summary}wrote {listed} ({time.perf_counter() - self._start:.1f} s)")
        out = streams.console()
        for thing, how in self._shown:
            out.print(thing, **how)


@contextmanager
def delivery(*paths: Path | None) -> Iterator[Delivery]:
    """Within: the command's work. There is room for its files before it begins, and they are there before any text is.

    What had been written or shown when something failed is told all the same.
    """
    delivered = Delivery()
    with files.room(*(path for path in paths if path is not None)):
        try:
            yield delivered
        finally:
            delivered.hand_over()


def file(settings: Settings) -> Path | None:
    """The file that `output` asks for, once it is clear that it can be written; None without one."""
    return _checked(settings["output"], "output", TABLES, settings) if "output" in settings else None


def picture(settings: Settings) -> Path | None:
    """The same for the picture that `plot` asks for."""
    return _checked(settings["plot"], "plot", PICTURES, settings) if "plot" in settings else None


def folder(settings: Settings, default: str, stem: str) -> list[Path]:
    """STEM.nc and, unless `plot` is off, STEM.png in the folder that `output` asks for."""
    place = files.located(settings.get("output", default), "output")
    return [files.writable(place / f"{stem}{suffix}", "output") for suffix in (".nc", *[".png"] * settings["plot"])]


def _checked(source: str, name: str, suffixes: tuple[str, ...], settings: Settings) -> Path:
    path = files.writable(source, name, suffixes)
    if "data" in settings and path.exists():
        data = files.located(settings["data"], "data")
        if data.exists() and path.samefile(data):
            raise ValueError(f"{name} {path} must not replace the data")
    return path


def note(text: str) -> None:
    """A line on standard error, for who wonders what is going on."""
    streams.console(stderr=True).print(text, markup=False, soft_wrap=True)


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
def progress(label: str, unit: str = "cells") -> Iterator[Callable[[int, int], None]]:
    """A callable taking (done, total) of a unit: a bar on a terminal, lines elsewhere. Shown on standard error."""
    errors = streams.console(stderr=True)
    if not errors.is_terminal:
        yield _plain_progress(errors, label, unit)
        return
    from rich import progress as bars

    counts, times = (
        (bars.BarColumn(), bars.MofNCompleteColumn()),
        (bars.TimeElapsedColumn(), bars.TimeRemainingColumn()),
    )
    with bars.Progress(bars.TextColumn(label), *counts, *times, console=errors, transient=True) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _plain_progress(errors: Console, label: str, unit: str) -> Callable[[int, int], None]:
    start = time.perf_counter()
    tenths = 0

    def update(done: int, total: int) -> None:
        nonlocal tenths
        if 10 * done // total > tenths:
            tenths = 10 * done // total
            errors.print(f"{label}: {done} of {total} {unit}, {time.perf_counter() - start:.1f} s")

    return update


def losses_table(problem: "Problem", losses: "Losses", trials: int | None = None) -> Table:
    """One row per cell, the parameters that vary first.

    With `trials`, losses have a leading trial axis and are shown as mean ± standard error over trials.
    """
    from rfdsm import _tables as tables

    values = {name: np.asarray(getattr(losses, name), dtype=np.float64) for name in losses.NAMES}
    columns = {
        name: tables.mean_and_error(own, trials) if trials else texts(own, ".6f") for name, own in values.items()
    }
    return tables.cells(problem, columns | converged(losses))


def texts(values: Any, form: str) -> list[str]:
    """The values of all cells, written in this format."""
    return [format(value, form) for value in np.ravel(values)]


def converged(found: Any) -> dict[str, list[str]]:
    """A column that says which cells were solved, where some were not."""
    solved = True if found.converged is None else found.converged
    return {} if np.all(solved) else {"converged": ["yes" if value else "no" for value in np.ravel(solved)]}
