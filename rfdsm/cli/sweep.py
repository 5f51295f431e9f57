"""`rfdsm sweep | status | plot`: sweeps that can be interrupted, how far they are, and pictures of what they found."""

import time
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from rfdsm.cli.options import FILES, Config
from rfdsm.cli.settings import Settings, resolve
from rfdsm.cli.sweep_options import SweepOptions

# Anything heavy is imported inside the commands: help must not wait for it.

_Flat = Parameter(name="*")
_WITH_RESUME = {"resume", "executor", "retry_failed", "output"}
_MESSAGES = 5
_PICTURES = (".png", ".pdf", ".svg")


def sweep(
    file: Annotated[str | None, Parameter(help="The same as --config FILE.", negative=())] = None,
    /,
    *,
    options: Annotated[SweepOptions, _Flat] = SweepOptions(),  # noqa: B008
    config: Config = None,
) -> None:
    """Theory and simulations over a grid, kept in a folder: what is finished is never computed twice.

    Stop it at any time, and resume with --resume FOLDER or with the same command. The result is sweep.nc in that
    folder; rfdsm plot draws it. Example: rfdsm sweep --psi-p 0.5 1 2 4 --m 1 inf --d 50 100 --executor processes
    """
    start = time.perf_counter()
    if file is not None and config is not None:
        raise ValueError(f"--config {config}: the configuration is given twice, as {file}, too")
    settings = resolve("sweep", options, file if config is None else config)
    if "resume" in settings:
        more = settings.given - _WITH_RESUME
        if more:
            raise ValueError(f"--resume {settings['resume']}: {min(more)} cannot be combined with it")
    from rfdsm.cli import output

    folder = Path(settings.get("resume", settings["store"]))
    path = output.checked_file(settings.get("output", str(folder / "sweep.nc")))
    dataset = _swept(settings)
    output.save(dataset, path)
    from rfdsm import sweeps

    out = output.console()
    counts = sweeps.status(folder)
    text = f"{folder}: {counts.done} of {counts.total} cells done, {counts.failed} failed"
    out.print(f"{text}; wrote {path} ({time.perf_counter() - start:.1f} s)", markup=False, soft_wrap=True)


def _swept(settings: Settings) -> Any:
    from rfdsm import sweeps
    from rfdsm.cli import build

    how = {name: settings[name] for name in ("executor", "retry_failed")}
    if "resume" in settings:
        return sweeps.resume(settings["resume"], **how)
    rows = build.data(settings) if "data" in settings else None
    import rfdsm

    more = {name: settings[name] for name in ("times", "initial") if name in settings}
    # learning curves are simulated where a dimension was asked for, not for its default
    theory_alone = set(settings["quantities"]) <= {"theory", "training"} and "d" not in settings.given and rows is None
    return rfdsm.sweep(
        build.problem(settings, rows),
        d=None if theory_alone else settings["d"],
        data=rows,
        **{name: settings[name] for name in ("quantities", "trials", "key", "dtype", "store", "confirm")},
        **more,
        **how,
    )


def status(store: Annotated[str, Parameter(help="Folder of a sweep.")], /) -> None:
    """How far a sweep is: cells done, failed and remaining, and the estimated time of one process for the rest.

    Example: rfdsm status rfdsm-sweep
    """
    from rfdsm import sweeps
    from rfdsm.cli import output

    counts, out = sweeps.status(store), output.console()
    left = f"{counts.remaining} remaining" if counts.remaining else "complete"
    out.print(f"{store}: {counts}, {left}", markup=False, soft_wrap=True)
    for unit, failure in sweeps.failed(store)[:_MESSAGES]:
        out.print(f"  {unit} failed {failure.attempts} times: {failure.message}", markup=False, soft_wrap=True)


def plot(
    file: Annotated[
        str, Parameter(help="FILE.nc of rfdsm sweep, compare, predict or linear, or the folder of a sweep.")
    ],
    /,
    *,
    along: Annotated[
        str | None, Parameter(help="Field on the horizontal axis. [default: the longest axis]", negative=())
    ] = None,
    output: Annotated[
        str | None,
        Parameter(
            help="Picture, .png, .pdf or .svg. [default: FILE.png, or sweep.png in the folder]",
            group=FILES,
            negative=(),
        ),
    ] = None,
) -> None:
    """Draw losses: theory as lines, simulations as points with error bars. Learning curves with --along time.

    Example: rfdsm plot rfdsm-sweep/sweep.nc --along psi_n
    """
    start = time.perf_counter()
    source = Path(file)
    path = (
        Path(output) if output is not None else source / "sweep.png" if source.is_dir() else source.with_suffix(".png")
    )
    if path.suffix not in _PICTURES:
        raise ValueError(f"output {path} must end in {', '.join(_PICTURES)}")
    from rfdsm.cli import output as written
    from rfdsm.sweeps import picture

    dataset = picture.opened(source)
    figure = picture.draw(dataset, along)[0].figure
    written.checked_folder(str(path.parent), (path.name,))
    with written.written(path) as partial:
        figure.savefig(partial, format=path.suffix[1:], dpi=150)
    written.console().print(f"wrote {path} ({time.perf_counter() - start:.1f} s)", markup=False, soft_wrap=True)
