"""One small sweep for all tests here, compiled once: its processes share JAX's persistent compilation cache."""

import os
import warnings

import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache

CACHE = {
    "jax_compilation_cache_dir": None,
    "jax_persistent_cache_min_compile_time_secs": 0.0,
    "jax_persistent_cache_min_entry_size_bytes": -1,
}


@pytest.fixture(scope="session", autouse=True)
def compiled_once(tmp_path_factory):
    """For this process, and by its environment for those that it starts."""
    settings = CACHE | {"jax_compilation_cache_dir": str(tmp_path_factory.mktemp("compiled"))}
    before = {name: getattr(jax.config, name) for name in settings}
    for name, value in settings.items():
        jax.config.update(name, value)
        os.environ[name.upper()] = str(value)
    compilation_cache.reset_cache()
    yield
    for name, value in before.items():
        jax.config.update(name, value)
        del os.environ[name.upper()]
    compilation_cache.reset_cache()


@pytest.fixture(scope="session")
def whole(compiled_once, tmp_path_factory):
    """The sweep of `tests.sweeps.tiny`, uninterrupted, in a store."""
    from tests.sweeps import tiny

    folder = tmp_path_factory.mktemp("whole") / "store"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return folder, tiny.sweep(folder)
