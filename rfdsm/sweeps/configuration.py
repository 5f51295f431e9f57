"""What is swept, as text: written into the store, compared with it before anything is added, and read back from it."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rfdsm import __version__, activations, spectra
from rfdsm.activations import Activation
from rfdsm.activations.closed_forms import Rectifier, Series
from rfdsm.arguments import base_key, check_whole
from rfdsm.problem import FIELDS, Problem
from rfdsm.samples import check_rows
from rfdsm.scope import jax_scope
from rfdsm.spectra import Spectrum
from rfdsm.sweeps.errors import SweepError

FORMAT = 1
"""Of the store's files."""
QUANTITIES = ("theory", "simulation", "comparison")
MOST_CELLS = 10**7
"""Simulated cells a sweep may have without being confirmed."""
_SHOWN = 60
"""Characters of a value that an error message quotes."""


@dataclasses.dataclass(frozen=True, eq=False)
class Configuration:
    """A checked request: all that the numbers of a sweep depend on."""

    problem: Problem
    """With data, its spectrum is that of their covariance."""
    quantities: tuple[str, ...]
    dimensions: tuple[int, ...]
    """Empty where nothing is simulated."""
    trials: int
    key: jax.Array
    data: np.ndarray | None
    dtype: str

    @property
    def simulates(self) -> bool:
        """Whether networks are simulated."""
        return "simulation" in self.quantities or "comparison" in self.quantities

    @property
    def key_words(self) -> list[int]:
        """The key as numbers."""
        return np.ravel(jax.random.key_data(self.key)).tolist()

    def text(self) -> str:
        """As JSON; equal texts give equal numbers."""
        problem = self.problem
        described = {
            "format": FORMAT,
            "versions": versions(),
            "data": None if self.data is None else {"shape": list(self.data.shape), "sha256": digest(self.data)},
            "problem": {name: _listed(getattr(problem, name)) for name in FIELDS}
            | {"activation": _activation_text(problem.activation)}
            | {"spectrum": {"nodes": _listed(problem.spectrum.nodes), "weights": _listed(problem.spectrum.weights)}}
            | {"spectrum_label": problem.spectrum.label, "spectrum_error": problem.spectrum.error},
            "quantities": list(self.quantities),
            "d": list(self.dimensions),
            "trials": self.trials,
            "key": {"words": self.key_words, "kind": str(jax.random.key_impl(self.key))},
            "dtype": self.dtype,
        }
        return json.dumps(described, indent=1)


def checked(
    problem: Any, quantities: Any, d: Any, trials: Any, key: Any, data: Any, dtype: Any, confirm: bool
) -> Configuration:
    """The arguments of `sweep`, checked. Raises ValueError; what only a simulation can tell is left to its plan."""
    if isinstance(problem, Mapping):
        problem = _grid(problem)
    if not isinstance(problem, Problem):
        raise ValueError(f"problem = {problem!r} must be a Problem, or a mapping of its fields")
    if problem.traced:
        raise ValueError("problem must hold concrete numbers: call sweep outside jax.jit, grad and vmap")
    quantities = _quantities(quantities)
    listed = (isinstance(d, list | tuple)) or (isinstance(d, np.ndarray) and d.ndim > 0)
    dimensions: list[Any] = list(d) if listed else [] if d is None else [d]
    if data is not None:
        data = check_rows(data)
        problem = dataclasses.replace(problem, spectrum=spectra.from_data(data))
        dimensions = [data.shape[1]] if d is None else dimensions
    simulated = quantities != ("theory",)
    if simulated and (not dimensions or len({str(size) for size in dimensions}) < len(dimensions)):
        raise ValueError(f"d = {d!r} must be one dimension or a non-empty list of different ones, to be simulated")
    for size in dimensions:
        check_whole("d", size, 1)
    check_whole("trials", trials, 2 if "comparison" in quantities else 1)
    count = math.prod(problem.shape) * len(dimensions)
    if simulated and count > MOST_CELLS and not confirm:
        raise ValueError(f"the grid has {count} cells to simulate, must be at most {MOST_CELLS} unless confirm = True")
    return Configuration(
        problem,
        quantities,
        tuple(int(size) for size in dimensions) if simulated else (),
        int(trials),
        base_key(key),
        data,
        _dtype(dtype),
    )


def _dtype(dtype: Any) -> str:
    try:
        name = None if dtype is None else np.dtype(dtype).name
    except TypeError:
        name = None
    if name not in ("float32", "float64"):
        raise ValueError(f"dtype = {dtype!r} must be 'float32' or 'float64'")
    return name


def _grid(fields: Mapping[str, Any]) -> Problem:
    allowed = (*FIELDS, "activation", "spectrum")
    for name in fields:
        if name not in allowed:
            raise ValueError(f"problem has an unknown field {name!r}, must be of {', '.join(allowed)}")
    missing = [name for name in FIELDS if name not in fields]
    if missing:
        raise ValueError(f"problem lacks {', '.join(missing)}, must have all of {', '.join(FIELDS)}")
    return Problem.grid(**fields)


def _quantities(quantities: Any) -> tuple[str, ...]:
    names = (quantities,) if isinstance(quantities, str) else quantities
    if not isinstance(names, list | tuple) or not names or not set(map(str, names)) <= set(QUANTITIES):
        raise ValueError(f"quantities = {quantities!r} must be one or more of {', '.join(QUANTITIES)}")
    return tuple(name for name in QUANTITIES if name in names)


def read(
    text: str, where: str, problem: Problem | None = None, data: np.ndarray | None = None, count_only: bool = False
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
        own = described["problem"]
        spectrum = Spectrum(
            _array(own["spectrum"]["nodes"]),
            _array(own["spectrum"]["weights"]),
            own["spectrum_label"],
            own["spectrum_error"],
        )
        activation = _activation(own["activation"]) if problem is None else problem.activation
        if activation is None and count_only:
            activation = activations.get("linear")
        if activation is None:
            raise SweepError(
                f"{where} has the activation {own['activation']['custom']!r}, a function that only its author has: "
                "resume with sweep(problem, ..., store=...) in Python"
            )
        fields = {name: _array(own[name]) for name in FIELDS}
        key = jax.random.wrap_key_data(
            jnp.asarray(described["key"]["words"], jnp.uint32), impl=described["key"]["kind"]
        )
        return Configuration(
            Problem(**fields, activation=activation, spectrum=spectrum),
            tuple(described["quantities"]),
            tuple(described["d"]),
            described["trials"],
            key,
            data,
            described["dtype"],
        )
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


def digest(array: np.ndarray) -> str:
    """SHA-256 of an array's dtype, shape and values."""
    described = f"{array.dtype.str} {array.shape} ".encode()
    return hashlib.sha256(described + np.ascontiguousarray(array).tobytes()).hexdigest()


def _listed(values: Any) -> Any:
    """As nested lists of numbers; infinity as text, for JSON has none."""
    if isinstance(values, list):
        return [_listed(value) for value in values]
    if isinstance(values, float):
        return "inf" if math.isinf(values) else values
    return _listed(np.asarray(values, np.float64).tolist())


def _array(values: Any) -> np.ndarray:
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
    makers = {
        "name": activations.get,
        "polynomial": activations.polynomial,
        "hermite": activations.hermite,
        "leaky_relu": activations.leaky_relu,
    }
    (kind, value), *_ = described.items()
    return makers[kind](value) if kind in makers else None
