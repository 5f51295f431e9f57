"""Several devices and several processes give the numbers of one; in fresh processes, as devices are fixed at start."""

import json
import os
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest

from rfdsm import Losses, Problem, simulate, simulate_training
from tests.sweeps.tiny import CUBIC

PROGRAM = """
import json, sys
import jax
if len(sys.argv) > 2:
    jax.distributed.initialize(sys.argv[2], 2, int(sys.argv[3]))
from tests.simulation.test_devices import numbers

print("RESULT", json.dumps(numbers(int(sys.argv[1]))))
"""


def numbers(devices):
    """One trial, whose draws are shared among the devices, six, which are dealt out, and gradient flow."""
    assert len(jax.devices()) == devices
    found = {}
    for trials, m in ((1, np.array([4, np.inf])), (6, 4)):
        losses = simulate(Problem(2.0, 1.5, m, 0.2, 1e-2, CUBIC), 12, trials=trials, key=3)
        found[str(trials)] = [np.asarray(getattr(losses, name)).tolist() for name in Losses.NAMES]
    path = simulate_training(Problem(1.0, 2.0, 1, 0.2, 0.0, CUBIC), [1.0, 50.0], 10, key=3)
    return found | {"flow": np.asarray(path.test).tolist()}


def started(devices, *arguments):
    environment = os.environ | {
        "XLA_FLAGS": os.environ["XLA_FLAGS"] + f" --xla_force_host_platform_device_count={devices}",
        "JAX_PLATFORMS": "cpu",
        "JAX_ENABLE_X64": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    command = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def alone():
    return numbers(1)


def check(process, expected):
    out, error = process.communicate(timeout=600)
    assert process.returncode == 0, error
    found = json.loads(next(line for line in out.splitlines() if line.startswith("RESULT")).removeprefix("RESULT"))
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-10, atol=1e-12, err_msg=name)


def test_fake_devices_give_the_numbers_of_one(alone):
    """Four; two devices are the two processes below."""
    check(started(4, 4), alone)


def test_two_processes_give_the_numbers_of_one(alone):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    for process in [started(1, 2, address, rank) for rank in range(2)]:
        check(process, alone)
