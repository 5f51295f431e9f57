"""What a new user waits for: whole processes with a compilation cache of their own, empty at first.

    python -m benchmarks.first_answer [--only compare advise phases predict]

Processor seconds, user and system, of each process with all it starts, and seconds by the clock, which mean something
on cores that do nothing else. `cold` is the first run, `again` the next one, which finds what was compiled. Of
`predict` the first call in a process is timed, its imports left out, without a cache, as a program of one's own has it.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from typing import Any

import psutil

COMMANDS = {
    "compare": "compare",
    "advise": "advise --n 5000 --d 784 --t 0.1",
    "phases": "phases --psi-n 0.1:100:61 --psi-p 0.1:300:81 --m 4 --d 32 --markers 3 --plot phases.png",
}
GOALS = {"compare": (70, 25), "advise": (20, 8), "phases": (30, None), "predict": (1, None)}
"""Processor seconds, cold and again."""
PREDICT = """
import time, numpy as np
import rfdsm
rfdsm.predict, rfdsm.Problem
start = time.process_time(), time.perf_counter()
np.asarray(rfdsm.predict(rfdsm.Problem(psi_n=8, psi_p=[1, 4], m=4, t=0.1, ridge=1e-3)).test)
print(time.process_time() - start[0], time.perf_counter() - start[1])
"""
AGREEMENT = r"Extrapolated to d = inf: z\s+rms (\d+\.\d+)"


def spent(command: list[str], folder: str) -> tuple[dict[str, float], str]:
    """Seconds of a process that keeps what it compiles in the folder, and what it printed."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "RFDSM_"))}
    environ["RFDSM_CACHE"] = os.path.join(folder, "cache")
    before, start = psutil.Process().cpu_times(), time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environ, stdout=subprocess.PIPE, text=True, check=True)
    wall, after = time.perf_counter() - start, psutil.Process().cpu_times()
    processor = after.children_user + after.children_system - before.children_user - before.children_system
    return {"processor": processor, "wall": wall}, done.stdout


def command(name: str) -> dict[str, Any]:
    """A command twice, the second time with what the first has compiled."""
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "rfdsm.cli", *COMMANDS[name].split()]
        (cold, text), (again, _) = spent(words, folder), spent(words, folder)
    found: dict[str, Any] = {"cold": cold, "again": again}
    if agreement := re.search(AGREEMENT, text):
        found["extrapolated_z"] = float(agreement[1])
    return found


def predict() -> dict[str, Any]:
    """The first call in a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        _, text = spent([sys.executable, "-c", PREDICT], folder)
    processor, wall = map(float, text.split())
    return {"cold": {"processor": processor, "wall": wall}}


def main() -> dict[str, Any]:
    """Prints a table and returns its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=GOALS, default=list(GOALS))
    chosen = parser.parse_args().only
    found: dict[str, Any] = {}
    print(f"{'':10}{'cold':>8}{'goal':>7}{'again':>8}{'goal':>7}   processor seconds (by the clock)")
    for name in chosen:
        found[name] = row = predict() if name == "predict" else command(name)
        parts = []
        for run, goal in zip(("cold", "again"), GOALS[name], strict=True):
            at = row.get(run, {}).get("processor")
            parts.append(f"{'' if at is None else f'{at:.1f}':>8}{'' if goal is None else goal:>7}")
        clock = ", ".join(f"{row[run]['wall']:.1f}" for run in ("cold", "again") if run in row)
        agreement = f"; extrapolated z rms {row['extrapolated_z']:.2f}" if "extrapolated_z" in row else ""
        print(f"{name:10}{''.join(parts)}   ({clock}){agreement}", flush=True)
    return found


if __name__ == "__main__":
    main()
