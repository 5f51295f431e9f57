"""The commands whose figures the documentation quotes, one after another; benchmarks/recorded/ keeps their output.

    python -m benchmarks.record              # all of them: some 25 minutes of a machine that does nothing else
    python -m benchmarks.record predict phases

Each file begins with the command, the day, the machine and the versions; what follows is the output itself. The tests
hold the pages against these files (tests/claims).
"""

import datetime
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
COMMANDS = {
    "predict": "python benchmarks/predict.py",
    "spectrum": "python benchmarks/spectrum.py",
    "never_fails": "python -m benchmarks.never_fails",
    "simulate": "python -m benchmarks.simulate",
    "linear": "python benchmarks/linear.py",
    "training": "python -m benchmarks.training",
    "training_accuracy": "python -m benchmarks.training --problems 0 --accuracy 120 --scales",
    "evidence": "python -m benchmarks.training --problems 0 --evidence 50 100 200",
    "memorisation": "python benchmarks/memorisation.py --transposed",
    "memorisation_500": "python benchmarks/memorisation.py --d 500",
    "phases": "python benchmarks/phases.py",
    "sweeps": "python -m benchmarks.sweeps",
    "accuracy": "python benchmarks/accuracy.py",
    "tutorial_compare": "python -m rfdsm.cli compare --psi-n 2 --psi-p 2 8 --m 4 --d 20 40 --output rfdsm-first",
    "tutorial_advise": "python -m rfdsm.cli advise --n 500 --d 50 --t 0.1",
}


def main(names: list[str]) -> None:
    """Runs the named commands, or all."""
    unknown = sorted(set(names) - set(COMMANDS))
    if unknown:
        raise ValueError(f"names must be among {', '.join(COMMANDS)}, got {', '.join(unknown)}")
    versions = ", ".join(f"{package} {version(package)}" for package in ("jax", "numpy", "scipy"))
    for name in names or COMMANDS:
        command = COMMANDS[name]
        print(f"$ {command}", flush=True)
        words = [sys.executable, *command.split()[1:]]
        result = subprocess.run(words, cwd=HERE.parent, stdout=subprocess.PIPE, text=True, check=True)
        today = datetime.date.today().isoformat()
        machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, {versions}"
        head = f"$ {command}\n# {today}, {machine}\n\n"
        (HERE / "recorded" / f"{name}.txt").write_text(head + result.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
