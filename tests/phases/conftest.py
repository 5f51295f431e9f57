"""These modules compile the same functions: they keep them for one another."""

import jax
import pytest


@pytest.fixture(autouse=True, scope="package")
def _bounded_compile_cache():
    """In place of the suite's fixture, which clears the cache after every module."""
    yield
    jax.clear_caches()
