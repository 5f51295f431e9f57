"""The linear denoiser as a model: what the upper floors need to know of it, and its door to comparisons."""

import dataclasses
from collections.abc import Generator, Mapping
from typing import Any, ClassVar

import numpy as np

from rfdsm import _comparison as comparison
from rfdsm._arguments import keywords
from rfdsm._hints import Count, Devices, Dimensions, KeyLike, Number, Numbers, Rows
from rfdsm._laws import Law
from rfdsm.linear._generated import checked_smoothing, generated
from rfdsm.linear._plan import Cell, Plan, plan, realised
from rfdsm.linear._predict import predict
from rfdsm.linear._problem import FIELDS, Problem
from rfdsm.linear._simulate import settings, simulated_groups
from rfdsm.losses import DenoisingLosses, GeneratedLaw
from rfdsm.model import Model, Progress


@dataclasses.dataclass(frozen=True, eq=False)
class LinearDenoiser(Model):
    """Losses of the linear denoiser and the law it generates."""

    smoothing: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(()))
    """Added to the variances of both laws; broadcasts against the problem."""
    wasserstein: bool = True
    """Whether simulations compute that distance; NaN otherwise."""

    name = "linear"
    title = "The linear one-step denoiser, per coordinate"
    fields = FIELDS
    follows: ClassVar[Mapping[str, str]] = {"noise_scale": "T"}
    axis = "quantity"
    quantities = (*DenoisingLosses.NAMES, *GeneratedLaw.NAMES)
    of_law = ("excess",)
    simulated = (*quantities, "objective")
    predicted = (*quantities, "floor", "objective", "converged", "residual", "steps")
    long_names: ClassVar[Mapping[str, str]] = {"floor": "loss of the best denoiser"}
    infinite = "n m = d at ridge = 0, or singular laws that are not smoothed"

    def asked(self, problem: Problem) -> dict[str, np.ndarray]:
        return super().asked(problem) | {"smoothing": self.smoothing}

    @property
    def options(self) -> dict[str, Any]:
        return {"wasserstein": self.wasserstein}

    def at(self, fields: Mapping[str, np.ndarray], structure: Problem) -> tuple["LinearDenoiser", Problem]:
        own = {name: values for name, values in fields.items() if name != "smoothing"}
        return dataclasses.replace(self, smoothing=fields["smoothing"]), structure.at(**own)

    def structure(self, problem: Problem) -> dict[str, str]:
        return {"spectrum": problem.spectrum.label}

    def predict(self, problem: Problem) -> dict[str, np.ndarray]:
        law: Any = generated(problem, self.smoothing)
        losses: Any = predict(problem)
        values = _listed(losses, law, self.predicted)
        values["converged"] = losses.converged & law.converged
        values["residual"] = np.maximum(losses.residual, law.residual)
        return {name: np.broadcast_to(value, law.shape) for name, value in values.items()}

    def realised(self, problem: Problem, d: int, law: Law) -> Problem:
        return realised(problem, d, law)

    def plan(self, problem: Problem, d: Any, **request: Any) -> Plan:
        return plan(problem, d, self.smoothing, **request)

    def groups(self, request: Plan) -> Generator[tuple[Cell, np.ndarray], None, None]:
        for cell, found in simulated_groups(request, self.wasserstein):
            yield cell, np.stack([*_listed(found.losses, found.generated, self.simulated).values()])

    def compilation(self, group: Cell, request: Plan) -> Any:
        return settings(group, request, self.wasserstein)

    def work(self, group: Cell, d: int) -> float:
        """See `Model`: moments over draws, and factorisations of d x d."""
        return float(group.n * max(group.m, 1) * d**2 + 30 * d**3)


def _listed(losses: DenoisingLosses, law: GeneratedLaw, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(law if name in GeneratedLaw.NAMES else losses, name) for name in names}


class Comparison(comparison.Comparison):
    """A simulation beside the theory it should match: `rfdsm.Comparison`, with losses and then statistics of the law.

    Arrays have shape (quantities, dimensions, *grid), quantities in the order of `names`, the grid that of problem and
    smoothing broadcast; `limit` is an array, too. Each simulation is held against theory at the ratio n/d and the
    covariance that it realises.
    """

    @property
    def smoothing(self) -> np.ndarray:
        """Variance that smooths both laws."""
        return self.model.asked(self.problem)["smoothing"]


@keywords("trials", "key", after=2)
def compare(
    problem: Problem,
    d: Dimensions | None = None,
    *,
    trials: Count = 8,
    key: KeyLike = 0,
    smoothing: Numbers = 0.0,
    wasserstein: bool = True,
    data: Rows | None = None,
    devices: Devices | None = None,
    memory_limit: Number | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Simulate a problem and hold losses and generated law against theory.

    Args:
        problem: one problem or a grid of them. With data its spectrum is replaced by that of the data's covariance.
        d: dimension, or several for an extrapolation in 1/d; with data, the number of columns (may be left out).
        trials: independent repetitions, at least 2; their spread gives the standard errors.
        progress: called with (cells done, cells in all).

    The other arguments are those of `simulate`, which see for the errors raised. Returns a `Comparison`.
    """
    model = LinearDenoiser(checked_smoothing(smoothing, problem), bool(wasserstein))
    request = dict(trials=trials, key=key, data=data, dtype="float64", devices=devices, memory_limit=memory_limit)
    return comparison.compared(model, problem, d, progress, Comparison, **request)
