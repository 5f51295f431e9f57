"""Symmetric matrices in strips: every operation against the whole matrix."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rfdsm.simulation import _strips as strips
from tests.tolerances import IDENTITY

pytestmark = pytest.mark.parametrize("size", [1, 641])


def random_gram(size, columns=5):
    rows = np.random.default_rng(size).standard_normal((size, columns))
    return rows, rows @ rows.T, strips.gram(jnp.asarray(rows))


def whole(parts):
    """The symmetric matrix the strips stand for, entry by entry."""
    size = parts[-1].shape[1]
    matrix = np.full((size, size), np.nan)
    first = 0
    for part in map(np.asarray, parts):
        rows, columns = part.shape
        assert columns == first + rows
        matrix[first:columns, :columns] = part
        matrix[:first, first:columns] = part[:, :first].T
        first = columns
    assert first == size
    return matrix


def test_bounds_cover_all_rows_once(size):
    bounds = strips.bounds(size)
    assert [low for low, _ in bounds] == [0, *(high for _, high in bounds[:-1])]
    assert bounds[-1][1] == size
    assert all(high - low >= min(size, strips.SMALLEST) for low, high in bounds)
    assert len(bounds) == {1: 1, 641: 5}[size]
    assert not np.any(whole(strips.zeros(size)))


def test_gram(size):
    _, matrix, parts = random_gram(size)
    np.testing.assert_allclose(whole(parts), matrix, rtol=IDENTITY, atol=1e-13)


def test_diagonals(size):
    _, matrix, parts = random_gram(size)
    np.testing.assert_allclose(strips.diagonal(parts), np.diag(matrix), rtol=IDENTITY)
    other = np.arange(1.0, size + 1)
    np.fill_diagonal(matrix, other)
    np.testing.assert_allclose(
        whole(strips.with_diagonal(parts, jnp.asarray(other))), matrix, rtol=IDENTITY, atol=1e-13
    )


@pytest.mark.parametrize("shift", [0.0, 0.7])
def test_lower(size, shift):
    """The triangle below, whatever is above it."""
    _, matrix, parts = random_gram(size)
    got = np.asarray(strips.lower(parts, shift))
    np.testing.assert_allclose(np.tril(got), np.tril(matrix + shift * np.eye(size)), rtol=IDENTITY, atol=1e-13)
    outside = np.ones((size, size), bool)
    for low, high in strips.bounds(size):
        outside[low:high, :high] = False
    assert not np.any(got[outside])


def test_products(size):
    _, matrix, parts = random_gram(size)
    rows = np.random.default_rng(1).standard_normal((3, size))
    np.testing.assert_allclose(strips.product(jnp.asarray(rows), parts), rows @ matrix, rtol=1e-11, atol=1e-11)
    values = jax.jit(strips.quadratic)([parts, strips.zeros(size), parts], jnp.asarray(rows.T))
    np.testing.assert_allclose(values, np.array([1, 0, 1]) * np.trace(rows @ matrix @ rows.T), rtol=1e-12)


def test_entries_are_counted_as_often_as_they_occur(size):
    """Sums over the strips of any product of symmetric matrices are sums over the whole."""
    _, matrix, parts = random_gram(size)
    other = np.cos(np.add.outer(np.arange(size), np.arange(size)))
    total = sum(
        np.sum(np.asarray(part) * np.asarray(strips.mirrored(low, high)) * other[low:high, :high])
        for part, (low, high) in zip(parts, strips.bounds(size), strict=True)
    )
    np.testing.assert_allclose(total, np.sum(matrix * other), rtol=1e-11, atol=1e-10)


def test_after_changes_no_value(size):
    array = jnp.arange(float(size))
    for value in (3.0, jnp.nan, jnp.inf, -jnp.inf):
        np.testing.assert_array_equal(strips.after(jnp.asarray(value), array), array)
