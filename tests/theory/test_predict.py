"""Losses of the theory: reference values, an independent high-precision oracle, limits, and the interface."""

import json
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from rfdsm import Losses, Problem, predict, spectra
from tests.theory.oracle import Oracle
from tests.tolerances import IDENTITY, REFERENCE, ROUTES

REFERENCE_VALUES = json.loads((Path(__file__).parents[1] / "reference_values.json").read_text())["losses"]
TANH = dict(psi_n=8.0, t=0.1, ridge=1e-3)
PSI_P = [0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256]
PUBLISHED = {
    # test loss for m = 1: the published table prints .9874 and .9594 at the two largest psi_p; the oracle agrees with
    # the values below (test_two_entries_of_the_table_are_misprinted).
    ("test", 1): [0.9894, 0.9808, 0.9824, 1.0900, 1.5031, 2.7979, 1.6559, 1.1981, 1.0488, 0.9873, 0.9593],
    ("test", 4): [0.9669, 0.9375, 0.8995, 0.9095, 0.9933, 1.2213, 1.8322, 2.8416, 2.0654, 1.6455, 1.4998],
    ("test", 16): [0.9614, 0.9269, 0.8804, 0.8728, 0.9149, 1.0348, 1.3298, 1.9015, 2.7229, 3.4344, 3.1408],
    ("test", np.inf): [0.9595, 0.9235, 0.8741, 0.8612, 0.8916, 0.9860, 1.2268, 1.7009, 2.3755, 3.0836, 3.6574],
    ("train", 1): [0.9287, 0.8626, 0.7543, 0.6232, 0.4137, 0.0730, 0.0015, 0.0001],
    ("empirical_test", 4): [0.9651, 0.9305, 0.8757, 0.8522, 0.8683, 0.9232, 1.0845, 1.3680, 0.7942, 0.5272, 0.4353],
}


def at(losses: Losses, name: str) -> np.ndarray:
    return np.asarray(getattr(losses, name))


def oracle(problem: Problem) -> dict[str, float]:
    """High-precision losses of a scalar problem; only the three moments are shared with the package."""
    a_squared, h = np.exp(-2 * problem.t), -np.expm1(-2 * problem.t)
    moments = problem.activation.moments(a_squared * problem.spectrum.mean, h)
    values = Oracle(
        *(float(x) for x in (problem.psi_n, problem.psi_p, problem.m, problem.t, problem.ridge)),
        float(moments.mu1) ** 2,
        float(moments.v0_squared),
        float(moments.beta_a),
        problem.spectrum.nodes.tolist(),
        problem.spectrum.weights.tolist(),
    ).losses()
    return {name: float(value) for name, value in values.items()}


@pytest.mark.parametrize("case", REFERENCE_VALUES, ids=lambda c: f"{c['activation']}-m{c['m']}-{c['psi_p']}")
def test_reference_values(case):
    atoms = spectra.atoms(case["spectrum_atoms"])
    fields = [float(case[name]) for name in ("psi_n", "psi_p", "m", "t", "ridge")]
    losses = predict(Problem(*fields, case["activation"], atoms))
    for name in Losses.NAMES:
        # The reference's own training losses carry an absolute rounding error of 4e-17, seen where they are ~1e-9.
        np.testing.assert_allclose(at(losses, name), case[name], rtol=REFERENCE, atol=1e-16)


@pytest.mark.parametrize("name, m", PUBLISHED)
def test_published_table(name, m):
    values = PUBLISHED[name, m]
    losses = predict(Problem(psi_p=np.array(PSI_P[: len(values)]), m=m, **TANH))
    np.testing.assert_allclose(at(losses, name), values, atol=0.5001e-4, rtol=0)


def test_two_entries_of_the_table_are_misprinted():
    for psi_p, printed in ((128, 0.9874), (256, 0.9594)):
        problem = Problem(psi_p=psi_p, m=1, **TANH)
        value = float(at(predict(problem), "test"))
        assert abs(value - printed) > 0.55e-4
        np.testing.assert_allclose(value, oracle(problem)["test"], rtol=ROUTES)


ORACLE_PROBLEMS = {
    "moderate": Problem(2.0, 3.0, 3, 0.3, 1e-3),
    "three atoms": Problem(0.7, 5.0, 7, 0.05, 1e-5, "relu", spectra.atoms([0.01, 1.0, 4.0], [0.3, 0.5, 0.2])),
    "rank deficient": Problem(3.0, 2.0, 2, 0.5, 1e-4, "erf", spectra.atoms([0.0, 2.0])),
    "interpolation peak": Problem(2.0, 8.0, 4, 0.1, 1e-8, "tanh"),
    "near the peak": Problem(2.0, 8.004, 4, 0.1, 1e-11, "erf"),
    "tiny training loss": Problem(0.5, 60.0, 2, 0.1, 1e-9, "softplus"),
    "tiny score error": Problem(900.0, 300.0, np.inf, 2.0, 1e-9, "erf"),
    "infinite draws, small time": Problem(4.0, 12.0, np.inf, 1e-3, 1e-6, "relu"),
    "late time": Problem(4.0, 12.0, 16, 4.0, 1e-4, "tanh"),
    "linear": Problem(3.0, 2.0, 4, 0.2, 1e-2, "linear", spectra.atoms([0.5, 1.5])),
    "even activation": Problem(3.0, 2.0, 2, 0.2, 1e-2, "abs"),
    "extreme ratios": Problem(1e-2, 1e2, 10, 0.5, 1e-3, "gelu"),
}


@pytest.mark.parametrize("case", ORACLE_PROBLEMS)
def test_high_precision_oracle(case):
    """The equations as written, to 50 digits and more; losses as derivatives of the optimal objective."""
    problem = ORACLE_PROBLEMS[case]
    losses, exact = predict(problem), oracle(problem)
    for name, value in exact.items():
        np.testing.assert_allclose(at(losses, name), value, rtol=ROUTES, err_msg=name)


def test_no_loss_cancels():
    """All reference problems, training losses of 1e-9 among them, to 1e-14: every term of every loss is positive."""
    for case in REFERENCE_VALUES:
        fields = [float(case[name]) for name in ("psi_n", "psi_p", "m", "t", "ridge")]
        problem = Problem(*fields, case["activation"], spectra.atoms(case["spectrum_atoms"]))
        losses = predict(problem)
        for name, value in oracle(problem).items():
            np.testing.assert_allclose(at(losses, name), value, rtol=1e-14, err_msg=str(case))


def test_empirical_test_is_train_at_infinite_m():
    rng = np.random.default_rng(0)
    psi_n, psi_p = 10 ** rng.uniform(-2, 2, (2, 500))
    problem = Problem(psi_n, psi_p, np.inf, 10 ** rng.uniform(-3, 0.5, 500), 10 ** rng.uniform(-10, 1, 500), "relu")
    losses = predict(problem)
    np.testing.assert_allclose(losses.empirical_test, losses.train, rtol=IDENTITY)


def test_test_loss_is_floor_plus_score():
    problem = Problem.grid([0.5, 8], [0.3, 3, 30], [1, 4, np.inf], [0.05, 1.0], 1e-4, "erf", spectra.atoms([0.2, 3.0]))
    losses = predict(problem)
    h = -np.expm1(-2 * problem.t)
    np.testing.assert_allclose(losses.test, losses.floor + h * losses.score, rtol=IDENTITY)
    a_squared = np.exp(-2 * problem.t)
    bayes = np.mean([1 - h / (a_squared * s + h) for s in (0.2, 3.0)], axis=0)
    np.testing.assert_allclose(losses.floor, np.broadcast_to(bayes, losses.shape), rtol=IDENTITY)


# --- limits (docs/theory, section 5) ---------------------------------------------------------------------------------


def test_large_ridge_is_the_zero_network():
    ridge = np.array([1e4, 1e5, 1e6])
    losses = predict(Problem(2.0, 3.0, 4, 0.3, ridge, "relu"))
    for name in ("train", "test", "empirical_test"):
        gap = 1 - at(losses, name)
        assert gap[-1] < 1e-5
        np.testing.assert_allclose(gap[:-1] / gap[1:], 10, rtol=1e-2)  # 1 - loss ~ 1/ridge


def test_late_times_reach_the_floor():
    """t -> infinity, many samples and features: the target is linear in the features, test -> floor -> 0."""
    losses = predict(Problem(1e7, 1e4, np.inf, 9.0, 1e-10, "erf"))
    assert losses.floor < 1e-7
    assert losses.test < 1e-2


@pytest.mark.parametrize("m", [1, 3])
def test_double_descent_peaks_at_interpolation(m):
    """As ridge -> 0 the test loss diverges at p = nm and nowhere else, like ridge^(-1/2)."""
    psi_n = 2.0
    psi_p = psi_n * m * np.geomspace(0.2, 5, 401)  # includes p = nm
    losses = predict(Problem(psi_n, psi_p, m, 0.2, 1e-8))
    assert np.argmax(losses.test) == 200
    peak = predict(Problem(psi_n, psi_n * m, m, 0.2, np.array([1e-8, 1e-10, 1e-12]))).test
    np.testing.assert_allclose(peak[1:] / peak[:-1], 10, rtol=0.02)


# --- interface -------------------------------------------------------------------------------------------------------


def test_a_grid_equals_its_cells():
    problem = Problem.grid([0.5, 8], [0.25, 4, 64], [1, 4, np.inf], [0.05, 0.5], [1e-6, 1e-2], "relu")
    grid = predict(problem)
    assert grid.shape == (2, 3, 3, 2, 2) == problem.shape
    assert bool(np.all(grid.converged))
    for cell in [(0, 0, 0, 0, 0), (1, 2, 1, 0, 1), (0, 1, 2, 1, 0)]:
        fields = [
            np.broadcast_to(getattr(problem, f), problem.shape)[cell] for f in ("psi_n", "psi_p", "m", "t", "ridge")
        ]
        alone = predict(Problem(*fields, activation="relu"))
        for name in (*Losses.NAMES, "objective", "floor"):
            np.testing.assert_allclose(at(grid, name)[cell], at(alone, name), rtol=IDENTITY)


@pytest.mark.slow
def test_many_distinct_times_equal_few():
    """Many diffusion times go through a table of the moments; it must not show."""
    t = np.geomspace(1e-4, 10, 3000)
    many = predict(Problem(2.0, 3.0, 3, t, 1e-3, "tanh", spectra.atoms([0.5, 3.0])))
    some = predict(Problem(2.0, 3.0, 3, t[::300], 1e-3, "tanh", spectra.atoms([0.5, 3.0])))
    for name in Losses.NAMES:
        np.testing.assert_allclose(at(many, name)[::300], at(some, name), rtol=ROUTES)


def test_spectrum_with_many_nodes():
    """Splitting an atom into copies changes nothing."""
    one = predict(Problem(2.0, 3.0, 3, 0.2, 1e-3, spectrum=spectra.atoms([0.5, 2.0])))
    law = spectra.Spectrum(np.array([0.5, 0.5, 2.0]), np.array([0.2, 0.3, 0.5]))
    two = predict(Problem(2.0, 3.0, 3, 0.2, 1e-3, spectrum=law))
    np.testing.assert_allclose(one.test, two.test, rtol=IDENTITY)


@pytest.mark.slow
def test_problems_and_losses_pass_through_jit_and_vmap():
    psi_p = np.array([0.5, 3.0, 20.0])
    problem = Problem(np.full(3, 2.0), psi_p, np.full(3, 4.0), np.full(3, 0.3), np.full(3, 1e-2))
    direct, mapped = predict(problem), jax.jit(jax.vmap(predict))(problem)
    assert isinstance(mapped, Losses)
    for name in Losses.NAMES:
        np.testing.assert_allclose(at(mapped, name), at(direct, name), rtol=IDENTITY)


def test_float64_whatever_the_global_setting():
    """A process that never enables float64 gets the same bits."""
    code = (
        "import jax, numpy as np, rfdsm\n"
        "p = rfdsm.Problem.grid([0.5, 8.0], [0.3, 30.0], [1, 4, np.inf], 0.1, 1e-5, 'tanh')\n"
        "losses = rfdsm.predict(p)\n"
        "assert not jax.config.jax_enable_x64 and losses.test.dtype == np.float64\n"
        "assert jax.numpy.ones(1).dtype == np.float32\n"
        "print(losses.test.tobytes().hex())"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    here = predict(Problem.grid([0.5, 8.0], [0.3, 30.0], [1, 4, np.inf], 0.1, 1e-5, "tanh"))
    np.testing.assert_allclose(np.frombuffer(bytes.fromhex(done.stdout.strip())), here.test.ravel(), rtol=1e-14)


def test_throw_names_the_failed_cells(monkeypatch):
    problem = Problem(np.full(3, 2.0), 3.0, 3, 0.3, 1e-2)
    spoiled = jax.tree.map(lambda x: np.where(np.arange(3) == 1, np.nan, x), problem)
    losses = predict(spoiled)
    np.testing.assert_array_equal(losses.converged, [True, False, True])
    np.testing.assert_array_equal(np.isnan(losses.test), [False, True, False])
    np.testing.assert_allclose(losses.test[0], predict(problem).test[0], rtol=IDENTITY)
    with pytest.raises(RuntimeError, match="1 of 3 cells did not converge"):
        predict(spoiled, throw=True)
    with pytest.raises(ValueError, match="throw = True must be False"):
        jax.jit(lambda p: predict(p, throw=True))(problem)


@pytest.mark.slow
def test_envelope_theorem():
    """d(objective)/d(ridge) is the penalty (objective - train)/ridge: holds only if train is right."""
    problem = Problem(2.0, 3.0, 3, 0.3, 1e-2, "relu", spectra.atoms([0.3, 2.0]))
    slope = jax.grad(lambda ridge: predict(problem.at(ridge=ridge)).objective)(1e-2)
    losses = predict(problem)
    np.testing.assert_allclose(slope, (losses.objective - losses.train) / 1e-2, rtol=ROUTES)
