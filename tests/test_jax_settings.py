"""The same numbers under whatever settings of JAX a user has."""

import json
import subprocess
import sys
import tempfile

import numpy as np
import pytest

import rfdsm
from tests.claims.ledger import ROOT

CODE = """
import json, sys
import jax
for name, value in json.loads(sys.argv[1]).items():
    jax.config.update(name, value)
from tests.test_jax_settings import values
print(json.dumps(values()))
"""
ROUNDED = {"single": 1e-6}
"""Tolerances of what is asked for in single precision."""
HOSTILE = {
    "jax_enable_x64": False,
    "jax_numpy_dtype_promotion": "strict",
    "jax_numpy_rank_promotion": "raise",
    "jax_default_matmul_precision": "bfloat16",
    "jax_debug_nans": True,
    "jax_debug_infs": True,
    "jax_check_tracer_leaks": True,
    "jax_transfer_guard": "disallow",
    "jax_threefry_partitionable": False,
    "jax_default_prng_impl": "rbg",
    "jax_disable_jit": True,
}


def values():
    """Of every door: `optimal_stopping` goes through those of `training_curve`, `advise` through those of others."""
    Problem, spectra, linear = rfdsm.Problem, rfdsm.spectra, rfdsm.linear

    two, grid = spectra.atoms([0.5, 2.0]), (4, [2, 8], 2, 0.1, [[0], [0.1]])  # one cell is singular
    own = Problem(*grid, lambda x: x / (1 + x**2))
    cubic = Problem(2, 3, 2, 0.1, 0.1, rfdsm.activations.polynomial([0.1, 1, 0.3, 0.1]))  # few terms in few dimensions
    small, d = Problem(2, 1.5, 2, 0.1, [0, 0.1], cubic.activation, two), 12  # shapes that other tests compile
    rows = np.random.default_rng(0).standard_normal((40, d))
    levels = rfdsm.sampling.ddim(rfdsm.sampling.geometric(3, 0.05, steps=4))
    found = dict(
        predict=rfdsm.predict(Problem(*grid, "tanh")).test,
        custom=rfdsm.predict(own).test,
        curve=rfdsm.training_curve(own, [0, 1, np.inf]).test,
        density=rfdsm.spectral_density(own, [0.1, 1.0]).density,
        simulate=rfdsm.simulate(small, d, trials=2).test,
        single=rfdsm.simulate(small.at(ridge=0.1), d, dtype="float32").test,
        flow=rfdsm.simulate_training(small, [0, 1, np.inf], d).test,
        rows=rfdsm.compare(small, data=rows, trials=2).theory_error,
        sweep=rfdsm.sweep(small, d=d, trials=2, store=tempfile.mkdtemp(), progress=False)["mean"],
        generated=rfdsm.generated_law(Problem(4, 2, 4, 1, 0.03, target="data"), levels).trace,
        boundary=rfdsm.boundary(cubic, "harmful", "ridge").roots,
        optimal=rfdsm.optimal(cubic, "ridge")["ridge"],
        linear=linear.predict(linear.Problem([0.5, 2.0], 1.0, 2, 0.1, spectrum=two)).test,
        finite=linear.simulate(linear.Problem(2.0, 1.0), 6, trials=2).losses.test,
    )
    return {name: np.asarray(value, float).tolist() for name, value in found.items()}


@pytest.mark.slow
def test_no_setting_changes_a_number():
    """In this process, with double precision, and in one of a hostile user."""
    expected = values()
    command = [sys.executable, "-c", CODE, json.dumps(HOSTILE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert set(expected) == set(found)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=ROUNDED.get(name, 1e-12), err_msg=name)
