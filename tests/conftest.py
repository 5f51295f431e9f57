"""Test session: float64 by default, every jaxtyping annotation checked at run time, one compilation cache for all."""

import os
import signal
from importlib.metadata import version
from pathlib import Path

COMPILED = {
    "JAX_COMPILATION_CACHE_DIR": str(Path(__file__).parents[1] / ".pytest_cache" / "compiled"),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
"""What one test compiles, all find: other workers, subprocesses, notebooks, the next run. Read when JAX is imported."""
COMPILED["XLA_FLAGS"] = "--xla_backend_optimization_level=1 --xla_cpu_parallel_codegen_split_count=1"
COMPILED["XLA_FLAGS"] += " --xla_backend_extra_options=xla_cpu_disable_loop_unrolling"  # a tenth less to compile
if version("jaxlib") < "0.11":  # later ones have no other emitters, and refuse the flag
    COMPILED["XLA_FLAGS"] += " --xla_cpu_use_fusion_emitters=false"
"""The tests' own code as the package's is made, and by one thread, as every core has a worker: half the work."""
COMPILED["OPENBLAS_NUM_THREADS"] = "1"  # whose threads would spin on the other worker's core
for _name, _value in COMPILED.items():
    os.environ.setdefault(_name, _value)

import jax  # noqa: E402
import psutil  # noqa: E402
import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402
from jaxtyping import install_import_hook  # noqa: E402

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")  # in all tests, as some users have it
# The same examples on every machine, however slow.
settings.register_profile(
    "rfdsm", max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("rfdsm")
# Jobs in the background inherit an interrupt that is ignored, and so would the processes that the tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
MEMORY = [psutil.virtual_memory().total / 2 / int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))]
"""Bytes of a worker from which it forgets what it compiled. They are used again, not given back: it then takes more."""
LONGEST_FIRST = (
    "tests/test_notebooks.py",
    "tests/theory/test_generation.py",
    "tests/simulation/test_generation.py",
    "tests/test_agreement.py",
    "tests/test_parametrisation.py",
    "tests/test_docstrings.py",
    "tests/phases/test_advice.py",
    "tests/theory/test_training.py",
    "tests/test_jax_settings.py",
    "tests/test_training_evidence.py",
    "tests/test_minimum_norm.py",
    "tests/networks/",
    "tests/simulation/",
    "tests/theory/",
    "tests/claims/",
    "tests/sweeps/",
    "tests/linear/",
)


SLOW = (
    "tests/test_agreement.py",
    "tests/test_minimum_norm.py",
    "tests/test_training_evidence.py",
    "tests/simulation/test_devices.py",
    "tests/simulation/test_exact.py",
    "tests/simulation/test_memory.py",
    "tests/simulation/test_simulate.py",
    "tests/simulation/test_training.py",
    "tests/sweeps/",
    "tests/linear/",
    "tests/phases/",
    "tests/cli/test_linear.py",
    "tests/plots/test_figures.py",
    "tests/test_jax_settings.py",
    "tests/test_new_loss.py",
    "tests/theory/test_spectrum.py",
    "tests/theory/test_training.py",
)
"""Whole files of slow tests."""
QUICK = (
    "tests/linear/test_chain.py::test_ancestral_update_is_the_posterior_of_the_process",
    "tests/linear/test_generated.py::test_quadrature_rule",
    "tests/linear/test_predict.py::test_exact_noise_is_a_function_of_the_sample_covariance",
    "tests/linear/test_predict.py::test_least_squares_of_one_draw_is_classical",
    "tests/linear/test_predict.py::test_minimum_norm_side_is_classical",
    "tests/linear/test_predict.py::test_units",
    "tests/linear/test_problem.py::test_bad_fields_are_named",
    "tests/linear/test_problem.py::test_defaults_and_derived_quantities",
    "tests/linear/test_simulate.py::test_the_denoiser_is_the_ridge_regression_with_intercept[9-2-0.0-primal]",
    "tests/phases/test_best_target.py::test_directions",
    "tests/phases/test_generation.py",
    "tests/phases/test_boundaries.py::test_memorisation_begins_where_published",
    "tests/phases/test_optimal.py::test_descent_on_known_functions",
    "tests/phases/test_regimes.py::test_labels_of_hand_checked_points",
    "tests/phases/test_roots.py",
    "tests/simulation/test_exact.py::test_moments_by_quadrature_of_every_pair[sin]",
    "tests/simulation/test_simulate.py::test_eigenpath_passes_through_the_ridge_solution",
    "tests/simulation/test_simulate.py::test_loss_of_a_network",
    "tests/simulation/test_simulate.py::test_minimisers_are_the_ridge_solution_of_the_stacked_least_squares",
    "tests/sweeps/test_command_line.py::test_bad_input_is_one_line",
    "tests/sweeps/test_command_line.py::test_examples_are_accepted",
    "tests/sweeps/test_command_line.py::test_failures_are_listed",
    "tests/sweeps/test_sweeps.py::test_a_configuration_survives_being_written",
    "tests/sweeps/test_sweeps.py::test_counts_in_words",
    "tests/sweeps/test_sweeps.py::test_results_keep_their_precision",
    "tests/sweeps/test_workers.py::test_a_cell_that_raises_is_given_up_on_a_cluster",
    "tests/theory/test_spectrum.py::test_masses_of_separated_bulks_are_eigenvalue_counts_of_real_networks",
    "tests/theory/test_spectrum.py::test_picture_shows_density_atoms_and_eigenvalues_on_both_scales",
    "tests/theory/test_training.py::test_infinite_time_is_the_minimiser",
    "tests/theory/test_training.py::test_time_zero_is_the_zero_network",
    "tests/theory/test_training.py::test_a_contour_integrates_filters_of_every_time_over_the_whole_interval",
)
"""Of these files, for every part of the package: what takes some seconds at most."""


def pytest_addoption(parser):
    parser.addoption(
        "--unchecked", action="store_true", help="without annotations checked at run time: a sixth faster, as users are"
    )


def pytest_collection_modifyitems(items):
    """Files that take minutes begin first: a worker left with one of them at the end would work alone."""
    for item in items:
        if item.nodeid.startswith(SLOW) and not item.nodeid.startswith(QUICK):
            item.add_marker("slow")
    ranks = {path: rank for rank, path in enumerate(LONGEST_FIRST)}
    items.sort(
        key=lambda item: next((rank for path, rank in ranks.items() if item.nodeid.startswith(path)), len(ranks))
    )


def pytest_configure(config):
    if not config.getoption("unchecked"):
        install_import_hook("rfdsm", "beartype.beartype")


@pytest.fixture(autouse=True, scope="module")
def _bounded_memory():
    """Long suites otherwise keep every compiled executable alive."""
    yield
    held = psutil.Process().memory_info().rss
    if held > MEMORY[0]:
        jax.clear_caches()
        MEMORY[0] = held + 1e9


@pytest.fixture(scope="module")
def one_contour():
    """As many nodes for every contour, never fewer than it asks for: one function is compiled for many tests."""
    from rfdsm.theory import _contour as contour, _paths as paths

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "size", lambda ratio, digits: max(contour.size(ratio, digits), 168))
        yield
