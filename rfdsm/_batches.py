"""Many cells through one executable: cut into chunks of one size, the last filled up, side by side in threads."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np

from rfdsm._machine import cores
from rfdsm._scope import jax_scope


def in_chunks(
    function: Callable[[Any], Any], take: Callable[[Any], Any], places: int | np.ndarray, chunk: int, into: Any = None
) -> Any:
    """function(take(places)) for all places, as NumPy arrays with the cells on their first axis.

    Args:
        function: of a pytree of arrays (chunk, ...), which yields another; called within `jax_scope`.
        take: the pytree for a slice or an array of places.
        places: how many cells there are, or indices of some.
        chunk: cells per call; the last call is filled up by repetition.
        into: arrays in which the results are written at their places; None: new ones, in the order of the places.
    """
    if isinstance(places, int):
        pieces: Any = [slice(start, min(start + chunk, places)) for start in range(0, places, chunk)]
    else:
        pieces = [places[start : start + chunk] for start in range(0, places.size, chunk)]

    def run(piece: Any) -> Any:
        chosen = take(piece)
        count = len(jax.tree.leaves(chosen)[0])
        with jax_scope():  # the setting is one of the thread
            found = function(jax.tree.map(lambda x: filled(x, chunk), chosen))
            found = jax.tree.map(lambda x: np.asarray(x)[:count], found)
        if into is None:
            return found
        return jax.tree.map(lambda whole, values: whole.__setitem__(piece, values), into, found)

    if len(pieces) == 1:
        parts = [run(pieces[0])]
    else:
        with ThreadPoolExecutor(cores()) as pool:  # one chunk keeps one core busy
            parts = list(pool.map(run, pieces))
    return jax.tree.map(lambda *values: np.concatenate(values), *parts) if into is None else into


def filled(values: np.ndarray, count: int) -> np.ndarray:
    """With its last entry repeated along the first axis, so that there are `count`."""
    return np.pad(values, [(0, count - len(values)), *[(0, 0)] * (np.ndim(values) - 1)], mode="edge")
