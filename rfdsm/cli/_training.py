"""`rfdsm train-curve`: losses against training time, when to stop, and simulations of the same."""

from typing import TYPE_CHECKING, Any

from rfdsm.cli._options import DEFAULTS, TRAINING_DEFAULTS, TRAINING_OUTPUT, Config, TrainCurveOptions
from rfdsm.cli._settings import RFDSM, Settings, resolve

if TYPE_CHECKING:
    import numpy as np

    from rfdsm._problem import Problem
    from rfdsm.losses import Losses
    from rfdsm.theory._stopping import Stopping

POINTS, SIMULATED_POINTS = 200, 14
COLUMNS = {
    "tau_gen": "generalisation_time",
    "best time": "time",
    "least loss": "loss",
    "loss at inf": "final",
    "below floor": "below_floor_time",
    "tau_mem": "memorisation_time",
    "best ridge": "ridge",
    "its loss": "ridge_loss",
}


def train_curve(*, options: TrainCurveOptions = TrainCurveOptions(), config: Config = None) -> None:  # noqa: B008
    """Losses against training time: a table of when to stop, training.png and training.nc.

    Times are those of gradient flow, theta; rfdsm.units converts from learning rates and steps.

    Example: rfdsm train-curve --psi-n 4 16 --psi-p 16 --m inf --t 0.1 --simulate --d 64 --trials 4
    """
    import numpy as np

    from rfdsm._arguments import flow_times
    from rfdsm.cli import _build as build, _environment as environment, _output as output

    settings = resolve("train-curve", options, config, RFDSM._replace(defaults=DEFAULTS | TRAINING_DEFAULTS))
    paths = output.folder(settings, TRAINING_OUTPUT, "training")
    environment.start_jax(double=settings.get("dtype") != "float32", cache=settings.get("cache", True))
    rows = build.data(settings) if "data" in settings else None
    if isinstance(settings["d"], list):
        raise ValueError(f"d = {settings['d']} must be one dimension in rfdsm train-curve")
    if "times" in settings and np.all(np.isinf(flow_times(settings["times"]))) and settings["simulate"]:
        raise ValueError("times must hold a finite one to simulate")
    problem = build.problem(settings, rows)

    import rfdsm
    from rfdsm.datasets import training

    initial = settings.get("initial", 0.0)
    with output.delivery(*paths) as delivery:
        stopping = rfdsm.optimal_stopping(problem, settings["minimise"], initial=initial)
        times = _times(settings, problem, stopping)
        losses = rfdsm.training_curve(problem, times, initial=initial)
        simulated = _simulated(settings, problem, times, initial, rows) if settings["simulate"] else None
        scales = {name: getattr(stopping, name) for name in COLUMNS.values() if name.endswith("_time")}
        dataset = training(problem, times, losses, scales | {"best_time": stopping.time}, simulated, initial)
        delivery.show(_table(problem, stopping, settings["minimise"]))
        delivery.keep(dataset, lambda: rfdsm.plots.training(dataset), paths)


def _times(settings: Settings, problem: "Problem", stopping: "Stopping") -> "np.ndarray":
    """Those asked for; else from well before the first scale to well beyond the last."""
    import numpy as np

    if "times" in settings:
        return np.atleast_1d(np.asarray(settings["times"], float))
    scales = np.stack([getattr(stopping, name) for name in COLUMNS.values() if name.endswith("time")])
    scales = scales[np.isfinite(scales) & (scales > 0)]
    if not scales.size:
        raise ValueError("times must be given: none of these problems has a time scale to choose them by")
    with np.errstate(divide="ignore"):
        settled = np.max(10 / problem.ridge)
    return np.geomspace(scales.min() / 30, min(max(scales.max() * 30, scales.min() * 1e4), settled), POINTS)


def _simulated(
    settings: Settings, problem: "Problem", times: "np.ndarray", initial: float, rows: Any
) -> tuple["np.ndarray", "Losses", int]:
    import numpy as np

    import rfdsm
    from rfdsm.cli import _output as output

    finite = np.sort(times[np.isfinite(times)])
    chosen = np.unique(finite[np.linspace(0, finite.size - 1, SIMULATED_POINTS).round().astype(int)])
    how = {name: settings[name] for name in ("trials", "key", "dtype")}
    with output.progress("simulating") as report:
        losses = rfdsm.simulate_training(
            problem, chosen, settings["d"], initial=initial, data=rows, progress=report, **how
        )
    return chosen, losses, settings["d"]


def _table(problem: "Problem", stopping: "Stopping", minimise: str) -> Any:
    """One row per cell: when it generalises, when to stop, when it memorises, and what a ridge would do instead."""
    from rfdsm import _tables as tables
    from rfdsm.cli import _output as output

    columns = {title: output.texts(getattr(stopping, name), ".4g") for title, name in COLUMNS.items()}
    return tables.cells(problem, columns | output.converged(stopping), f"gradient flow, times of least {minimise}")
