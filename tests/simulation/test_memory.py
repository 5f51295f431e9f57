"""What a trial needs, as XLA plans it, against the documented formula."""

import jax
import numpy as np
import pytest

from rfdsm import Problem
from rfdsm._executables import options
from rfdsm._scope import jax_scope
from rfdsm.simulation import _simulate as module, memory_estimate
from rfdsm.simulation._plan import plan
from rfdsm.simulation._trial import Cell, seeds


@pytest.mark.parametrize(
    "fields, d",
    [
        (dict(psi_n=8.0, psi_p=2.0, m=np.inf), 400),
        (dict(psi_n=1.0, psi_p=6.0, m=2), 300),
        (dict(psi_n=2.0, psi_p=3.0, m=4, ridge=np.array([1e-3, 1e-2])), 400),
        (dict(psi_n=4.0, psi_p=6.0, m=4), 400),
    ],
    ids=["many points, infinite draws", "dual", "several ridges", "high terms in single precision"],
)
def test_memory_estimate_bounds_what_the_compiler_plans(fields, d):
    """XLA's own accounting of one trial stays below the formula, which is not wildly above it; n does not enter."""
    problem = Problem(**(dict(t=0.1, ridge=1e-3) | fields))
    request = plan(problem, d, trials=1, key=0, data=None, dtype="float64", devices=None, memory_limit=None)
    group = request.groups[0]
    with jax_scope():
        run = module._compiled(problem.activation, group.settings, module.mesh(request.devices[:1], 1), "threefry2x32")
        lowered = jax.jit(run).lower(seeds(request.key, 1), Cell.of(request, group))
        planned = lowered.compile(compiler_options=options()).memory_analysis()
    used = planned.temp_size_in_bytes + planned.argument_size_in_bytes + planned.output_size_in_bytes
    p, path = group.settings.p, group.settings.path
    if path:
        used += 8 * 2 * p**2  # of LAPACK, which XLA does not see
    promised = memory_estimate(p, d, terms=group.settings.conditional_terms, eigenvectors=path)
    assert 0.3 * promised < used <= promised
    assert jax.devices()[0].platform == "cpu"
