"""`rfdsm phases | boundary | optimal | advise`: regimes, their boundaries, and what to do."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rfdsm.cli._options import Config
from rfdsm.cli._phase_options import PHASE_DEFAULTS, AdviseOptions, BoundaryOptions, OptimalOptions, PhasesOptions
from rfdsm.cli._settings import COMMANDS, Program, Settings, resolve

# Anything heavy is imported inside the commands: help must not wait for it.

DPI = 300
MOST_ROWS = 25
"""Rows of a table of boundaries over a fine grid: as many are chosen evenly."""


def phases(*, options: PhasesOptions = PhasesOptions(), config: Config = None) -> None:  # noqa: B008
    """Phase diagram: a table of the regimes' boundaries, a file of all fields, a picture.

    Ranges are LOW:HIGH:COUNT. Example: rfdsm phases --psi-n 0.1:100:200 --psi-p 0.1:300:200 --m 4 --t 0.1 --d 32
    --plot phases.pdf
    """
    settings, path, picture = _prepared("phases", options, config)
    from rfdsm.cli import _build as build, _output as output

    problem = build.problem(settings)

    import rfdsm
    from rfdsm import datasets
    from rfdsm.phases._lines import CONTINUOUS

    axes = [name for name in datasets.dims(problem) if name in CONTINUOUS]
    if picture is not None and (len(problem.shape) != 2 or not axes):
        raise ValueError("plot needs lists or ranges of exactly two of psi_n, psi_p, t, ridge and m")
    along = settings.get("along")
    if along is None:
        along = axes if picture is not None else [name for name in ("psi_p", *axes) if name in axes][:1]
    with output.delivery(path, picture) as delivery:
        diagram = rfdsm.phase_diagram(problem, along)
        if path is None and picture is None:
            delivery.show(_boundaries_table(problem, diagram, along[0]) if along else _cells_table(problem, diagram))
            delivery.show(_share(diagram))
        if path is not None:
            # A table of cells has no place for curves.
            cells = diagram[[name for name in diagram if diagram[name].dims == diagram["regime"].dims]]
            delivery.save(cells if path.suffix.lower() == ".csv" else diagram, path)
        if picture is not None:
            simulated = _simulated(settings, problem) if "d" in settings else None
            delivery.draw(lambda: rfdsm.plots.phase_diagram(diagram, simulated=simulated), picture, dpi=DPI)


def _simulated(settings: Settings, problem: Any) -> Any:
    """Some cells of the grid, evenly spread."""
    import numpy as np

    from rfdsm._problem import FIELDS
    from rfdsm.cli import _output as output
    from rfdsm.phases import simulated_regimes

    index = [np.unique(np.linspace(0, size - 1, settings["markers"] + 2)[1:-1].astype(int)) for size in problem.shape]
    some = problem.at(**{name: _chosen(problem, name, index) for name in FIELDS})
    with output.progress("simulating") as report:
        return simulated_regimes(some, settings["d"], trials=settings["trials"], key=settings["key"], progress=report)


def boundary(*, options: BoundaryOptions = BoundaryOptions(), config: Config = None) -> None:  # noqa: B008
    """Where a regime begins: all zeros of a signed field along one parameter, to 1e-10.

    Example: rfdsm boundary --field memorisation --along psi_p --psi-n 64 --m inf --ridge 1e-6 --t 0.3 0.1 0.01 0.001
    """
    settings, path, picture = _prepared("boundary", options, config)
    from rfdsm.cli import _build as build, _output as output

    problem = build.problem(settings)
    import rfdsm

    _check_drawable(problem, (settings["along"],), picture)
    _note_ignored(settings, (settings["along"],), "along")
    with output.delivery(path, picture) as delivery:
        field = settings["field"]
        pair = field.split(",") if "," in field else field
        found = rfdsm.boundary(problem, pair, settings["along"], bounds=settings.get("bounds"))
        dataset = found.to_dataset()
        if path is None:
            places = f"{found.along} at {found.field} = 0"
            columns = {places: _texts(found.roots), "becomes positive": _signs(found.rising)}
            delivery.show(_table(found.lines, columns, skip=(found.along,)))
        else:
            delivery.save(dataset, path)
        if picture is not None:
            delivery.draw(lambda: rfdsm.plots.roots(dataset, f"{found.along}_at_boundary"), picture, dpi=DPI)


def optimal(*, options: OptimalOptions = OptimalOptions(), config: Config = None) -> None:  # noqa: B008
    """The best ridge, width, time, … for every problem of a family.

    Example: rfdsm optimal --over ridge --psi-n 0.5:100:30 --psi-p 8 --m 1 4 inf --plot ridge.pdf
    """
    settings, path, picture = _prepared("optimal", options, config)
    from rfdsm.cli import _build as build, _output as output

    problem = build.problem(settings)

    import rfdsm

    over = tuple(settings["over"])
    _check_drawable(problem, over, picture)
    _note_ignored(settings, over, "over")
    bounds = {name.removesuffix("_bounds"): settings[name] for name in settings if name.endswith("_bounds")}
    with output.delivery(path, picture) as delivery:
        found = rfdsm.optimal(
            problem, over, settings.get("minimise"), bounds=bounds or None, targets=settings.get("targets")
        )
        dataset, drawn = found.to_dataset(), next((name for name in over if name != "target"), "target")
        if path is None:
            delivery.show(_table(found.lines, _best(found, over), skip=over))
        else:
            delivery.save(dataset, path)
        if picture is not None:
            delivery.draw(lambda: rfdsm.plots.roots(dataset, f"best_{drawn}"), picture, dpi=DPI)


def _best(found: Any, over: tuple[str, ...]) -> dict[str, list[str]]:
    import numpy as np

    from rfdsm.cli import _output as output

    columns: dict[str, list[str]] = {}
    for name in over:
        if name == "target":
            columns |= {f"score, {target}": output.texts(one.minimum, ".4g") for target, one in found.targets.items()}
            columns["best target"] = [str(target) for target in np.ravel(found[name])]
            continue
        sides = np.ravel(found.at_bound[name])
        marks = {-1: " (lower bound)", 0: "", 1: " (upper bound)"}
        values = np.ravel(found[name])
        columns[f"best {name}"] = [f"{v:.6g}{marks[int(s)]}" for v, s in zip(values, sides, strict=True)]
    for name in () if "target" in over else ("test", "empirical_test", "train", "floor"):
        columns[name] = output.texts(getattr(found.losses, name), ".6f")
    return columns


def advise(*, options: AdviseOptions = AdviseOptions(), config: Config = None) -> None:  # noqa: B008
    """Will it memorise, and which ridge, width and stopping time to use: in plain words, for your own sizes and data.

    Example: rfdsm advise --n 5000 --d 784 --t 0.1 --p 8000 --ridge 1e-3
    """
    settings, path, picture = _prepared("advise", options, config)
    from rfdsm.cli import _build as build, _output as output

    rows = None
    if "data" in settings:
        settings.refuse(build.OF_DATA, "spectrum")
        rows = build.loaded(settings)
    elif "n" not in settings or "d" not in settings:
        raise ValueError("n and d must be given, or data")
    import rfdsm

    names = ("t", "m", "p", "ridge", "learning_rate", "max_p", "budget", "key")
    slow = "best ridges and widths, stopping times, simulations (--budget limits them): this may take minutes"
    with output.delivery(path, picture) as delivery:
        with output.note_if_slow(slow):
            advice = rfdsm.advise(
                settings.get("n"),
                settings.get("d"),
                data=rows,
                activation=build.activation(settings["activation"]),
                spectrum=None if rows is not None else build.spectrum(settings["spectrum"]),
                schedule=settings["schedule"],
                target=settings["target"],
                **{name: settings[name] for name in names if name in settings},
            )
        delivery.say(advice.text())
        dataset = advice.to_dataset()
        if path is not None:
            delivery.save(dataset, path)
        if picture is not None:
            delivery.draw(lambda: rfdsm.plots.widths(dataset), picture, dpi=DPI)


def _check_drawable(problem: Any, solved_for: tuple[str, ...], picture: Path | None) -> None:
    """A picture has a horizontal axis."""
    from rfdsm import datasets

    if picture is not None and not set(datasets.dims(problem)) - set(solved_for):
        fields = [name for name in ("psi_n", "psi_p", "t", "ridge", "m") if name not in solved_for]
        raise ValueError(f"plot needs a list or range of {', '.join(fields[:-1])} or {fields[-1]}")


def _note_ignored(settings: Settings, solved_for: tuple[str, ...], option: str) -> None:
    """A file of settings may well hold what is solved for; nobody should think it counts."""
    from rfdsm.cli import _output as output

    for name in solved_for:
        if name in settings.given:
            output.note(f"{name} is ignored: with --{option.replace('_', '-')} {name} it is solved for")


def _prepared(command: str, options: Any, config: str | None) -> tuple[Settings, Path | None, Path | None]:
    """Settings and files to write; everything about files and accelerators that can be refused is refused here."""
    settings = resolve(command, options, config, Program("rfdsm", COMMANDS, PHASE_DEFAULTS[command]))
    from rfdsm.cli import _environment as environment, _output as output

    path, picture = output.file(settings), output.picture(settings)
    environment.start_jax(cache=settings.get("cache", True))
    return settings, path, picture


def _chosen(problem: Any, name: str, index: list[Any]) -> Any:
    """A field of the problem at some places of each axis; an axis that it does not span keeps its length of one."""
    values = getattr(problem, name)
    for axis in range(values.ndim):
        if values.shape[axis] > 1:
            values = values.take(index[axis + len(problem.shape) - values.ndim], axis=axis)
    return values


def _texts(values: Any) -> list[str]:
    """Roots of each line, a dash where there is none."""
    return _listed(values, lambda value: "" if math.isnan(value) else f"{value:.10g}")


def _signs(values: Any) -> list[str]:
    return _listed(values, lambda value: {1: "above", 0: "", -1: "below"}[int(value)])


def _listed(values: Any, text: Callable[[Any], str]) -> list[str]:
    """The texts of the last axis in one, for every line."""
    import numpy as np

    rows = np.asarray(values).reshape(-1, np.shape(values)[-1])
    return [", ".join(filter(None, map(text, row))) or "–" for row in rows]


def _table(problem: Any, columns: dict[str, list[str]], skip: tuple[str, ...], rows: Any = None) -> Any:
    """One row per line of a family, the parameters that vary first."""
    import numpy as np
    from rich.table import Table

    from rfdsm._problem import FIELDS
    from rfdsm.model import RANDOM_FEATURES

    cells = {name: own.ravel() for name, own in zip(FIELDS, problem.broadcast(), strict=True) if name not in skip}
    varying = [name for name in cells if np.ndim(getattr(problem, name))]
    fixed = [f"{name} = {cells[name][0]:g}" for name in cells if name not in varying]
    structure = [f"{name} {text}" for name, text in RANDOM_FEATURES.structure(problem).items()]
    title = ", ".join([*fixed, *structure])
    table = Table(title=title, title_justify="left")
    shown = {name: [f"{value:g}" for value in cells[name]] for name in varying} | columns
    for name in shown:
        table.add_column(name, justify="right")
    whole = list(zip(*shown.values(), strict=True))
    for row in whole if rows is None else [whole[k] for k in rows]:
        table.add_row(*row)
    return table


def _boundaries_table(problem: Any, diagram: Any, along: str) -> Any:
    """The boundaries solved along a field, on at most MOST_ROWS lines."""
    import numpy as np

    from rfdsm.phases._lines import along_lines

    names = {"memorisation": "memorisation", "noise_fitting": "train = floor", "harmful": "test = null"}
    columns = {f"{along} at {label}": _texts(diagram[f"{along}_at_{name}"]) for name, label in names.items()}
    columns[f"{along} at peak of test"] = _texts(diagram[f"{along}_at_test_peak"])
    lines = along_lines(problem, (along,))
    count = len(next(iter(columns.values())))
    rows = np.unique(np.linspace(0, count - 1, min(count, MOST_ROWS)).astype(int))
    return _table(lines, columns, (along,), rows)


def _cells_table(problem: Any, diagram: Any) -> Any:
    """Regime and losses of each cell, where there is no axis to solve along."""
    import numpy as np

    from rfdsm.cli import _output as output
    from rfdsm.phases import REGIMES

    names = ("test", "empirical_test", "train", "floor", "memorisation_index", "generalisation_index")
    regimes = [(*REGIMES, "unknown")[code].replace("_", "-") for code in np.ravel(diagram["regime"])]
    marked = zip(regimes, np.ravel(diagram["is_harmful"]), strict=True)
    columns = {"regime": [f"{name}, harmful" if bad else name for name, bad in marked]}
    return _table(problem, columns | {name: output.texts(diagram[name], ".6f") for name in names}, ())


def _share(diagram: Any) -> str:
    """Which part of the cells is in which regime."""
    import numpy as np

    from rfdsm.phases import REGIMES

    codes = np.asarray(diagram["regime"])
    parts = [f"{name.replace('_', '-')} {np.mean(codes == code):.0%}" for code, name in enumerate(REGIMES)]
    harmful = float(np.mean(np.asarray(diagram["is_harmful"])))
    return f"{codes.size} cells: {', '.join(parts)}; harmful (test > null) {harmful:.0%}."
