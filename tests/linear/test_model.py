"""The linear denoiser on the upper floors: comparisons, sweeps, data, seeds, devices and arguments by name."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from rfdsm import Comparison, _laws as laws, datasets, linear, spectra, sweep, sweeps
from rfdsm.extrapolation import z_score
from rfdsm.linear._model import LinearDenoiser
from rfdsm.sweeps import _picture as picture
from tests.tolerances import IDENTITY

PROBLEM = linear.Problem.grid([0.5, 2.5], 1.0, np.inf, 0.1, spectrum=spectra.atoms([0.5, 1.5]))
OPTIONS = dict(trials=3, key=5, smoothing=0.1, wasserstein=False)


@pytest.fixture(scope="module")
def compared():
    return linear.compare(PROBLEM, [8, 12], **OPTIONS)


def test_a_comparison_has_theory_and_simulation_of_both_doors(compared):
    assert isinstance(compared, Comparison) and compared.smoothing == 0.1
    assert compared.names == (*linear.DenoisingLosses.NAMES, *linear.GeneratedLaw.NAMES)
    losses, law = linear.predict(PROBLEM), linear.generated(PROBLEM, 0.1)
    result = linear.simulate(PROBLEM, 12, **OPTIONS)
    for k, name in enumerate(compared.names):
        theory, simulation = (law, result.generated) if name in law.NAMES else (losses, result.losses)
        np.testing.assert_array_equal(compared.limit[k], getattr(theory, name))
        np.testing.assert_array_equal(compared.simulation[k, 1], getattr(simulation, name))
    np.testing.assert_array_equal(compared.z, z_score(compared.deviation, compared.standard_error))
    asked = json.loads(compared.to_dataset().attrs["configuration"])
    assert (asked["smoothing"], asked["wasserstein"], asked["seeds"]) == (0.1, False, result.run.seeds.tolist())


def test_a_run_says_what_was_drawn(compared):
    run = compared.runs[1]
    assert run.d == 12 and run.p is None
    np.testing.assert_array_equal(run.n, [6, 30])
    keys = [jax.random.key_data(jax.random.fold_in(jax.random.key(5), k)) for k in range(3)]
    np.testing.assert_array_equal(run.seeds, keys)


def test_axes_follow_the_diffusion_time():
    """The default noise scale follows T and names no axis; a smoothing of its own has one."""
    problem, model = linear.Problem.grid([1.0, 2.0], [0.5, 1.0, 2.0]), LinearDenoiser()
    assert datasets.dims(problem, model) == ("psi", "T")
    assert datasets.coordinates(problem, model)["noise_scale"][0] == ("T",)
    assert datasets.dims(linear.Problem.grid([1.0], 2.0), model) == ("psi",)
    smoothed = LinearDenoiser(np.array([0.0, 0.1]).reshape(-1, 1, 1))
    assert datasets.dims(problem, smoothed) == ("smoothing", "psi", "T")


def test_a_sweep_is_the_comparison_bit_for_bit(compared, tmp_path):
    swept = sweep(PROBLEM, d=[8, 12], store=tmp_path, progress=False, **OPTIONS)
    whole = compared.to_dataset()
    for name, variable in whole.variables.items():
        assert swept.variables[name].equals(variable), name
    np.testing.assert_array_equal(swept["objective"], linear.predict(PROBLEM).objective)
    next(tmp_path.glob("units/d8-*.npz")).unlink()
    assert sweeps.status(tmp_path).remaining == 1
    assert sweeps.resume(tmp_path, progress=False).equals(swept)
    with pytest.raises(sweeps.SweepError, match=r"problem\.smoothing = 0\.1 there, 0\.0 here"):
        sweep(PROBLEM, d=[8, 12], store=tmp_path, progress=False, **(OPTIONS | dict(smoothing=0.0)))
    assert len(picture.draw(swept, "psi")) == 10
    fields = dict(psi=[0.5, 2.5], T=1.0, m=np.inf, ridge=0.1, spectrum=PROBLEM.spectrum)
    theory = sweep(fields, quantities="theory", progress=False)["limit"].sel(quantity="test")
    np.testing.assert_array_equal(theory, linear.predict(linear.Problem.grid(**fields)).test)
    with pytest.raises(ValueError, match="training"):
        sweep(PROBLEM, quantities="training", times=[1.0], progress=False)


ROWS = np.random.default_rng(8).normal(size=(40, 4)) @ np.random.default_rng(9).normal(size=(4, 4)) + 3


def test_data_are_rows_for_training_and_rows_held_out():
    """Everything by hand, in the frame of the data: which rows are drawn, the regression, and the losses."""
    problem = linear.Problem(3.0, 0.5, np.inf, 0.1, 0.5)
    result = linear.simulate(problem, data=ROWS, key=4, smoothing=0.2)
    for_points, _ = jax.random.split(jax.random.fold_in(jax.random.key(4), 0))
    order = np.asarray(jax.random.permutation(for_points, 40))
    train, held_out = ROWS[order[:12]], ROWS[order[12:]]
    a, eta = float(problem.a), float(problem.eta)
    mean, centred = train.mean(axis=0), train - train.mean(axis=0)
    gram = centred.T @ centred / 12
    b1 = np.linalg.solve(a**2 * gram + (eta + 0.1) * np.eye(4), a * gram).T
    b0 = mean - a * b1 @ mean
    for rows, found in ((held_out, result.losses.test), (train, result.losses.empirical_test)):
        missed = np.mean(np.sum((rows - b0 - a * rows @ b1.T) ** 2, axis=1)) / 4 + eta * np.sum(b1**2) / 4
        np.testing.assert_allclose(found, [missed], rtol=1e-10)
    covariance = np.cov(ROWS.T, bias=True)
    spread = a**2 * np.trace(gram) * 12 / 11 / 4 + eta
    law, shift = spread * b1 @ b1.T + 0.2 * np.eye(4), b0 + a * b1 @ mean - ROWS.mean(axis=0)
    inverse = np.linalg.inv(covariance + 0.2 * np.eye(4))
    kl = np.trace(inverse @ law) + shift @ inverse @ shift - 4 - np.linalg.slogdet(inverse @ law)[1]
    np.testing.assert_allclose(result.generated.kl, [kl / 8], rtol=1e-10)
    np.testing.assert_allclose(result.losses.floor, [np.mean(_floors(covariance, a, eta))], rtol=1e-10)
    np.testing.assert_allclose(result.losses.train, result.losses.empirical_test, rtol=1e-10)  # exact noise
    assert np.isnan(result.losses.excess).all() and result.run.n == 12


def _floors(covariance, a, eta):
    s = np.linalg.eigvalsh(covariance)
    return s * eta / (a**2 * s + eta)


def test_comparison_on_data(monkeypatch):
    # as it is, it takes theory some thirty times, and is that of tests/test_comparison.py
    monkeypatch.setattr(laws.Rows, "error", lambda law, values: values(law.estimate.law))
    rows, psi = ROWS[:, :2], np.array([3.0, 5.0])
    comparison = linear.compare(linear.Problem(psi, 0.5, np.inf, 0.1), trials=2, data=rows, wasserstein=False)
    np.testing.assert_allclose(comparison.theory_error, comparison.theory, rtol=1e-9)
    assert comparison.dimensions == (2,) and "excess" not in comparison.names and "Real samples" in comparison.summary()
    assert comparison.problem.spectrum == spectra.from_data(rows)
    expected = linear.predict(dataclasses.replace(comparison.problem, psi=psi)).test
    np.testing.assert_allclose(comparison.theory[comparison.names.index("test"), 0], expected, rtol=IDENTITY)
    for arguments, text in (
        (dict(d=5), "d = 5 must be the number of columns of data, 4"),
        (dict(data=ROWS[0]), "data must"),
        (dict(memory_limit=1000), "GB of memory"),
        (dict(memory_limit=-1), "memory_limit = -1 must be"),
        (dict(memory_limit="much"), "memory_limit = 'much' must be a number"),
        (dict(devices=[]), "devices"),
    ):
        with pytest.raises(ValueError, match=text):
            linear.compare(linear.Problem(1.0, 0.5), **(dict(data=ROWS) | arguments))
    with pytest.raises(ValueError, match="40 training rows must be at most 36"):
        linear.simulate(linear.Problem(10.0, 0.5), data=ROWS)


def test_trials_and_key_by_position_are_warned_of_and_land_in_their_places():
    problem = linear.Problem(2.5, 1.0, np.inf, 0.1)
    for door in (linear.simulate, linear.compare, linear.simulate_chain, linear.memorisation):
        rest = (1, 8) if door is linear.simulate_chain else (8,)
        for given, words in (((0, 3), "trials = 0"), ((2, "seed"), "key = 'seed'")):
            with (
                pytest.warns(FutureWarning, match=f"^{door.__name__}: give trials and key by name") as caught,
                pytest.raises(ValueError, match=words),
            ):
                door(problem, *rest, *given)
            assert len(caught) == 1
        with pytest.warns(FutureWarning), pytest.raises(TypeError, match="trials"):
            door(problem, *rest, 2, trials=2)
