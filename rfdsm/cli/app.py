"""The commands and the edge where every outcome becomes an exit code."""

import sys
import time
import warnings
from collections.abc import Sequence
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Parameter

from rfdsm.cli import phases
from rfdsm.cli.linear import app as linear
from rfdsm.cli.options import COMPARE_OUTPUT, CompareOptions, Config, PredictOptions, SimulateOptions
from rfdsm.cli.settings import Settings, resolve
from rfdsm.cli.sweep import plot, status, sweep
from rfdsm.cli.training import train_curve

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
for _command in (train_curve, sweep, status, plot):
    app.command(_command)

_Flat = Parameter(name="*")


@app.command
def compare(*, options: Annotated[CompareOptions, _Flat] = CompareOptions(), config: Config = None) -> None:  # noqa: B008
    """Hold theory against simulation: a table, losses.png and losses.nc."""
    from rfdsm.cli import build, output

    start = time.perf_counter()
    settings = resolve("compare", options, config)
    names = ("losses.nc", "losses.png") if settings["plot"] else ("losses.nc",)
    folder = output.checked_folder(settings.get("output", COMPARE_OUTPUT), names)
    _set_precision(settings)
    rows = build.data(settings) if "data" in settings else None
    problem = build.problem(settings, rows)

    import rfdsm

    with output.progress("simulating") as report:
        comparison = rfdsm.compare(
            problem, settings["d"], data=rows, progress=report, **_simulation_arguments(settings)
        )
    out = output.console()
    out.print(comparison.table())
    output.save(comparison.to_dataset(), folder / "losses.nc")
    if settings["plot"]:
        output.save_picture(comparison, folder / "losses.png")
    _say_written(out, start, *(folder / name for name in names))


@app.command
def predict(*, options: Annotated[PredictOptions, _Flat] = PredictOptions(), config: Config = None) -> None:  # noqa: B008
    """Theory alone: a table of losses, or a file."""
    from rfdsm.cli import build, output

    start = time.perf_counter()
    settings = resolve("predict", options, config)
    path = output.checked_file(settings["output"]) if "output" in settings else None
    _set_precision(settings)
    problem = build.problem(settings)

    import rfdsm

    losses = rfdsm.predict(problem)
    out = output.console()
    if path is None:
        out.print(output.losses_table(problem, losses))
        return
    from rfdsm.datasets import predictions

    output.save(predictions(problem, losses), path)
    _say_written(out, start, path)


@app.command
def simulate(*, options: Annotated[SimulateOptions, _Flat] = SimulateOptions(), config: Config = None) -> None:  # noqa: B008
    """Simulations alone: a table of mean ± standard error over trials, or a file."""
    from rfdsm.cli import build, output

    start = time.perf_counter()
    settings = resolve("simulate", options, config)
    path = output.checked_file(settings["output"]) if "output" in settings else None
    _set_precision(settings)
    rows = build.data(settings) if "data" in settings else None
    if isinstance(settings["d"], list):
        raise ValueError(f"d = {settings['d']} must be one dimension in rfdsm simulate; rfdsm compare takes several")
    problem = build.problem(settings, rows)

    import rfdsm

    arguments = _simulation_arguments(settings)
    with output.progress("simulating") as report:
        losses = rfdsm.simulate(problem, settings["d"], data=rows, progress=report, **arguments)
    out = output.console()
    if path is None:
        out.print(output.losses_table(problem, losses, trials=settings["trials"]))
        return
    from rfdsm.datasets import simulations

    output.save(simulations(problem, losses, settings["d"], data=settings.get("data"), **arguments), path)
    _say_written(out, start, path)


def _simulation_arguments(settings: Settings) -> dict[str, Any]:
    return {name: settings[name] for name in ("trials", "key", "dtype")}


def _set_precision(settings: Settings) -> None:
    if settings.get("dtype") != "float32":
        import jax

        jax.config.update("jax_enable_x64", True)


def _say_written(out: Any, start: float, *paths: Any) -> None:
    listed = " and ".join(str(path) for path in paths)
    out.print(f"wrote {listed} ({time.perf_counter() - start:.1f} s)", markup=False, soft_wrap=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit code: 0, 2 for bad input or too little memory, 130 when interrupted.

    Bad input ends in one line on standard error. Any exception that is no statement about the input is a defect of this
    package and keeps its traceback.
    """
    tokens = sys.argv[1:] if arguments is None else list(arguments)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            app(tokens, exit_on_error=False, print_error=False, verbose=False)
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
