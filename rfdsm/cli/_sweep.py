"""`rfdsm sweep | status | plot`: sweeps that can be interrupted, how far they are, and pictures of what they found."""

from typing import Annotated, Any

from cyclopts import Parameter

from rfdsm.cli._generation_options import SweepOptions
from rfdsm.cli._options import FILES, Config, told
from rfdsm.cli._settings import Settings, resolve

# Anything heavy is imported inside the commands: help must not wait for it.

_WITH_RESUME = {"resume", "executor", "retry_failed", "output", "cache"}
_MESSAGES = 5
_OF_SAMPLERS = ("samples", "networks", "start")


def sweep(
    file: Annotated[str | None, Parameter(help="The same as --config FILE.", negative=())] = None,
    /,
    *,
    options: SweepOptions = SweepOptions(),  # noqa: B008
    config: Config = None,
) -> None:
    """Theory and simulations over a grid, kept in a folder: what is finished is never computed twice.

    Stop it at any time, and resume with --resume FOLDER or with the same command. The result is sweep.nc in that
    folder; rfdsm plot draws it. Example: rfdsm sweep --psi-p 0.5 1 2 4 --m 1 inf --d 50 100 --executor processes
    """
    if file is not None and config is not None:
        raise ValueError(f"--config {config}: the configuration is given twice, as {file}, too")
    settings = resolve("sweep", options, file if config is None else config)
    if "resume" in settings:
        more = settings.given - _WITH_RESUME
        if more:
            raise ValueError(f"--resume {settings['resume']}: {min(more)} cannot be combined with it")
    from rfdsm import _files as files
    from rfdsm.cli import _environment as environment, _output as output

    folder = files.located(settings.get("resume", settings["store"]), "store")
    path = output.file(settings) or files.writable(folder / "sweep.nc", "output")
    environment.start_jax(double=False, cache=settings.get("cache", True))
    from rfdsm import sweeps

    with output.delivery(path) as delivery:
        delivery.save(_swept(settings), path)
        counts = sweeps.status(folder)
        delivery.summary = f"{folder}: {counts.done} of {counts.total} cells done, {counts.failed} failed; "


def _swept(settings: Settings) -> Any:
    from rfdsm import sweeps
    from rfdsm.cli import _build as build

    how = {name: settings[name] for name in ("executor", "retry_failed")}
    if "resume" in settings:
        return sweeps.resume(settings["resume"], **how)
    rows = build.data(settings) if "data" in settings else None
    import rfdsm

    more = {name: settings[name] for name in ("times", "initial") if name in settings}
    if "sampler" in settings:
        settings.refuse("is not used with a sampler: --levels, or --first and --last, say the times", "t")
        sampler = build.sampler(settings)
        settings["t"] = sampler.levels[0]
        more |= {"sampler": sampler} | {name: settings[name] for name in _OF_SAMPLERS if name in settings}
    elif alone := settings.given & {*_OF_SAMPLERS, "levels", "rule", "first", "last", "steps"}:
        raise ValueError(f"{min(alone)} needs a sampler")
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
    from rfdsm.cli import _environment as environment, _output as output

    environment.start_jax(double=False, cpu=True)
    from rfdsm import sweeps

    with output.delivery() as delivery:
        counts = sweeps.status(store)
        left = f"{counts.remaining} remaining" if counts.remaining else "complete"
        delivery.say(f"{store}: {counts}, {left}")
        for unit, failure in sweeps.failed(store)[:_MESSAGES]:
            delivery.say(f"  {unit} failed {failure.attempts} times: {failure.message}")


def plot(
    file: Annotated[
        str,
        Parameter(
            help="FILE.nc of rfdsm sweep, compare, predict, simulate, train-curve, generate, networks, advise "
            "or linear, or the folder of a sweep."
        ),
    ],
    /,
    *,
    along: Annotated[str | None, Parameter(help="Field on the horizontal axis. [default: the longest axis]")] = None,
    output: Annotated[
        str | None, told("Picture, .png, .pdf or .svg.", FILES, "FILE.png, or sweep.png in the folder")
    ] = None,
) -> None:
    """Draw losses: theory as lines, simulations as points with error bars. Learning curves with --along time.

    Example: rfdsm plot rfdsm-sweep/sweep.nc --along psi_n
    """
    from rfdsm import _files as files
    from rfdsm.cli import _environment as environment, _output as results

    source = files.located(file, "file")
    default = source / "sweep.png" if source.is_dir() else source.with_suffix(".png")
    path = files.writable(default if output is None else output, "output", results.PICTURES)
    environment.start_jax(double=False)
    from rfdsm.sweeps import _picture as picture

    dataset = picture.opened(source)
    with results.delivery(path) as delivery:
        delivery.draw(lambda: picture.draw(dataset, along), path)
