"""Test session: float64 by default, and every jaxtyping shape annotation of the package checked at run time."""

import signal

import jax
import pytest
from jaxtyping import install_import_hook

jax.config.update("jax_enable_x64", True)
# Under both, so that users may be: dtypes are promoted nowhere, ranks only within `rfdsm.scope`.
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
# Jobs in the background inherit an interrupt that is ignored, and so would the processes that the tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
_hook = install_import_hook("rfdsm", "beartype.beartype")


LONGEST_FIRST = (
    "tests/test_agreement.py",
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


def pytest_collection_modifyitems(items):
    """Files that take minutes begin first: a worker left with one of them at the end would work alone."""
    ranks = {path: rank for rank, path in enumerate(LONGEST_FIRST)}
    items.sort(
        key=lambda item: next((rank for path, rank in ranks.items() if item.nodeid.startswith(path)), len(ranks))
    )


@pytest.fixture(autouse=True, scope="module")
def _bounded_compile_cache():
    """Long suites otherwise keep every compiled executable alive."""
    yield
    jax.clear_caches()
