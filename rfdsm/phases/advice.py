"""Advice for one's own n, d and data: will it memorise, and which ridge, width and stopping time to use."""

import dataclasses
import warnings
from typing import Any

import numpy as np
import xarray as xr

from rfdsm import _laws as laws, datasets
from rfdsm._arguments import check_whole, number_array
from rfdsm._hints import ActivationLike, Count, KeyLike, Number, Rows, ScheduleLike, SpectrumLike, TargetLike
from rfdsm._problem import Problem
from rfdsm._samples import standardise
from rfdsm.losses import Losses
from rfdsm.phases import _fields as fields
from rfdsm.phases._boundaries import boundary
from rfdsm.phases._evidence import Evidence, measured, spectrum_error
from rfdsm.phases._optimal import optimal
from rfdsm.phases._regimes import REGIMES, labels
from rfdsm.phases._rivals import hopeless_because, rivals
from rfdsm.phases._wording import advice_text
from rfdsm.spectra._population import repeated
from rfdsm.theory._predict import predict
from rfdsm.theory._stopping import optimal_stopping
from rfdsm.units import flow_steps

WIDTHS = 48
"""Widths from which the recommended one is chosen."""
GOOD_ENOUGH = 0.05
"""The recommended width is the smallest whose test loss exceeds the floor by at most that much more than the best."""
FAR = 1e3
"""The memorisation boundary is looked for up to so many times the larger of n and d."""
CURVES = ("train", "empirical_test", "test", "floor")


@dataclasses.dataclass(frozen=True)
class Point:
    """Theory at one width and ridge."""

    p: int
    ridge: float
    regime: str
    harmful: bool
    """Worse than a network that outputs zero."""
    memorisation_index: float
    signed: dict[str, float]
    """The signed fields (docs/phases)."""
    losses: dict[str, float]
    """train, empirical_test, test, score and floor."""


@dataclasses.dataclass(frozen=True)
class Stopping:
    """The time of gradient flow from zero at which the test loss is smallest."""

    time: float
    """Flow time theta; inf if training never hurts."""
    memorisation_time: float
    """Flow time from which on it memorises; inf if never."""
    test: float
    """Test loss there."""
    final: float
    """Test loss of the trained-out network."""
    steps: float | None
    """Steps of gradient descent at the learning rate given until `time`."""
    memorisation_steps: float | None
    """The same until `memorisation_time`."""


@dataclasses.dataclass(frozen=True)
class Advice:
    """What theory says about n samples in d dimensions, and how sure it is. Printed in words by `text`."""

    n: int
    d: int
    m: float
    t: float
    activation: str
    spectrum: str
    data: bool
    """Whether the spectrum and the evidence come from rows of data."""
    asked: Point
    """The width and ridge asked about; where left open no ridge, and the recommended width (or the widest)."""
    given: tuple[str, ...]
    """Which of p and ridge were given."""
    boundary_p: float
    """Nearest width at which memorisation begins or ends at this ridge; NaN if there is none."""
    boundary_rising: bool
    """Whether memorisation begins there as p grows."""
    hopeless: str | None
    """Why nothing is recommended, in words: no network gains anything. None if one does."""
    ridge_at_width: Point | None
    """The same width with the ridge that is best for it; None if nothing is recommended."""
    best: Point | None
    """The recommended width and ridge; None if nothing is."""
    widest: int
    """Largest width considered."""
    stopping: Stopping | None
    """For the width and ridge asked about; None if nothing is recommended."""
    targets: dict[str, tuple[float, float]]
    """Best first: least score error of each target at that width, and the share of the directions it has to learn."""
    evidence: Evidence | str
    """Simulations beside the theory at the point asked about, or why there are none."""
    spectrum_error: dict[str, float]
    """With data: standard errors of theory at the point asked about, for its spectrum is estimated from the rows."""
    copies: int
    """Rows of the data that are exact copies of others."""
    curves: xr.Dataset
    """Losses over the widths, at the ridge asked about and at the best one."""

    @property
    def margin(self) -> tuple[float, float]:
        """Memorisation field expected at this d (theory plus measured deviation), and its uncertainty.

        The uncertainty is two standard errors, of the simulation and of the spectrum estimated from data, and where
        another size was simulated also the deviation itself, which then is only an estimate.
        """
        value = self.asked.signed["memorisation"]
        of_spectrum = self.spectrum_error.get("memorisation", 0.0)
        if isinstance(self.evidence, str):
            return value, float("nan")
        deviation, error = self.evidence.expected("memorisation")
        own = self.evidence.scale == 1 and (self.evidence.n, self.evidence.p) == (self.n, self.asked.p)
        return value + deviation, (0 if own else abs(deviation)) + 2 * float(np.hypot(error, of_spectrum))

    def text(self) -> str:
        """The advice in plain words."""
        return advice_text(self)

    def __str__(self) -> str:
        return self.text()

    def to_dataset(self) -> xr.Dataset:
        """The numbers as a labelled dataset, the curves over the widths included."""
        dataset = self.curves.copy()
        roles = {"asked": self.asked, "same_width": self.ridge_at_width, "recommended": self.best}
        for role, point in roles.items():
            if point is None:
                continue
            values = {"p": point.p, "ridge": point.ridge, "regime": REGIMES.index(point.regime)}
            for name, value in (values | point.losses | point.signed).items():
                dataset[f"{role}_{name}"] = ((), value, {"long_name": f"{name}, {role}", "units": "1"})
        told: dict[str, tuple[float, str]] = {"boundary_p": (self.boundary_p, "width at the memorisation boundary")}
        if self.stopping is not None:
            told["stopping_time"] = self.stopping.time, "best flow time"
            told["memorisation_time"] = self.stopping.memorisation_time, "flow time of memorisation"
            told["stopping_test"] = self.stopping.test, "test loss at the best flow time"
        for name, (score, _) in self.targets.items():
            told[f"score_of_{name}"] = score, f"least score error of the {name} target at the width asked about"
        for name, value in self.spectrum_error.items():
            told[f"spectrum_error_{name}"] = value, f"standard error of {name}, of the spectrum estimated from the rows"
        if isinstance(self.evidence, Evidence):
            for name in self.evidence.theory:
                deviation, error = self.evidence.expected(name)
                told[f"deviation_{name}"] = deviation, f"expected deviation of {name}"
                told[f"deviation_{name}_error"] = error, "its standard error"
        return dataset.assign({name: ((), value, {"long_name": label}) for name, (value, label) in told.items()})


def advise(
    n: Count | None = None,
    d: Count | None = None,
    *,
    t: Number = 0.1,
    m: Number = np.inf,
    p: Count | None = None,
    ridge: Number | None = None,
    data: Rows | None = None,
    activation: ActivationLike = "tanh",
    spectrum: SpectrumLike | None = None,
    schedule: ScheduleLike = "ou",
    target: TargetLike = "noise",
    learning_rate: Number | None = None,
    max_p: Count | None = None,
    budget: Count = 512,
    key: KeyLike = 0,
) -> Advice:
    """Will a random-features score network memorise n samples in d dimensions, and what to do about it.

    Args:
        n: training samples, >= 2; with data, all its rows may be meant by leaving it out.
        d: dimension, >= 2; with data, its number of columns (may be left out).
        t: time of the schedule.
        m: noise draws per sample, an integer or inf.
        p: features; None asks about the recommended width.
        ridge: penalty; None asks about none (ridge = 0).
        data: real samples, shape (rows, d): they are standardised, theory takes the spectrum of their population as
            estimated from them (`spectra.from_data`), and simulations train on them. The real data's score, and so its
            floor, is unknown: the floor is that of Gaussian data.
        activation, spectrum, schedule, target: as for `Problem`; no spectrum with data.
        learning_rate: of plain gradient descent on the loss per coordinate: stopping times in steps, too.
        max_p: largest width to consider; default 4 max(n, d), or p if that is larger.
        budget: widest network to simulate, for the finite-size estimate (8 trials); 0: simulate nothing.
        key: seed of the simulations.

    Returns:
        `Advice`; print it.

    Raises:
        ValueError: n < 2, d < 2 or other arguments out of range, data that cannot be used.

    Examples:
        >>> from rfdsm import advise
        >>> advice = advise(n=40, d=20, t=0.1, p=80, budget=0)  # budget = 0: theory alone
        >>> print(advice)
        n = 40 samples in d = 20 dimensions, infinitely many noise draws per sample, t = 0.1, tanh features, ...
        Memorisation begins at p = 78 features (p/n = 1.95) at this ridge.
        What to do:
          ridge: 0.576 at p = 80 gives test loss 0.8501.
        ...
    """
    rows = None if data is None else laws.Rows(standardise(data))
    if rows is not None:
        n, d = rows.size if n is None else n, rows.dimension(None) if d is None else d
        if spectrum is not None:
            raise ValueError("spectrum cannot be combined with data: it is a property of the rows")
    n, d = check_whole("n", n, 2), check_whole("d", d, 2)
    p = None if p is None else check_whole("p", p, 1)
    max_p = None if max_p is None else check_whole("max_p", max_p, 1)
    budget = check_whole("budget", budget, 0)
    rate = None if learning_rate is None else _single("learning_rate", learning_rate, "finite and > 0")
    if rate is not None and not (np.isfinite(rate) and rate > 0):
        raise ValueError(f"learning_rate = {rate:g} must be finite and > 0")
    if rows is not None:
        d, spectrum = rows.dimension(d), rows.spectrum
    asked_ridge = 0.0 if ridge is None else _single("ridge", ridge, "finite and >= 0")
    widest = max(max_p or 4 * max(n, d), p or 1)
    draws, time = _single("m", m, ">= 1"), _single("t", t, "> 0")
    problem = Problem(n / d, 1.0, draws, time, asked_ridge, activation, spectrum, schedule, target)
    source: Any = laws.of(rows, problem.spectrum)

    widths = np.unique(np.round(np.geomspace(min(max(1, d // 16), widest), widest, WIDTHS)).astype(int))
    widths = np.union1d(widths, [] if p is None else [p]).astype(int)
    with_best = optimal(problem.at(psi_p=widths / d), "ridge")
    excess = with_best.losses.test - with_best.losses.floor
    chosen = int(np.argmax(excess <= (1 + GOOD_ENOUGH) * np.min(excess)))
    test, floor, null = (float(np.min(getattr(with_best.losses, name))) for name in ("test", *Losses.BOUNDS))
    hopeless = hopeless_because(problem, test, floor, null, widest)
    width = p if p is not None else widest if hopeless else int(widths[chosen])
    here = int(np.flatnonzero(widths == width)[0])
    at_width = problem.at(psi_p=np.asarray(width / d))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # no boundary: said in words
        limits = (1 / d, FAR * max(n, d) / d)
        crossing = boundary(problem, "memorisation", "psi_p", bounds=limits)
    distances = np.abs(np.log(np.nan_to_num(crossing.roots, nan=np.inf) / (width / d)))
    nearest = int(np.argmin(distances))
    best_ridges = with_best["ridge"]
    at_best = problem.at(psi_p=widths[chosen] / d, ridge=best_ridges[chosen])
    return Advice(
        n=n,
        d=d,
        m=float(problem.m),
        t=float(problem.t),
        activation=problem.activation.name,
        spectrum=problem.spectrum.label,
        data=not source.known,
        asked=_point(at_width, width),
        given=tuple(name for name, value in (("p", p), ("ridge", ridge)) if value is not None),
        boundary_p=float(crossing.roots[nearest] * d),
        boundary_rising=bool(crossing.rising[nearest] > 0),
        hopeless=hopeless,
        ridge_at_width=None if hopeless else _point(at_width.at(ridge=best_ridges[here]), width),
        best=None if hopeless else _point(at_best, int(widths[chosen])),
        widest=widest,
        stopping=None if hopeless else _stopping(at_width, width, d, rate),
        targets={} if hopeless else rivals(at_width),
        evidence=_evidence(at_width, d, budget, source, key, hopeless),
        spectrum_error={} if source.known else spectrum_error(at_width, source.estimate),
        copies=0 if source.known else repeated(source.rows),
        curves=_curves(problem, widths, d, best_ridges),
    )


def _evidence(problem: Problem, d: int, budget: int, law: laws.Law, key: Any, hopeless: str | None) -> Evidence | str:
    if hopeless:
        return "nothing was simulated"
    if not budget:
        return "no simulation was asked for (budget = 0)"
    return measured(problem, d, widest=budget, data=law, key=key)


def _single(name: str, value: Any, allowed: str) -> float:
    array = number_array(name, value, allowed)
    if array.size != 1:
        raise ValueError(f"{name} has shape {array.shape}: must be one number, {allowed}")
    return float(array.reshape(()))


def _point(problem: Problem, width: int) -> Point:
    losses = predict(problem)
    named = fields.of(losses, problem)
    signed = fields.signed(named)
    code = int(labels(signed))
    return Point(
        p=width,
        ridge=float(problem.ridge),
        regime=REGIMES[code] if code >= 0 else "unknown",
        harmful=bool(signed["harmful"] > 0),
        memorisation_index=float(fields.indices(named)["memorisation_index"]),
        signed={name: float(value) for name, value in signed.items()},
        losses={name: float(value) for name, value in named.items() if name != "excess"},
    )


def _stopping(problem: Problem, width: int, d: int, rate: float | None) -> Stopping:
    found = optimal_stopping(problem, minimise="test")
    units: dict[str, Any] = {"schedule": problem.schedule, "target": problem.target, "variance": problem.spectrum.mean}
    times = float(found.time), float(found.memorisation_time)
    steps = [None if rate is None else float(flow_steps(at, rate, float(problem.t), width, d, **units)) for at in times]
    return Stopping(*times, float(found.loss), float(found.final), *steps)


def _curves(problem: Problem, widths: np.ndarray, d: int, best: np.ndarray) -> xr.Dataset:
    """Losses over the widths: at the ridge asked about, and with the prefix best_ridge_ at the best ridge of each."""
    along = problem.at(psi_p=widths / d)
    dataset = xr.Dataset(coords={"p": ("p", widths, {"long_name": "features", "units": "1"})})
    dataset["best_ridge"] = datasets.variable("", ("p",), best, "best ridge of each width")
    for prefix, family in (("", along), ("best_ridge_", along.at(ridge=best))):
        losses = predict(family)
        for name in CURVES:
            dataset[prefix + name] = datasets.variable(name, ("p",), getattr(losses, name))
    return dataset.assign_attrs(datasets.provenance(along))
