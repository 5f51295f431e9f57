"""Which models can be swept: the one that a problem is of, written as text and read back from it."""

import hashlib
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from rfdsm import activations, sampling
from rfdsm._generated_model import GeneratedSamples
from rfdsm._problem import PARAMETRISATION, Problem
from rfdsm._scope import jax_scope
from rfdsm.activations import Activation
from rfdsm.activations._closed_forms import Rectifier, Series
from rfdsm.linear._generated import checked_smoothing
from rfdsm.linear._model import LinearDenoiser
from rfdsm.linear._problem import Problem as LinearProblem
from rfdsm.model import RANDOM_FEATURES, Model
from rfdsm.sampling import Sampler
from rfdsm.spectra import Spectrum

_STAND_IN = {"schedule": "variance_exploding", "target": "noise"}
"""Has all times."""


LOSSES: Mapping[str, Any] = dict.fromkeys(("sampler", "samples", "networks", "start"))
"""Arguments of `GeneratedSamples.checked` where losses are meant."""


class ActivationError(Exception):
    """An activation, schedule or target that cannot be told from its text, its name."""


def model_of(
    problem: Any, smoothing: Any = 0.0, wasserstein: Any = True, generation: Mapping[str, Any] = LOSSES
) -> Model:
    """The model of a problem; `generation` are the arguments of `GeneratedSamples.checked`, sampler None for losses.

    Raises ValueError for what is no problem, and for options of another model.
    """
    if isinstance(problem, LinearProblem):
        if generation["sampler"] is not None:
            raise ValueError(f"sampler = {generation['sampler']} must be of a rfdsm.Problem: see linear.chain")
        return LinearDenoiser(checked_smoothing(smoothing, problem), bool(wasserstein))
    if not isinstance(problem, Problem):
        raise ValueError(f"problem = {problem!r} must be a Problem, or a mapping of its fields")
    if problem.traced:
        raise ValueError("problem must hold concrete numbers: call sweep outside jax.jit, grad and vmap")
    if np.any(smoothing != 0):
        raise ValueError(f"smoothing = {smoothing!r} must be 0: only the laws of rfdsm.linear are smoothed")
    if generation["sampler"] is None:
        return RANDOM_FEATURES
    return GeneratedSamples.checked(**generation)


def grid(fields: Mapping[str, Any], sampler: Any = None) -> Any:
    """The problem on the grid that a mapping of fields spans. Raises ValueError for fields it has not, or lacks."""
    if isinstance(sampler, Sampler):
        fields = {"t": sampler.levels[0]} | dict(fields)  # not used
    linear = "psi" in fields and "psi_n" not in fields
    problem, names, needed = (
        (LinearProblem, (*LinearDenoiser.fields, "spectrum"), ("psi", "T"))
        if linear
        else (Problem, (*RANDOM_FEATURES.fields, "activation", "spectrum", *PARAMETRISATION), RANDOM_FEATURES.fields)
    )
    for name in fields:
        if name not in names:
            raise ValueError(f"problem has an unknown field {name!r}, must be of {', '.join(names)}")
    missing = [name for name in needed if name not in fields]
    if missing:
        raise ValueError(f"problem lacks {', '.join(missing)}, must have all of {', '.join(needed)}")
    return problem.grid(**fields)


def text(model: Model, problem: Any) -> dict[str, Any]:
    """Model and problem as JSON takes them; equal texts are equal questions."""
    spectrum = problem.spectrum
    own = {name: listed(values) for name, values in model.asked(problem).items()}
    if isinstance(problem, Problem):
        own["activation"] = _activation_text(problem.activation)
        own |= _parametrisation_text(problem)
    own |= {"spectrum": {"nodes": listed(spectrum.nodes), "weights": listed(spectrum.weights)}}
    own |= {"spectrum_label": spectrum.label, "spectrum_error": spectrum.error}
    kind = {} if model.name == RANDOM_FEATURES.name else {"model": model.name} | model.options
    return kind | {"problem": own}


def read(described: Mapping[str, Any], problem: Any = None, stand_in: bool = False) -> tuple[Model, Any]:
    """Model and problem from their text.

    Args:
        described: see `text`.
        problem: for the activation, where that is a function of the user's.
        stand_in: let another activation stand in where the user's is missing.

    Raises:
        ActivationError: an activation that only the user has.
    """
    own = described["problem"]
    nodes, weights = (array(own["spectrum"][name]) for name in ("nodes", "weights"))
    spectrum = Spectrum(nodes, weights, own["spectrum_label"], own["spectrum_error"])
    if described.get("model") == LinearDenoiser.name:
        fields = {name: array(own[name]) for name in LinearDenoiser.fields}
        model = LinearDenoiser(array(own["smoothing"]), described["wasserstein"])
        return model, LinearProblem(**fields, spectrum=spectrum)
    activation = _activation(own["activation"]) if problem is None else problem.activation
    if activation is None and stand_in:
        activation = activations.get("linear")
    if activation is None:
        raise ActivationError(own["activation"]["custom"])
    model = _of_networks(described)
    fields = _times(model) | {name: array(own[name]) for name in model.fields}
    varied = _parametrisation(own, problem, stand_in)
    return model, Problem(**fields, activation=activation, spectrum=spectrum, **varied)


def provenance(asked: Mapping[str, Any]) -> tuple[Model, Any] | None:
    """Model and problem from the configuration of `rfdsm.datasets.provenance`; None if the activation is unknown."""
    spectrum = Spectrum(np.array(asked["spectrum_nodes"]), np.array(asked["spectrum_weights"]), asked["spectrum"])
    if "psi" in asked:
        fields = {name: asked[name] for name in LinearDenoiser.fields}
        return LinearDenoiser(np.asarray(asked["smoothing"], float)), LinearProblem(**fields, spectrum=spectrum)
    if asked["activation"] not in activations.NAMES:
        return None
    model = _of_networks(asked)
    fields = _times(model) | {name: asked[name] for name in model.fields}
    varied = {name: asked.get(name, default) for name, default in PARAMETRISATION.items()}
    try:
        return model, Problem(**fields, activation=asked["activation"], spectrum=spectrum, **varied)
    except ValueError:  # a schedule or target made of functions
        return None


def _of_networks(described: Mapping[str, Any]) -> Model:
    """What is asked of random features: their losses, or where there is a sampler its samples."""
    if "samples" not in described:
        return RANDOM_FEATURES
    own = (described[name] for name in ("samples", "networks", "start"))
    return GeneratedSamples.checked(sampling.get(described["sampler"], described["levels"]), *own)


def _times(model: Model) -> dict[str, float]:
    """A time for problems whose times are the sampler's."""
    return {"t": model.sampler.levels[0]} if isinstance(model, GeneratedSamples) else {}


def _parametrisation_text(problem: Problem) -> dict[str, Any]:
    """Schedule and target where they are not the default; of functions, what they say at the problem's times."""
    texts: dict[str, Any] = {}
    for name, default in PARAMETRISATION.items():
        found = getattr(problem, name)
        if not found.has_text:
            asked = problem.asked
            texts[name] = {"custom": str(found), "values": [listed(np.round(value, 9)) for value in asked]}
        elif str(found) != default:
            texts[name] = str(found)
    return texts


def _parametrisation(own: Mapping[str, Any], problem: Any, stand_in: bool) -> dict[str, Any]:
    texts = {name: own.get(name, default) for name, default in PARAMETRISATION.items()}
    for name, text in texts.items():
        if not isinstance(text, str):
            if problem is None and not stand_in:
                raise ActivationError(text["custom"])
            texts[name] = _STAND_IN[name] if problem is None else getattr(problem, name)
    return texts


def listed(values: Any) -> Any:
    """As nested lists of numbers; infinity as text, for JSON has none."""
    if isinstance(values, list):
        return [listed(value) for value in values]
    if isinstance(values, float):
        return "inf" if math.isinf(values) else values
    return listed(np.asarray(values, np.float64).tolist())


def array(values: Any) -> np.ndarray:
    """Back from `listed`."""
    return np.asarray(values, dtype=object).astype(np.float64)


def _activation_text(activation: Activation) -> dict[str, Any]:
    if activation.name in activations.NAMES and activation == activations.get(activation.name):
        return {"name": activation.name}
    if isinstance(activation, Series):
        return {"hermite" if activation.hermite else "polynomial": list(activation.coefficients)}
    if isinstance(activation, Rectifier) and activation == activations.leaky_relu(activation.slope):
        return {"leaky_relu": activation.slope}
    # A function has no name that lasts; its values tell another one, to six digits whatever machine computed them.
    with jax_scope():
        values = np.asarray(activation(np.linspace(-8.0, 8.0, 257)))
    written = " ".join(f"{value:.5e}" for value in values)
    points = list(getattr(activation, "breakpoints", ()))
    return {"custom": activation.name, "breakpoints": points, "values": hashlib.sha256(written.encode()).hexdigest()}


def _activation(described: dict[str, Any]) -> Activation | None:
    (kind, value), *_ = described.items()
    if kind == "name":
        return activations.get(value)
    return getattr(activations, kind)(value) if kind in ("polynomial", "hermite", "leaky_relu") else None
