"""Trials cut into stages that are compiled apart: what many groups of cells have in common is computed once for all.

Rows of W are keyed by their numbers and draws by theirs, so that of one key the narrower network is the first features
of the wider one, and fewer draws are the first of more. Groups of one n, level and target are a family: the moments of
its widest network, which do not depend on m but for those it is trained on, hold those of all others as leading blocks.
What is left for each group is to fit its networks and to take their losses, small pieces of code.

On one CPU; on accelerators and over several devices a trial is one piece, and its cells are batched.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from rfdsm.activations import Activation
from rfdsm.activations._kept import kept
from rfdsm.losses import Losses
from rfdsm.simulation._memory import memory_estimate
from rfdsm.simulation._moments import Moments, Samples
from rfdsm.simulation._plan import Group, Plan, Settings
from rfdsm.simulation._strips import leading
from rfdsm.simulation._trial import PROBES, Ahead, Cell, Trial, probes, seeds, training_points

Tick = Callable[[float], Any]
"""Told how many cells are done, of those whose losses are not there yet as many as trials are worth."""


def families(request: Plan, share: bool) -> list[list[Group]]:
    """All groups, those that share their draws in one family, the widest first; each alone where the last digits must
    not depend on its companions."""
    place = {id(group): k for k, group in enumerate(request.groups)}
    found: dict[Any, list[Group]] = {}
    for group in sorted(request.groups, key=lambda group: -group.settings.p):
        name = (group.n, group.asked, group.settings.dtype) if share else id(group)
        found.setdefault(name, []).append(group)
    parts = [part for family in found.values() for part in _within(family, request)]
    return sorted(parts, key=lambda family: min(place[id(group)] for group in family))


def _within(family: list[Group], request: Plan) -> list[list[Group]]:
    """One family, or each group alone where memory would not do for what a family holds besides its largest trial.

    Those are the leading blocks at work, beside the widest moments of all probes, and the networks of all groups until
    their losses have been taken.
    """
    widest, rows = family[0].settings, request.law.size
    vectors = any(group.settings.path or group.settings.zero for group in family)
    itemsize = np.dtype(widest.dtype).itemsize
    need = memory_estimate(
        widest.p, request.d, terms=widest.conditional_terms, rows=rows, itemsize=itemsize, eigenvectors=vectors
    )
    need += 24 * widest.p**2
    for settings in (group.settings for group in family):
        need += 8 * settings.p * (3 * request.d + settings.p * settings.path)
    return [family] if need <= request.available else [[group] for group in family]


def staged(
    request: Plan,
    fit: Callable[[Trial, Any], Any],
    train_on: Callable[[Trial], Any],
    share: bool,
    tick: Tick | None,
) -> Generator[tuple[Group, Losses], None, None]:
    """Every group with its losses, NumPy arrays of shape (trials, K) of the dtype asked for; a family at a time.

    `fit(trial, what train_on(trial) gave)` are networks, which have `train`, `penalty` and `over(several moments)`.
    """
    words, parts = seeds(request.key, request.trials), families(request, share)
    with closing(Ahead()) as ahead:

        def stage(name: str, settings: Settings) -> Any:
            return _stage(settings.activation, name, settings, request.generator, fit, train_on)

        def planned(name: str, settings: Settings, *arguments: Any) -> Any:
            """Shapes of a stage's results; it is being compiled."""
            function = stage(name, settings)
            ahead.begin(settings.activation, function, *arguments)
            shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(np.shape(x), x.dtype), arguments)
            return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), function.trace(*shapes).out_info)

        def run(name: str, settings: Settings, *arguments: Any) -> Any:
            """Its results, one stage at a time: what waits for none would hold memory of its own."""
            return jax.block_until_ready(ahead.run(stage(name, settings), *arguments))

        for family in parts:
            _losses(planned, request, family, words[0])
        before = 0
        for family in parts:
            cells = sum(len(group.cells) for group in family)
            trials: list[list[Losses]] = []
            for word in words:
                trials.append(jax.tree.map(np.asarray, _losses(run, request, family, word)))
                if tick is not None:
                    tick(before + cells * len(trials) / len(words))
            for group, losses in zip(family, zip(*trials, strict=True), strict=True):
                yield group, jax.tree.map(lambda *x: np.stack(x).astype(request.dtype), *losses)
            before += cells


def _losses(call: Callable[..., Any], request: Plan, groups: list[Group], word: Any) -> list[Losses]:
    """Losses of one trial of a family. Moments that networks are trained on are there before those of the probes."""
    # To the shared moments nothing is fitted.
    widest = groups[0].settings._replace(infinite=False, dual=0, path=False, zero=False)
    whole = [Cell.of(request, group) for group in groups]
    cells = [cell._replace(conditional_rule=None, population_rule=None) for cell in whole]
    shared = whole[0]._replace(m=np.int32(0), ridges=np.zeros(0))
    W = call("drawn", widest, word, shared)
    networks: dict[int, Any] = {}

    def fit(places: Sequence[int], *train_on: Any) -> None:
        for k in places:
            networks[k] = call("fitted", _fitting(groups[k].settings), word, W, cells[k], *train_on)

    dual = [k for k, group in enumerate(groups) if group.settings.dual]
    if dual:  # the most draws have all others among them
        size, most = max(groups[k].settings.dual for k in dual), max(groups[k].m for k in dual)
        cell = shared._replace(m=np.int32(most))
        fit(dual, call("trained on", widest._replace(dual=size), word, W, cell), np.int32(most))
    primal: dict[tuple[int, str], list[int]] = {}
    for k, group in enumerate(groups):
        if group.m and not group.settings.dual:
            primal.setdefault((group.m, group.settings.products), []).append(k)
    for (m, products), places in primal.items():
        cell = shared._replace(m=np.int32(m))
        fit(places, call("trained on", widest._replace(products=products), word, W, cell), np.int32(m))

    averages: dict[str, Any] = {}
    null: Any = None
    infinite = [k for k, group in enumerate(groups) if not group.m]
    # Networks of m = inf are fitted to the moments over fresh noise that those of finite m are tested on: these first.
    first = next(name for name, moments in PROBES.items() if moments is training_points)
    for name in sorted(PROBES, key=lambda name: name != first):
        probed = any(name in probes(group.settings) for group in groups)
        fitted_here = infinite if name == first else []
        if probed or fitted_here:
            moments = call(name, widest, word, W, shared)
            fit(fitted_here, moments, np.int32(0))
            null = moments.offset_squared  # of the last, `test`
            if probed:
                averages[name] = moments
            del moments
    values: list[dict[str, Any]] = []
    for k, group in enumerate(groups):  # at once: what is multiplied by the moments is the same for all
        names = [name for name in averages if name in probes(group.settings)]
        found = call("over", _narrow(group.settings), networks[k], [averages[name] for name in names])
        values.append(dict(zip(names, found, strict=True)))
    return [
        call("losses", _narrow(widest, 1), networks[k].train, networks[k].penalty, values[k], null, cells[k])
        for k in range(len(groups))
    ]


def _narrow(settings: Settings, p: int | None = None) -> Settings:
    """Settings of code that knows no more than the number of features."""
    return Settings(
        p or settings.p, settings.activation, False, 0, False, False, 0, None, 0, 0, 0, False, "float64", "float64"
    )


def _fitting(settings: Settings) -> Settings:
    """Settings of the code that fits, which is the same for any kind of moments, unless it draws again for ridge 0."""
    if settings.zero:
        return settings
    return _narrow(settings)._replace(dual=settings.dual, path=settings.path)


@kept(maxsize=256)
def _stage(activation: Activation, name: str, settings: Settings, generator: str, fit: Any, train_on: Any) -> Any:
    """A stage, as a jitted function of arrays. The activation is that of the settings."""

    def trial(word: Array, W: Array | None, cell: Cell) -> Trial:
        return Trial.drawn(jax.random.wrap_key_data(word, impl=generator), cell, settings, 1, W)

    def drawn(word: Array, cell: Cell) -> Array:
        return trial(word, None, cell).law.W

    def trained_on(word: Array, W: Array, cell: Cell) -> Any:
        return train_on(trial(word, W, cell))

    def fitted(word: Array, W: Array, cell: Cell, given: Any, draws: Array) -> Any:
        narrow = trial(word, W[: settings.p], cell)
        if settings.dual:
            return fit(narrow, _first_draws(given, narrow, draws))
        return fit(narrow, _first_features(given, settings.p))

    def over(networks: Any, averages: list[Moments]) -> list[Array]:
        return networks.over([_first_features(moments, settings.p) for moments in averages])

    def losses(train: Array, penalty: Array, values: dict[str, Array], null: Array, cell: Cell) -> Losses:
        nothing: Any = None
        return Trial(nothing, nothing, cell, settings).losses(train, train + penalty, values, null)

    def probe(word: Array, W: Array, cell: Cell) -> Moments:
        return PROBES[name](trial(word, W, cell))

    stages = {"drawn": drawn, "trained on": trained_on, "fitted": fitted, "over": over, "losses": losses}
    return jax.jit(stages.get(name, probe))


def _first_features(moments: Moments, p: int) -> Moments:
    return Moments(leading(moments.U, p), moments.V[:p], moments.offset_squared)


def _first_draws(samples: Samples, trial: Trial, draws: Array) -> Samples:
    """Those of fewer draws per point, and of fewer features."""
    size, p, cell = trial.settings.dual, trial.settings.p, trial.cell
    kept = jnp.arange(size, dtype=jnp.int32) < cell.n * cell.m
    # Of 32-bit integers a quotient would be single precision.
    scale = jnp.where(kept, jnp.sqrt(draws.astype(float) / cell.m.astype(float)), 0.0)
    return Samples(scale[:, None] * samples.features[:size, :p], scale[:, None] * samples.offset[:size])
