"""Generation as a model: what the upper floors need to know to hold its two wings against each other."""

import dataclasses
from collections.abc import Generator
from typing import Any, NamedTuple

import jax
import numpy as np

from rfdsm._arguments import check_whole, checked_variance
from rfdsm._problem import FIELDS, Problem
from rfdsm._values import one_line
from rfdsm._vocabulary import THIRDS
from rfdsm.model import Model, RandomFeatures
from rfdsm.sampling import Sampler
from rfdsm.simulation import _plan as levels
from rfdsm.simulation._generation import NETWORKS, check_request, generated
from rfdsm.theory._generation import generated_law

LAW = ("trace", "logdet", "kl", "reverse_kl")


@dataclasses.dataclass(frozen=True)
class GeneratedSamples(RandomFeatures):
    """Samples of networks of every level of a sampler: variances in thirds of the spectrum of S, and divergences.

    The latter are those of the covariance averaged over networks, as theory's are (`SimulatedGeneration.kl_along`).
    """

    sampler: Sampler
    samples: int = 1000
    networks: str = "independent"
    start: float | None = None

    name = "generation"
    title = "Samples of random-feature networks, per coordinate"
    fields = tuple(name for name in FIELDS if name != "t")
    axis = "quantity"
    quantities = (*THIRDS, *LAW)
    of_law = ("kl", "reverse_kl")
    simulated = quantities
    predicted = (*quantities, "converged", "residual")
    infinite = "no density in some direction"
    simulate, limit = Model.simulate, Model.limit

    @staticmethod
    def checked(sampler: Any, samples: Any, networks: Any, start: Any = None) -> "GeneratedSamples":
        """The model, its options checked. Raises ValueError."""
        if not isinstance(sampler, Sampler):
            raise ValueError(f"sampler = {one_line(sampler)} must be one of rfdsm.sampling, as sampling.ddim(levels)")
        if networks not in NETWORKS:
            raise ValueError(f"networks = {one_line(networks)} must be one of {', '.join(NETWORKS)}")
        first = None if start is None else checked_variance("start", start)
        return GeneratedSamples(sampler, check_whole("samples", samples, 2), networks, first)

    @staticmethod
    def without_times(problem: Problem) -> Problem:
        """The problem, its t one number that spans no axis: the sampler has the times. ValueError for several."""
        if np.size(problem.t) > 1:
            raise ValueError(f"t = {one_line(problem.t)} must be one number, which is not used: the sampler has times")
        return problem.at(t=float(np.ravel(problem.t)[0]))

    @property
    def options(self) -> dict[str, Any]:
        rest = {name: getattr(self, name) for name in ("samples", "networks", "start")}
        return {"sampler": str(self.sampler), "levels": list(self.sampler.levels)} | rest

    def predict(self, problem: Problem) -> dict[str, np.ndarray]:
        law = generated_law(problem, self.sampler, start=self.start)
        nodes, weights, variance = (np.asarray(x) for x in (law.nodes, law.weights, law.variance))
        order = np.argsort(nodes, axis=-1)
        share, value = (np.take_along_axis(x, order, axis=-1) for x in (weights, variance))
        ends = np.cumsum(share, axis=-1)
        starts = ends - share
        values = {name: np.asarray(getattr(law, name)) for name in (*LAW, "converged", "residual")}
        for k, name in enumerate(THIRDS):  # a node at a border belongs to both
            inside = np.clip(np.minimum(ends, (k + 1) / 3) - np.maximum(starts, k / 3), 0, None)
            values[name] = np.sum(inside * value, axis=-1) / np.sum(inside, axis=-1)
        return values

    def plan(self, problem: Problem, d: Any, **request: Any) -> "Plan":
        """See `Model`: every cell is checked, and is a group of its own."""
        shape, groups = self.shape(problem), []
        for index, place in enumerate(np.ndindex(*shape)):
            fields = {name: np.broadcast_to(values, shape)[place] for name, values in self.asked(problem).items()}
            cell = problem.at(**fields)
            checked = check_request(cell, self.sampler, d, self.samples, **request)
            groups.append(Group(cell, *checked, np.array([index])))
        plans = [group.plan for group in groups]
        n, p = (np.reshape([getattr(part, name)[0] for part in plans], shape) for name in ("n", "p"))
        return Plan(groups, plans[0].d, n, p, jax.local_devices()[:1], plans[0].key, plans[0].trials)

    def groups(self, request: "Plan") -> Generator[tuple["Group", np.ndarray], None, None]:
        for group in request.groups:
            problem, plan, settings, _ = group
            found = generated(problem, self.sampler, plan, settings, self.samples, self.networks, self.start)
            along = (getattr(found, name if name == "trace" else f"{name}_along") for name in LAW)
            yield group, np.stack([*found.groups(len(THIRDS))[1].T, *along])[:, :, None]

    def compilation(self, group: "Group", request: "Plan") -> Any:
        """See `Model`: sizes, and the length of the chain."""
        return float(group.problem.psi_n), float(group.problem.psi_p), float(group.problem.m)

    def work(self, group: "Group", d: int) -> float:
        """See `Model`: a factorisation and the draws of each level."""
        n, p, m = (float(getattr(group.problem, name)) for name in ("psi_n", "psi_p", "m"))
        draws = n * d * (m if np.isfinite(m) else 16)
        return self.sampler.size * ((p * d) ** 3 + (p * d) ** 2 * draws)


class Group(NamedTuple):
    """One cell."""

    problem: Problem
    plan: levels.Plan
    settings: levels.Settings
    cells: np.ndarray


class Plan(NamedTuple):
    """A checked request."""

    groups: list[Group]
    d: int
    n: np.ndarray
    p: np.ndarray
    devices: list[Any]
    key: jax.Array
    trials: int
