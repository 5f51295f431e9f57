"""What a model is: a problem with fields, theory and simulation of the same quantities. All upper floors take one.

Datasets, comparisons, tables, pictures and sweeps are written once, for whatever model they are given. A new model is a
class below, or in a package of its own as `rfdsm.linear.model`: names, and a few functions that call both wings.
"""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from rfdsm._laws import Law
from rfdsm._problem import FIELDS, PARAMETRISATION, Problem
from rfdsm._vocabulary import FIELDS as FIELD_WORDS, Quantity
from rfdsm.losses import QUANTITIES, Losses, Run
from rfdsm.simulation._plan import plan, realised
from rfdsm.simulation._simulate import simulated, simulated_groups
from rfdsm.simulation._training import trained_groups
from rfdsm.simulation._trial import seeds
from rfdsm.spectra import Spectrum, _population as population
from rfdsm.theory._predict import predict
from rfdsm.theory._training import training_curve

Progress = Callable[[int, int], Any]


class Model(ABC):
    """One kind of problem, with the options that its quantities depend on. Subclasses are frozen dataclasses of those.

    A request to simulate is a mapping with `trials`, `key`, `data`, `dtype`, `devices` and `memory_limit`, as the
    arguments of `rfdsm.simulate`. Arrays have one axis for each of `names`, then those of the grid, then `trailing`.
    """

    name: ClassVar[str]
    """In stores of sweeps."""
    title: ClassVar[str]
    """Of datasets."""
    fields: ClassVar[tuple[str, ...]]
    """Numeric fields of its problem, in order; their words are in `rfdsm.vocabulary.FIELDS`."""
    follows: ClassVar[Mapping[str, str]] = {}
    """Fields that another one brings along unless they are given: they name no axis where that one varies, too."""
    axis: ClassVar[str]
    """Name of the axis of quantities in datasets."""
    quantities: ClassVar[tuple[str, ...]]
    """What theory and simulation have in common, and are compared by."""
    of_law: ClassVar[tuple[str, ...]]
    """Those that take the density of the data."""
    simulated: ClassVar[tuple[str, ...]]
    """What simulations yield, in this order."""
    predicted: ClassVar[tuple[str, ...]]
    """What theory yields."""
    long_names: ClassVar[Mapping[str, str]] = {}
    """Of what is called otherwise than in the other models."""
    infinite: ClassVar[str] = "ridge = 0, as many draws as independent features"
    """Where theory is infinite, in words."""

    def asked(self, problem: Any) -> dict[str, np.ndarray]:
        """All fields that span the grid."""
        return {name: np.asarray(getattr(problem, name)) for name in self.fields}

    def shape(self, problem: Any) -> tuple[int, ...]:
        """Of the grid."""
        return np.broadcast_shapes(*(values.shape for values in self.asked(problem).values()))

    def field_name(self, problem: Any, field: str) -> str:
        """In words, for files and axes."""
        return FIELD_WORDS[field].long_name

    @property
    def trailing(self) -> Mapping[str, np.ndarray]:
        """Further axes of every quantity, with their coordinates."""
        return {}

    @property
    def options(self) -> dict[str, Any]:
        """What else the numbers depend on, as it is written in files."""
        return {}

    def words(self, name: str) -> Quantity:
        """Title, long name and look of a quantity."""
        return QUANTITIES[name]

    def names(self, law: Law) -> tuple[str, ...]:
        """Quantities that can be compared."""
        return tuple(name for name in self.quantities if law.known or name not in self.of_law)

    @abstractmethod
    def structure(self, problem: Any) -> dict[str, str]:
        """What a problem has besides numbers, by name, in words."""

    @abstractmethod
    def predict(self, problem: Any) -> dict[str, np.ndarray]:
        """Theory: an array for each of `predicted`."""

    @abstractmethod
    def realised(self, problem: Any, d: int, law: Law) -> Any:
        """The problem that a simulation in d dimensions really solves."""

    def limit(self, values: Mapping[str, np.ndarray], law: Law) -> Any:
        """What a comparison holds of theory at the problem as asked."""
        return np.stack([values[name] for name in self.names(law)])

    def error(self, problem: Any, dimensions: Sequence[int], law: Law) -> Any:
        """Standard error of theory, (names, dimensions, *grid), where its spectrum is an estimate."""

        def quantities(estimate: population.Law) -> np.ndarray:
            spectrum = Spectrum(*population.alike(estimate))
            at = [self.predict(self.realised(problem, d, law).at(spectrum=spectrum)) for d in dimensions]
            return np.array([[part[name] for part in at] for name in self.names(law)], dtype=np.float64)

        with np.errstate(invalid="ignore"):  # inf - inf at p = nm without ridge
            return law.error(quantities)

    @abstractmethod
    def plan(self, problem: Any, d: Any, **request: Any) -> Any:
        """A checked request: `groups` of cells that are computed together, each with the flat indices `cells`,
        `devices`, `d`, `key`, `trials`, and the sizes `n` and `p` over the grid. Raises ValueError for what cannot be
        simulated."""

    @abstractmethod
    def groups(self, request: Any) -> Generator[tuple[Any, np.ndarray], None, None]:
        """Each group of a plan with its values, (simulated, trials, cells, *trailing), as soon as it is done."""

    @abstractmethod
    def at(self, fields: Mapping[str, np.ndarray], structure: Any) -> tuple["Model", Any]:
        """Model and problem with these fields and the structure, all but the numbers, of another problem."""

    @abstractmethod
    def compilation(self, group: Any, request: Any) -> Any:
        """What a group's compiled code depends on: hashable, equal for groups of a plan that share it."""

    @abstractmethod
    def work(self, group: Any, d: int) -> float:
        """Operations that one trial of a group takes, roughly; only ratios matter."""

    def simulate(self, request: Any, progress: Progress) -> tuple[np.ndarray, Run]:
        """The whole grid of a plan, (quantities, trials, *grid, *trailing), and what was drawn."""
        parts: dict[int, np.ndarray] = {}
        for group, values in self.groups(request):
            parts |= {int(index): values[:, :, place] for place, index in enumerate(group.cells)}
            progress(len(parts), request.n.size)
        whole = np.stack([parts[index] for index in range(len(parts))], axis=2)
        whole = whole[[self.simulated.index(name) for name in self.quantities]]
        whole = whole.reshape(*whole.shape[:2], *request.n.shape, *whole.shape[3:])
        return whole, Run(request.n, request.p, request.d, seeds(request.key, request.trials))


@dataclasses.dataclass(frozen=True)
class RandomFeatures(Model):
    """The random-feature network that this package is about, at the minimum of its objective."""

    name = "random features"
    title = "Losses of denoising score matching with random features, per coordinate"
    fields = FIELDS
    axis = "loss"
    quantities = Losses.NAMES
    of_law = ("score",)
    simulated = (*Losses.NAMES, "objective")
    predicted = (*Losses.NAMES, "objective", *Losses.BOUNDS, "converged", "residual", "steps")

    def structure(self, problem: Problem) -> dict[str, str]:
        """See `Model`. The schedule and target of most problems go without saying."""
        found = {"activation": problem.activation.name, "spectrum": problem.spectrum.label}
        varied = {name: str(getattr(problem, name)) for name in PARAMETRISATION}
        return found | {name: text for name, text in varied.items() if text != PARAMETRISATION[name]}

    def field_name(self, problem: Problem, field: str) -> str:
        """See `Model`. What t is only the schedule knows."""
        return problem.schedule.long_name if field == "t" else super().field_name(problem, field)

    def predict(self, problem: Problem) -> dict[str, np.ndarray]:
        return _listed(predict(problem), self.predicted)

    def limit(self, values: Mapping[str, np.ndarray], law: Law) -> Any:
        """See `Model`: with all other fields."""
        return Losses(**values)  # pyright: ignore[reportArgumentType]

    def realised(self, problem: Problem, d: int, law: Law) -> Problem:
        return realised(problem, d, law)

    def plan(self, problem: Problem, d: Any, **request: Any) -> Any:
        return plan(problem, d, **request)

    def groups(self, request: Any) -> Generator[tuple[Any, np.ndarray], None, None]:
        return self._stacked(simulated_groups(request))

    def at(self, fields: Mapping[str, np.ndarray], structure: Problem) -> tuple[Model, Problem]:
        return self, structure.at(**fields)

    def compilation(self, group: Any, request: Any) -> Any:
        return group.settings, group.ridges.size

    def _stacked(self, groups: Generator[Any, None, None]) -> Generator[tuple[Any, np.ndarray], None, None]:
        try:
            for group, losses in groups:
                yield group, np.stack([np.asarray(getattr(losses, name)) for name in self.simulated])
        finally:
            groups.close()

    def work(self, group: Any, d: int) -> float:
        """See `Model`: moments over draws and over noise, and the factorisation."""
        s = group.settings
        draws = min(group.n * max(group.m, 1), s.dual or np.inf)
        moments = draws + (group.n + 10) * s.conditional_terms
        size = s.dual or s.p
        return float(s.p**2 * moments + s.p**2 * d + size**3 * (20 if s.path or s.zero else 1))

    def simulate(self, request: Any, progress: Progress) -> tuple[np.ndarray, Run]:
        """See `Model`. Groups share their draws, unlike those of `groups`."""
        losses = simulated(request, progress)
        assert losses.run is not None
        return np.stack([np.asarray(getattr(losses, name), np.float64) for name in self.quantities]), losses.run


@dataclasses.dataclass(frozen=True, eq=False)
class LearningCurves(RandomFeatures):
    """The same networks on their way to the minimum, by gradient flow."""

    times: np.ndarray
    initial: float = 0.0
    """Variance of the output weights at time 0."""

    title = "Learning curves of denoising score matching with random features, per coordinate"
    simulate = Model.simulate
    predicted = (*Losses.NAMES, "objective", *Losses.BOUNDS, "converged", "residual")

    @property
    def trailing(self) -> Mapping[str, np.ndarray]:
        return {"time": self.times}

    @property
    def options(self) -> dict[str, Any]:
        return {"times": self.times.tolist(), "initial": self.initial}

    def predict(self, problem: Problem) -> dict[str, np.ndarray]:
        return _listed(training_curve(problem, self.times, initial=self.initial), self.predicted)

    def plan(self, problem: Problem, d: Any, **request: Any) -> Any:
        return plan(problem, d, **request, primal=self.initial != 0, flow=True, records=self.times.size)

    def groups(self, request: Any) -> Generator[tuple[Any, np.ndarray], None, None]:
        return self._stacked(trained_groups(request, self.times, variance=self.initial))

    def work(self, group: Any, d: int) -> float:
        """See `Model`: all eigenvectors, whatever the ridges are."""
        size = group.settings.dual or group.settings.p
        return super().work(group, d) + 20.0 * size**3


RANDOM_FEATURES = RandomFeatures()


def _listed(losses: Losses, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    return {name: np.asarray(getattr(losses, name)) for name in names}
