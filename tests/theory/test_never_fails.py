"""No point of the box defeats the solver, and what it returns is right to the last digits that doubles can hold.

A sample of what `python -m benchmarks.never_fails` runs on a million points, and the hardest of those as named cases.
"""

import functools

import jax
import numpy as np
import pytest

from rfdsm import Losses, Problem, activations, predict, spectra
from rfdsm._problem import FIELDS
from rfdsm.theory import _predict
from tests.theory.boxes import distance_to_peak, problems
from tests.theory.never_fails import compare, violations
from tests.theory.oracle import Oracle
from tests.tolerances import IDENTITY

SIZE = 8  # every spectrum is split into so many nodes, for one compilation
EACH, MANY = 2200, 9000  # the latter takes two passes: few steps for all cells, then more for those that need them
BEYOND, WITHIN = 1e-12, 1e-8
"""Largest relative errors beyond 1e-3 of the peak, and within, at distances down to 1e-7."""


@functools.cache
def sample(index):
    """Of 3e4 points those of one activation, spectra of 1 to 8 atoms, with their losses."""
    if index == 0:
        (problem,) = problems(1, MANY, seed=3, size=SIZE)
    else:
        *_, problem = problems(index + 1, EACH, seed=3, size=SIZE)
    return problem, predict(problem)


def law(nodes, weights=None):
    """A spectrum in the shape already compiled."""
    copy = np.arange(SIZE) % len(nodes)
    weights = np.full(len(nodes), 1 / len(nodes)) if weights is None else np.asarray(weights)
    return spectra.Spectrum(np.asarray(nodes, float)[copy], (weights / np.bincount(copy))[copy])


@pytest.mark.slow
def test_every_point_of_the_box():
    """Converged, residual <= 1e-12, no NaN, no bound broken; exact singularities take their values by rule."""
    total = singular_points = 0
    for problem, losses in map(sample, range(len(activations.NAMES))):
        failed, singular = violations(problem, losses)
        cells = np.flatnonzero(failed)
        assert cells.size == 0, [
            (problem.activation.name, *(np.asarray(getattr(problem, f))[k] for f in FIELDS)) for k in cells
        ]
        total, singular_points = total + failed.size, singular_points + singular.sum()
        assert np.max(losses.steps) <= 100
    assert total > 30_000 and 60 <= singular_points <= 150


@pytest.mark.slow
def test_a_cell_short_of_steps_is_flagged(monkeypatch):
    """Losses of an unfinished cell are NaN, not nearly right."""
    problem, losses = sample(1)
    monkeypatch.setattr(_predict, "MAX_STEPS", 2)
    short = predict(problem)
    unfinished = np.asarray(losses.steps) > 2
    assert 0.1 < unfinished.mean() < 0.9
    np.testing.assert_array_equal(short.converged, ~unfinished)
    for name in (*Losses.NAMES, "objective"):
        np.testing.assert_array_equal(np.isnan(getattr(short, name)), unfinished)


@pytest.mark.parametrize(
    "index",
    [
        pytest.param(index, id=name, marks=() if name in ("relu", "linear") else pytest.mark.slow)
        for index, name in enumerate(activations.NAMES)
    ],
)
def test_against_fifty_digits(index):
    """Eight points an activation: two at ridge = 0, three close to a peak, three anywhere."""
    problem, losses = sample(index)
    distance = distance_to_peak(problem)
    usable = distance > 1e-7  # rounding of p and nm, in units of their distance, is the error of any solver
    zero, near = problem.ridge == 0, usable & (distance <= 1e-3)
    usable = np.flatnonzero(usable)
    cells = [*np.flatnonzero(zero & (distance > 1e-3))[:2], *np.flatnonzero(near)[:2], *np.flatnonzero(near & zero)[:1]]
    for gap, errors in compare(problem, losses, [*cells, *usable[:3]]):
        assert max(errors.values()) <= (BEYOND if gap > 1e-3 else WITHIN), (gap, errors)


HARD = {
    "most steps: linear, p = d": Problem(
        121.37353962192984, 1.0, 2, 1.5769966617502726, 0, "linear",
        law([1e-3, 1e3, 5.0480616817834285], [0.69, 0.06, 0.25]),
    ),
    "linear, p = d to the last digit": Problem(
        0.11540086038710294, 1 + 1e-15, 100, 0.3818149856211355, 0, "linear",
        law([0.81, 430.09, 1.13], [0.42, 0.08, 0.5]),
    ),
    "linear, p just above d": Problem(3.0, 1 + 1e-12, 2, 0.1, 0, "linear", law([0.2, 3.0])),
    "linear, p just below d": Problem(3.0, 1 - 1e-12, 2, 0.1, 0, "linear", law([0.2, 3.0])),
    "linear, p = nm > d": Problem(3.0, 6.0, 2, 0.1, 0, "linear", law([0.2, 3.0])),
    "linear, infinite m": Problem(0.3, 6.0, np.inf, 0.1, 0, "linear", law([0.2, 3.0])),
    "almost linear": Problem(3.0, 12.0, 2, 0.1, 0, activations.polynomial([0.0, 1.0, 1e-4]), law([0.2, 3.0])),
    "linear but for 1e-20 of its variance": Problem(
        3.0, 12.0, 2, 0.1, 0, activations.polynomial([0.0, 1.0, 1e-10]), law([0.2, 3.0])
    ),
    "few samples, many draws": Problem(1e-3, 5.0, 1e4, 0.1, 0, "tanh", law([1.0])),
    "few samples, many draws, at the peak": Problem(1e-3, 10.0, 1e4, 1e-4, 1e-12, "tanh", law([1e-3, 1e3])),
    "extreme ratios": Problem(1e-3, 1e3, 1, 1e-4, 0, "relu", law([1e-3, 1e3])),
    "extreme ratios, transposed": Problem(1e3, 1e-3, np.inf, 1e-4, 0, "gelu", law([1e-3, 1e3])),
    "latest time": Problem(1e3, 1e3, np.inf, 10.0, 0, "erf", law([1e-3, 1.0])),
    "earliest time at p = n": Problem(1e3, 1e3, np.inf, 1e-4, 0, "abs", law([1.0])),
    "null directions": Problem(0.5, 3.0, 4, 0.1, 0, "erf", law([0.0, 2.0])),
    "null directions, linear": Problem(0.2, 3.0, 2, 0.1, 0, "linear", law([0.0, 2.0])),
    "tiny training and score losses": Problem(900.0, 300.0, np.inf, 2.0, 1e-12, "erf", law([1.0])),
    "tiny training loss": Problem(0.5, 60.0, 2, 0.1, 1e-12, "softplus", law([0.1, 1.0])),
}  # fmt: skip


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=() if k in (3, 7, 15) else pytest.mark.slow) for k, case in enumerate(HARD)]
)
def test_the_hardest_points(case):
    problem = HARD[case]
    losses = predict(problem)
    assert not violations(problem, losses)[0]
    assert losses.steps <= 150
    ((_, errors),) = compare(problem, losses, [0])
    assert max(errors.values()) <= BEYOND, errors


@pytest.mark.parametrize("name, m", [pytest.param("erf", 1, marks=pytest.mark.slow), ("relu", 3), ("linear", 4)])
def test_up_to_the_peak_at_ridge_zero(name, m):
    """The error is that of rounding p/nm and its factors, in units of its distance from one: nothing else is lost."""
    gaps = np.array([1e-3, -1e-3, 1e-6, -1e-6, 1e-9, -1e-9, 1e-11, -1e-11, 3e-13, -3e-13])
    nm = 0.7
    problem = Problem(nm / m, nm * (1 + gaps), m, 0.1, 0.0, name, law([0.2, 3.0]))
    losses = predict(problem)
    assert not violations(problem, losses)[0].any()
    for gap, errors in compare(problem, losses, range(len(gaps))):
        assert max(errors.values()) <= 1.5e-15 / gap + 1e-13, (gap, errors)
    # They diverge like the inverse distance, from both sides.
    np.testing.assert_allclose(losses.test[4:6] / losses.test[2:4], 1e3, rtol=1e-4)


@pytest.mark.slow
def test_at_the_peak_at_any_ridge():
    """p = nm to the last digit: losses diverge or vanish like the square root of the ridge, to all digits."""
    ridge = np.array([1e-3, 1e-30, 1e-100])
    cases = [("erf", 2.0, 6.0, 3), ("relu", 0.25, 0.25, 1), ("linear", 0.25, 3.0, 4), ("linear", 0.25, 0.5, 2)]
    cases += [("linear", 0.5, 1.0, 2), ("tanh", 2.0**-10, 1.0, 1024)]
    for name, psi_n, psi_p, m in cases:
        problem = Problem(psi_n, psi_p, m, 0.1, ridge, name, law([0.2, 3.0]))
        losses = predict(problem)
        assert not violations(problem, losses)[0].any()
        for _, errors in compare(problem, losses, range(len(ridge))):
            assert max(errors.values()) <= BEYOND, (name, m, errors)
    np.testing.assert_allclose(predict(Problem(0.001, 1, 1000, 0.1, 1e-30)).test, 1.491077e14, rtol=1e-6)


LAST_DIGITS = np.array([0.0, 2e-16, -2e-16, 7e-16, 2e-14, -2e-14, 9e-14, -9e-14, 1.01e-13, -1.01e-13, 1e-12, -3e-11])
"""Relative distances: within rounding, at the edges of what counts as a coincidence, beyond."""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["linear", "relu"])
def test_next_to_the_peak_at_any_ridge(name):
    """nm, p and (linear features) d meet or all but meet, at ridges of a hundred decades: every cell converges."""
    rng, count = np.random.default_rng(13), 8000
    m = rng.choice([1, 2, 3, 10, 1e3, 1e6], count)
    draws = np.where(rng.random(count) < 0.5, 10 ** rng.uniform(-2, 2, count), 1 + rng.choice(LAST_DIGITS, count))
    psi_p = draws * (1 + rng.choice(LAST_DIGITS, count))
    at_d = rng.random(count) < 0.3
    psi_p = np.where(at_d, 1 + rng.choice(LAST_DIGITS, count), psi_p)
    t, ridge = 10 ** rng.uniform(-4, 1, count), 10 ** rng.uniform(-100, 0, count)
    losses = predict(Problem(draws / m, psi_p, m, t, ridge, name, law([0.2, 3.0])))
    assert losses.converged.all() and np.max(losses.steps) <= 200
    values = np.stack([getattr(losses, loss) for loss in (*Losses.NAMES, "objective")])
    assert np.isfinite(values).all() and (values >= 0).all()


@pytest.mark.parametrize("name", ["linear", "relu"])
def test_noise_far_below_the_signal(name):
    """Next to p = nm and p = n, noise down to 1e-26 of the data's variance; below, p = n at m = inf may fail."""
    rng, count = np.random.default_rng(14), 8000
    m = rng.choice([1, 3, 1e6, np.inf], count)
    psi_n = 10 ** rng.uniform(-4, 4, count)
    draws = psi_n * np.where((m < np.inf) & (rng.random(count) < 0.5), m, 1.0)
    psi_p = draws * (1 + rng.choice(LAST_DIGITS, count))
    t, ridge = 10 ** rng.uniform(-10, -6, count), 10 ** rng.uniform(-100, 0, count)
    losses = predict(Problem(psi_n, psi_p, m, t, ridge, name, law([1e14, 1e16])))
    assert losses.converged.all()


@pytest.mark.slow
def test_next_to_the_peak_the_error_is_that_of_rounding():
    """Linear features just short of d, draws more or fewer than they by some 1e-14 of it, a ridge that decides nothing.

    Rounding of nm/p is 2e-16 of a distance of 2e-14 or more, and that of p some 2e-16 of its distance from d.
    """
    for gap in (-1e-11, -1e-5, -0.05):
        for distance in (2e-14, -2e-14, 9e-14, -9e-14):
            problem = Problem((1 + gap) * (1 + distance), 1 + gap, 1, 1.07, 1e-80, "linear", law([1.0]))
            losses = predict(problem)
            ((_, errors),) = compare(problem, losses, [0])
            assert max(errors.values()) <= 0.05, (gap, distance, errors)


@pytest.mark.slow
def test_derivatives_at_the_peak():
    """Whatever the ridge, log test falls by half its logarithm, and its slope by time is that of any tiny ridge."""

    def log_test(t, ridge):
        return jax.numpy.log(predict(Problem(2.0, 6.0, 3, t, ridge, "erf", law([0.2, 3.0]))).test)

    slopes = jax.jit(jax.vmap(jax.jacfwd(log_test, argnums=(0, 1)), in_axes=(None, 0)))
    ridge = np.array([1e-20, 1e-30, 1e-60, 1e-100])
    by_time, by_ridge = slopes(0.1, ridge)
    np.testing.assert_allclose(by_ridge * ridge, -0.5, rtol=1e-8)
    step = 1e-4
    difference = (log_test(0.1 + step, ridge) - log_test(0.1 - step, ridge)) / (2 * step)
    np.testing.assert_allclose(by_time, difference, rtol=1e-5)


@pytest.mark.slow
def test_exact_singularities_by_rule():
    """p = nm, or nm = min(p, d) for linear features, at ridge = 0 only; whatever rounding makes of n m."""
    psi_n, m = np.array([0.1, 0.7, 1e-3, 123.4]), np.array([3, 7, 1e4, 1])
    for name in activations.NAMES:
        if name == "linear":
            at_rank = Problem([0.3, 0.2, 0.25], [0.3 * 3, 5.0, 1.0], [3, 5, 4], 0.2, 0, name)
        else:
            at_rank = Problem(psi_n, psi_n * m, m, 0.2, 0, name, law([1e-3, 1e3]))
        losses = predict(at_rank)
        assert losses.converged.all()
        np.testing.assert_array_equal(losses.train, 0)
        np.testing.assert_array_equal(losses.objective, 0)
        for diverging in ("empirical_test", "test", "score"):
            np.testing.assert_array_equal(getattr(losses, diverging), np.inf)
    # Not singular: a ridge, infinite m, linear features more than d or fewer than the draws.
    regular = (
        Problem(psi_n, psi_n * m, m, 0.2, 1e-12, "tanh", law([1e-3, 1e3])),
        Problem(psi_n, psi_n, np.inf, 0.2, 0, "tanh", law([1e-3, 1e3])),
        Problem(2.0, np.array([6.0, 1.0, 0.5]), 3, 0.2, 0, "linear", law([0.2, 3.0])),
        Problem(2.0, np.inf, np.inf, 0.2, 0, "tanh", law([0.2, 3.0])),
    )
    for problem in regular:
        losses = predict(problem)
        assert losses.converged.all() and np.isfinite(losses.test).all() and (losses.train > 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", FIELDS)
def test_a_bad_cell_flags_itself_only(name):
    """Bit for bit, among cells of several chunks whose moments come from a table."""
    problem, losses = sample(0)
    leaves, structure = jax.tree.flatten(problem)
    bad = np.arange(MANY) == 8500
    leaves[FIELDS.index(name)] = np.where(bad, np.nan, leaves[FIELDS.index(name)])
    spoiled = predict(jax.tree.unflatten(structure, leaves))
    assert not spoiled.converged[bad] and spoiled.converged[~bad].all()
    for loss in (*Losses.NAMES, "objective"):
        assert np.isnan(getattr(spoiled, loss)[bad])
        np.testing.assert_array_equal(getattr(spoiled, loss)[~bad], getattr(losses, loss)[~bad])


@pytest.mark.parametrize(
    "activation", [activations.custom(lambda u: 0 * u), activations.polynomial([2.0])], ids=["zero", "constant"]
)
def test_a_constant_activation_learns_nothing(activation):
    """Its features carry no signal: the zero network at any ridge, zero included."""
    problem = Problem.grid(
        [0.1, 3.0], [0.1, 0.3, 3.0], [1, 3, np.inf], 0.2, [0, 1e-9, 1.0], activation, law([0.2, 3.0])
    )
    losses = predict(problem)
    assert losses.converged.all()
    for name in ("train", "empirical_test", "test", "objective"):
        np.testing.assert_allclose(getattr(losses, name), 1, rtol=IDENTITY)


def test_the_oracle_at_ridge_zero_is_the_limit():
    """What a ridge of 1e-60 leaves, by comparison with 1e-50 in its place: nothing in 20 digits, at any side."""
    rows = []
    for psi_p in (0.8 * (1 - 1e-9), 0.8 * (1 + 1e-9), 0.1, 30.0):
        fields = (0.2, psi_p, 4, 0.1, 0.0, 0.3, 0.01, 0.02, [0.2, 3.0], [0.5, 0.5])
        one, other = Oracle(*fields), Oracle(*fields)
        other.ridge *= 10**10
        rows += list(zip(one.losses().values(), other.losses().values(), strict=True))
    for one, other in rows:
        assert abs(one - other) <= abs(one) * 1e-20
