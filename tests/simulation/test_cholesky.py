"""Linear systems in strips against LAPACK's of the whole matrix."""

import jax
import numpy as np
import pytest

from rfdsm.simulation import _strips as strips


def system(size, columns=3):
    rng = np.random.default_rng(size)
    rows = rng.standard_normal((size, 2 * size)) / np.sqrt(size)
    matrix = rows @ rows.T
    return matrix, [matrix[low:high, :high] for low, high in strips.bounds(size)], rng.standard_normal((size, columns))


@pytest.mark.parametrize("size", [100, pytest.param(641, marks=pytest.mark.slow)])
def test_solutions_of_blocks_and_of_the_whole(size, monkeypatch):
    matrix, parts, right = system(size)
    wanted = np.linalg.solve(matrix + 0.01 * np.eye(size), right)
    for least in (10**9, 1):
        monkeypatch.setattr(strips, "LARGE", least)
        found = jax.jit(lambda *x: strips.solve(*x))(parts, 0.01, right)
        np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-12 * np.abs(wanted).max())


def test_factor_is_that_of_lapack():
    matrix, parts, _ = system(400)
    factor = jax.jit(strips.factorised)(parts, 0.5)
    assert [len(part) for part in factor] == [high - low for low, high in strips.bounds(400)]
    whole = np.concatenate([np.pad(part, ((0, 0), (0, 400 - part.shape[1]))) for part in factor])
    np.testing.assert_allclose(whole, np.linalg.cholesky(matrix + 0.5 * np.eye(400)), rtol=0, atol=1e-13)


def test_indefinite_matrices_give_nan(monkeypatch):
    """Wherever the first negative pivot is: in the last block, here."""
    monkeypatch.setattr(strips, "LARGE", 1)
    matrix = np.eye(300)
    matrix[-1, -1] = -1.0
    parts = [matrix[low:high, :high] for low, high in strips.bounds(300)]
    assert np.all(np.isnan(jax.jit(lambda *x: strips.solve(*x))(parts, 0.0, np.ones((300, 1)))))
