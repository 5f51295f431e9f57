"""Training as people do it: an optax optimiser on the output weights, full-batch or on batches of draws."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from rfdsm.losses import Losses
from rfdsm.simulation._design import features
from rfdsm.simulation._moments import Moments, losses_over
from rfdsm.simulation._strips import product
from rfdsm.simulation._trial import Trial, probes

BATCHES = 23
"""Folded into a trial's key for its batches."""


def descend(
    trial: Trial,
    first: Float[Array, "d p"] | None,
    steps: Int[Array, " K"],
    optimiser: Any,
    batch_size: int | None,
    key: Key[Array, ""],
) -> Losses:
    """Losses after the given numbers of steps, for every ridge: shape (ridges, K).

    The matrices of moments are kept, so that recording costs as much as a full-batch step for each.
    """
    train_on = trial.training()
    measures = {name: probe(trial) for name, probe in probes(trial.settings).items()}
    p, d = trial.law.W.shape
    scale = trial.scale
    weights = jnp.zeros((d, p)) if first is None else first / scale
    order = jnp.argsort(steps)
    batches = jax.random.fold_in(key, BATCHES)

    def on_ridge(ridge: Array) -> Losses:
        def step(index: Array, state: Any) -> Any:
            A, memory = state
            B = scale * A
            if batch_size is None:
                slope = product(B, train_on.U) + train_on.V.T
            else:
                slope = _batch_slope(trial, B, batch_size, jax.random.fold_in(batches, index))
            with jax.numpy_dtype_promotion("standard"):  # optax's own counts of steps are promoted
                updates, memory = optimiser.update(2 * scale / d * (slope + ridge * B), memory, A)
            return A + updates, memory

        def record(state: Any, ends: Array) -> tuple[Any, Losses]:
            state = jax.lax.fori_loop(ends[0], ends[1], step, state)
            return state, _losses(trial, scale * state[0], ridge, train_on, measures)

        ends = steps[order]
        begins = jnp.concatenate([jnp.zeros_like(ends[:1]), ends[:-1]])
        _, losses = jax.lax.scan(record, (weights, optimiser.init(weights)), jnp.stack([begins, ends], axis=1))
        back = jnp.argsort(order)
        return jax.tree.map(lambda x: x[back], losses)

    return jax.lax.map(on_ridge, trial.cell.ridges)


def _batch_slope(trial: Trial, B: Array, size: int, key: Key[Array, ""]) -> Float[Array, "d p"]:
    """(1/size) sum (B phi - T) phi^T over a random batch: B U + V^T on average."""
    law, points = trial.law, trial.design.training
    key_rows, key_draws = jax.random.split(key)
    rows = jax.random.randint(key_rows, (size,), 0, points.size)
    if trial.settings.infinite:
        part = points.noised(rows, key_draws, jnp.arange(size), law.asked)
    else:
        draws = jax.random.randint(key_draws, (size,), 0, trial.cell.m)
        part = points.noised(rows, points.key, draws * points.size.astype(draws.dtype) + rows, law.asked)
    phi = features(law.W, law.activation, part.y)
    phi, offset = (x.astype(B.dtype) for x in (phi, part.offset))
    return (B @ phi + offset.T) @ phi.T / size


def _losses(trial: Trial, B: Array, ridge: Array, train_on: Moments, measures: dict[str, Moments]) -> Losses:
    train, *others = losses_over(B, [train_on, *measures.values()])
    values = dict(zip(measures, others, strict=True))
    return trial.losses(train, train + ridge * jnp.sum(B**2) / len(B), values, measures["test"].offset_squared)
