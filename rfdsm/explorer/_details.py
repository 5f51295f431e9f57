"""What takes longer than a slider's step, and is computed once it rests: spectrum, learning curve, samples, advice."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float

from rfdsm import datasets, sampling, schedules
from rfdsm.explorer._state import State
from rfdsm.losses import Losses
from rfdsm.phases.advice import advise
from rfdsm.theory._generation import generated_law
from rfdsm.theory._stopping import optimal_stopping
from rfdsm.theory._training import training_curve
from rfdsm.theory.spectrum import spectral_density

PLACES = 400
"""Where the density is computed: as many at the edges of its bulks as anywhere."""
TIMES = 200
STEPS = 20
"""Of the sampler whose samples are shown."""
LEAST_RIDGE = 1e-9
"""Samples need a penalty, or networks of different levels have no common law."""


class Spectrum(NamedTuple):
    """Density of the eigenvalues of U."""

    u: Float[np.ndarray, " places"]
    density: Float[np.ndarray, " places"]
    edges: Float[np.ndarray, "bulks 2"]
    atoms: Float[np.ndarray, "atoms 2"]
    """Location and mass."""


class Training(NamedTuple):
    """Learning curves of gradient flow from zero."""

    times: Float[np.ndarray, " times"]
    losses: dict[str, Float[np.ndarray, " times"]]
    floor: float
    scales: dict[str, float]
    """tau_gen, best stopping and tau_mem, by the names of `Stopping`; inf for never."""


class Generation(NamedTuple):
    """Variances of generated samples along the eigenvectors of the sample covariance."""

    nodes: Float[np.ndarray, " nodes"]
    variance: Float[np.ndarray, " nodes"]
    trace: float
    kl: float
    """To the data's law, per dimension."""
    ridge: float
    """That was used: the state's, unless it is too small."""
    converged: bool


def spectrum(state: State) -> Spectrum:
    """Density with all its bulks, at places of their own."""
    problem = state.problem()
    edges = spectral_density(problem, np.ones(1)).edges
    edges = edges[~np.isnan(edges[:, 0])]
    low, high = max(float(edges.min(initial=np.inf)), 1e-8 * float(edges.max())), float(edges.max())
    u = _places(np.maximum(edges, low / 2), low / 3, 3 * high)
    found = spectral_density(problem, u)
    held = found.atoms.masses > 0
    atoms = np.stack([found.atoms.locations[held], found.atoms.masses[held]], axis=-1)
    return Spectrum(u, np.where(np.isfinite(found.density), found.density, np.nan), edges, atoms)


def _places(edges: np.ndarray, low: float, high: float) -> np.ndarray:
    """PLACES values from low to high: equal ratios, and within each bulk denser where square roots begin and end."""
    share = PLACES // (len(edges) + 1)
    angles = (1 - np.cos(np.linspace(0, np.pi, share))) / 2
    inside = [begin * (end / begin) ** angles for begin, end in edges if end > begin]
    rest = np.geomspace(low, high, PLACES - sum(part.size for part in inside))
    return np.sort(np.concatenate([*inside, rest]))


def training(state: State) -> Training:
    """Losses while training goes on, over times that show every scale."""
    problem = state.problem()
    stopping = optimal_stopping(problem)
    scales = {
        "generalisation_time": float(stopping.generalisation_time),
        "best_time": float(stopping.time),
        "memorisation_time": float(stopping.memorisation_time),
    }
    seen = [value for value in scales.values() if np.isfinite(value) and value > 0] or [1.0]
    last = max(max(seen) * 30, min(seen) * 1e4)
    if state.ridge > 0:
        last = min(last, 10 / state.ridge)
    first = min(seen) / 30
    times = np.geomspace(first, max(last, 10 * first), TIMES)
    found = training_curve(problem, times)
    values = {name: np.asarray(getattr(found, name)) for name in Losses.NAMES}
    return Training(times, values, float(np.asarray(found.floor).flat[0]), scales)


def training_dataset(state: State) -> xr.Dataset:
    """The learning curves as a labelled dataset."""
    shown = training(state)
    losses = training_curve(state.problem(), shown.times)
    return datasets.training(state.problem(), shown.times, losses, {"below_floor_time": np.inf} | shown.scales)


def sampler(state: State) -> sampling.Sampler:
    """DDIM over the whole schedule, in equal ratios of its times."""
    low, high = schedules.get(state.schedule).span
    return sampling.ddim(sampling.geometric(min(high, 80.0) if state.schedule != "beta_linear" else high, low, STEPS))


def generation(state: State) -> Generation:
    """Law of the samples that networks of this kind generate, one for each of STEPS levels."""
    ridge = max(state.ridge, LEAST_RIDGE)
    law = generated_law(state.problem(ridge=ridge), sampler(state))
    order = np.argsort(law.nodes)
    kept = order[law.weights[order] > 0]
    return Generation(law.nodes[kept], law.variance[kept], law.trace, law.kl, ridge, law.converged)


def advice(state: State) -> str:
    """What `advise` says of the sizes that a simulation of this point has, without simulations of its own."""
    problem = state.problem()
    found = advise(
        n=max(2, round(state.psi_n * state.d)),
        d=int(state.d),
        p=max(1, round(state.psi_p * state.d)),
        ridge=state.ridge,
        t=state.t,
        m=state.m,
        activation=problem.activation,
        spectrum=problem.spectrum,
        schedule=state.schedule,
        target=state.target,
        budget=0,
    )
    return found.text()


DETAILS: dict[str, Callable[[State], Any]] = {
    "spectrum": spectrum,
    "training": training,
    "generation": generation,
    "advice": advice,
}
"""By the name of the view."""
