"""What a simulation is going to do: sizes, memory and every check, before anything is computed."""

import math
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from rfdsm import _laws as laws
from rfdsm._arguments import MOST, base_key, check_whole, number_array
from rfdsm._problem import Problem, check_problem
from rfdsm._values import one_line
from rfdsm.activations import Activation
from rfdsm.activations._expansion import Rule
from rfdsm.losses import Losses
from rfdsm.schedules import Level
from rfdsm.simulation._devices import checked as checked_devices
from rfdsm.simulation._memory import coefficient_chunk, feature_chunk, large, memory_available, memory_estimate
from rfdsm.simulation._series import conditional_choice, population_choice, warn_if_inexact
from rfdsm.targets import Asked

DUAL_BLOCK = 64
"""Numbers of draws solved for directly are rounded up to doubles of this: few sizes, few compilations."""
LEAST_SINGLE_RIDGE = 1e-4
"""Relative to the mean square of a feature: for smaller ridges single precision is not enough even for features."""
LEAST_SINGLE_LOSS = 1e-2
"""Of the true score, relative to the zero network: losses near those of smaller ones would lose single precision."""
MANY_DRAWS = 8
"""Draws per feature from which on their products may be single precision: no eigenvalue is small then."""


def realised(problem: Problem, d: int, data: Any = None) -> Problem:
    """The problem a simulation in d dimensions really solves: n = round(psi_n d), p = round(psi_p d), Sigma of size d.

    With data, rows or a law, Sigma is the problem's own.

    Raises:
        ValueError: d too small for n >= 1 and p >= 1, or infinite psi_n or psi_p.
    """
    n, p = (_sizes(problem, name, d) for name in ("psi_n", "psi_p"))
    return laws.of(data, problem.spectrum).realised(problem.at(psi_n=n / d, psi_p=p / d), d)


def _sizes(problem: Problem, name: str, d: int) -> np.ndarray:
    if np.any(np.isinf(getattr(problem, name))):
        raise ValueError(f"{name} = inf must be finite in a simulation; predict takes the limit")
    sizes = np.asarray(np.round(getattr(problem, name) * d))
    if np.any(sizes < 1):
        smallest = np.min(getattr(problem, name))
        needed = np.floor(0.5 / smallest) + 1  # a half is rounded down to 0
        raise ValueError(f"d = {d} is too small: {name} = {smallest:g} needs d >= {needed:.0f}")
    return sizes


class Settings(NamedTuple):
    """What a compiled trial depends on besides array shapes; one compilation each."""

    p: int
    activation: Activation
    infinite: bool
    """m = inf: moments over all noise."""
    dual: int
    """Most draws (rounded up), where they are fewer than the features and the dual system is solved; 0 otherwise."""
    path: bool
    """Several ridges: eigendecomposition instead of Cholesky."""
    zero: bool
    """The last ridge is 0, which takes another solver."""
    conditional_terms: int
    double_terms: int | None
    """Of the conditional ones, those whose products are formed in double precision; None for all."""
    population_terms: int
    chunk: int
    coefficient_chunk: int
    together: bool
    """Trials are batched, not one after the other."""
    dtype: str
    """Precision of features and of Hermite coefficients and their products; all that follows is float64."""
    products: str
    """Precision of products of features over the draws that a network is trained on; their sum is float64."""


class Group(NamedTuple):
    """Cells of the grid that differ in nothing but the ridge, ready to run."""

    settings: Settings
    n: int
    m: int
    asked: Asked
    """Level and target."""
    amplitude: float
    """Of A phi/sqrt(p)."""
    ridges: Float[np.ndarray, " K"]
    """Descending, so that 0 is last."""
    cells: Int[np.ndarray, " K"]
    """Their places in the raveled grid."""
    conditional_rule: Rule | None
    population_rule: Rule | None


class Plan(NamedTuple):
    """A checked request."""

    d: int
    key: jax.Array
    trials: int
    dtype: np.dtype
    law: laws.Law
    devices: list[Any]
    n: Int[np.ndarray, "*grid"]
    p: Int[np.ndarray, "*grid"]
    groups: list[Group]
    available: int
    """Bytes per device to stay below."""

    @property
    def generator(self) -> str:
        """Of random numbers, that of the key."""
        return str(jax.random.key_impl(self.key))


def plan(
    problem: Problem,
    d: Any,
    *,
    trials: Any,
    key: Any,
    data: Any,
    dtype: Any,
    devices: Any,
    memory_limit: Any,
    primal: bool = False,
    solves: bool = True,
    flow: bool = False,
    records: int = 1,
) -> Plan:
    """Check a request to `simulate`, whose arguments these are, and lay out its cells in groups.

    Args:
        primal: never solve the dual system.
        solves: whether linear systems are solved, which single precision limits.
        flow: whether gradient flow is followed, which takes all eigenvectors.
        records: times at which losses are recorded.

    Raises:
        ValueError: see `simulate`.
    """
    dtype, base, devices = _checked_dtype(dtype), base_key(key), checked_devices(devices)
    check_problem(problem)
    if problem.traced:
        raise ValueError("simulate needs concrete numbers: call it outside jax.jit, grad and vmap")
    if solves and dtype != np.float64 and np.any(problem.ridge == 0):
        # Features in single precision say nothing of which eigenvalues are zero.
        raise ValueError(f"dtype = {dtype.name!r} must be 'float64' where ridge = 0")
    trials = check_whole("trials", trials, 1)
    law = laws.of(data, problem.spectrum)
    d = law.dimension(d)
    available = memory_available(devices) if memory_limit is None else checked_limit(memory_limit)
    # Before anything of that size is made.
    _check_sizes(problem, d, dtype, trials, records, available)
    actual = realised(problem, d, law)
    psi_n, psi_p, m, t, ridge = actual.broadcast()
    n, p = (np.asarray(np.round(psi * d), np.int64) for psi in (psi_n, psi_p))
    draws = float(np.max(n * np.where(np.isinf(m), 1, m)))
    if draws > MOST - 2**24:  # loops in chunks end a little beyond the last draw
        raise ValueError(f"n m = {draws:.3g} noise draws in all must be at most 2.1e9: take a smaller m, psi_n or d")
    law.check_count(n, "psi_n")
    eigenvalues, mean_square = law.eigenvalues(d), law.mean_square(d)
    keys = np.stack([x.ravel() for x in (p, n, m, t)], axis=1)
    _, members = np.unique(keys, axis=0, return_inverse=True)
    groups, memory, choices = [], [], []
    for member in dict.fromkeys(members.ravel().tolist()):  # in the order of the grid
        cells = np.flatnonzero(members == member)
        cells = cells[np.argsort(-ridge.ravel()[cells], kind="stable")]
        ridges = ridge.ravel()[cells]
        group_p, group_n, group_m, group_t = keys[cells[0]]
        size, points = int(group_p), int(group_n)
        asked = Asked(*(float(value) for value in actual.asked_at(np.float64(group_t))))
        level = Level(asked.a, asked.h, asked.scale)
        population = population_choice(problem.activation, size, level, eigenvalues)
        infinite = bool(np.isinf(group_m))
        draws = 0 if infinite else int(group_n * group_m)
        precision = "float64"
        # Networks that are trained on the series need all its digits.
        if dtype == np.float32 and not infinite and ridges[-1] >= LEAST_SINGLE_RIDGE * population.second:
            least = np.mean(asked.floor(eigenvalues)) / asked.null(np.mean(eigenvalues))
            precision = "float32" if least >= LEAST_SINGLE_LOSS else "float64"
        conditional = conditional_choice(problem.activation, d, size, level, mean_square, precision)
        choices += [conditional, population]
        vectors = flow or (solves and (len(ridges) > 1 or bool(ridges[-1] == 0)))
        itemsize = np.dtype(precision).itemsize
        need = memory_estimate(size, d, terms=conditional.terms, rows=law.size, itemsize=itemsize, eigenvectors=vectors)
        memory.append((need, points, size))
        alone = large(size, conditional.terms, points)
        terms = conditional.fewest if alone else conditional.terms
        settings = Settings(
            p=size,
            activation=problem.activation,
            infinite=infinite,
            dual=_padded(draws, size) if 0 < draws <= size and not primal else 0,
            path=int(np.count_nonzero(ridges)) > 1,
            zero=bool(ridges[-1] == 0),
            conditional_terms=terms,
            double_terms=min(conditional.double, terms) if alone and precision == "float64" else None,
            population_terms=population.terms,
            chunk=feature_chunk(size, draws),
            coefficient_chunk=coefficient_chunk(size, terms, points),
            # On a CPU batches take longer to compile and gain nothing.
            together=devices[0].platform != "cpu" and trials * need <= available // 2,
            dtype=precision,
            products="float64" if draws < MANY_DRAWS * size else precision,
        )
        amplitude, rules = float(problem.target.amplitude(level)), (conditional.rule, population.rule)
        repeats = 0 if infinite else int(group_m)
        groups.append(Group(settings, points, repeats, asked, amplitude, ridges, cells, *rules))
    _check_memory(max(memory), d, dtype, available)
    warn_if_inexact(choices, problem.activation, d, dtype.name)
    return Plan(d, base, trials, dtype, law, devices, n, p, groups, available)


def _padded(draws: int, p: int) -> int:
    """At least `draws` rows: a power of two times DUAL_BLOCK, or the next multiple of it beyond p."""
    blocks = -(-draws // DUAL_BLOCK)
    return DUAL_BLOCK * min(2 ** (blocks - 1).bit_length(), -(-p // DUAL_BLOCK))


def _check_sizes(problem: Problem, d: int, dtype: np.dtype, trials: int, records: int, available: int) -> None:
    n, p = (float(np.max(_sizes(problem, name, d))) for name in ("psi_n", "psi_p"))
    for name, field, most in (("n", "psi_n", n), ("p", "psi_p", p)):
        if most > MOST:
            raise ValueError(f"{name} = round({field} d) = {most:.3g} must be at most {MOST}")
    need = memory_estimate(int(p), d, terms=2, itemsize=dtype.itemsize)
    _check_memory((need, int(n), int(p)), d, dtype, available)
    cells, names = math.prod(problem.shape), (*Losses.NAMES, "objective", *Losses.BOUNDS)
    results = trials * (cells * records * len(names) * dtype.itemsize + 16)
    if results > available:
        of = f"{cells} problems" + (f" at {records} times" if records > 1 else "")
        raise ValueError(
            f"trials = {trials} of {of} have {results / 1e9:.3g} GB of results, must be at most the "
            f"{available / 1e9:.3g} GB available"
        )


def _check_memory(largest: tuple[int, int, int], d: int, dtype: np.dtype, available: int) -> None:
    need, n, p = largest
    if need > available:
        raise ValueError(
            f"d = {d} with n = {n} and p = {p} needs {need / 1e9:.3g} GB of memory in {dtype}, "
            f"must be at most the {available / 1e9:.3g} GB available: take a smaller d or psi_p"
        )


def checked_limit(memory_limit: Any) -> int:
    """Bytes, as asked for. Raises ValueError for what is no positive number."""
    array = number_array("memory_limit", memory_limit, "bytes")
    if array.ndim or not (np.isfinite(array) and array > 0):
        raise ValueError(f"memory_limit = {one_line(memory_limit)} must be a number of bytes > 0")
    return int(array)


def _checked_dtype(dtype: Any) -> np.dtype:
    try:
        name = np.dtype(dtype).name
    except (TypeError, ValueError):
        name = None
    if dtype is None or name not in ("float32", "float64"):
        raise ValueError(f"dtype = {one_line(dtype)} must be 'float32' or 'float64'")
    return np.dtype(name)
