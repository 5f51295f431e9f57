"""Theory against simulation: `compare`, z-scores, and the extrapolation of finite-size bias."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import xarray as xr
from jaxtyping import Float

from rfdsm import _laws as laws, datasets
from rfdsm._generated_model import GeneratedSamples
from rfdsm._hints import Count, Devices, Dimensions, DTypeName, KeyLike, Number, Rows
from rfdsm._problem import Problem, check_problem
from rfdsm._statistics import standard_error
from rfdsm._values import one_line
from rfdsm.extrapolation import Extrapolation, fit, ratio, relative, z_score
from rfdsm.losses import Run
from rfdsm.model import RANDOM_FEATURES, Model, Progress

if TYPE_CHECKING:
    from rich.table import Table

CURVE_POINTS = 241
"""Theory is drawn on a grid this fine along the abscissa."""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A simulation beside the theory it should match.

    Arrays have shape (losses, dimensions, *problem.shape), losses in the order of `names`. Each simulation is held
    against theory at the ratios it realises: n = round(psi_n d), p = round(psi_p d), Sigma with d eigenvalues.

    At ridge = 0 theory may be infinite, where there are as many draws as features: nothing can be held against it, and
    `deviation` and all that follows from it is NaN. Where the draws are interpolated, theory's training loss is zero
    and the simulated one rounding: there `z` and `relative_deviation` are NaN.
    """

    problem: Any
    dimensions: tuple[int, ...]
    names: tuple[str, ...]
    limit: Any
    """Theory at the problem as asked: `Losses`, or an array in the order of `names`."""
    theory: Float[np.ndarray, "losses dimensions *grid"]
    """Theory at the realised ratios."""
    simulation: Float[np.ndarray, "losses dimensions trials *grid"]
    runs: tuple[Run, ...]
    """What each simulation really drew, one for each dimension."""
    settings: dict[str, Any]
    """Keyword arguments of the simulation, for the record."""
    model: Model = RANDOM_FEATURES
    """What the problem is one of."""
    theory_error: Float[np.ndarray, "losses dimensions *grid"] | float = 0.0
    """Standard error of theory: with data their population's spectrum is an estimate (`spectra.from_data`)."""

    @property
    def mean(self) -> Float[np.ndarray, "..."]:
        """Mean of the simulation over trials."""
        with np.errstate(invalid="ignore"):
            return np.mean(self.simulation, axis=2)

    @property
    def standard_error(self) -> Float[np.ndarray, "..."]:
        """Standard error of that mean, from the spread over trials; NaN where values are infinite."""
        return standard_error(self.simulation, axis=2)

    @property
    def deviation(self) -> Float[np.ndarray, "..."]:
        """Simulation minus theory; NaN where theory is infinite."""
        return self.mean - np.where(np.isinf(self.theory), np.nan, self.theory)

    @property
    def z(self) -> Float[np.ndarray, "..."]:
        """Deviation from theory in standard errors (of both, with data); at one d with the finite-size bias, O(1/d)."""
        return z_score(self.deviation, np.hypot(self.standard_error, self.theory_error))

    @property
    def relative_deviation(self) -> Float[np.ndarray, "..."]:
        """(simulation - theory)/theory."""
        return relative(self.deviation, self.theory)

    @property
    def extrapolation(self) -> Extrapolation | None:
        """Deviation extrapolated to d = inf, given at least two dimensions."""
        if len(self.dimensions) < 2:
            return None
        inverse = 1 / np.asarray(self.dimensions, dtype=float).reshape(1, -1, *[1] * (self.theory.ndim - 2))
        return fit(inverse, self.deviation, self.standard_error)

    @property
    def limits(self) -> Float[np.ndarray, "losses *grid"]:  # noqa: F821
        """Theory at the problem as asked, in the order of `names`."""
        if isinstance(self.limit, np.ndarray):
            return self.limit
        return np.stack([np.asarray(getattr(self.limit, name)) for name in self.names])

    def to_dataset(self) -> xr.Dataset:
        """Everything as one labelled dataset, with the full configuration, versions, seeds and device as attributes."""
        cells, kind = datasets.dims(self.problem, self.model), self.model.axis
        grid = (*cells, *self.model.trailing)
        of_theory = "standard error of theory: its spectrum is estimated from the rows of data"
        variables = {
            name: datasets.variable("", (kind, *axes, *grid), values, label)
            for name, axes, values, label in (
                ("theory", ("d",), self.theory, "theory at the realised ratios"),
                ("simulation", ("d", "trial"), self.simulation, f"simulated {kind} of each trial"),
                ("mean", ("d",), self.mean, "simulation, mean over trials"),
                ("standard_error", ("d",), self.standard_error, "standard error over trials"),
                ("theory_error", ("d",), np.broadcast_to(self.theory_error, self.theory.shape), of_theory),
                ("z", ("d",), self.z, "deviation in standard errors"),
                ("relative_deviation", ("d",), self.relative_deviation, "deviation relative to theory"),
                ("limit", (), self.limits, "theory at the problem as asked"),
            )
        }
        if not isinstance(self.limit, np.ndarray):
            variables["floor"] = datasets.variable("floor", grid, self.limit.floor)
        for name in ("n", "p"):
            sizes = [getattr(run, name) for run in self.runs]
            if not any(size is None for size in sizes):
                variables[name] = datasets.variable(name, ("d", *cells), sizes)
        extrapolation = self.extrapolation
        if extrapolation is not None:
            for field in ("intercept", "error", "slope", "slope_error", "z"):
                label = f"{field.replace('_', ' ')} of the deviation extrapolated in 1/d"
                values = getattr(extrapolation, field)
                variables[f"extrapolated_{field}"] = datasets.variable("", (kind, *grid), values, label)
        coords = datasets.coordinates(self.problem, self.model) | {
            kind: list(self.names),
            "d": datasets.variable("d", ("d",), self.dimensions),
            "trial": datasets.variable("trial", ("trial",), np.arange(self.simulation.shape[2])),
        }
        seeds = self.runs[0].seeds.tolist()  # trials of all dimensions have the same
        attrs = datasets.provenance(self.problem, self.model, d=list(self.dimensions), seeds=seeds, **self.settings)
        return xr.Dataset(variables, coords=coords, attrs=attrs)

    def plot(self, axes: Any = None, *, histogram: Any = None) -> np.ndarray:
        """Draw one panel per loss: theory as lines, simulations as points with error bars, floor, p = n and p = nm.

        Against ridge, on its logarithmic axis, cells of ridge = 0 are left out.

        Args:
            axes: matplotlib Axes, one per loss; None makes a figure.
            histogram: Axes for a histogram of the z-scores; True adds one below the figure made here.

        Returns:
            Array of the Axes that the losses are drawn on.
        """
        from rfdsm import plots  # here, for pictures need matplotlib, and comparisons do not

        dataset = self.to_dataset()
        abscissa = plots.abscissa(dataset)
        if abscissa in dataset.dims and np.any(dataset[abscissa] > 0):
            dataset = dataset.isel({abscissa: np.flatnonzero(dataset[abscissa] > 0)})
        theory = curves(self.problem, abscissa, self.model)
        return plots.comparison(dataset, theory, abscissa, axes=axes, histogram=histogram)

    def table(self) -> "Table":
        """A rich table with one row per cell and dimension.

        For each loss theory and simulation, with the standard error of the last digits in brackets; below them the
        deviation in units of 1/d, which is what it is of the order of, and relative to theory. Given several
        dimensions, a row d = inf has theory at the problem as asked and the value extrapolated in 1/d, and below them
        z, the deviation in standard errors. (With data all rows have z.) A dash stands for what means nothing (see the
        class).
        """
        finite_size = self.settings.get("data") is None
        rows = [
            (str(d), self.theory[:, k], self.mean[:, k], self.standard_error[:, k], d if finite_size else None)
            for k, d in enumerate(self.dimensions)
        ]
        extrapolation = self.extrapolation
        if extrapolation is not None:
            finite = np.where(np.isinf(self.limits), np.nan, self.limits)
            rows.append(("inf", self.limits, finite + extrapolation.intercept, extrapolation.error, None))
        from rfdsm import _tables as tables

        return tables.compared(self.problem, self.model, self.names, rows, self.simulation.shape[2], self.summary())

    def summary(self) -> str:
        """One paragraph: how well theory and simulation agree, first of all where they should, at d = inf."""
        lines = []
        extrapolation = self.extrapolation
        if extrapolation is not None:
            lines += _agreement("Extrapolated to d = inf", extrapolation.z)
        real = self.settings.get("data") is not None
        if real:
            lines += _agreement("On the rows", self.z)
        medians = [
            f"{np.median(values):.2%} at d = {d}"
            for d, at in zip(self.dimensions, np.moveaxis(np.abs(self.relative_deviation), 1, 0), strict=True)
            if (values := at[~np.isnan(at)]).size
        ]
        if medians:
            where = "From theory" if real else "At finite d, where they are O(1/d),"
            lines.append(f"{where} deviations are in the median {', '.join(medians)}.")
        if extrapolation is None and not real:
            lines.append("Several dimensions would be extrapolated to d = inf.")
        infinite = np.isinf(self.theory)
        failed = np.isnan(self.theory) | np.isnan(self.mean)
        vanishing = np.isnan(self.z) & ~infinite & ~failed
        for values, reason in (
            (infinite, f"theory is infinite there ({self.model.infinite})"),
            (vanishing, "simulation and theory agree to rounding"),
            (failed, "theory or simulation failed"),
        ):
            if np.any(values):
                lines.append(f"{np.sum(values)} of {values.size} values have no z: {reason}.")
        if real:
            lines.append("Real samples: theory is that of Gaussian data with their population's spectrum")
            uncertain = ratio(np.broadcast_to(self.theory_error, self.theory.shape), self.theory)
            if np.any(kept := np.isfinite(uncertain)):
                share = f"{np.median(uncertain[kept]):.2%}"
                lines[-1] += f", estimated from the rows: theory's standard error is {share} (median), and z counts it"
            lines[-1] += "."
        return " ".join(lines)


def curves(problem: Any, abscissa: str, model: Model = RANDOM_FEATURES) -> xr.Dataset:
    """Theory at the problem as asked, on a fine grid along one field."""
    names = datasets.dims(problem, model)
    values = model.asked(problem).get(abscissa, np.empty(0))
    positive = values[values > 0]
    if abscissa in names and values.size > 1 and positive.size and np.all(np.isfinite(values)):
        fine = np.geomspace(positive.min(), positive.max(), CURVE_POINTS if positive.size > 1 else 1)
        fine = np.unique(np.round(fine)) if abscissa == "m" else fine
        axis = names.index(abscissa) - len(names)
        problem = problem.at(**{abscissa: fine.reshape(-1, *[1] * (-axis - 1))})
    return datasets.theory(problem, model.predict(problem), model)


def compare(
    problem: Problem,
    d: Dimensions | None = None,
    *,
    trials: Count = 8,
    key: KeyLike = 0,
    data: Rows | None = None,
    dtype: DTypeName = "float64",
    devices: Devices | None = None,
    memory_limit: int | None = None,
    progress: Progress | None = None,
    sampler: Any = None,
    samples: Count = 1000,
    networks: str = "independent",
    start: Number | None = None,
) -> Comparison:
    """Simulate a problem and hold the result against theory: losses, or with a sampler the samples that come out.

    Args:
        problem: one problem or a grid of them. With data its spectrum is replaced by that of their
            population, estimated from the rows (`spectra.from_data`), and theory gets a standard error.
        d: dimension, or several for an extrapolation in 1/d; with data, the number of columns (may be left out).
        trials: independent repetitions, at least 2; their spread gives the standard errors.
        progress: called with (cells done, cells in all).
        sampler: from `rfdsm.sampling`: variances of samples in thirds of the spectrum of S, and their divergences, are
            held against `generated_law`; t is not used.
        samples, networks, start: with a sampler, as in `simulate_generation`. Theory is that of independent networks.

    The other arguments are those of `simulate`, which see for the errors raised. Returns a `Comparison`.

    Examples:
        >>> import numpy as np
        >>> from rfdsm import Problem, compare
        >>> comparison = compare(Problem(psi_n=2, psi_p=4, m=np.inf, t=0.1, ridge=1e-2), d=20, trials=4)
        >>> comparison.names
        ('train', 'empirical_test', 'test', 'score')
        >>> bool(np.all(np.abs(comparison.relative_deviation[:3]) < 0.1))
        True
    """
    check_problem(problem)
    request = dict(trials=trials, key=key, data=data, dtype=dtype, devices=devices, memory_limit=memory_limit)
    model: Model = RANDOM_FEATURES
    if sampler is not None:
        if np.dtype(dtype) != np.float64:
            raise ValueError(f"dtype = {one_line(dtype)} must be 'float64' with a sampler")
        model = GeneratedSamples.checked(sampler, samples, networks, start)
        problem = model.without_times(problem)
    return compared(model, problem, d, progress, Comparison, **request)


Kind = TypeVar("Kind", bound=Comparison)


def compared(model: Model, problem: Any, d: Any, progress: Progress | None, kind: type[Kind], **request: Any) -> Kind:
    """`compare` for any model and a request to simulate as its `plan` takes it; `kind` is the class returned."""
    trials, key = request["trials"], request["key"]
    if not isinstance(trials, int | np.integer) or isinstance(trials, bool) or trials < 2:
        raise ValueError(
            f"trials = {one_line(trials)} must be an integer >= 2: the standard error comes from their spread"
        )
    listed = (isinstance(d, Sequence) and not isinstance(d, str | bytes)) or (isinstance(d, np.ndarray) and d.ndim > 0)
    sizes: tuple[Any, ...] = tuple(d) if listed else (d,)
    if not sizes or len({str(size) for size in sizes}) < len(sizes):
        raise ValueError(f"d = {one_line(d)} must be one dimension or a list of different ones")
    request["data"] = law = laws.of(request["data"], problem.spectrum)
    problem = problem.at(spectrum=law.spectrum)
    plans = [model.plan(problem, size, **request) for size in sizes]  # every refusal before the first computation
    dimensions = tuple(plan.d for plan in plans)
    limit = model.limit(model.predict(problem), law)
    cells = max(1, int(np.prod(model.shape(problem))))
    names = model.names(law)
    kept = [model.quantities.index(name) for name in names]
    theory, simulations, runs = [], [], []
    for index, plan in enumerate(plans):

        def report(done: int, _: int, index: int = index) -> None:
            if progress is not None:
                progress(index * cells + done, len(plans) * cells)

        values, run = model.simulate(plan, report)
        expected = model.predict(model.realised(problem, plan.d, law))
        theory.append(np.stack([expected[name] for name in names]))
        simulations.append(values[kept])
        runs.append(run)
    return kind(
        problem=problem,
        dimensions=dimensions,
        names=names,
        limit=limit,
        theory=np.stack(theory, axis=1),
        simulation=np.stack(simulations, axis=1),
        runs=tuple(runs),
        settings=dict(trials=int(trials), key=str(key), dtype=str(np.dtype(request["dtype"])), data=law.shape),
        model=model,
        theory_error=model.error(problem, dimensions, law),
    )


def _agreement(where: str, z: np.ndarray) -> list[str]:
    z = z[~np.isnan(z)]
    if not z.size:
        return []
    rms = float(np.sqrt(np.mean(z**2)))
    return [f"{where}: z rms {rms:.2f}, |z| > 3 in {np.mean(np.abs(z) > 3):.1%} of {z.size} values."]
