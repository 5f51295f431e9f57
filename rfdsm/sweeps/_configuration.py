"""What is swept, as text: written into the store, compared with it before anything is added, and read back from it."""

import dataclasses
import json
import math
from collections.abc import Mapping
from importlib import metadata
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rfdsm import __version__, _laws as laws
from rfdsm._arguments import base_key, check_whole, checked_variance, flow_times
from rfdsm._generated_model import GeneratedSamples
from rfdsm.model import RANDOM_FEATURES, LearningCurves, Model
from rfdsm.sweeps import _models as models
from rfdsm.sweeps._errors import SweepError
from rfdsm.sweeps._models import ActivationError
from rfdsm.theory._training import check_flow

FORMAT = 1
"""Of the store's files."""
TRAINING = "training"
QUANTITIES = ("theory", "simulation", "comparison", TRAINING)
MOST_CELLS = 10**7
"""Simulated cells a sweep may have without being confirmed."""
_SHOWN = 60
"""Characters of a value that an error message quotes."""


class Part(NamedTuple):
    """What a sweep computes of one model."""

    prefix: str
    """Of its variables and units; empty for the first."""
    model: Model
    theory: bool
    simulation: bool
    comparison: bool

    def named(self, name: str) -> str:
        """A unit's name."""
        return f"{self.prefix}-{name}" if self.prefix else name


@dataclasses.dataclass(frozen=True, eq=False)
class Configuration:
    """A checked request: all that the numbers of a sweep depend on."""

    model: Model
    problem: Any
    """With data, its spectrum is that of their covariance."""
    quantities: tuple[str, ...]
    dimensions: tuple[int, ...]
    """Empty where nothing is simulated."""
    trials: int
    key: jax.Array
    law: laws.Law
    dtype: str
    curves: LearningCurves | None = None
    """Times and start of learning curves, where these are asked for."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """What is computed: the quantities of the model, and those of its learning curves."""
        both, simulated = "comparison" in self.quantities, bool(self.dimensions)
        found = []
        if set(self.quantities) - {TRAINING}:
            own = both or "simulation" in self.quantities
            found.append(Part("", self.model, both or "theory" in self.quantities, own, both))
        if self.curves is not None:
            found.append(Part(TRAINING, self.curves, True, simulated, simulated))
        return tuple(found)

    def part(self, prefix: str) -> Part:
        """The part of this prefix."""
        return next(part for part in self.parts if part.prefix == prefix)

    @property
    def simulates(self) -> bool:
        """Whether anything is simulated."""
        return any(part.simulation for part in self.parts)

    @property
    def key_words(self) -> list[int]:
        """The key as numbers."""
        return np.ravel(jax.random.key_data(self.key)).tolist()

    def text(self) -> str:
        """As JSON; equal texts give equal numbers."""
        described: dict[str, Any] = {"format": FORMAT, "versions": versions(), "data": self.law.provenance}
        described |= models.text(self.model, self.problem) | {
            "quantities": list(self.quantities),
            "d": list(self.dimensions),
            "trials": self.trials,
            "key": {"words": self.key_words, "kind": str(jax.random.key_impl(self.key))},
            "dtype": self.dtype,
        }
        if self.curves is not None:
            described[TRAINING] = {"times": models.listed(self.curves.times), "initial": self.curves.initial}
        return json.dumps(described, indent=1)


def checked(
    problem: Any,
    quantities: Any,
    d: Any,
    trials: Any,
    key: Any,
    data: Any,
    dtype: Any,
    confirm: bool,
    *,
    times: Any = None,
    initial: Any = 0.0,
    smoothing: Any = 0.0,
    wasserstein: Any = True,
    generation: Mapping[str, Any] = models.LOSSES,
) -> Configuration:
    """The arguments of `sweep`, checked; `generation` are those that come with its sampler, by name.

    Raises ValueError; what only a simulation can tell is left to its plan.
    """
    if isinstance(problem, Mapping):
        problem = models.grid(problem, generation["sampler"])
    model = models.model_of(problem, smoothing, wasserstein, generation)
    problem = model.without_times(problem) if isinstance(model, GeneratedSamples) else problem
    quantities = _quantities(quantities)
    curves = _curves(model, problem, quantities, times, initial)
    listed = (isinstance(d, list | tuple)) or (isinstance(d, np.ndarray) and d.ndim > 0)
    law = laws.of(data, problem.spectrum)
    problem = problem.at(spectrum=law.spectrum)
    dimensions: list[Any] = list(d) if listed else list(law.dimensions) if d is None else [d]
    needed = "simulation" in quantities or "comparison" in quantities
    simulated = needed or (curves is not None and bool(dimensions))
    if (needed and not dimensions) or (simulated and len({str(size) for size in dimensions}) < len(dimensions)):
        raise ValueError(f"d = {d!r} must be one dimension or a non-empty list of different ones, to be simulated")
    for size in dimensions:
        check_whole("d", size, 1)
    check_whole("trials", trials, 2 if "comparison" in quantities else 1)
    count = math.prod(model.shape(problem)) * len(dimensions)
    if simulated and count > MOST_CELLS and not confirm:
        raise ValueError(f"the grid has {count} cells to simulate, must be at most {MOST_CELLS} unless confirm = True")
    kind = _dtype(dtype)
    if isinstance(model, GeneratedSamples) and kind != "float64":
        raise ValueError(f"dtype = {dtype!r} must be 'float64' with a sampler")
    return Configuration(
        model,
        problem,
        quantities,
        tuple(int(size) for size in dimensions) if simulated else (),
        int(trials),
        base_key(key),
        law,
        kind,
        curves,
    )


def _curves(model: Model, problem: Any, quantities: tuple[str, ...], times: Any, initial: Any) -> LearningCurves | None:
    """The model of learning curves, if they are asked for."""
    if TRAINING not in quantities:
        if times is not None:
            raise ValueError(f"times need quantities = {TRAINING!r}, got {', '.join(quantities)}")
        return None
    if times is None:
        raise ValueError(f"times must be given: quantities = {TRAINING!r} are learning curves")
    if model is not RANDOM_FEATURES:
        raise ValueError(f"quantities = {TRAINING!r} must be of a rfdsm.Problem, without a sampler")
    check_flow(problem)
    return LearningCurves(flow_times(times), checked_variance("initial", initial))


def _dtype(dtype: Any) -> str:
    try:
        name = None if dtype is None else np.dtype(dtype).name
    except TypeError:
        name = None
    if name not in ("float32", "float64"):
        raise ValueError(f"dtype = {dtype!r} must be 'float32' or 'float64'")
    return name


def _quantities(quantities: Any) -> tuple[str, ...]:
    names = (quantities,) if isinstance(quantities, str) else quantities
    if not isinstance(names, list | tuple) or not names or not set(map(str, names)) <= set(QUANTITIES):
        raise ValueError(f"quantities = {quantities!r} must be one or more of {', '.join(QUANTITIES)}")
    return tuple(name for name in QUANTITIES if name in names)


def read(
    text: str, where: str, problem: Any = None, data: np.ndarray | None = None, count_only: bool = False
) -> Configuration:
    """The configuration of a store.

    Args:
        text: as `Configuration.text` writes it.
        where: the store, for messages.
        problem: for the activation, where that is a function of the user's.
        data: the rows it was made with.
        count_only: let another activation stand in where the user's is missing; its units are the same.

    Raises:
        SweepError: not a configuration, of another format, or an activation that only the caller has.
    """
    try:
        described = json.loads(text)
        if described["format"] != FORMAT:
            raise SweepError(f"{where} has format {described['format']}, must be {FORMAT}: written by another version")
        words, kind = described["key"]["words"], described["key"]["kind"]
        key = jax.random.wrap_key_data(jnp.asarray(words, jnp.uint32), impl=kind)
        model, found = models.read(described, problem, count_only)
        curves = described.get(TRAINING)
        return Configuration(
            model,
            found,
            tuple(described["quantities"]),
            tuple(described["d"]),
            described["trials"],
            key,
            laws.of(data, found.spectrum),
            described["dtype"],
            None if curves is None else LearningCurves(models.array(curves["times"]), curves["initial"]),
        )
    except ActivationError as error:
        raise SweepError(
            f"{where} has the activation {str(error)!r}, a function that only its author has: "
            "resume with sweep(problem, ..., store=...) in Python"
        ) from None
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise SweepError(f"{where} is damaged: not the configuration of a sweep ({error!r})") from None


def difference(there: str, here: str) -> str | None:
    """The first thing in which two configurations differ, in words; None if they are equal."""
    old, new = (_flat(json.loads(text)) for text in (there, here))
    for name in dict.fromkeys([*old, *new]):
        if old.get(name) != new.get(name):
            return f"{name} = {_short(old.get(name))} there, {_short(new.get(name))} here"
    return None


def _flat(values: Any, name: str = "") -> dict[str, Any]:
    if not isinstance(values, dict):
        return {name: values}
    return {key: value for k, v in values.items() for key, value in _flat(v, f"{name}.{k}" if name else k).items()}


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def versions() -> dict[str, str]:
    """Of the software that makes the numbers; other releases round differently, if no more than that."""
    return {"rfdsm": __version__} | {name: metadata.version(name) for name in ("jax", "jaxlib")}
