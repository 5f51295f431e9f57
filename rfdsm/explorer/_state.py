"""What the page is asked to show: one immutable state, its words in the address, and the problem it stands for."""

import dataclasses
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

import numpy as np

from rfdsm import activations, schedules
from rfdsm._problem import FIELDS, STRUCTURE, Problem, check_problem
from rfdsm._values import one_line, shown
from rfdsm.cli._build import activation as activation_of, spectrum as spectrum_of
from rfdsm.spectra import Spectrum

Number = float | int
DRAWS = (1.0, 2.0, 4.0, 8.0, 16.0, 64.0, np.inf)
"""Noise draws per sample that the slider offers."""
SPANS = {"psi_n": (0.05, 200.0), "psi_p": (0.05, 500.0), "ridge": (1e-12, 100.0)}
"""What sliders and axes reach; ridge may be 0, too. That of t belongs to the schedule."""
ABSCISSAE = ("psi_p", "psi_n", "t", "ridge")
VIEWS = ("spectrum", "training", "generation", "advice")
"""What is shown below the losses, one at a time: the slow ones are computed when they are looked at."""
DIMENSIONS = (32, 64)
"""Least and largest dimension of a simulation."""
LONGEST = 64
"""Most eigenvalues that an address holds."""


@dataclasses.dataclass(frozen=True)
class State:
    """Everything that the page shows follows from this. Raises ValueError, in words, for what cannot be shown."""

    psi_n: Number = 8.0
    psi_p: Number = 16.0
    m: Number = 4.0
    t: Number = 0.1
    ridge: Number = 1e-3
    activation: str = "tanh"
    """In the notation of the command line, as are spectrum, schedule and target."""
    spectrum: str = "isotropic"
    schedule: str = "ou"
    target: str = "noise"
    abscissa: str = "psi_p"
    """Field that the losses are drawn against."""
    view: str = "spectrum"
    d: Number = 32
    """Dimension of simulations and of the advice."""

    def __post_init__(self) -> None:
        for name in FIELDS:
            object.__setattr__(self, name, _number(name, getattr(self, name)))
        for name, allowed in (("abscissa", ABSCISSAE), ("view", VIEWS)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} = {one_line(getattr(self, name))} must be one of {', '.join(allowed)}")
        dimension = _number("d", self.d)
        if dimension != round(dimension) or not DIMENSIONS[0] <= dimension <= DIMENSIONS[1]:
            raise ValueError(f"d = {shown(dimension)} must be an integer from {DIMENSIONS[0]} to {DIMENSIONS[1]}")
        object.__setattr__(self, "d", int(dimension))
        for name in STRUCTURE:
            if not isinstance(getattr(self, name), str):
                raise ValueError(f"{name} = {one_line(getattr(self, name))} must be a text")
        if self.spectrum.lower().endswith(".npy"):
            raise ValueError(f"spectrum = {self.spectrum!r} names a file: an address cannot, load it on the page")
        if self.spectrum.count(",") >= LONGEST:
            raise ValueError(f"spectrum has {self.spectrum.count(',') + 1} values: must be {LONGEST} at most")
        span = spans(self)
        for name, (low, high) in span.items():
            value = getattr(self, name)
            if not low <= value <= high and not (name == "ridge" and value == 0):
                zero = "0, or " if name == "ridge" else ""
                words = f"{zero}from {shown(low)} to {shown(high)}, which is what the page shows"
                raise ValueError(f"{name} = {shown(value)} must be {words}")
        self.problem()

    def problem(self, **fields: Any) -> Problem:
        """The problem asked about, with other values of some fields."""
        numbers = {name: getattr(self, name) for name in FIELDS} | fields
        return Problem(
            **numbers,
            activation=activation_of(self.activation),
            spectrum=spectrum_of(self.spectrum),
            schedule=self.schedule,
            target=self.target,
        )

    def replace(self, **fields: Any) -> "State":
        """Another state; a time that a new schedule has not becomes the nearest it has."""
        if fields.get("schedule", self.schedule) != self.schedule and "t" not in fields:
            low, high = schedules.get(fields["schedule"]).span
            fields["t"] = min(max(self.t, low), high)
        return dataclasses.replace(self, **fields)

    def query(self) -> str:
        """The whole state as the query string of an address, without the question mark."""
        return urlencode({name: _text(value) for name, value in dataclasses.asdict(self).items()}, safe=":,@")

    @classmethod
    def from_query(cls, query: str) -> "State":
        """The state of an address; what is left out has its default. Raises ValueError for unknown or wrong words."""
        given: dict[str, str] = {}
        for name, word in parse_qsl(query.removeprefix("?"), keep_blank_values=True):
            if name in given:
                raise ValueError(f"{name} is given twice")
            given[name] = word
        return cls.from_words(given)

    @classmethod
    def from_words(cls, given: Mapping[str, Any]) -> "State":
        """The same from values by name."""
        known = [field.name for field in dataclasses.fields(cls)]
        for name in given:
            if name not in known:
                raise ValueError(f"{one_line(name)} is unknown; the address holds {', '.join(known)}")
        texts = (*STRUCTURE, "abscissa", "view")
        values: dict[str, Any] = {name: word if name in texts else _number(name, word) for name, word in given.items()}
        return cls(**values)

    @classmethod
    def of(cls, problem: Problem, **more: Any) -> "State":
        """The state that shows a problem, in other words where `more` has them.

        Raises ValueError for a grid, and for what an address has no words for.
        """
        check_problem(problem)
        if problem.traced or problem.shape != ():
            raise ValueError(f"problem has shape {problem.shape}: must be one concrete problem, its fields numbers")
        name = problem.activation.name
        known = name in activations.NAMES and activations.get(name) == problem.activation
        if "activation" not in more and not known:
            raise ValueError(f"activation = {name} must be one that has a name: {', '.join(activations.NAMES)}")
        for what in ("schedule", "target"):
            if not getattr(problem, what).has_text:
                raise ValueError(f"{what} = {getattr(problem, what)} is made of functions: the page needs one by name")
        numbers = {field: float(getattr(problem, field)) for field in FIELDS}
        texts = {"activation": name, "schedule": str(problem.schedule), "target": str(problem.target)}
        if "spectrum" not in more:
            texts["spectrum"] = spectrum_text(problem.spectrum)
        values: dict[str, Any] = numbers | texts | more
        return cls(**values)


def spectrum_text(spectrum: Spectrum) -> str:
    """A spectrum in the notation of the command line. Raises ValueError if it has too many eigenvalues."""
    if spectrum.nodes.size == 1:
        value = float(spectrum.nodes[0])
        return "isotropic" if value == 1 else f"isotropic:{shown(value)}"
    if spectrum.nodes.size > LONGEST:
        raise ValueError(f"spectrum has {spectrum.nodes.size} eigenvalues: must have {LONGEST} at most, as of `nodes`")
    pairs = (f"{value:.12g}@{weight:.12g}" for value, weight in zip(spectrum.nodes, spectrum.weights, strict=True))
    return f"atoms:{','.join(pairs)}"


def low_rank(fraction: Number) -> str:
    """Data on a subspace of that fraction of the dimensions, with variance 1 in it."""
    return f"atoms:0@{shown(round(1 - fraction, 12))},1@{shown(fraction)}"


def power_law(exponent: Number, cutoff: Number) -> str:
    """Eigenvalues that fall as a power of their rank."""
    return f"power-law:{shown(exponent)},{shown(cutoff)}"


def spans(state: State) -> dict[str, tuple[float, float]]:
    """Lowest and highest value of every field that has a slider of its own."""
    return SPANS | {"t": schedules.get(state.schedule).span}


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name} = {one_line(value)} must be a number") from None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else shown(value)
