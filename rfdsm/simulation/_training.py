"""Networks on their way to the minimiser: gradient flow, exactly, or any optax optimiser, step by step."""

from collections.abc import Callable, Generator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, Key

from rfdsm._arguments import check_whole, flow_times, number_array
from rfdsm._executables import jitted
from rfdsm._hints import Count, Devices, DTypeName, KeyLike, Number, Numbers, Rows
from rfdsm._problem import Problem
from rfdsm._values import one_line
from rfdsm.activations import Activation
from rfdsm.activations._kept import kept
from rfdsm.losses import Losses
from rfdsm.simulation import _eigenpath as eigenpath
from rfdsm.simulation._design import features
from rfdsm.simulation._devices import spread
from rfdsm.simulation._moments import losses_over
from rfdsm.simulation._plan import Group, Plan, Settings, plan
from rfdsm.simulation._simulate import Progress, group_by_group, trained_on
from rfdsm.simulation._strips import product
from rfdsm.simulation._trial import Cell, Trial, gathered, probes, reported

INITIAL = 17
"""Folded into a trial's key for its initial weights."""
BATCHES = 23
"""Folded into a trial's key for its batches."""


def simulate_training(
    problem: Problem,
    times: Numbers,
    d: Count | None = None,
    *,
    optimiser: Any = None,
    batch_size: Count | None = None,
    initial: Number = 0.0,
    trials: Count = 1,
    key: KeyLike = 0,
    data: Rows | None = None,
    dtype: DTypeName = "float64",
    devices: Devices | None = None,
    memory_limit: Number | None = None,
    progress: Progress | None = None,
) -> Losses:
    """Losses of real networks during training, recorded exactly as `simulate` computes them.

    Without an optimiser: gradient flow dB/dtheta = -(B(U + ridge) + V^T), exact at every time from one
    eigendecomposition (`rfdsm.units.flow_time` converts from steps). With one: A, the output weights of
    s(y) = A phi(y)/sqrt(p), is trained on J (docs/theory, equation 1) step by step. Full-batch gradients are formed
    from the moments U and V, which gives them exactly at 2 p^2 d operations whatever n and m are. Batches are drawn
    with replacement, from the n m draws of a finite m, or with fresh noise in every step if m = inf.

    Args:
        problem: one problem or a grid of them, with finite psi_n and psi_p; ridge = 0 is allowed.
        times: times theta >= 0 (inf: the minimiser), or with an optimiser whole numbers of steps >= 0; any order.
        d, trials, key, data, devices, memory_limit, progress: as for `simulate`; the same key draws the same networks.
        optimiser: an optax optimiser, such as optax.adam(1e-2) or optax.sgd(0.1, momentum=0.9).
        batch_size: draws per step; None for full-batch gradients. Needs an optimiser.
        initial: variance of independent normal initial entries of A, or A itself, shape (d, p).
        dtype: as for `simulate`; with an optimiser ridge = 0 is allowed in both.

    Returns:
        `Losses` of shape (trials, *problem.shape, times), NumPy arrays of the dtype asked for.

    Raises:
        ValueError: as `simulate`, and for times that are empty, negative or NaN, or no whole numbers of steps.

    Source: docs/theory, section 1; docs/simulation.

    Examples:
        >>> import numpy as np
        >>> from rfdsm import Problem, simulate_training
        >>> problem = Problem(psi_n=2, psi_p=4, m=np.inf, t=0.1, ridge=0)
        >>> simulate_training(problem, times=[1, 10, 100], d=20, trials=4).test.shape
        (4, 3)
    """
    times = _checked_times(times, optimiser)
    if optimiser is not None and not (hasattr(optimiser, "init") and hasattr(optimiser, "update")):
        raise ValueError(f"optimiser = {one_line(optimiser)} must be an optax optimiser, such as optax.adam(1e-2)")
    if batch_size is not None:
        batch_size = check_whole("batch_size", batch_size, 1)
        if optimiser is None:
            raise ValueError(f"batch_size = {batch_size} needs an optimiser: gradient flow uses all draws")
    weights, variance = _checked_initial(initial)
    flow = optimiser is None
    how: dict[str, Any] = dict(primal=not flow or variance != 0, solves=flow, flow=flow, records=len(times))
    how |= dict(trials=trials, key=key, data=data, dtype=dtype, devices=devices, memory_limit=memory_limit)
    request = plan(problem, d, **how)
    for p in np.unique(request.p):
        if weights is not None and weights.shape != (request.d, p):
            raise ValueError(f"initial has shape {weights.shape}: must be (d, p) = ({request.d}, {p})")
    groups = trained_groups(request, times, weights, optimiser, batch_size, variance)
    return reported(gathered(groups, request, progress), request, stacklevel=3)


def trained_groups(
    request: Plan,
    times: np.ndarray,
    weights: np.ndarray | None = None,
    optimiser: Any = None,
    batch_size: int | None = None,
    variance: float | None = 0.0,
) -> Generator[tuple[Group, Losses], None, None]:
    """The groups of a plan, each with its losses (NumPy arrays, shape (trials, K, times)) as soon as it is done.

    Networks start from `weights`, or from independent normal ones of the given variance. The other arguments are those
    of `simulate_training`, checked.
    """
    compile_for = partial(_compiled, optimiser=optimiser, batch_size=batch_size, variance=variance)
    recorded = np.asarray(times, int if optimiser is not None else float)
    return group_by_group(request, compile_for, recorded, weights)


@kept(maxsize=32)
def _compiled(
    activation: Activation,
    settings: Settings,
    mesh: Mesh,
    generator: str,
    optimiser: Any,
    batch_size: int | None,
    variance: float | None,
) -> Callable[..., Losses]:
    """All trials of a group. The activation is that of the settings."""
    shards = mesh.devices.shape[1]

    def trials(words: Array, cell: Cell, times: Array, weights: Array | None) -> Losses:
        def one(word: Array) -> Losses:
            key = jax.random.wrap_key_data(word, impl=generator)
            trial = Trial.drawn(key, cell, settings, shards)
            first = _initial_weights(key, trial, weights, variance)
            if optimiser is None:
                return _flow(trial, first, times)
            return descend(trial, first, times, optimiser, batch_size, key)

        return jax.vmap(one)(words) if settings.together else jax.lax.map(one, words)

    return jitted(spread(trials, mesh))


def _initial_weights(
    key: Key[Array, ""], trial: Trial, weights: Array | None, variance: float | None
) -> Float[Array, "d p"] | None:
    """Initial B = sqrt(h/p) A, of given A or of independent normal entries; None for zero."""
    if variance == 0:
        return None
    if variance is not None:
        normal = jax.random.normal(jax.random.fold_in(key, INITIAL), trial.law.W.T.shape, jnp.float32)
        weights = jnp.asarray(variance) ** 0.5 * normal.astype(float)
    return trial.scale * jnp.asarray(weights)


def _flow(trial: Trial, first: Array | None, times: Array) -> Losses:
    """Gradient flow for all ridges and times, shape (K, times)."""
    settings, cell = trial.settings, trial.cell
    given: Any = trained_on(trial)
    path = eigenpath.dual_eigenpath(given) if settings.dual else eigenpath.eigenpath(given, first)
    filters = jax.vmap(lambda ridge: eigenpath.flow_filters(path, ridge, times))(cell.ridges)
    flat = jax.tree.map(lambda x: x.reshape(-1, x.shape[-1]), filters)
    train = eigenpath.train(path, flat)
    penalty = jnp.repeat(cell.ridges, len(times)) * eigenpath.norm(path, flat)
    losses = trial.measured(train, penalty, partial(eigenpath.losses, path, flat))
    return jax.tree.map(lambda x: x.reshape(len(cell.ridges), -1), losses)


def _checked_times(times: Any, optimiser: Any) -> np.ndarray:
    array = flow_times(times)
    bad = ~np.isfinite(array) | (array != np.round(array)) | (array >= 2**31)
    if optimiser is not None and np.any(bad):
        raise ValueError(f"times = {array[bad][0]:g} must be finite whole numbers of steps >= 0")
    return array


def _checked_initial(initial: Any) -> tuple[np.ndarray | None, float | None]:
    """Weights, or else their variance."""
    array = number_array("initial", initial, "a variance >= 0 or an array of shape (d, p)")
    if array.ndim not in (0, 2) or not np.all(np.isfinite(array)) or (array.ndim == 0 and array < 0):
        shown = f"{array:g}" if array.ndim == 0 else f"an array of shape {array.shape}"
        raise ValueError(f"initial = {shown} must be a finite variance >= 0 or a finite array of shape (d, p)")
    return (array, None) if array.ndim else (None, float(array))


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
            B = scale * state[0]
            train, *others = losses_over(B, [train_on, *measures.values()])
            values, null = dict(zip(measures, others, strict=True)), measures["test"].offset_squared
            return state, trial.losses(train, train + ridge * jnp.sum(B**2) / len(B), values, null)

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
