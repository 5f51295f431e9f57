"""One trial: what is drawn, which moments are taken of it, and how its losses are reported."""

import dataclasses
import warnings
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from rfdsm._executables import options
from rfdsm._hints import Count
from rfdsm._machine import cores
from rfdsm._scope import jax_scope
from rfdsm.activations import Activation
from rfdsm.activations._kept import kept
from rfdsm.losses import Losses, Run
from rfdsm.simulation._design import OF_LAW, Design, Points, draw
from rfdsm.simulation._exact import Series, conditional_moments, population_moments
from rfdsm.simulation._moments import Law, Moments, training_moments
from rfdsm.simulation._plan import Group, Plan, Settings
from rfdsm.simulation._strips import after
from rfdsm.targets import Asked


class Cell(NamedTuple):
    """Numbers of a group of cells that a compiled trial takes as arguments."""

    n: Any
    m: Any
    asked: Asked
    """Level and target; alpha is None for a target without signal, which spares its moments."""
    amplitude: Any
    """Of A phi/sqrt(p), the output weights in their own units."""
    ridges: Any
    """Shape (K,)."""
    law: Any
    """Of the points, as they are drawn."""
    conditional_rule: Any
    population_rule: Any

    @staticmethod
    def of(request: Plan, group: Group) -> "Cell":
        """The arguments of a group; rows in the precision of its features, all else in double precision."""
        numbers = group.asked, group.amplitude, group.ridges, group.conditional_rule, group.population_rule
        asked, amplitude, ridges, *rules = jax.tree.map(lambda x: np.asarray(x, float), numbers)
        if group.asked.alpha == 0:
            asked = asked._replace(alpha=None)
        law = OF_LAW[type(request.law)](request.law, request.d, group.settings.dtype)
        return Cell(np.int32(group.n), np.int32(group.m), asked, amplitude, ridges, law, *rules)


class Trial(NamedTuple):
    """A trial that has been drawn."""

    law: Law
    design: Design
    cell: Cell
    settings: Settings

    @staticmethod
    def drawn(key: Key[Array, ""], cell: Cell, settings: Settings, shards: int, W: Array | None = None) -> "Trial":
        """The trial of this key; `shards` devices share its draws. `W` are its features, if they are there already."""
        points = jax.tree.map(lambda x: jnp.asarray(x, settings.dtype), cell.law)
        design = draw(key, jnp.asarray(cell.n), settings.p, points, W)
        law = Law(design.W, settings.activation, cell.asked, settings.chunk, shards)
        return Trial(law.in_precision(settings.dtype), design, cell, settings)

    def training(self) -> Moments:
        """Moments the network is trained on."""
        if self.settings.infinite:
            return training_points(self)
        return training_moments(self.law, self.design.training, self.cell.m, self.settings.products)

    def given(self, points: Points) -> Moments:
        """Moments over fresh noise on these points."""
        series = Series(self.settings.conditional_terms, self.cell.conditional_rule, self.settings.double_terms)
        return conditional_moments(self.law, points, series, self.settings.coefficient_chunk)

    def fresh(self) -> Moments:
        """Moments over what was not trained on: the population, or the held-out rows of the data."""
        return self.cell.law.average(self._population, self.given, self.design.held_out)

    def _population(self, eigenvalues: Array) -> Moments:
        law = self.law._replace(asked=self.cell.asked).in_precision("float64")
        return population_moments(law, eigenvalues, Series(self.settings.population_terms, self.cell.population_rule))

    @property
    def scale(self) -> Float[Array, ""]:
        """B is that times A, the output weights: sqrt(h/p) if they are those of a score."""
        return self.cell.amplitude / self.settings.p**0.5

    def after(self, value: Float[Array, ""]) -> "Trial":
        """The same trial, not to be used before the value is there: one p x p matrix of moments at a time."""
        return self._replace(law=self.law._replace(W=after(value, self.law.W)))

    def measured(self, train: Array, penalty: Array, over: Callable[[Moments], Array]) -> Losses:
        """All losses of networks, `over` the moments of each probe. They are p x p matrices: one after the other."""
        trial, last, values, null = self, penalty, {}, None
        for name, probe in probes(self.settings).items():
            trial = trial.after(last[0])
            moments = probe(trial)
            last = values[name] = over(moments)
            null = moments.offset_squared  # of the last one, `test`
        return self.losses(train, train + penalty, values, null)

    def losses(self, train: Array, objective: Array, values: Mapping[str, Array], null: Any) -> Losses:
        """Labelled: `values` are those of the probes, `null` the test loss of a network that outputs zero.

        The score error follows from the test loss.
        """
        asked = self.cell.asked
        if asked.alpha is None:
            asked = asked._replace(alpha=jnp.zeros_like(asked.beta))
        floor = self.cell.law.floor(asked)
        values = {"empirical_test": train, **values}
        test = values["test"]
        own: dict[str, Any] = {"train": train, "score": asked.score_unit * (test - floor), "objective": objective}
        own |= {"floor": jnp.full_like(test, floor), "null": jnp.full_like(test, null)}
        return Losses(**own, **values)  # pyright: ignore[reportArgumentType]


def training_points(trial: Trial) -> Moments:
    """Fresh noise on the training points."""
    return trial.given(trial.design.training)


PROBES: dict[str, Callable[[Trial], Moments]] = {"empirical_test": training_points, "test": Trial.fresh}
"""Losses that are taken over moments of the features, and those moments. The training loss has ways of its own."""


def probes(settings: Settings) -> dict[str, Callable[[Trial], Moments]]:
    """Those that a trial needs: for m = inf no noise is fresh, and the loss on the training points is `train`."""
    return {name: probe for name, probe in PROBES.items() if not (settings.infinite and name == "empirical_test")}


def seeds(key: Key[Array, ""], trials: Count) -> np.ndarray:
    """Key words of every trial, shape (trials, words): fold_in(key, k)."""
    with jax_scope():
        return np.asarray(jax.random.key_data(jax.vmap(lambda k: jax.random.fold_in(key, k))(jnp.arange(trials))))


class Ahead:
    """Functions of arrays, compiled in the order in which they are begun, on all cores: XLA takes one for each."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(cores())
        self._futures: dict[Any, Future[Any]] = {}

    def close(self) -> None:
        """What was not begun is not compiled."""
        self._pool.shutdown(cancel_futures=True)

    def begin(self, activation: Activation, function: Any, *arguments: Any) -> None:
        """Compile a function made for this activation, for arguments like these."""
        key = (function, *signature(arguments))
        if key not in self._futures:
            self._futures[key] = self._pool.submit(executable, activation, *key)

    def run(self, function: Any, *arguments: Any) -> Any:
        """What it makes of the arguments."""
        return self._futures[(function, *signature(arguments))].result()(*arguments)


def run_groups(
    request: Plan, compiled: Callable[[Activation, Settings], Any], ahead: bool, words: np.ndarray, *rest: Any
) -> Generator[tuple[Group, Losses], None, None]:
    """Every group with its losses, what `compiled(activation, settings)` makes of (words, cell, *rest).

    Losses are NumPy arrays of the dtype asked for. Over several devices nothing is compiled ahead, but when it is first
    called.
    """
    distinct = dict.fromkeys(group.settings for group in request.groups)
    functions = {settings: compiled(settings.activation, settings) for settings in distinct}
    calls = [(functions[group.settings], words, Cell.of(request, group), *rest) for group in request.groups]
    with closing(Ahead()) as program:
        if ahead:
            for group, call in zip(request.groups, calls, strict=True):
                program.begin(group.settings.activation, *call)
        for group, (function, *arguments) in zip(request.groups, calls, strict=True):
            losses = program.run(function, *arguments) if ahead else function(*arguments)
            yield group, jax.tree.map(lambda x: np.asarray(x, request.dtype), losses)


def signature(arguments: Any) -> tuple[Any, ...]:
    """What the code for these arguments depends on."""
    leaves, structure = jax.tree.flatten(arguments)
    return structure, tuple(
        (np.shape(leaf), (leaf if hasattr(leaf, "dtype") else np.asarray(leaf)).dtype.name) for leaf in leaves
    )


@kept(maxsize=128)
def executable(
    activation: Activation, function: Any, structure: Any, leaves: tuple[tuple[tuple[int, ...], str], ...]
) -> Any:
    """Machine code of a function made for this activation, whether it is jitted or not."""
    shapes = [jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in leaves]
    with jax_scope():  # settings of JAX belong to a thread
        lowered = jax.jit(function).lower(*jax.tree.unflatten(structure, shapes))
        return lowered.compile(compiler_options=options())


def gathered(groups: Iterable[tuple[Any, Any]], request: Any, progress: Callable[[int, int], Any] | None) -> Any:
    """Results of all groups of a plan, (trials, *grid, ...) of (trials, cells, ...)."""
    cells, parts = [], []
    for group, found in groups:
        cells.extend(group.cells)
        parts.append(found)
        if progress is not None:
            progress(len(cells), request.n.size)

    def joined(*values: np.ndarray) -> np.ndarray:
        whole = np.concatenate(values, axis=1)[:, np.argsort(cells)]
        return whole.reshape(request.trials, *request.n.shape, *whole.shape[2:])

    return jax.tree.map(joined, *parts)


def reported(losses: Losses, request: Plan, stacklevel: int) -> Losses:
    """With what was really drawn; a RuntimeWarning counts the networks that could not be solved."""
    failed = int(np.sum(~np.isfinite(losses.train)))
    if failed:
        warnings.warn(
            f"{failed} of {losses.train.size} simulated networks could not be solved and are NaN: "
            "the ridge is too small for double precision; use ridge = 0 or a larger one",
            RuntimeWarning,
            stacklevel=stacklevel,
        )
    run = Run(request.n, request.p, request.d, seeds(request.key, request.trials))
    return dataclasses.replace(losses, run=run)
