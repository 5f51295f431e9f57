"""How functions are compiled changes nothing about their numbers, and nothing about what JAX may do with them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rfdsm import Problem, _executables as executables, activations, predict, simulate, spectral_density
from rfdsm.simulation import _trial as trial, fit

UNASKED = {"xla_backend_optimization_level": "3", "xla_cpu_use_fusion_emitters": True}
"""What XLA does by itself."""


def numbers():
    problem = Problem(3.0, 4.0, 2, 0.2, 1e-2, activations.polynomial([0.1, 1.0, 0.3, 0.1]))
    return [np.asarray(spectral_density(problem, [0.05, 0.3, 1.0]).density, float), np.asarray(predict(problem).test)]


@pytest.fixture
def compiler(monkeypatch):
    """Sets what the compiler is told."""

    def tell(options):
        executables._understood.cache_clear()
        monkeypatch.setattr(executables, "CPU_OPTIONS", options)

    yield tell
    executables._understood.cache_clear()


@pytest.mark.slow
def test_theory_with_and_without_options(monkeypatch, caplog):
    expected = numbers()
    monkeypatch.setattr(executables, "options", lambda: UNASKED)
    with jax.log_compiles(), caplog.at_level("WARNING"):
        unasked = numbers()
    assert all(f"XLA compilation of jit({name})" in caplog.text for name in ("solve_pairs", "_solve_cells"))
    for one, other in zip(unasked, expected, strict=True):
        assert one.size and np.any(np.isfinite(other))
        np.testing.assert_allclose(one, other, rtol=1e-9)


def test_a_release_that_does_not_know_the_options(compiler):
    compiler({"xla_cpu_enable_fast_math": False})
    assert executables.options() == {"xla_cpu_enable_fast_math": False}
    compiler({"xla_no_release_knows_this": True, "xla_backend_optimization_level": "1"})
    assert executables.options() == {"xla_backend_optimization_level": "1"}
    double = executables.jitted(lambda x: 2 * x)
    assert double(1.5) == 3


def test_transformations_go_through():
    power = executables.jitted(lambda x, n: x**n, static_argnames="n")
    x = jnp.arange(3.0)
    assert power(2.0, n=3) == 8
    assert jax.grad(power)(2.0, n=3) == 12
    np.testing.assert_array_equal(jax.vmap(lambda x: power(x, n=2))(x), x**2)
    np.testing.assert_array_equal(jax.jit(lambda x: power(x, n=2))(x), x**2)
    assert jax.grad(lambda c: executables.jitted(lambda x: c * x)(2.0))(3.0) == 2


@pytest.mark.parametrize("compiler", [jax.jit, executables.jitted])
def test_code_made_ahead(compiler):
    function = compiler(lambda words, cell, weights: {"sum": words.sum() + cell["h"], "weights": weights})
    arguments = np.arange(3.0), {"h": 2.0}, None
    run = trial.executable(activations.get("linear"), function, *trial.signature(arguments))
    assert run(*arguments) == {"sum": 5.0, "weights": None}


@pytest.mark.slow
def test_simulation_with_and_without_options(compiler):
    def losses(coefficient):
        # Another activation, so that nothing compiled before is found.
        kind = activations.polynomial([0.1, 1.0, coefficient, 0.1])
        return simulate(Problem(3.0, 2.0, 2, 0.2, 1e-2, kind), 8, trials=2)

    expected = losses(0.3)
    compiler(UNASKED)
    found = losses(0.3 * (1 + 1e-15))
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(np.asarray(one, float), np.asarray(other, float), rtol=1e-11)


@pytest.mark.slow
def test_a_network_of_another_key_compiles_nothing(caplog):
    problem = Problem(2.0, 3.0, 2, 0.2, 1e-2, activations.polynomial([0.1, 1.0, 0.3, 0.1]))
    first = fit(problem, 8, key=0)
    with jax.log_compiles(), caplog.at_level("WARNING"):
        second = fit(problem, 8, key=1)
    assert not np.allclose(first.B, second.B)
    assert not [record for record in caplog.records if "XLA compilation" in record.getMessage()]
