"""Theory and simulation on an accelerator: one script to run on a borrowed machine, nothing fetched.

    python -m benchmarks.accelerator [--json accelerator.json] [--size full|tiny] [--only agreement predict ...]

Needs this checkout and Python with JAX's wheels for the device; says which of the package's other dependencies are
missing, and runs what does not need them. Some eight minutes on one GPU at full size. Each part is measured on the
default device; `agreement` holds its results against those of the same machine's CPU. Figures go to standard output as
a table and, after every part, to the JSON file: a machine that is taken away leaves what it has measured.

agreement   simulate and predict on the device against the CPU: largest relative differences, float64 and float32
predict     a grid of 10^7 cells
spectrum    densities at 100 problems x 1000 places
training    learning curves of 1000 problems at 200 times
simulate    trials in one batch at d = 400, 1000, 2000, and the memory they took against the estimate
infinite    m = inf at d = 1000
adam        200 steps of Adam, all losses recorded
"""

import argparse
import importlib
import json
import os
import platform
import sys
import time
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

Figures = dict[str, float | str]


class Size(NamedTuple):
    """How much of everything."""

    cells: int
    places: int
    curves: int
    times: int
    dimensions: tuple[int, ...]
    trials: int
    steps: int


SIZES = {
    "full": Size(3163, 1000, 1000, 200, (400, 1000, 2000), 4, 200),
    "tiny": Size(4, 5, 2, 3, (12,), 2, 2),
}
"""`cells` is the side of a square grid, the others are counts."""
CUBIC = (0.1, 1.0, 0.3, 0.1)
"""A polynomial activation: in a few dimensions its exact moments have few terms."""


def missing() -> list[str]:
    """Dependencies of the package that cannot be imported here."""
    names = {"lazy_loader": "lazy_loader", "scikit-learn": "sklearn"}
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    absent = []
    for line in project["dependencies"]:
        name = line.split(">=")[0].strip()
        try:
            importlib.import_module(names.get(name, name))
        except ImportError:
            absent.append(name)
    return absent


def seconds(call: Callable[[], Any]) -> tuple[float, float]:
    """Of the first call, compilation included, and of the second."""
    import jax

    spent = []
    for _ in range(2):
        start = time.perf_counter()
        jax.block_until_ready(call())
        spent.append(time.perf_counter() - start)
    return spent[0], spent[1]


def timed(call: Callable[[], Any], count: int, what: str) -> Figures:
    """Seconds of both calls, and the rate of the second."""
    first, again = seconds(call)
    return {"first call, s": first, "again, s": again, f"{what} per second": count / again}


def agreement(size: Size) -> Figures:
    """Largest relative difference of a loss on the device from the CPU's, on problems of every kind."""
    import jax
    import numpy as np

    from rfdsm import Problem, activations, predict, simulate

    d, trials = size.dimensions[0], size.trials
    kind = activations.polynomial(CUBIC) if d < 50 else activations.get("tanh")
    cpu = jax.devices("cpu")[0]
    found: Figures = {}
    problems = {
        "primal": Problem(3.0, [2.0, 4.0], 2, 0.1, 1e-3, kind),
        "dual": Problem(1.0, 4.0, 2, 0.1, 1e-3, kind),
        "several ridges": Problem(3.0, 2.0, 4, 0.1, [1e-3, 1e-2], kind),
        "m = inf": Problem(3.0, 4.0, np.inf, 0.1, 1e-3, kind),
        "relu": Problem(3.0, 2.0, 4, 0.1, 1e-2, "relu"),
    }
    for name, problem in problems.items():
        with jax.default_device(cpu):
            exact = simulate(problem, d, trials=trials, devices=[cpu])
        for dtype in ("float64", "float32"):
            here = simulate(problem, d, trials=trials, dtype=dtype)
            found[f"{name}, {dtype}"] = max(
                float(np.max(np.abs(np.asarray(getattr(here, loss), float) / getattr(exact, loss) - 1)))
                for loss in ("train", "empirical_test", "test")
            )
    grid = Problem.grid(np.geomspace(0.1, 100, 30), np.geomspace(0.1, 100, 30), [1, 4, np.inf], 0.1, 1e-3)
    with jax.default_device(cpu):
        exact = predict(grid)
    here = predict(grid)
    found["predict"] = float(np.max(np.abs(here.test / exact.test - 1)))
    return found


def predict_rate(size: Size) -> Figures:
    """A square grid of widths and samples."""
    import numpy as np

    from rfdsm import Problem, predict

    side = np.geomspace(0.1, 100, size.cells)
    problem = Problem.grid(side, 3 * side, 4, 0.1, 1e-3)
    figures = timed(lambda: predict(problem).test, size.cells**2, "cells")
    figures["not converged"] = float(np.sum(~predict(problem).converged))
    return figures


def spectrum_rate(size: Size) -> Figures:
    """Densities across the support."""
    import numpy as np

    from rfdsm import Problem, spectral_density

    problem = Problem(np.geomspace(1, 30, size.curves // 10 + 1), 16.0, np.inf, 0.1, 0.0)
    u = np.geomspace(1e-3, 20, size.places)
    return timed(lambda: spectral_density(problem, u).density, (size.curves // 10 + 1) * size.places, "densities")


def training_rate(size: Size) -> Figures:
    """Learning curves of gradient flow."""
    import numpy as np

    from rfdsm import Problem, training_curve

    problem = Problem(np.geomspace(1, 30, size.curves), 16.0, 4, 0.1, 1e-4)
    times = np.geomspace(0.1, 1e5, size.times)
    return timed(lambda: training_curve(problem, times).test, size.curves * size.times, "values")


def simulations(size: Size, m: float, dimensions: tuple[int, ...]) -> Figures:
    """Trials in one batch, with the memory they took."""
    import jax

    from rfdsm import Problem, activations, simulate
    from rfdsm.simulation import memory_estimate

    found: Figures = {}
    for d in dimensions:
        kind = activations.polynomial(CUBIC) if d < 50 else activations.get("tanh")
        problem = Problem(4.0, 6.0, m, 0.1, 1e-3, kind)
        for dtype, bytes_each in (("float64", 8), ("float32", 4)):
            name = f"d = {d}, {dtype}"
            try:
                first, again = seconds(
                    lambda p=problem, d=d, dtype=dtype: simulate(p, d, trials=size.trials, dtype=dtype).test
                )
            except (ValueError, RuntimeError, jax.errors.JaxRuntimeError) as error:  # too large for this device
                found[name] = f"{type(error).__name__}: {str(error).splitlines()[0][:120]}"
                continue
            found[f"{name}: first call, s"], found[f"{name}: s per trial"] = first, again / size.trials
            found[f"{name}: estimated, GB per trial"] = memory_estimate(round(6 * d), d, itemsize=bytes_each) / 1e9
            statistics = jax.devices()[0].memory_stats() or {}
            if "peak_bytes_in_use" in statistics:  # since the process began: the largest so far
                found[f"{name}: peak of the process, GB"] = statistics["peak_bytes_in_use"] / 1e9
    return found


def adam(size: Size) -> Figures:
    """Full-batch Adam on the output weights."""
    import optax

    from rfdsm import Problem, activations, simulate_training

    d = size.dimensions[0]
    kind = activations.polynomial(CUBIC) if d < 50 else activations.get("tanh")
    problem = Problem(4.0, 6.0, 4, 0.1, 1e-3, kind)
    return timed(
        lambda: simulate_training(problem, [size.steps], d, optimiser=optax.adam(1e-2)).test, size.steps, "steps"
    )


PARTS: Mapping[str, Callable[[Size], Figures]] = {
    "agreement": agreement,
    "predict": predict_rate,
    "spectrum": spectrum_rate,
    "training": training_rate,
    "simulate": lambda size: simulations(size, 4, size.dimensions),
    "infinite": lambda size: simulations(size, float("inf"), size.dimensions[:2][-1:]),
    "adam": adam,
}


def main(arguments: list[str]) -> dict[str, Any]:
    """Runs the parts asked for; returns what goes into the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--size", choices=SIZES, default="full")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    a = parser.parse_args(arguments)
    import jax

    device = jax.devices()[0]
    report: dict[str, Any] = {
        "device": device.device_kind,
        "platform": device.platform,
        "cores": os.cpu_count(),
        "versions": {"python": platform.python_version(), "jax": jax.__version__},
        "missing": missing(),
        "size": a.size,
        "parts": {},
    }
    print(f"{device.device_kind} ({device.platform}), JAX {jax.__version__}, {a.size} size")
    if report["missing"]:
        print("not installed here: " + ", ".join(report["missing"]))
    for name in a.only:
        start = time.perf_counter()
        try:
            figures = PARTS[name](SIZES[a.size])
        except ImportError as error:
            figures = {"skipped": f"needs {error.name}"}
        report["parts"][name] = figures
        for what, value in figures.items():
            print(f"{name:10} {what:44} {value if isinstance(value, str) else format(value, '.4g')}", flush=True)
        print(f"{name:10} {time.perf_counter() - start:.1f} s in all", flush=True)
        if a.json is not None:
            a.json.write_text(json.dumps(report, indent=1))
    return report


if __name__ == "__main__":
    main(sys.argv[1:])
