"""Training of any network by denoising score matching, `train`, and what it leaves, `Training`."""

import json
import math
import warnings
from collections.abc import Callable
from functools import lru_cache
from importlib import metadata
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import xarray as xr

from rfdsm import __version__, datasets
from rfdsm._arguments import base_key, check_whole
from rfdsm._files import located
from rfdsm._scope import network_scope
from rfdsm._values import number, one_line
from rfdsm.losses import Losses
from rfdsm.networks import _asked as asked, _checkpoint as saved, _measure as measure
from rfdsm.networks._laws import Gaussian
from rfdsm.networks._loop import Points, Rule, State, measured as measured_losses, run, shared
from rfdsm.networks.levels import Levels
from rfdsm.schedules import Schedule
from rfdsm.targets import Target

Progress = Callable[[int, int], Any]
BETWEEN = 1000
"""Most steps between two looks at the clock, the keyboard and the disk."""
MEASURED = 4096
"""Pairs a loss is measured on."""


class Training(eqx.Module):
    """A trained network, or several, and the losses on the way."""

    network: Any
    """Or the list of them."""
    losses: Losses
    """Last axis: the recorded steps; before it the networks, if several were trained. `train` is on the frozen pairs,
    `empirical_test` on the same points with fresh noise, `test` on fresh points; `score` and `floor` where the law is
    known, else NaN. Losses of levels are weighted as in training."""
    steps: np.ndarray
    """Recorded, ascending."""
    failed: Any
    """Step whose loss was not finite, None if all were; of several networks an array, -1 for those without."""
    n: int | None
    """Training points; None of a law."""
    d: int
    m: float
    schedule: Schedule
    target: Target
    levels: str
    batch: int
    kept: Any = None
    """Networks at the recorded steps, each as `network`, where they were to be kept."""

    @property
    def parameters(self) -> int:
        """Trained numbers of one network."""
        return parameters(self.network[0] if isinstance(self.network, list) else self.network)

    def to_dataset(self) -> xr.Dataset:
        """Losses over step (and network), with what was trained as attributes."""
        several = np.ndim(self.losses.train) > 1
        over = ("network", "step") if several else ("step",)
        names = (*Losses.NAMES, "floor", "null")
        variables = {name: datasets.variable(name, over, getattr(self.losses, name)) for name in names}
        coords: dict[str, Any] = {"step": datasets.variable("step", ("step",), self.steps, "optimiser step")}
        if several:
            coords["network"] = np.arange(np.shape(self.losses.train)[0])
        described = {"n": self.n, "d": self.d, "m": "inf" if math.isinf(self.m) else self.m}
        described |= {"parameters": self.parameters, "schedule": str(self.schedule), "target": str(self.target)}
        described |= {"levels": self.levels, "batch": self.batch}
        versions = {"rfdsm": __version__} | {name: metadata.version(name) for name in ("jax", "equinox", "optax")}
        title = "Losses of denoising score matching during training, per coordinate"
        attrs = {"title": title, "configuration": json.dumps(described), "versions": json.dumps(versions)}
        return xr.Dataset(variables, coords=coords, attrs=attrs)


def parameters(network: Any) -> int:
    """How many numbers are trained in a network: its real arrays, or what its `trainable()` says."""
    spec = network.trainable() if hasattr(network, "trainable") else eqx.is_inexact_array
    return sum(x.size for x in jax.tree.leaves(eqx.filter(network, spec)))


@lru_cache(maxsize=1)
def _adam() -> Any:
    """One object: what is compiled for it is found again."""
    return optax.adam(1e-3)


@network_scope()
def train(
    network: Any,
    data: Any,
    *,
    m: Any = math.inf,
    schedule: Any = "ou",
    target: Any = "noise",
    level: Any = None,
    levels: Levels | None = None,
    steps: Any = 10_000,
    batch: Any = 128,
    optimiser: Any = None,
    test: Any = None,
    key: Any = 0,
    record: Any = None,
    ema: Any = None,
    draws: Any = None,
    measured: Any = MEASURED,
    keep: Any = False,
    devices: Any = None,
    checkpoint: Any = None,
    progress: Progress | None = None,
) -> Training:
    """Train a network, or several side by side, to predict a target from noisy points; losses are those of the theory.

    Step k draws its batch from fold_in(key, k): the same key gives the same numbers, however often training was
    interrupted. Memory: parameters, optimiser and averages, the rows, and `batch` and `measured` pairs; frozen noise is
    drawn again whenever it is needed.

    Args:
        network: f(y, level) -> R^d, y of shape (d,), level a `sampling.NoiseLevel`: an Equinox module whose floating
            arrays are trained (those that its method trainable() marks, if it has one). A list of modules of one shape
            is trained side by side, network k with fold_in(key, k): losses get a leading axis.
        data: rows (n, d), of which a tenth is held out unless `test` is given, or a law (`gaussian`,
            `gaussian_images`), of which every step sees new points.
        m: noise draws per row, frozen; inf: new noise in every step. A law has new noise always.
        schedule, target: as in `rfdsm.Problem`.
        level: one time t. Or levels: times drawn from a density, from `networks.levels`; a frozen draw keeps its time.
        steps: optimiser steps.
        batch: pairs per step, drawn with replacement; None: all n m frozen pairs.
        optimiser: from optax, with its schedules of learning rates and weight decay; default optax.adam(1e-3).
        test: fresh points: rows, or the law of the data, which makes `score` and `floor` known.
        key: integer or JAX key.
        record: numbers of steps at which losses are recorded; default some 24 from 0 to `steps`.
        ema: decay of an exponential average of the parameters, which is then what is measured and returned.
        draws: frozen normal vectors of your own, shape (n, m, d).
        measured: pairs that every loss is measured on, at most; of frozen pairs all if there are no more.
        keep: keep the network at every recorded step, too: `Training.kept`. It takes their memory.
        devices: JAX devices among which batches are divided; default one, whose cores share the work.
        checkpoint: file to keep the state in; the same call goes on from there (its optimiser is taken on trust).
        progress: called with (steps done, steps in all).

    Returns:
        `Training`. If a loss is not finite, training stops there with a RuntimeWarning, and the network is the last
        good one.

    Raises:
        ValueError: bad arguments, data not finite, a network whose output has another shape, more pairs than can be
            counted, more memory than there is, a checkpoint of another training.

    Examples:
        >>> import jax
        >>> from rfdsm import networks
        >>> law = networks.gaussian(4)
        >>> rows = law.draw(jax.random.key(0), 30)
        >>> training = networks.train(networks.mlp(4, 8), rows, m=2, level=0.5, steps=100, batch=16, test=law)
        >>> training.losses.test.shape == training.steps.shape
        True
    """
    several = isinstance(network, list | tuple)
    nets = list(network) if several else [network]
    if not nets:
        raise ValueError("network = [] must be one network or more")
    dtype = asked.dtype(nets[0])
    rows, fresh_points, law, d = asked.points(data, test, base_key(key), dtype)
    learned = asked.levels(level, levels)
    question = asked.question(schedule, target, learned, rows, law)
    pairs = asked.pairs(rows, m, draws)
    steps = check_whole("steps", steps, 1)
    if batch is None and pairs is None:
        raise ValueError("batch = None takes all frozen pairs, but m = inf and laws have none")
    size = pairs if batch is None and pairs is not None else check_whole("batch", batch, 1)
    most = check_whole("measured", measured, 1)
    decay = None if ema is None else number("ema", ema, "from 0 to 1", lambda x: (x >= 0) & (x < 1))
    optimiser = _adam() if optimiser is None else optimiser
    if not (hasattr(optimiser, "init") and hasattr(optimiser, "update")):
        raise ValueError(f"optimiser = {one_line(optimiser)} must be an optax optimiser, such as optax.adam(1e-3)")
    asked.check_output(nets, question, d, dtype)
    recorded = asked.recorded(record, steps)
    if not isinstance(keep, bool):
        raise ValueError(f"keep = {one_line(keep)} must be True or False")
    asked.check_memory(nets, size, most, d, dtype, len(recorded) if keep else 0)
    keys = jax.vmap(lambda k: jax.random.fold_in(base_key(key), k))(jnp.arange(len(nets)))
    keys = keys if several else base_key(key)[None]
    own = None if draws is None else jnp.asarray(draws, dtype)

    parameters, fixed, static = asked.split(nets)
    frozen = None if isinstance(rows, Gaussian) else jnp.asarray(pairs or 0, jnp.int32)
    points = Points(rows, frozen, own)
    rule = Rule(static, question, size, size == pairs, optimiser, decay, asked.spread(devices, size))
    forward, look = shared(run, rule), shared(measured_losses, static)
    state = State(parameters, shared(optimiser.init)((parameters,)), parameters, jnp.full(len(nets), -1, jnp.int32))
    sets = shared(measure.sets, question, most, dtype)((keys,), points, fresh_points)

    found = jnp.full((len(recorded), len(nets), len(Losses.NAMES)), jnp.nan, dtype)
    about = {"network": asked.digest(parameters), "steps": steps, "pairs": pairs, "batch": size}
    about |= {"data": asked.digest((rows, keys, own)), "levels": learned.text, "ends": list(learned.ends)}
    about |= {"schedule": str(question.schedule), "target": str(question.target)}
    about |= {"record": recorded.tolist(), "ema": decay, "keep": keep}
    kept = jax.tree.map(lambda x: np.zeros((len(recorded) * keep, *x.shape), x.dtype), parameters)
    path = None if checkpoint is None else located(checkpoint, "checkpoint")
    done = 0
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        there = saved.restore(path, (state, found, kept, np.int32(0)), about)
        if there is not None:
            state, found, kept, done = *there[:3], int(there[3])

    place = int(np.searchsorted(recorded, done, side="left" if done == 0 else "right"))
    while True:
        while place < len(recorded) and recorded[place] == done:
            shown = state.averaged if decay is not None else state.parameters
            values = jnp.where((state.bad >= 0)[:, None], jnp.nan, look((shown, fixed, sets), law))
            found = found.at[place].set(values)
            if keep:
                for all_steps, now in zip(*map(jax.tree.leaves, (kept, shown)), strict=True):
                    all_steps[place] = now
            place += 1
        if path is not None and done:
            saved.save(path, (state, found, kept, np.int32(done)), about)
        if progress is not None:
            progress(done, steps)
        if done == steps or bool(jnp.all(state.bad >= 0)):
            break
        after = recorded[place] if place < len(recorded) else steps
        until = int(min(done + BETWEEN, after))
        ends = (jnp.asarray(x, jnp.int32) for x in (done, until))
        state = jax.block_until_ready(forward((state, fixed, keys), points, *ends))
        done = until

    bad = np.asarray(state.bad)
    if np.any(bad >= 0):
        first = int(bad[bad >= 0].min())
        warnings.warn(
            f"training stopped at step {first}: the loss was not finite; the network is that of the step before",
            RuntimeWarning,
            stacklevel=2,
        )
    final = state.averaged if decay is not None else state.parameters

    def network_of(arrays: Any) -> Any:
        """Network, or list of networks, of these parameters."""
        each = [eqx.combine(*asked.member((arrays, fixed), k), static.tree) for k in range(len(nets))]
        return each if several else each[0]

    values = np.asarray(found, float)
    values = np.moveaxis(values, 0, 1) if several else values[:, 0]
    limits = [measure.bounds(asked.member(sets, k), law) for k in range(len(nets))]
    floor, null = (np.broadcast_to(np.array(part if several else part[0])[..., None], values.shape[:-1])
                   for part in zip(*limits, strict=True))  # fmt: skip
    named = dict(zip(Losses.NAMES, np.moveaxis(values, -1, 0), strict=True))
    return Training(
        network=network_of(final),
        losses=Losses(**named, objective=named["train"], floor=floor, null=null),
        steps=recorded,
        failed=np.where(bad >= 0, bad, -1) if several else (int(bad[0]) if bad[0] >= 0 else None),
        n=None if isinstance(rows, Gaussian) else len(rows),
        d=d,
        m=math.inf if pairs is None or isinstance(rows, Gaussian) else float(pairs // len(rows)),
        schedule=question.schedule,
        target=question.target,
        levels=learned.text,
        batch=size,
        kept=[network_of(jax.tree.map(lambda x, k=k: jnp.asarray(x[k]), kept)) for k in range(len(recorded))]
        if keep
        else None,
    )
