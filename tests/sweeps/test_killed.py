"""SIGKILL at random moments: nothing that was finished is lost or computed again, and the result is the same."""

import itertools
import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from rfdsm import sweeps
from rfdsm.sweeps.store import Store
from tests.sweeps import tiny

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has neither SIGKILL nor forkserver")
UNITS = 40


@pytest.fixture(scope="module")
def processes():
    """Processes forked from one that has imported JAX but not started it: importing would take longer than working."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.sweeps.tiny"])
    return context


def finished_names(store):
    """Of finished units."""
    return list(store.glob("units/d*.npz"))


def finished(store):
    """Files of finished units, with what changes if one is written again."""
    files = finished_names(store)
    return {file.name: (file.stat().st_ino, file.stat().st_mtime_ns, file.read_bytes()) for file in files}


def test_killed_at_random_moments(processes, tmp_path):
    """At the start, of which most of a run consists, and amid the work."""
    rng, store, amid = np.random.default_rng(0), tmp_path / "store", 0
    for awaited in (None, 0, 8, 20):
        before = finished(store)
        process = processes.Process(target=tiny.sweep, args=(store,), kwargs=dict(quantities="simulation"))
        process.start()
        while awaited is not None and process.exitcode is None and len(finished_names(store)) <= awaited:
            time.sleep(0.001)
        process.join(rng.uniform(0, 0.5 if awaited is None else 0.05))
        process.kill()
        process.join()
        after = finished(store)
        assert before.items() <= after.items()
        amid += process.exitcode == -signal.SIGKILL and len(before) < len(after) < UNITS
    print(f"{amid} kills amid work")
    assert amid >= 1
    expected = tiny.sweep(None, quantities="simulation")
    assert np.all(np.isfinite(expected["simulation"]))
    assert tiny.sweep(store, quantities="simulation").equals(expected)
    assert after.items() <= finished(store).items()


def logged(store, log):
    """The sweep; writes down, a line each, who computed what."""
    save = Store.save

    def spy(self, unit, result):
        with open(log, "a") as file:
            file.write(f"{os.getpid()} {unit}\n")
        save(self, unit, result)

    Store.save = spy
    tiny.sweep(store, quantities="simulation")


def test_two_processes_on_one_store_divide_the_cells(processes, tmp_path):
    """Nothing is computed twice, both work, and one of them finishes what the other leaves when it is killed."""
    store, log = tmp_path / "store", tmp_path / "log"
    pair = [processes.Process(target=logged, args=(store, log)) for _ in range(2)]
    for process in pair:
        process.start()
    for process in pair:
        process.join()
        assert process.exitcode == 0
    lines = [line.split() for line in log.read_text().splitlines()]
    assert len(lines) == UNITS == len({unit for _, unit in lines})
    assert len({pid for pid, _ in lines}) == 2
    assert sweeps.load(store).equals(tiny.sweep(None, quantities="simulation"))


def test_what_a_killed_process_had_claimed_is_taken_over(processes, tmp_path):
    """The other one waits for claimed cells, and takes them when their owner is gone."""
    expected = tiny.sweep(None, quantities="simulation")
    store = tmp_path / "store"
    claiming = processes.Process(target=claim_and_wait, args=(store, tmp_path / "claimed"))
    claiming.start()
    while not (tmp_path / "claimed").exists():
        time.sleep(0.01)
    killed = threading.Event()
    other = threading.Timer(1.0, lambda: (killed.set(), claiming.kill()))
    other.start()
    swept = tiny.sweep(store, quantities="simulation")
    assert killed.is_set()
    claiming.join()
    assert swept.equals(expected)


def claim_and_wait(store, mark):
    """Claims a block, and keeps it."""
    claim = Store.claim

    def spy(self, block):
        claimed = claim(self, block)
        mark.touch()
        time.sleep(60)
        return claimed

    Store.claim = spy
    tiny.sweep(store, quantities="simulation")


def crash(store, number):
    """Dies when a file is complete but not yet renamed, the time of this number."""
    replace, count = Path.replace, itertools.count(1)

    def spy(self, target):
        if next(count) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return replace(self, target)

    Path.replace = spy
    tiny.sweep(store, quantities="simulation")


@pytest.mark.parametrize("number", [1, 3])
def test_killed_at_the_worst_moment(number, processes, tmp_path):
    """A file that was not renamed is not there, be it the configuration; nothing is left of it in the end."""
    process = processes.Process(target=crash, args=(tmp_path, number))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert (tmp_path / "sweep.json").exists() == (number > 1)
    assert len(finished_names(tmp_path)) == max(number - 2, 0)
    before = finished(tmp_path)
    tiny.sweep(tmp_path, quantities="simulation")
    assert before.items() <= finished(tmp_path).items() and len(finished(tmp_path)) == UNITS
    assert not list(tmp_path.rglob(".*"))
