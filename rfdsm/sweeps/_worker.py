"""The program that a worker process runs: reads tasks from its standard input, answers on its standard output."""

import os
import pickle
import signal
import sys
from typing import Any

from rfdsm import compiled

# Nothing that uses cores or accelerators is imported before the process has chosen its own.


def main() -> None:
    """Serve until the other end closes, or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal; the sweep stops this one
    requests = sys.stdin.buffer
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints does not end up among the answers
    settle(pickle.load(requests))
    try:
        compiled.keep()
        run, context = pickle.load(requests)
    except Exception as error:
        _answer(answers, (False, f"{type(error).__name__}: {error}"))
        return
    _answer(answers, (True, None))
    while True:
        try:
            task = pickle.load(requests)
        except EOFError:
            return
        try:
            answer: tuple[Any, str | None] = (run(task, context), None)
        except Exception as error:
            text = " ".join(str(error).split())
            answer = (None, f"{type(error).__name__}: {text}")
        _answer(answers, answer)


def settle(place: dict[str, Any]) -> None:
    """Keep to the cores or the accelerator of this process."""
    if "cores" in place:
        os.sched_setaffinity(0, place["cores"])
    if "accelerator" in place:
        for name in ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"):
            os.environ[name] = str(place["accelerator"])
        # Several processes, and the one that started them, may share one.
        os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"


def _answer(answers: Any, answer: tuple[Any, str | None]) -> None:
    try:
        pickle.dump(answer, answers)
        answers.flush()
    except BrokenPipeError:  # nobody is waiting for it any more
        os._exit(0)
