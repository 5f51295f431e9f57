"""One executable for any number of cells: what is filled up, cut and put back changes nothing."""

import jax
import numpy as np
import pytest

from rfdsm._batches import in_chunks

ROWS = np.arange(23.0)


def squares(asked):
    assert jax.config.jax_enable_x64
    x, y = asked
    assert len(x) == len(y) == 8
    return {"square": x**2, "sum": y.sum(axis=1)}


def take(places):
    return ROWS[places], np.stack([ROWS, 2 * ROWS], axis=1)[places]


@pytest.mark.parametrize("places", [1, 8, 9, 23, np.array([4, 0, 22]), np.arange(22, 2, -1)], ids=str)
def test_results_are_in_the_order_of_the_places(places):
    found = in_chunks(squares, take, places, 8)
    x = ROWS[slice(places) if isinstance(places, int) else places]
    np.testing.assert_array_equal(found["square"], x**2)
    np.testing.assert_array_equal(found["sum"], 3 * x)


def test_results_are_written_at_their_places_and_nowhere_else():
    whole = {"square": np.full(23, -1.0), "sum": np.full(23, -1.0)}
    places = np.array([20, 3, 7, 1, 0, 9, 11, 12, 13, 14])
    assert in_chunks(squares, take, places, 8, whole) is whole
    expected = np.full(23, -1.0)
    expected[places] = ROWS[places] ** 2
    np.testing.assert_array_equal(whole["square"], expected)


def test_nothing_is_asked_of_no_cells():
    whole = {"square": np.empty(0), "sum": np.empty(0)}
    assert in_chunks(squares, take, 0, 8, whole) is whole


def test_an_error_in_a_thread_is_the_callers():
    def fails(asked):
        raise FloatingPointError("here")

    with pytest.raises(FloatingPointError, match="here"):
        in_chunks(fails, take, 23, 8)
