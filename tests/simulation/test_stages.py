"""Trials in stages, which share draws and moments, against trials in one piece, each cell by itself."""

import jax
import numpy as np
import pytest

from rfdsm import Problem, simulate
from rfdsm._scope import jax_scope
from rfdsm.simulation import _simulate as module, _stages as stages, memory_estimate
from rfdsm.simulation._plan import plan
from rfdsm.simulation._strips import bounds, gram, leading, lower
from tests.sweeps.tiny import CUBIC

PSI_P = np.array([1, 4, 4, 4])
"""One that has moments and draws in common with a wider network, and there every kind of system."""
CASES = {
    "several ridges and none": (
        Problem(2.0, PSI_P, np.array([np.inf, 4, 1, np.inf]), 0.1, np.array([[1e-3], [1e-1], [0]]), CUBIC),
        {},
    ),
    "data in single precision": (
        Problem(2.0, PSI_P[:3], np.array([2, 2, np.inf]), 0.1, 1e-1, CUBIC),
        {"dtype": "float32", "data": np.random.default_rng(0).standard_normal((80, 16))},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_sharing_changes_no_number(name, monkeypatch):
    """And progress counts cells, those done together in part, and ends with all."""
    (problem, options), seen = CASES[name], []
    shared = simulate(problem, 16, trials=2, progress=lambda *now: seen.append(now), **options)
    total = np.prod(problem.shape)
    assert seen == [(total // 2, total), (total - 1, total), (total, total)]
    # One piece, as over several devices.
    piece = lambda request, **_: module.group_by_group(request, module._compiled)  # noqa: E731
    monkeypatch.setattr(module, "simulated_groups", piece)
    apart = simulate(problem, 16, trials=2, **options)
    rtol = 1e-5 if options.get("dtype") == "float32" else 1e-12
    for one, other in zip(jax.tree.leaves(shared), jax.tree.leaves(apart), strict=True):
        # Without a ridge, the loss of draws that are interpolated is rounding.
        np.testing.assert_allclose(np.asarray(one, float), np.asarray(other, float), rtol=rtol, atol=1e-20)


@pytest.mark.slow
def test_a_leading_block():
    """Wherever its strips end, it is the same matrix."""
    rows = np.random.default_rng(0).standard_normal((700, 5))
    with jax_scope():
        whole = gram(rows)
        for size in (1, 300, 700):
            found, expected = jax.jit(leading, static_argnums=1)(whole, size), gram(rows[:size])
            assert [strip.shape for strip in found] == [(high - low, high) for low, high in bounds(size)]
            for one, other in zip(found, expected, strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-13)
            wholes = jax.jit(lambda *both: [lower(strips) for strips in both])(found, expected)
            np.testing.assert_allclose(*wholes, rtol=1e-13)


def _families(problem, limit, share=True):
    request = plan(problem, 16, trials=1, key=0, data=None, dtype="float64", devices=None, memory_limit=limit)
    return [[(group.settings.p, group.m) for group in family] for family in stages.families(request, share)]


def test_what_shares_is_of_one_size_and_time_and_fits_into_memory():
    problem = Problem.grid([1.0, 2.0], [1, 4], [1, np.inf], 0.1, 1e-3)
    whole = [(64, 1), (64, 0), (16, 1), (16, 0)]
    assert _families(problem, None) == [whole, whole]
    alone = [[cell] for cell in ((16, 1), (16, 0), (64, 1), (64, 0)) * 2]
    assert _families(problem, None, share=False) == alone
    # Enough for the largest trial by itself.
    whole = plan(problem, 16, trials=1, key=0, data=None, dtype="float64", devices=None, memory_limit=None)
    terms = max(group.settings.conditional_terms for group in whole.groups)
    assert _families(problem, memory_estimate(64, 16, terms=terms)) == alone
