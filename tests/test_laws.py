"""Laws of data: which points are trained on and which are fresh, what is known of them; each is asked once."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rfdsm import Problem, _laws as laws, compare, linear, spectra
from rfdsm._scope import jax_scope
from rfdsm.simulation._design import OF_LAW
from tests.levels import noise_of
from tests.phases.test_boundaries import CUBIC

ROWS = np.random.default_rng(3).normal(size=(30, 4))
FEW = spectra.atoms([0.25, 4.0])


@pytest.mark.parametrize("law", [laws.Gaussian(FEW), laws.Rows(ROWS)], ids=["normal", "rows"])
def test_fresh_points_are_no_training_points(law):
    n = 12
    count = law.fresh(n, 50)
    with jax_scope():
        points = jax.tree.map(jnp.asarray, OF_LAW[type(law)](law, 4, "float64"))
        drawn = points.drawn(jax.random.key(0), jnp.asarray(n))
        training, fresh = (np.asarray(part.rows(jnp.arange(k))) for part, k in zip(drawn, (n, count), strict=True))
    assert np.linalg.norm(training[:, None] - fresh, axis=-1).min() > 1e-3
    assert len(np.unique(np.vstack([training, fresh]), axis=0)) == n + count == (30 if law.size else 62)


def test_fresh_normal_points_have_the_law():
    with jax_scope():
        training, fresh = OF_LAW[laws.Gaussian](laws.Gaussian(FEW), 4, "float64").drawn(
            jax.random.key(1), jnp.asarray(5)
        )
        x, y = (np.asarray(part.rows(jnp.arange(20000))) for part in (training, fresh))
    np.testing.assert_allclose(np.cov(np.hstack([x, y]).T), np.diag([0.25, 0.25, 4.0, 4.0] * 2), atol=0.15)
    np.testing.assert_allclose(np.corrcoef(np.hstack([x, y]).T), np.eye(8), atol=0.03)


def test_only_a_known_law_has_a_floor():
    """That of the noise in y = a x + sqrt(h) z: its variance given y, a^2 lambda/(a^2 lambda + h)."""
    h = 0.3
    with jax_scope():
        asked = noise_of(jnp.asarray(h), jnp)._replace(alpha=jnp.zeros(()))
        known, unknown = (
            OF_LAW[type(law)](law, 4, "float64").floor(asked) for law in (laws.Gaussian(FEW), laws.Rows(ROWS))
        )
    signal = (1 - h) * np.array([0.25, 4.0])
    assert float(known) == pytest.approx(np.mean(signal / (signal + h)), rel=1e-12)
    assert np.isnan(unknown)


@pytest.mark.parametrize(("rows", "most"), [(2, 0), (5, 3), (20, 18), (21, 18), (30, 27)])
def test_a_tenth_of_the_rows_and_two_at_least_are_held_out(rows, most):
    law = laws.Rows(np.arange(2.0 * rows).reshape(rows, 2))
    law.check_count(np.array([most]), "psi_n")
    with pytest.raises(
        ValueError, match=rf"^psi_n d = {most + 1} training rows must be at most {most}: data has {rows}"
    ):
        law.check_count(np.array([1, most + 1]), "psi_n")


@pytest.mark.slow
@pytest.mark.parametrize("model", ["rfdsm.model", "rfdsm.linear._model"])
def test_a_comparison_checks_plans_and_estimates_once(model, monkeypatch):
    calls = []

    def counted(module, name):
        home = importlib.import_module(module)
        keep = getattr(home, name)
        monkeypatch.setattr(home, name, lambda *args, **rest: (calls.append(name), keep(*args, **rest))[1])

    counted(model, "plan")
    counted("rfdsm._laws", "check_rows")
    counted("rfdsm.spectra._population", "estimated")
    monkeypatch.setattr(laws.Rows, "error", lambda law, _: 0.0 * law.estimate.scale)  # takes theory many times
    if model == "rfdsm.model":
        found = compare(Problem(1.7, 1.2, 1, 0.3, 1e-2, CUBIC), data=ROWS, trials=2)
    else:
        problem = linear.Problem(np.array([3.0, 5.0]), 0.5, np.inf, 0.1)  # of the sizes in linear/test_model
        found = linear.compare(problem, data=np.resize(ROWS, (40, 2)), trials=2, wasserstein=False)
    assert sorted(calls) == ["check_rows", "estimated", "plan"]
    assert found.to_dataset()["limit"].shape[0] == len(found.names)


def test_a_law_is_given_on_as_it_is():
    law = laws.Rows(ROWS)
    assert laws.of(law, FEW) is law and laws.of(None, FEW).spectrum is FEW
    assert law.spectrum == spectra.from_data(ROWS) and law.provenance["shape"] == [30, 4]
