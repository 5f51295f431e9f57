"""Theory of the linear denoiser against its simulation: `compare`, z-scores, and extrapolation of finite-size bias."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from jaxtyping import Float

from rfdsm.arguments import check_whole
from rfdsm.extrapolation import Extrapolation, fit, ratio
from rfdsm.linear import datasets, plots
from rfdsm.linear.generated import GeneratedLaw, checked_smoothing, generated
from rfdsm.linear.losses import DenoisingLosses
from rfdsm.linear.plan import plan, realised
from rfdsm.linear.predict import predict
from rfdsm.linear.problem import FIELDS, Problem
from rfdsm.linear.simulate import Progress, simulate
from rfdsm.values import one_line

if TYPE_CHECKING:
    from rich.table import Table

NAMES = (*DenoisingLosses.NAMES, *GeneratedLaw.NAMES)
CURVE_POINTS = 241
"""Theory is drawn on a grid this fine along the abscissa."""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A simulation beside the theory it should match.

    Arrays have shape (quantities, dimensions, *grid), quantities in the order of `names`: losses, then statistics of
    the generated law. Each simulation is held against theory at the ratio n/d and the covariance that it realises.
    """

    problem: Problem
    smoothing: Float[np.ndarray, "..."]
    dimensions: tuple[int, ...]
    limit: Float[np.ndarray, "quantities *grid"]
    """Theory at the problem as asked."""
    theory: Float[np.ndarray, "quantities dimensions *grid"]
    """Theory at the realised ratios."""
    simulation: Float[np.ndarray, "quantities dimensions trials *grid"]
    settings: dict[str, Any]
    """Arguments of the simulation, for the record."""
    names: tuple[str, ...] = NAMES

    @property
    def mean(self) -> Float[np.ndarray, "..."]:
        """Mean of the simulation over trials."""
        return np.mean(self.simulation, axis=2)

    @property
    def standard_error(self) -> Float[np.ndarray, "..."]:
        """Standard error of that mean, from the spread over trials; NaN where values are infinite."""
        with np.errstate(invalid="ignore"):
            return np.std(self.simulation, axis=2, ddof=1) / self.simulation.shape[2] ** 0.5

    @property
    def deviation(self) -> Float[np.ndarray, "..."]:
        """Simulation minus theory; 0 where both are infinite."""
        with np.errstate(invalid="ignore"):
            return np.where(self.mean == self.theory, 0.0, self.mean - self.theory)

    @property
    def z(self) -> Float[np.ndarray, "..."]:
        """Deviation in standard errors; at one d it contains the finite-size bias, which is O(1/d)."""
        return ratio(self.deviation, self.standard_error)

    @property
    def relative_deviation(self) -> Float[np.ndarray, "..."]:
        """(simulation - theory)/theory."""
        return ratio(self.deviation, self.theory)

    @property
    def extrapolation(self) -> Extrapolation | None:
        """Deviation extrapolated to d = inf, given at least two dimensions."""
        if len(self.dimensions) < 2:
            return None
        inverse = 1 / np.asarray(self.dimensions, dtype=float).reshape(1, -1, *[1] * (self.theory.ndim - 2))
        with np.errstate(divide="ignore", invalid="ignore"):
            return fit(inverse, self.deviation, self.standard_error)

    def to_dataset(self) -> xr.Dataset:
        """Everything as one labelled dataset, with configuration, versions and device as attributes."""
        return datasets.comparison(self)

    def plot(self, axes: Any = None) -> np.ndarray:
        """Draw one panel per quantity: theory as lines, simulation as points with error bars. Returns the Axes."""
        dataset = self.to_dataset()
        return plots.comparison(dataset, curves(self.problem, self.smoothing, plots.abscissa(dataset)), axes=axes)

    def table(self) -> "Table":
        """A rich table: for every cell and dimension theory, simulation with its standard error, and z."""
        from rich.table import Table

        varying = [name for name in FIELDS if np.size(getattr(self.problem, name)) > 1]
        table = Table(title=self._title(varying), caption=self.summary())
        for name in (*varying, "d"):
            table.add_column(name, justify="right")
        for name in self.names:
            table.add_column(f"{name.replace('_', ' ')}\ntheory · simulation · z", justify="right")
        shape = self.theory.shape[2:]
        fields = {name: np.broadcast_to(getattr(self.problem, name), shape) for name in varying}
        mean, error, z = self.mean, self.standard_error, self.z
        for cell in np.ndindex(*shape):
            for k, d in enumerate(self.dimensions):
                texts = []
                for i in range(len(self.names)):
                    place = (i, k, *cell)
                    texts.append(f"{self.theory[place]:.4g} · {mean[place]:.4g}±{error[place]:.1g} · {z[place]:+.1f}")
                table.add_row(*[f"{fields[name][cell]:g}" for name in varying], str(d), *texts)
        return table

    def _title(self, varying: list[str]) -> str:
        fixed = [
            f"{name} = {np.asarray(getattr(self.problem, name)).flat[0]:g}" for name in FIELDS if name not in varying
        ]
        rest = [f"covariance {self.problem.spectrum.label}", f"{self.simulation.shape[2]} trials"]
        if np.any(self.smoothing > 0):
            rest.insert(0, f"smoothing {np.unique(self.smoothing).tolist()}")
        return ", ".join([*fixed, *rest])

    def summary(self) -> str:
        """One paragraph: how well theory and simulation agree."""
        z = self.z[np.isfinite(self.z)]
        lines = [f"z: rms {np.sqrt(np.mean(z**2)):.2f}, |z| > 3 in {np.mean(np.abs(z) > 3):.1%} of {z.size} values."]
        extrapolation = self.extrapolation
        if extrapolation is None:
            lines.append("One dimension: z contains the finite-size bias, which is O(1/d).")
        else:
            beyond = extrapolation.z[np.isfinite(extrapolation.z)]
            lines.append(f"Extrapolated to d = inf: z rms {np.sqrt(np.mean(beyond**2)):.2f}.")
        return " ".join(lines)


def curves(problem: Problem, smoothing: Any, along: str) -> xr.Dataset:
    """Theory on a fine grid along one field, from its least to its greatest value in the problem."""
    rho = checked_smoothing(smoothing, problem)
    names = datasets.dims(problem, rho.shape)
    values = np.asarray(getattr(problem, along))
    positive = values[values > 0]
    if along in names and values.size > 1 and np.all(np.isfinite(values)) and positive.size > 1:
        fine = np.geomspace(positive.min(), positive.max(), CURVE_POINTS)
        fine = np.unique(np.round(fine)) if along == "m" else fine
        axis = names.index(along) - len(names)
        problem = dataclasses.replace(problem, **{along: fine.reshape(-1, *[1] * (-axis - 1))})
    return datasets.predictions(problem, rho, predict(problem), generated(problem, rho))


def compare(
    problem: Problem,
    d: Any,
    trials: Any = 8,
    key: Any = 0,
    *,
    smoothing: Any = 0.0,
    wasserstein: bool = True,
    progress: Progress | None = None,
) -> Comparison:
    """Simulate a problem and hold losses and generated law against theory.

    Args:
        problem: one problem or a grid of them.
        d: dimension, or several for an extrapolation in 1/d.
        trials: independent repetitions, at least 2; their spread gives the standard errors.
        progress: called with (cells done, cells in all).

    The other arguments are those of `simulate`, which see for the errors raised. Returns a `Comparison`.
    """
    check_whole("trials", trials, 2)
    listed = (isinstance(d, Sequence) and not isinstance(d, str | bytes)) or (isinstance(d, np.ndarray) and d.ndim > 0)
    dimensions: tuple[Any, ...] = tuple(d) if listed else (d,)
    if not dimensions or len({str(size) for size in dimensions}) < len(dimensions):
        raise ValueError(f"d = {one_line(d)} must be one dimension or a list of different ones")
    rho = checked_smoothing(smoothing, problem)
    shape = np.broadcast_shapes(problem.shape, rho.shape)
    for size in dimensions:  # every refusal comes before the first computation
        plan(problem, size, trials, key, rho, shape)
    total = len(dimensions) * max(1, int(np.prod(shape)))
    theory, simulation = [], []
    for index, size in enumerate(dimensions):

        def report(done: int, cells: int, index: int = index) -> None:
            if progress is not None:
                progress(index * cells + done, total)

        theory.append(_theory(realised(problem, size), rho))
        result = simulate(problem, size, trials, key, smoothing=rho, wasserstein=wasserstein, progress=report)
        simulation.append(_stacked(result.losses, result.generated))
    return Comparison(
        problem=problem,
        smoothing=rho,
        dimensions=tuple(int(size) for size in dimensions),
        limit=_theory(problem, rho),
        theory=np.stack(theory, axis=1),
        simulation=np.stack(simulation, axis=1),
        settings=dict(trials=int(trials), key=str(key), smoothing=rho.tolist(), wasserstein=bool(wasserstein)),
    )


def _theory(problem: Problem, smoothing: np.ndarray) -> np.ndarray:
    law = generated(problem, smoothing)
    losses = predict(problem)
    values = [np.broadcast_to(getattr(losses, name), law.shape) for name in DenoisingLosses.NAMES]
    return np.stack([*values, *(np.asarray(getattr(law, name)) for name in GeneratedLaw.NAMES)])


def _stacked(losses: DenoisingLosses, law: GeneratedLaw) -> np.ndarray:
    values = [np.asarray(getattr(losses, name)) for name in DenoisingLosses.NAMES]
    return np.stack([*values, *(np.asarray(getattr(law, name)) for name in GeneratedLaw.NAMES)])
