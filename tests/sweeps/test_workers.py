"""Worker processes and a real Dask cluster: what they return, and what becomes of those that die."""

import os
import signal
import socket
import time
import warnings

import numpy as np
import psutil
import pytest

from rfdsm import Problem, sweeps
from rfdsm.sweeps import (
    Interrupted,
    SweepError,
    _choose as choose,
    _cluster as cluster,
    _configuration as configuration,
    _run as run,
)
from rfdsm.sweeps._compute import context
from rfdsm.sweeps._processes import Processes, shares
from tests.sweeps import broken, tiny

UNITS = 40
EXPECTED = np.add.outer(np.linspace(1, 5, 20), [400, 600])


@pytest.fixture
def with_workers(monkeypatch):
    """Sweeps with two processes that run something else than simulations."""

    def sweep(run_instead, store=None, count=2, **options):
        monkeypatch.setattr(run, "made", lambda executor, c, limit: Processes(count, context(c, limit), run_instead))
        return tiny.sweep(store, quantities="simulation", executor=f"processes:{count}", **options)

    return sweep


def assert_made_up(dataset, lost=()):
    values = dataset["simulation"].sel(loss="test")[0]
    expected = np.broadcast_to(EXPECTED, values.shape).copy()
    for place in lost:
        expected[:, *place] = np.nan
    np.testing.assert_array_equal(values, expected)


def test_processes_return_what_this_process_does(whole, tmp_path):
    """To rounding: sums are cut by the number of cores."""
    _, expected = whole
    problem = Problem.grid([1.0, 5.0], 4.0, np.inf, 0.1, 1e-2, tiny.CUBIC)
    swept = tiny.sweep(tmp_path, problem=problem, executor="processes:2", quantities="simulation")
    np.testing.assert_allclose(swept["simulation"], expected["simulation"].isel(psi_n=[0, -1], psi_p=0), rtol=1e-10)
    assert tiny.sweep(tmp_path, problem=problem, quantities="simulation").equals(swept)


def test_a_function_of_ones_own_travels(with_workers):
    """Even one that pickle cannot send."""
    problem = Problem(np.array([1.0, 2.0]), 1.0, np.inf, 0.1, 1e-2, lambda u: u + u**3)
    swept = with_workers(broken.activated, problem=problem, count=1)
    np.testing.assert_array_equal(swept["simulation"].sel(loss="test")[0, 0], [2.0, 10.0])


def children():
    return {process.pid for process in psutil.Process().children(recursive=True)}


def test_workers_that_die_are_replaced(with_workers, tmp_path, capfd):
    """One cell kills whoever computes it and one raises: they are given up. One kills the first time: it is computed.
    Two share the units, what they print is no answer, and they are gone in the end."""
    before = children()
    with pytest.warns(RuntimeWarning, match="2 cells failed 3 times"):
        swept = with_workers(broken.Fatal(tmp_path), tmp_path / "store")
    lost = [tuple(int(k) for k in cell) for cell in np.argwhere(swept["failed"][0].values)]
    said = {str(swept["failure"][0].values[place]) for place in lost}
    assert said == {"the worker process died (signal 9)", "RuntimeError: out of luck and memory"}
    assert_made_up(swept, lost)
    assert (tmp_path / "died").exists() and "more noise" in capfd.readouterr().err
    assert len(swept.attrs["device"].split(", ")) >= 2
    assert children() == before


def test_workers_that_cannot_start(with_workers, monkeypatch):
    monkeypatch.setattr("rfdsm.sweeps._processes._START", "import sys; sys.exit(3)  # {path}")
    with pytest.raises(SweepError, match=r"could not start: exit code 3"):
        with_workers(broken.made_up)


def test_interrupted_workers_stop_at_once(with_workers, tmp_path):
    def report(counts):
        if counts.done == 5:
            os.kill(os.getpid(), signal.SIGINT)

    before = children()
    with pytest.raises(Interrupted, match="5 of 40 cells done and kept"):
        with_workers(broken.slow, tmp_path, progress=report)
    assert children() == before
    assert sweeps.status(tmp_path).done == 5


def test_cores_are_shared_out_equally():
    places = [set(place["cores"]) for place in shares(2)] if hasattr(os, "sched_getaffinity") else []
    assert len({len(cores) for cores in places}) <= 1 and all(cores <= os.sched_getaffinity(0) for cores in places)
    assert choose.check("processes:3") == 3 and choose.check(None) == 0 and choose.check("in-process") == 0


# Dask


@pytest.fixture(scope="module")
def client():
    """Two workers on loopback."""
    distributed = pytest.importorskip("distributed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options = dict(n_workers=2, threads_per_worker=1, dashboard_address=None)
        local = distributed.LocalCluster(**options, scheduler_kwargs={"allowed_failures": 2})
        with local, distributed.Client(local) as client:
            yield client


@pytest.fixture
def on_cluster(client, monkeypatch):
    """Sweeps on that cluster."""

    def sweep(run_instead=None, store=None, **options):
        if run_instead is not None:
            monkeypatch.setattr(
                run, "made", lambda executor, c, limit: cluster.Cluster(executor, context(c, limit), run_instead)
            )
        options = dict(quantities="simulation", executor=client) | options
        return tiny.sweep(store, **options)

    return sweep


def pids(client):
    return client.run(os.getpid)


def test_a_cluster_returns_what_this_process_does(client, on_cluster, whole):
    _, expected = whole
    problem = Problem.grid([1.0, 5.0], 4.0, np.inf, 0.1, 1e-2, tiny.CUBIC)
    swept = on_cluster(problem=problem, executor=client.scheduler.address)
    np.testing.assert_allclose(swept["simulation"], expected["simulation"].isel(psi_n=[0, -1], psi_p=0), rtol=1e-10)
    assert client.status == "running"


def test_a_killed_worker_loses_nothing(client, on_cluster, tmp_path):
    """Amid the work; what was done is not done again, what was on its way is."""
    before = pids(client)

    def report(counts):
        if counts.done == 10:
            os.kill(next(iter(before.values())), signal.SIGKILL)

    swept = on_cluster(broken.slow, tmp_path, progress=report)
    assert_made_up(swept)
    assert len(swept.attrs["device"].split(", ")) >= 2
    deadline = time.monotonic() + 600
    while len(pids(client)) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert set(pids(client).values()) != set(before.values())


def test_a_cell_that_raises_is_given_up_on_a_cluster(on_cluster, tmp_path):
    with pytest.warns(RuntimeWarning, match="1 cells failed"):
        swept = on_cluster(broken.raising, tmp_path)
    place = [tuple(int(k) for k in cell) for cell in np.argwhere(swept["failed"][0].values)]
    assert len(place) == 1 and "RuntimeError: out of luck and memory" in str(swept["failure"][0].values[place[0]])
    assert_made_up(swept, lost=place)


def test_a_cluster_of_its_own(monkeypatch, tmp_path):
    """A cell that kills its worker three times is given up; no other is."""
    pytest.importorskip("distributed")
    monkeypatch.setattr(
        run, "made", lambda executor, c, limit: cluster.Cluster(executor, context(c, limit), broken.Deaths(tmp_path))
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        swept = tiny.sweep(tmp_path / "store", quantities="simulation", executor="dask")
    assert any("1 cells failed 3 times" in str(warning.message) for warning in caught)
    assert len(list(tmp_path.glob("death *"))) == 3
    assert_made_up(swept, lost=[tuple(int(k) for k in np.argwhere(swept["failed"][0].values)[0])])


def test_a_lost_scheduler_is_a_clear_error(client, on_cluster, tmp_path):
    import distributed

    with distributed.Client(client.scheduler.address, set_as_default=False) as own:

        def report(counts):
            if counts.done == 5:
                own.close()

        with pytest.raises(SweepError, match="connection to the Dask scheduler is lost"):
            on_cluster(broken.slow, tmp_path, executor=own, progress=report)
    assert sweeps.status(tmp_path).done == 5


def test_workers_of_another_version_are_refused(client, on_cluster, monkeypatch):
    monkeypatch.setattr(configuration, "__version__", "0.2.0")
    with pytest.raises(SweepError, match=r"the workers must have the same rfdsm as this process"):
        on_cluster()


def test_a_scheduler_that_is_not_there(monkeypatch):
    pytest.importorskip("distributed")
    assert cluster.PATIENCE == 10
    monkeypatch.setattr(cluster, "PATIENCE", 1.0)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ValueError, match=f"executor = '{address}' is not reachable: no Dask scheduler") as caught:
            tiny.sweep(None, executor=address)
    assert "\n" not in str(caught.value)


def test_dask_is_optional(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with pytest.raises(ValueError, match=r"executor = 'dask' needs Dask: pip install 'rfdsm\[cluster\]'"):
        tiny.sweep(None, executor="dask")
