"""The steps of a training, compiled once whatever their number, and the state that they change."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax.sharding import NamedSharding

from rfdsm._executables import jitted
from rfdsm.networks import _measure as measure
from rfdsm.networks._pairs import Pairs, Question, drawn, fresh, frozen


class State(NamedTuple):
    """All that a step changes, with a leading axis of networks that are trained side by side."""

    parameters: Any
    memory: Any
    """Of the optimiser."""
    averaged: Any
    bad: Any
    """First step whose loss or result was not finite; -1."""


class Points(NamedTuple):
    """What batches are drawn from."""

    rows: Any
    """(n, d), or a law."""
    pairs: Any
    """Number of frozen pairs, 0 with fresh noise: one executable serves all; None for a law."""
    draws: Any
    """Frozen normal vectors, where they are given."""


class Static(NamedTuple):
    """What is no array in a network, in a form that can be hashed: modules with lists cannot."""

    leaves: tuple[Any, ...]
    structure: Any

    @property
    def tree(self) -> Any:
        """As a network without arrays."""
        return jax.tree.unflatten(self.structure, self.leaves)


class Rule(NamedTuple):
    """What the compiled steps depend on besides array shapes."""

    static: Static
    question: Question
    size: int
    """Of batches."""
    full: bool
    """Whether a batch is all frozen pairs."""
    optimiser: Any
    decay: float | None
    spread: NamedSharding | None


def shared(function: Callable[..., Any], *rule: Any) -> Callable[..., Any]:
    """function(*rule, ...) for all networks, compiled; the same whenever the rule is, if that can be told."""
    try:
        return _compiled(function, *rule)
    except TypeError:  # what cannot be hashed
        return _compiled.__wrapped__(function, *rule)


@lru_cache(maxsize=32)
def _compiled(function: Callable[..., Any], *rule: Any) -> Callable[..., Any]:
    return jitted(lambda stacked, *rest: jax.lax.map(lambda one: function(*rule, *one, *rest), stacked))


def run(rule: Rule, state: State, fixed: Any, key: Any, points: Points, begin: Any, end: Any) -> State:
    """Steps `begin` to `end` of one network."""
    return jax.lax.fori_loop(begin, end, lambda k, x: _step(rule, points, k, x, fixed, key), state)


def measured(static: Static, parameters: Any, fixed: Any, of: measure.Sets, law: Any) -> Any:
    """Losses of one network."""
    return measure.measured(eqx.combine(parameters, fixed, static.tree), of, law)


def _step(rule: Rule, points: Points, k: Any, state: State, fixed: Any, key: Any) -> State:
    of_step = _batch(rule, points, k, key, jax.tree.leaves(state.parameters)[0].dtype)

    def objective(part: Any) -> Any:
        return measure.loss(eqx.combine(part, fixed, rule.static.tree), of_step)

    value, slope = jax.value_and_grad(objective)(state.parameters)
    with jax.numpy_dtype_promotion("standard"):  # optax's own counts of steps are promoted
        change, memory = rule.optimiser.update(slope, state.memory, state.parameters)
        new = optax.apply_updates(state.parameters, change)
        averaged = new if rule.decay is None else optax.incremental_update(new, state.averaged, 1 - rule.decay)
    whole = [jnp.all(jnp.isfinite(x)) for x in jax.tree.leaves(new)]
    good = (state.bad < 0) & jnp.isfinite(value) & jnp.all(jnp.stack(whole))
    bad = jnp.where(good | (state.bad >= 0), state.bad, k.astype(state.bad.dtype))
    before = state.parameters, state.memory, state.averaged
    kept = jax.tree.map(lambda x, y: jnp.where(good, x, y), (new, memory, averaged), before)
    return State(kept[0], kept[1], kept[2], bad)


def _batch(rule: Rule, points: Points, k: Any, key: Any, dtype: Any) -> Pairs:
    own = jax.random.fold_in(jax.random.fold_in(key, 8), k)

    def of_fresh() -> Pairs:
        x = drawn(points.rows, jax.random.fold_in(own, 0), rule.size, dtype)
        return fresh(rule.question, jax.random.fold_in(own, 1), x)

    def of_frozen() -> Pairs:
        number = jnp.arange(rule.size) if rule.full else jax.random.randint(own, (rule.size,), 0, points.pairs)
        return frozen(rule.question, measure.key_of_draws(key), points.rows, number, points.draws)

    if points.pairs is None:
        made = of_fresh()
    elif rule.full or points.draws is not None:
        made = of_frozen()
    else:
        made = jax.lax.cond(points.pairs > 0, of_frozen, of_fresh)
    if rule.spread is None:
        return made
    return jax.lax.with_sharding_constraint(made, jax.tree.map(lambda _: rule.spread, made))
