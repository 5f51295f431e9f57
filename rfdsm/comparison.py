"""Theory against simulation: `compare`, z-scores, and the extrapolation of finite-size bias."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from jaxtyping import Float

from rfdsm import datasets, plots, spectra
from rfdsm.extrapolation import ROUNDING, Extrapolation, fit, ratio, z_score
from rfdsm.losses import Losses, Run
from rfdsm.problem import FIELDS, Problem
from rfdsm.samples import check_rows
from rfdsm.simulation.plan import plan, realised
from rfdsm.simulation.simulate import Progress, simulate
from rfdsm.theory.predict import predict
from rfdsm.values import one_line

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

    problem: Problem
    dimensions: tuple[int, ...]
    names: tuple[str, ...]
    limit: Losses
    """Theory at the problem as asked."""
    theory: Float[np.ndarray, "losses dimensions *grid"]
    """Theory at the realised ratios."""
    simulation: Float[np.ndarray, "losses dimensions trials *grid"]
    runs: tuple[Run, ...]
    """What each simulation really drew, one for each dimension."""
    settings: dict[str, Any]
    """Keyword arguments of the simulation, for the record."""

    @property
    def mean(self) -> Float[np.ndarray, "..."]:
        """Mean of the simulation over trials."""
        return np.mean(self.simulation, axis=2)

    @property
    def standard_error(self) -> Float[np.ndarray, "..."]:
        """Standard error of that mean, from the spread over trials."""
        return np.std(self.simulation, axis=2, ddof=1) / self.simulation.shape[2] ** 0.5

    @property
    def deviation(self) -> Float[np.ndarray, "..."]:
        """Simulation minus theory; NaN where theory is infinite."""
        return self.mean - np.where(np.isinf(self.theory), np.nan, self.theory)

    @property
    def z(self) -> Float[np.ndarray, "..."]:
        """Deviation from theory in standard errors; at one d it contains the finite-size bias, which is O(1/d)."""
        return z_score(self.deviation, self.standard_error)

    @property
    def relative_deviation(self) -> Float[np.ndarray, "..."]:
        """(simulation - theory)/theory."""
        return _relative(self.deviation, self.theory)

    @property
    def extrapolation(self) -> Extrapolation | None:
        """Deviation extrapolated to d = inf, given at least two dimensions."""
        if len(self.dimensions) < 2:
            return None
        inverse = 1 / np.asarray(self.dimensions, dtype=float).reshape(1, -1, *[1] * len(self.problem.shape))
        return fit(inverse, self.deviation, self.standard_error)

    def to_dataset(self) -> xr.Dataset:
        """Everything as one labelled dataset, with the full configuration, versions, seeds and device as attributes."""
        cells = datasets.dims(self.problem)
        over = ("loss", "d", *cells)
        variables = {
            "theory": datasets.variable("", over, self.theory, "theory at the realised ratios"),
            "simulation": datasets.variable(
                "", ("loss", "d", "trial", *cells), self.simulation, "simulated loss of each trial"
            ),
            "mean": datasets.variable("", over, self.mean, "simulation, mean over trials"),
            "standard_error": datasets.variable("", over, self.standard_error, "standard error over trials"),
            "z": datasets.variable("", over, self.z, "deviation in standard errors"),
            "relative_deviation": datasets.variable("", over, self.relative_deviation, "deviation relative to theory"),
            "limit": datasets.variable(
                "",
                ("loss", *cells),
                [getattr(self.limit, name) for name in self.names],
                "theory at the problem as asked",
            ),
            "floor": datasets.variable("floor", cells, self.limit.floor),
            "n": datasets.variable("n", ("d", *cells), [run.n for run in self.runs]),
            "p": datasets.variable("p", ("d", *cells), [run.p for run in self.runs]),
        }
        extrapolation = self.extrapolation
        if extrapolation is not None:
            for field in ("intercept", "error", "slope", "slope_error", "z"):
                label = f"{field.replace('_', ' ')} of the deviation extrapolated in 1/d"
                variables[f"extrapolated_{field}"] = datasets.variable(
                    "", ("loss", *cells), getattr(extrapolation, field), label
                )
        coords = datasets.coordinates(self.problem) | {
            "loss": list(self.names),
            "d": datasets.variable("d", ("d",), self.dimensions),
            "trial": datasets.variable("trial", ("trial",), np.arange(self.simulation.shape[2])),
        }
        seeds = self.runs[0].seeds.tolist()  # trials of all dimensions have the same
        attrs = datasets.provenance(self.problem, d=list(self.dimensions), seeds=seeds, **self.settings)
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
        dataset = self.to_dataset()
        abscissa = plots.abscissa(dataset)
        if abscissa in dataset.dims and np.any(dataset[abscissa] > 0):
            dataset = dataset.isel({abscissa: np.flatnonzero(dataset[abscissa] > 0)})
        return plots.comparison(dataset, curves(self.problem, abscissa), abscissa, axes=axes, histogram=histogram)

    def table(self) -> "Table":
        """A rich table with one row per cell and dimension.

        For each loss theory and simulation, with the standard error of the last digits in brackets; below them z and
        relative deviation. Given several dimensions, a row d = inf has theory at the problem as asked and the value
        extrapolated in 1/d. A dash stands for z and deviation where they mean nothing (see the class).
        """
        from rich.table import Table

        varying = [name for name in FIELDS if np.size(getattr(self.problem, name)) > 1]
        table = Table(title=self._title(varying), caption=self.summary())
        for name in (*varying, "d"):
            table.add_column(name, justify="right")
        for name in self.names:
            table.add_column(f"{name.replace('_', ' ')}\ntheory · simulation\nz · deviation", justify="right")
        rows = [
            (str(d), self.theory[:, k], self.mean[:, k], self.standard_error[:, k])
            for k, d in enumerate(self.dimensions)
        ]
        extrapolation = self.extrapolation
        if extrapolation is not None:
            limit = np.stack([np.asarray(getattr(self.limit, name)) for name in self.names])
            finite = np.where(np.isinf(limit), np.nan, limit)
            rows.append(("inf", limit, finite + extrapolation.intercept, extrapolation.error))
        fields = {name: np.broadcast_to(getattr(self.problem, name), self.problem.shape) for name in varying}
        for cell in np.ndindex(*self.problem.shape):
            for d, theory, mean, error in rows:
                losses = [_cell_text(theory[i][cell], mean[i][cell], error[i][cell]) for i in range(len(self.names))]
                table.add_row(*[f"{fields[name][cell]:g}" for name in varying], d, *losses)
            if cell and cell[-1] == self.problem.shape[-1] - 1:
                table.add_section()
        return table

    def _title(self, varying: list[str]) -> str:
        fixed = [
            f"{name} = {np.asarray(getattr(self.problem, name)).flat[0]:g}" for name in FIELDS if name not in varying
        ]
        activation, spectrum = self.problem.activation.name, self.problem.spectrum.label
        return ", ".join([*fixed, activation, f"covariance {spectrum}", f"{self.simulation.shape[2]} trials"])

    def summary(self) -> str:
        """One paragraph: how well theory and simulation agree."""
        z, deviation = (values[~np.isnan(values)] for values in (self.z, self.relative_deviation))
        lines = []
        if z.size and deviation.size:
            lines.append(
                f"z: rms {_rms(z):.2f}, |z| > 3 in {np.mean(np.abs(z) > 3):.1%} of {z.size} values; "
                f"median relative deviation {np.median(np.abs(deviation)):.2%}."
            )
        extrapolation = self.extrapolation
        if extrapolation is None:
            lines.append("One dimension: z contains the finite-size bias, which is O(1/d).")
        elif not np.all(np.isnan(extrapolation.z)):
            lines.append(f"Extrapolated to d = inf: z rms {_rms(extrapolation.z):.2f}.")
        infinite = np.isinf(self.theory)
        failed = np.isnan(self.theory) | np.isnan(self.mean)
        vanishing = np.isnan(self.z) & ~infinite & ~failed
        for values, reason in (
            (infinite, "theory is infinite there (ridge = 0, as many draws as independent features)"),
            (vanishing, "simulation and theory agree to rounding"),
            (failed, "theory or simulation failed"),
        ):
            if np.any(values):
                lines.append(f"{np.sum(values)} of {values.size} values have no z: {reason}.")
        if self.settings["data"] is not None:
            lines.append("Real samples: theory is that of Gaussian data with their covariance.")
        return " ".join(lines)


def curves(problem: Problem, abscissa: str) -> xr.Dataset:
    """Theory at the problem as asked, on a fine grid along one field."""
    names = datasets.dims(problem)
    values = np.asarray(getattr(problem, abscissa))
    positive = values[values > 0]
    if abscissa in names and values.size > 1 and positive.size and np.all(np.isfinite(values)):
        fine = np.geomspace(positive.min(), positive.max(), CURVE_POINTS if positive.size > 1 else 1)
        fine = np.unique(np.round(fine)) if abscissa == "m" else fine
        axis = names.index(abscissa) - len(names)
        problem = dataclasses.replace(problem, **{abscissa: fine.reshape(-1, *[1] * (-axis - 1))})
    return datasets.predictions(problem, predict(problem))


def compare(
    problem: Problem,
    d: Any = None,
    *,
    trials: Any = 8,
    key: Any = 0,
    data: Any = None,
    dtype: Any = "float64",
    devices: Any = None,
    memory_limit: int | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Simulate a problem and hold the result against theory.

    Args:
        problem: one problem or a grid of them. With data its spectrum is replaced by that of the data's covariance.
        d: dimension, or several for an extrapolation in 1/d; with data, the number of columns (may be left out).
        trials: independent repetitions, at least 2; their spread gives the standard errors.
        progress: called with (cells done, cells in all).

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
    if not isinstance(trials, int | np.integer) or isinstance(trials, bool) or trials < 2:
        raise ValueError(
            f"trials = {one_line(trials)} must be an integer >= 2: the standard error comes from their spread"
        )
    listed = (isinstance(d, Sequence) and not isinstance(d, str | bytes)) or (isinstance(d, np.ndarray) and d.ndim > 0)
    dimensions: tuple[Any, ...] = tuple(d) if listed else (d,)
    if not dimensions or len({str(size) for size in dimensions}) < len(dimensions):
        raise ValueError(f"d = {one_line(d)} must be one dimension or a list of different ones")
    if data is not None:
        data = check_rows(data)
        problem = dataclasses.replace(problem, spectrum=spectra.from_data(data))
        if dimensions == (None,):
            dimensions = (data.shape[1],)
    request = dict(trials=trials, key=key, data=data, dtype=dtype, devices=devices, memory_limit=memory_limit)
    for size in dimensions:  # every refusal comes before the first computation
        plan(problem, size, **request)
    limit = predict(problem)
    total = len(dimensions) * max(1, int(np.prod(problem.shape)))
    theory, simulations = [], []
    for index, size in enumerate(dimensions):

        def report(done: int, cells: int, index: int = index) -> None:
            if progress is not None:
                progress(index * cells + done, total)

        losses = simulate(problem, size, progress=report, **request)
        actual = realised(problem, size)
        if data is not None:  # the rows have exactly this covariance, not one realised from its spectrum
            actual = dataclasses.replace(actual, spectrum=problem.spectrum)
        theory.append(predict(actual))
        simulations.append(losses)
    names = tuple(name for name in Losses.NAMES if data is None or name != "score")

    def stacked(parts: list[Any], name: str) -> np.ndarray:
        return np.stack([np.asarray(getattr(part, name), dtype=np.float64) for part in parts])

    return Comparison(
        problem=problem,
        dimensions=tuple(int(size) for size in dimensions),
        names=names,
        limit=limit,
        theory=np.stack([stacked(theory, name) for name in names]),
        simulation=np.stack([stacked(simulations, name) for name in names]),
        runs=tuple(losses.run for losses in simulations),
        settings=dict(
            trials=int(trials),
            key=str(key),
            dtype=str(np.dtype(dtype)),
            data=None if data is None else list(data.shape),
        ),
    )


def _cell_text(theory: float, mean: float, error: float) -> str:
    """Two lines: theory and simulation; z and relative deviation."""
    deviation = np.asarray(np.nan if np.isinf(theory) else mean - theory)
    z, relative = float(z_score(deviation, np.asarray(error))), float(_relative(deviation, np.asarray(theory)))
    below = ("–" if np.isnan(value) else text for value, text in ((z, f"{z:+.1f}"), (relative, f"{relative:+.1%}")))
    return f"{_short(theory)} · {_with_error(mean, error)}\n{' · '.join(below)}"


def _relative(deviation: np.ndarray, theory: np.ndarray) -> np.ndarray:
    """Deviation relative to theory; NaN where both are rounding of a loss that vanishes."""
    vanishes = (np.abs(deviation) <= ROUNDING) & (np.abs(theory) <= ROUNDING)
    return np.where(vanishes, np.nan, ratio(deviation, theory))


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.nanmean(values**2)))


def _short(value: float) -> str:
    """Four decimals, or three digits where that would show few of them."""
    return f"{value:.4f}" if abs(value) >= 0.01 else f"{value:.3g}"


def _with_error(value: float, error: float) -> str:
    """0.8123(45): the error in units of the last digits shown; written out where these would be too many."""
    if not (np.isfinite(error) and np.isfinite(value)) or error <= 0:
        return _short(value)
    digits = int(max(1 - np.floor(np.log10(error)), 0))
    if digits > 9:
        return f"{value:.1e} ± {error:.0e}"
    return f"{value:.{digits}f}({error * 10**digits:.0f})"
