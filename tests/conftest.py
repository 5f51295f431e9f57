"""Test session: float64 by default, every jaxtyping annotation checked at run time, one compilation cache for all."""

import os
import signal
from pathlib import Path

COMPILED = {
    "JAX_COMPILATION_CACHE_DIR": str(Path(__file__).parents[1] / ".pytest_cache" / "compiled"),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
"""What one test compiles, all find: other workers, subprocesses, notebooks, the next run. Read when JAX is imported."""
for _name, _value in COMPILED.items():
    os.environ.setdefault(_name, _value)

import jax  # noqa: E402
import psutil  # noqa: E402
import pytest  # noqa: E402
from jaxtyping import install_import_hook  # noqa: E402

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")  # in all tests, as some users have it
# Jobs in the background inherit an interrupt that is ignored, and so would the processes that the tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
_hook = install_import_hook("rfdsm", "beartype.beartype")

MEMORY = 3e9
"""Bytes of a worker from which it forgets what it compiled."""
LONGEST_FIRST = (
    "tests/test_agreement.py",
    "tests/test_parametrisation.py",
    "tests/test_notebooks.py",
    "tests/test_minimum_norm.py",
    "tests/simulation/",
    "tests/sweeps/",
    "tests/test_training_evidence.py",
    "tests/test_readme.py",
    "tests/claims/",
    "tests/linear/",
    "tests/theory/",
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
    "tests/test_figures.py",
    "tests/test_jax_settings.py",
    "tests/test_new_loss.py",
    "tests/theory/test_spectrum.py",
    "tests/theory/test_training.py",
)
"""Whole files of slow tests."""


def pytest_collection_modifyitems(items):
    """Files that take minutes begin first: a worker left with one of them at the end would work alone."""
    for item in items:
        if item.nodeid.startswith(SLOW):
            item.add_marker("slow")
    ranks = {path: rank for rank, path in enumerate(LONGEST_FIRST)}
    items.sort(
        key=lambda item: next((rank for path, rank in ranks.items() if item.nodeid.startswith(path)), len(ranks))
    )


@pytest.fixture(autouse=True, scope="module")
def _bounded_memory():
    """Long suites otherwise keep every compiled executable alive."""
    yield
    if psutil.Process().memory_info().rss > MEMORY:
        jax.clear_caches()
