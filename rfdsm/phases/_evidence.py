"""How far networks of finite size, or on real rows, are from the theory: measured by simulation."""

import dataclasses
import warnings
from typing import Any

import jax
import numpy as np
from scipy.special import stdtrit  # scipy.stats takes a second to import

from rfdsm import _laws as laws
from rfdsm._arguments import base_key
from rfdsm._comparison import Comparison, compare
from rfdsm._problem import Problem
from rfdsm._samples import standardise
from rfdsm._statistics import standard_error
from rfdsm.activations._expansion import PanelRule
from rfdsm.losses import Losses
from rfdsm.phases import _fields as fields
from rfdsm.phases._regimes import REGIMES, labels
from rfdsm.simulation._plan import realised
from rfdsm.simulation._series import conditional_choice
from rfdsm.simulation._simulate import simulate
from rfdsm.spectra import Spectrum, _population as population
from rfdsm.theory._predict import predict

LARGEST_D = 64
"""Simulated dimension, unless there would be fewer than LEAST samples or features."""
LEAST = 16
"""Of n, p and d each: below, a deviation of order 1/d is not seen yet, and says nothing about larger sizes."""
LARGEST_N = 2**14
WORK = 1e11
"""Products of the series in which the exact moments are computed, over all trials: about a minute."""
PANEL = 64
"""How many times longer one takes where no Gauss-Hermite rule is good enough."""
TRIALS = 8
TWINS = 12
"""Sets of Gaussian rows that tell how far real ones may deviate before they are called not Gaussian ..."""
FALSE_ALARM = 0.01
"""... and how often that happens to Gaussian ones."""
TESTED = ("test", "empirical_test")
NAMES = (*("train", "empirical_test", "test"), *fields.SIGNED)
"""Quantities that are measured."""


@dataclasses.dataclass(frozen=True)
class Evidence:
    """Simulated networks beside the theory of the same sizes. Mappings from NAMES to numbers."""

    d: int
    n: int
    p: int
    trials: int
    scale: float
    """What the deviation is multiplied by at the size asked about: O(1/d) shrinks, that of real rows does not."""
    rows: int | None
    """Number of rows of the data it was measured on; None for Gaussian samples."""
    regime: str
    """Regime of the simulated means."""
    theory: dict[str, float]
    mean: dict[str, float]
    error: dict[str, float]
    """Standard error of the mean."""
    gaussian: dict[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    """With rows: relative deviation of TESTED losses on Gaussian rows of the estimated covariance, mean and spread."""

    @property
    def same_size(self) -> bool:
        """Whether the very problem asked about was simulated."""
        return self.scale == 1.0 and self.rows is None

    def relative_deviation(self, name: str) -> float:
        """(simulation - theory)/theory."""
        return self.mean[name] / self.theory[name] - 1

    @property
    def not_gaussian(self) -> bool:
        """Whether the losses on the rows deviate from theory as they do not on Gaussian rows, to FALSE_ALARM."""
        bound = stdtrit(TWINS - 1, 1 - FALSE_ALARM / (2 * len(TESTED))) * (1 + 1 / TWINS) ** 0.5
        found = ((self.relative_deviation(name), *usual) for name, usual in self.gaussian.items())
        return any(abs(deviation - mean) > bound * spread for deviation, mean, spread in found)

    def expected(self, name: str) -> tuple[float, float]:
        """Deviation from theory to expect at the size asked about, and its standard error."""
        return (self.mean[name] - self.theory[name]) * self.scale, self.error[name] * self.scale


def measured(problem: Problem, d: int, *, widest: int, data: Any, key: Any) -> Evidence | str:
    """Simulates one problem at the same ratios in a modest dimension, or on data: rows or a law.

    Returns the evidence, or in words why there is none.
    """
    law = laws.of(data, problem.spectrum)
    found = (_in_modest_dimension if law.known else _on_rows)(problem, d, widest, law)
    if isinstance(found, str):
        return found
    asked, size = found
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", population.RepeatedRowsWarning)  # said where the rows came in
        compared = compare(asked, size, trials=TRIALS, key=key, data=law)
    # Real rows have no known score, and theory for them is that of Gaussian data.
    limit = predict(realised(asked, size, law))
    simulated = _losses(compared, compared.simulation, limit, asked)
    trials, theory = quantities(simulated), quantities(_losses(compared, compared.theory, limit, asked))
    mean = quantities({name: np.mean(values, axis=0) for name, values in simulated.items()})
    run = compared.runs[0]
    assert run.p is not None
    return Evidence(
        d=size,
        n=int(run.n),
        p=int(run.p),
        trials=TRIALS,
        scale=size / d,
        rows=law.size or None,
        regime=REGIMES[int(labels(mean))],
        theory={name: float(theory[name]) for name in NAMES},
        mean={name: float(mean[name]) for name in NAMES},
        error={name: float(standard_error(trials[name])) for name in NAMES},
        gaussian={} if law.known or not np.all(np.isfinite(compared.theory)) else _twins(asked, law.size, size, key),
    )


def spectrum_error(problem: Problem, found: population.Estimate) -> dict[str, float]:
    """Standard error of the theory's NAMES and of the floor, for its spectrum is estimated from rows.

    The rows are standardised by their own variance, and whoever asks may mean the population by its own: the larger
    error of the two, for repetitions as they are and for repetitions of equal mean.
    """
    names = (*NAMES, "floor")
    mean = float(found.law.weights @ found.law.nodes)

    def values(law: population.Law) -> np.ndarray:
        scaled = population.Law(law.nodes * (mean / (law.weights @ law.nodes)), law.weights)
        theory = [predict(problem.at(spectrum=Spectrum(*population.alike(one)))) for one in (law, scaled)]
        named = [quantities(fields.of(losses, problem)) for losses in theory]
        return np.array([[float(one[name]) for name in names] for one in named])

    with np.errstate(invalid="ignore"):  # inf - inf at p = nm without ridge
        return dict(zip(names, found.error(values).max(axis=0).tolist(), strict=True))


def quantities(named: dict[str, Any]) -> dict[str, Any]:
    """Losses that went through `fields.with_excess`, and their signed fields."""
    return named | fields.signed(named)


def _in_modest_dimension(problem: Problem, d: int, widest: int, law: laws.Law) -> tuple[Problem, int] | str:
    psi_n, psi_p = float(problem.psi_n), float(problem.psi_p)
    fewest = min(psi_n, psi_p, 1.0)
    size = min(d, max(LARGEST_D, int(np.ceil(LEAST / fewest))), int(widest / psi_p), int(LARGEST_N / psi_n))
    if size < d and size * fewest < LEAST:
        return (
            f"no finite-size estimate is possible: networks of {widest} features or fewer at these ratios have fewer "
            f"than {LEAST} samples, features or dimensions"
        )
    try:
        count, width = realised(problem, size).psi_n * size, psi_p * size
    except ValueError as error:  # less than one of something
        return f"no finite-size estimate is possible: {error}"
    if TRIALS * _work(problem, size, int(width), float(count), law) > WORK:
        return f"no finite-size estimate was made: in d = {size} dimensions it would take too long"
    return problem, size


def _on_rows(problem: Problem, d: int, widest: int, law: laws.Law) -> tuple[Problem, int] | str:
    if law.most < 1:
        return f"{law.size} rows are too few to train on some and test on others: not simulated"
    psi_p = min(float(problem.psi_p), widest / d)
    each = (TRIALS + TWINS) * _work(problem, d, 1, float(law.size), law)
    psi_p = min(psi_p, WORK / each / d)
    asked = problem.at(psi_n=np.asarray(min(float(problem.psi_n), law.most / d)), psi_p=np.asarray(psi_p))
    if np.round(float(asked.psi_n) * d) < 1 or np.round(psi_p * d) < 1:
        return f"at d = {d} nothing would be left of the samples or features: not simulated"
    return asked, d


def _work(problem: Problem, d: int, p: int, points: float, law: laws.Law) -> float:
    """Products in the moments of one network given its points: terms of a series times nodes of a rule."""
    choice = conditional_choice(problem.activation, d, max(p, 512), problem.level, law.mean_square(d), "float64")
    nodes = 1 if choice.rule is None else choice.rule.size * (PANEL if isinstance(choice.rule, PanelRule) else 1)
    return points * p * choice.terms * nodes


def _losses(compared: Comparison, values: np.ndarray, limit: Losses, problem: Problem) -> dict[str, Any]:
    """Of the only dimension, by name, with `excess`."""
    named = dict(zip(compared.names, values[:, 0], strict=True))
    named.setdefault("score", np.full(np.shape(named["test"]), np.nan))
    named |= {name: np.broadcast_to(getattr(limit, name), np.shape(named["test"])) for name in Losses.BOUNDS}
    return fields.with_excess(named, problem.asked.score_unit)


def _twins(asked: Problem, count: int, d: int, key: Any) -> dict[str, tuple[float, float]]:
    """Relative deviation from theory on Gaussian rows of the spectrum, mean and spread over TWINS sets of rows.

    Everything that is done with real rows is done with these: standardised, their spectrum estimated, networks trained
    on some of them. One network each: its scatter counts, so that the test is on the safe side.
    """
    values = population.quantiles(population.Law(asked.spectrum.nodes, asked.spectrum.weights), d)
    found: dict[str, list[float]] = {name: [] for name in TESTED}
    for twin in range(TWINS):
        own = jax.random.fold_in(base_key(key), 2**31 + twin)
        rng = np.random.default_rng(np.asarray(jax.random.key_data(own)))
        rows = standardise(population.gaussian_rows(values, count, rng))
        estimate = population.estimate(population.sample(rows))
        theory = predict(asked.at(spectrum=Spectrum(*population.alike(estimate))))
        losses = simulate(asked, d, trials=1, key=own, data=rows)
        for name in TESTED:
            found[name].append(float(np.mean(getattr(losses, name)) / getattr(theory, name)) - 1)
    return {name: (float(np.mean(x)), float(np.std(x, ddof=1))) for name, x in found.items()}
