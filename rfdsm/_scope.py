"""The settings of JAX that everything here is computed under, whatever the caller's: scoped, never flipped.

Promotion of dtypes is not among them: the code needs none. Promotion of ranks is, as the theory is written in it: an
average over the spectrum of Sigma has the spectrum on an axis in front of whatever axes the cells have. Nor are the
default device and what only reports (compilations, leaked tracers).
"""

import contextlib
from collections.abc import Iterator

import jax


@contextlib.contextmanager
def jax_scope() -> Iterator[None]:
    """Context to trace, compile and run in. Settings of JAX belong to a thread: every thread enters its own.

    Double precision is there, and single precision is what it says. NaN and inf are data here (a singular cell, a
    padded place). Loops are compiled: step by step in Python they would take hours. NumPy arrays come and go freely.
    One key means one network, whichever way the caller wants Threefry to be cut.
    """
    with jax.enable_x64(True), jax.default_matmul_precision("highest"), _lenient():
        yield


@contextlib.contextmanager
def network_scope() -> Iterator[None]:
    """Where the caller's own networks run: precision is theirs, and they may mix dtypes."""
    with _lenient(), jax.numpy_dtype_promotion("standard"):
        yield


@contextlib.contextmanager
def _lenient() -> Iterator[None]:
    with (
        jax.debug_nans(False),
        jax.debug_infs(False),
        jax.disable_jit(False),
        jax.transfer_guard("allow"),
        jax.threefry_partitionable(True),
        jax.numpy_rank_promotion("allow"),
    ):
        yield
