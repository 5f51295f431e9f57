"""The commands whose figures the documentation shows, one after another; benchmarks/recorded/ keeps what they find.

    python -m benchmarks.record              # all of them: some 25 minutes of a machine that does nothing else
    python -m benchmarks.record predict phases

`main` of a benchmark prints, and returns its figures: a mapping of names to numbers, lists and further mappings. They
are kept with the command, the day, the machine and the versions in NAME.json, from which the pages take them
(benchmarks/pages.py). Of the tutorial's commands the printed text is kept.
"""

import datetime
import importlib
import json
import math
import os
import platform
import re
import shlex
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RECORDED = ROOT / "benchmarks" / "recorded"
COMMANDS = {
    "first_answer": "python -m benchmarks.first_answer",
    "predict": "python -m benchmarks.predict",
    "spectrum": "python -m benchmarks.spectrum",
    "never_fails": "python -m benchmarks.never_fails",
    "simulate": "python -m benchmarks.simulate",
    "linear": "python -m benchmarks.linear",
    "training": "python -m benchmarks.training",
    "training_accuracy": "python -m benchmarks.training --problems 0 --accuracy 120 --scales",
    "evidence": "python -m benchmarks.training --problems 0 --evidence 50 100 200",
    "memorisation": "python -m benchmarks.memorisation --transposed",
    "memorisation_500": "python -m benchmarks.memorisation --d 500",
    "phases": "python -m benchmarks.phases",
    "sweeps": "python -m benchmarks.sweeps",
    "accuracy": "python -m benchmarks.accuracy",
    "generation": "python -m benchmarks.generation",
    "networks": "python -m benchmarks.networks",
    "explore": "python -m benchmarks.explore",
}
TUTORIAL = {
    "tutorial_compare": "python -m rfdsm.cli compare --psi-n 2 --psi-p 2 8 --m 4 --d 20 40 --output rfdsm-first",
    "tutorial_advise": "python -m rfdsm.cli advise --n 500 --d 50 --t 0.1",
}


def plain(value: Any) -> Any:
    """Figures as JSON has them: numbers to nine digits, None where one is not finite."""
    if isinstance(value, dict):
        return {str(name): plain(part) for name, part in value.items()}
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, float):
        return float(f"{value:.9g}") if math.isfinite(value) else None
    return value


def text(record: dict[str, Any]) -> str:
    """JSON of a record, lists of numbers on one line."""
    lines = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False)
    numbers = r"\[(?:\s+(?:[-+.\de]+|null),?)+\s+\]"
    return re.sub(numbers, lambda found: f"[{' '.join(found[0][1:-1].split())}]", lines) + "\n"


def figures(command: str) -> Any:
    """What the benchmark of a command finds; to be called in a process of its own."""
    _, _, module, *sys.argv[1:] = shlex.split(command)
    return plain(importlib.import_module(module).main())


def origin(command: str) -> dict[str, str]:
    """The command, the day, the machine and the versions."""
    versions = ", ".join(f"{package} {version(package)}" for package in ("jax", "numpy", "scipy"))
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, {versions}"
    return {"command": command, "day": datetime.date.today().isoformat(), "machine": machine}


def measured(command: str) -> str:
    """The record of a benchmark's command, run in a fresh process as on the command line."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        found = process.submit(figures, command).result()
    return text(origin(command) | {"figures": found})


def printed(command: str) -> str:
    """What a command of the tutorial prints, below its origin."""
    words = [sys.executable, *shlex.split(command)[1:]]
    result = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    _, day, machine = origin(command).values()
    return f"$ {command}\n# {day}, {machine}\n\n{result.stdout}"


def main(names: list[str]) -> None:
    """Runs the named commands, or all."""
    commands = COMMANDS | TUTORIAL
    unknown = sorted(set(names) - set(commands))
    if unknown:
        raise ValueError(f"names must be among {', '.join(commands)}, got {', '.join(unknown)}")
    os.chdir(ROOT)
    for name in names or commands:
        command = commands[name]
        print(f"$ {command}", flush=True)
        if name in COMMANDS:
            (RECORDED / f"{name}.json").write_text(measured(command))
        else:
            (RECORDED / f"{name}.txt").write_text(printed(command))


if __name__ == "__main__":
    main(sys.argv[1:])
