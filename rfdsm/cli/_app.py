"""The commands and the edge where every outcome becomes an exit code."""

import gc
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from cyclopts import App, CycloptsError

from rfdsm.cli import _environment as environment, _phases as phases, _streams as streams
from rfdsm.cli._explore import explore
from rfdsm.cli._generation import generate
from rfdsm.cli._linear import app as linear
from rfdsm.cli._networks import networks
from rfdsm.cli._options import COMPARE_DEFAULTS, COMPARE_OUTPUT, CompareOptions, Config, PredictOptions, SimulateOptions
from rfdsm.cli._settings import RFDSM, Settings, resolve
from rfdsm.cli._sweep import plot, status, sweep
from rfdsm.cli._training import train_curve

_RARELY = 100_000, 20, 50
"""Allocations between searches for cycles: while JAX traces, the usual 700 cost a tenth of a short command."""

# Anything heavy (jax, xarray, matplotlib, NumPy) is imported inside the commands: help must not wait for it.


def _version() -> str:
    from importlib.metadata import version

    return f"rfdsm {version('rfdsm')}"


app = App(
    name="rfdsm",
    help="Losses of random-features denoising score matching: exact high-dimensional theory, simulations, and the two "
    "held against each other. Theory is computed in double precision; the commands turn on JAX's 64-bit mode unless "
    "the simulation asks for --dtype float32.",
    help_format="plaintext",
    version=_version,
    suppress_keyboard_interrupt=False,
    result_action="return_value",
)

app.command(linear)
for _command in (phases.phases, phases.boundary, phases.optimal, phases.advise):
    app.command(_command)
for _command in (train_curve, generate, networks, sweep, status, plot, explore):
    app.command(_command)


@app.command
def compare(*, options: CompareOptions = CompareOptions(), config: Config = None) -> None:  # noqa: B008
    """Hold theory against simulation: a table, losses.png and losses.nc."""
    from rfdsm.cli import _build as build, _output as output

    settings = resolve("compare", options, config, RFDSM._replace(defaults={**RFDSM.defaults, **COMPARE_DEFAULTS}))
    if "data" in settings:  # whose size is what it is
        settings = resolve("compare", options, config)
    paths = output.folder(settings, COMPARE_OUTPUT, "losses")
    _start_jax(settings)
    rows = build.data(settings) if "data" in settings else None
    problem = build.problem(settings, rows)

    import rfdsm

    with output.delivery(*paths) as delivery:
        with output.progress("simulating") as report:
            comparison = rfdsm.compare(
                problem, settings["d"], data=rows, progress=report, **_simulation_arguments(settings)
            )
        delivery.show(comparison.table())
        delivery.keep(comparison.to_dataset(), comparison.plot, paths)


@app.command
def predict(*, options: PredictOptions = PredictOptions(), config: Config = None) -> None:  # noqa: B008
    """Theory alone: a table of losses, or a file."""
    from rfdsm.cli import _build as build, _output as output

    settings = resolve("predict", options, config)
    path = output.file(settings)
    _start_jax(settings)
    problem = build.problem(settings)

    import rfdsm

    with output.delivery(path) as delivery:
        losses = rfdsm.predict(problem)
        if path is None:
            delivery.show(output.losses_table(problem, losses))
        else:
            delivery.save(rfdsm.datasets.predictions(problem, losses), path)


@app.command
def simulate(*, options: SimulateOptions = SimulateOptions(), config: Config = None) -> None:  # noqa: B008
    """Simulations alone: a table of mean ± standard error over trials, or a file."""
    from rfdsm.cli import _build as build, _output as output

    settings = resolve("simulate", options, config)
    path = output.file(settings)
    _start_jax(settings)
    rows = build.data(settings) if "data" in settings else None
    if isinstance(settings["d"], list):
        raise ValueError(f"d = {settings['d']} must be one dimension in rfdsm simulate; rfdsm compare takes several")
    problem = build.problem(settings, rows)

    import rfdsm

    arguments = _simulation_arguments(settings)
    with output.delivery(path) as delivery:
        with output.progress("simulating") as report:
            losses = rfdsm.simulate(problem, settings["d"], data=rows, progress=report, **arguments)
        if path is None:
            delivery.show(output.losses_table(problem, losses, trials=settings["trials"]))
        else:
            data = settings.get("data")
            delivery.save(rfdsm.datasets.simulations(problem, losses, settings["d"], data=data, **arguments), path)


def _simulation_arguments(settings: Settings) -> dict[str, Any]:
    return {name: settings[name] for name in ("trials", "key", "dtype")}


def _start_jax(settings: Settings) -> None:
    environment.start_jax(double=settings.get("dtype") != "float32", cache=settings.get("cache", True))


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit code.

    0; 2 for bad input, a wrong environment or too little memory, or if there is no place for the output; 130 when
    interrupted; 141 if nobody reads the output to its end. What is wrong is told in one line on standard error. Any
    exception that is no statement about the input is a defect of this package and keeps its traceback.
    """
    if arguments is None:
        gc.set_threshold(*_RARELY)
    tokens = sys.argv[1:] if arguments is None else list(arguments)
    columns = os.environ.get("COLUMNS", "1")
    if not (columns.isdecimal() and int(columns) > 0):
        del os.environ["COLUMNS"]  # as a terminal of no width is of no use to anyone
    try:
        with streams.guarded():
            return _run(tokens)
    except streams.ClosedPipe:
        return 128 + 13  # as a shell reports of programs that SIGPIPE ended


def _run(tokens: list[str]) -> int:
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            app(tokens, exit_on_error=False, print_error=False, verbose=False)
        sys.stdout.flush()
    except (ValueError, CycloptsError) as error:
        return _fail(str(error))
    except MemoryError as error:
        return _fail(f"not enough memory: {error}" if str(error) else "not enough memory")
    except RuntimeError as error:
        # How XLA says that an allocation failed.
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        return _fail(f"not enough memory: {error}")
    except KeyboardInterrupt as error:
        print(f"rfdsm: {str(error) or 'interrupted'}", file=sys.stderr)
        return 130
    return 0


def _fail(message: str) -> int:
    _say("error", message)
    return 2


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    _say("warning", str(message))


def _say(kind: str, message: str) -> None:
    print(f"rfdsm: {kind}:", " ".join(message.split()), file=sys.stderr)
