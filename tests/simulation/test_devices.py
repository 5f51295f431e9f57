"""Several devices and several processes give the numbers of one; in fresh processes, as devices are fixed at start."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest

PROGRAM = """
import json, sys
import jax
if len(sys.argv) > 2:
    jax.distributed.initialize(sys.argv[2], 2, int(sys.argv[3]))
import numpy as np
from rfdsm import Problem, simulate, simulate_training
from rfdsm.losses import Losses

count = int(sys.argv[1])
devices = jax.devices()[:count] if len(sys.argv) == 2 else None
assert len(devices or jax.devices()) == count
problem = Problem(2.0, 1.0, np.array([4, np.inf]), 0.2, 1e-2, "erf")
results = {}
for trials in (1, 6):
    losses = simulate(problem, 10, trials=trials, key=3, devices=devices)
    results[str(trials)] = [np.asarray(getattr(losses, name)).tolist() for name in Losses.NAMES]
path = simulate_training(Problem(1.0, 2.0, 1, 0.2, 0.0, "erf"), [1.0, 50.0], 10, key=3, devices=devices)
results["flow"] = np.asarray(path.test).tolist()
print("RESULT", json.dumps(results))
"""


def started(devices, *arguments):
    environment = os.environ | {
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        "JAX_PLATFORMS": "cpu",
        "JAX_ENABLE_X64": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    command = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def result(process):
    out, error = process.communicate(timeout=600)
    assert process.returncode == 0, error
    lines = [line for line in out.splitlines() if line.startswith("RESULT")]
    return json.loads(lines[0].removeprefix("RESULT"))


@pytest.fixture(scope="module")
def alone():
    return result(started(4, 1))


def check(found, expected):
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-10, atol=1e-12, err_msg=name)


@pytest.mark.slow
def test_fake_devices_give_the_numbers_of_one(alone):
    """Trials dealt out and draws shared (6 and 1 on 4); two devices are the two processes below."""
    check(result(started(4, 4)), alone)


@pytest.mark.slow
def test_two_processes_give_the_numbers_of_one(alone):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    processes = [started(1, 2, address, rank) for rank in range(2)]
    for process in processes:
        check(result(process), alone)
