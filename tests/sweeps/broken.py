"""What workers run in tests in place of simulations: quick, and fatal where it should be."""

import os
import signal
import time
from pathlib import Path

import numpy as np

from rfdsm.sweeps._compute import Result


def made_up(task, context):
    """Losses that tell which cell they belong to."""
    psi_n, psi_p = task.fields[:2]
    losses = np.broadcast_to(psi_n + 100 * psi_p, (5, context.trials, psi_n.size))
    return Result({"losses": np.array(losses)}, 0.01, f"worker {os.getpid()}")


def _doomed(task):
    return task.unit.endswith("-000007")


def raising(task, context):
    """Raises at one cell, in several lines."""
    if _doomed(task):
        raise RuntimeError("out of luck\nand memory")
    return made_up(task, context)


class Fatal:
    """Prints where the answers go; raises at one cell, kills its process at the next, and at a third the first time."""

    def __init__(self, folder):
        self.mark = Path(folder) / "died"

    def __call__(self, task, context):
        once = task.unit.endswith("-000009") and not self.mark.exists()
        if once:
            self.mark.touch()
        if once or task.unit.endswith("-000008"):
            os.kill(os.getpid(), signal.SIGKILL)
        print("noise", flush=True)
        os.write(1, b"more noise")
        time.sleep(0.05)
        return raising(task, context)


def slow(task, context):
    """Takes its time."""
    time.sleep(0.05)
    return made_up(task, context)


def activated(task, context):
    """Values of the sweep's activation."""
    losses = np.broadcast_to(np.asarray(context.structure.activation(task.fields[0])), (5, context.trials, 1))
    return Result({"losses": np.array(losses)}, 0.01, "worker")


class Deaths:
    """Kills its process at one cell, and counts."""

    def __init__(self, folder):
        self.folder = Path(folder)

    def __call__(self, task, context):
        if _doomed(task):
            (self.folder / f"death {os.getpid()}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return slow(task, context)
