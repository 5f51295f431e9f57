"""One small sweep for all tests here."""

import warnings

import pytest


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """The sweep of `tests.sweeps.tiny`, uninterrupted, in a store."""
    from tests.sweeps import tiny

    folder = tmp_path_factory.mktemp("whole") / "store"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return folder, tiny.sweep(folder)
