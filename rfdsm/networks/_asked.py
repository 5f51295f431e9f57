"""What `train` is asked, checked and put in order: every refusal comes before the first step."""

import hashlib
import math
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from rfdsm import schedules, targets
from rfdsm._arguments import check_whole
from rfdsm._executables import jitted
from rfdsm._samples import check_rows
from rfdsm._values import one_line
from rfdsm.networks import _measure as measure
from rfdsm.networks._laws import Gaussian
from rfdsm.networks._loop import Static
from rfdsm.networks._pairs import Question
from rfdsm.networks.levels import Levels, at
from rfdsm.simulation._memory import memory_available

RECORDS = 24
"""Steps at which losses are recorded unless others are asked for, in about equal ratios."""
HELD_OUT = 0.1


def dtype(network: Any) -> Any:
    """Of the parameters. ValueError for a network without any."""
    kinds = {x.dtype for x in jax.tree.leaves(network) if eqx.is_inexact_array(x)}
    if not kinds:
        raise ValueError("network has no floating arrays to train: make it an Equinox module")
    return jnp.result_type(*kinds)


def split(nets: list[Any]) -> tuple[Any, Any, Static]:
    """Trained arrays of all networks, stacked, their other arrays, and what is no array."""
    spec = nets[0].trainable() if hasattr(nets[0], "trainable") else eqx.is_inexact_array
    parts = [eqx.partition(net, spec) for net in nets]
    kinds = [(jax.tree.structure(net), jax.tree.map(jnp.shape, eqx.filter(net, eqx.is_array))) for net in nets]
    if any(kind != kinds[0] for kind in kinds):
        raise ValueError("network must be one module, or a list of modules of one structure and shape")
    others = [eqx.partition(rest, eqx.is_array) for _, rest in parts]
    leaves, structure = jax.tree.flatten(others[0][1])
    together = [[part for part, _ in pair] for pair in (parts, others)]
    return *(stacked(*part) for part in together), Static(tuple(leaves), structure)


@jitted
def stacked(*trees: Any) -> Any:
    """One tree of all. Like `member`, one program for all leaves, where every leaf would be one of its own."""
    return jax.tree.map(lambda *x: jnp.stack(x), *trees)


@jitted
def member(tree: Any, k: Any) -> Any:
    """Number k of those in a stacked tree."""
    return jax.tree.map(lambda x: x[k], tree)


def points(data: Any, test: Any, key: Any, dtype: Any) -> tuple[Any, Any, Gaussian | None, int]:
    """Training points, fresh ones, their law if it is known, and d."""
    if isinstance(data, Gaussian):
        rows: Any = data
        outside: Any = data if test is None else test
    else:
        array, outside = check_rows(data), test
        if test is None:
            out = max(1, round(HELD_OUT * len(array)))  # there are two rows at least
            order = np.asarray(jax.random.permutation(jax.random.fold_in(key, 9), len(array)))
            array, outside = array[order[out:]], array[order[:out]]
        rows = jnp.asarray(array, dtype)
    law = outside if isinstance(outside, Gaussian) else None
    if law is None:
        outside = jnp.asarray(outside if test is None else check_rows(outside, "test"), dtype)
    d, other = columns(rows), columns(outside)
    if other != d:
        raise ValueError(f"test has d = {other}, must be that of data, {d}")
    return rows, outside, law, d


def columns(data: Any) -> int:
    """The dimension of a law or of rows."""
    return data.d if isinstance(data, Gaussian) else data.shape[1]


def levels(level: Any, levels: Any) -> Levels:
    """At which levels. ValueError unless either one is given, or several."""
    if (level is None) == (levels is None):
        raise ValueError("level or levels must be given, and not both: one time, or networks.levels.uniform(low, high)")
    if levels is not None and not isinstance(levels, Levels):
        raise ValueError(f"levels = {one_line(levels)} must be of networks.levels, such as levels.uniform(low, high)")
    return at(level) if levels is None else levels


def question(schedule: Any, target: Any, levels: Levels, rows: Any, law: Gaussian | None) -> Question:
    """What is learned. ValueError for names that are unknown, times out of range, targets without a score."""
    rule, learned = schedules.get(schedule), targets.get(target)
    levels.check(rule)
    known = rows if law is None else law
    variance = known.variance if isinstance(known, Gaussian) else float(np.mean(np.square(rows)))
    for end in levels.ends:
        targets.check(learned, rule.level(np.float64(end), variance), variance)
    return Question(rule, learned, levels, variance)


def pairs(rows: Any, m: Any, draws: Any) -> int | None:
    """Number of frozen pairs; None if there are none."""
    if isinstance(rows, Gaussian):
        if draws is not None or not (isinstance(m, float) and m == math.inf):
            raise ValueError(f"m = {one_line(m)} must be inf for a law, which has new points in every step")
        return None
    if draws is not None:
        shape = np.shape(draws)
        if len(shape) != 3 or shape[0] != len(rows) or shape[2] != rows.shape[1] or not np.all(np.isfinite(draws)):
            raise ValueError(
                f"draws have shape {shape}, must be finite, of shape (n, m, d) with n, d = {tuple(rows.shape)}"
            )
        return shape[0] * shape[1]
    if isinstance(m, float) and m == math.inf:
        return None
    whole = int(m) if isinstance(m, float) and m.is_integer() else m
    count = check_whole("m", whole, 1) * len(rows)
    if count >= 2**31:
        raise ValueError(f"m = {m} draws of n = {len(rows)} rows are {count} pairs, must be less than 2^31")
    return count


def recorded(record: Any, steps: int) -> np.ndarray:
    """Steps at which losses are recorded, ascending. ValueError for others than whole numbers within the training."""
    if record is None:
        return np.unique(np.concatenate([[0], np.round(np.geomspace(1, steps, RECORDS)).astype(int)]))
    listed = np.atleast_1d(np.asarray(record))
    if listed.ndim != 1 or not np.issubdtype(listed.dtype, np.integer) or not np.all((listed >= 0) & (listed <= steps)):
        raise ValueError(f"record = {one_line(record)} must be whole numbers of steps from 0 to steps = {steps}")
    if len(np.unique(listed)) < len(listed) or not len(listed):
        raise ValueError(f"record = {one_line(record)} must be different numbers of steps, one at least")
    return np.sort(listed)


def check_output(nets: list[Any], question: Question, d: int, dtype: Any) -> None:
    """ValueError for a network that does not map R^d to R^d."""
    level = measure.level_of(question, np.float64(question.levels.ends[0]))
    told = jax.tree.map(lambda x: jnp.asarray(float(x), dtype), level)
    for net in nets:
        if not callable(net):
            raise ValueError(f"network = {one_line(net)} must be callable: f(y, level)")
        try:
            shape = jax.eval_shape(net, jax.ShapeDtypeStruct((d,), dtype), told).shape
        except (ValueError, TypeError) as error:
            text = " ".join(str(error).split())[:200]
            raise ValueError(f"network cannot take y of shape ({d},), the columns of data: {text}") from None
        if shape != (d,):
            raise ValueError(f"network returned shape {shape}, must be that of its input, ({d},)")


def check_memory(nets: list[Any], size: int, most: int, d: int, dtype: Any, kept: int = 0) -> None:
    """ValueError for more than there is; `kept`: copies of the networks."""
    weights = sum(x.size for x in jax.tree.leaves(nets) if eqx.is_array(x))
    need = np.dtype(dtype).itemsize * ((6 + kept) * weights + len(nets) * (8 * size + 8 * most) * d)
    available = memory_available(jax.local_devices()[:1])
    if need > available:
        raise ValueError(
            f"batch = {size} and measured = {most} pairs in d = {d} and {weights} parameters need {need / 1e9:.3g} GB "
            f"of memory, must be at most the {available / 1e9:.3g} GB available"
        )


def spread(devices: Any, size: int) -> NamedSharding | None:
    """How batches are divided."""
    listed = list(devices) if isinstance(devices, Sequence) else [] if devices is None else [devices]
    if len(listed) < 2:
        return None
    if size % len(listed):
        raise ValueError(f"batch = {size} must be a multiple of the {len(listed)} devices")
    return NamedSharding(Mesh(np.array(listed), ("batch",)), PartitionSpec("batch"))


def digest(tree: Any) -> str:
    """Of all arrays: what tells one training from another."""
    mark = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf = jax.random.key_data(leaf)
        if eqx.is_array_like(leaf):
            array = np.asarray(leaf)
            mark.update(f"{array.dtype.str} {array.shape} ".encode() + array.tobytes())
    return mark.hexdigest()[:32]
