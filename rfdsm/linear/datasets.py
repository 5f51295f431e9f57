"""Results of the linear denoiser as labelled xarray datasets."""

from typing import Any

import numpy as np
import xarray as xr

from rfdsm import datasets
from rfdsm.linear._memorisation import Memorisation
from rfdsm.linear._model import LinearDenoiser
from rfdsm.linear._problem import Problem
from rfdsm.losses import DenoisingLosses, GeneratedLaw


def predictions(problem: Problem, smoothing: Any, losses: DenoisingLosses, law: GeneratedLaw) -> xr.Dataset:
    """Theory's losses and generated law over the problem's grid."""
    values = {name: np.broadcast_to(getattr(losses, name), law.shape) for name in (*losses.NAMES, "floor", "objective")}
    values |= {name: getattr(law, name) for name in law.NAMES}
    return datasets.theory(problem, values, LinearDenoiser(np.asarray(smoothing, float)))


def chains(problem: Problem, steps: Any, law: GeneratedLaw, **configuration: Any) -> xr.Dataset:
    """The laws generated in several numbers of steps, from `chain` with a list of steps."""
    model = LinearDenoiser()
    over = (*datasets.dims(problem, model), "steps")
    coords = datasets.coordinates(problem, model)
    coords["steps"] = datasets.variable("steps", ("steps",), list(steps), "denoising steps")
    variables = {name: datasets.variable(name, over, getattr(law, name)) for name in law.NAMES}
    return xr.Dataset(variables, coords=coords, attrs=datasets.provenance(problem, model, **configuration))


def memorisations(problem: Problem, d: int, result: Memorisation, **configuration: Any) -> xr.Dataset:
    """Measures of memorisation per trial, and the probability over trials."""
    over_trials = {"probability": result.probability, "probability_error": result.probability_error}
    return datasets.trials(problem, d, vars(result), over_trials, LinearDenoiser(), **configuration)
