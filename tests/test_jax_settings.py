"""The same numbers under whatever settings of JAX a user has."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

CODE = """
import json, sys, tempfile
import jax, numpy as np
for name, value in json.loads(sys.argv[1]).items():
    jax.config.update(name, value)
from rfdsm import Problem, activations, advise, boundary, compare, generated_law, linear, optimal, predict, sampling
from rfdsm import simulate, simulate_training, spectra, spectral_density, sweep, training_curve
two = spectra.atoms([0.5, 2.0])
grid = Problem(4, [2, 8], 2, 0.1, [[0], [0.1]], "tanh", two)
one = Problem(2, 3, 2, 0.1, 0.1, lambda x: x / (1 + x**2))
cubic = Problem(2, 3, 2, 0.1, 0.1, activations.polynomial([0.1, 1, 0.3, 0.1]))  # few terms in few dimensions
small = Problem(2, [1, 6], 2, 0.1, [[0], [0.1]], cubic.activation, two)
rows = np.random.default_rng(0).standard_normal((40, 6))
levels = sampling.ddim(sampling.geometric(3, 0.05, steps=4))
swept = sweep(cubic, d=6, trials=2, store=tempfile.mkdtemp(), progress=False)
values = dict(
    predict=predict(grid).test,
    custom=predict(one).test,
    curve=training_curve(one, [0, 1, np.inf]).test,
    density=spectral_density(one, [0.1, 1.0]).density,
    simulate=simulate(small, 6, trials=2).test,
    single=simulate(cubic, 6, dtype="float32").test,
    flow=simulate_training(small, [0, 1, np.inf], 6).test,
    rows=compare(cubic, data=rows, trials=2).theory_error,
    advise=[*advise(40, 10, p=20, activation=cubic.activation, budget=30).margin],
    sweep=swept["mean"],
    generated=generated_law(Problem(4, 2, 4, 1, 0.03, target="data"), levels).trace,
    boundary=boundary(cubic, "harmful", "ridge").roots,
    optimal=optimal(cubic, "ridge")["ridge"],
    linear=linear.predict(linear.Problem([0.5, 2.0], 1.0, 2, 0.1, spectrum=two)).test,
    finite=linear.simulate(linear.Problem(2.0, 1.0), 6, trials=2).losses.test,
)
print(json.dumps({name: np.asarray(value, float).tolist() for name, value in values.items()}))
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


def answers(settings):
    done = subprocess.run(
        [sys.executable, "-c", CODE, json.dumps(settings)], capture_output=True, text=True, timeout=600, env=os.environ
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_no_setting_changes_a_number():
    expected, found = answers({"jax_enable_x64": True}), answers(HOSTILE)
    assert set(expected) == set(found)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=ROUNDED.get(name, 1e-12), err_msg=name)
