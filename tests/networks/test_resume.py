"""A training that is killed goes on to the same bits; networks on the way are kept."""

import os
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest

from rfdsm import networks
from tests.claims.ledger import ROOT

SCRIPT = """
import sys
from tests.networks.test_resume import trained

trained(sys.argv[1], lambda done, _: print(done, flush=True))
"""


def trained(checkpoint=None, progress=None):
    found = networks.train(
        networks.mlp(4, 16),
        np.random.default_rng(0).normal(size=(30, 4)),
        m=3,
        steps=4000,
        batch=64,
        measured=200,
        levels=networks.levels.log_uniform(0.1, 1.0),
        ema=0.9,
        keep=True,
        record=[0, 500, 4000],
        key=5,
        checkpoint=checkpoint,
        progress=progress,
    )
    return [np.asarray(x) for x in jax.tree.leaves((found.network, found.kept, found.losses.test))]


@pytest.mark.slow
def test_killed_between_checkpoints(tmp_path):
    """By SIGKILL, at once after a checkpoint: a thousand steps are under way."""
    whole = trained()
    command, double = [sys.executable, "-c", SCRIPT, str(tmp_path / "state")], {"JAX_ENABLE_X64": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, env=os.environ | double) as process:
        for line in process.stdout:
            if int(line) >= 1500:
                process.send_signal(signal.SIGKILL)
                break
        assert process.wait(600) == -signal.SIGKILL
    (tmp_path / ".state.draft").write_bytes(b"half a file")  # of a death while it is written
    began = []
    resumed = trained(tmp_path / "state", lambda done, _: began.append(done))
    assert 1500 <= began[0] < 4000
    assert len(whole) == len(resumed) > 40
    for one, other in zip(resumed, whole, strict=True):
        np.testing.assert_array_equal(one, other)


ROWS = np.random.default_rng(0).normal(size=(30, 4))
ASKED = dict(m=2, level=0.5, measured=100, batch=16, key=5, test=networks.gaussian(4))


@pytest.mark.slow
def test_networks_on_the_way_are_kept(tmp_path):
    """Each is the network of a training that ends there, also after an interruption."""
    network = networks.mlp(4, 8)
    found = networks.train(network, ROWS, steps=40, record=[0, 15, 40], keep=True, **ASKED)
    alone = networks.train(network, ROWS, steps=15, record=[15], **ASKED)
    for kept, expected in zip(found.kept, (network, alone.network, found.network), strict=True):
        for x, y in zip(jax.tree.leaves(kept), jax.tree.leaves(expected), strict=True):
            np.testing.assert_array_equal(x, y)
    assert alone.kept is None

    class Stop(Exception):
        pass

    def stop(done, total):
        if done == 15:
            raise Stop

    asked = dict(steps=40, record=[0, 15, 40], keep=True, checkpoint=tmp_path / "state", **ASKED)
    with pytest.raises(Stop):
        networks.train(network, ROWS, progress=stop, **asked)
    again = networks.train(network, ROWS, **asked)
    for x, y in zip(jax.tree.leaves(again.kept), jax.tree.leaves(found.kept), strict=True):
        np.testing.assert_array_equal(x, y)
    np.testing.assert_array_equal(again.losses.test, found.losses.test)
    seen = []
    networks.train(network, ROWS, progress=lambda *x: seen.append(x), **asked)
    assert seen == [(40, 40)]
    for rows, changes, name in ((ROWS, dict(keep=False), "keep"), (ROWS + 1, {}, "data")):
        with pytest.raises(ValueError, match=f"belongs to another training: {name}"):
            networks.train(network, rows, **(asked | changes))
    with pytest.raises(ValueError, match="keep = 1 must be True or False"):
        networks.train(network, ROWS, **(asked | dict(keep=1)))
    (tmp_path / "state").write_bytes(b"x")
    with pytest.raises(ValueError, match="no state of a training"):
        networks.train(network, ROWS, **asked)
